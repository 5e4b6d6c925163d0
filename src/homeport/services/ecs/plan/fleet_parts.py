"""The parts of a fleet that are more than one array: ports, task groups, tasks.

Rows are positions in arrays; a row belongs to one instance at a time. Arrays are
longer than the rows in use, so that growing is rare.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

T = TypeVar("T", bound=np.generic)

DENSE_FROM = 512
"""Rows from which a group's counts are kept as an array instead of a dict."""


def grown(array: npt.NDArray[T], size: int) -> npt.NDArray[T]:
    """A copy with room for `size` items, the new ones zero."""
    longer = np.zeros(size, dtype=array.dtype)
    longer[: len(array)] = array
    return longer


class PortMap:
    """Which host ports of one protocol are taken, as one array per word of 64 ports.

    Only words with a port in use exist. A port taken twice (which the planner never
    does, but a node may report) stays taken until both let go.
    """

    def __init__(self) -> None:
        self._words: dict[int, npt.NDArray[np.uint64]] = {}
        self._again: Counter[tuple[int, int]] = Counter()
        self._size = 0

    def grow(self, size: int) -> None:
        """Make room for `size` rows."""
        self._size = size
        self._words = {word: grown(bits, size) for word, bits in self._words.items()}

    def clash(self, ports: Iterable[int], rows: slice | Longs) -> Bools | None:
        """Per row: one of `ports` is taken. None if none is taken anywhere."""
        clash: Bools | None = None
        for word, mask in _by_word(ports).items():
            if (bits := self._words.get(word)) is not None:
                taken = (bits[rows] & np.uint64(mask)) != 0
                clash = taken if clash is None else clash | taken
        return clash

    def take(self, rows: Longs, ports: Iterable[int]) -> None:
        """Take the ports on every one of `rows`, which are distinct."""
        for port in set(ports):
            word, bit = port >> 6, np.uint64(1 << (port & 63))
            bits = self._words.get(word)
            if bits is None:
                bits = self._words[word] = np.zeros(self._size, dtype=np.uint64)
            for row in rows[(bits[rows] & bit) != 0].tolist():
                self._again[row, port] += 1
            bits[rows] |= bit

    def give(self, row: int, ports: Iterable[int]) -> None:
        """Give the ports of one row back."""
        for port in set(ports):
            if self._again[row, port] > 0:
                self._again[row, port] -= 1
                continue
            del self._again[row, port]
            word = port >> 6
            bits = self._words[word]
            bits[row] &= np.uint64(~(1 << (port & 63)) & (2**64 - 1))
            if not bits.any():
                del self._words[word]

    def wipe(self, row: int) -> None:
        """Forget a row's ports."""
        for bits in self._words.values():
            bits[row] = 0
        for key in [key for key in self._again if key[0] == row]:
            del self._again[key]

    def taken(self, row: int) -> tuple[int, ...]:
        """The row's taken ports, ascending."""
        found = []
        for word in sorted(self._words):
            bits = int(self._words[word][row])
            found += [(word << 6) + bit for bit in range(64) if bits >> bit & 1]
        return tuple(found)


def _by_word(ports: Iterable[int]) -> dict[int, int]:
    words: dict[int, int] = {}
    for port in ports:
        words[port >> 6] = words.get(port >> 6, 0) | 1 << (port & 63)
    return words


class GroupCounts:
    """How many tasks of one group each row has; an array once they are on many rows."""

    __slots__ = ("_dense", "_sparse")

    def __init__(self) -> None:
        self._sparse: dict[int, int] = {}
        self._dense: Ints | None = None

    def add(self, row: int, change: int, size: int) -> None:
        """Add to one row; `size` is how many rows there may be."""
        if self._dense is not None:
            self._room(size)[row] += change
            return
        count = self._sparse.get(row, 0) + change
        if count:
            self._sparse[row] = count
        else:
            del self._sparse[row]
        if len(self._sparse) > DENSE_FROM:
            self._dense = self.dense(size)
            self._sparse = {}

    def add_many(self, rows: Longs, size: int) -> None:
        """Add one per item of `rows`."""
        if self._dense is None and len(self._sparse) + len(rows) <= DENSE_FROM:
            for row in rows.tolist():
                self._sparse[row] = self._sparse.get(row, 0) + 1
            return
        if self._dense is None:
            self._dense = self.dense(size)
            self._sparse = {}
        np.add.at(self._room(size), rows, 1)

    def _room(self, size: int) -> Ints:
        if self._dense is None or len(self._dense) < size:
            self._dense = self.dense(size)
        return self._dense

    def rows(self) -> Longs:
        """The rows that have any."""
        if self._dense is not None:
            return np.flatnonzero(self._dense)
        return np.fromiter(self._sparse, dtype=np.int64, count=len(self._sparse))

    def at(self, rows: Longs) -> Longs:
        """The counts of `rows`."""
        if self._dense is not None:
            inside = np.minimum(rows, len(self._dense) - 1)
            return np.where(rows < len(self._dense), self._dense[inside], 0).astype(np.int64)
        get = self._sparse.get
        if len(self._sparse) < len(rows):
            return self.dense(int(rows.max()) + 1)[rows].astype(np.int64)
        return np.array([get(row, 0) for row in rows.tolist()], dtype=np.int64)

    def dense(self, size: int) -> Ints:
        """The counts of all rows. Do not write to it."""
        if self._dense is not None:
            return self._dense[:size] if len(self._dense) >= size else grown(self._dense, size)
        counts = np.zeros(size, dtype=np.int32)
        inside = {row: count for row, count in self._sparse.items() if row < size}
        counts[list(inside)] = list(inside.values())
        return counts

    def per_value(self, codes: Ints, active: Bools, values: int) -> Longs:
        """Tasks per code of a column, on active rows; the last item is that of rows without (-1)."""
        if self._dense is not None:
            size = min(len(codes), len(self._dense))
            weights = np.where(active[:size], self._dense[:size], 0)
            return np.bincount(codes[:size] + 1, weights, values + 1).astype(np.int64)[_last_first(values)]
        counts = np.zeros(values + 1, dtype=np.int64)
        for row, count in self._sparse.items():
            if active[row]:
                counts[codes[row]] += count
        return counts

    def __bool__(self) -> bool:
        if self._dense is not None:
            return bool(self._dense.any())
        return bool(self._sparse)


