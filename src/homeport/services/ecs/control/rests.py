"""How long a large service is left alone between two looks.

A look compares the versions of all live tasks of the service and decides about all of them, and every report
of one asks for a look: without rest a rollout of n tasks would cost n times n. The rest grows with the tasks,
so that looking stays a fixed share of the time.
"""

from __future__ import annotations

import asyncio

RESTS_FROM_TASKS = 100
REST_SECONDS_A_TASK = 0.000_1
"""A look costs about a third of this."""


class Rests:
    """Ends of rests on the loop's clock, by service; small services have none."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def left(self, key: str) -> float:
        """Seconds until the service may be looked at; 0: now."""
        until = self._until.get(key)
        if until is None:
            return 0.0
        left = until - asyncio.get_running_loop().time()
        if left > 0:
            return left
        del self._until[key]
        return 0.0

    def begin(self, key: str, tasks: int, *, is_done: bool) -> None:
        """It was looked at; it rests unless it has more to start than one look does."""
        if is_done and tasks > RESTS_FROM_TASKS:
            self._until[key] = asyncio.get_running_loop().time() + tasks * REST_SECONDS_A_TASK
