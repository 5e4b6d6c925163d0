"""What a service's deployment configuration may ask for. Pure. Source: botocore's DeploymentConfiguration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from homeport.services.ecs.errors import ClientException, InvalidParameterException
from homeport.services.ecs.model import Breaker
from homeport.services.ecs.plan.support import refuse

_UNSUPPORTED_DEPLOYMENT = (
    "alarms",
    "lifecycleHooks",
    "linearConfiguration",
    "canaryConfiguration",
    "earlySuccessCriteria",
)


class RolloutSettings(NamedTuple):
    """How a service's rolling deployments go: percentages of the desired count, and the circuit breaker."""

    minimum_healthy_percent: int = 100
    maximum_percent: int = 200
    breaker: Breaker = Breaker()


DAEMON_DEFAULTS = RolloutSettings(minimum_healthy_percent=0, maximum_percent=100)


def rollout_settings(
    given: Mapping[str, Any] | None, current: RolloutSettings | None = None, *, daemon: bool = False
) -> RolloutSettings:
    """What a deployment configuration asks for; what it does not say stays `current`, or the default."""
    current = current or (DAEMON_DEFAULTS if daemon else RolloutSettings())
    if not given:
        return current
    refuse(given, "deploymentConfiguration", _UNSUPPORTED_DEPLOYMENT)
    if given.get("strategy") not in (None, "ROLLING"):
        raise ClientException(
            f"deploymentConfiguration.strategy {given['strategy']} is not supported by Homeport yet."
        )
    if given.get("bakeTimeInMinutes"):
        raise ClientException("deploymentConfiguration.bakeTimeInMinutes is not supported by Homeport yet.")
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
    return RolloutSettings(minimum, maximum, current.breaker if breaker is None else _breaker(breaker))


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
