"""How often one caller may ask. Pure: the time is an argument."""

from __future__ import annotations

RATE_PER_SECOND, BURST = 40.0, 60.0
"""Source: amazon-ecs-agent, ECS_TASK_METADATA_RPS_LIMIT ("40,60")."""

_CALLERS_MAX = 4096


class RateLimiter:
    """A token bucket per caller."""

    def __init__(self, *, rate: float = RATE_PER_SECOND, burst: float = BURST) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[str, tuple[float, float]] = {}

    def admit(self, caller: str, now: float) -> bool:
        """Whether `caller` may ask at `now` (seconds on a steady clock)."""
        tokens, seen = self._buckets.pop(caller, (self._burst, now))
        tokens = min(self._burst, tokens + max(now - seen, 0.0) * self._rate)
        admitted = tokens >= 1
        # The dictionary is in the order of use, so the first are those who were away the longest.
        self._buckets[caller] = (tokens - 1 if admitted else tokens, now)
        while len(self._buckets) > _CALLERS_MAX:
            self._buckets.pop(next(iter(self._buckets)))
        return admitted
