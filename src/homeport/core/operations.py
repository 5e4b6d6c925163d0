"""The table that ties an operation's name to its handler.

Each AWS service folder owns one `Operations`; `manifest.py` hands it to
`app`, and the gateway dispatches through it. An operation that is in
botocore's model but not in the table answers 501 by itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from homeport.core.call import Call

Handler = Callable[[Call, Any, Any], Awaitable[Mapping[str, Any] | None]]
_H = TypeVar("_H", bound=Handler)
ResourcesOf = Callable[[Call, Mapping[str, Any]], tuple[str, ...]]


def any_resource(call: Call, request: Mapping[str, Any]) -> tuple[str, ...]:
    """For operations whose IAM action has no resource-level permission."""
    del call, request
    return ("*",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One served operation.

    `action` is its IAM action (`ecs:RunTask`), `resources` derives the ARNs
    it acts on, `invalid_input` is the error code for input that the model
    refuses (`None`: the service's default).
    """

    name: str
    handler: Handler
    action: str
    resources: ResourcesOf
    invalid_input: str | None = None


class Operations:
    """The operations that one service serves."""

    def __init__(self, service: str, *, action_prefix: str | None = None) -> None:
        self.service = service
        self._action_prefix = action_prefix or service
        self._table: dict[str, Operation] = {}

    def operation(
        self,
        name: str,
        *,
        resources: ResourcesOf = any_resource,
        action: str | None = None,
        invalid_input: str | None = None,
    ) -> Callable[[_H], _H]:
        """Register the decorated handler under the model's operation name."""

        def register(handler: _H) -> _H:
            if name in self._table:
                raise ValueError(f"{self.service}:{name} has two handlers")
            self._table[name] = Operation(
                name=name,
                handler=handler,
                action=action or f"{self._action_prefix}:{name}",
                resources=resources,
                invalid_input=invalid_input,
            )
            return handler

        return register

    def find(self, name: str) -> Operation | None:
        """The served operation of that name, if any."""
        return self._table.get(name)

    def names(self) -> frozenset[str]:
        """Every served operation."""
        return frozenset(self._table)
