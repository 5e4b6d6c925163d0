"""In which order identical tasks go to instances.

The sequential rule, which everything here must equal: while tasks are left, take the
instances that can take one more; each strategy in turn keeps those that are best by it
(`spread`: in the value with the fewest tasks of the group; `binpack`: the least free;
`random`: the least by dice); of those left the least uid takes the task.

A group is placed in one pass when its strategies allow: leading spreads, each within
the one before, are filled like water (everywhere the next task goes to the lowest
level), and below them each instance's keys rise or fall with every task it takes, so
that the order of picks is a sort. Other combinations go step by step.

`random` gives every instance a Poisson process: its tasks "arrive" after exponential
times, and the next to arrive is served. By memorylessness that is a uniform choice among
the instances that can take one more, each time, and yet a sort.

Positions are indices of candidate instances, in the order of uids; all arrays are by position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from homeport.services.ecs.plan.fleet_parts import Bools, Ints, Longs

Floats = npt.NDArray[np.float64]
Keys = npt.NDArray[np.generic]
_INT_MAX = 2**31 - 1
_LONG_MAX = 2**63 - 1
LAYER_NUMBERS_MAX = 2**21
LACKING_LAST = 2**40
"""Added to the level of the instances that lack a spread's attribute: they come last."""


@dataclass(frozen=True, slots=True)
class Spread:
    """`codes[position]` is the value spread over; `base[code]` its tasks so far."""

    codes: Longs
    base: Longs
    by_instance: bool

    def keys(self, positions: Longs, taken: Longs) -> Longs:
        """Of instances that took `taken` tasks; right for a spread over instances only."""
        return self.base[self.codes[positions]] + taken


@dataclass(frozen=True, slots=True)
class Pack:
    """`free[position]` goes down by `step` with each task."""

    free: Longs
    step: int

    def keys(self, positions: Longs, taken: Longs) -> Longs:
        """What is free of instances that took `taken` tasks."""
        return self.free[positions] - self.step * taken


