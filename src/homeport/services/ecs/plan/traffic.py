"""Which of two target groups a deployment uses, and what listener rules are to forward to. Pure.

Two deployments one after the other use a load balancer's two target groups in turn, and the rules that the
service names say who gets how much. Source: botocore's AdvancedConfiguration; developer guide, "Application
Load Balancer resources for blue/green, linear, and canary deployments".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from homeport.services.ecs.errors import InvalidParameterException
from homeport.services.ecs.model import (
    Deployment,
    DeploymentStrategy,
    LoadBalancer,
    Service,
    Staging,
    classic_name,
)
from homeport.services.ecs.ports import ConnectShares, RuleShares

RULES = ("testListenerRule", "productionListenerRule")
"""In the order in which they are changed."""


def has_traffic(deployment: Deployment) -> bool:
    """Whether there is traffic to be shifted to the deployment, and away from it."""
    return any(balancer.advanced for balancer in deployment.load_balancers) or serves_connect(deployment)


def serves_connect(deployment: Deployment) -> bool:
    """Whether clients reach the deployment's tasks by Service Connect."""
    return deployment.connect is not None and bool(deployment.connect.endpoints)


def connect_shares(service: Service, staging: Staging) -> ConnectShares | None:
    """What Service Connect is to do now; `None`: nobody reaches the service by it.

    Whoever is not green gets the rest, so that nothing has to be said of what interrupted deployments left.
    """
    sides = (one for one in service.deployments if one.id in (staging.blue, staging.green))
    if not any(serves_connect(one) for one in sides):
        return None
    return ConnectShares(fresh=staging.green, percent=staging.production, tests=staging.test > 0)


def shifts_traffic(service: Service) -> bool:
    """Whether the deployment in stages shifts traffic between its two revisions."""
    staging = service.primary.staging
    if staging is None:
        return False
    sides = (staging.blue, staging.green)
    return any(has_traffic(one) for one in service.deployments if one.id in sides)


def placed(
    balancers: Iterable[LoadBalancer], service: Service, strategy: DeploymentStrategy
) -> tuple[LoadBalancer, ...]:
    """The load balancers of a service's next deployment, with the groups that its tasks are registered in.

    One with stages gets the group that the last completed deployment does not use (or the newest, where none
    has completed yet); one that replaces tasks stays in that deployment's.
    """
    before = service.last_completed or service.primary
    used = {balancer.place.target_group for balancer in before.load_balancers}
    return tuple(_placed(one.as_asked(), used, is_staged=strategy.is_staged) for one in balancers)


def _placed(balancer: LoadBalancer, used: Collection[str], *, is_staged: bool) -> LoadBalancer:
    mine = next((group for group in balancer.pair if group in used), None)
    if mine is None or len(balancer.pair) < 2:
        return balancer
    return balancer.using(next(g for g in balancer.pair if (g == mine) is not is_staged))


def check_shiftable(strategy: DeploymentStrategy, balancers: Iterable[LoadBalancer]) -> None:
    """Raise unless the strategy's deployments can shift the traffic of the load balancers."""
    for balancer in balancers if strategy.is_staged else ():
        if classic_name(balancer.target_group):
            raise InvalidParameterException(
                f"The deployment strategy {strategy.name} does not support Classic Load Balancers."
            )
        if not balancer.advanced:
            raise InvalidParameterException(
                f"The deployment strategy {strategy.name} needs the advancedConfiguration of each load "
                f"balancer: {balancer.target_group} has none."
            )


def check_may_change(
    service: Service, strategy: DeploymentStrategy, balancers: Sequence[LoadBalancer]
) -> None:
    """Raise where a deployment is in the middle of shifting traffic, which the change would leave there."""
    staging = service.primary.staging
    if staging is None or not staging.shifts or service.status != "ACTIVE":
        return
    same = [one.as_asked() for one in balancers] == [o.as_asked() for o in service.primary.load_balancers]
    if not strategy.is_staged or not same:
        what = "The load balancers" if strategy.is_staged else "The deployment strategy ROLLING"
        raise InvalidParameterException(
            f"{what} cannot be set while deployment {service.primary.id} shifts traffic: let it complete, or "
            "roll it back first."
        )


