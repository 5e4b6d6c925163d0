"""Targets for those who register them on somebody's behalf, as ECS does for its services.

They go the same way as a request: the same rules, the same errors.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from homeport.core.call import Call, inner_call
from homeport.services.elbv2.api.context import Elbv2, balancers, groups
from homeport.services.elbv2.api.targets import (
    DELAY,
    deregister_targets,
    describe_target_health,
    register,
)
from homeport.services.elbv2.model.groups import TargetHealth, TargetKey
from homeport.services.elbv2.plan.attributes import effective, group_attributes
from homeport.store.tx import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """What whoever registers targets must know of a group."""

    arn: str
    target_type: str
    deregistration_delay_seconds: float
    has_load_balancer: bool


def _call(operation: str, group_arn: str) -> Call:
    _, _, _, region, account_id, _ = group_arn.split(":", 5)
    return inner_call("elbv2", operation, account_id, region)


class Registrar:
    """Registers, deregisters, and tells health. Raises the API's errors."""

    def __init__(self, elb: Elbv2) -> None:
        self._elb = elb

    async def find(self, account_id: str, region: str, arns: Collection[str]) -> Mapping[str, GroupFacts]:
        """Those of the groups that exist in the account and region."""
        call = inner_call("elbv2", "DescribeTargetGroups", account_id, region)

        def work(tx: Tx) -> dict[str, GroupFacts]:
            used = balancers(tx, call).users(arns)
            return {
                arn: GroupFacts(
                    arn=arn,
                    target_type=group.target_type,
                    deregistration_delay_seconds=float(
                        effective(group_attributes(group.protocol), group.attributes)[DELAY]
                    ),
                    has_load_balancer=arn in used,
                )
                for arn, group in groups(tx, call).among(arns).items()
            }

        return await self._elb.store.read(work)

    async def register(
        self, group_arn: str, targets: Collection[TargetKey], *, before: datetime | None = None
    ) -> None:
        """Register targets; one that drains comes back. From `before` on none is: raise `TooLateError`."""
        if targets:
            call, request = _call("RegisterTargets", group_arn), _request(group_arn, targets)
            await register(call, self._elb, request, before=before)

    async def deregister(self, group_arn: str, targets: Collection[TargetKey]) -> None:
        """Let targets drain."""
        if targets:
            await deregister_targets(
                _call("DeregisterTargets", group_arn), self._elb, _request(group_arn, targets)
            )

    async def health(self, group_arn: str) -> Mapping[TargetKey, TargetHealth]:
        """All registered targets, draining ones included."""
        call = _call("DescribeTargetHealth", group_arn)
        answer = await describe_target_health(call, self._elb, {"TargetGroupArn": group_arn})
        return {
            (one["Target"]["Id"], one["Target"]["Port"]): TargetHealth(
                state=one["TargetHealth"]["State"],
                reason=one["TargetHealth"].get("Reason", ""),
                description=one["TargetHealth"].get("Description", ""),
            )
            for one in answer["TargetHealthDescriptions"]
        }


def _request(group_arn: str, targets: Collection[TargetKey]) -> dict[str, object]:
    return {"TargetGroupArn": group_arn, "Targets": [{"Id": one, "Port": port} for one, port in targets]}
