"""What RegisterDaemonTaskDefinition, CreateDaemon and UpdateDaemon may ask for. Pure.

Sources: botocore's shapes; developer guide, "Daemon task definitions" and "Daemon deployments" (defaults,
and the 0 to 1440 minutes of a bake time).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from homeport.services.ecs.errors import ClientException, InvalidParameterException
from homeport.services.ecs.model import DRAIN_PERCENT, TaskDefinition
from homeport.services.ecs.plan.task_definition import (
    Settings,
    drafted,
    required_attributes,
    unsupported_at_run,
)

BAKE_MINUTES_MOST = 1440
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_SPACES = ("pidMode", "ipcMode")


def daemon_definition(request: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The document of a daemon task definition: what a task of it is started from.

    Its containers are on a bridge of their own: AWS's `daemon_bridge`, on which applications find
    daemons at 169.254.172.2, is not there [our choice]. Raise `ClientException` for what cannot be.
    """
    for volume in request.get("volumes") or ():
        if volume.get("logDriverVolumeConfiguration"):
            raise ClientException("volumes[].logDriverVolumeConfiguration is not supported by Homeport yet.")
    asked = {key: value for key, value in request.items() if key not in ("tags", *_SPACES)}
    for space in _SPACES:
        if request.get(space) == "shared":
            asked[space] = "host"
    document = drafted(asked, settings=settings)
    return {**document, "requiresAttributes": required_attributes(document), "compatibilities": ["EC2"]}


class DaemonSettings(NamedTuple):
    """What a request says of its deployment and of the tasks; what it does not say is as by default.

    Source: developer guide, "Creating and managing daemons": nothing is kept from the last request.
    """

    drain_percent: float
    bake_minutes: int
    alarm_names: tuple[str, ...]
    propagate_tags: str
    enable_managed_tags: bool
    critical: bool


def daemon_settings(request: Mapping[str, Any]) -> DaemonSettings:
    """Raise for what is wrong, or not there yet."""
    if request.get("enableExecuteCommand"):
        raise ClientException("enableExecuteCommand is not supported by Homeport yet.")
    configuration = request.get("deploymentConfiguration") or {}
    alarms = configuration.get("alarms") or {}
    if alarms.get("enable"):
        raise ClientException("deploymentConfiguration.alarms is not supported by Homeport yet.")
    bake = configuration.get("bakeTimeInMinutes", 0)
    if not 0 <= bake <= BAKE_MINUTES_MOST:
        raise InvalidParameterException(
            f"bakeTimeInMinutes must be between 0 and {BAKE_MINUTES_MOST}, not {bake}."
        )
    drain = float(configuration.get("drainPercent", DRAIN_PERCENT))
    if not 0 <= drain <= 100:
        raise InvalidParameterException(f"drainPercent must be between 0.0 and 100.0, not {drain}.")
    critical = request.get("critical")
    return DaemonSettings(
        drain_percent=drain,
        bake_minutes=bake,
        alarm_names=tuple(alarms.get("alarmNames") or ()),
        propagate_tags=request.get("propagateTags") or "NONE",
        enable_managed_tags=bool(request.get("enableECSManagedTags")),
        critical=True if critical is None else critical,
    )


def check_name(name: str) -> None:
    """Raise unless it can be a daemon's."""
    if not _NAME.fullmatch(name):
        raise InvalidParameterException(
            f"Invalid daemon name '{name}': up to 255 letters, numbers, underscores and hyphens are allowed."
        )


def check_token(token: str | None) -> None:
    """Raise unless it can be a client token."""
    if token is not None and not (len(token) <= 36 and all(33 <= ord(char) <= 126 for char in token)):
        raise InvalidParameterException("clientToken has at most 36 ASCII characters in the range 33-126.")


def check_providers(arns: Sequence[str]) -> None:
    """Raise unless at least one capacity provider is named, and none twice."""
    if not arns:
        raise InvalidParameterException("capacityProviderArns cannot be empty.")
    if len(set(arns)) < len(arns):
        raise InvalidParameterException("capacityProviderArns names a capacity provider more than once.")


def check_runnable(definition: TaskDefinition | None) -> TaskDefinition:
    """The definition. Raise unless daemons of it can be made here."""
    if definition is None:
        raise ClientException("The specified daemon task definition does not exist.")
    if definition.status != "ACTIVE":
        raise ClientException(f"The specified daemon task definition is {definition.status}, not ACTIVE.")
    if (problem := unsupported_at_run(definition.body)) is not None:
        raise ClientException(problem)
    return definition
