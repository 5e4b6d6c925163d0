"""The audit log's own pages: `audit` lists and follows, `denied` explains one request."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from homeport.app.audit.files import AuditFiles
from homeport.app.audit.reader import READ_EVENT, AuditReader, Page, Position, Wanted
from homeport.core.call import Call
from homeport.core.errors import DynamicAwsError
from homeport.gateway.ports import OwnPage
from homeport.gateway.why_denied import why_denied

ENTRIES_MAX = 1000
WAIT_MAX_SECONDS = 4.0
"""How long one request may wait: less than the server waits for open requests when it stops."""
PAUSE_SECONDS = 0.1
"""Between two looks at a log that is written to all the time."""
ID_CHARS_MIN = 8
_ID = re.compile(r"[0-9a-f-]{8,36}", re.ASCII)
INVALID = "InvalidParameterException"


class AuditPages:
    """Reads for callers: each sees its account; of whom nobody knows, only the installation's own account."""

    def __init__(self, trail: AuditFiles, *, home_account: str) -> None:
        self._trail = trail
        self._reader = AuditReader(trail.directory)
        self._home_account = home_account

    def pages(self) -> dict[str, OwnPage]:
        """The pages by their names."""
        action = f"homeport:{READ_EVENT}"
        return {
            "audit": OwnPage(action=action, read=self.audit),
            "denied": OwnPage(action=action, read=self.denied),
        }

    async def audit(self, call: Call, query: Mapping[str, str]) -> bytes:
        """The newest entries, or those after a position, waited for."""
        try:
            limit = min(max(int(query.get("limit", "100")), 1), ENTRIES_MAX)
            wait_seconds = min(max(float(query.get("wait", "0")), 0.0), WAIT_MAX_SECONDS)
            after = Position.parse(query["after"]) if "after" in query else None
            since = _instant(query.get("since", ""))
        except (ValueError, OverflowError):
            raise DynamicAwsError(INVALID, "limit, wait, after or since is not what it should be.") from None
        wanted = replace(
            self._of(call),
            denied=query.get("denied") == "true",
            user=query.get("user", ""),
            event=query.get("event", ""),
            since=since,
            follows=after is not None,
        )
        if after is None:
            page = await asyncio.to_thread(self._reader.newest, wanted, limit)
        else:
            page = await self._followed(after, wanted, limit, wait_seconds)
        return msgspec.json.encode({"entries": page.entries, "next": str(page.end), "gap": page.gap})

    async def denied(self, call: Call, query: Mapping[str, str]) -> bytes:
        """Why one request was denied: the one of that id, or the newest denial."""
        request_id = query.get("id", "").lower()
        if request_id and not _ID.fullmatch(request_id):
            raise DynamicAwsError(
                INVALID, f"A request's id has {ID_CHARS_MIN} hexadecimal digits at least, and hyphens."
            )
        wanted = replace(self._of(call), denied=not request_id, request_id=request_id)
        page = await asyncio.to_thread(self._reader.newest, wanted, 2)
        entries = [one for one in page.entries if "requestID" in one]
        if not entries:
            what = f"no request {request_id}" if request_id else "no denied request"
            raise DynamicAwsError("ResourceNotFoundException", f"The audit log has {what}.", status=404)
        if request_id and len(entries) > 1 and entries[0]["requestID"] != entries[1]["requestID"]:
            raise DynamicAwsError(
                INVALID, f"More than one request begins with {request_id}: give more of it."
            )
        return msgspec.json.encode(why_denied(entries[-1]))

    def _of(self, call: Call) -> Wanted:
        return Wanted(account_id=call.account_id, nobodys=call.account_id == self._home_account)

    async def _followed(self, after: Position, wanted: Wanted, limit: int, wait_seconds: float) -> Page:
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_seconds
        while True:
            seen = self._trail.count
            page = await asyncio.to_thread(self._reader.after, after, wanted, limit)
            left = until - loop.time()
            if page.entries or page.gap or left <= 0:
                return page
            after = page.end
            await self._trail.wait(seen, left)
            await asyncio.sleep(min(PAUSE_SECONDS, max(until - loop.time(), 0.0)))


def _instant(text: str) -> str:
    """As entries spell it. Raise `ValueError`."""
    if not text:
        return ""
    at = datetime.fromisoformat(text)
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.isoformat(timespec="microseconds")[:26] + "Z"
