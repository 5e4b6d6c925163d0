"""Which of a service's tasks to stop when there are too many.

Order, first to last [reference: scale-in selection]: never protected ones; those not yet
RUNNING; unhealthy ones; those on instances that are not ACTIVE; then what keeps the
placement strategy's result best. Ties are broken by dice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.fleet_parts import Bools, Longs
from homeport.services.ecs.plan.placement_types import SERVICE_DEFAULT, Strategy

_LACKING_FIRST = 2**40


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTask:
    """One task of the service. `running`: its last status is RUNNING."""

    id: int
    instance_id: int | None = None
    running: bool = True
    healthy: bool = True
    protected: bool = False


def pick_for_scale_in(
    fleet: Fleet,
    tasks: Sequence[ServiceTask],
    strategy: Sequence[Strategy],
    count: int,
    *,
    dice: np.random.Generator | int,
) -> tuple[int, ...]:
    """The ids of `count` tasks to stop, in order; fewer if the rest are protected.

    `tasks`: all tasks of the service that should run. `spread` stops where there are most
    of them, `binpack` where most will be left afterwards, `random` by dice.
    """
    tasks = sorted(tasks, key=lambda task: task.id)
    chances = np.random.default_rng(dice).random(len(tasks))
    stages = _stages(fleet, tasks)
    there = np.ones(len(tasks), dtype=np.bool_)
    free = np.array([not task.protected for task in tasks], dtype=np.bool_)
    rules = takewhile(lambda rule: rule.kind != "random", strategy or SERVICE_DEFAULT)
    keys = [_Key(fleet, tasks, rule) for rule in rules]
    picked: list[int] = []
    while len(picked) < count and (left := there & free).any():
        best = left & (stages == stages[left].min())
        for key in keys:
            values = key.values(there)
            best &= values == values[best].max()
        chosen = np.flatnonzero(best)
        index = int(chosen[chances[chosen].argmin()])
        there[index] = False
        picked.append(tasks[index].id)
    return tuple(picked)


def _stages(fleet: Fleet, tasks: Sequence[ServiceTask]) -> Longs:
    return np.array([_stage(fleet, task) for task in tasks], dtype=np.int64)


def _stage(fleet: Fleet, task: ServiceTask) -> int:
    if not task.running:
        return 0
    if not task.healthy:
        return 1
    row = None if task.instance_id is None else fleet.row(task.instance_id)
    return 3 if row is not None and fleet.rows.active[row] else 2


class _Key:
    """What one strategy thinks of each task: the greatest is stopped first."""

    def __init__(self, fleet: Fleet, tasks: Sequence[ServiceTask], rule: Strategy) -> None:
        rows = [None if task.instance_id is None else fleet.row(task.instance_id) for task in tasks]
        self._spread = rule.kind == "spread"
        if self._spread and rule.attribute:
            column = fleet.column(f"attribute:{rule.attribute}").codes
            values: Sequence[int] = [-1 if row is None else int(column[row]) for row in rows]
        else:
            values = [-1 if row is None else row for row in rows]
        self._values, self._codes = np.unique(np.array(values, dtype=np.int64), return_inverse=True)
        free = fleet.rows.cpu_free if rule.field == "cpu" else fleet.rows.memory_free
        self._free = np.array([0 if row is None else int(free[row]) for row in rows], dtype=np.int64)
        held = [fleet.held(task.id) for task in tasks]
        self._held = np.array([0 if h is None else getattr(h, rule.field, 0) for h in held], dtype=np.int64)

    def values(self, there: Bools) -> Longs:
        """Per task, given which are still there."""
        if self._spread:
            counts = np.bincount(self._codes[there], minlength=len(self._values))
            counts[self._values < 0] += _LACKING_FIRST
            found: Longs = counts[self._codes]
            return found
        gone = np.zeros(len(self._values), dtype=np.int64)
        np.add.at(gone, self._codes[~there], self._held[~there])
        left: Longs = self._free + gone[self._codes] + self._held
        return left
