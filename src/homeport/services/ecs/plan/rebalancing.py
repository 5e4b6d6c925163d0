"""Moves a steady service's tasks until they are spread evenly over the Availability Zones. Pure.

A move starts a task where there are few and, once it is healthy, stops one where there are many: never
below the desired count, never above the ceiling. Every round makes the spread more even, so it ends.
Sources: developer guide, "Balancing an Amazon ECS service across Availability Zones" (when, and what is
even), "Track Amazon ECS Availability Zone rebalancing" and its list of event messages (texts).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

import msgspec
import numpy as np

from homeport.services.ecs.errors import InvalidParameterException
from homeport.services.ecs.model import Rebalancing, Service, Task, classic_name
from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.placement_admission import fitting
from homeport.services.ecs.plan.placement_types import AZ_ATTRIBUTE, Demand
from homeport.services.ecs.plan.query import compile_query
from homeport.services.ecs.plan.rollout import (
    STEADY_TOLD,
    ScaleIn,
    ServicePlan,
    ServiceSnapshot,
    TaskStop,
    count_ceiling,
    judged,
    newest_first,
    plan_service,
)
from homeport.services.ecs.plan.rollout_endings import without_past
from homeport.services.ecs.plan.rollout_health import is_protected, verdict

REASON = "Availability-zone rebalancing initiated by (deployment {id})"
_FIELD = f"attribute:{AZ_ATTRIBUTE}"


def unfit(service: Service) -> str | None:
    """Why the tasks of the service cannot be rebalanced; `None`: they can.

    The texts about DAEMON services and maximumPercent were seen in answers; the others are ours.
    """
    head = "Availability Zone Rebalancing does not support"
    strategy = service.placement_strategy[:1]
    if service.is_daemon:
        return f"{head} DAEMON services."
    if service.is_external:
        return f"{head} services with an EXTERNAL deployment controller."
    if len(service.primary.strategy) > 1:
        return f"{head} capacity provider strategies of several providers."
    if any(classic_name(one.target_group) for one in service.primary.load_balancers):
        return f"{head} services behind a Classic Load Balancer."
    if service.maximum_percent <= 100:
        return f"{head} maximumPercent <= 100 % as deployment configuration."
    if strategy and (strategy[0].get("type"), strategy[0].get("field")) != ("spread", _FIELD):
        return f"{head} placement strategies whose first is not spread by {_FIELD}."
    expressions = [rule.get("expression") for rule in service.placement_constraints]
    if any(_FIELD in compile_query(text).subjects for text in expressions if text):
        return f"{head} placement constraints on {_FIELD}."
    return None


def is_rebalanced(service: Service, asked: str | None, *, created: bool) -> bool:
    """Whether the service's tasks are rebalanced: what was asked, or the default.

    `service`: as it is to become. A new one is if it can be; one that is stays so until somebody says
    DISABLED, or until it shares its tasks among several capacity providers [our choice]. Raise
    `InvalidParameterException` when it should be and cannot.
    """
    if asked == "DISABLED":
        return False
    why_not = unfit(service)
    if asked is None and len(service.deployments) and len(service.primary.strategy) > 1:
        return False
    if created and asked is None:
        return why_not is None
    on = asked == "ENABLED" or service.az_rebalancing
    if on and why_not is not None:
        raise InvalidParameterException(why_not)
    return on


def zones_of(fleet: Fleet, demand: Demand) -> frozenset[str]:
    """The zones of the ACTIVE instances that have what the demand asks for, whatever is free on them."""
    column = fleet.column(_FIELD)
    codes = column.codes[fitting(fleet, demand) & fleet.rows.active]
    return frozenset(column.values[code] for code in np.unique(codes[codes >= 0]))


def plan_with_zones(
    snapshot: ServiceSnapshot, now: datetime, *, scale_in: ScaleIn = newest_first
) -> ServicePlan:
    """The next step of a REPLICA service: of its rollout, and when that rests, of its rebalancing."""
    under_way = snapshot.service.rebalancing is not None and snapshot.service.status == "ACTIVE"
    events: tuple[str, ...] = ()
    if under_way:
        move = _Move(snapshot, now)
        if move.goes_on and (step := move.step(scale_in)) is not None:
            return step
        if not move.goes_on or move.surplus:
            snapshot, events = _stopped(snapshot)
    plan = plan_service(snapshot, now, scale_in=scale_in)
    plan = replace(plan, events=(*events, *plan.events))
    service = plan.service
    rests = not plan.start and not plan.stop and service.steady_at is not None
    if not rests or not service.az_rebalancing or service.primary.rollout_state != "COMPLETED":
        return plan
    return _begin(plan, snapshot, now)


def _stopped(snapshot: ServiceSnapshot) -> tuple[ServiceSnapshot, tuple[str, ...]]:
    """The snapshot without rebalancing: something else comes first. And what is told of that."""
    service = snapshot.service
    told = service.rebalancing is None or service.rebalancing.blocked
    events = () if told else (f"(service {service.name}) stopped AZ Rebalancing.",)
    return replace(snapshot, service=msgspec.structs.replace(service, rebalancing=None)), events


def _begin(plan: ServicePlan, snapshot: ServiceSnapshot, now: datetime) -> ServicePlan:
    """The plan of a service at rest, with the starts of the next moves if its tasks are spread unevenly."""
    service = plan.service
    name = f"(service {service.name})"
    active = [task for task in snapshot.live if task.desired_status == "RUNNING"]
    spread = _Spread(active, snapshot.zones)
    receivers = spread.receivers(snapshot.zones)
    if not receivers:
        if service.rebalancing is None or not snapshot.zones:
            return plan
        events = (f"{name} is AZ balanced with {spread}.", *plan.events)
        return replace(plan, service=msgspec.structs.replace(service, rebalancing=None), events=events)
    lowest = spread.counts[receivers[0]]
    givers = [t for zone, tasks in spread.tasks.items() if len(tasks) >= lowest + 2 for t in tasks]
    free = [task for task in givers if not is_protected(task, now)]
    if not free:
        ends = [task.protection.expires_at for task in givers if task.protection is not None]
        why = (
            f"{name} was unable to AZ Rebalance because (taskSet {service.primary.id}) was unable to "
            f"scale in due to (reason {len(givers)} tasks under protection)."
        )
        return replace(plan, events=(*plan.events, why), wake_at=_first(plan.wake_at, *ends))
    retry_at = service.primary.retry_at
    if retry_at is not None and retry_at > now:
        return replace(plan, wake_at=_first(plan.wake_at, retry_at))
    start = min(spread.moves(), len(free), count_ceiling(service) - len(active))
    if start <= 0:
        full = (
            f"its tasks are spread unevenly ({spread}), and maximumPercent {service.maximum_percent} leaves "
            "no room to start one elsewhere first"
        )
        return replace(plan, waits_for=(*plan.waits_for, full))
    told = f"{name} is not AZ balanced with {spread}. AZ Rebalancing in progress."
    under_way = service.rebalancing
    start_in = tuple(item["capacityProvider"] for item in service.primary.strategy) * start
    plan = replace(plan, start=start, start_in=start_in, zones=receivers)
    under_way = service.rebalancing
    if under_way is None:
        service = msgspec.structs.replace(service, rebalancing=Rebalancing(surplus=start))
        return replace(plan, service=service, events=(*plan.events, told))
    service = msgspec.structs.replace(service, rebalancing=msgspec.structs.replace(under_way, surplus=start))
    if under_way.blocked:
        return replace(plan, service=service, begins=told)
    # The next round: that all moves of the last one are done is not told as a steady state.
    service = msgspec.structs.replace(service, steady_at=snapshot.service.steady_at)
    events = tuple(text for text in plan.events if not text.endswith(STEADY_TOLD))
    return replace(plan, service=service, events=events)


def _first(*instants: datetime | None) -> datetime | None:
    return min((at for at in instants if at is not None), default=None)


class _Spread:
    """Tasks by zone; `zones` without tasks count as well."""

    def __init__(self, tasks: Iterable[Task], zones: frozenset[str]) -> None:
        self.tasks: dict[str, list[Task]] = {zone: [] for zone in sorted(zones)}
        for task in tasks:
            if task.availability_zone:
                self.tasks.setdefault(task.availability_zone, []).append(task)

    @property
    def counts(self) -> Mapping[str, int]:
        return {zone: len(tasks) for zone, tasks in self.tasks.items()}

    def receivers(self, zones: frozenset[str]) -> tuple[str, ...]:
        """The zones in which one task more, for one less in the fullest, is more even; emptiest first."""
        counts = self.counts
        most = max(counts.values(), default=0)
        return tuple(sorted((z for z in zones if counts[z] <= most - 2), key=lambda z: (counts[z], z)))

    def moves(self) -> int:
        """How many tasks are not where an even split would have them."""
        counts = sorted(self.counts.values(), reverse=True)
        base, more = divmod(sum(counts), len(counts))
        return sum(max(count - base - (index < more), 0) for index, count in enumerate(counts))

    def __str__(self) -> str:
        """As events tell it: the fullest zone first [our choice]."""
        order = sorted(self.counts.items(), key=lambda one: (-one[1], one[0]))
        return ", ".join(f"{count} tasks in {zone}" for zone, count in order)


class _Move:
    """Moves that are under way: tasks that were started, and those that go for them."""

    def __init__(self, snapshot: ServiceSnapshot, now: datetime) -> None:
        service = snapshot.service
        assert service.rebalancing is not None
        self._snapshot = snapshot
        self._now = now
        self._rebalancing = service.rebalancing
        self._active = [task for task in snapshot.live if task.desired_status == "RUNNING"]
        self._verdicts = [verdict(task, service, snapshot.targets, now) for task in self._active]
        self.surplus = len(self._active) - service.desired_count

    @property
    def goes_on(self) -> bool:
        """Whether nothing has come up that is more urgent."""
        service = self._snapshot.service
        draining = self._snapshot.draining_instances
        settled = service.az_rebalancing and service.primary.rollout_state == "COMPLETED"
        return (
            settled
            and 0 <= self.surplus <= min(self._rebalancing.surplus, self._room())
            and all(task.started_by == service.primary.id for task in self._active)
            and not any(task.instance_id in draining for task in self._active)
            and not any(seen.failed for seen in self._verdicts)
        )

    def _room(self) -> int:
        service = self._snapshot.service
        return count_ceiling(service) - service.desired_count

    def step(self, scale_in: ScaleIn) -> ServicePlan | None:
        """Wait for what was started, then stop as many; `None`: nothing is under way, or nothing may go."""
        if not self.surplus:
            return None
        service, _, events = judged(self._snapshot, self._now)
        service = without_past(service, self._snapshot.live)
        doubtful = sum(not seen.is_healthy(self._now) for seen in self._verdicts)
        stops = self._stops(scale_in)
        if len(stops) < self.surplus:
            return None
        wakes = [at for seen in self._verdicts if (at := seen.healthy_at or seen.look_at) and at > self._now]
        waits = f"Availability Zone rebalancing waits until {doubtful} tasks are healthy"
        under_way = msgspec.structs.replace(self._rebalancing, blocked=False)
        return ServicePlan(
            service=msgspec.structs.replace(service, steady_at=None, rebalancing=under_way),
            stop=() if doubtful else stops,
            events=events,
            wake_at=min(wakes, default=None),
            waits_for=(waits,) if doubtful else (),
        )

    def _stops(self, scale_in: ScaleIn) -> tuple[TaskStop, ...]:
        """From the fullest zones, none that is protected."""
        spread = _Spread(self._active, frozenset())
        free = {
            zone: [task for task in tasks if not is_protected(task, self._now)]
            for zone, tasks in spread.tasks.items()
        }
        counts, taken = dict(spread.counts), dict.fromkeys(free, 0)
        for _ in range(self.surplus):
            able = [zone for zone in free if taken[zone] < len(free[zone])]
            if not able:
                break
            zone = max(able, key=lambda zone: (counts[zone], zone))
            counts[zone] -= 1
            taken[zone] += 1
        reason = REASON.format(id=self._snapshot.service.primary.id)
        return tuple(
            TaskStop(task=task, reason=reason, zone=zone)
            for zone, count in taken.items()
            if count
            for task in scale_in(free[zone], count)
        )
