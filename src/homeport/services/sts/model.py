"""STS's nouns."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Temporary credentials of a principal; `policies` as the principal's (`None`: root)."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    account_id: str
    principal_arn: str
    user_id: str
    policies: tuple[str, ...] | None = None
    expires_at: datetime
