"""Placement: which instances take a group of identical tasks, and why the others do not.

A pure function of a fleet, a demand and dice; the rule is in `placement_order`. The
fleet is not changed: whoever commits the placement assigns the tasks to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.fleet_parts import Bools, Ints, Longs
from homeport.services.ecs.plan.placement_admission import admit, capacities, pool_rows
from homeport.services.ecs.plan.placement_order import (
    LACKING_LAST,
    Arrivals,
    Pack,
    Rule,
    Spread,
    least,
    masked,
    order_group,
    order_steps,
)
from homeport.services.ecs.plan.placement_refusals import Refusals, refusals
from homeport.services.ecs.plan.placement_scale_in import ServiceTask, pick_for_scale_in
from homeport.services.ecs.plan.placement_types import Demand, Reason, Refusal, Strategy

__all__ = ["Dice", "Placement", "ServiceTask", "check", "pick_for_scale_in", "place", "weigh"]

VALUES_FEW = 32
"""Up to so many values of an attribute, a mask per value is faster than a look-up per row."""

STEPS_MAX = 16
"""Up to so many tasks, one after the other is faster than as a group."""

Dice = np.random.Generator | int


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """`chosen`: ids of instances, one per placed task, in the order of placing.

    `examined` is how many ACTIVE instances there were to choose from, `not_active` how
    many others. Both 0, or `examined` 0: no instances were found.
    """

    chosen: tuple[int, ...]
    unplaced: int
    examined: int
    not_active: int
    table: Refusals | None = None

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Why every examined instance could not take one more; empty when all are placed."""
        return self.table.all() if self.table is not None else ()

    def closest(self) -> Refusal | None:
        """The refusal to tell in a service event."""
        return self.table.closest() if self.table is not None else None


def place(fleet: Fleet, demand: Demand, count: int, *, dice: Dice) -> Placement:
    """Choose instances for `count` tasks; the same arguments give the same answer.

    Raise `QuerySyntaxError` if a constraint's expression is not one.
    """
    mask = admit(fleet, demand)
    active, others = _there(fleet, demand)
    if count == 1:
        row = _pick(fleet, demand, mask, dice)
        if row is not None:
            return Placement((int(fleet.rows.ids[row]),), 0, active, others)
        rows = np.zeros(0, dtype=np.int64)
    else:
        rows = _pick_many(fleet, demand, mask, count, dice)
    chosen = tuple(fleet.rows.ids[rows].tolist())
    unplaced = max(count, 0) - len(chosen)
    if not unplaced:
        return Placement(chosen, 0, active, others)
    placed = np.bincount(rows, minlength=fleet.size).astype(np.int32)
    there = pool_rows(fleet, demand)
    table = refusals(fleet, demand, there[fleet.rows.active[there]], placed)
    return Placement(chosen, unplaced, active, others, table)


def _there(fleet: Fleet, demand: Demand) -> tuple[int, int]:
    """How many instances are there for the demand's tasks: ACTIVE ones, and others."""
    if not demand.pool:
        active = int(np.count_nonzero(fleet.rows.active))
        return active, len(fleet) - active
    rows = pool_rows(fleet, demand)
    active = int(np.count_nonzero(fleet.rows.active[rows]))
    return active, len(rows) - active


def check(fleet: Fleet, demand: Demand, instance_id: int, *, constraints: bool = False) -> Refusal | None:
    """Why an instance cannot take a task, None if it can.

    StartTask bypasses constraints and strategies, but not the rest. Source: reference of
    StartTask; an instance that drains refuses as INACTIVE [our choice].
    """
    row = fleet.row(instance_id)
    if row is None:
        return Refusal(instance_uid="", reason=Reason.MISSING)
    nothing = np.zeros(fleet.size, dtype=np.int32)
    table = refusals(fleet, demand, np.array([row]), nothing, constraints=constraints)
    found = table.all()
    return found[0] if found else None


def weigh(fleet: Fleet, demand: Demand) -> tuple[Refusal, ...]:
    """Ask every instance that is there for it, whatever its status, for one more task: those that refuse."""
    nothing = np.zeros(fleet.size, dtype=np.int32)
    return refusals(fleet, demand, pool_rows(fleet, demand), nothing).all()


def _in_uid_order(fleet: Fleet, mask: Bools) -> Longs:
    rows = fleet.rows.by_uid
    return rows[mask[rows]].astype(np.int64)


