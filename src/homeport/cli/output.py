"""What commands share in speaking: tables for people, JSON for programs, errors with a remedy on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

FAILED = 1
UNREACHABLE = 3


class CliError(Exception):
    """A command cannot do what it was asked: why, and what to do instead."""

    def __init__(self, message: str, remedy: str = "", *, status: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.status = status


def explain_failure(error: Exception) -> int | None:
    """Say on stderr what went wrong; the exit status. `None`: not a failure we know."""
    # Imported here, for every command pays for what this module imports.
    from homeport.cli.client import ApiError, UnreachableError

    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, UnreachableError):
        tell_error(str(error), "Start it: bin/homeport up")
        return UNREACHABLE
    if isinstance(error, ApiError):
        about = f" (request {error.request_id})" if error.request_id else ""
        tell_error(f"{error.code}: {error.message}{about}", "")
        return FAILED
    message = getattr(error, "message", None)
    remedy = getattr(error, "remedy", None)
    if isinstance(message, str) and isinstance(remedy, str):
        tell_error(message, remedy)
        return int(getattr(error, "status", FAILED))
    return None


def tell_error(message: str, remedy: str) -> None:
    """An error line, and the remedy below it."""
    label = "\x1b[1;31merror:\x1b[0m" if sys.stderr.isatty() else "error:"
    print(f"homeport: {label} {message}", file=sys.stderr)
    if remedy:
        print(f"  {remedy}", file=sys.stderr)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    json.dump(value, sys.stdout, indent=2, default=str)
    print()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """A table for people: aligned, coloured only on a terminal; `empty` says that there is nothing."""
    shown = [list(row) for row in rows]
    if not shown:
        print(empty)
        return
    widths = [max(len(cell) for cell in column) for column in zip(columns, *shown, strict=True)]
    colour = sys.stdout.isatty()
    head = "  ".join(name.ljust(width) for name, width in zip(columns, widths, strict=True)).rstrip()
    print(f"\x1b[1m{head}\x1b[0m" if colour else head)
    for row in shown:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[-1] = row[-1]
        if colour:
            cells = [_painted(cell) for cell in cells]
        print("  ".join(cells).rstrip())


_COLOURS: Mapping[str, str] = {
    "RUNNING": "32", "ACTIVE": "32", "HEALTHY": "32", "ok": "32",
    "PENDING": "33", "PROVISIONING": "33", "ACTIVATING": "33", "DEACTIVATING": "33", "STOPPING": "33",
    "DRAINING": "33", "advice": "33",
    "STOPPED": "2", "INACTIVE": "2", "UNHEALTHY": "31", "missing": "31",
}  # fmt: skip


def _painted(cell: str) -> str:
    colour = _COLOURS.get(cell.strip())
    return f"\x1b[{colour}m{cell}\x1b[0m" if colour else cell


def printable(text: str) -> str:
    """What others wrote, without what would steer a terminal."""
    return text if text.isprintable() else "".join(one if one.isprintable() else "?" for one in text)


def resource_name(arn: str) -> str:
    """The last part of an ARN: a task's id, a service's name."""
    return arn.rpartition("/")[2]


def short_id(arn: str) -> str:
    """Enough of a task's or an instance's id to tell it from others."""
    return resource_name(arn)[:12]


def since(epoch_seconds: float | None, now: datetime) -> str:
    """How long ago, for people: `42s`, `7m`, `3h`, `12d`."""
    if epoch_seconds is None:
        return "-"
    seconds = max(0, int((now - datetime.fromtimestamp(epoch_seconds, UTC)).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
