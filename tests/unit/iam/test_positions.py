"""Statements are found in a policy's text however it is written."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from homeport.services.iam.plan.positions import position, spans

values = st.recursive(
    st.text(max_size=8) | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
statements = st.dictionaries(st.text(max_size=5), values, max_size=4)


@given(
    st.lists(statements, min_size=1, max_size=4) | statements,
    st.dictionaries(st.text(max_size=5).filter(lambda name: name != "Statement"), values, max_size=2),
    st.sampled_from([None, 0, 1, 4]),
    st.booleans(),
)
def test_a_span_holds_its_statement(
    found: object, others: dict[str, object], indent: int | None, last: bool
) -> None:
    document = {**others, "Statement": found} if last else {"Statement": found, **others}
    text = f" \n{json.dumps(document, indent=indent, ensure_ascii=False)}"
    listed = found if isinstance(found, list) else [found]
    told = spans(text)
    assert len(told) == len(listed)
    for span, statement in zip(told, listed, strict=True):
        start = span.start - 1 if isinstance(found, dict) else span.start
        assert json.loads(text[start : span.end].lstrip(", \n")) == statement


@given(st.text(alphabet="ab\n", max_size=40), st.data())
def test_a_position_counts_lines_and_columns_from_one(text: str, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, len(text)))
    told = position(text, offset)
    lines = text[:offset].split("\n")
    assert told == {"Line": len(lines), "Column": len(lines[-1]) + 1}
