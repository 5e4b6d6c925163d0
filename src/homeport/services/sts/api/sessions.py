"""Who am I, and temporary credentials of my own."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from homeport.core.call import Call
from homeport.core.clock import Clock
from homeport.core.ids import Ids, access_key_id, secret_key
from homeport.core.operations import Operations
from homeport.services.sts.errors import AccessDenied, ValidationError
from homeport.services.sts.model import Session
from homeport.services.sts.repo.sessions import SessionRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

ops = Operations("sts")

Request = Mapping[str, Any]
Answer = dict[str, Any]

DURATION_SECONDS_MIN = 900
DURATION_SECONDS_MAX = 129_600
DURATION_SECONDS_ROOT_MAX = 3600
DURATION_SECONDS = 43_200
TOKEN_BYTES = 96
"""Before base64, which makes four characters of three bytes."""
EXPIRED_KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sts:
    """The service's parts, built by `app`."""

    store: Store
    clock: Clock
    ids: Ids


@ops.operation("GetCallerIdentity")
async def get_caller_identity(call: Call, sts: Sts, req: Request) -> Answer:
    """The caller's account and ARN; needs no permission."""
    del sts, req
    who = call.principal
    return {"UserId": who.user_id, "Account": who.account_id, "Arn": who.arn}


@ops.operation("GetSessionToken")
async def get_session_token(call: Call, sts: Sts, req: Request) -> Answer:
    """Temporary credentials that may do what the caller may.

    12 hours by default, one for the root. Source: STS API Reference.
    """
    if req.get("SerialNumber") or req.get("TokenCode"):
        raise ValidationError("Multi-factor authentication is not supported by Homeport.")
    if call.access_key_id.startswith("ASIA"):
        raise AccessDenied("Cannot call GetSessionToken with session credentials")
    seconds = req.get("DurationSeconds", DURATION_SECONDS)
    if not DURATION_SECONDS_MIN <= seconds <= DURATION_SECONDS_MAX:
        raise ValidationError(
            f"DurationSeconds must be between {DURATION_SECONDS_MIN} and {DURATION_SECONDS_MAX}."
        )
    who, least = call.principal, req.get("MinimumSessionTokenSize", 0)
    if who.policies is None:
        seconds = min(seconds, DURATION_SECONDS_ROOT_MAX)
    now = sts.clock.now()
    session = Session(
        access_key_id=access_key_id(sts.ids, "ASIA"),
        secret_access_key=secret_key(sts.ids),
        session_token=b64encode(sts.ids.token(max(TOKEN_BYTES, least * 3 // 4 + 1))).decode(),
        account_id=who.account_id,
        principal_arn=who.arn,
        user_id=who.user_id,
        policies=who.policies,
        expires_at=now + timedelta(seconds=seconds),
    )

    def work(tx: Tx) -> None:
        repo = SessionRepo(tx)
        repo.purge((now - EXPIRED_KEPT).timestamp())
        repo.add(session)

    await sts.store.write(work)
    return {
        "Credentials": {
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "SessionToken": session.session_token,
            "Expiration": session.expires_at,
        }
    }
