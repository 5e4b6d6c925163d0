"""News of changed state, as everything above the store sees it.

A change says *which key*, never what happened: consumers read the state again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Change(NamedTuple):
    """The thing `key` of `kind` (`ecs.service`, ...) was written."""

    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes in the order they were committed, each at most once.

    `resync` means: something may have been missed, list everything. It is set
    on the first batch of every subscription and after falling behind.
    """

    changes: tuple[Change, ...] = ()
    resync: bool = False


class Subscription(Protocol):
    """An endless stream of batches; ends when its store closes."""

    def __aiter__(self) -> AsyncIterator[Batch]: ...

    async def __anext__(self) -> Batch: ...

    def is_current(self) -> bool:
        """Whether nothing of its kinds is known to this process and not yet taken here."""
        ...
