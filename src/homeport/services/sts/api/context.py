"""What STS's handlers are given, and how a session is begun."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from homeport.core.clock import Clock
from homeport.core.ids import Ids, access_key_id, secret_key
from homeport.core.operations import Operations
from homeport.services.sts.model import Session
from homeport.services.sts.ports import Denials, Issuers, Roles
from homeport.services.sts.repo.sessions import SessionRepo, sealed
from homeport.store.base import Store
from homeport.store.tx import Tx
from homeport.store.vault import Vault

ops = Operations("sts")

Request = Mapping[str, Any]
Answer = dict[str, Any]

TOKEN_BYTES = 96
"""Before base64, which makes four characters of three bytes."""
EXPIRED_KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sts:
    """The service's parts, built by `app`."""

    store: Store
    clock: Clock
    ids: Ids
    roles: Roles
    denials: Denials
    issuers: Issuers
    vault: Vault


def begun(sts: Sts, req: Request, seconds: int, **facts: Any) -> Session:
    """A session with fresh credentials, for so many seconds from now."""
    now, least = sts.clock.now(), req.get("MinimumSessionTokenSize", 0)
    return Session(
        access_key_id=access_key_id(sts.ids, "ASIA"),
        secret_access_key=secret_key(sts.ids),
        session_token=b64encode(sts.ids.token(max(TOKEN_BYTES, least * 3 // 4 + 1))).decode(),
        issued_at=now,
        expires_at=now + timedelta(seconds=seconds),
        **facts,
    )


def keep(tx: Tx, sts: Sts, session: Session) -> None:
    """Store a session; those that expired a day ago are forgotten."""
    repo = SessionRepo(tx)
    repo.purge((sts.clock.now() - EXPIRED_KEPT).timestamp())
    repo.add(sealed(session, sts.vault))


def credentials_view(session: Session) -> Answer:
    """A session's credentials, told this once."""
    return {
        "AccessKeyId": session.access_key_id,
        "SecretAccessKey": session.secret_access_key,
        "SessionToken": session.session_token,
        "Expiration": session.expires_at,
    }