def named_rules(given: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The listener rules that a request's load balancers name."""
    found = (item.get("advancedConfiguration") or {} for item in given)
    return frozenset(one[member] for one in found for member in RULES if one.get(member))


def check_rules(given: Iterable[Mapping[str, Any]], rules: Mapping[str, Collection[str]]) -> None:
    """Raise for a rule that does not forward to the service's target groups.

    `rules`: what those that exist forward to.
    """
    seen: dict[str, frozenset[str]] = {}
    for item in given:
        advanced = item.get("advancedConfiguration") or {}
        mine = frozenset(filter(None, (item.get("targetGroupArn"), advanced.get("alternateTargetGroupArn"))))
        named = [advanced[member] for member in RULES if advanced.get(member)]
        if len(set(named)) < len(named):
            raise InvalidParameterException("The test listener rule must be another than the production one.")
        for rule in named:
            if rule not in rules:
                raise InvalidParameterException(f"The listener rule {rule} does not exist.")
            if not mine & set(rules[rule]):
                raise InvalidParameterException(
                    f"The listener rule {rule} must forward to one of the target groups "
                    f"{', '.join(sorted(mine))}."
                )
            if seen.setdefault(rule, mine) != mine:
                raise InvalidParameterException(
                    f"The listener rule {rule} cannot be shared by load balancers of other target groups."
                )


def rule_shares(service: Service, staging: Staging) -> tuple[RuleShares, ...]:
    """What the rules in front of a service are to do now, those for test traffic first.

    Where there is nobody to share with, a green that gets nothing yet is only made known to the rule: its
    targets are not checked before.
    """
    sides = {one.id: one for one in service.deployments}
    blue, green = sides.get(staging.blue), sides.get(staging.green)
    if green is None:
        return ()
    found: dict[str, RuleShares] = {}
    for member, percent in zip(RULES, (staging.test, staging.production), strict=True):
        holds = staging.holds and member == "productionListenerRule"
        for balancer in green.load_balancers or ():
            rule = balancer.advanced.get(member)
            if not rule:
                continue
            shares = _shares(balancer, None if holds else blue, percent)
            known = found.get(rule)
            if known is not None:
                shares = {**known.shares, **shares}
            found[rule] = RuleShares(rule=rule, role=balancer.advanced["roleArn"], shares=shares)
    return tuple(found.values())


def _shares(balancer: LoadBalancer, blue: Deployment | None, percent: float) -> dict[str, float]:
    mine, other = balancer.place.target_group, _partner(balancer, blue)
    if other is None:
        return {mine: percent}
    if other == mine:
        return {mine: 100.0}
    return {other: round(100.0 - percent, 1), mine: percent}


def _partner(balancer: LoadBalancer, blue: Deployment | None) -> str | None:
    """The group in which blue's tasks do what the balancer's do for green."""
    theirs = () if blue is None else blue.load_balancers
    groups = [one.place.target_group for one in theirs]
    found = next((group for group in groups if group in balancer.pair), None)
    if found is not None:
        return found
    where = (balancer.place.container, balancer.place.port)
    return next((o.place.target_group for o in theirs if (o.place.container, o.place.port) == where), None)


def weights_of(shares: Mapping[str, float]) -> dict[str, int]:
    """Shares in percent as a forward action's weights (0-999), which are exact to a tenth of a percent."""
    if all(share == int(share) for share in shares.values()):
        return {group: int(share) for group, share in shares.items()}
    return {group: round(share * 10) for group, share in shares.items()}


def in_force(staging: Staging, asked: Staging) -> Staging:
    """The staging once the shares that were asked for are in force; itself where others are by now."""
    same = _request(staging) == _request(asked)
    return msgspec.structs.replace(staging, live=True) if same else staging


def is_still_asked(service: Service, asked: Service) -> bool:
    """Whether a service still wants the shares that it wanted when it was read."""
    if service.status != "ACTIVE" or not service.deployments or service.primary.id != asked.primary.id:
        return False
    now, then = service.primary.staging, asked.primary.staging
    return now is not None and then is not None and _request(now) == _request(then)


def _request(staging: Staging) -> tuple[str, float, float, bool, bool]:
    return (staging.green, staging.production, staging.test, staging.returns, staging.holds)
