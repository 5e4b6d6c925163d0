"""The room that DAEMON services' missing tasks will need, held against everybody else's.

Source: developer guide, "Daemon scheduling strategy": ECS reserves the resources of daemon tasks
ahead of REPLICA services' tasks. A stand-in per instance holds them in the fleet: it takes
room and ports, and is no task otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

import numpy as np

from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.placement_admission import fitting
from homeport.services.ecs.plan.placement_types import Demand


class Reservations:
    """What the DAEMON services of one cluster hold free, by the service's row."""

    def __init__(self) -> None:
        self._demands: dict[int, Demand] = {}
        self._told: set[int] = set()
        """The services whose controller has said what they need, which is newer than anything read."""
        self._held: dict[int, dict[int, int]] = {}
        """By service and instance, the stand-in's key in the fleet: below all keys of tasks."""
        self._keys = count(-2, -1)

    def set(self, fleet: Fleet, service_id: int, demand: Demand | None) -> None:
        """What a service's tasks need from now on; `None`: it starts no more."""
        self._told.add(service_id)
        if self._demands.get(service_id) == demand:
            return
        self.let_go(fleet, service_id)
        if demand is None:
            self._demands.pop(service_id, None)
        else:
            self._demands[service_id] = demand

    def learn(self, demands: Mapping[int, Demand]) -> None:
        """What the services need as it was read, before their controller had a look."""
        for service_id, demand in demands.items():
            if service_id not in self._told:
                self._demands[service_id] = demand

    def hold(self, fleet: Fleet, *, but: int | None = None) -> None:
        """Hold room wherever a service's task is wanted and missing, and nowhere else.

        `but`: the service that is about to take what was held for it.
        """
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

    def let_go(self, fleet: Fleet, service_id: int) -> None:
        """Give a service's room back."""
        for key in self._held.pop(service_id, {}).values():
            fleet.release(key)

    def forget(self) -> None:
        """The fleet is a new one: nothing is held in it."""
        self._held.clear()
