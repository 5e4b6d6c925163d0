"""Documents and instants mean the same on every database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from homeport.store import Document, Instant, Store, Tx
from tests.store.conftest import thing

SQLITE = sa.create_engine("sqlite://").dialect


class Port(msgspec.Struct, frozen=True):
    number: int
    protocol: str = "tcp"


@dataclass(frozen=True)
class Spec:
    image: str
    ports: tuple[Port, ...] = ()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    ).filter(lambda value: value is not None and "inf" not in repr(value))
)
def test_any_json_value_survives(value: object) -> None:
    column = Document(object)
    assert column.process_result_value(column.process_bind_param(value, SQLITE), SQLITE) == value


@given(
    st.datetimes(
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=9)), timezone(timedelta(hours=-5))])
    )
)
def test_an_instant_survives_to_the_microsecond_in_utc(instant: datetime) -> None:
    column = Instant()
    try:
        in_utc = instant.astimezone(UTC)
    except OverflowError:
        return
    back = column.process_result_value(column.process_bind_param(instant, SQLITE), SQLITE)
    assert back == in_utc
    assert back is not None
    assert back.utcoffset() == timedelta(0)


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Instant().process_bind_param(datetime(2030, 1, 1, tzinfo=UTC).replace(tzinfo=None), SQLITE)


def test_a_document_has_the_type_it_was_declared_with() -> None:
    column = Document(Spec)
    spec = Spec(image="web", ports=(Port(80), Port(53, "udp")))
    text = column.process_bind_param(spec, SQLITE)
    assert text == '{"image":"web","ports":[{"number":80,"protocol":"tcp"},{"number":53,"protocol":"udp"}]}'
    assert column.process_result_value(text, SQLITE) == spec
    with pytest.raises(msgspec.ValidationError):
        column.process_result_value('{"image":7}', SQLITE)


async def test_every_store_keeps_them(store: Store) -> None:
    made_at = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    body = {"cpu": 256, "name": "sn\u00f6w \u2603", "nul": None, "deep": [{"a": [1.5, True]}]}

    def add(tx: Tx) -> None:
        tx.execute(thing.insert(), {"name": "full", "body": body, "made_at": made_at})
        tx.execute(thing.insert(), {"name": "empty", "body": None, "made_at": None})

    await store.write(add)
    rows = await store.read(lambda tx: tx.execute(sa.select(thing).order_by(thing.c.id)).all())
    assert (rows[0].body, rows[0].made_at) == (body, made_at)
    assert (rows[1].body, rows[1].made_at) == (None, None)
    later = sa.select(thing.c.name).where(thing.c.made_at > made_at - timedelta(microseconds=1))
    assert await store.read(lambda tx: tx.execute(later).scalars().all()) == ["full"]
