"""The room that DAEMON services' missing tasks will need, held against everybody else's.

Source: developer guide, "Daemon scheduling strategy": ECS reserves the resources of daemon tasks
ahead of REPLICA services' tasks. A stand-in per instance holds them in the fleet: it takes
room and ports, and is no task otherwise. Daemons hold room in the same way; a critical one also
keeps an instance closed for everybody else's tasks until its own runs there.

Who holds is told by a number: a service by its row, a daemon by its row below zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

import numpy as np

from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.fleet_parts import Bools
from homeport.services.ecs.plan.placement_admission import fitting
from homeport.services.ecs.plan.placement_types import Demand


class Reservations:
    """What the DAEMON services of one cluster hold free, by the service's row."""

    def __init__(self) -> None:
        self._demands: dict[int, Demand] = {}
        self._closing: dict[int, Demand] = {}
        """What the instances have in common that must have a daemon's task running, by daemon."""
        self._told: set[int] = set()
        """The services whose controller has said what they need, which is newer than anything read."""
        self._held: dict[int, dict[int, int]] = {}
        """By service and instance, the stand-in's key in the fleet: below all keys of tasks."""
        self._keys = count(-2, -1)

    @property
    def closes(self) -> bool:
        """Whether some instances may be closed."""
        return bool(self._closing)

    def set(
        self, fleet: Fleet, service_id: int, demand: Demand | None, *, closes: Demand | None = None
    ) -> None:
        """What a service's tasks need from now on; `None`: it starts no more."""
        self._told.add(service_id)
        self._closing.pop(service_id, None)
        if closes is not None:
            self._closing[service_id] = closes
        if self._demands.get(service_id) == demand:
            return
        self.let_go(fleet, service_id)
        if demand is None:
            self._demands.pop(service_id, None)
        else:
            self._demands[service_id] = demand

    def learn(self, demands: Mapping[int, Demand], closing: Mapping[int, Demand] | None = None) -> None:
        """What the services need as it was read, before their controller had a look."""
        for service_id, demand in demands.items():
            if service_id not in self._told:
                self._demands[service_id] = demand
        for daemon_id, closes in (closing or {}).items():
            if daemon_id not in self._told:
                self._closing[daemon_id] = closes

    def hold(self, fleet: Fleet, *, but: int | None = None) -> None:
        """Hold room wherever a service's task is wanted and missing, and nowhere else.

        `but`: the service that is about to take what was held for it.
        """
        fleet.rows.closed = self._closed(fleet)
        for service_id, demand in self._demands.items():
            if service_id == but:
                self.let_go(fleet, service_id)
                continue
            missing = fleet.rows.ready & fitting(fleet, demand) & ~fleet.hosting(demand.group)
            wanted = set(fleet.rows.ids[np.flatnonzero(missing)].tolist())
            held = self._held.setdefault(service_id, {})
            for instance_id in held.keys() - wanted:
                fleet.release(held.pop(instance_id))
            for instance_id in sorted(wanted - held.keys()):
                key = held[instance_id] = next(self._keys)
                fleet.assign(key, instance_id, demand, desired_status="STOPPED", last_status="RUNNING")

    def _closed(self, fleet: Fleet) -> Bools | None:
        closed: Bools | None = None
        for demand in self._closing.values():
            missing = fitting(fleet, demand).copy()
            missing[fleet.rows_up(demand.group)] = False
            closed = missing if closed is None else closed | missing
        return closed if closed is not None and closed.any() else None

    def let_go(self, fleet: Fleet, service_id: int) -> None:
        """Give a service's room back."""
        for key in self._held.pop(service_id, {}).values():
            fleet.release(key)

    def forget(self) -> None:
        """The fleet is a new one: nothing is held in it."""
        self._held.clear()
