"""`homeport explain`: why, from the values that the planners decide with."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from homeport.cli.client import AwsClient
from homeport.cli.common import DEFAULT_CLUSTER, AsJson, Cluster, DataDir, client_for
from homeport.cli.output import CliError, print_json, printable, resource_name, short_id
from homeport.cli.ps import tasks_of

DENIED = "denied"
KINDS = ("task", "service", "deployment")
INSTANCES_SHOWN = 20


def arn_of(api: AwsClient, cluster: str, kind: str, reference: str) -> str:
    """The ARN of what was named: by ARN, a service by its name, a task by enough of its id."""
    if reference.startswith("arn:"):
        return reference
    head = f"arn:aws:ecs:{api.connection.region}:{api.connection.account_id}"
    if kind == "service":
        return f"{head}:service/{cluster}/{reference}"
    if kind == "deployment":
        raise CliError(
            f"{reference} is not a deployment's ARN", "See: aws ecs list-service-deployments --service NAME"
        )
    found = [
        str(task["taskArn"])
        for task in tasks_of(api, cluster, stopped=True)
        if resource_name(task["taskArn"]).startswith(reference)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(map(short_id, found))
        raise CliError(f"{reference} could be {len(found)} tasks: {names}", "Give more of its id.")
    if kind == "task":
        raise CliError(f"no task {reference}", "See: homeport ps --all")
    return f"{head}:service/{cluster}/{reference}"


def lines(told: Mapping[str, Any]) -> Iterator[str]:
    """An explanation, for people."""
    yield f"{told['kind']} {resource_name(told['arn'])}  {told['status']}"
    yield told["verdict"]
    for reason in told.get("because", ()):
        yield f"  - {reason}"
    numbers = told.get("numbers") or {}
    if numbers:
        yield "  " + "  ".join(f"{name} {value}" for name, value in numbers.items())
    for container in told.get("containers", ()):
        yield "  " + _container(container)
    instances = told.get("instances", ())
    if instances:
        yield "Container instances, for one more task:"
    for instance in instances[:INSTANCES_SHOWN]:
        yield "  " + _instance(instance)
    if len(instances) > INSTANCES_SHOWN:
        yield f"  and {len(instances) - INSTANCES_SHOWN} more (--json shows all)"
    remedies = told.get("remedies", ())
    if remedies:
        yield "What to do:"
    for remedy in remedies:
        yield f"  - {remedy}"


def _container(told: Mapping[str, Any]) -> str:
    health = told.get("healthStatus", "UNKNOWN")
    parts = [f"container {told['name']}: {told['lastStatus']}"]
    if health != "UNKNOWN":
        parts.append(health)
    if told.get("exitCode") is not None:
        parts.append(f"exit code {told['exitCode']}")
    if told.get("reason"):
        parts.append(told["reason"])
    return ", ".join(parts)


def _instance(told: Mapping[str, Any]) -> str:
    name = short_id(told["containerInstance"])
    if told["fits"]:
        return f"{name}  has room"
    if told.get("why"):
        return f"{name}  {told['reason']}: {told['why']}"
    about = f" ({told['detail']})" if told.get("detail") else ""
    numbers = f": asked {told['asked']}, free {told.get('free', 0)}" if told.get("asked") else ""
    return f"{name}  {told['reason']}{about}{numbers}"


def explain(
    *words: Annotated[
        str, Parameter(help="[task|service|deployment] ARN, name or task id; denied [REQUEST-ID].")
    ],
    cluster: Cluster = DEFAULT_CLUSTER,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> int:
    """Say why a task, a service or a deployment is as it is, or a request was denied, and what to do.

    `denied` explains the newest denial, or the request of that id (its beginning is enough).

    Exit status: 0 explained, 1 refused or not found, 3 nothing serves here.
    """
    if words and words[0] == DENIED and len(words) <= 2:
        return _explain_denied(data_dir, "".join(words[1:]), as_json=json)
    kind = words[0] if len(words) == 2 and words[0] in KINDS else ""
    if len(words) != 1 + bool(kind):
        raise CliError(
            "explain what?",
            "homeport explain [task|service|deployment] ARN, or: homeport explain denied",
            status=2,
        )
    with client_for(data_dir) as api:
        told = api.own("explain", arn=arn_of(api, cluster, kind, words[-1]))
    if kind and told["kind"] != kind:
        raise CliError(f"{words[-1]} is a {told['kind']}, not a {kind}", "Leave the word out.")
    if json:
        print_json(told)
        return 0
    for line in lines(told):
        print(line)
    return 0


def denied_lines(told: Mapping[str, Any]) -> Iterator[str]:
    """A denial's explanation, for people."""
    entry = told["entry"]
    source = entry["eventSource"].partition(".")[0]
    yield f"request {told['requestID']}  {entry['eventTime'][:19]}Z  {source}:{entry['eventName']}"
    yield told["verdict"]
    for reason in told["because"]:
        yield f"  {'  ' * reason.startswith(' ')}- {reason.strip()}"
    if told["remedies"]:
        yield "What to do:"
    for remedy in told["remedies"]:
        yield f"  - {remedy['text']}"
        if "statement" in remedy:
            yield f"    {jsonlib.dumps(remedy['statement'])}"
        if "command" in remedy:
            yield f"    {remedy['command']}"


def _explain_denied(data_dir: Path | None, request_id: str, *, as_json: bool) -> int:
    with client_for(data_dir) as api:
        told = api.own("denied", **({"id": request_id} if request_id else {}))
    if as_json:
        print_json(told)
        return 0
    for line in denied_lines(told):
        print(printable(line))
    return 0
