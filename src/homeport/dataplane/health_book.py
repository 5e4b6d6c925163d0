"""Who is healthy, who is on probation: every target's health as the proxy's checks make it.

A pure state machine: what the proxy says goes in, changes come out, and with them what the proxy is to be
told about targets so that its checks count as a load balancer's do (`Standing`, see `health`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from homeport.dataplane.clusters import Standing, cluster_name, group_of, in_service, zone_of
from homeport.dataplane.health import (
    CHECKING,
    DISABLED,
    HEALTHY,
    Checked,
    Failure,
    HealthChange,
    HealthState,
    TargetHealth,
    Verdict,
    unhealthy,
)
from homeport.dataplane.model import Balancer, HealthCheck, TargetGroup

EARLY = 0.1
"""By which part of the interval a target is made known anew before the proxy's own next check,"""
EARLY_SECONDS_MAX = 1.0
"""and by how much at most. Who is late loses nothing: two failures in a row count as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the checks of one cluster found about a target.

    `proved`: the proxy takes it for healthy there. `failures` before that and `passes`, in a row.
    `failed_at`: the last failure that counted, in seconds since 1970. `overdue`: after it, the target is
    still to be made known anew. `round`: how many times it was.
    """

    proved: bool = False
    failures: int = 0
    passes: int = 0
    failed_at: float | None = None
    overdue: bool = False
    round: int = 0


_NOTHING = Seen()


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A target, for the next control plane of the same proxy; `seen` by cluster."""

    group_id: str
    key: str
    health: TargetHealth
    seen: dict[str, Seen]


@dataclass(slots=True)
class _Watched:
    health: TargetHealth
    seen: dict[str, Seen] = field(default_factory=dict)


class HealthBook:
    """Every target's health. What changes is returned, once."""

    def __init__(self, remembered: Iterable[Remembered] = ()) -> None:
        self._checks: dict[str, HealthCheck | None] = {}
        self._watched: dict[tuple[str, str], _Watched] = {}
        self._remembered = {(one.group_id, one.key): one for one in remembered}

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
            watched = self._watched.get(key)
            if watched is None or (check is None) != (watched.health == DISABLED):
                watched = self._watched[key] = self._begin(key, check)
                changes.append(HealthChange(group_id=key[0], key=key[1], health=watched.health))
            watched.seen = {name: seen for name, seen in watched.seen.items() if name in checks}
        self._remembered = {}
        return tuple(changes)

    def _begin(self, key: tuple[str, str], check: HealthCheck | None) -> _Watched:
        known = self._remembered.get(key)
        if check is None:
            return _Watched(DISABLED)
        if known is None or known.health == DISABLED:
            return _Watched(CHECKING)
        return _Watched(known.health, dict(known.seen))

    def observe(self, checked: Checked) -> HealthChange | None:
        """What the proxy says about a target; of clusters and targets that are no more, nothing."""
        check = self._checks.get(checked.cluster)
        watched = self._watched.get((group_of(checked.cluster), checked.key))
        if check is None or watched is None:
            return None
        seen = watched.seen.get(checked.cluster, _NOTHING)
        if checked.verdict in (Verdict.IN, Verdict.PASSED):
            seen, healthy = _pass(seen, checked, check)
            watched.seen[checked.cluster] = seen
            if not healthy or (checked.verdict is Verdict.PASSED and watched.health.state is not _INITIAL):
                return None
            return self._set(checked, watched, HEALTHY)
        is_out = watched.health.state is HealthState.UNHEALTHY or checked.verdict is Verdict.OUT
        seen = _fail(seen, checked, check, is_out=is_out)
        watched.seen[checked.cluster] = seen
        if not (is_out or (not seen.proved and seen.failures >= check.unhealthy_threshold)):
            return None
        now = unhealthy(checked.failure)
        if watched.health.reason == now.reason:
            return None
        return self._set(checked, watched, now)

    def doubt(self) -> None:
        """Take nobody for proved: it may be another proxy, which will not tell that they are out."""
        for watched in self._watched.values():
            for cluster, seen in watched.seen.items():
                if seen.proved:
                    watched.seen[cluster] = replace(seen, proved=False)

    def confirm(self, healthy: frozenset[tuple[str, str]]) -> tuple[HealthChange, ...]:
        """Whom the proxy takes for healthy (cluster, key): what it said before may be lost."""
        changes: list[HealthChange] = []
        for (group_id, key), watched in self._watched.items():
            for cluster in (name for name in self._checks if group_of(name) == group_id):
                if (cluster, key) in healthy:
                    first = watched.health.state is _INITIAL
                    said = Checked(cluster=cluster, key=key, verdict=Verdict.IN, first=first)
                    changes += filter(None, [self.observe(said)])
        return tuple(changes)

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

    def next_round_at(self) -> float | None:
        """When the first target on probation is to be made known anew, in seconds since 1970."""
        return min((at for _, _, at in self._on_probation()), default=None)

    def renew(self, now: float) -> bool:
        """Begin another round for everybody whose next check is due; whether there is one."""
        due = [(watched, cluster) for watched, cluster, at in self._on_probation() if at <= now]
        for watched, cluster in due:
            seen = watched.seen[cluster]
            watched.seen[cluster] = replace(seen, overdue=False, round=seen.round + 1)
        return bool(due)

    def standing(self) -> Standing:
        """What the proxy is to be told about targets beyond what they are."""
        rounds: dict[tuple[str, str], int] = {}
        withheld: set[tuple[str, str]] = set()
        untrusted = [name for name, one in self._checks.items() if one and not one.trusts_first_pass]
        for (group_id, key), watched in self._watched.items():
            rounds |= {(name, key): seen.round for name, seen in watched.seen.items() if seen.round}
            if watched.health.state is _INITIAL:
                withheld |= {(name, key) for name in untrusted if group_of(name) == group_id}
        return Standing(rounds=rounds, withheld=frozenset(withheld))

    def remembered(self) -> tuple[Remembered, ...]:
        """All of it, for the next control plane of the same proxy."""
        return tuple(self._remembered.values()) + tuple(
            Remembered(group_id=group_id, key=key, health=one.health, seen=dict(one.seen))
            for (group_id, key), one in self._watched.items()
        )

    def _on_probation(self) -> Iterator[tuple[_Watched, str, float]]:
        """With the moment when the next check is due."""
        for watched in self._watched.values():
            for cluster, seen in watched.seen.items():
                check = self._checks.get(cluster)
                if check is None or not check.trusts_first_pass or seen.failed_at is None:
                    continue
                if seen.overdue and not seen.proved and watched.health.state is not HealthState.UNHEALTHY:
                    early = min(EARLY_SECONDS_MAX, EARLY * check.interval_seconds)
                    yield watched, cluster, seen.failed_at + check.interval_seconds - early

    def _set(self, checked: Checked, watched: _Watched, health: TargetHealth) -> HealthChange | None:
        if watched.health == health:
            return None
        watched.health = health
        return HealthChange(group_id=group_of(checked.cluster), key=checked.key, health=health)


