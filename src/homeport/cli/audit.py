"""`homeport audit`: who did what, from where, and what allowed or denied it."""

from __future__ import annotations

import json as jsonlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from cyclopts import Parameter

from homeport.cli.client import AwsClient
from homeport.cli.common import DataDir, client_for
from homeport.cli.output import CliError, printable
from homeport.core.clock import SystemClock

Entry = Mapping[str, Any]

LAST = 50
PAGE = 1000
WAIT_SECONDS = 4
ID_SHOWN = 8
RESOURCES_SHOWN = 2
_SPAN = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def instant(text: str, now: datetime) -> str:
    """`15m` ago, or an instant; without a zone it is UTC."""
    if span := _SPAN.fullmatch(text):
        return (now - timedelta(**{_UNITS[span[2]]: int(span[1])})).isoformat()
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise CliError(
            f"{text!r} is no instant", "Write 15m, 2h, 3d, or 2030-01-31T12:00:00Z.", status=2
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()


def followed(api: AwsClient, position: str, filters: Mapping[str, str]) -> Iterator[Entry]:
    """Every entry after a position, for ever; each request waits for the next one."""
    while True:
        page = api.own("audit", after=position, limit=str(PAGE), wait=str(WAIT_SECONDS), **filters)
        if page["gap"]:
            print("homeport: some entries were forgotten before they were read", file=sys.stderr)
        yield from page["entries"]
        position = page["next"]


def line(entry: Entry) -> str:
    """An entry, for people."""
    time = f"{entry['eventTime'][:19]}Z"
    if "requestID" not in entry:
        return f"{time}  {'LOST':<8}  {entry['lost']} entries since {entry['since']}: {entry['errorMessage']}"
    outcome = entry["outcome"].upper() if entry["outcome"] != "allowed" else "allowed"
    event = f"{entry['eventSource'].partition('.')[0]}:{entry['eventName']}"
    parts = [time, f"{outcome:<8}", entry["requestID"][:ID_SHOWN], _who(entry), f"{event}{_on(entry)}"]
    if entry["sourceIPAddress"]:
        parts.append(f"from {entry['sourceIPAddress']}")
    return printable("  ".join([*parts, *_why(entry)]))


def _who(entry: Entry) -> str:
    who = entry["userIdentity"]
    if arn := who.get("arn"):
        return str(arn.split(":", 5)[5])
    return f"nobody ({who['accessKeyId']})" if "accessKeyId" in who else "nobody"


def _on(entry: Entry) -> str:
    named = [one["resource"] for one in entry.get("decisions", ())] or entry.get("resources", ())
    names = list(dict.fromkeys(name.split(":", 5)[-1] for name in named if name != "*"))
    more = f" and {len(names) - RESOURCES_SHOWN} more" if len(names) > RESOURCES_SHOWN else ""
    return f" on {', '.join(names[:RESOURCES_SHOWN])}{more}" if names else ""


def _why(entry: Entry) -> Iterator[str]:
    decisions = entry.get("decisions", ())
    denied = next((one for one in decisions if one["verdict"] != "allowed"), None)
    if denied is not None:
        if denied["statements"]:
            yield f"by {_statements(denied['statements'])}"
        else:
            yield f"{denied['action']}: no {' and no '.join(denied['missing'])} policy allows it"
        return
    if by := _statements([one for decision in decisions for one in decision["statements"]]):
        yield f"by {by}"
    if "errorCode" in entry:
        yield f"{entry['errorCode']}: {entry['errorMessage']}"


def _statements(found: Iterable[Entry]) -> str:
    named = (f"{one['policy'].rpartition('/')[2]}#{one['statement']}" for one in found)
    return ", ".join(dict.fromkeys(named))


def audit(
    *,
    follow: Annotated[
        bool, Parameter(name=("--follow", "-f"), negative="", help="Go on until Ctrl-C.")
    ] = False,
    last: Annotated[int, Parameter(name=("--last", "-n"), help="So many of the past ones first.")] = LAST,
    denied: Annotated[
        bool, Parameter(negative="", help="Only what was denied, and who could not be proven.")
    ] = False,
    user: Annotated[str, Parameter(help="Of a user, role or session: name, ARN, id or access key.")] = "",
    event: Annotated[str, Parameter(help="Of an operation: RunTask, or ecs:RunTask.")] = "",
    since: Annotated[str, Parameter(help="15m, 2h, 3d, or an instant like 2030-01-31T12:00:00Z.")] = "",
    data_dir: DataDir = None,
    json: Annotated[bool, Parameter(name="--json", negative="", help="One entry a line, as logged.")] = False,
) -> int:
    """Show who did what, from where, and which policy's statement allowed or denied it.

    A line: when, outcome, the beginning of the request's id (`homeport explain denied ID` says more), who,
    what, on what, from where, by which POLICY#STATEMENT.

    Exit status: 0 shown, 1 refused, 3 nothing serves here.
    """
    filters = {"user": user, "event": event, "denied": "true" if denied else ""}
    if since:
        filters["since"] = instant(since, SystemClock().now())
    filters = {name: value for name, value in filters.items() if value}
    if not 0 <= last <= PAGE:
        raise CliError(f"{last} entries cannot be shown", f"From 0 to {PAGE}.", status=2)
    with client_for(data_dir) as api:
        past = api.own("audit", limit=str(max(last, 1)), **filters)
        _show(past["entries"] if last else (), as_json=json)
        if follow:
            _show(followed(api, past["next"], filters), as_json=json)
    return 0


def _show(entries: Iterable[Entry], *, as_json: bool) -> None:
    for entry in entries:
        print(jsonlib.dumps(entry) if as_json else line(entry), flush=True)