class Arrivals:
    """When each position's tasks arrive: drawn in layers, one number per position and task.

    A position that takes more tasks than there are layers goes through its own again,
    later; with `LAYER_NUMBERS_MAX` that is rare, and bounds the memory.
    """

    def __init__(self, dice: np.random.Generator, positions: int) -> None:
        self._dice = dice
        self._period = max(16, LAYER_NUMBERS_MAX // max(positions, 1))
        self._times: Floats = np.zeros((0, positions))

    def _layers(self, count: int) -> Floats:
        """At least `count` layers, by (task, position)."""
        known, positions = self._times.shape
        if count > known:
            more = min(max(count, 2 * known), self._period) - known
            drawn = self._dice.random((more, positions), dtype=np.float32)
            steps = -np.log1p(-drawn.astype(np.float64))
            last = self._times[-1:] if known else np.zeros((1, positions))
            times = np.cumsum(np.concatenate([last, steps]), axis=0)[1:]
            self._times = np.concatenate([self._times, times])
        return self._times

    def keys(self, positions: Longs, taken: Longs) -> Floats:
        """When the next task of instances that took `taken` tasks arrives."""
        deepest = int(taken.max()) + 1 if len(taken) else 0
        times = self._layers(min(deepest, self._period))
        when: Floats = times[taken % self._period, positions]
        if deepest > self._period:
            when = when + taken // self._period * times[-1][positions]
        return when


Rule = Spread | Pack | Arrivals


@dataclass(frozen=True, slots=True)
class Slots:
    """Candidate picks: the `taken`-th task (from 0) of a position, the `turn`-th of its bucket."""

    positions: Longs
    taken: Longs
    turn: Longs


def order_group(rules: Sequence[Rule], most: Longs, count: int) -> Longs | None:
    """The positions that take the tasks, in order; None if these rules go step by step only.

    `most`: how many each position can take, at least 1.
    """
    chain, leaf = _split(rules)
    if chain is None:
        return None
    innermost = chain[-1] if chain else Spread(np.zeros(len(most), np.int64), np.zeros(1, np.int64), False)
    quota = _quotas(chain or [innermost], most, count)
    if innermost.by_instance:
        slots = _repeat(np.arange(len(most)), quota[innermost.codes])
    elif leaf and isinstance(leaf[0], Arrivals):
        slots = _arrive(innermost.codes, quota, most, leaf[0])
    else:
        slots = _fill(innermost.codes, quota, most, leaf)
    return _merge(chain, leaf, slots)[:count]


def _split(rules: Sequence[Rule]) -> tuple[list[Spread] | None, list[Rule]]:
    """Spreads that are filled like water, and the rules below them. None: step by step."""
    chain: list[Spread] = []
    rest = list(rules)
    while rest and isinstance(first := rest[0], Spread) and (not chain or _within(first, chain[-1])):
        chain.append(first)
        del rest[0]
    if any(isinstance(rule, Spread) and not rule.by_instance for rule in rest):
        return None, []
    if not (chain and chain[-1].by_instance) and _rises_late(rest):
        return None, []
    return chain, rest


def _within(fine: Spread, coarse: Spread) -> bool:
    """Whether each value of `fine` is within one value of `coarse`."""
    if fine.by_instance:
        return True
    of: Longs = np.full(len(fine.base), -1, dtype=np.int64)
    of[fine.codes] = coarse.codes
    return bool((of[fine.codes] == coarse.codes).all())


def _rises_late(leaf: Sequence[Rule]) -> bool:
    """Whether a key that rises decides after keys that differ but do not change."""
    for index, rule in enumerate(leaf):
        if isinstance(rule, Pack):
            if rule.step:
                return False
        else:
            return index > 0 or isinstance(rule, Spread)
    return False


def _quotas(chain: Sequence[Spread], most: Longs, count: int) -> Longs:
    """How many picks each innermost bucket needs at most, for the first `count` of all."""
    totals = _sums(chain[0], most)
    quota = _water(chain[0].base, totals, count)
    for coarse, fine in pairwise(chain):
        totals = _sums(fine, most)
        parent: Longs = np.zeros(len(fine.base), dtype=np.int64)
        parent[fine.codes] = coarse.codes
        used = np.flatnonzero(totals)
        used = used[np.argsort(parent[used], kind="stable")]
        ends = np.flatnonzero(np.diff(parent[used])) + 1
        inner: Longs = np.zeros(len(fine.base), dtype=np.int64)
        for children in np.split(used, ends):
            allowed = int(quota[parent[children[0]]])
            inner[children] = _water(fine.base[children], totals[children], allowed)
        quota = inner
    return quota


def _sums(level: Spread, most: Longs) -> Longs:
    if level.by_instance:
        return most
    sums = np.zeros(len(level.base), dtype=np.int64)
    np.add.at(sums, level.codes, most)
    return sums


def _water(base: Longs, room: Longs, count: int) -> Longs:
    """Per bucket, how many of `count` tasks it can get when each goes to the lowest level.

    The last level may be filled in part only; which buckets get it is decided by their
    keys, so every bucket may get one there.
    """
    if int(room.sum()) <= count:
        return room
    low = int(base.min())
    high = low + 1
    while int(np.clip(high - base, 0, room).sum()) <= count:
        low, high = high, high + 2 * (high - low)
    while high - low > 1:
        middle = (low + high) // 2
        if int(np.clip(middle - base, 0, room).sum()) <= count:
            low = middle
        else:
            high = middle
    return np.clip(high - base, 0, room)


def _repeat(positions: Longs, times: Longs, before: Longs | None = None) -> Slots:
    """Slots of each position, `times` each; the bucket took `before` others first."""
    ends = np.cumsum(times)
    taken = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - times, times)
    turn = taken if before is None else taken + np.repeat(before, times)
    return Slots(np.repeat(positions, times), taken, turn)


def _fill(codes: Longs, quota: Longs, most: Longs, leaf: Sequence[Rule]) -> Slots:
    """Each bucket fills one instance after the other, the best at the start first."""
    everyone = np.arange(len(most))
    none = np.zeros(len(most), dtype=np.int64)
    keys = [rule.keys(everyone, none) for rule in leaf]
    order = np.lexsort((*reversed(keys), codes))
    room, bucket = most[order], codes[order]
    before = np.cumsum(room) - room
    before -= before[_starts(bucket)]
    times = np.clip(quota[bucket] - before, 0, room)
    return _repeat(order, times, before)


