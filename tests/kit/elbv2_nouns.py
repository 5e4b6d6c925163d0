"""Load balancers, groups and rules for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from homeport.services.elbv2.model.balancers import LoadBalancer, Zone
from homeport.services.elbv2.model.groups import TargetGroup
from homeport.services.elbv2.model.rules import Forward, Rule, Weighted
from homeport.services.elbv2.plan.groups import group_of

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def balancer(**changes: Any) -> LoadBalancer:
    """An application balancer in two zones."""
    zones = (Zone(name="us-east-1a", subnet_id="subnet-0a"), Zone(name="us-east-1b", subnet_id="subnet-0b"))
    fields: dict[str, Any] = {
        "account_id": "000000000000",
        "region": "us-east-1",
        "name": "web",
        "suffix": "0123456789abcdef",
        "dns_digits": "1",
        "type": "application",
        "scheme": "internal",
        "vpc_id": "vpc-0a",
        "zones": zones,
        "created_at": NOW,
        **changes,
    }
    return LoadBalancer(**fields)


def group(**changes: Any) -> TargetGroup:
    """A target group, by what a request says."""
    given = {"Name": "app", "Protocol": "HTTP", "Port": 80, "VpcId": "vpc-0a", **changes}
    return group_of(given, account_id="000000000000", region="us-east-1", suffix="0" * 16, tags={})


def rule(number: int, *actions: Any, **changes: Any) -> Rule:
    """A rule; number 0 is the default one."""
    return Rule(arn=f"arn:rule/{number}", priority=number, actions=actions, **changes)


def to(group: TargetGroup) -> Forward:
    """Forward to one group."""
    return Forward(groups=(Weighted(group_arn=group.arn, weight=1),))