def _last_first(values: int) -> Longs:
    """Moves the first of `values` + 1 items to the end."""
    return np.roll(np.arange(values + 1), -1)


class Held(NamedTuple):
    """What a task holds, and whose it is. Equal ones are stored once."""

    cpu: int
    memory: int
    ports_tcp: tuple[int, ...]
    ports_udp: tuple[int, ...]
    gpus: int
    enis: int
    group: str


RUNNING, PENDING = 1, 2
"""Flags of a task: its desired status is RUNNING; its last status is PENDING."""


class TaskTable:
    """Which task holds what on which row: about 120 bytes a task."""

    def __init__(self) -> None:
        self.slots: dict[int, int] = {}
        self.row: Ints = np.zeros(0, dtype=np.int32)
        self.held: Ints = np.zeros(0, dtype=np.int32)
        self.flags: npt.NDArray[np.uint8] = np.zeros(0, dtype=np.uint8)
        self.id: Longs = np.zeros(0, dtype=np.int64)
        self._vacant: list[int] = []
        self._kinds: list[Held | None] = []
        self._kind_index: dict[Held, int] = {}
        self._kind_uses: list[int] = []
        self._kind_vacant: list[int] = []

    def __len__(self) -> int:
        return len(self.slots)

    def kind(self, slot: int) -> Held:
        """What the task in `slot` holds."""
        kind: Held | None = self._kinds[self.held[slot]]
        if kind is None:
            raise LookupError(f"no task in slot {slot}")
        return kind

    def on_row(self, row: int) -> Iterator[int]:
        """The slots of the tasks on a row."""
        yield from np.flatnonzero(self.row == row).tolist()

    def rows_up(self, group: str) -> Ints:
        """The rows of a group's tasks that should run and are no longer pending."""
        codes = [code for held, code in self._kind_index.items() if held.group == group]
        of_group = np.isin(self.held, codes) & (self.row >= 0) & (self.flags == RUNNING)
        found: Ints = self.row[of_group]
        return found

    def add(self, task_ids: Sequence[int], rows: Longs, held: Held, flags: int) -> None:
        """Record new tasks, one per row."""
        count = len(task_ids)
        slots = np.array(self._room(count), dtype=np.int64)
        self.slots.update(zip(task_ids, slots.tolist(), strict=True))
        self.id[slots] = task_ids
        self.row[slots] = rows
        self.flags[slots] = flags
        self.held[slots] = self._intern(held, count)

    def drop(self, task_id: int) -> None:
        """Forget a task."""
        slot = self.slots.pop(task_id)
        self.row[slot] = -1
        self._vacant.append(slot)
        code = int(self.held[slot])
        self._kind_uses[code] -= 1
        kind = self._kinds[code]
        if self._kind_uses[code] == 0 and kind is not None:
            del self._kind_index[kind]
            self._kinds[code] = None
            self._kind_vacant.append(code)

    def _intern(self, held: Held, uses: int) -> int:
        code = self._kind_index.get(held)
        if code is None and self._kind_vacant:
            code = self._kind_vacant.pop()
            self._kinds[code] = held
        elif code is None:
            code = len(self._kinds)
            self._kinds.append(held)
            self._kind_uses.append(0)
        self._kind_index[held] = code
        self._kind_uses[code] += uses
        return code

    def _room(self, count: int) -> list[int]:
        missing = count - len(self._vacant)
        if missing > 0:
            size = len(self.id)
            larger = max(size * 2, size + missing, 64)
            self.row, self.held = grown(self.row, larger), grown(self.held, larger)
            self.flags, self.id = grown(self.flags, larger), grown(self.id, larger)
            self.row[size:] = -1
            self._vacant[:0] = range(larger - 1, size - 1, -1)
        taken = self._vacant[-count:][::-1]
        del self._vacant[-count:]
        return taken
