"""Tasks' networks on the wire."""

from __future__ import annotations

from homeport.services.ecs.model import Task, TaskNetwork
from homeport.services.ecs.model.networks import ELASTIC_NETWORK_INTERFACE
from homeport.services.ecs.view.wire import Wire


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
