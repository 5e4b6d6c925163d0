"""Column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator

RowId = BigInteger().with_variant(Integer, "sqlite")
"""An integer primary key that the database hands out; on SQLite it is the rowid itself."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Document(TypeDecorator[Any]):
    """One JSON document in a text column: what is stored but not queried.

    `of` is the type that comes back: a dict by default, or any type msgspec
    can read (`msgspec.Struct`, dataclass, `TypedDict`, `list[str]`, ...). A
    value of another shape is refused when it is read, never half-read.
    Text rather than JSONB: it is read and written as a whole, so PostgreSQL
    need not parse it and both databases hold the same bytes.
    """

    impl = Text
    cache_ok = True

    def __init__(self, of: Any = dict[str, Any]) -> None:
        super().__init__()
        self.of = of
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(of).decode

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """A value as JSON text; `None` is NULL."""
        del dialect
        return None if value is None else self._encode(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """JSON text as a value of type `of`; NULL is `None`."""
        del dialect
        return None if value is None else self._decode(value)


class Instant(TypeDecorator[datetime]):
    """An aware instant, kept as whole microseconds since 1970-01-01 UTC. It comes back in UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """An aware datetime as microseconds; a naive one is a mistake."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an Instant needs a time zone")
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Microseconds as an aware UTC datetime."""
        del dialect
        return None if value is None else _EPOCH + timedelta(microseconds=value)
