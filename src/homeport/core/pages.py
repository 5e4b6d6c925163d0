"""Page tokens: opaque, and good only for the request that they came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Protocol

from homeport.core.call import Call


class Pages(Protocol):
    """Where tokens are sealed."""

    def seal(self, scope: str, position: Any) -> str:
        """A token that continues at `position`, good for `scope` only."""
        ...

    def open(self, scope: str, token: str) -> Any:
        """The position. Raise `ValueError` when the token is not ours."""
        ...


def page_scope(call: Call, request: Mapping[str, Any], *paging: str) -> str:
    """What a token is good for: this caller's account, operation and request, its `paging` members aside."""
    asked = {key: value for key, value in request.items() if key not in paging}
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:16]
    return f"{call.account_id}/{call.region}/{call.operation}/{digest}"
