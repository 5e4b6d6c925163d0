"""Tasks' networks on the wire."""

from __future__ import annotations

import json
from hashlib import sha256

from homeport.services.ecs.model import Registry, Task, TaskNetwork
from homeport.services.ecs.model.networks import ELASTIC_NETWORK_INTERFACE
from homeport.services.ecs.view.wire import Wire

CONNECT_DETAILS = ("portName", "discoveryName", "clientAliases", "ingressPortOverride")


def network_view(network: TaskNetwork | None) -> Wire:
    """`networkConfiguration` of a service, a deployment or a task set; nothing where there is none.

    Source: recorded DescribeServices: what was not asked for shows as its default.
    """
    if network is None:
        return {}
    shown = {
        "subnets": [place.subnet_id for place in network.subnets],
        "securityGroups": list(network.groups),
        "assignPublicIp": "ENABLED" if network.public else "DISABLED",
    }
    return {"networkConfiguration": {"awsvpcConfiguration": shown}}


def attachments_view(task: Task, *, kind: str = ELASTIC_NETWORK_INTERFACE) -> list[Wire]:
    """`attachments` of a task. Source: ECS API Reference, Attachment; its details as the guide lists them."""
    return [
        *_interface_view(task, kind),
        *(_connect_view(task, one) for one in task.registries if one.for_connect),
    ]


def _connect_view(task: Task, registry: Registry) -> Wire:
    """A name of Service Connect that leads to a task. Source: ECS API Reference, Attachment, `details`.

    Its id, and when it is in which status, are our choice.
    """
    digest = sha256(f"{task.uid} {registry.arn}".encode()).hexdigest()
    given = {name: registry.given.get(name) for name in CONNECT_DETAILS}
    status = "ATTACHED" if task.last_status in ("RUNNING", "DEACTIVATING") else "PRECREATED"
    return {
        "id": "-".join(digest[start:end] for start, end in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))),
        "type": "Service Connect",
        "status": "DELETED" if task.desired_status == "STOPPED" and status == "PRECREATED" else status,
        "details": [
            {"name": name, "value": value if isinstance(value, str) else json.dumps(value)}
            for name, value in given.items()
            if value is not None
        ],
    }


def _interface_view(task: Task, kind: str) -> list[Wire]:
    held = task.interface
    if held is None:
        return []
    details = {
        "subnetId": held.subnet_id,
        "networkInterfaceId": held.eni_id,
        "macAddress": held.mac,
        "privateDnsName": held.dns_name,
        "privateIPv4Address": held.address,
    }
    return [
        {
            "id": held.uid,
            "type": kind,
            "status": held.status,
            "details": [{"name": name, "value": value} for name, value in details.items()],
        }
    ]


def container_interfaces(task: Task) -> list[Wire]:
    """`networkInterfaces` of each of a task's containers: the one that they share."""
    held = task.interface
    if held is None:
        return []
    return [{"attachmentId": held.uid, "privateIpv4Address": held.address}]
