"""Reading RegisterContainerInstance. Pure. Source: ECS API Reference and the agent's recorded requests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from homeport.services.ecs.errors import ClientException, InvalidParameterException
from homeport.services.ecs.model import Attribute, Cluster, ContainerInstance
from homeport.services.ecs.plan.tags import checked, merged

_BUILT_IN = ("ecs.", "com.amazonaws.ecs.")
_IDENTITY_ATTRIBUTES = {
    "ecs.availability-zone": "availabilityZone",
    "ecs.instance-type": "instanceType",
    "ecs.ami-id": "imageId",
}
"""Attributes that an instance identity document gives, and its members."""


def _integer(resources: Mapping[str, Mapping[str, Any]], name: str) -> int:
    value = resources.get(name, {}).get("integerValue")
    if value is None or value < 0:
        raise InvalidParameterException(
            f"totalResources must hold {name} as an INTEGER that is not negative."
        )
    return int(value)


def _ports(resources: Mapping[str, Mapping[str, Any]], name: str) -> tuple[int, ...]:
    ports = []
    for text in resources.get(name, {}).get("stringSetValue") or ():
        if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
            raise InvalidParameterException(f"'{text}' in {name} is no port.")
        ports.append(int(text))
    return tuple(sorted(set(ports)))


def _identity(document: str | None) -> Mapping[str, Any]:
    if not document:
        return {}
    try:
        identity = json.loads(document)
    except (ValueError, RecursionError):
        raise ClientException("The instance identity document is not JSON.") from None
    if not isinstance(identity, dict):
        raise ClientException("The instance identity document is not a JSON object.")
    for name in ("instanceId", *_IDENTITY_ATTRIBUTES.values()):
        if not isinstance(identity.get(name) or "", str):
            raise ClientException(f"{name} of the instance identity document is not a string.")
    return identity


def _attributes(
    given: tuple[Mapping[str, Any], ...], identity: Mapping[str, Any], zone: str
) -> tuple[Attribute, ...]:
    found = {
        a["name"]: Attribute(
            name=a["name"], value=a.get("value") or None, custom=not a["name"].startswith(_BUILT_IN)
        )
        for a in given
    }
    for name, member in _IDENTITY_ATTRIBUTES.items():
        value = identity.get(member) or (zone if member == "availabilityZone" else None)
        if value and name not in found:
            found[name] = Attribute(name=name, value=value)
    return tuple(found.values())


def registered_instance(
    request: Mapping[str, Any],
    *,
    cluster: Cluster,
    old: ContainerInstance | None,
    uid: str,
    managed_id: str,
    now: datetime,
) -> ContainerInstance:
    """The instance that a registration makes, or that a repeated one renews.

    `managed_id` names an instance that sends no identity document, as ECS
    Anywhere's do (`mi-...`).
    """
    resources = {row.get("name", ""): row for row in request.get("totalResources") or ()}
    identity = _identity(request.get("instanceIdentityDocument"))
    attributes = _attributes(tuple(request.get("attributes") or ()), identity, zone=f"{cluster.region}a")
    versions = request.get("versionInfo") or {}
    facts: dict[str, Any] = {
        "cpu": _integer(resources, "CPU"),
        "memory": _integer(resources, "MEMORY"),
        "ports_tcp": _ports(resources, "PORTS"),
        "ports_udp": _ports(resources, "PORTS_UDP"),
        "gpu_ids": tuple(
            device["id"] for device in request.get("platformDevices") or () if device.get("type") == "GPU"
        ),
    }
    for member, wire in (
        ("agent_version", "agentVersion"),
        ("agent_hash", "agentHash"),
        ("docker_version", "dockerVersion"),
    ):
        if versions.get(wire):
            facts[member] = versions[wire]
    tags = checked(request.get("tags"))
    if old is None:
        return ContainerInstance(
            cluster_id=cluster.id,
            cluster_name=cluster.name,
            account_id=cluster.account_id,
            region=cluster.region,
            uid=uid,
            ec2_instance_id=identity.get("instanceId") or managed_id,
            attributes=attributes,
            tags=tags,
            registered_at=now,
            **facts,
        )
    named = identity.get("instanceId")
    if named and named != old.ec2_instance_id:
        raise ClientException(f"{old.arn} is registered for the instance {old.ec2_instance_id}, not {named}.")
    renewed = {a.name for a in attributes}
    kept = tuple(a for a in old.attributes if a.custom and a.name not in renewed)
    return msgspec.structs.replace(old, attributes=(*attributes, *kept), tags=merged(old.tags, tags), **facts)
