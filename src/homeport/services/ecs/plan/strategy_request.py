"""What a deployment strategy may be asked to do. Pure.

Sources: botocore's DeploymentConfiguration, LinearConfiguration, CanaryConfiguration and
DeploymentLifecycleHook (ranges and combinations); developer guide, "Creating an Amazon ECS linear deployment"
(needs a load balancer or Service Connect; a blue/green one does not), "Pause hooks".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from homeport.services.ecs.errors import ClientException, InvalidParameterException
from homeport.services.ecs.model import DeploymentStrategy, LifecycleHook
from homeport.services.ecs.model.strategies import STAGES

MINUTES_MOST = 1440
TIMEOUT_MINUTES_MOST = 20_160
HOOK_STAGES = tuple(stage for stage in STAGES if stage not in ("SCALE_UP", "BAKE_TIME", "CLEAN_UP"))
PAUSE_STAGES = tuple(
    stage for stage in HOOK_STAGES if stage not in ("TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT")
)
_MEMBERS = ("strategy", "bakeTimeInMinutes", "lifecycleHooks", "linearConfiguration", "canaryConfiguration")
_BEGINNINGS = {
    "ROLLING": DeploymentStrategy(),
    "BLUE_GREEN": DeploymentStrategy(name="BLUE_GREEN"),
    "LINEAR": DeploymentStrategy(name="LINEAR", step_percent=10.0, step_bake_minutes=6),
    "CANARY": DeploymentStrategy(name="CANARY", step_percent=5.0, step_bake_minutes=10),
}
_STEPS = {
    "LINEAR": ("linearConfiguration", "stepPercent", "stepBakeTimeInMinutes", 3.0),
    "CANARY": ("canaryConfiguration", "canaryPercent", "canaryBakeTimeInMinutes", 0.1),
}
_FUNCTION = re.compile(r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:\S+")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/\S+")


def deployment_strategy(given: Mapping[str, Any], current: DeploymentStrategy) -> DeploymentStrategy:
    """The strategy that a deployment configuration asks for.

    What it does not say stays as it is, or is what the newly named strategy begins with.
    """
    if all(given.get(member) is None for member in _MEMBERS):
        return current
    name = given.get("strategy") or current.name
    base = current if name == current.name else _BEGINNINGS[name]
    for owner, (member, *_) in _STEPS.items():
        if given.get(member) is not None and name != owner:
            raise InvalidParameterException(
                f"deploymentConfiguration.{member} is valid with the strategy {owner} only: "
                f"the strategy is {name}."
            )
    bake = _minutes(given, "bakeTimeInMinutes", base.bake_minutes)
    hooks = base.hooks
    if given.get("lifecycleHooks") is not None:
        hooks = tuple(_hook(hook) for hook in given["lifecycleHooks"])
    if name == "ROLLING":
        _check_rolling(bake, hooks)
        return DeploymentStrategy()
    percent, pause = _steps(name, given, base)
    return DeploymentStrategy(
        name=name, bake_minutes=bake, step_percent=percent, step_bake_minutes=pause, hooks=hooks
    )


def check_strategy_of(
    strategy: DeploymentStrategy, *, daemon: bool, controller: str, balanced: bool, functions: bool
) -> None:
    """Raise when a service of that kind cannot be deployed so.

    `balanced`: it has a load balancer; `functions`: there is something that invokes functions.
    """
    if not strategy.is_staged:
        return
    if daemon:
        raise InvalidParameterException(
            f"The daemon scheduling strategy does not support the deployment strategy {strategy.name}."
        )
    if controller != "ECS":
        raise InvalidParameterException(
            f"The deployment strategy {strategy.name} needs the deployment controller ECS: "
            f"the service's is {controller}."
        )
    if strategy.name != "BLUE_GREEN" and not balanced:
        raise InvalidParameterException(
            f"The deployment strategy {strategy.name} shifts traffic step by step: it needs a service with a "
            "load balancer or Service Connect. Without one, use BLUE_GREEN or ROLLING."
        )
    if not functions and any(hook.target_type == "AWS_LAMBDA" for hook in strategy.hooks):
        raise ClientException(
            "deploymentConfiguration.lifecycleHooks with targetType AWS_LAMBDA is not supported by Homeport "
            "yet: there is nothing here that runs functions. Use a PAUSE hook at those stages: the "
            "deployment waits there until ContinueServiceDeployment says how it goes on."
        )


def _check_rolling(bake: int, hooks: tuple[LifecycleHook, ...]) -> None:
    if bake:
        raise InvalidParameterException(
            "deploymentConfiguration.bakeTimeInMinutes cannot be set for the strategy ROLLING."
        )
    if hooks:
        raise ClientException(
            "deploymentConfiguration.lifecycleHooks with the strategy ROLLING "
            "is not supported by Homeport yet: only deployments with stages wait for hooks. Use the strategy "
            "BLUE_GREEN, which needs no load balancer."
        )


def _steps(name: str, given: Mapping[str, Any], base: DeploymentStrategy) -> tuple[float, int]:
    """The percentage of a step and the minutes after it; what a given configuration leaves out is default."""
    configuration, percent, minutes, least = _STEPS.get(name, ("", "", "", 0.0))
    asked = given.get(configuration)
    if asked is None:
        return base.step_percent, base.step_bake_minutes
    default = _BEGINNINGS[name]
    return (
        _percent(asked, f"{configuration}.{percent}", least=least, default=default.step_percent),
        _minutes(asked, minutes, default.step_bake_minutes, where=f"{configuration}."),
    )


def _percent(given: Mapping[str, Any], path: str, *, least: float, default: float) -> float:
    value = given.get(path.rpartition(".")[2])
    if value is None:
        return default
    tenths = value * 10
    if not least <= value <= 100 or abs(tenths - round(tenths)) > 1e-6:
        raise InvalidParameterException(
            f"deploymentConfiguration.{path} must be a multiple of 0.1 from {least} to 100.0."
        )
    return round(float(value), 1)


def _minutes(given: Mapping[str, Any], member: str, default: int, *, where: str = "") -> int:
    value: int | None = given.get(member)
    if value is None:
        return default
    if not 0 <= value <= MINUTES_MOST:
        raise InvalidParameterException(
            f"deploymentConfiguration.{where}{member} must be between 0 and {MINUTES_MOST}."
        )
    return value


def _hook(given: Mapping[str, Any]) -> LifecycleHook:
    kind = given.get("targetType") or "AWS_LAMBDA"
    stages = tuple(dict.fromkeys(given.get("lifecycleStages") or ()))
    _check_stages(kind, stages)
    if kind == "PAUSE":
        for member in ("hookTargetArn", "roleArn", "hookDetails"):
            if given.get(member):
                raise InvalidParameterException(f"lifecycleHooks: a PAUSE hook has no {member}.")
    else:
        for member, pattern in (("hookTargetArn", _FUNCTION), ("roleArn", _ROLE)):
            if not pattern.fullmatch(given.get(member) or ""):
                raise InvalidParameterException(
                    f"lifecycleHooks: an AWS_LAMBDA hook needs the ARN of "
                    f"{'a function' if pattern is _FUNCTION else 'a role'} as its {member}."
                )
    timeout = given.get("timeoutConfiguration") or {}
    minutes = timeout.get("timeoutInMinutes", 1440)
    if not 1 <= minutes <= TIMEOUT_MINUTES_MOST:
        raise InvalidParameterException(
            f"lifecycleHooks: timeoutConfiguration.timeoutInMinutes must be between 1 and "
            f"{TIMEOUT_MINUTES_MOST}."
        )
    return LifecycleHook(
        target_type=kind,
        target_arn=given.get("hookTargetArn") or "",
        role_arn=given.get("roleArn") or "",
        stages=stages,
        details=given.get("hookDetails") or {},
        timeout_minutes=minutes,
        timeout_action=timeout.get("action") or "ROLLBACK",
        given=dict(given),
    )


def _check_stages(kind: str, stages: tuple[str, ...]) -> None:
    if not stages:
        raise InvalidParameterException("lifecycleHooks: lifecycleStages must name at least one stage.")
    allowed = PAUSE_STAGES if kind == "PAUSE" else HOOK_STAGES
    for stage in stages:
        if stage not in allowed:
            raise InvalidParameterException(
                f"lifecycleHooks: a hook of type {kind} cannot run at {stage}: "
                f"the stages are {', '.join(allowed)}."
            )
