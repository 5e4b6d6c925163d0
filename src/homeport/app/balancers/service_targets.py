"""Elastic Load Balancing as ECS's services use it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from homeport.core.errors import AwsError
from homeport.services.ecs.ports import (
    TargetAddress,
    TargetGroup,
    TargetGroupMissingError,
    TargetGroupsError,
    TargetState,
)
from homeport.services.elbv2 import manifest as elbv2

_MISSING = "TargetGroupNotFound"


class ServiceTargets:
    """ECS's words for what the registrar does."""

    def __init__(self, registrar: elbv2.Registrar) -> None:
        self._registrar = registrar

    async def find(self, account_id: str, region: str, arns: Collection[str]) -> Mapping[str, TargetGroup]:
        """Those of the target groups that exist."""
        found = await self._registrar.find(account_id, region, arns)
        return {
            arn: TargetGroup(
                arn=arn,
                target_type=one.target_type,
                deregistration_delay_seconds=one.deregistration_delay_seconds,
                has_load_balancer=one.has_load_balancer,
            )
            for arn, one in found.items()
        }

    async def register(self, arn: str, targets: Collection[TargetAddress], *, before: datetime) -> None:
        """Register targets; one that is draining comes back, one that is there already stays.

        Later than `before` nothing is registered.
        """
        try:
            await self._registrar.register(arn, targets, before=before)
        except elbv2.TooLateError as error:
            raise TargetGroupsError(f"the registration came too late: {error}") from error
        except AwsError as error:
            raise _said(error) from error

    async def deregister(self, arn: str, targets: Collection[TargetAddress]) -> None:
        """Deregister targets: they drain, and are gone after the group's delay at the latest."""
        try:
            await self._registrar.deregister(arn, targets)
        except AwsError as error:
            raise _said(error) from error

    async def health(self, arn: str) -> Mapping[TargetAddress, TargetState]:
        """All registered targets, draining ones included."""
        try:
            found = await self._registrar.health(arn)
        except AwsError as error:
            raise _said(error) from error
        return {
            key: TargetState(state=one.state, reason=one.reason, description=one.description)
            for key, one in found.items()
        }


def _said(error: AwsError) -> TargetGroupsError:
    if error.code == _MISSING:
        return TargetGroupMissingError(error.message)
    return TargetGroupsError(f"{error.code}: {error.message}")
