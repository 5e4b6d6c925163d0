"""What a cluster's instances have left, as a structure of arrays.

A read model: the controller that owns a `Fleet` feeds it from the store and may
rebuild it at any time. Every mutation may be repeated with the same effect as
once, because the change feed repeats them; its cost is that of what changed.
The planner (`plan.placement`) only reads.

Arrays are by row (`fleet_rows`); those returned here belong to the fleet: do not write to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from homeport.services.ecs.plan.fleet_parts import (
    PENDING,
    RUNNING,
    Bools,
    GroupCounts,
    Held,
    Ints,
    Longs,
    PortMap,
    TaskTable,
)
from homeport.services.ecs.plan.fleet_rows import InstanceRows
from homeport.services.ecs.plan.fleet_subjects import Subjects
from homeport.services.ecs.plan.placement_types import Demand, InstanceView, Remaining
from homeport.services.ecs.plan.query import Column

T = TypeVar("T")

ENIS_UNLIMITED = 2**30
_CACHE_MAX = 1024


class Fleet:
    """The instances of one cluster, and what their tasks hold."""

    def __init__(self) -> None:
        self.version = 0
        """Rises with every change."""
        self.attributes_version = 0
        """Rises when what `cached` depends on changes: instances and their attributes."""
        self.rows = InstanceRows()
        self._subjects = Subjects()
        self._gpus: dict[int, list[str]] = {}
        self._task_gpus: dict[int, tuple[str, ...]] = {}
        self._cache: dict[Any, Any] = {}
        self._tasks = TaskTable()
        self._groups: dict[str, GroupCounts] = {}
        self.ports_tcp, self.ports_udp = PortMap(), PortMap()

    # Reading

    def __len__(self) -> int:
        return len(self.rows.row_of)

    def __contains__(self, instance_id: int) -> bool:
        return instance_id in self.rows.row_of

    @property
    def size(self) -> int:
        """Rows in use, vacant ones included."""
        return self.rows.size

    @property
    def connected(self) -> Bools:
        """Per row: its agent is connected."""
        return self.rows.connected

    @property
    def running(self) -> Ints:
        """Per row: its tasks whose desired status is RUNNING."""
        return self.rows.running

    @property
    def registered(self) -> Longs:
        """Per row: the second of its registration."""
        return self.rows.registered

    @property
    def tasks(self) -> int:
        """How many tasks hold something."""
        return len(self._tasks)

    def row(self, instance_id: int) -> int | None:
        """The row of an instance, if it is in the fleet."""
        return self.rows.row_of.get(instance_id)

    def view(self, row: int) -> InstanceView:
        """The instance in a row; LookupError if the row is vacant."""
        return self.rows.view(row)

    def find(self, uid: str) -> InstanceView | None:
        """The instance with this uid, if it is in the fleet."""
        row = self.rows.find(uid)
        return None if row is None else self.rows.view(row)

    def remaining(self, instance_id: int) -> Remaining:
        """What is left of an instance; KeyError if it is not in the fleet."""
        row = self.rows.row_of[instance_id]
        return Remaining(
            cpu=int(self.rows.cpu_free[row]),
            memory=int(self.rows.memory_free[row]),
            ports_tcp=self.ports_tcp.taken(row),
            ports_udp=self.ports_udp.taken(row),
            gpu_ids=tuple(self._gpus.get(row, ())),
            running_tasks=int(self.running[row]),
            pending_tasks=int(self.rows.numbers["pending"][row]),
        )

    def gpu_ids(self, task_id: int) -> tuple[str, ...]:
        """The GPUs that a task holds."""
        return self._task_gpus.get(task_id, ())

    def instance_of(self, task_id: int) -> int | None:
        """Where a task is, as far as the fleet knows."""
        slot = self._tasks.slots.get(task_id)
        return None if slot is None else int(self.rows.ids[self._tasks.row[slot]])

    def held(self, task_id: int) -> Held | None:
        """What a task holds."""
        slot = self._tasks.slots.get(task_id)
        return None if slot is None else self._tasks.kind(slot)

    def groups(self) -> Iterable[str]:
        """The groups that have tasks whose desired status is RUNNING."""
        return tuple(self._groups)

    def group(self, group: str) -> GroupCounts | None:
        """Where the tasks of a group are; None if there are none."""
        return self._groups.get(group)

    def groups_on(self, instance_id: int) -> frozenset[str]:
        """The groups that have tasks on an instance."""
        row = self.rows.row_of[instance_id]
        table = self._tasks
        return frozenset(table.kind(s).group for s in table.on_row(row) if table.flags[s] & RUNNING)

    def hosting(self, group: str) -> Bools:
        """Per row: it hosts a task of the group."""
        mask = np.zeros(self.rows.size, dtype=np.bool_)
        if (counts := self._groups.get(group)) is not None:
            mask[counts.rows()] = True
        return mask

    def rows_up(self, group: str) -> Ints:
        """The rows of a group's tasks that are no longer on their way."""
        return self._tasks.rows_up(group)

    def column(self, subject: str) -> Column:
        """A subject of the cluster query language, of all rows."""
        return self._subjects.column(subject, self.rows.size)

    def cached(self, key: object, build: Callable[[], T]) -> T:
        """`build()`, remembered until instances or attributes change."""
        found: T | None = self._cache.get(key)
        if found is None:
            if len(self._cache) >= _CACHE_MAX:
                self._cache.clear()
            found = self._cache[key] = build()
        return found

    # Instances

    def upsert_instance(self, view: InstanceView) -> None:
        """Take in a new or changed instance."""
        row = self.rows.row_of.get(view.id)
        before = None if row is None else self.rows.view(row)
        if before == view:
            return
        if before is not None and before.uid != view.uid:
            raise ValueError(f"instance {view.id} cannot change its uid")
        if row is None:
            if self.rows.full:
                self._grow(max(64, self.rows.room * 2))
            row = self.rows.admit(view)
        self.version += 1
        self.rows.set(row, view)
        self._set_totals(row, before, view)
        if self._subjects.set(row, view):
            self._forget()

    def _grow(self, size: int) -> None:
        for part in (self.rows, self.ports_tcp, self.ports_udp, self._subjects):
            part.grow(size)

    def _set_totals(self, row: int, before: InstanceView | None, view: InstanceView) -> None:
        numbers = self.rows.numbers
        old = (before.cpu, before.memory, _enis(before)) if before else (0, 0, 0)
        numbers["cpu_free"][row] += view.cpu - old[0]
        numbers["memory_free"][row] += view.memory - old[1]
        numbers["eni_free"][row] += _enis(view) - old[2]
        where = np.array([row])
        for ports, reserved, name in (
            (self.ports_tcp, view.ports_tcp, "ports_tcp"),
            (self.ports_udp, view.ports_udp, "ports_udp"),
        ):
            was = getattr(before, name) if before else ()
            if was != reserved:
                ports.give(row, was)
                ports.take(where, reserved)
        if view.gpu_ids != (before.gpu_ids if before else ()):
            held = {
                gpu for slot in self._tasks.on_row(row) for gpu in self.gpu_ids(int(self._tasks.id[slot]))
            }
            self._gpus[row] = [gpu for gpu in view.gpu_ids if gpu not in held]
            numbers["gpu_free"][row] = len(self._gpus[row])

    def _forget(self) -> None:
        self.attributes_version += 1
        self._cache.clear()

    def remove_instance(self, instance_id: int) -> None:
        """Forget an instance and what its tasks held."""
        row = self.rows.row_of.get(instance_id)
        if row is None:
            return
        self.version += 1
        for slot in list(self._tasks.on_row(row)):
            self._drop(int(self._tasks.id[slot]), row)
        self.ports_tcp.wipe(row)
        self.ports_udp.wipe(row)
        self._gpus.pop(row, None)
        self._subjects.wipe(row)
        self.rows.vacate(row)
        self._forget()

    # Tasks

    def assign(
        self,
        task_id: int,
        instance_id: int,
        demand: Demand,
        *,
        desired_status: str = "RUNNING",
        last_status: str = "PENDING",
        gpu_ids: tuple[str, ...] = (),
    ) -> bool:
        """Take in a task, or what changed of it; False if its instance is not in the fleet.

        A task holds its resources until it is STOPPED, but counts for spreading, for
        distinctInstance and as running only while its desired status is RUNNING.
        `gpu_ids`: the GPUs it has, if already decided; else the first free ones.
        """
        row = self.rows.row_of.get(instance_id)
        if row is None or last_status == "STOPPED":
            self.release(task_id)
            return row is not None
        held, flags = _held(demand), _flags(desired_status, last_status)
        table = self._tasks
        slot = table.slots.get(task_id)
        if slot is not None:
            same_gpus = not gpu_ids or gpu_ids == self.gpu_ids(task_id)
            if table.row[slot] == row and same_gpus and table.kind(slot) == held:
                self._reflag(slot, row, flags)
                return True
            self._drop(task_id, int(table.row[slot]))
        self.version += 1
        rows = np.array([row])
        table.add((task_id,), rows, held, flags)
        self._hold(rows, held, flags)
        if held.gpus or gpu_ids:
            self._take_gpus(task_id, row, held.gpus, gpu_ids)
        return True

    def assign_many(
        self,
        task_ids: Sequence[int],
        instance_ids: Sequence[int],
        demand: Demand,
        *,
        desired_status: str = "RUNNING",
        last_status: str = "PENDING",
    ) -> int:
        """`assign` of identical tasks; returns how many were taken in."""
        rows = [self.rows.row_of.get(i, -1) for i in instance_ids]
        known = not self._tasks.slots.keys().isdisjoint(task_ids) or len(set(task_ids)) < len(task_ids)
        alone = demand.gpus or (len(set(rows)) < len(rows) and (demand.ports_tcp or demand.ports_udp))
        if known or alone or -1 in rows or last_status == "STOPPED":
            return sum(
                self.assign(
                    task_id, instance_id, demand, desired_status=desired_status, last_status=last_status
                )
                for task_id, instance_id in zip(task_ids, instance_ids, strict=True)
            )
        if rows:
            self.version += 1
            held, flags = _held(demand), _flags(desired_status, last_status)
            where = np.array(rows, dtype=np.int64)
            self._tasks.add(task_ids, where, held, flags)
            self._hold(where, held, flags)
        return len(rows)

    def mark(self, task_id: int, *, desired_status: str, last_status: str) -> bool:
        """Take in where a known task stands; False if it is unknown and may hold something."""
        slot = self._tasks.slots.get(task_id)
        if last_status == "STOPPED":
            self.release(task_id)
        elif slot is None:
            return False
        else:
            self._reflag(slot, int(self._tasks.row[slot]), _flags(desired_status, last_status))
        return True

    def release(self, task_id: int) -> None:
        """Give back what a task holds; nothing if it holds nothing."""
        slot = self._tasks.slots.get(task_id)
        if slot is not None:
            self.version += 1
            self._drop(task_id, int(self._tasks.row[slot]))

    def _hold(self, rows: Longs, held: Held, flags: int) -> None:
        numbers = self.rows.numbers
        for name, amount in (
            ("cpu_free", held.cpu),
            ("memory_free", held.memory),
            ("eni_free", held.enis),
            ("running", -(flags & RUNNING)),
            ("pending", -(flags // PENDING)),
        ):
            if amount and len(rows) == 1:
                numbers[name][rows[0]] -= amount
            elif amount:
                np.subtract.at(numbers[name], rows, amount)
        if held.ports_tcp:
            self.ports_tcp.take(rows, held.ports_tcp)
        if held.ports_udp:
            self.ports_udp.take(rows, held.ports_udp)
        if flags & RUNNING:
            counts = self._groups.get(held.group)
            if counts is None:
                counts = self._groups[held.group] = GroupCounts()
            counts.add_many(rows, self.rows.room)

    def _drop(self, task_id: int, row: int) -> None:
        table, numbers = self._tasks, self.rows.numbers
        slot = table.slots[task_id]
        held, flags = table.kind(slot), int(table.flags[slot])
        numbers["cpu_free"][row] += held.cpu
        numbers["memory_free"][row] += held.memory
        numbers["eni_free"][row] += held.enis
        self.ports_tcp.give(row, held.ports_tcp)
        self.ports_udp.give(row, held.ports_udp)
        if gpus := self._task_gpus.pop(task_id, ()):
            owned = self.rows.view(row).gpu_ids
            self._gpus[row] = [g for g in owned if g in gpus or g in self._gpus[row]]
            numbers["gpu_free"][row] = len(self._gpus[row])
        self._reflag(slot, row, 0, was=flags)
        table.drop(task_id)

    def _reflag(self, slot: int, row: int, flags: int, *, was: int | None = None) -> None:
        table = self._tasks
        before = int(table.flags[slot]) if was is None else was
        if before == flags:
            return
        self.version += 1
        table.flags[slot] = flags
        self.rows.numbers["pending"][row] += flags // PENDING - before // PENDING
        change = (flags & RUNNING) - (before & RUNNING)
        if not change:
            return
        self.rows.numbers["running"][row] += change
        group = table.kind(slot).group
        counts = self._groups.setdefault(group, GroupCounts())
        counts.add(row, change, self.rows.room)
        if not counts:
            del self._groups[group]

    def _take_gpus(self, task_id: int, row: int, count: int, gpu_ids: tuple[str, ...]) -> None:
        free = self._gpus.get(row, [])
        taken = gpu_ids or tuple(free[:count])
        self._gpus[row] = [gpu for gpu in free if gpu not in taken]
        self._task_gpus[task_id] = taken
        self.rows.numbers["gpu_free"][row] = len(self._gpus[row])


def _enis(view: InstanceView) -> int:
    return ENIS_UNLIMITED if view.enis is None else view.enis


def _held(demand: Demand) -> Held:
    return Held(
        demand.cpu,
        demand.memory,
        demand.ports_tcp,
        demand.ports_udp,
        demand.gpus,
        demand.enis,
        demand.group,
    )


def _flags(desired_status: str, last_status: str) -> int:
    return (RUNNING if desired_status == "RUNNING" else 0) | (PENDING if last_status == "PENDING" else 0)
