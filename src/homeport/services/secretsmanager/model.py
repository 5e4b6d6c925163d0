"""Secrets Manager's nouns."""

from __future__ import annotations

from datetime import datetime

import msgspec

CURRENT, PREVIOUS, PENDING = "AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"


class Secret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A secret without its values. `stages` says which version has which staging label.

    `suffix`: the six characters that make its ARN another one when the name is used again.
    `purge_at`: when a deleted secret is gone for good.
    """

    id: int = 0
    version: int = 1
    account_id: str
    region: str
    name: str
    suffix: str
    description: str = ""
    kms_key_id: str = ""
    stages: dict[str, str] = {}
    tags: dict[str, str] = {}
    resource_policy: str = ""
    created_at: datetime
    changed_at: datetime
    accessed_on: datetime | None = None
    deleted_at: datetime | None = None
    purge_at: datetime | None = None

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:secretsmanager:{self.region}:{self.account_id}:secret:{self.name}-{self.suffix}"

    def stages_of(self, version_id: str) -> tuple[str, ...]:
        """The staging labels of a version, by name."""
        return tuple(sorted(stage for stage, at in self.stages.items() if at == version_id))


class SecretVersion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One value of a secret, sealed; `binary`: it was given as bytes, not as text."""

    version_id: str
    sealed: bytes
    binary: bool = False
    created_at: datetime
    accessed_on: datetime | None = None
