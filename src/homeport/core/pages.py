"""Page tokens: opaque, and good only for the request that they came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from homeport.core.call import Call

T = TypeVar("T")


class Pages(Protocol):
    """Where tokens are sealed."""

    def seal(self, scope: str, position: Any) -> str:
        """A token that continues at `position`, good for `scope` only."""
        ...

    def open(self, scope: str, token: str) -> Any:
        """The position. Raise `ValueError` when the token is not ours."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """How a request goes on with a listing: behind `position`; `None`: at the beginning."""

    position: Any
    pages: Pages
    scope: str

    def token(self, position: Any) -> str:
        """What continues behind `position`, for the same request."""
        return self.pages.seal(self.scope, position)

    def cut(self, rows: Sequence[T], size: int) -> tuple[Sequence[T], str | None]:
        """This page of all rows, and the token of the next, if there is one. Positions are counts of rows."""
        start = self.position or 0
        end = start + size
        return rows[start:end], self.token(end) if end < len(rows) else None


def paging_of(
    pages: Pages, call: Call, request: Mapping[str, Any], members: tuple[str, str], refusal: Exception
) -> Paging:
    """What a request's `members` for token and size say. Raise `refusal` for another request's token."""
    scope, position = _scope(call, request, members), None
    if token := request.get(members[0]):
        try:
            position = pages.open(scope, token)
        except ValueError:
            raise refusal from None
    return Paging(position=position, pages=pages, scope=scope)


def _scope(call: Call, request: Mapping[str, Any], paging: Collection[str]) -> str:
    """What a token is good for: this caller's account, operation and request, its `paging` members aside."""
    asked = {key: value for key, value in request.items() if key not in paging}
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:16]
    return f"{call.account_id}/{call.region}/{call.operation}/{digest}"
