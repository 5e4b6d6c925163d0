"""What `app` reads of this service."""

from __future__ import annotations

from homeport.services.secretsmanager.api import policies, secrets, values  # noqa: F401  register the handlers
from homeport.services.secretsmanager.api.context import SecretsManager, ops
from homeport.services.secretsmanager.api.facts import Facts
from homeport.services.secretsmanager.repo import tables  # noqa: F401  defines the tables

name = "secretsmanager"
operations = ops
invalid_input = "InvalidParameterException"
facts = Facts()
takes = None

__all__ = ["SecretsManager", "facts", "invalid_input", "name", "operations", "takes"]
