"""What a store is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from homeport.store.feed import Feed
from homeport.store.tx import Tx

T = TypeVar("T")


class Store(Protocol):
    """Where everything is kept. Transactions are plain functions.

    A function cannot await, so nothing can be waited for inside a transaction;
    and it may be run more than once (the database asks for it after a
    conflict, or it moves from the event loop to a thread), so it must do
    nothing but read, decide and write through its `Tx`. Whatever it raises
    undoes its writes and reaches the caller.

    `bulk=True` says beforehand that it will take long (more than a few
    milliseconds); without it the store finds out by itself, at some cost.
    """

    feed: Feed

    async def read(self, fn: Callable[[Tx], T], *, bulk: bool = False) -> T:
        """Run `fn` on one snapshot of the committed state."""
        ...

    async def write(self, fn: Callable[[Tx], T], *, bulk: bool = False) -> T:
        """Run `fn` as if it were alone and return once its writes are durable."""
        ...

    async def close(self) -> None:
        """Finish what was begun, refuse what comes, and let go of the database."""
        ...
