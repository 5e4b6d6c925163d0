"""What `app` reads of this service."""

from __future__ import annotations

from homeport.services.sts.api import roles, sessions  # noqa: F401  register the handlers
from homeport.services.sts.api.context import Sts, ops
from homeport.services.sts.api.facts import Facts
from homeport.services.sts.api.service_roles import ServiceCaller, ServiceRoles
from homeport.services.sts.errors import AccessDenied
from homeport.services.sts.model import Session
from homeport.services.sts.ports import RoleFacts
from homeport.services.sts.repo import tables  # noqa: F401  defines the tables
from homeport.services.sts.repo.sessions import SessionRepo, opened

name = "sts"
operations = ops
invalid_input = "ValidationError"
facts = Facts()

__all__ = [
    "AccessDenied",
    "RoleFacts",
    "ServiceCaller",
    "ServiceRoles",
    "Session",
    "SessionRepo",
    "Sts",
    "facts",
    "invalid_input",
    "name",
    "opened",
    "operations",
]
