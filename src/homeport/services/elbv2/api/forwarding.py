"""What rules forward to, for those who shift traffic on somebody's behalf, as ECS does for its services.

A rule is named as ECS's users name it: by its ARN, or a network balancer's by its listener's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import msgspec

from homeport.core.call import Call, inner_call
from homeport.services.elbv2.api.context import Elbv2, balancers
from homeport.services.elbv2.api.rules import forwarding
from homeport.services.elbv2.api.whole import check_can_be_done
from homeport.services.elbv2.errors import (
    InvalidConfigurationRequest,
    InvalidLoadBalancerAction,
    RuleNotFound,
)
from homeport.services.elbv2.model.balancers import Listener
from homeport.services.elbv2.model.rules import Forward, Rule, Weighted
from homeport.store.tx import Tx

Weights = Mapping[str, int]
"""Of a rule's target groups, by ARN. All 0: nobody gets more or less, the rule only gets to know them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is about to be done to a rule: `operation` on what has this ARN and these tags.

    `asked`: as what the rule was named.
    """

    asked: str
    operation: str
    arn: str
    tags: Mapping[str, str]


Permit = Callable[[Tx, Change], None]
"""Raise unless the change may be made; asked in its transaction."""


class Forwarding:
    """Reads and changes what rules forward to. Raises the API's errors."""

    def __init__(self, elb: Elbv2) -> None:
        self._elb = elb

    async def forwards(
        self, account_id: str, region: str, arns: Collection[str]
    ) -> Mapping[str, tuple[str, ...]]:
        """The target groups of those of the rules that exist; none where one does not forward."""
        call = inner_call("elbv2", "DescribeRules", account_id, region)

        def work(tx: Tx) -> dict[str, tuple[str, ...]]:
            found = {arn: _find(tx, call, arn) for arn in arns}
            return {arn: one[0].groups for arn, one in found.items() if one is not None}

        return await self._elb.store.read(work)

    async def forward(
        self, account_id: str, region: str, wanted: Mapping[str, Weights], permit: Permit
    ) -> Collection[str]:
        """Set the weights of rules, in their order; the ARNs of their balancers.

        Other groups of a rule get nothing any more. What is so already is not written.
        """
        call = inner_call("elbv2", "ModifyRule", account_id, region)

        def work(tx: Tx) -> dict[str, None]:
            return {_set(tx, call, arn, weights, permit): None for arn, weights in wanted.items()}

        return await self._elb.store.write(work)

    async def in_force(self, balancer_arns: Collection[str]) -> bool:
        """Whether the data plane has all that these balancers are to do.

        Raise `InvalidConfigurationRequest` for what it will not do.
        """
        states = await self._elb.balancing.states(balancer_arns)
        for arn in balancer_arns:
            if arn in states and states[arn].reason:
                raise InvalidConfigurationRequest(
                    f"{arn.rpartition(':')[2]} is {states[arn].code}: {states[arn].reason}"
                )
        return await self._elb.balancing.in_force(balancer_arns)


def _find(tx: Tx, call: Call, arn: str) -> tuple[Rule, Listener] | None:
    repo = balancers(tx, call)
    if ":listener-rule/" in arn:
        rule = repo.rule(arn)
        return None if rule is None else (rule, repo.listener_of(rule))
    listener = repo.listener(arn)
    if listener is None:
        return None
    return next(rule for rule in repo.rules(listener) if rule.is_default), listener


def _set(tx: Tx, call: Call, arn: str, weights: Weights, permit: Permit) -> str:
    """One rule; the ARN of its balancer."""
    found = _find(tx, call, arn)
    if found is None:
        raise RuleNotFound(f"{arn} is not there any more")
    rule, listener = found
    *before, last = rule.actions
    if not isinstance(last, Forward):
        raise InvalidLoadBalancerAction(f"{arn} does not forward to target groups")
    changed = msgspec.structs.replace(
        rule, actions=(*before, msgspec.structs.replace(last, groups=_weighted(last, weights)))
    )
    subject = listener if rule.is_default else rule
    operation = "ModifyListener" if rule.is_default else "ModifyRule"
    permit(tx, Change(asked=arn, operation=operation, arn=subject.arn, tags=subject.tags))
    if changed == rule:
        return listener.balancer_arn
    repo = balancers(tx, call)
    balancer = repo.get(listener.balancer_id)
    forwarding(tx, call, balancer, listener, changed.actions)
    repo.save_rule(changed, listener)
    check_can_be_done(tx, balancer)
    return listener.balancer_arn


def _weighted(held: Forward, weights: Weights) -> tuple[Weighted, ...]:
    """The groups with their new weights; the order of those that were there stays."""
    old = {one.group_arn: one.weight for one in held.groups}
    is_settled = any(weights.values())
    kept = {arn: weights.get(arn, 0) if is_settled else weight for arn, weight in old.items()}
    return tuple(Weighted(group_arn=arn, weight=weight) for arn, weight in {**weights, **kept}.items())
