"""`homeport status`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from http.client import HTTPConnection
from json import loads
from typing import Any
from urllib.parse import urlsplit

from homeport.cli.client import AwsClient
from homeport.cli.common import AsJson, DataDir, client_for
from homeport.cli.output import print_json, print_table, resource_name, short_id

HEALTH_PATH = "/_homeport/health"
HEALTH_TIMEOUT_SECONDS = 10.0
DESCRIBE_MAX = 100
SERVICES_MAX = 10
"""Services in one DescribeServices. Source: ECS API Reference, DescribeServices."""


def gather(api: AwsClient) -> dict[str, Any]:
    """Everything that `status` shows, from the public API."""
    cluster_arns = list(api.pages("ListClusters", "clusterArns"))
    clusters: list[Mapping[str, Any]] = []
    for start in range(0, len(cluster_arns), DESCRIBE_MAX):
        batch = cluster_arns[start : start + DESCRIBE_MAX]
        clusters += api.call("DescribeClusters", clusters=batch)["clusters"]
    instances: list[Mapping[str, Any]] = []
    services: list[Mapping[str, Any]] = []
    for arn in cluster_arns:
        found = list(api.pages("ListContainerInstances", "containerInstanceArns", cluster=arn))
        for start in range(0, len(found), DESCRIBE_MAX):
            batch = found[start : start + DESCRIBE_MAX]
            answer = api.call("DescribeContainerInstances", cluster=arn, containerInstances=batch)
            instances += [{**instance, "clusterArn": arn} for instance in answer["containerInstances"]]
        found = list(api.pages("ListServices", "serviceArns", cluster=arn))
        for start in range(0, len(found), SERVICES_MAX):
            batch = found[start : start + SERVICES_MAX]
            services += api.call("DescribeServices", cluster=arn, services=batch)["services"]
    return {
        "endpoint": api.connection.endpoint,
        "region": api.connection.region,
        "accountId": api.connection.account_id,
        "clusters": clusters,
        "containerInstances": instances,
        "services": services,
    }


def failing(endpoint: str) -> list[str]:
    """Loops of the server that crashed and wait to be started again: name and error."""
    parts = urlsplit(endpoint)
    connection = HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=HEALTH_TIMEOUT_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", HEALTH_PATH)
        found: list[str] = loads(connection.getresponse().read())["failing"]
        return found


def amount(resources: list[Mapping[str, Any]], name: str) -> int:
    """An instance's `CPU` (units) or `MEMORY` (MiB)."""
    return next((int(r.get("integerValue", 0)) for r in resources if r["name"] == name), 0)


def _instance_row(instance: Mapping[str, Any]) -> tuple[str, ...]:
    left, whole = instance["remainingResources"], instance["registeredResources"]
    return (
        short_id(instance["containerInstanceArn"]),
        resource_name(instance["clusterArn"]),
        instance["status"] if instance["agentConnected"] else "away",
        str(instance["runningTasksCount"]),
        f"{amount(left, 'CPU')} of {amount(whole, 'CPU')}",
        f"{amount(left, 'MEMORY')} of {amount(whole, 'MEMORY')} MiB",
    )


def status(*, data_dir: DataDir = None, json: AsJson = False) -> int:
    """Show clusters, instances and services.

    Exit status: 0 shown, 1 refused, 3 nothing serves here.
    """
    with client_for(data_dir) as api:
        seen = gather(api)
    seen["failing"] = failing(api.connection.endpoint)
    if json:
        print_json(seen)
        return 0
    print(f"{seen['endpoint']}  region {seen['region']}  account {seen['accountId']}\n")
    for loop in seen["failing"]:
        print(f"FAILING  {loop}  (it is tried again; the log of `homeport up` says more)\n")
    print_table(
        ("CLUSTER", "STATUS", "INSTANCES", "SERVICES", "RUNNING", "PENDING"),
        [
            (
                c["clusterName"],
                c["status"],
                str(c["registeredContainerInstancesCount"]),
                str(c["activeServicesCount"]),
                str(c["runningTasksCount"]),
                str(c["pendingTasksCount"]),
            )
            for c in seen["clusters"]
        ],
        empty="No clusters.",
    )
    print()
    print_table(
        ("INSTANCE", "CLUSTER", "STATUS", "TASKS", "CPU FREE", "MEMORY FREE"),
        [_instance_row(instance) for instance in seen["containerInstances"]],
        empty="No container instances.",
    )
    print()
    print_table(
        ("SERVICE", "CLUSTER", "STATUS", "DESIRED", "RUNNING", "PENDING", "DEFINITION"),
        [
            (
                s["serviceName"],
                resource_name(s["clusterArn"]),
                s["status"],
                str(s["desiredCount"]),
                str(s["runningCount"]),
                str(s["pendingCount"]),
                resource_name(s["taskDefinition"]),
            )
            for s in seen["services"]
        ],
        empty="No services.",
    )
    return 0
