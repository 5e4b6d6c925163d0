"""How long to wait after the nth failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from homeport.core.ids import Ids

Dice = Callable[[], float]
"""A number from 0 (included) to 1 (excluded)."""


def no_dice() -> float:
    """Always 0: no jitter, for tests and for things of which there is one."""
    return 0.0


def dice_from(ids: Ids) -> Dice:
    """Fair dice from a source of tokens."""

    def roll() -> float:
        return int.from_bytes(ids.token(6), "big") / 2.0**48

    return roll


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """`first_seconds`, times `factor` per further failure up to `ceiling_seconds`.

    Up to `jitter` of the delay is added on top by the dice, so that what
    failed together does not come back together.
    """

    first_seconds: float = 0.5
    factor: float = 2.0
    ceiling_seconds: float = 60.0
    jitter: float = 0.2

    def delay_seconds(self, failures: int, dice: Dice = no_dice) -> float:
        """The wait after the `failures`th failure in a row, counted from 1."""
        further = min(failures - 1, 64)  # beyond that a float gains nothing and may overflow
        plain = min(self.first_seconds * self.factor**further, self.ceiling_seconds)
        return plain * (1.0 + self.jitter * dice())
