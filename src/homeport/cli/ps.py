"""`homeport ps`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from cyclopts import Parameter

from homeport.app.sample import addresses_of
from homeport.cli.client import AwsClient
from homeport.cli.common import DEFAULT_CLUSTER, AsJson, Cluster, DataDir, client_for
from homeport.cli.output import print_json, print_table, resource_name, short_id, since
from homeport.core.clock import SystemClock

COLUMNS = ("TASK", "DEFINITION", "GROUP", "INSTANCE", "STATUS", "HEALTH", "AGE", "ADDRESS")
DESCRIBE_MAX = 100
"""Tasks in one DescribeTasks. Source: ECS API Reference, DescribeTasks."""


def tasks_of(api: AwsClient, cluster: str, *, stopped: bool) -> Iterator[Mapping[str, Any]]:
    """Every task of a cluster; `stopped` adds those that stopped within the last hour."""
    for wanted in ("RUNNING", "STOPPED") if stopped else ("RUNNING",):
        arns = list(api.pages("ListTasks", "taskArns", cluster=cluster, desiredStatus=wanted))
        for start in range(0, len(arns), DESCRIBE_MAX):
            batch = arns[start : start + DESCRIBE_MAX]
            yield from api.call("DescribeTasks", cluster=cluster, tasks=batch)["tasks"]


def rows(tasks: Iterable[Mapping[str, Any]], now: datetime) -> Iterator[Sequence[str]]:
    """The table's rows, the youngest task first."""
    for task in sorted(tasks, key=lambda t: (-float(t.get("createdAt", 0)), t["taskArn"])):
        instance = task.get("containerInstanceArn", "")
        stopped = task["lastStatus"] == "STOPPED"
        yield (
            short_id(task["taskArn"]),
            resource_name(task["taskDefinitionArn"]),
            task.get("group", "-"),
            short_id(instance) if instance else "-",
            task["lastStatus"],
            "-" if stopped else task.get("healthStatus", "UNKNOWN"),
            since(task.get("stoppedAt" if stopped else "createdAt"), now),
            task.get("stoppedReason", "") if stopped else ", ".join(addresses_of(task)) or "-",
        )


def ps(
    *,
    cluster: Cluster = DEFAULT_CLUSTER,
    all_: Annotated[bool, Parameter(name=("--all", "-a"), negative="", help="Stopped ones too.")] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> int:
    """List tasks.

    Exit status: 0 listed, 1 refused, 3 nothing serves here.
    """
    with client_for(data_dir) as api:
        tasks = list(tasks_of(api, cluster, stopped=all_))
    if json:
        print_json(tasks)
    else:
        print_table(COLUMNS, rows(tasks, SystemClock().now()), empty=f"No tasks in cluster {cluster}.")
    return 0
