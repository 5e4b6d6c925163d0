"""What `app` reads of this service."""

from __future__ import annotations

from homeport.services.iam.api.users import Iam, ops
from homeport.services.iam.model import AccessKey, User
from homeport.services.iam.repo import tables  # noqa: F401  defines the tables
from homeport.services.iam.repo.users import UserRepo

name = "iam"
operations = ops
invalid_input = "ValidationError"

__all__ = ["AccessKey", "Iam", "User", "UserRepo", "invalid_input", "name", "operations"]
