"""Turns shapes into functions, once each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from homeport.wire.model import Shape

F = TypeVar("F", bound=Callable[..., Any])


class Compiler(Generic[F]):
    """Memoises `build`; a shape that contains itself calls itself late."""

    def __init__(self, build: Callable[[Shape, Compiler[F]], F]) -> None:
        self._build = build
        self._done: dict[Shape, F] = {}
        self._pending: set[Shape] = set()

    def __call__(self, shape: Shape) -> F:
        """The function for `shape`."""
        if (found := self._done.get(shape)) is not None:
            return found
        if shape in self._pending:
            done = self._done

            def late(*args: Any) -> Any:
                return done[shape](*args)

            return cast("F", late)
        self._pending.add(shape)
        built = self._done[shape] = self._build(shape, self)
        self._pending.discard(shape)
        return built
