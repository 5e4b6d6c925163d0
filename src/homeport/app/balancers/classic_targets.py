"""Classic Load Balancers as ECS's services use them: each stands for a target group of whole instances."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from homeport.core.errors import AwsError
from homeport.services.ecs import manifest as ecs
from homeport.services.elb import manifest as elb

_MISSING = "LoadBalancerNotFound"
_IN_SERVICE, _OUT_OF_SERVICE = "InService", "OutOfService"


def is_classic(arn: str) -> bool:
    """Whether what stands where a target group should is a balancer's ARN."""
    return ":loadbalancer/" in arn


class ClassicTargets:
    """ECS's words for what the registrar does. Targets are instances, with port 0."""

    def __init__(self, registrar: elb.Registrar) -> None:
        self._registrar = registrar

    async def find(
        self, account_id: str, region: str, arns: Collection[str]
    ) -> Mapping[str, ecs.TargetGroup]:
        """Those of the balancers that exist."""
        names = [_parts(arn)[2] for arn in arns]
        found = await self._registrar.find(account_id, region, names)
        return {
            one.arn: ecs.TargetGroup(
                arn=one.arn,
                target_type=ecs.CLASSIC,
                deregistration_delay_seconds=one.draining_seconds,
                instance_ports=one.instance_ports,
            )
            for one in found.values()
        }

    async def register(self, arn: str, targets: Collection[ecs.TargetAddress], *, before: datetime) -> None:
        """Register instances; one that drains comes back. Later than `before` none is."""
        try:
            await self._registrar.register(*_parts(arn), _ids(targets), before=before)
        except elb.TooLateError as error:
            raise ecs.TargetGroupsError(f"the registration came too late: {error}") from error
        except AwsError as error:
            raise _said(error) from error

    async def deregister(self, arn: str, targets: Collection[ecs.TargetAddress]) -> None:
        """Let instances drain, as long as the balancer lets them; those that are not there do not matter."""
        try:
            await self._registrar.deregister(*_parts(arn), _ids(targets))
        except AwsError as error:
            raise _said(error) from error

    async def health(self, arn: str) -> Mapping[ecs.TargetAddress, ecs.TargetState]:
        """All registered instances, draining ones included."""
        try:
            found = await self._registrar.health(*_parts(arn))
        except AwsError as error:
            raise _said(error) from error
        return {(one, 0): target_state(state) for one, state in found.items()}


class AllTargets:
    """Target groups, and the balancers that stand for some; each question goes to whom it is about."""

    def __init__(self, modern: ecs.Targets, classic: ecs.Targets) -> None:
        self._modern, self._classic = modern, classic

    def _of(self, arn: str) -> ecs.Targets:
        return self._classic if is_classic(arn) else self._modern

    async def find(
        self, account_id: str, region: str, arns: Collection[str]
    ) -> Mapping[str, ecs.TargetGroup]:
        """Those that exist."""
        found: dict[str, ecs.TargetGroup] = {}
        for groups in (self._modern, self._classic):
            mine = [arn for arn in arns if self._of(arn) is groups]
            found |= await groups.find(account_id, region, mine) if mine else {}
        return found

    async def register(self, arn: str, targets: Collection[ecs.TargetAddress], *, before: datetime) -> None:
        """Register targets. Later than `before` none is."""
        await self._of(arn).register(arn, targets, before=before)

    async def deregister(self, arn: str, targets: Collection[ecs.TargetAddress]) -> None:
        """Let targets drain."""
        await self._of(arn).deregister(arn, targets)

    async def health(self, arn: str) -> Mapping[ecs.TargetAddress, ecs.TargetState]:
        """All registered targets, draining ones included."""
        return await self._of(arn).health(arn)


def target_state(seen: elb.Seen) -> ecs.TargetState:
    """An instance's state in the words of target groups. What is out of service by itself is unhealthy."""
    if seen == elb.DRAINING:
        state = "draining"
    elif seen == elb.REGISTERING:
        state = "initial"
    else:
        known = {_IN_SERVICE: "healthy", _OUT_OF_SERVICE: "unhealthy"}
        state = known.get(seen.state, "unavailable")
    told = ("", "") if state == "healthy" else (seen.reason, seen.description)
    return ecs.TargetState(state=state, reason=told[0], description=told[1])


def _parts(arn: str) -> tuple[str, str, str]:
    """Account, region and name."""
    fields = arn.split(":", 5)
    return fields[4], fields[3], fields[5].partition("/")[2]


def _ids(targets: Collection[ecs.TargetAddress]) -> list[str]:
    return list(dict.fromkeys(instance for instance, _ in targets))


def _said(error: AwsError) -> ecs.TargetGroupsError:
    if error.code == _MISSING:
        return ecs.TargetGroupMissingError(error.message)
    return ecs.TargetGroupsError(f"{error.code}: {error.message}")
