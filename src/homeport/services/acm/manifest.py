"""What `app` reads of this service."""

from __future__ import annotations

from homeport.services.acm.api import authority, certificates, options, tags  # noqa: F401  register the handlers
from homeport.services.acm.api.context import Acm, ops
from homeport.services.acm.api.facts import Facts
from homeport.services.acm.api.material import Materials
from homeport.services.acm.model import Certificate, Material
from homeport.services.acm.ports import Users
from homeport.services.acm.repo import tables  # noqa: F401  defines the tables

name = "acm"
operations = ops
invalid_input = "ValidationException"
facts = Facts()
takes = None

__all__ = [
    "Acm",
    "Certificate",
    "Facts",
    "Material",
    "Materials",
    "Users",
    "facts",
    "invalid_input",
    "name",
    "operations",
    "takes",
]
