"""Where tasks are to run: launch type, capacity provider strategy, Fargate's platform version. Pure.

Sources: ECS API Reference, RunTask, CreateService, UpdateService and CreateTaskSet; developer guide, "Fargate
platform versions", "Task definition differences for Fargate", "Fargate task ephemeral storage".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from homeport.services.ecs.errors import (
    ClientException,
    InvalidParameterException,
    PlatformTaskDefinitionIncompatibilityException,
    PlatformUnknownException,
)
from homeport.services.ecs.model import (
    FARGATE,
    FARGATE_PROVIDERS,
    Cluster,
    Deployment,
    Service,
    TaskDefinition,
)
from homeport.services.ecs.plan.capacity_strategy import Strategy, next_strategy, strategy_in_force
from homeport.services.ecs.plan.task_definition import sizes

LATEST = "LATEST"
_LATEST_IS = "1.4.0"
STORAGE_GIB = {"1.4.0": 20, "1.3.0": 14}
"""What a task's containers may write where it asks for nothing; 1.3.0: 10 of layers, 4 of volumes."""
_LATEST = re.compile(r"latest", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """Where tasks run. `platform_version` as it was asked for: LATEST, where nothing was; EC2 has none."""

    launch_type: str = "EC2"
    strategy: Strategy = ()
    platform_version: str | None = None

    @property
    def is_fargate(self) -> bool:
        """Whether nobody manages what they run on."""
        return self.launch_type == FARGATE

    @property
    def resolved_version(self) -> str | None:
        """The platform version that a task is started with now."""
        if self.platform_version is None:
            return None
        return _LATEST_IS if self.platform_version == LATEST else self.platform_version

    def storage_gib(self, body: Mapping[str, Any]) -> int | None:
        """How much a task's containers may write. `body`: the definition with the task's overrides."""
        if not self.is_fargate:
            return None
        default = STORAGE_GIB[self.resolved_version or _LATEST_IS]
        return int((body.get("ephemeralStorage") or {}).get("sizeInGiB") or default)


def compute_of(request: Mapping[str, Any], cluster: Cluster) -> Compute:
    """What a request asks for, or its cluster where it says nothing. Raise for what cannot be."""
    if request.get("launchType") and request.get("capacityProviderStrategy"):
        raise InvalidParameterException(
            "Specifying both a launch type and capacity provider strategy is not supported. "
            "Remove one and try again."
        )
    strategy = strategy_in_force(request, cluster)
    launch_type = _launch_type(strategy, str(request.get("launchType") or "EC2"))
    return Compute(
        launch_type=launch_type,
        strategy=strategy,
        platform_version=_version(request.get("platformVersion"), launch_type),
    )


def compute_now(deployment: Deployment) -> Compute:
    """Where a deployment's tasks run."""
    return Compute(
        launch_type=deployment.launch_type,
        strategy=deployment.strategy,
        platform_version=deployment.platform_version,
    )


def next_compute(request: Mapping[str, Any], cluster: Cluster, now: Compute, *, is_deployed: bool) -> Compute:
    """What an UpdateService makes of where its tasks run. `is_deployed`: it forces a deployment."""
    strategy = next_strategy(request, cluster, now.strategy, is_deployed=is_deployed)
    launch_type = _launch_type(strategy, now.launch_type)
    asked = request.get("platformVersion") or (now.platform_version if launch_type == FARGATE else None)
    return Compute(launch_type=launch_type, strategy=strategy, platform_version=_version(asked, launch_type))


def _launch_type(strategy: Strategy, otherwise: str) -> str:
    """A strategy's providers are Fargate's, all of them, or none."""
    if not strategy:
        return otherwise
    return FARGATE if strategy[0]["capacityProvider"] in FARGATE_PROVIDERS else "EC2"


def _version(asked: str | None, launch_type: str) -> str | None:
    """The platform version as a service shows it."""
    if launch_type != FARGATE:
        if asked:
            raise InvalidParameterException(
                f"The platform version must be null when specifying an {launch_type} launch type."
            )
        return None
    if asked is None or _LATEST.fullmatch(asked):
        return LATEST
    if asked not in STORAGE_GIB:
        raise PlatformUnknownException(
            f"The platform version {asked} does not exist. Specify LATEST or one of {', '.join(STORAGE_GIB)}."
        )
    return asked


def check_launch_type(compute: Compute, request: Mapping[str, Any], definition: TaskDefinition) -> None:
    """Raise unless the definition runs there, as the request wants it to."""
    launch_type = compute.launch_type
    if launch_type not in definition.body.get("compatibilities", ()):
        raise InvalidParameterException(f"Task definition does not support launch_type {launch_type}.")
    if launch_type not in ("EC2", FARGATE):
        raise ClientException(f"launchType {launch_type} is not supported by Homeport yet.")
    network = (request.get("networkConfiguration") or {}).get("awsvpcConfiguration") or {}
    if not compute.is_fargate:
        if network.get("assignPublicIp") == "ENABLED":
            raise InvalidParameterException("Assign public IP is not supported for this launch type.")
        return
    _check_placement(request.get("placementConstraints"), request.get("placementStrategy"))


def check_placement(compute: Compute, service: Service) -> None:
    """Raise for a service that would choose among Fargate's machines."""
    if compute.is_fargate:
        _check_placement(service.placement_constraints, service.placement_strategy)


def _check_placement(constraints: Sequence[Any] | None, strategies: Sequence[Any] | None) -> None:
    for given, what in ((constraints, "constraints"), (strategies, "strategies")):
        if given:
            raise InvalidParameterException(f"Placement {what} are not supported with FARGATE launch type.")


def check_fargate(compute: Compute, body: Mapping[str, Any]) -> None:
    """Raise for what this launch type does not have. `body`: the definition, overrides included."""
    if not compute.is_fargate:
        if body.get("ephemeralStorage"):
            raise ClientException(
                "ephemeralStorage is for tasks of the launch type FARGATE: nothing limits what tasks on "
                f"{compute.launch_type} write."
            )
        return
    problem = sizes.fargate_size_problem(
        _number(body.get("cpu")), _number(body.get("memory")), windows=False, allow_32vcpu=True
    )
    if problem is not None:
        raise InvalidParameterException(problem)
    if compute.resolved_version == _LATEST_IS:
        return
    for feature in _later_features(body):
        raise PlatformTaskDefinitionIncompatibilityException(
            "The specified platform version doesn't satisfy the required capabilities of the task "
            f"definition: {feature} needs platform version {_LATEST_IS}."
        )


def _later_features(body: Mapping[str, Any]) -> list[str]:
    """What a definition has that platform version 1.3.0 had not."""
    found = [member for member in ("ephemeralStorage",) if body.get(member)]
    if body.get("pidMode") == "task":
        found.append("pidMode task")
    if (body.get("runtimePlatform") or {}).get("cpuArchitecture") == "ARM64":
        found.append("cpuArchitecture ARM64")
    for container in body.get("containerDefinitions") or ():
        linux = container.get("linuxParameters") or {}
        if (linux.get("capabilities") or {}).get("add"):
            found.append("linuxParameters.capabilities.add")
    return found


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
