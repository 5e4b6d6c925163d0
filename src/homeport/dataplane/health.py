"""Targets' health in a load balancer's words, from what the proxy says about its checks.

The proxy knows two states and tells every failed check; a load balancer also knows `initial`, and one
passing check makes a target healthy from there while `unhealthy_threshold` failures in a row make it
unhealthy. Source: Application Load Balancer guide, "Health checks for target groups".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from homeport.dataplane.clusters import cluster_name, group_of, in_service, zone_of
from homeport.dataplane.model import Balancer, HealthCheck, TargetGroup

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a proxy says about one target: a check that failed, or that the target is up or out."""

    cluster: str
    key: str
    failure: Failure | None
    ejected: bool = False


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
    key = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    cluster = line.get("cluster_name", "")
    if (event := line.get("health_check_failure_event")) is not None:
        return Checked(cluster=cluster, key=key, failure=_failure(event))
    if (event := line.get("eject_unhealthy_event")) is not None:
        return Checked(cluster=cluster, key=key, failure=_failure(event), ejected=True)
    if "add_healthy_event" in line:
        return Checked(cluster=cluster, key=key, failure=None)
    return None


def _failure(event: Mapping[str, Any]) -> Failure:
    try:
        return Failure(event.get("failure_type", "ACTIVE"))
    except ValueError:
        return Failure.ACTIVE


def read_healthy(clusters: Mapping[str, Any]) -> tuple[Checked, ...]:
    """Whom the proxy takes for healthy now, from its list of clusters."""
    found: list[Checked] = []
    for cluster in clusters.get("cluster_statuses", []):
        for host in cluster.get("host_statuses", []):
            place = host.get("address", {}).get("socket_address")
            if place is None or host.get("health_status", {}).get("failed_active_health_check"):
                continue
            address = place["address"]
            name = f"[{address}]" if ":" in address else address
            key = f"{name}:{place['port_value']}"
            found.append(Checked(cluster=cluster["name"], key=key, failure=None))
    return tuple(found)


@dataclass(slots=True)
class _Watched:
    health: TargetHealth
    proved_in: str = ""
    """The cluster in which the proxy once took the target for healthy."""
    failures: int = 0


class HealthBook:
    """Every target's health. What changes is returned, once."""

    def __init__(self) -> None:
        self._checks: dict[str, HealthCheck | None] = {}
        self._watched: dict[tuple[str, str], _Watched] = {}

    def expect(self, balancers: Iterable[Balancer]) -> tuple[HealthChange, ...]:
        """Who is to be watched from now on. Who is new is initial; who is not named any more is forgotten."""
        checks: dict[str, HealthCheck | None] = {}
        targets: dict[tuple[str, str], HealthCheck | None] = {}
        for balancer in balancers:
            for group, name, zone in _clusters(balancer):
                checks[name] = group.health_check
                for target in in_service(group, zone):
                    targets[group.id, target.key] = group.health_check
        self._checks = checks
        self._watched = {key: one for key, one in self._watched.items() if key in targets}
        changes: list[HealthChange] = []
        for key, check in targets.items():
            at_first = DISABLED if check is None else CHECKING
            watched = self._watched.get(key)
            if watched is None or (check is None) != (watched.health == DISABLED):
                self._watched[key] = _Watched(at_first)
                changes.append(HealthChange(group_id=key[0], key=key[1], health=at_first))
        return tuple(changes)

    def observe(self, checked: Checked) -> HealthChange | None:
        """What the proxy says about a target; of clusters and targets that are no more, nothing."""
        check = self._checks.get(checked.cluster)
        watched = self._watched.get((group_of(checked.cluster), checked.key))
        if check is None or watched is None:
            return None
        if checked.failure is None:
            watched.proved_in, watched.failures = checked.cluster, 0
            return self._set(checked, watched, HEALTHY)
        watched.failures += 1
        out = checked.ejected or watched.health.state is HealthState.UNHEALTHY
        out = out or (watched.proved_in != checked.cluster and watched.failures >= check.unhealthy_threshold)
        if not out:
            return None
        watched.proved_in = ""
        now = unhealthy(checked.failure)
        if watched.health.reason == now.reason:
            return None
        return self._set(checked, watched, now)

    def explain(self, group_id: str, key: str, status: int) -> HealthChange | None:
        """What an unhealthy target answers, that the proxy does not say."""
        watched = self._watched.get((group_id, key))
        now = unhealthy(Failure.ACTIVE, status)
        if watched is None or watched.health.reason != now.reason or watched.health == now:
            return None
        watched.health = now
        return HealthChange(group_id=group_id, key=key, health=now)

    def of(self, group_id: str) -> dict[str, TargetHealth]:
        """The group's targets by their keys."""
        return {key: one.health for (group, key), one in self._watched.items() if group == group_id}

    def _set(self, checked: Checked, watched: _Watched, health: TargetHealth) -> HealthChange | None:
        if watched.health == health:
            return None
        watched.health = health
        return HealthChange(group_id=group_of(checked.cluster), key=checked.key, health=health)


def _clusters(balancer: Balancer) -> Iterable[tuple[TargetGroup, str, str]]:
    seen: set[str] = set()
    for address in balancer.addresses:
        for group in balancer.groups:
            name = cluster_name(balancer, group, address.zone)
            if name not in seen:
                seen.add(name)
                yield group, name, zone_of(balancer, group, address.zone)
