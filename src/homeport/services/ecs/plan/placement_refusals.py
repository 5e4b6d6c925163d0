"""Why instances could not take one more task: first as arrays, as words only when asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.fleet_parts import Bools, Ints, Longs, PortMap
from homeport.services.ecs.plan.placement_admission import (
    Overlay,
    attribute_mask,
    closed_rows,
    conditions,
    location_mask,
    query_mask,
)
from homeport.services.ecs.plan.placement_types import AZ_ATTRIBUTE, Demand, Reason, Refusal
from homeport.services.ecs.plan.query import Column

_ORDER = tuple(Reason)
_ACCEPTED = len(_ORDER)
_NUMBERS = {Reason.CPU: "cpu", Reason.MEMORY: "memory", Reason.GPU: "gpus", Reason.ENI: "enis"}

Lacks = tuple[tuple[str, Bools], ...]
"""What is asked by name, and which instances lack it."""


@dataclass(frozen=True, slots=True, eq=False)
class Refusals:
    """The first check that each of some instances fails, in the order of uids.

    `codes` index `Reason`; `free` is what is left after what was placed.
    """

    uids: list[str]
    codes: npt.NDArray[np.int8]
    demand: Demand
    free: dict[Reason, Longs]
    lacks: dict[Reason, Lacks]
    zones: Column

    def all(self) -> tuple[Refusal, ...]:
        """One per instance that refuses."""
        return tuple(self.at(index) for index in np.flatnonzero(self.codes < _ACCEPTED).tolist())

    def at(self, index: int) -> Refusal:
        """The refusal of one instance."""
        reason = _ORDER[self.codes[index]]
        uid = self.uids[index]
        if reason in _NUMBERS:
            asked = getattr(self.demand, _NUMBERS[reason])
            return Refusal(instance_uid=uid, reason=reason, asked=asked, free=int(self.free[reason][index]))
        if reason in self.lacks:
            lacks = self.lacks[reason]
            missing = [name for name, mask in lacks if mask[index]]
            return Refusal(
                instance_uid=uid,
                reason=reason,
                asked=len(lacks),
                free=len(lacks) - len(missing),
                detail=", ".join(missing),
            )
        detail = ""
        if reason is Reason.DISTINCT_INSTANCE:
            detail = self.demand.group
        elif reason is Reason.LOCATION and (zone := self.zones.codes[index]) >= 0:
            detail = self.zones.values[zone]
        return Refusal(instance_uid=uid, reason=reason, detail=detail)

    def closest(self) -> Refusal | None:
        """The instance that got furthest in the order of checks, then lacks least, then by uid.

        Our choice: AWS documents none.
        """
        refusing = np.flatnonzero(self.codes < _ACCEPTED)
        if not len(refusing):
            return None
        furthest = refusing[self.codes[refusing] == self.codes[refusing].max()]
        reason = _ORDER[self.codes[furthest[0]]]
        if reason in self.free:
            lacking = -self.free[reason][furthest]
        elif reason in self.lacks:
            lacking = np.sum([mask[furthest] for _, mask in self.lacks[reason]], axis=0, dtype=np.int64)
        else:
            lacking = np.zeros(len(furthest), dtype=np.int64)
        return self.at(int(furthest[lacking.argmin()]))


def refusals(
    fleet: Fleet, demand: Demand, rows: Longs, placed: Ints, *, constraints: bool = True
) -> Refusals:
    """Ask every one of `rows` for one more task. `placed`: per row, tasks of this demand placed already."""
    distinct, fixed, volatile = conditions(demand.constraints if constraints else ())
    mine = placed[rows]
    again = mine > 0
    overlay = Overlay(fleet, demand.group, placed)
    queries = [(q, query_mask(fleet, q)) for q in fixed] + [(q, q.mask(overlay)) for q in volatile]
    lacks: dict[Reason, Lacks] = {
        Reason.ATTRIBUTE: tuple(
            (name, ~attribute_mask(fleet, name)[rows]) for name in sorted(demand.attributes)
        ),
        Reason.MEMBER_OF: tuple((query.text, ~mask[rows]) for query, mask in queries),
        Reason.PORTS: _ports(fleet.ports_tcp, demand.ports_tcp, rows, again),
        Reason.PORTS_UDP: _ports(fleet.ports_udp, demand.ports_udp, rows, again),
    }
    free: dict[Reason, Longs] = {
        Reason.CPU: fleet.rows.cpu_free[rows] - demand.cpu * mine.astype(np.int64),
        Reason.MEMORY: fleet.rows.memory_free[rows] - demand.memory * mine.astype(np.int64),
        Reason.GPU: fleet.rows.gpu_free[rows] - demand.gpus * mine.astype(np.int64),
        Reason.ENI: fleet.rows.eni_free[rows] - demand.enis * mine.astype(np.int64),
    }
    failing: dict[Reason, Bools] = {
        Reason.INACTIVE: ~fleet.rows.active[rows],
        Reason.AGENT: ~fleet.rows.connected[rows],
    }
    if (closed := closed_rows(fleet, demand.group)) is not None:
        failing[Reason.DAEMON] = closed[rows]
    if distinct:
        failing[Reason.DISTINCT_INSTANCE] = fleet.hosting(demand.group)[rows] | again
    if demand.azs is not None:
        failing[Reason.LOCATION] = ~location_mask(fleet, demand.azs)[rows]
    for reason, named in lacks.items():
        if named:
            failing[reason] = np.logical_or.reduce([mask for _, mask in named])
    for reason, left in free.items():
        if asked := getattr(demand, _NUMBERS[reason]):
            failing[reason] = left < asked
    codes = np.full(len(rows), _ACCEPTED, dtype=np.int8)
    for code in range(_ACCEPTED - 1, -1, -1):
        if (failed := failing.get(_ORDER[code])) is not None:
            codes[failed] = code
    zones = fleet.column(f"attribute:{AZ_ATTRIBUTE}")
    zones = Column(zones.codes[rows], zones.values)
    return Refusals(fleet.rows.uid_of[rows].tolist(), codes, demand, free, lacks, zones)


def _ports(ports: PortMap, wanted: tuple[int, ...], rows: Longs, again: Bools) -> Lacks:
    found = []
    for port in sorted(set(wanted)):
        clash = ports.clash((port,), rows)
        found.append((str(port), again if clash is None else clash | again))
    return tuple(found)
