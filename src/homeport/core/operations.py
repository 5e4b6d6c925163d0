"""The table that ties an operation's name to its handler.

Each AWS service folder owns one `Operations`; `manifest.py` hands it to
`app`, and the gateway dispatches through it. An operation that is in
botocore's model but not in the table answers 501 by itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from homeport.core.access import Access, Keys, tag_keys
from homeport.core.call import Call

Handler = Callable[[Call, Any, Any], Awaitable[Mapping[str, Any] | None]]
_H = TypeVar("_H", bound=Handler)
ResourcesOf = Callable[[Call, Mapping[str, Any]], tuple[str, ...]]
KeysOf = Callable[[Call, Mapping[str, Any]], Keys]
ResourceKeys = Callable[[Call, str], Keys]
NeedsOf = Callable[[Call, Any, Mapping[str, Any]], Awaitable[Sequence[Access]]]


def any_resource(call: Call, request: Mapping[str, Any]) -> tuple[str, ...]:
    """For operations whose IAM action has no resource-level permission."""
    del call, request
    return ("*",)


def request_tags(call: Call, request: Mapping[str, Any]) -> Keys:
    """The keys of the request's own tags, whichever way the service spells them."""
    del call
    given = request.get("tags") or request.get("Tags") or ()
    if not isinstance(given, Sequence):
        return {}
    tags = {str(tag.get("key", tag.get("Key", ""))): tag.get("value", tag.get("Value", "")) for tag in given}
    keys = tag_keys({key: str(value or "") for key, value in tags.items() if key})
    removed = request.get("tagKeys") or request.get("TagKeys")
    return {**keys, "aws:TagKeys": tuple(map(str, removed))} if removed else keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One served operation.

    `action` is its IAM action (`ecs:RunTask`), `resources` derives the ARNs
    it acts on, `keys` the condition keys that the request gives all of them,
    `keys_of` those that a resource's ARN gives itself,
    `needs` what else must be allowed, read from the service's state (roles that are
    handed on), `about` what the request names, for the audit log, where only `needs`
    knows the ARN that is meant, `tagging` the action that tags in the request need as well.
    `open` operations need no permission, `unsigned` ones not even a caller.
    `invalid_input` is the error code for input that the model refuses (`None`: the
    service's default).
    """

    name: str
    handler: Handler
    action: str
    resources: ResourcesOf
    keys: KeysOf = request_tags
    needs: NeedsOf | None = None
    about: ResourcesOf | None = None
    tagging: str | None = None
    keys_of: ResourceKeys | None = None
    open: bool = False
    unsigned: bool = False
    invalid_input: str | None = None

    def accesses(self, call: Call, request: Mapping[str, Any]) -> tuple[Access, ...]:
        """What the request itself says that it needs: its action, once for each resource."""
        keys = self.keys(call, request)
        named = dict.fromkeys(self.resources(call, request))
        if not named and self.needs is None:
            named = {"*": None}
        actions = [self.action]
        if self.tagging is not None and request_tags(call, request):
            actions.append(self.tagging)
        more = self.keys_of
        return tuple(
            Access(action=action, resource=resource, keys={**keys, **more(call, resource)} if more else keys)
            for action in actions
            for resource in named
        )


class Operations:
    """The operations that one service serves."""

    def __init__(
        self,
        service: str,
        *,
        action_prefix: str | None = None,
        keys: KeysOf = request_tags,
        keys_of: ResourceKeys | None = None,
    ) -> None:
        """`keys`: the condition keys of all of them, unless an operation says its own; `keys_of` of each."""
        self.service = service
        self._keys_of = keys_of
        self._keys = keys
        self.action_prefix = action_prefix or service
        self._table: dict[str, Operation] = {}

    def operation(  # noqa: PLR0913 - each is a column of the table
        self,
        name: str,
        *,
        resources: ResourcesOf = any_resource,
        keys: KeysOf | None = None,
        needs: NeedsOf | None = None,
        about: ResourcesOf | None = None,
        tagging: str | None = None,
        action: str | None = None,
        open: bool = False,  # noqa: A002 - a word of the table, not of Python
        unsigned: bool = False,
        invalid_input: str | None = None,
    ) -> Callable[[_H], _H]:
        """Register the decorated handler under the model's operation name."""

        def register(handler: _H) -> _H:
            if name in self._table:
                raise ValueError(f"{self.service}:{name} has two handlers")
            self._table[name] = Operation(
                name=name,
                handler=handler,
                action=action or f"{self.action_prefix}:{name}",
                resources=resources,
                keys=keys or self._keys,
                needs=needs,
                about=about,
                keys_of=self._keys_of,
                tagging=tagging,
                open=open or unsigned,
                unsigned=unsigned,
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
