"""Instances: what they may say of themselves, which are found, and the DNS records that lead to them. Pure.

Sources: AWS Cloud Map API Reference, RegisterInstance, DiscoverInstances, DnsConfig, DnsRecord.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any

from homeport.services.servicediscovery.errors import InvalidInput
from homeport.services.servicediscovery.model import (
    HEALTHY,
    UNHEALTHY,
    UNKNOWN,
    WEIGHTED,
    Instance,
    Namespace,
    Service,
)

IPV4, IPV6, PORT, CNAME = "AWS_INSTANCE_IPV4", "AWS_INSTANCE_IPV6", "AWS_INSTANCE_PORT", "AWS_INSTANCE_CNAME"
INITIAL = "AWS_INIT_HEALTH_STATUS"
CUSTOM_MOST, KEY_MOST, VALUE_MOST, TOTAL_MOST = 30, 255, 1024, 5000
ANSWERS_MOST = 8
"""Values in an answer of the routing policy MULTIVALUE."""
_UNSUPPORTED = {
    "AWS_ALIAS_DNS_NAME": "there is no Route 53 alias record here: use a service with a CNAME record",
    "AWS_EC2_INSTANCE_ID": "give the instance's address as AWS_INSTANCE_IPV4",
}
_REQUIRED = {"A": (IPV4,), "AAAA": (IPV6,), "CNAME": (CNAME,), "SRV": (PORT,)}


def check_attributes(attributes: Mapping[str, str], service: Service) -> None:
    """Raise for attributes that the service's instances cannot have."""
    for name, why in _UNSUPPORTED.items():
        if name in attributes:
            raise InvalidInput(f"{name} is not supported by Homeport: {why}.")
    for key, value in attributes.items():
        if not 1 <= len(key) <= KEY_MOST or len(value) > VALUE_MOST:
            raise InvalidInput(
                f"The attribute {key[:32]!r} is too long: {KEY_MOST} characters, its value {VALUE_MOST}."
            )
    if sum(len(key) + len(value) for key, value in attributes.items()) > TOTAL_MOST:
        raise InvalidInput(f"All attributes together have at most {TOTAL_MOST} characters.")
    if sum(not key.startswith("AWS_") for key in attributes) > CUSTOM_MOST:
        raise InvalidInput(f"An instance has at most {CUSTOM_MOST} custom attributes.")
    for record in service.records:
        for name in _REQUIRED[record.type]:
            if not attributes.get(name):
                raise InvalidInput(f"{name} is required: the service has {record.type} records.")
        if record.type == "SRV" and not (attributes.get(IPV4) or attributes.get(IPV6)):
            raise InvalidInput(f"{IPV4} or {IPV6} is required: the service has SRV records.")
    _check_values(attributes, service)


def _check_values(attributes: Mapping[str, str], service: Service) -> None:
    for name, kind in ((IPV4, IPv4Address), (IPV6, IPv6Address)):
        if name in attributes:
            try:
                kind(attributes[name])
            except AddressValueError:
                raise InvalidInput(f"{name} is not an address: {attributes[name][:64]}") from None
    port = attributes.get(PORT)
    if port is not None and not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535):
        raise InvalidInput(f"{PORT} is not a port: {port[:64]}")
    alias = attributes.get(CNAME)
    labels = alias.rstrip(".").split(".") if alias else ["x"]
    if len(alias or "") > 253 or not all(
        1 <= len(label) <= 63 and label.isascii() and label.isprintable() and " " not in label
        for label in labels
    ):
        raise InvalidInput(f"{CNAME} is not a domain name: {(alias or '')[:64]}")
    initial = attributes.get(INITIAL)
    if initial is not None and initial not in (HEALTHY, UNHEALTHY):
        raise InvalidInput(f"{INITIAL} is HEALTHY or UNHEALTHY.")
    if initial is not None and not service.custom_health:
        raise InvalidInput(f"{INITIAL} needs a service with HealthCheckCustomConfig.")


