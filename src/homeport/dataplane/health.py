"""Targets' health in a load balancer's words, from what the proxy says about its checks.

The proxy knows two states and tells every failed check; a load balancer also knows `initial`, and one
passing check makes a target healthy from there while `unhealthy_threshold` failures in a row make it
unhealthy. Source: Application Load Balancer guide, "Health checks for target groups".

The proxy trusts one passing check only when it is a target's very first one. A target that failed it is
therefore on probation: when its next check is due, it is made known to the proxy anew (another `round`),
which checks what is new at once, and again for the first time.

A classic balancer trusts no first check: there, the proxy tells passes too, and a target is withheld from
traffic until there were enough of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

MISMATCH = "Target.ResponseCodeMismatch"


class HealthState(StrEnum):
    """States of a target that traffic makes."""

    INITIAL = "initial"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetHealth:
    """A target's state, and why, with the API's codes; a healthy one has no reason."""

    state: HealthState
    reason: str = ""
    description: str = ""


REGISTERED = TargetHealth(
    state=HealthState.INITIAL,
    reason="Elb.RegistrationInProgress",
    description="Target registration is in progress",
)
CHECKING = TargetHealth(
    state=HealthState.INITIAL,
    reason="Elb.InitialHealthChecking",
    description="Initial health checks in progress",
)
HEALTHY = TargetHealth(state=HealthState.HEALTHY)
DISABLED = TargetHealth(
    state=HealthState.UNAVAILABLE,
    reason="Target.HealthCheckDisabled",
    description="Health checks are disabled",
)


class Failure(StrEnum):
    """How a check failed, in the proxy's words."""

    ACTIVE = "ACTIVE"
    NETWORK = "NETWORK"
    NETWORK_TIMEOUT = "NETWORK_TIMEOUT"


def unhealthy(failure: Failure, status: int | None = None) -> TargetHealth:
    """Unhealthy for this reason; `status` is what the target answered, where that is known."""
    match failure:
        case Failure.ACTIVE:
            codes = "" if status is None else str(status)
            return TargetHealth(
                state=HealthState.UNHEALTHY,
                reason=MISMATCH,
                description=f"Health checks failed with these codes: [{codes}]",
            )
        case Failure.NETWORK:
            return TargetHealth(
                state=HealthState.UNHEALTHY,
                reason="Target.FailedHealthChecks",
                description="Health checks failed",
            )
        case Failure.NETWORK_TIMEOUT:
            return TargetHealth(
                state=HealthState.UNHEALTHY, reason="Target.Timeout", description="Request timed out"
            )


class Verdict(StrEnum):
    """What the proxy says of a target."""

    FAILED = "failed"
    """A check failed."""
    OUT = "out"
    """So many failed that it is not asked any more."""
    PASSED = "passed"
    """A check passed (told only where the first one is not trusted)."""
    IN = "in"
    """It is taken for healthy: one check passed when it was new, or enough in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a proxy says about one target; `failure` of FAILED and OUT. `at` is in seconds since 1970."""

    cluster: str
    key: str
    verdict: Verdict
    failure: Failure = Failure.ACTIVE
    first: bool = False
    """Of IN: it was the first check of all."""
    at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChange:
    """A target of a group is in another state now, or in the same for another reason."""

    group_id: str
    key: str
    health: TargetHealth


def read_event(line: Mapping[str, Any]) -> Checked | None:
    """A line of the proxy's health log; None if it says nothing about up or down."""
    place = line.get("host", {}).get("socket_address", {})
    address, port = place.get("address", ""), place.get("port_value", 0)
    said = Checked(
        cluster=line.get("cluster_name", ""),
        key=f"[{address}]:{port}" if ":" in address else f"{address}:{port}",
        verdict=Verdict.PASSED,
        at=_seconds(line.get("timestamp", "")),
    )
    if (event := line.get("health_check_failure_event")) is not None:
        return replace(said, verdict=Verdict.FAILED, failure=_failure(event))
    if (event := line.get("eject_unhealthy_event")) is not None:
        return replace(said, verdict=Verdict.OUT, failure=_failure(event))
    if (event := line.get("add_healthy_event")) is not None:
        return replace(said, verdict=Verdict.IN, first=event.get("first_check", False))
    return said if "successful_health_check_event" in line else None


def _seconds(timestamp: str) -> float:
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return 0.0


def _failure(event: Mapping[str, Any]) -> Failure:
    try:
        return Failure(event.get("failure_type", "ACTIVE"))
    except ValueError:
        return Failure.ACTIVE


def read_healthy(clusters: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """Whom the proxy's checks take for healthy now, from its list of clusters: cluster and key."""
    found: set[tuple[str, str]] = set()
    for cluster in clusters.get("cluster_statuses", []):
        for host in cluster.get("host_statuses", []):
            place = host.get("address", {}).get("socket_address")
            if place is None or host.get("health_status", {}).get("failed_active_health_check"):
                continue
            address = place["address"]
            name = f"[{address}]" if ":" in address else address
            found.add((cluster["name"], f"{name}:{place['port_value']}"))
    return frozenset(found)
