"""The instances of a fleet as rows of arrays: who is where, in which order, with what left."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import numpy.typing as npt

from homeport.services.ecs.plan.fleet_parts import Bools, Ints, Longs, grown
from homeport.services.ecs.plan.placement_types import InstanceView
from homeport.services.ecs.plan.query import seconds_of

_NUMBERS = ("cpu_free", "memory_free", "gpu_free", "eni_free", "running", "pending", "rank", "by_uid")
_FLAGS = ("active", "connected", "ready")


class InstanceRows:
    """Rows are positions in arrays. Some may be vacant: those are never `active`.

    The arrays handed out are the rows' own: read them only. `numbers` is for the fleet to change.
    """

    def __init__(self) -> None:
        self.numbers: dict[str, Ints] = {name: np.zeros(0, dtype=np.int32) for name in _NUMBERS}
        self._flags: dict[str, Bools] = {name: np.zeros(0, dtype=np.bool_) for name in _FLAGS}
        self._registered: Longs = np.zeros(0, dtype=np.int64)
        self.ids: Longs = np.zeros(0, dtype=np.int64)
        self.uid_of: npt.NDArray[np.object_] = np.zeros(0, dtype=np.object_)
        self.row_of: dict[int, int] = {}
        self._views: list[InstanceView | None] = []
        self._uids: list[str] = []
        self._vacant: list[int] = []
        self._size = 0
        self.closed: Bools | None = None
        """Per row: it takes no tasks but those of daemons; `None`: that is so nowhere."""

    @property
    def room(self) -> int:
        """How long the arrays are."""
        return len(self.ids)

    @property
    def size(self) -> int:
        """Rows in use, vacant ones included."""
        return self._size

    @property
    def cpu_free(self) -> Ints:
        """CPU units free, per row. Negative if more was taken than there is."""
        return self.numbers["cpu_free"][: self._size]

    @property
    def memory_free(self) -> Ints:
        """MiB free, per row."""
        return self.numbers["memory_free"][: self._size]

    @property
    def gpu_free(self) -> Ints:
        """GPUs free, per row."""
        return self.numbers["gpu_free"][: self._size]

    @property
    def eni_free(self) -> Ints:
        """Network interfaces free, per row."""
        return self.numbers["eni_free"][: self._size]

    @property
    def running(self) -> Ints:
        """Tasks whose desired status is RUNNING, per row."""
        return self.numbers["running"][: self._size]

    @property
    def rank(self) -> Ints:
        """The position of each row in the order of uids."""
        return self.numbers["rank"][: self._size]

    @property
    def by_uid(self) -> Ints:
        """The rows that are alive, in the order of uids."""
        return self.numbers["by_uid"][: len(self._uids)]

    @property
    def active(self) -> Bools:
        """Per row: an instance whose status is ACTIVE."""
        return self._flags["active"][: self._size]

    @property
    def connected(self) -> Bools:
        """Per row: its agent is connected."""
        return self._flags["connected"][: self._size]

    @property
    def ready(self) -> Bools:
        """Per row: ACTIVE and connected."""
        return self._flags["ready"][: self._size]

    @property
    def registered(self) -> Longs:
        """Per row: the second of its registration."""
        return self._registered[: self._size]

    def view(self, row: int) -> InstanceView:
        """The instance in a row."""
        view = self._views[row]
        if view is None:
            raise LookupError(f"row {row} is vacant")
        return view

    def find(self, uid: str) -> int | None:
        """The row of the instance with this uid."""
        place = bisect_left(self._uids, uid)
        found = place < len(self._uids) and self._uids[place] == uid
        return int(self.by_uid[place]) if found else None

    def grow(self, size: int) -> None:
        """Make room for `size` rows."""
        self.numbers = {name: grown(array, size) for name, array in self.numbers.items()}
        self._flags = {name: grown(array, size) for name, array in self._flags.items()}
        self._registered, self.ids = grown(self._registered, size), grown(self.ids, size)
        self.uid_of = grown(self.uid_of, size)

    @property
    def full(self) -> bool:
        """Whether `admit` needs `grow` first."""
        return not self._vacant and self._size == self.room

    def admit(self, view: InstanceView) -> int:
        """A row for a new instance, with nothing in it."""
        if self._vacant:
            row = self._vacant.pop()
        else:
            row = self._size
            self._size += 1
            self._views.append(None)
        self.row_of[view.id] = row
        self.ids[row] = view.id
        self.uid_of[row] = view.uid
        for name in ("cpu_free", "memory_free", "gpu_free", "eni_free", "running", "pending"):
            self.numbers[name][row] = 0
        place = bisect_left(self._uids, view.uid)
        self._uids.insert(place, view.uid)
        count = len(self._uids)
        by_uid = self.numbers["by_uid"]
        by_uid[place + 1 : count] = by_uid[place : count - 1].copy()
        by_uid[place] = row
        self._rank_from(place)
        return row

    def set(self, row: int, view: InstanceView) -> None:
        """What is known of the instance in a row."""
        self._views[row] = view
        active = view.status == "ACTIVE"
        self._flags["active"][row] = active
        self._flags["connected"][row] = view.agent_connected
        self._flags["ready"][row] = active and view.agent_connected
        self._registered[row] = seconds_of(view.registered_at)

    def vacate(self, row: int) -> None:
        """The row is nobody's."""
        for flags in self._flags.values():
            flags[row] = False
        place, count = int(self.rank[row]), len(self._uids)
        by_uid = self.numbers["by_uid"]
        by_uid[place : count - 1] = by_uid[place + 1 : count].copy()
        del self._uids[place]
        self._rank_from(place)
        del self.row_of[self.view(row).id]
        self._views[row] = None
        self._vacant.append(row)

    def _rank_from(self, start: int) -> None:
        rows = self.by_uid[start:]
        self.numbers["rank"][rows] = np.arange(start, start + len(rows), dtype=np.int32)
