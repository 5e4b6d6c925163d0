"""Parameter Store's nouns."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Parameter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A parameter; what changes with each write is in its versions. `latest` is the newest one's number."""

    id: int = 0
    version: int = 1
    account_id: str
    region: str
    name: str
    type: str
    latest: int = 1
    tier: str = "Standard"
    tags: dict[str, str] = {}

    @property
    def arn(self) -> str:
        """Its ARN: a path's first slash is the one behind `parameter`."""
        return f"arn:aws:ssm:{self.region}:{self.account_id}:parameter/{self.name.removeprefix('/')}"


class ParameterVersion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One value of a parameter. A SecureString has `sealed` instead of `value`."""

    number: int
    value: str = ""
    sealed: bytes = b""
    key_id: str = ""
    description: str = ""
    allowed_pattern: str = ""
    tier: str = "Standard"
    data_type: str = "text"
    labels: tuple[str, ...] = ()
    modified_at: datetime
    modified_by: str