def _pick_many(fleet: Fleet, demand: Demand, mask: Bools, count: int, dice: Dice) -> Longs:
    """The rows that take the tasks, in order; as many as there is room for."""
    candidates = _in_uid_order(fleet, mask)
    if count <= 0 or not len(candidates):
        return candidates[:0]
    most = capacities(fleet, demand, candidates, count)
    rules = _rules(fleet, demand, candidates, np.random.default_rng(dice))
    order = None if count <= STEPS_MAX else order_group(rules, most, count)
    rows: Longs = candidates[order_steps(rules, most, count) if order is None else order]
    return rows


def _pick(fleet: Fleet, demand: Demand, mask: Bools, dice: Dice) -> int | None:
    """The row that takes one task: the sequential rule on whole columns."""
    best = mask
    for strategy in demand.rules:
        if strategy.attribute:
            best = _lowest_values(fleet, demand, strategy.attribute, best)
        elif (keys := _row_keys(fleet, demand, strategy, mask, dice)) is not None:
            best = least(best, keys)
    left = np.count_nonzero(best)
    if not left:
        return None
    return int(best.argmax() if left == 1 else masked(best, fleet.rows.rank).argmin())


def _row_keys(fleet: Fleet, demand: Demand, strategy: Strategy, mask: Bools, dice: Dice) -> Ints | None:
    """A strategy's key per row; None if it is the same for all."""
    if strategy.kind == "binpack":
        return fleet.rows.cpu_free if strategy.field == "cpu" else fleet.rows.memory_free
    if strategy.kind == "random":
        candidates = _in_uid_order(fleet, mask)
        keys = np.zeros(fleet.size, dtype=np.float32)
        keys[candidates] = np.random.default_rng(dice).random(len(candidates), dtype=np.float32)
        return keys.view(np.int32)  # the bits of floats from 0 are in the order of the floats
    counts = fleet.group(demand.group)
    return None if counts is None else counts.dense(fleet.size)


def _lowest_values(fleet: Fleet, demand: Demand, attribute: str, mask: Bools) -> Bools:
    """Those of `mask` in the values of an attribute with the fewest tasks of the group."""
    codes = fleet.column(f"attribute:{attribute}").codes
    levels = _levels(fleet, demand, attribute)
    if len(levels) > VALUES_FEW:
        # Places in the order of levels: equal where these are equal, and 32 bits are enough.
        places = np.searchsorted(np.sort(levels), levels).astype(np.int32)
        return least(mask, places[codes])
    by_level: dict[int, list[int]] = {}
    for code, level in enumerate(levels.tolist()):
        by_level.setdefault(level, []).append(code)
    for _, alike in sorted(by_level.items()):
        wanted = tuple(code if code < len(levels) - 1 else -1 for code in alike)
        kept = mask & _having(fleet, attribute, wanted)
        if kept.any():
            return kept
    return mask


def _having(fleet: Fleet, attribute: str, codes: tuple[int, ...]) -> Bools:
    """Per row: its value of an attribute has one of the codes."""
    column = fleet.column(f"attribute:{attribute}")
    return fleet.cached(("values", attribute, codes), lambda: np.isin(column.codes, codes))


def _levels(fleet: Fleet, demand: Demand, attribute: str) -> Longs:
    """Tasks of the group per value of an attribute; the last item is that of instances without.

    Tasks on instances that are not ACTIVE do not count: they are about to leave [our choice].
    """
    column = fleet.column(f"attribute:{attribute}")
    values = len(column.values)
    counts = fleet.group(demand.group)
    if counts is None:
        levels = np.zeros(values + 1, dtype=np.int64)
    else:
        levels = counts.per_value(column.codes, fleet.rows.active, values)
    levels[-1] += LACKING_LAST
    return levels


def _rules(fleet: Fleet, demand: Demand, rows: Longs, dice: np.random.Generator) -> Sequence[Rule]:
    """The strategies as rules about the candidates `rows`."""
    rules: list[Rule] = []
    for strategy in demand.rules:
        if strategy.kind == "random":
            rules.append(Arrivals(dice, len(rows)))
        elif strategy.field == "cpu":
            rules.append(Pack(fleet.rows.cpu_free[rows].astype(np.int64), demand.cpu))
        elif strategy.field == "memory":
            rules.append(Pack(fleet.rows.memory_free[rows].astype(np.int64), demand.memory))
        elif strategy.attribute:
            levels = _levels(fleet, demand, strategy.attribute)
            codes = fleet.column(f"attribute:{strategy.attribute}").codes[rows].astype(np.int64)
            codes[codes < 0] = len(levels) - 1
            rules.append(Spread(codes, levels, by_instance=False))
        else:
            counts = fleet.group(demand.group)
            base = np.zeros(len(rows), dtype=np.int64) if counts is None else counts.at(rows)
            rules.append(Spread(np.arange(len(rows)), base, by_instance=True))
    return rules