def _arrive(codes: Longs, quota: Longs, most: Longs, arrivals: Arrivals) -> Slots:
    """Each bucket takes the tasks that arrive first."""
    deepest = int(most.max())
    depth = min(deepest, 8 + 2 * int(quota.sum()) // len(most))
    while True:
        slots = _repeat(np.arange(len(most)), np.minimum(most, depth))
        when, bucket = arrivals.keys(slots.positions, slots.taken), codes[slots.positions]
        order = np.lexsort((slots.positions, when, bucket))
        bucket = bucket[order]
        turn = np.arange(len(order)) - _starts(bucket)
        keep = turn < quota[bucket]
        order, turn, bucket = order[keep], turn[keep], bucket[keep]
        horizon = np.full(len(quota), np.inf)
        unfinished = np.flatnonzero(most > depth)
        last = arrivals.keys(unfinished, np.full(len(unfinished), depth - 1))
        np.minimum.at(horizon, codes[unfinished], last)
        enough = len(order) == int(quota.sum())
        if enough and bool((when[order] < horizon[bucket]).all()):
            return Slots(slots.positions[order], slots.taken[order], turn)
        depth = min(deepest, depth * 2)


def _starts(sorted_codes: Longs) -> Longs:
    """Per item of a sorted array, the index of the first item like it."""
    indices = np.arange(len(sorted_codes))
    first = np.ones(len(sorted_codes), dtype=np.bool_)
    first[1:] = sorted_codes[1:] != sorted_codes[:-1]
    return np.maximum.accumulate(np.where(first, indices, 0))


def _merge(chain: Sequence[Spread], leaf: Sequence[Rule], slots: Slots) -> Longs:
    """All buckets' picks in one order: the lowest level first, then the rules below."""
    positions = slots.positions
    keys: list[Keys] = [slots.taken, positions]
    keys += [rule.keys(positions, slots.taken) for rule in reversed(leaf)]
    turn = slots.turn
    for depth in range(len(chain) - 1, -1, -1):
        level = chain[depth]
        bucket = level.codes[positions]
        if depth < len(chain) - 1:
            order = np.lexsort((*keys, bucket))
            turn = np.empty(len(order), dtype=np.int64)
            turn[order] = np.arange(len(order)) - _starts(bucket[order])
        keys.append(level.base[bucket] + turn)
    if not chain:
        keys.append(turn)
    return positions[np.lexsort(tuple(keys))]


def order_steps(rules: Sequence[Rule], most: Longs, count: int) -> Longs:
    """The same as `order_group`, for all rules, one task after the other."""
    everyone = np.arange(len(most))
    taken: Longs = np.zeros(len(most), dtype=np.int64)
    keys = [
        rule.base[rule.codes] if isinstance(rule, Spread) else rule.keys(everyone, taken) for rule in rules
    ]
    chosen = []
    for _ in range(count):
        best = taken < most
        if not best.any():
            break
        for key in keys:
            best = _least_of_any(best, key)
        position = int(best.argmax())
        chosen.append(position)
        taken[position] += 1
        for rule, key in zip(rules, keys, strict=True):
            if isinstance(rule, Spread):
                key[rule.codes == rule.codes[position]] += 1
            else:
                at = np.array([position])
                key[at] = rule.keys(at, taken[at])
    return np.array(chosen, dtype=np.int64)


def least(among: Bools, keys: Ints) -> Bools:
    """Those of `among` with the least key."""
    kept = masked(among, keys)
    best: Bools = among & (kept == kept.min())
    return best


def masked(among: Bools, keys: Ints) -> Ints:
    """`keys`, and the largest number where not `among`; three times as fast as `np.where`."""
    floor = among.astype(np.int32)
    floor += _INT_MAX  # 0 becomes the largest number and 1, wrapping around, the smallest
    return np.maximum(keys, floor, out=floor)


def _least_of_any(among: Bools, keys: Keys) -> Bools:
    worst = np.inf if keys.dtype.kind == "f" else _LONG_MAX
    kept = np.where(among, keys, np.array(worst, dtype=keys.dtype))
    best: Bools = among & (kept == kept.min())
    return best
