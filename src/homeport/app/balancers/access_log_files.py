"""Access logs on disk: from what the proxy writes to objects in buckets, so that no step can be half done.

A bucket is a folder: `buckets/<bucket>/<key>` in the data directory. Each address of a logged balancer
has a folder of records: `about` (whose they are, where lines go), `live` (the proxy writes to it), and for
each object that is on its way `<name>.order` (what it will be called) and `<name>.raw` (its records).

An order is written before `live` becomes the records that it is about, and lasts longer than they do; the
object comes to its place whole, before the records go. So whoever is killed leaves something that the next
process finds and does again, with the same object as the result.
"""

from __future__ import annotations

import contextlib
import gzip
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, cast

import msgspec

from homeport.core.log import get_logger
from homeport.dataplane.access_lines import Source, line_of, read_record
from homeport.dataplane.access_logs import LIVE, folder_name
from homeport.dataplane.access_objects import is_gzipped, last_end, object_key, period_end

log = get_logger(__name__)

RECORDS, BUCKETS = "access-logs", "buckets"
RAW_BYTES_MAX = 1 << 30
"""Of one address: older records are given up when their objects cannot be written for so long."""
_ABOUT, _ORDER, _RAW, _NEW = "about", ".order", ".raw", ".new"
_LINE_BYTES_MAX = 1 << 20
_GZIP_LEVEL = 6


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of records: lines of this source, in the object of this key."""

    source: Source
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """An object that is at its place."""

    path: Path
    lines: int
    unreadable: int


def folder_of(source: Source) -> str:
    """The folder of a source's records."""
    return folder_name(source.balancer_id, source.address, connections=source.connections)


class LogFiles:
    """The records and the buckets of an installation; all methods may be repeated, none knows the time."""

    def __init__(self, data_dir: Path, *, raw_bytes_max: int = RAW_BYTES_MAX) -> None:
        self.records, self.buckets = data_dir / RECORDS, data_dir / BUCKETS
        self._raw_bytes_max = raw_bytes_max

    def prepare(self, source: Source) -> None:
        """Make it possible that the proxy writes records of this source. Raise `OSError`: it is not."""
        folder = self.records / folder_of(source)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.about(folder) != source:
            _put(folder / _ABOUT, msgspec.json.encode(source))
        os.close(os.open(folder / LIVE, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def folders(self) -> list[Path]:
        """All that have records, or will have."""
        try:
            return sorted(one for one in self.records.iterdir() if one.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def about(self, folder: Path) -> Source | None:
        """Whose records a folder has; `None`: nothing was ever written there."""
        try:
            return msgspec.json.decode((folder / _ABOUT).read_bytes(), type=Source)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def due_at(self, folder: Path, source: Source) -> datetime | None:
        """When the records of a folder are due, `None` if there are none.

        It is the end of the period in which the first of them was written: nothing must be remembered.
        """
        try:
            with (folder / LIVE).open("rb") as live:
                first = live.readline(_LINE_BYTES_MAX)
                changed = datetime.fromtimestamp(os.fstat(live.fileno()).st_mtime, UTC)
        except FileNotFoundError:
            return None
        if not first:
            return None
        record = read_record(first)
        return period_end(changed if record is None else record.ended, source.minutes)

    def close(self, folder: Path, now: datetime, token: str) -> None:
        """What is due by `now` becomes the records of an object, whose name is settled here."""
        source = self.about(folder)
        due = None if source is None else self.due_at(folder, source)
        if source is None or due is None or due > now:
            return
        key = object_key(source, last_end(now, source.minutes), token)
        name = key.rpartition("/")[2].partition(".log")[0]
        _put(folder / f"{name}{_ORDER}", msgspec.json.encode(Order(source=source, key=key)))
        os.replace(folder / LIVE, folder / f"{name}{_RAW}")

    def waiting(self) -> list[Path]:
        """All records that are to become objects, the oldest of each folder first."""
        found: list[Path] = []
        for folder in self.folders():
            raws = sorted(folder.glob(f"*{_RAW}"))
            for left in (*folder.glob(f"*{_ORDER}"), *folder.glob(f"*{_ORDER}{_NEW}")):
                if left.with_suffix(_RAW) not in raws:
                    left.unlink(missing_ok=True)
            found += raws
        return found

    def place(self, raw: Path) -> Path:
        """Where the object of these records belongs."""
        order = self._order(raw)
        return self.buckets / order.source.bucket / order.key

    def deliver(self, raw: Path) -> Delivered:
        """Write the object, then forget the records. Raise `OSError`: it cannot be written now."""
        order, place = self._order(raw), self.place(raw)
        self.buckets.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        part = _part(place)
        try:
            lines, unreadable = _write(raw, order.source, part)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()  # half an object only takes room
            raise
        os.replace(part, place)
        raw.unlink()
        raw.with_suffix(_ORDER).unlink()
        return Delivered(path=place, lines=lines, unreadable=unreadable)

    def trim(self) -> Iterator[tuple[Path, int]]:
        """Give up the oldest records where there are too many: which, and how many bytes."""
        for folder in self.folders():
            sizes = {raw: raw.stat().st_size for raw in sorted(folder.glob(f"*{_RAW}"))}
            total = sum(sizes.values())
            for raw, size in sizes.items():
                if total <= self._raw_bytes_max:
                    break
                with contextlib.suppress(OSError):
                    _part(self.place(raw)).unlink()
                raw.unlink()
                raw.with_suffix(_ORDER).unlink(missing_ok=True)
                total -= size
                yield raw, size

    def forget(self, folder: Path) -> None:
        """Remove a folder that has no records and will have none."""
        if (folder / LIVE).exists() and (folder / LIVE).stat().st_size:
            return
        for name in (LIVE, _ABOUT, f"{_ABOUT}{_NEW}"):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()

    def _order(self, raw: Path) -> Order:
        return msgspec.json.decode(raw.with_suffix(_ORDER).read_bytes(), type=Order)


def _put(path: Path, data: bytes) -> None:
    fresh = path.with_name(f"{path.name}{_NEW}")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def _part(place: Path) -> Path:
    """What an object is called until it is whole."""
    return place.with_name(f".{place.name}.part")


def _write(raw: Path, source: Source, part: Path) -> tuple[int, int]:
    """Write the object, durably: how many lines it has, and how many records were no whole ones."""
    lines = unreadable = 0
    with contextlib.ExitStack() as opened:
        records, file = opened.enter_context(raw.open("rb")), opened.enter_context(part.open("wb"))
        to: IO[bytes] = file
        if is_gzipped(source):
            to = cast("IO[bytes]", gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0))
            opened.callback(to.close)
        for line in records:
            record = read_record(line)
            if record is None:
                unreadable += 1
            else:
                lines += 1
                to.write(line_of(source, record).encode() + b"\n")
        if to is not file:
            to.close()
        file.flush()
        os.fsync(file.fileno())
    return lines, unreadable
