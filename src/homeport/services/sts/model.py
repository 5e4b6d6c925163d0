"""STS's nouns."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Temporary credentials.

    Of a role when `role` is its name: `user_id` is `AROA...:name` then, and `principal_arn` the assumed-role
    ARN. Else of a user or the root, whose own ARN and id these are; `federated` makes them a federated
    user's, whose `issuer_id` is the user's id. `policies` are session policies, documents, and
    `policy_arns` managed ones; both empty: none limits it. `holder`: what a service made it for, a task or an
    instance.

    A row holds secret and token `sealed`; they are there themselves only while somebody has to know them, and
    in rows of earlier versions.
    """

    access_key_id: str
    secret_access_key: str = ""
    session_token: str = ""
    sealed: bytes = b""
    account_id: str
    principal_arn: str
    user_id: str
    role: str = ""
    name: str = ""
    federated: bool = False
    issuer_id: str = ""
    policies: tuple[str, ...] = ()
    policy_arns: tuple[str, ...] = ()
    tags: dict[str, str] = {}
    transitive: tuple[str, ...] = ()
    source_identity: str = ""
    provider: str = ""
    holder: str = ""
    issued_at: datetime
    expires_at: datetime
