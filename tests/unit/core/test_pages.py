"""Pages of a listing: together they are all of it, and a token is good for its own request only."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.core.call import Call, Principal
from homeport.core.pages import Paging, paging_of

HERE = Call(
    account_id="000000000000",
    region="us-east-1",
    service="acm",
    operation="ListThings",
    request_id="r",
    principal=Principal(
        arn="arn:aws:iam::000000000000:root", account_id="000000000000", user_id="000000000000"
    ),
)


class PlainPages:
    def seal(self, scope: str, position: Any) -> str:
        return f"{scope}|{position}"

    def open(self, scope: str, token: str) -> Any:
        ours, _, position = token.rpartition("|")
        if ours != scope:
            raise ValueError(token)
        return int(position)


def paging(**request: Any) -> Paging:
    return paging_of(PlainPages(), HERE, request, ("NextToken", "MaxItems"), LookupError("no"))


@given(st.lists(st.integers()), st.integers(1, 5))
def test_pages_are_together_the_whole_listing(rows: list[int], size: int) -> None:
    seen: list[int] = []
    shown, more = paging(Kind="x").cut(rows, size)
    seen += shown
    while more:
        assert len(shown) == size
        shown, more = paging(Kind="x", MaxItems=size, NextToken=more).cut(rows, size)
        assert shown
        seen += shown
    assert seen == rows


def test_a_token_is_refused_by_another_request() -> None:
    _, more = paging(Kind="x").cut([1, 2], 1)
    assert paging(Kind="x", NextToken=more).position == 1
    with pytest.raises(LookupError):
        paging(Kind="y", NextToken=more)
