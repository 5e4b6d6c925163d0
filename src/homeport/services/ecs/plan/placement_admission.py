"""Which instances may take a task, and how many of them each.

The order of checks is that of `Reason`; `placement_refusals` names the first that fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.fleet_parts import Bools, Ints, Longs
from homeport.services.ecs.plan.placement_types import AZ_ATTRIBUTE, Constraint, Demand
from homeport.services.ecs.plan.query import Column, Query, compile_query


class Conditions(NamedTuple):
    """Constraints, compiled. `fixed` ones depend on attributes only, so their masks are remembered."""

    distinct: bool
    fixed: tuple[Query, ...]
    volatile: tuple[Query, ...]


@lru_cache(maxsize=4096)
def conditions(constraints: tuple[Constraint, ...]) -> Conditions:
    """Compile constraints, or raise `QuerySyntaxError`."""
    queries = [compile_query(c.expression) for c in constraints if c.kind == "memberOf"]
    return Conditions(
        any(c.kind == "distinctInstance" for c in constraints),
        tuple(query for query in queries if not query.volatile),
        tuple(query for query in queries if query.volatile),
    )


class Overlay:
    """The rows of a fleet, as if each had `extra` more tasks of `group`."""

    def __init__(self, fleet: Fleet, group: str, extra: int | Ints) -> None:
        self._fleet = fleet
        self._group = group
        self._extra = extra
        self.size = fleet.size
        self.connected = fleet.connected
        self.registered = fleet.registered
        self.running: Ints = np.add(fleet.running, extra, dtype=np.int32)

    def column(self, subject: str) -> Column:
        """A subject that tasks do not change."""
        return self._fleet.column(subject)

    def groups(self) -> Iterable[str]:
        """The fleet's groups, and the one that is being placed."""
        return {*self._fleet.groups(), self._group}

    def hosting(self, group: str) -> Bools:
        """Per row: it hosts a task of the group, or would."""
        mask = self._fleet.hosting(group)
        if group == self._group:
            mask |= np.greater(self._extra, 0)
        return mask


def attribute_mask(fleet: Fleet, wanted: str) -> Bools:
    """Per row: it has the attribute, `name` or `name=value`. Do not write to it."""

    def build() -> Bools:
        name, equals, value = wanted.partition("=")
        column = fleet.column(f"attribute:{name}")
        if equals:
            return np.equal(column.codes, column.index.get(value, -2))
        return np.greater_equal(column.codes, 0)

    return fleet.cached(("attribute", wanted), build)


def query_mask(fleet: Fleet, query: Query) -> Bools:
    """The answers of a query that depends on attributes only. Do not write to it."""
    return fleet.cached(("query", query.text), lambda: query.mask(fleet))


def location_mask(fleet: Fleet, azs: frozenset[str]) -> Bools:
    """Per row: it is in one of the zones. Do not write to it."""

    def build() -> Bools:
        column = fleet.column(f"attribute:{AZ_ATTRIBUTE}")
        return np.isin(column.codes, [column.index.get(az, -2) for az in azs])

    return fleet.cached(("location", azs), build)


def pool_rows(fleet: Fleet, demand: Demand) -> Longs:
    """The rows that are there for the demand's tasks, whatever their status, in the order of uids.

    Do not write to them.
    """

    def build() -> Longs:
        rows = fleet.rows.by_uid.astype(np.int64)
        return rows[attribute_mask(fleet, demand.pool)[rows]] if demand.pool else rows

    return fleet.cached(("pool", demand.pool), build)


def _fixed_mask(fleet: Fleet, demand: Demand, fixed: tuple[Query, ...]) -> Bools | None:
    if not (demand.attributes or fixed or demand.azs is not None or demand.pool):
        return None

    def build() -> Bools:
        mask = np.ones(fleet.size, dtype=np.bool_)
        for wanted in demand.attributes:
            mask &= attribute_mask(fleet, wanted)
        for query in fixed:
            mask &= query_mask(fleet, query)
        if demand.azs is not None:
            mask &= location_mask(fleet, demand.azs)
        if demand.pool:
            mask &= attribute_mask(fleet, demand.pool)
        return mask

    return fleet.cached((demand.attributes, demand.constraints, demand.azs, demand.pool), build)


def fitting(fleet: Fleet, demand: Demand) -> Bools:
    """Per row: it has the attributes, and meets the constraints that depend on these only."""
    mask = _fixed_mask(fleet, demand, conditions(demand.constraints).fixed)
    return np.ones(fleet.size, dtype=np.bool_) if mask is None else mask


def closed_rows(fleet: Fleet, group: str) -> Bools | None:
    """Per row: it takes no tasks of the group until its critical daemons run; `None`: that is so nowhere."""
    return None if group.startswith("daemon:") else fleet.rows.closed


def admit(fleet: Fleet, demand: Demand) -> Bools:
    """Per row: it can take one task of this demand."""
    distinct, fixed, volatile = conditions(demand.constraints)
    mask = fleet.rows.ready.copy()
    if (closed := closed_rows(fleet, demand.group)) is not None:
        mask &= ~closed
    if (matching := _fixed_mask(fleet, demand, fixed)) is not None:
        mask &= matching
    for query in volatile:
        mask &= query.mask(fleet)
    if demand.cpu:
        mask &= fleet.rows.cpu_free >= demand.cpu
    if demand.memory:
        mask &= fleet.rows.memory_free >= demand.memory
    if demand.gpus:
        mask &= fleet.rows.gpu_free >= demand.gpus
    if demand.enis:
        mask &= fleet.rows.eni_free >= demand.enis
    rows = slice(0, fleet.size)
    for ports, wanted in ((fleet.ports_tcp, demand.ports_tcp), (fleet.ports_udp, demand.ports_udp)):
        if wanted and (clash := ports.clash(wanted, rows)) is not None:
            mask &= ~clash
    if distinct and (counts := fleet.group(demand.group)) is not None:
        mask[counts.rows()] = False
    return mask


def capacities(fleet: Fleet, demand: Demand, rows: Longs, count: int) -> Longs:
    """How many tasks each of `rows` can take, which can all take one; at most `count`."""
    most = np.full(len(rows), count, dtype=np.int64)
    distinct, _, volatile = conditions(demand.constraints)
    if distinct or demand.ports_tcp or demand.ports_udp:
        most[:] = 1
    for free, asked in (
        (fleet.rows.cpu_free, demand.cpu),
        (fleet.rows.memory_free, demand.memory),
        (fleet.rows.gpu_free, demand.gpus),
        (fleet.rows.eni_free, demand.enis),
    ):
        if asked:
            np.minimum(most, free[rows] // asked, out=most)
    if counting := tuple(query for query in volatile if query.counts_tasks):
        _limit_by_tasks(fleet, demand.group, counting, rows, most)
    return most


def _limit_by_tasks(fleet: Fleet, group: str, queries: tuple[Query, ...], rows: Longs, most: Longs) -> None:
    """Lower `most` to where a constraint about tasks fails because of the tasks placed so far.

    Such a constraint looks at one instance only, so that what is placed elsewhere cannot matter.
    """
    by_number = any("runningTasksCount" in query.subjects for query in queries)
    placed = 1
    while (going := most > placed).any():
        overlay = Overlay(fleet, group, placed)
        for query in queries:
            most[going & ~query.mask(overlay)[rows]] = placed
        placed += 1
        if not by_number:
            return
