"""A denial in AWS's words, and all that can be known about it as a document.

Source: IAM User Guide, troubleshooting access denied messages (the forms, type by type); AWS Security Blog,
access denied messages with policy ARNs (explicit denies, within an account); STS API Reference and AWS CLI
examples, DecodeAuthorizationMessage (the document's members).
"""

from __future__ import annotations

from collections.abc import Iterable

from homeport.policy.decision import Deciding, Decision, Layer, Verdict
from homeport.policy.document import Principals
from homeport.policy.request import Request

_EXPLICIT = {
    Layer.IDENTITY: "an identity-based policy",
    Layer.RESOURCE: "a resource-based policy",
    Layer.TRUST: "the role trust policy",
    Layer.BOUNDARY: "a permissions boundary",
    Layer.SESSION: "a session policy",
}
_IMPLICIT = {
    Layer.IDENTITY: "identity-based policy",
    Layer.RESOURCE: "resource-based policy",
    Layer.TRUST: "role trust policy",
    Layer.BOUNDARY: "permissions boundary",
    Layer.SESSION: "session policy",
}


def denial_message(request: Request, decision: Decision) -> str:
    """What the caller is told. Empty for a request that is allowed."""
    if decision.layer is None:
        return ""
    start = (
        f"User: {request.caller.arn} is not authorized to perform: {request.action} "
        f"on resource: {request.resource}"
    )
    if decision.verdict is Verdict.EXPLICIT_DENY:
        return f"{start} with an explicit deny in {_EXPLICIT[decision.layer]}{_denying(request, decision)}"
    return f"{start} because no {_IMPLICIT[decision.layer]} allows the {request.action} action"


def _denying(request: Request, decision: Decision) -> str:
    """The ARN of the policy that denies, if it has one and belongs to the caller's own account."""
    name = decision.deciding[0].ref.policy
    return f": {name}" if name.startswith("arn:") and not request.is_cross_account else ""


def explanation(request: Request, decision: Decision) -> dict[str, object]:
    """The document that DecodeAuthorizationMessage gives back; whoever encodes it must keep it secret.

    Beyond AWS's members, each statement says the policy it stands in (`sourcePolicyId`) and as what kind of
    policy it spoke (`sourcePolicyType`), and `missing` names the kinds that did not allow.
    """
    return {
        "allowed": decision.is_allowed,
        "explicitDeny": decision.verdict is Verdict.EXPLICIT_DENY,
        "matchedStatements": _items(_statement(request, one) for one in decision.deciding),
        "failures": _items(()),
        "missing": [str(layer) for layer in decision.missing],
        "context": {
            "principal": {"id": request.caller.user_id, "arn": request.caller.arn},
            "action": request.action,
            "resource": request.resource,
            "conditions": _items(
                {"key": key, "values": _values(values)} for key, values in request.context.items()
            ),
        },
    }


def _statement(request: Request, one: Deciding) -> dict[str, object]:
    statement = one.ref.statement
    principals = statement.principals
    named = (request.caller.user_id,) if principals is None else _named(principals)
    resources = statement.resources or ("*",)
    return {
        "statementId": statement.sid,
        "effect": statement.effect.upper(),
        "principals" if not statement.not_principals else "notPrincipals": _values(named),
        "principalGroups": _items(()),
        "actions" if not statement.not_actions else "notActions": _values(statement.actions),
        "resources" if not statement.not_resources else "notResources": _values(resources),
        "conditions": _items(
            {"operator": condition.operator, "key": condition.key, "values": _values(condition.values)}
            for condition in statement.conditions
        ),
        "sourcePolicyId": one.ref.policy,
        "sourcePolicyType": str(one.layer),
    }


def _named(principals: Principals) -> tuple[str, ...]:
    if principals.everyone:
        return ("*",)
    return principals.aws + principals.service + principals.federated + principals.canonical_user


def _items(items: Iterable[object]) -> dict[str, object]:
    return {"items": list(items)}


def _values(values: tuple[str, ...]) -> dict[str, object]:
    return _items({"value": value} for value in values)
