"""IAM's nouns, as far as machines need them: users with managed policies, and access keys."""

from __future__ import annotations

from datetime import datetime

import msgspec


class User(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A user. `policies` are ARNs of managed policies."""

    id: int = 0
    version: int = 1
    account_id: str
    name: str
    user_id: str
    created_at: datetime
    policies: tuple[str, ...] = ()

    @property
    def arn(self) -> str:
        """Its ARN; IAM is not regional."""
        return f"arn:aws:iam::{self.account_id}:user/{self.name}"


class AccessKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A long-term key: of a user, or of the account's root when `user_name` is empty."""

    access_key_id: str
    secret_access_key: str
    account_id: str
    user_name: str = ""
    status: str = "Active"
    created_at: datetime
