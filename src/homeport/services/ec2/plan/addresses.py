"""Which address of a subnet is next. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from homeport.services.ec2.plan.cidrs import usable

Taken = Callable[[int, int], Iterable[int]]
"""The taken addresses from one number to another, both included, in their order. Read as far as needed."""


def next_free(cidr: str, start: int, taken: Taken) -> int | None:
    """The first free address at or behind `start`, else from the subnet's beginning; None: it is full.

    Searching on from the last one leaves an address alone for as long as possible after its release, so that
    connections which others still remember do not meet a stranger.
    """
    first, last = usable(cidr)
    if not first <= start <= last:
        start = first
    found = _gap(start, last, taken)
    return found if found is not None else _gap(first, start - 1, taken)


def _gap(low: int, high: int, taken: Taken) -> int | None:
    expected = low
    if low <= high:
        for address in taken(low, high):
            if address != expected:
                break
            expected += 1
    return expected if expected <= high else None
