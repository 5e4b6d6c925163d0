"""Numbers of an instance's sandboxes: which are free. One that was given back is not given at once again."""

from __future__ import annotations

from collections.abc import Iterable

from homeport.node.ports import DriverError
from homeport.node.sandbox.layout import FIRST_NUMBER, LAST_NUMBER


class Numbers:
    """Given round and round, so that what still travels to a sandbox that is gone meets nobody."""

    def __init__(self) -> None:
        self._used: set[int] = set()
        self._next = FIRST_NUMBER

    def hold(self, numbers: Iterable[int]) -> None:
        """These are used."""
        self._used.update(numbers)
        self._next = max(self._used, default=FIRST_NUMBER - 1) + 1

    def take(self) -> int:
        """One for a new sandbox. Raise `DriverError` when there is none."""
        count = LAST_NUMBER - FIRST_NUMBER + 1
        for step in range(count):
            number = FIRST_NUMBER + (self._next - FIRST_NUMBER + step) % count
            if number not in self._used:
                self._used.add(number)
                self._next = number + 1
                return number
        raise DriverError("CannotCreateContainerError", f"all {count} networks of this instance are in use")

    def give_back(self, number: int) -> None:
        """It is free."""
        self._used.discard(number)

    def __contains__(self, number: int) -> bool:
        return number in self._used
