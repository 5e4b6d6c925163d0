"""Who am I, and temporary credentials of my own. Source: STS API Reference."""

from __future__ import annotations

import json

from homeport.core.call import Call, PrincipalKind
from homeport.services.sts.api.context import Answer, Request, Sts, begun, credentials_view, keep, ops
from homeport.services.sts.errors import AccessDenied, InvalidAuthorizationMessageException, ValidationError
from homeport.services.sts.plan.sessions import limits, refuse_unsupported, session_tags
from homeport.services.sts.repo.sessions import SessionRepo
from homeport.store.tx import Tx

DURATION_SECONDS_MIN = 900
DURATION_SECONDS_MAX = 129_600
DURATION_SECONDS_ROOT_MAX = 3600
DURATION_SECONDS = 43_200


@ops.operation("GetCallerIdentity", open=True)
async def get_caller_identity(call: Call, sts: Sts, req: Request) -> Answer:
    """The caller's account and ARN; needs no permission."""
    del sts, req
    who = call.principal
    return {"UserId": who.user_id, "Account": who.account_id, "Arn": who.arn}


def _duration(call: Call, req: Request) -> int:
    seconds = req.get("DurationSeconds", DURATION_SECONDS)
    if not DURATION_SECONDS_MIN <= seconds <= DURATION_SECONDS_MAX:
        raise ValidationError(
            f"DurationSeconds must be between {DURATION_SECONDS_MIN} and {DURATION_SECONDS_MAX}."
        )
    is_root = call.principal.kind is PrincipalKind.ROOT
    return min(seconds, DURATION_SECONDS_ROOT_MAX) if is_root else int(seconds)


@ops.operation("GetSessionToken", open=True)
async def get_session_token(call: Call, sts: Sts, req: Request) -> Answer:
    """Temporary credentials that may do what the caller may. 12 hours by default, one for the root."""
    if req.get("SerialNumber") or req.get("TokenCode"):
        raise ValidationError("Multi-factor authentication is not supported by Homeport.")
    if call.principal.session is not None:
        raise AccessDenied("Cannot call GetSessionToken with session credentials")
    who = call.principal
    session = begun(
        sts,
        req,
        _duration(call, req),
        account_id=who.account_id,
        principal_arn=who.arn,
        user_id=who.user_id,
    )
    await sts.store.write(lambda tx: keep(tx, sts, session))
    return {"Credentials": credentials_view(session)}


def _federated_user(call: Call, request: Request) -> tuple[str, ...]:
    return (f"arn:aws:sts::{call.account_id}:federated-user/{request['Name']}",)


@ops.operation("GetFederationToken", resources=_federated_user)
async def get_federation_token(call: Call, sts: Sts, req: Request) -> Answer:
    """Temporary credentials for somebody else, who may do what the caller may and the policies allow."""
    if call.principal.session is not None:
        raise AccessDenied("Cannot call GetFederationToken with session credentials")
    if call.principal.kind is PrincipalKind.ROOT:
        raise ValidationError("Homeport gives federated users' credentials to users only, not to the root.")
    tags = session_tags(req, {})
    limit = limits(req, tags)
    who, name = call.principal, req["Name"]
    session = begun(
        sts,
        req,
        _duration(call, req),
        account_id=who.account_id,
        principal_arn=f"arn:aws:sts::{who.account_id}:federated-user/{name}",
        user_id=f"{who.account_id}:{name}",
        name=name,
        federated=True,
        issuer_id=who.user_id,
        policies=limit.policies,
        policy_arns=limit.policy_arns,
        tags=tags,
    )

    def work(tx: Tx) -> None:
        check_policies(tx, sts, who.account_id, limit.policy_arns)
        keep(tx, sts, session)

    await sts.store.write(work)
    return {
        "Credentials": credentials_view(session),
        "FederatedUser": {"FederatedUserId": session.user_id, "Arn": session.principal_arn},
        "PackedPolicySize": limit.packed_percent,
    }


def check_policies(tx: Tx, sts: Sts, account_id: str, arns: tuple[str, ...]) -> None:
    """Raise for a session policy's ARN that leads nowhere."""
    for arn in arns:
        if not sts.roles.has_policy(tx, account_id, arn):
            raise ValidationError(f"The policy {arn} does not exist or is not attachable.")


@ops.operation("GetAccessKeyInfo")
async def get_access_key_info(call: Call, sts: Sts, req: Request) -> Answer:
    """The account that a key belongs to."""
    del call

    def work(tx: Tx) -> str | None:
        session = SessionRepo(tx).find(req["AccessKeyId"])
        return session.account_id if session else sts.roles.account_of_key(tx, req["AccessKeyId"])

    account = await sts.store.read(work)
    if account is None:
        raise ValidationError(f"The access key {req['AccessKeyId']} does not exist.")
    return {"Account": account}


@ops.operation("DecodeAuthorizationMessage")
async def decode_authorization_message(call: Call, sts: Sts, req: Request) -> Answer:
    """Why a request was denied, in full. Source: STS API Reference, DecodeAuthorizationMessage."""
    refuse_unsupported(req, ())
    try:
        account, told = sts.denials.open(req["EncodedMessage"])
    except ValueError:
        account, told = "", {}
    if account != call.account_id:
        raise InvalidAuthorizationMessageException(
            "The specified encoded message is invalid: it is not one of this account's."
        )
    return {"DecodedMessage": json.dumps(told)}
