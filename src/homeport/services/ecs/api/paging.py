"""One page of a listing: `maxResults`, `nextToken`, and the token of the next page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeport.core.call import Call
from homeport.core.pages import Paging, paging_of
from homeport.services.ecs.api.context import Answer, Ecs, Request
from homeport.services.ecs.errors import InvalidParameterException


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Where a listing continues and how much it may show."""

    limit: int
    paging: Paging

    def after(self, start: Any) -> Any:
        """The position to continue behind; `start` on the first page."""
        return start if self.paging.position is None else self.paging.position

    def answer(self, member: str, rows: list[tuple[Any, Any]]) -> Answer:
        """`rows` are (position, shown value), one more than `limit` when there are more."""
        shown = rows[: self.limit]
        answer: Answer = {member: [value for _, value in shown]}
        if len(rows) > self.limit:
            answer["nextToken"] = self.paging.token(shown[-1][0])
        return answer


def page_of(call: Call, ecs: Ecs, req: Request, *, default: int = 100, maximum: int = 100) -> Page:
    """The page a request asks for; its token must come from the same request."""
    wanted = req.get("maxResults")
    limit = default if wanted is None else int(wanted)
    if not 1 <= limit <= maximum:
        raise InvalidParameterException(f"maxResults must be between 1 and {maximum}, not {limit}.")
    refusal = InvalidParameterException("Invalid token")
    paging = paging_of(ecs.pages, call, req, ("nextToken", "maxResults"), refusal)
    return Page(limit=limit, paging=paging)
