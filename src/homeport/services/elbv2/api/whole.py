"""Nothing is accepted that the data plane cannot do."""

from __future__ import annotations

from datetime import UTC, datetime

from homeport.core.call import Call
from homeport.services.elbv2.api.context import balancers
from homeport.services.elbv2.errors import InvalidConfigurationRequest
from homeport.services.elbv2.model.balancers import (
    APPLICATION,
    INTERNAL,
    NETWORK,
    Listener,
    LoadBalancer,
    Zone,
)
from homeport.services.elbv2.model.groups import TargetGroup
from homeport.services.elbv2.model.rules import DEFAULT_PRIORITY, Forward, Rule, Weighted
from homeport.services.elbv2.plan.to_dataplane import Whole, refusal
from homeport.services.elbv2.repo.whole import whole_of
from homeport.store.tx import Tx

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


def check_can_be_done(tx: Tx, balancer: LoadBalancer) -> None:
    """Raise, and so undo what was written, for a balancer that the data plane cannot do."""
    _check(whole_of(tx, balancer, targets=False))


def check_group_can_be_done(tx: Tx, call: Call, group: TargetGroup) -> None:
    """The same for a group: in its own balancer, or in one that forwards to nothing else."""
    user = balancers(tx, call).users([group.arn]).get(group.arn)
    if user is not None:
        check_can_be_done(tx, user)
        return
    protocol = "HTTP" if group.is_http else "TCP" if group.protocol == "TLS" else group.protocol
    balancer = LoadBalancer(
        account_id=group.account_id,
        region=group.region,
        name="check",
        suffix="0",
        dns_digits="0",
        type=APPLICATION if group.is_http else NETWORK,
        scheme=INTERNAL,
        vpc_id=group.vpc_id,
        zones=(Zone(name="", subnet_id=""),),
        created_at=_ANY_TIME,
    )
    forward = Forward(groups=(Weighted(group_arn=group.arn, weight=1),))
    rule = Rule(arn="check/rule", priority=DEFAULT_PRIORITY, actions=(forward,))
    listener = Listener(arn="check/listener", balancer_arn=balancer.arn, protocol=protocol, port=1)
    _check(Whole(balancer=balancer, listeners=((listener, (rule,)),), groups={group.arn: group}))


def _check(whole: Whole) -> None:
    why = refusal(whole, _ANY_TIME)
    if why is not None:
        raise InvalidConfigurationRequest(f"This is not supported by Homeport: {why}.")
