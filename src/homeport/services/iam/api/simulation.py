"""The policy simulator: what would be allowed, by policies that are given or that hang on somebody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from homeport.core.call import Call
from homeport.policy.document import PolicyKind
from homeport.policy.request import Caller, CallerKind
from homeport.services.iam.api.context import Answer, Iam, Request, arn_in, behind, find, ops, page_of
from homeport.services.iam.errors import InvalidInputException, NoSuchEntityException
from homeport.services.iam.model import AppliedPolicy, Group, Holder, Role, User
from homeport.services.iam.plan.context_entries import context_of
from homeport.services.iam.plan.exclusions import kept
from homeport.services.iam.plan.simulation import Simulation, Simulator, Source, context_keys, source
from homeport.services.iam.repo.applied import policies_of_group, policies_of_role, policies_of_user
from homeport.store.tx import Tx

_PRINCIPAL = re.compile(r"arn:aws:iam::(\d{12}):(user|group|role)(/(?:[!-~]+/)?)([\w+=,.@-]+)", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9-]+:[A-Za-z0-9*?]+")
_KINDS = {"user": User, "group": Group, "role": Role}

Found = tuple[Holder, tuple[AppliedPolicy, ...], AppliedPolicy | None]


def _holder(tx: Tx, call: Call, arn: str) -> Found:
    """Whom an ARN names, with every policy that counts."""
    parts = _PRINCIPAL.fullmatch(arn)
    if parts is None:
        raise InvalidInputException(
            f"Invalid Entity Arn: {arn} does not clearly define entity type and name."
        )
    account_id, kind, _, name = parts.groups()
    if account_id != call.account_id:
        raise NoSuchEntityException(f"The {kind} with name {name} cannot be found.")
    holder: Holder = find(tx, call, _KINDS[kind], name)  # type: ignore[arg-type]
    if holder.arn != arn:
        raise NoSuchEntityException(f"The {kind} with name {name} cannot be found.")
    if isinstance(holder, Group):
        return holder, policies_of_group(tx, holder), None
    whole = (policies_of_user if kind == "user" else policies_of_role)(tx, account_id, name)
    assert whole is not None
    return whole.principal, whole.identity, whole.boundary


def _applied(policies: Iterable[AppliedPolicy]) -> tuple[Source, ...]:
    return tuple(_source(one) for one in policies)


def _source(policy: AppliedPolicy) -> Source:
    """How the simulator calls a policy: inline ones by whom they hang on."""
    kind = str(policy.holder_kind)
    if policy.arn:
        kind = "aws-managed" if ":aws:policy/" in policy.arn else "user-managed"
    return source(policy.name, kind, policy.document)


def _given(req: Request, member: str) -> tuple[Source, ...]:
    return tuple(
        source(f"{member}.{number}", "none", document)
        for number, document in enumerate(req.get(member, []), 1)
    )


def _given_boundary(req: Request) -> tuple[Source, ...] | None:
    found = _given(req, "PermissionsBoundaryPolicyInputList")
    if len(found) > 1:
        raise InvalidInputException("PermissionsBoundaryPolicyInputList holds at most one policy.")
    return found or None


def _caller(arn: str) -> Caller:
    """Whom requests are simulated as. Source: SimulatePrincipalPolicy, CallerArn."""
    parts = _PRINCIPAL.fullmatch(arn)
    if parts is None:
        raise InvalidInputException(f"CallerArn must be the ARN of an IAM user, group or role, not {arn}.")
    if parts[2] == "role":
        return Caller(kind=CallerKind.ROLE_SESSION, arn=arn, issuer_arn=arn, account_id=parts[1])
    return Caller(kind=CallerKind.USER, arn=arn, account_id=parts[1])


def _owner(req: Request) -> str:
    owner = str(req.get("ResourceOwner", ""))
    account = owner.split(":")[4] if owner.startswith("arn:") and owner.count(":") >= 5 else owner
    if account and not re.fullmatch(r"\d{12}", account):
        raise InvalidInputException(f"ResourceOwner must be an account, not {owner}.")
    return account


def _simulate(req: Request, simulation: Simulation) -> Answer:
    resources = tuple(req.get("ResourceArns", ())) or ("*",)
    for action in req["ActionNames"]:
        if not _WORD.fullmatch(action):
            raise InvalidInputException(
                f"Invalid action name: {action}. It is a service, a colon and an operation."
            )
    numbered = [(f"{number:06}", action) for number, action in enumerate(dict.fromkeys(req["ActionNames"]))]
    simulator = Simulator(simulation)
    return page_of(
        "EvaluationResults",
        behind(numbered, req, key=lambda one: one[0]),
        req,
        key=lambda one: one[0],
        view=lambda one: simulator.result(one[1], resources),
    )


def _refuse_unsupported(req: Request) -> None:
    for member in ("ResourceHandlingOption", "OrderedOrganizationPolicyInputList"):
        if req.get(member):
            raise InvalidInputException(f"{member} is not supported by Homeport.")


def _resource_policy(req: Request) -> Source | None:
    if "ResourcePolicy" not in req:
        return None
    return source("ResourcePolicy", "resource", req["ResourcePolicy"], PolicyKind.RESOURCE)


@ops.operation("SimulateCustomPolicy")
async def simulate_custom_policy(call: Call, iam: Iam, req: Request) -> Answer:
    """What the given policies would decide."""
    del iam
    _refuse_unsupported(req)
    resource = _resource_policy(req)
    if resource is not None and "CallerArn" not in req:
        raise InvalidInputException("CallerArn must be given with ResourcePolicy.")
    nobody = Caller(kind=CallerKind.USER, arn="", account_id=call.account_id)
    simulation = Simulation(
        caller=_caller(req["CallerArn"]) if "CallerArn" in req else nobody,
        identity=_given(req, "PolicyInputList"),
        boundary=_given_boundary(req),
        resource=resource,
        owner=_owner(req),
        context=context_of(req.get("ContextEntries", [])),
    )
    return _simulate(req, simulation)


@ops.operation("SimulatePrincipalPolicy", resources=arn_in("PolicySourceArn"))
async def simulate_principal_policy(call: Call, iam: Iam, req: Request) -> Answer:
    """What the policies of a user, group or role would decide, with others added or some left out."""
    _refuse_unsupported(req)
    holder, policies, attached = await iam.store.read(lambda tx: _holder(tx, call, req["PolicySourceArn"]))
    resource = _resource_policy(req)
    if resource is not None and isinstance(holder, Role):
        raise InvalidInputException("ResourcePolicy is not supported for roles.")
    if resource is not None and isinstance(holder, Group) and "CallerArn" not in req:
        raise InvalidInputException("CallerArn must be given with ResourcePolicy.")
    excluded = req.get("PolicyExclusionList", [])
    remaining = kept(policies, excluded)
    limit = kept((attached,), excluded) if attached is not None else ()
    simulation = Simulation(
        caller=_caller(req["CallerArn"]) if "CallerArn" in req else _self(holder),
        identity=(*_applied(remaining), *_given(req, "PolicyInputList")),
        boundary=_given_boundary(req) or (_applied(limit) or None),
        resource=resource,
        owner=_owner(req),
        context={**_tags(holder, req), **context_of(req.get("ContextEntries", []))},
    )
    return _simulate(req, simulation)


def _self(holder: Holder) -> Caller:
    caller = _caller(holder.arn)
    if isinstance(holder, User):
        return Caller(
            kind=caller.kind, arn=caller.arn, account_id=caller.account_id, user_id=holder.unique_id
        )
    return caller


def _tags(holder: Holder, req: Request) -> Mapping[str, tuple[str, ...]]:
    if "CallerArn" in req and req["CallerArn"] != holder.arn:
        return {}
    return {f"aws:PrincipalTag/{key}": (value,) for key, value in holder.tags.items()}


@ops.operation("GetContextKeysForCustomPolicy")
async def get_context_keys_for_custom_policy(call: Call, iam: Iam, req: Request) -> Answer:
    """The condition keys and variables that the given policies hold."""
    del call, iam
    return {"ContextKeyNames": list(context_keys(_given(req, "PolicyInputList")))}


@ops.operation("GetContextKeysForPrincipalPolicy", resources=arn_in("PolicySourceArn"))
async def get_context_keys_for_principal_policy(call: Call, iam: Iam, req: Request) -> Answer:
    """The condition keys and variables of everything that hangs on a user, group or role."""
    _, policies, _ = await iam.store.read(lambda tx: _holder(tx, call, req["PolicySourceArn"]))
    every: tuple[Any, ...] = (*_applied(policies), *_given(req, "PolicyInputList"))
    return {"ContextKeyNames": list(context_keys(every))}
