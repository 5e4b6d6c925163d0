"""`homeport events`.

ECS itself publishes no list of events to read, so this compares what the
public API tells now with what it told before.
"""

from __future__ import annotations

import json as jsonlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter

from homeport.cli.client import AwsClient
from homeport.cli.common import DEFAULT_CLUSTER, AsJson, Cluster, DataDir, client_for
from homeport.cli.output import resource_name, short_id
from homeport.cli.ps import tasks_of
from homeport.cli.status import DESCRIBE_MAX, SERVICES_MAX
from homeport.core.clock import SystemClock


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that happened; `at` in seconds since the epoch."""

    at: float
    kind: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the API told at one moment, by ARN or event id."""

    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    instances: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    service_events: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)


def look(api: AwsClient, cluster: str) -> Seen:
    """Ask for everything that can happen something to."""
    tasks = {task["taskArn"]: task for task in tasks_of(api, cluster, stopped=True)}
    instances: dict[str, Mapping[str, Any]] = {}
    arns = list(api.pages("ListContainerInstances", "containerInstanceArns", cluster=cluster))
    for start in range(0, len(arns), DESCRIBE_MAX):
        batch = arns[start : start + DESCRIBE_MAX]
        answer = api.call("DescribeContainerInstances", cluster=cluster, containerInstances=batch)
        instances |= {i["containerInstanceArn"]: i for i in answer["containerInstances"]}
    events: dict[str, tuple[str, Mapping[str, Any]]] = {}
    arns = list(api.pages("ListServices", "serviceArns", cluster=cluster))
    for start in range(0, len(arns), SERVICES_MAX):
        batch = arns[start : start + SERVICES_MAX]
        for service in api.call("DescribeServices", cluster=cluster, services=batch)["services"]:
            events |= {e["id"]: (service["serviceName"], e) for e in service.get("events", ())}
    return Seen(tasks=tasks, instances=instances, service_events=events)


def happenings(before: Seen, after: Seen, now: float) -> tuple[Happening, ...]:
    """What happened between two looks, in order. `now` dates what carries no date of its own."""
    found = [
        *_of_tasks(before, after, now),
        *_of_instances(before, after, now),
        *(
            Happening(at=float(event["createdAt"]), kind="service", subject=name, text=event["message"])
            for key, (name, event) in after.service_events.items()
            if key not in before.service_events
        ),
    ]
    return tuple(sorted(found, key=lambda h: (h.at, h.kind, h.subject)))


_DATED: Mapping[str, str] = {
    "PROVISIONING": "createdAt",
    "PENDING": "createdAt",
    "RUNNING": "startedAt",
    "DEACTIVATING": "stoppingAt",
    "STOPPING": "stoppingAt",
    "STOPPED": "stoppedAt",
}


def _of_tasks(before: Seen, after: Seen, now: float) -> Iterator[Happening]:
    for arn, task in after.tasks.items():
        old = before.tasks.get(arn)
        status, subject = task["lastStatus"], short_id(arn)
        if old is None or old["lastStatus"] != status:
            reason = f": {task['stoppedReason']}" if status == "STOPPED" and task.get("stoppedReason") else ""
            at = float(task.get(_DATED.get(status, ""), now))
            text = f"{status} ({resource_name(task['taskDefinitionArn'])}){reason}"
            yield Happening(at=at, kind="task", subject=subject, text=text)
        health = task.get("healthStatus", "UNKNOWN")
        if old is not None and old.get("healthStatus", "UNKNOWN") != health and status != "STOPPED":
            yield Happening(at=now, kind="task", subject=subject, text=f"health is {health}")


def _of_instances(before: Seen, after: Seen, now: float) -> Iterator[Happening]:
    for arn, instance in after.instances.items():
        old, subject = before.instances.get(arn), short_id(arn)
        if old is None:
            at = float(instance.get("registeredAt", now))
            yield Happening(at=at, kind="instance", subject=subject, text="registered")
            continue
        if old["status"] != instance["status"]:
            yield Happening(at=now, kind="instance", subject=subject, text=instance["status"])
        if old["agentConnected"] != instance["agentConnected"]:
            text = "agent connected" if instance["agentConnected"] else "agent away"
            yield Happening(at=now, kind="instance", subject=subject, text=text)
    for arn in before.instances.keys() - after.instances.keys():
        yield Happening(at=now, kind="instance", subject=short_id(arn), text="deregistered")


def _show(found: Sequence[Happening], *, as_json: bool) -> None:
    for one in found:
        if as_json:
            print(jsonlib.dumps(asdict(one)), flush=True)
            continue
        moment = datetime.fromtimestamp(one.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        print(f"{moment}  {one.kind:<8}  {one.subject:<12}  {one.text}", flush=True)


def events(
    *,
    follow: Annotated[
        bool, Parameter(name=("--follow", "-f"), negative="", help="Go on until Ctrl-C.")
    ] = False,
    interval_seconds: Annotated[float, Parameter(help="How often to look, with --follow.")] = 1.0,
    cluster: Cluster = DEFAULT_CLUSTER,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> int:
    """Show what happened to tasks, instances and services; `--json` prints one object a line.

    Exit status: 0 shown, 1 refused, 3 nothing serves here.
    """
    clock, seen = SystemClock(), Seen()
    with client_for(data_dir) as api:
        while True:
            latest = look(api, cluster)
            _show(happenings(seen, latest, clock.now().timestamp()), as_json=json)
            if not follow:
                return 0
            seen = latest
            time.sleep(interval_seconds)
