"""What a node says when it registers, and what it makes of the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from homeport.core.backoff import Backoff
from homeport.core.log import get_logger
from homeport.node import attributes
from homeport.node.api import ApiError
from homeport.node.ports import EngineInfo
from homeport.node.settings import NodeSettings

log = get_logger("node.agent")

REGISTRATION = Backoff(first_seconds=0.25, factor=1.5, ceiling_seconds=30.0)
JOURNAL_FILE = "agent.journal"


class RegistrationRefusedError(Exception):
    """The control plane does not want this instance: trying again would not help."""

    remedy = ""

    @property
    def message(self) -> str:
        """For people."""
        return f"the control plane refuses to register this machine: {self}"


class InstanceGoneError(RegistrationRefusedError):
    """The control plane does not know this instance (any more): it was deregistered."""

    def __init__(self, arn: str, journal: Path | None) -> None:
        super().__init__(f"{arn} was deregistered, or was never known there")
        self.remedy = (
            f"To register this machine as a new instance, remove {journal}; the tasks that ran here are not "
            "taken over: `homeport down` removes their containers."
        )


class ClusterChangedError(Exception):
    """The data directory belongs to an instance of another cluster."""

    remedy = "Name that cluster, or another data directory."

    @property
    def message(self) -> str:
        """For people."""
        return f"this data directory belongs to another cluster: {self}"


def forget_instance(settings: NodeSettings) -> None:
    """What a node remembers is removed: it will register as a new instance. Its containers stay."""
    if settings.data_dir is not None:
        (settings.data_dir / JOURNAL_FILE).unlink(missing_ok=True)


def registration(
    settings: NodeSettings, info: EngineInfo, arn: str, *, task_limits: bool, task_networks: bool = False
) -> dict[str, Any]:
    """RegisterContainerInstance's input, without its token."""
    total = attributes.total_claim(info, settings)
    request: dict[str, Any] = {
        "cluster": settings.cluster,
        "attributes": attributes.attributes(
            info, settings, task_limits=task_limits, task_networks=task_networks
        ),
        "totalResources": attributes.total_resources(total),
        "instanceIdentityDocument": _identity_document(settings, info),
        "instanceIdentityDocumentSignature": "",
    }
    if arn:
        request["containerInstanceArn"] = arn
    if settings.tags:
        request["tags"] = [{"key": key, "value": value} for key, value in sorted(settings.tags.items())]
    if devices := attributes.platform_devices(total):
        request["platformDevices"] = devices
    return request


def _identity_document(settings: NodeSettings, info: EngineInfo) -> str:
    """As EC2's instance metadata has it, for an instance with an id; empty otherwise."""
    if not settings.ec2_instance_id:
        return ""
    document = {
        "availabilityZone": settings.availability_zone,
        "architecture": info.architecture,
        "instanceId": settings.ec2_instance_id,
        "instanceType": settings.instance_type,
        "privateIp": settings.host_ip,
        "region": settings.region,
    }
    return json.dumps(document)


def lacks_cluster(error: ApiError) -> bool:
    """Whether it was refused for want of its cluster."""
    return error.code == "ClusterNotFoundException" or error.message == "Cluster not found."


def registration_is_final(error: ApiError) -> bool:
    """Whether asking again would be answered alike."""
    return not (error.transient or error.code in {"ServerException", "LimitExceededException"})


def compare(sent: list[dict[str, str]], answered: Any) -> None:
    """Every attribute should come back. The real agent gives up if not; this one says so and goes on."""
    back = {attribute.get("name"): attribute.get("value") or "" for attribute in answered}
    lost = [a["name"] for a in sent if back.get(a["name"]) != a.get("value", "")]
    if lost:
        log.warning("agent.attributes_lost", attributes=lost)
