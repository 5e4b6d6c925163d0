"""What a controller of many keys tells somebody who only takes everything at once, as a proxy does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Roster(Generic[T]):
    """By key what is wanted, in memory only; each change says all of it again to `tell`.

    Nothing is said before every key of the first look was looked at: whoever is told may go on with what
    an earlier process said, and what is left out would end.
    """

    def __init__(self, tell: Callable[[Collection[T]], None]) -> None:
        self._tell = tell
        self._wanted: dict[str, T] = {}
        self._unseen: set[str] | None = None

    def keys(self) -> tuple[str, ...]:
        """Of what is something wanted."""
        return tuple(self._wanted)

    def get(self, key: str) -> T | None:
        """What is wanted of this key."""
        return self._wanted.get(key)

    def items(self) -> tuple[tuple[str, T], ...]:
        """Everything that is wanted."""
        return tuple(self._wanted.items())

    def expect(self, keys: Iterable[str]) -> None:
        """At the first look: these will be looked at."""
        if self._unseen is None:
            self._unseen = set(keys)
            self._say()

    def put(self, key: str, wanted: T) -> bool:
        """This from now on; whether it is something else than before."""
        if self._wanted.get(key) == wanted:
            return False
        self._wanted[key] = wanted
        self._say(key)
        return True

    def drop(self, key: str) -> None:
        """Nothing of this key any more."""
        self._wanted.pop(key, None)
        self._say(key)

    def give_up(self, key: str) -> None:
        """The key cannot be looked at now: the others do not wait for it."""
        if self._unseen:
            self._say(key)

    def _say(self, key: str = "") -> None:
        if self._unseen:
            self._unseen.discard(key)
        if not self._unseen:
            self._tell(tuple(self._wanted.values()))