def check_labels(instance_id: str, service: Service) -> None:
    """An instance of a service with SRV records has a name of its own: it must be one."""
    if any(record.type == "SRV" for record in service.records) and not all(
        1 <= len(label) <= 63 for label in instance_id.split(".")
    ):
        raise InvalidInput("The instance id is part of a DNS name here: its labels have 1 to 63 characters.")


def health_of(instance: Instance, service: Service) -> str:
    """What is known of an instance's health."""
    if not service.custom_health:
        return UNKNOWN
    return HEALTHY if instance.healthy else UNHEALTHY


# ---- DiscoverInstances ---------------------------------------------------------------------------


def discovered(instances: Sequence[Instance], service: Service, request: Mapping[str, Any]) -> list[Instance]:
    """Those that a DiscoverInstances request finds, in the order given."""
    required = request.get("QueryParameters") or {}
    found = [one for one in instances if _has(one, required)]
    wanted = request.get("OptionalParameters") or {}
    if wanted and (preferred := [one for one in found if _has(one, wanted)]):
        found = preferred
    if not service.custom_health:
        return found
    asked = request.get("HealthStatus") or "HEALTHY_OR_ELSE_ALL"
    if asked == "ALL":
        return found
    healthy = [one for one in found if one.healthy]
    if asked == "HEALTHY":
        return healthy
    if asked == "UNHEALTHY":
        return [one for one in found if not one.healthy]
    return healthy or found


def _has(instance: Instance, wanted: Mapping[str, str]) -> bool:
    return all(instance.attributes.get(key) == value for key, value in wanted.items())


# ---- DNS ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRecords:
    """Records of one name; `answers_most`: how many values are told at once, 0 for all."""

    name: str
    type: str
    values: tuple[str, ...]
    ttl: int
    answers_most: int


def routable(instances: Sequence[Instance], service: Service) -> list[Instance]:
    """Those that DNS leads to: the healthy ones.

    Without any, WEIGHTED answers as if all were healthy (DnsConfig, "WEIGHTED") and MULTIVALUE with the one
    that was last healthy (RegisterInstance); what has never been healthy is nobody's answer.
    """
    if not service.custom_health or any(one.healthy for one in instances):
        return [one for one in instances if one.healthy or not service.custom_health]
    if service.routing_policy == WEIGHTED:
        return list(instances)
    left = [one for one in instances if one.left_healthy_at is not None]
    return sorted(left, key=lambda one: (one.left_healthy_at, one.instance_id))[-1:]


def name_records(
    namespace: Namespace, service: Service, instances: Sequence[Instance]
) -> tuple[NameRecords, ...]:
    """The records that lead to a service's instances."""
    name = f"{service.name}.{namespace.name}".lower()
    most = 1 if service.routing_policy == WEIGHTED else ANSWERS_MOST
    found: dict[tuple[str, str, int, int], list[str]] = defaultdict(list)
    for instance in routable(instances, service):
        for record in service.records:
            for at, kind, value, limit in _of(record.type, name, instance, most):
                found[at, kind, record.ttl, limit].append(value)
    return tuple(
        NameRecords(name=at, type=kind, values=tuple(values), ttl=ttl, answers_most=limit)
        for (at, kind, ttl, limit), values in found.items()
    )


def _of(kind: str, name: str, instance: Instance, most: int) -> Iterable[tuple[str, str, str, int]]:
    given = instance.attributes
    if kind == "SRV":
        host = f"{instance.instance_id}.{name}".lower()
        yield name, kind, f"1 1 {given[PORT]} {host}.", most
        for address, its_kind in ((IPV4, "A"), (IPV6, "AAAA")):
            if given.get(address):
                yield host, its_kind, given[address], 0
    else:
        value = given[_REQUIRED[kind][0]]
        yield name, kind, f"{value.rstrip('.')}." if kind == "CNAME" else value, most
