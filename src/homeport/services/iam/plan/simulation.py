"""What policies would decide, without doing anything. Source: botocore iam, SimulateCustomPolicy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from homeport.policy.compiled import AttachedPolicy, CompiledPolicy, PolicySet
from homeport.policy.decision import Decision, Layer, Policies, Verdict, decide
from homeport.policy.document import MalformedPolicyError, Policy, PolicyKind
from homeport.policy.parse import parse_policy
from homeport.policy.request import Caller, Context, Request, caller_keys
from homeport.services.iam.errors import InvalidInputException
from homeport.services.iam.plan.positions import position, spans

_VARIABLE = re.compile(r"\$\{\s*([A-Za-z0-9-]+:[^,}\s]+)")
_SEVERITY = (Verdict.EXPLICIT_DENY, Verdict.IMPLICIT_DENY, Verdict.ALLOWED)
_TOLD = {
    Layer.IDENTITY: "Identity policy",
    Layer.RESOURCE: "Resource policy",
    Layer.BOUNDARY: "Permissions boundary",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A policy that takes part: how results call it, and its valid text."""

    name: str
    kind: str
    document: str
    parsed: Policy


def source(name: str, kind: str, document: str, grammar: PolicyKind = PolicyKind.IDENTITY) -> Source:
    """Refuse a text that is no policy. `kind` is a word of PolicySourceType."""
    try:
        return Source(name=name, kind=kind, document=document, parsed=parse_policy(document, grammar))
    except MalformedPolicyError as error:
        raise InvalidInputException(f"Invalid policy {name}: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What takes part. `boundary` is `None` where there is none; `owner` has what says no other owner."""

    caller: Caller
    identity: tuple[Source, ...]
    boundary: tuple[Source, ...] | None = None
    resource: Source | None = None
    owner: str = ""
    context: Mapping[str, tuple[str, ...]]


def context_keys(sources: Iterable[Source]) -> tuple[str, ...]:
    """The keys that policies ask for: variables in resources first, as IAM lists them; each once."""
    found: dict[str, str] = {}
    for one in sources:
        for statement in one.parsed.statements:
            texts = list(statement.resources) if one.parsed.has_variables else []
            for condition in statement.conditions:
                texts += [f"${{{condition.key}}}", *(condition.values if one.parsed.has_variables else ())]
            for text in texts:
                for key in _VARIABLE.findall(text):
                    found.setdefault(key.lower(), key)
    return tuple(found.values())


class Simulator:
    """A simulation made ready: its policies are compiled once for all actions and resources."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._sources = [*simulation.identity, *(simulation.boundary or ())]
        if simulation.resource is not None:
            self._sources.append(simulation.resource)
        numbers = {id(one): str(number) for number, one in enumerate(self._sources)}

        def compiled(sources: Iterable[Source]) -> PolicySet:
            return PolicySet(AttachedPolicy(numbers[id(one)], CompiledPolicy(one.parsed)) for one in sources)

        self._boundary = None if simulation.boundary is None else compiled(simulation.boundary)
        self._policies = Policies(
            identity=compiled(simulation.identity),
            boundary=self._boundary,
            resource=compiled([simulation.resource] if simulation.resource is not None else []),
        )
        known = {key: value for key, value in caller_keys(simulation.caller).items() if value != ""}
        self._context = Context({**known, **simulation.context})
        self._spans = [spans(one.document) for one in self._sources]
        asked = context_keys(self._sources)
        self.missing = [key for key in asked if not self._context.get(key.lower())]

    def result(self, action: str, resources: tuple[str, ...]) -> dict[str, Any]:
        """One EvaluationResult: of everything (`*`), or of each resource and the strictest of them."""
        if resources == ("*",):
            decided = self._on(action, "*")
            return {
                "EvalActionName": action,
                "EvalResourceName": "*",
                "EvalDecision": decided.pop("decision"),
                **decided,
            }
        each = [self._on(action, resource) for resource in resources]
        verdict = min((one["decision"] for one in each), key=_SEVERITY.index)
        statements = [
            found for one in each if one["decision"] == verdict for found in one["MatchedStatements"]
        ]
        result: dict[str, Any] = {
            "EvalActionName": action,
            "EvalResourceName": "*",
            "EvalDecision": verdict,
            "MatchedStatements": [
                found for number, found in enumerate(statements) if found not in statements[:number]
            ],
            "MissingContextValues": self.missing,
            "ResourceSpecificResults": [
                {"EvalResourceName": resource, "EvalResourceDecision": one["decision"], **_specific(one)}
                for resource, one in zip(resources, each, strict=True)
            ],
        }
        if self._boundary is not None:
            allowed = all(
                one["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"] for one in each
            )
            result["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": allowed}
        return result

    def _on(self, action: str, resource: str) -> dict[str, Any]:
        parts = resource.split(":", 5)
        owner = parts[4] if len(parts) == 6 and parts[4] else self._simulation.owner
        request = Request(
            caller=self._simulation.caller,
            action=action,
            resource=resource,
            resource_account=owner,
            context=self._context,
        )
        decision = decide(request, self._policies)
        told: dict[str, Any] = {
            "decision": decision.verdict,
            "MatchedStatements": self._statements(decision),
            "MissingContextValues": self.missing,
        }
        if self._boundary is not None:
            said = self._boundary.applying(request, action.lower())
            told["PermissionsBoundaryDecisionDetail"] = {
                "AllowedByPermissionsBoundary": bool(said.allows) and not said.denies
            }
        if request.is_cross_account:
            told["EvalDecisionDetails"] = self._by_layer(decision)
        return told

    def _statements(self, decision: Decision) -> list[dict[str, Any]]:
        found = []
        for one in decision.deciding:
            number = int(one.ref.policy)
            at, text = self._spans[number][one.ref.index], self._sources[number].document
            found.append(
                {
                    "SourcePolicyId": self._sources[number].name,
                    "SourcePolicyType": self._sources[number].kind,
                    "StartPosition": position(text, at.start),
                    "EndPosition": position(text, at.end),
                }
            )
        return found

    def _by_layer(self, decision: Decision) -> dict[str, str]:
        denying = {one.layer for one in decision.deciding if decision.verdict is Verdict.EXPLICIT_DENY}
        there = [Layer.IDENTITY, Layer.RESOURCE, *([Layer.BOUNDARY] if self._boundary is not None else [])]
        told: dict[str, str] = {}
        for layer in there:
            verdict = Verdict.EXPLICIT_DENY if layer in denying else Verdict.ALLOWED
            told[_TOLD[layer]] = Verdict.IMPLICIT_DENY if layer in decision.missing else verdict
        return told


def _specific(decided: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in decided.items() if name != "decision"}
