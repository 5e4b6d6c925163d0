"""`homeport events`: the EventBridge documents of ECS, as they happen."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from homeport.cli.client import AwsClient
from homeport.cli.common import DEFAULT_CLUSTER, Cluster, DataDir, client_for
from homeport.cli.output import resource_name, short_id

Document = Mapping[str, Any]

LAST = 50
PAGE = 1000
WAIT_SECONDS = 4
KINDS = {
    "ECS Task State Change": "task",
    "ECS Container Instance State Change": "instance",
    "ECS Service Action": "service",
    "ECS Deployment State Change": "deploy",
    "ECS Hook State Change": "hook",
    "ECS Daemon Service Action": "daemon",
    "ECS Daemon Deployment State Change": "daemon",
}


def followed(api: AwsClient, position: str) -> Iterator[Document]:
    """Every document after a position, for ever; each request waits for the next one."""
    while True:
        page = api.own("events", after=position, limit=str(PAGE), wait=str(WAIT_SECONDS))
        if page["gap"]:
            print("homeport: some events were forgotten before they were read", file=sys.stderr)
        yield from page["events"]
        position = page["next"]


def of_cluster(documents: Iterable[Document], cluster: str) -> Iterator[Document]:
    """Those about things of one cluster: their ARNs name it."""
    return (document for document in documents if _subject(document).split("/")[1] == cluster)


def _subject(document: Document) -> str:
    """The ARN of what a document is about; one about a task that could not be made names no resource."""
    return str(document["detail"].get("daemonArn") or document["resources"][0])


class Lines:
    """Documents as lines for people; one that tells no news of its subject is left out."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def of(self, document: Document) -> str | None:
        """The line; `None`: nothing that a person would see has changed."""
        kind = KINDS.get(document["detail-type"], "")
        arn, detail = _subject(document), document["detail"]
        text = _TEXTS[kind](detail) if kind in _TEXTS else document["detail-type"]
        repeats = kind in ("task", "instance") and self._told.get(arn) == text
        self._told[arn] = text
        if detail.get("lastStatus") == "STOPPED" or detail.get("status") == "INACTIVE":
            del self._told[arn]
        if repeats:
            return None
        subject = short_id(arn) if kind in ("task", "instance") else resource_name(arn)
        return f"{document['time']}  {kind:<8}  {subject:<12}  {text}"


def _task(detail: Document) -> str:
    status, definition = detail["lastStatus"], resource_name(detail["taskDefinitionArn"])
    reason = f": {detail['stoppedReason']}" if detail.get("stoppedReason") else ""
    if status == "STOPPED":
        return f"STOPPED ({definition}){reason}"
    if detail["desiredStatus"] == "STOPPED":
        return f"{status}, to stop ({definition}){reason}"
    health = detail.get("healthStatus", "UNKNOWN")
    return f"{status} ({definition})" + (f", {health}" if health != "UNKNOWN" else "")


def _instance(detail: Document) -> str:
    away = "" if detail["agentConnected"] or detail["status"] == "INACTIVE" else ", agent away"
    return f"{detail['status']}{away}"


def _service(detail: Document) -> str:
    words = str(detail["eventName"]).lower().replace("_", " ")
    return words + (f": {detail['reason']}" if detail.get("reason") else "")


def _deployment(detail: Document) -> str:
    return str(detail.get("reason") or detail["eventName"])


def _hook(detail: Document) -> str:
    what = str(detail["eventName"]).removeprefix("HOOK_").lower().replace("_", " ")
    return f"{what} at {detail['lifecycleStage']}: {detail['hookId']}"


def _daemon(detail: Document) -> str:
    words = str(detail["eventName"]).removeprefix("DAEMON_").lower().replace("_", " ")
    return words + (f": {detail['reason']}" if detail.get("reason") else "")


_TEXTS = {
    "task": _task,
    "instance": _instance,
    "service": _service,
    "deploy": _deployment,
    "hook": _hook,
    "daemon": _daemon,
}


def events(
    *,
    follow: Annotated[
        bool, Parameter(name=("--follow", "-f"), negative="", help="Go on until Ctrl-C.")
    ] = False,
    last: Annotated[int, Parameter(name=("--last", "-n"), help="So many of the past ones first.")] = LAST,
    cluster: Cluster = DEFAULT_CLUSTER,
    data_dir: DataDir = None,
    json: Annotated[
        bool, Parameter(name="--json", negative="", help="One EventBridge document a line.")
    ] = False,
) -> int:
    """Show what happens to tasks, instances, services and deployments, as ECS tells EventBridge.

    Exit status: 0 shown, 1 refused, 3 nothing serves here.
    """
    lines = Lines()
    with client_for(data_dir) as api:
        past = api.own("events", limit=str(PAGE))
        shown = list(of_cluster(past["events"], cluster))
        _show(shown[-last:] if last > 0 else (), lines, as_json=json)
        if follow:
            _show(of_cluster(followed(api, past["next"]), cluster), lines, as_json=json)
    return 0


def _show(documents: Iterable[Document], lines: Lines, *, as_json: bool) -> None:
    for document in documents:
        line = jsonlib.dumps(document) if as_json else lines.of(document)
        if line is not None:
            print(line, flush=True)
