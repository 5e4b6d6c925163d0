"""What `app` reads of this service."""

from __future__ import annotations

from homeport.services.sts.api.sessions import Sts, ops
from homeport.services.sts.repo import tables  # noqa: F401  defines the tables
from homeport.services.sts.repo.sessions import SessionRepo

name = "sts"
operations = ops
invalid_input = "ValidationError"

__all__ = ["SessionRepo", "Sts", "invalid_input", "name", "operations"]
