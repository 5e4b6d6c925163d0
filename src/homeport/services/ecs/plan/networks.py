"""Tasks in a VPC: what may be asked for, which subnet a task gets, how its attachment moves. Pure.

Sources: ECS API Reference, AwsVpcConfiguration, Attachment; developer guide, "Amazon ECS task networking
options for EC2"; "Amazon ECS task lifecycle" (interfaces are made in PROVISIONING, and go in DEPROVISIONING).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from ipaddress import IPv4Network
from typing import Any

import msgspec

from homeport.services.ecs.model import FARGATE, Task, TaskDefinition, TaskNetwork
from homeport.services.ecs.model.networks import TaskInterface

WAIT_FOR_ATTACHMENT_MS = 300_000
_ORDER = ("ATTACHING", "ATTACHED", "DETACHING", "DELETED")


def is_awsvpc(definition: TaskDefinition) -> bool:
    """Whether its tasks have interfaces of their own."""
    return bool(definition.body.get("networkMode") == "awsvpc")


def asked_network(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The `awsvpcConfiguration` of a request; empty: there is none."""
    return (request.get("networkConfiguration") or {}).get("awsvpcConfiguration") or {}


def with_network(request: Mapping[str, Any], network: TaskNetwork | None) -> Mapping[str, Any]:
    """A request as if it had asked again for the network that stays."""
    if network is None or asked_network(request):
        return request
    subnets = [place.subnet_id for place in network.subnets]
    return {**request, "networkConfiguration": {"awsvpcConfiguration": {"subnets": subnets}}}


def subnets_for(
    network: TaskNetwork,
    task: Task,
    *,
    zones: Collection[str] = (),
    standing: Mapping[str, int] | None = None,
) -> tuple[str, ...]:
    """The subnets that a task may be in, in the order to try: those of its zone, beginning anywhere.

    A task of Fargate may be in any of them, or of those in `zones`; zones where fewer of its
    service's tasks are (`standing`) come first.
    """
    if task.launch_type == FARGATE:
        places = [place for place in network.subnets if not zones or place.zone in zones]
    else:
        places = [place for place in network.subnets if place.zone == task.availability_zone]
    start = int(task.uid[:8], 16) % len(places) if places else 0
    counts = standing or {}
    turned = sorted((*places[start:], *places[:start]), key=lambda place: counts.get(place.zone, 0))
    return tuple(place.subnet_id for place in turned)


def zone_of(network: TaskNetwork, subnet_id: str) -> str | None:
    """A subnet's zone."""
    return next((place.zone for place in network.subnets if place.subnet_id == subnet_id), None)


def with_interface(task: Task, interface: TaskInterface, network: TaskNetwork) -> Task:
    """The task as it begins."""
    zone = zone_of(network, interface.subnet_id)
    return msgspec.structs.replace(
        task, interface=interface, last_status="PROVISIONING", availability_zone=zone
    )


def moved(task: Task, status: str) -> Task:
    """The task with its attachment as far as that, if it was not further."""
    held = task.interface
    if held is None or _ORDER.index(status) <= _ORDER.index(held.status):
        return task
    return msgspec.structs.replace(task, interface=msgspec.structs.replace(held, status=status))


def attached(task: Task, report: Mapping[str, Any]) -> Task:
    """The task after what a report says of attachments: what runs has its network."""
    held = task.interface
    if held is None:
        return task
    said = any(
        one.get("attachmentArn") == task.attachment_arn and one.get("status") == "ATTACHED"
        for one in report.get("attachments") or ()
    )
    return moved(task, "ATTACHED") if said or report.get("status") == "RUNNING" else task


def unknown_attachments(tasks: Iterable[Task], attachments: Iterable[Mapping[str, Any]]) -> list[str]:
    """Those that belong to none of the tasks."""
    known = {task.attachment_arn for task in tasks if task.interface is not None}
    return [arn for one in attachments if (arn := str(one.get("attachmentArn") or "")) not in known]


def interface_payload(task: Task) -> tuple[dict[str, Any], ...]:
    """A task's interface as its agent is told of it. Source: recordings of the real agent's payloads."""
    held = task.interface
    if held is None:
        return ()
    subnet = IPv4Network(held.subnet)
    return (
        {
            "attachmentArn": task.attachment_arn,
            "ec2Id": held.eni_id,
            "macAddress": held.mac,
            "ipv4Addresses": [{"primary": True, "privateAddress": held.address}],
            "ipv6Addresses": [],
            "subnetGatewayIpv4Address": f"{subnet[1]}/{subnet.prefixlen}",
            "domainNameServers": [held.dns_server],
            "domainName": [held.search_domain],
            "privateDnsName": held.dns_name,
        },
    )


def no_interface(network: TaskNetwork, code: str) -> str:
    """Why a task never began. Source: developer guide, "Stopped tasks error messages"."""
    subnet = network.subnets[0].subnet_id if network.subnets else ""
    public = "enabled" if network.public else "disabled"
    return (
        "Unexpected EC2 error while attempting to Create Network Interface with public IP assignment "
        f"{public} in subnet '{subnet}': {code}"
    )