_INITIAL = HealthState.INITIAL


def _pass(seen: Seen, checked: Checked, check: HealthCheck) -> tuple[Seen, bool]:
    """What is known after a pass, and whether it was enough."""
    if checked.verdict is Verdict.IN:
        seen = replace(seen, proved=True, failures=0, failed_at=None, overdue=False)
        return seen, check.trusts_first_pass or not checked.first
    if check.trusts_first_pass:
        return seen, False
    seen = replace(seen, passes=min(seen.passes + 1, check.healthy_threshold))
    return seen, seen.proved and seen.passes >= check.healthy_threshold


def _fail(seen: Seen, checked: Checked, check: HealthCheck, *, is_out: bool) -> Seen:
    """What is known after a failure. Of a proved target the proxy counts them, of one that is out nobody."""
    seen = replace(seen, passes=0)
    if is_out:
        return replace(seen, proved=False)
    if seen.proved:
        return seen
    if seen.failed_at is not None and abs(checked.at - seen.failed_at) < check.interval_seconds / 2:
        return seen  # the proxy's own check and the one of the next round: they are the same one
    return replace(seen, failures=seen.failures + 1, failed_at=checked.at, overdue=True)


def _clusters(balancer: Balancer) -> Iterator[tuple[TargetGroup, str, str]]:
    seen: set[str] = set()
    for address in balancer.addresses:
        for group in balancer.groups:
            name = cluster_name(balancer, group, address.zone)
            if name not in seen:
                seen.add(name)
                yield group, name, zone_of(balancer, group, address.zone)
