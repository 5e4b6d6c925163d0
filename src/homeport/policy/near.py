"""Statements that nearly allowed what was denied, and what they lack.

They are looked for when something was denied, not before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from homeport.policy.compiled import CompiledStatement, PolicySet, StatementRef
from homeport.policy.decision import Layer, Policies
from homeport.policy.document import Condition, Effect
from homeport.policy.principals import Grant
from homeport.policy.request import Request


class Differs(StrEnum):
    """What keeps a statement that allows the action from allowing the request."""

    RESOURCE = "resource"
    PRINCIPAL = "principal"
    CONDITION = "condition"


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A statement that allows the action, but not here: `conditions` are those that do not hold."""

    layer: Layer
    ref: StatementRef
    differs: Differs
    conditions: tuple[Condition, ...] = ()


def near_misses(request: Request, policies: Policies, layers: Iterable[Layer]) -> tuple[Near, ...]:
    """Of the layers that did not allow, every statement about the action; the nearest first."""
    found = [near for layer in layers for near in _of(request, policies.layer(layer), layer)]
    return tuple(sorted(found, key=lambda near: _NEARNESS.index(near.differs)))


_NEARNESS = (Differs.CONDITION, Differs.PRINCIPAL, Differs.RESOURCE)


def _of(request: Request, policies: PolicySet | None, layer: Layer) -> Iterator[Near]:
    action = request.action.lower()
    for attached in policies.policies if policies is not None else ():
        for one, ref in zip(attached.compiled.statements, attached.refs, strict=True):
            if ref.statement.effect is Effect.ALLOW and one.takes_action(action):
                yield _lacking(request, one, ref, layer)


def _lacking(request: Request, one: CompiledStatement, ref: StatementRef, layer: Layer) -> Near:
    takes = one.takes_resource(request.resource)
    if not (one.takes_resource_of(request) if takes is None else takes):
        return Near(layer=layer, ref=ref, differs=Differs.RESOURCE)
    if one.naming is not None and one.naming(request.caller) is Grant.NONE:
        return Near(layer=layer, ref=ref, differs=Differs.PRINCIPAL)
    return Near(layer=layer, ref=ref, differs=Differs.CONDITION, conditions=one.failing(request.context))
