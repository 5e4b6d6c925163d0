"""What a service's deployment configuration may ask for. Pure. Source: botocore's DeploymentConfiguration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from homeport.services.ecs.errors import InvalidParameterException
from homeport.services.ecs.model import Alarms, Breaker, DeploymentStrategy, EarlySuccess
from homeport.services.ecs.plan.strategy_request import deployment_strategy


class RolloutSettings(NamedTuple):
    """How a service's rolling deployments go: percentages of the desired count, and when they end."""

    minimum_healthy_percent: int = 100
    maximum_percent: int = 200
    breaker: Breaker = Breaker()
    early_success: EarlySuccess = EarlySuccess()
    deployment_strategy: DeploymentStrategy = DeploymentStrategy()
    alarms: Alarms = Alarms()


DAEMON_DEFAULTS = RolloutSettings(minimum_healthy_percent=0, maximum_percent=100)


def rollout_settings(
    given: Mapping[str, Any] | None, current: RolloutSettings | None = None, *, daemon: bool = False
) -> RolloutSettings:
    """What a deployment configuration asks for; what it does not say stays `current`, or the default."""
    current = current or (DAEMON_DEFAULTS if daemon else RolloutSettings())
    if not given:
        return current
    minimum = given.get("minimumHealthyPercent", current.minimum_healthy_percent)
    maximum = given.get("maximumPercent", current.maximum_percent)
    if not 0 <= minimum <= 100:
        raise InvalidParameterException("minimumHealthyPercent must be between 0 and 100.")
    if not 100 <= maximum <= 200:
        raise InvalidParameterException("maximumPercent must be between 100 and 200.")
    if daemon and maximum != 100:
        raise InvalidParameterException(
            "The daemon scheduling strategy does not support a maximumPercent other than 100."
        )
    breaker = given.get("deploymentCircuitBreaker")
    strategy = deployment_strategy(given, current.deployment_strategy)
    early = _early_success(given.get("earlySuccessCriteria"), current.early_success, minimum)
    if early.enable and strategy.is_staged:
        raise InvalidParameterException(
            f"earlySuccessCriteria are valid with the strategy ROLLING only: the strategy is {strategy.name}."
        )
    return RolloutSettings(
        minimum,
        maximum,
        current.breaker if breaker is None else _breaker(breaker),
        early,
        strategy,
        current.alarms if given.get("alarms") is None else _alarms(given["alarms"]),
    )


def _alarms(given: Mapping[str, Any]) -> Alarms:
    return Alarms(
        names=tuple(dict.fromkeys(given["alarmNames"])),
        enable=given["enable"],
        rollback=given["rollback"],
        given=dict(given),
    )


def _early_success(
    given: Mapping[str, Any] | None, current: EarlySuccess, minimum_healthy_percent: int
) -> EarlySuccess:
    """The criteria, which must go with the percentage whether that or they have changed."""
    early = current
    if given is not None:
        for member in ("healthyPercent", "sourceServiceRevisionCleanup"):
            if given["enable"] and given.get(member) is None:
                raise InvalidParameterException(
                    f"earlySuccessCriteria.{member} is required with enable true."
                )
        early = EarlySuccess(
            enable=given["enable"],
            healthy_percent=given.get("healthyPercent", 100),
            cleanup=given.get("sourceServiceRevisionCleanup", "BLOCKING"),
            given=dict(given),
        )
    if not 0 <= early.healthy_percent <= 100:
        raise InvalidParameterException("earlySuccessCriteria.healthyPercent must be between 0 and 100.")
    if early.enable and early.healthy_percent < minimum_healthy_percent:
        raise InvalidParameterException(
            f"earlySuccessCriteria.healthyPercent {early.healthy_percent} must be greater than or equal to "
            f"minimumHealthyPercent {minimum_healthy_percent}."
        )
    return early


def _breaker(given: Mapping[str, Any]) -> Breaker:
    threshold = given.get("thresholdConfiguration") or {}
    kind, value = threshold.get("type", "BOUNDED_PERCENT"), threshold.get("value", 50)
    most = None if kind == "COUNT" else 100
    if value < 1 or (most is not None and value > most):
        raise InvalidParameterException(
            "deploymentCircuitBreaker.thresholdConfiguration.value must be at least 1"
            + (f" and at most {most} for {kind}." if most is not None else ".")
        )
    return Breaker(
        enable=given["enable"],
        rollback=given["rollback"],
        reset_on_healthy=given.get("resetOnHealthyTask", True),
        threshold_type=kind,
        threshold_value=value,
    )
