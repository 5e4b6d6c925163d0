"""Roles: taken on by whom their trust policies name. Source: STS API Reference; IAM User Guide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from homeport.core.access import Access, Keys, tag_keys
from homeport.core.call import Call, PrincipalKind
from homeport.policy.compiled import Compiler
from homeport.policy.decision import Policies, decide
from homeport.policy.request import Caller, CallerKind, Context, ContextValue
from homeport.policy.request import Request as Question
from homeport.policy.resource import trust_policy
from homeport.services.sts.api.context import Answer, Request, Sts, begun, credentials_view, keep, ops
from homeport.services.sts.api.sessions import check_policies
from homeport.services.sts.errors import (
    AccessDenied,
    IDPCommunicationErrorException,
    InvalidIdentityTokenException,
)
from homeport.services.sts.model import Session
from homeport.services.sts.plan.sessions import (
    Limits,
    duration,
    limits,
    refuse_unsupported,
    role_of,
    session_tags,
)
from homeport.services.sts.plan.web_identity import WebIdentity, issuer_of, proven, without_scheme
from homeport.services.sts.ports import RoleFacts
from homeport.store.tx import Tx

_COMPILER = Compiler()


def _role_resource(call: Call, request: Request) -> tuple[str, ...]:
    del call
    return (request["RoleArn"],)


def _assume_keys(call: Call, request: Request) -> Keys:
    """Condition keys of STS. Source: IAM User Guide, "Available keys for AWS STS"."""
    del call
    given = {
        "sts:RoleSessionName": "RoleSessionName",
        "sts:ExternalId": "ExternalId",
        "sts:SourceIdentity": "SourceIdentity",
    }
    tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags") or ()}
    return {
        **tag_keys(tags),
        **{key: request[member] for key, member in given.items() if request.get(member)},
        "sts:TransitiveTagKeys": tuple(request.get("TransitiveTagKeys") or ()),
    }


def _session(
    sts: Sts,
    req: Request,
    role: RoleFacts,
    account_id: str,
    seconds: int,
    limit: Limits,
    tags: Mapping[str, str],
    **more: object,
) -> Session:
    name = req["RoleSessionName"]
    return begun(
        sts,
        req,
        seconds,
        account_id=account_id,
        principal_arn=f"arn:aws:sts::{account_id}:assumed-role/{role.name}/{name}",
        user_id=f"{role.role_id}:{name}",
        role=role.name,
        name=name,
        policies=limit.policies,
        policy_arns=limit.policy_arns,
        tags=dict(tags),
        **more,
    )


def _answer(session: Session, limit: Limits) -> Answer:
    return {
        "Credentials": credentials_view(session),
        "AssumedRoleUser": {"AssumedRoleId": session.user_id, "Arn": session.principal_arn},
        "PackedPolicySize": limit.packed_percent,
    } | ({"SourceIdentity": session.source_identity} if session.source_identity else {})


async def _assume_needs(call: Call, sts: Sts, request: Request) -> Sequence[Access]:
    """A source identity, its own or handed on, has a permission of its own on both sides.

    Source: IAM User Guide, "Permissions required to set source identity".
    """
    del sts
    before = call.principal.session
    if not request.get("SourceIdentity") and (before is None or not before.source_identity):
        return ()
    keys = _assume_keys(call, request)
    return [Access(action="sts:SetSourceIdentity", resource=request["RoleArn"], keys=keys)]


@ops.operation(
    "AssumeRole",
    resources=_role_resource,
    keys=_assume_keys,
    needs=_assume_needs,
    tagging="sts:TagSession",
)
async def assume_role(call: Call, sts: Sts, req: Request) -> Answer:
    """Take on a role. That the caller may, and that the role trusts it, was decided before."""
    refuse_unsupported(req, ("SerialNumber", "TokenCode", "ProvidedContexts"))
    if call.principal.kind is PrincipalKind.ROOT:
        raise AccessDenied("Roles may not be assumed by root accounts.")
    account_id, name = role_of(req["RoleArn"])
    before = call.principal.session
    chained = before is not None and call.principal.kind is PrincipalKind.ROLE
    handed_on = {key: before.tags[key] for key in before.transitive} if before is not None else {}
    tags = session_tags(req, handed_on)
    limit = limits(req, tags)
    source = before.source_identity if before is not None else ""
    if source and req.get("SourceIdentity", source) != source:
        raise AccessDenied("SourceIdentity cannot be changed once it is set.")

    def work(tx: Tx) -> Session:
        role = sts.roles.find(tx, account_id, name)
        if role is None or role.arn != req["RoleArn"]:
            raise AccessDenied(
                f"User: {call.principal.arn} is not authorized to perform: sts:AssumeRole "
                f"on resource: {req['RoleArn']}"
            )
        check_policies(tx, sts, account_id, limit.policy_arns)
        session = _session(
            sts,
            req,
            role,
            account_id,
            duration(req, role.session_seconds_max, chained=chained),
            limit,
            tags,
            transitive=tuple(dict.fromkeys((*handed_on, *(req.get("TransitiveTagKeys") or ())))),
            source_identity=source or req.get("SourceIdentity", ""),
        )
        keep(tx, sts, session)
        return session

    return _answer(await sts.store.write(work), limit)


@ops.operation("AssumeRoleWithWebIdentity", resources=_role_resource, unsigned=True)
async def assume_role_with_web_identity(call: Call, sts: Sts, req: Request) -> Answer:
    """Take on a role with an OpenID Connect token; the token is the only proof."""
    del call
    refuse_unsupported(req, ("ProviderId",))
    account_id, name = role_of(req["RoleArn"])
    issuer = issuer_of(req["WebIdentityToken"])
    keys = sts.issuers.keys(issuer)
    if keys is None:
        raise IDPCommunicationErrorException(
            f"The keys of {issuer} are not known here: start Homeport with --oidc-issuer URL=JWKS-FILE."
        )
    who = proven(req["WebIdentityToken"], keys, sts.clock.now())
    limit = limits(req, {})

    def work(tx: Tx) -> Session:
        clients = sts.roles.client_ids(tx, account_id, who.issuer)
        if clients is None:
            raise InvalidIdentityTokenException(
                f"No OpenIDConnect provider found in your account for {issuer}"
            )
        if not set(clients) & {*who.audience, who.authorised_party}:
            raise InvalidIdentityTokenException("Incorrect token audience")
        role = sts.roles.find(tx, account_id, name)
        if role is None or role.arn != req["RoleArn"] or not _trusts(role, account_id, who, req):
            raise AccessDenied("Not authorized to perform sts:AssumeRoleWithWebIdentity")
        check_policies(tx, sts, account_id, limit.policy_arns)
        seconds = duration(req, role.session_seconds_max, chained=False)
        session = _session(
            sts, req, role, account_id, seconds, limit, {}, provider=_provider(account_id, who)
        )
        keep(tx, sts, session)
        return session

    session = await sts.store.write(work)
    return _answer(session, limit) | {
        "SubjectFromWebIdentityToken": who.subject,
        "Provider": _provider(account_id, who),
        "Audience": next((one for one in who.audience), ""),
    }


def _provider(account_id: str, who: WebIdentity) -> str:
    return f"arn:aws:iam::{account_id}:oidc-provider/{without_scheme(who.issuer)}"


def _trusts(role: RoleFacts, account_id: str, who: WebIdentity, req: Request) -> bool:
    """Whether the role's trust policy lets the web identity in."""
    audience = who.authorised_party or (who.audience[0] if who.audience else "")
    keys: dict[str, ContextValue] = {
        f"{who.issuer}:sub": who.subject,
        f"{who.issuer}:aud": audience,
        f"{who.issuer}:oaud": who.audience,
        "aws:FederatedProvider": _provider(account_id, who),
        "sts:RoleSessionName": req["RoleSessionName"],
    }
    question = Question(
        caller=Caller(kind=CallerKind.WEB_IDENTITY, arn=_provider(account_id, who)),
        action="sts:AssumeRoleWithWebIdentity",
        resource=role.arn,
        resource_account=account_id,
        context=Context(keys),
    )
    return decide(
        question, Policies(resource=trust_policy(_COMPILER, role.arn, role.trust).policies, is_trust=True)
    ).is_allowed
