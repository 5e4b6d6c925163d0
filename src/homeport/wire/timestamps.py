"""The three spellings of an instant: epoch seconds, ISO 8601, and RFC 822's date.

All instants are aware, in UTC. Reading raises `ValueError` for what is no instant.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,20})?([eE][+-]?\d{1,2})?", re.ASCII)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

ISO8601 = "iso8601"
RFC822 = "rfc822"
EPOCH = "unixTimestamp"


def normal_format(name: str | None, default: str) -> str:
    """A model's `timestampFormat` in one of our three spellings."""
    lowered = (name or default).lower()
    return EPOCH if lowered == EPOCH.lower() else RFC822 if lowered in {RFC822, "http-date"} else ISO8601


def from_epoch(value: float) -> datetime:
    """The instant `value` seconds after 1970, to the microsecond."""
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(str(error)) from error


def to_epoch(value: datetime) -> int | float:
    """Seconds since 1970: an integer where it is one."""
    if value.tzinfo is None:
        raise ValueError("an instant without a time zone")
    seconds = value.timestamp()
    whole = int(seconds)
    return whole if whole == seconds else seconds


def parse(text: str, format_: str) -> datetime:
    """Read text in one of the formats; epoch seconds are understood for every one."""
    if _NUMBER.fullmatch(text):
        return from_epoch(float(text))
    if format_ == RFC822:
        try:
            found = parsedate_to_datetime(text)
        except (TypeError, IndexError) as error:
            raise ValueError(str(error)) from error
    elif format_ == ISO8601:
        found = datetime.fromisoformat(text)
    else:
        raise ValueError(f"{text!r} is no number of seconds")
    try:
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from error


def write(value: datetime, format_: str) -> str:
    """`value` as text."""
    value = value.astimezone(UTC)
    if format_ == EPOCH:
        return repr(to_epoch(value))
    if format_ == RFC822:
        day, month = _DAYS[value.weekday()], _MONTHS[value.month - 1]
        clock = f"{value.hour:02}:{value.minute:02}:{value.second:02}"
        return f"{day}, {value.day:02} {month} {value.year:04} {clock} GMT"
    return iso8601(value)


def iso8601(value: datetime) -> str:
    """`2026-01-31T12:00:00.123Z`: milliseconds where they say it all, else microseconds."""
    text = value.astimezone(UTC).replace(tzinfo=None)
    if text.microsecond == 0:
        return text.isoformat(timespec="seconds") + "Z"
    return text.isoformat(timespec="microseconds" if text.microsecond % 1000 else "milliseconds") + "Z"
