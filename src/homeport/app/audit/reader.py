"""Reads the audit log, for the page that the command line asks.

A position is a file's number and an offset in it: `3:1024`. Lines that are none (a machine lost power) are
passed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from homeport.app.audit.files import numbers, path_of
from homeport.gateway.audit import OWN_SOURCE, Entry

READ_EVENT = "ReadAudit"
BYTES_MAX = 8 << 20
"""How much is read at once when somebody follows."""
_BEGINNING = b'{"eventTime":"'
_TIME_AT = len(_BEGINNING)
_SECONDS_CHARS = 19
_DENIED = (b'"outcome":"denied"', b'"outcome":"unproven"', b'"outcome":"lost"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place between two lines."""

    number: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Position:
        """Raise `ValueError` for what is none."""
        found = re.fullmatch(r"(\d{1,10}):(\d{1,15})", text, re.ASCII)
        if found is None:
            raise ValueError(f"{text!r} is no position")
        return cls(number=int(found[1]), offset=int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}:{self.offset}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Entries in their order, and where to go on. `gap`: some were forgotten before they were read."""

    entries: tuple[Entry, ...]
    end: Position
    gap: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which entries: of an account; those of nobody known when `nobodys`.

    `user` is a name, an ARN, an id or an access key; `event` a name, or `service:name`; `since` an instant as
    `eventTime` spells it. `follows` leaves out that somebody looked at the log, which is no news to who does.
    """

    account_id: str
    nobodys: bool = False
    denied: bool = False
    user: str = ""
    event: str = ""
    since: str = ""
    request_id: str = ""
    follows: bool = False

    def may_be(self, line: bytes) -> bool:
        """Whether a line is worth decoding."""
        if self.request_id and self.request_id.encode() not in line:
            return False
        return not self.denied or any(outcome in line for outcome in _DENIED)

    def is_wanted(self, entry: Entry) -> bool:
        """Whether the entry is meant."""
        account = entry.get("recipientAccountId", "")
        if account != self.account_id and not (self.nobodys and not account):
            return False
        is_look = entry["eventSource"] == OWN_SOURCE and entry["eventName"] == READ_EVENT
        if is_look and (self.follows or not self.event) and entry["outcome"] == "allowed":
            return False
        return (
            entry["eventTime"] >= self.since
            and entry.get("requestID", "").startswith(self.request_id)
            and (not self.user or self.user in _names(entry))
            and (not self.event or self.event.lower() in _events(entry))
        )

    def is_over(self, line: bytes) -> bool:
        """Whether nothing before this line can be meant: lines stand in the order of their answers."""
        if not self.since or not line.startswith(_BEGINNING):
            return False
        return line[_TIME_AT : _TIME_AT + _SECONDS_CHARS] < _minutes_earlier(self.since).encode()


def _minutes_earlier(since: str) -> str:
    """No answer takes a quarter of an hour: good enough to stop looking."""
    try:
        at = datetime.fromisoformat(since.removesuffix("Z")) - timedelta(minutes=15)
    except (ValueError, OverflowError):
        return ""
    return at.isoformat()[:_SECONDS_CHARS]


def _names(entry: Entry) -> set[str]:
    who = entry.get("userIdentity", {})
    arn = who.get("arn", "")
    parts = re.split("[:/]", arn)[5:]
    return {arn, who.get("principalId", ""), who.get("accessKeyId", ""), *parts} - {""}


def _events(entry: Entry) -> set[str]:
    name = entry["eventName"].lower()
    return {name, f"{entry['eventSource'].partition('.')[0]}:{name}"}


class AuditReader:
    """Reads what a writer writes; may run in any thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def newest(self, wanted: Wanted, limit: int) -> Page:
        """The newest entries that are meant, in their order."""
        found: list[Entry] = []
        end: Position | None = None
        for number in reversed(numbers(self._directory)):
            data = self._read(number, 0, None)
            end = end or Position(number=number, offset=len(data))
            if self._collect(reversed(data.splitlines()), wanted, limit, found):
                break
        return Page(entries=tuple(reversed(found)), end=end or Position(number=1, offset=0))

    def after(self, position: Position, wanted: Wanted, limit: int) -> Page:
        """Entries behind a position."""
        there = numbers(self._directory)
        gap = bool(there) and position.number < there[0]
        if gap:
            position = Position(number=there[0], offset=0)
        found: list[Entry] = []
        for number in (one for one in there if one >= position.number):
            if number > position.number:
                position = Position(number=number, offset=0)
            while data := self._read(number, position.offset, BYTES_MAX):
                for line in data.splitlines(keepends=True):
                    position = Position(number=number, offset=position.offset + len(line))
                    self._collect((line,), wanted, limit, found)
                    if len(found) >= limit:
                        return Page(entries=tuple(found), end=position, gap=gap)
        return Page(entries=tuple(found), end=position, gap=gap)

    @staticmethod
    def _collect(lines: Iterable[bytes], wanted: Wanted, limit: int, found: list[Entry]) -> bool:
        """Whether enough was found, or no more can be."""
        for line in lines:
            if wanted.may_be(line):
                try:
                    entry: Entry = msgspec.json.decode(line, type=dict)
                    if wanted.is_wanted(entry):
                        found.append(entry)
                except (msgspec.DecodeError, KeyError, TypeError):
                    continue
            if len(found) >= limit or wanted.is_over(line):
                return True
        return False

    def _read(self, number: int, offset: int, size: int | None) -> bytes:
        """Whole lines from there on."""
        try:
            with path_of(self._directory, number).open("rb") as file:
                file.seek(offset)
                data = file.read(-1 if size is None else size)
        except FileNotFoundError:
            return b""
        return data[: data.rfind(b"\n") + 1]
