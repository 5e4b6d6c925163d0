"""What deployments watch and call: alarms, and functions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from homeport.services.ecs.model import (
    HookAnswer,
    LifecycleHook,
)

ALARMS_CHANGED = "cloudwatch.alarm"
"""The change feed's kind for news of an alarm's state; the key is its `alarm_key`."""


def alarm_key(account_id: str, region: str, name: str) -> str:
    """An alarm in the change feed."""
    return f"{account_id}/{region}/{name}"


class AlarmsError(Exception):
    """The alarms' states cannot be had now; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmState:
    """An alarm. `window_seconds`: its period times its evaluation periods."""

    in_alarm: bool
    window_seconds: float


class AlarmStates(Protocol):
    """CloudWatch's alarms as ECS watches them; news come over the change feed (`ALARMS_CHANGED`)."""

    async def find(self, account_id: str, region: str, names: Collection[str]) -> Mapping[str, AlarmState]:
        """Those of the alarms that exist, by name. Raise `AlarmsError`."""
        ...


class LifecycleHookInvoker(Protocol):
    """Calls the functions of deployment lifecycle hooks."""

    async def invoke(self, hook: LifecycleHook, event: Mapping[str, Any]) -> HookAnswer:
        """What the function says to the event; one that still runs is IN_PROGRESS, so this never takes long.

        The event's `executionId` names the execution: the same again does not start a second one beside it.
        Raise `AwsError` when it cannot be called.
        """
        ...
