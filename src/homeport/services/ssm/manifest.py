"""What `app` reads of this service."""

from __future__ import annotations

from homeport.services.ssm.api import labels, listing, parameters, tags  # noqa: F401  register the handlers
from homeport.services.ssm.api.context import Ssm, ops
from homeport.services.ssm.api.facts import Facts
from homeport.services.ssm.repo import tables  # noqa: F401  defines the tables

name = "ssm"
operations = ops
invalid_input = "ValidationException"
facts = Facts()
takes = None

__all__ = ["Ssm", "facts", "invalid_input", "name", "operations", "takes"]
