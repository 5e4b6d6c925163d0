"""What namespaces and services may be. Pure.

Sources: AWS Cloud Map API Reference; developer guide, "AWS Cloud Map quotas".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from homeport.services.servicediscovery.errors import (
    InvalidInput,
    ServiceAttributesLimitExceededException,
    TooManyTagsException,
)
from homeport.services.servicediscovery.model import HTTP, MULTIVALUE, WEIGHTED, Namespace, Record, Service

TAGS_MOST = 50
ATTRIBUTES_MOST = 30
NAMESPACES_MOST, SERVICES_MOST = 50, 1000
"""Namespaces of an account in a region: 50, raised on request. How many services one has is our choice."""
SOA_TTL = 15
"""What a namespace has whose maker says nothing [our choice]."""
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_SERVICE = re.compile(
    r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*"
)


def check_dns_name(name: str) -> None:
    """Raise unless a namespace of DNS names may be called so."""
    labels = name.rstrip(".").split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or len(name) > 253:
        raise InvalidInput(f"The namespace name {name} is not a domain name.")


def soa_ttl(properties: Mapping[str, Any] | None) -> int | None:
    """How long it may be remembered that a name is not there, in seconds; `None`: it is not said."""
    given = ((properties or {}).get("DnsProperties") or {}).get("SOA")
    return None if given is None else int(given["TTL"])


def tags_of(given: Iterable[Mapping[str, str]] | None, old: Mapping[str, str], where: str) -> dict[str, str]:
    """`old` with these tags laid over it. Raise when they are too many, or AWS's own."""
    tags = dict(old)
    for tag in given or ():
        if tag["Key"].lower().startswith("aws:"):
            raise InvalidInput(f"The tag key {tag['Key']} begins with aws:, which is AWS's own.")
        tags[tag["Key"]] = tag["Value"]
    if len(tags) > TAGS_MOST:
        raise TooManyTagsException(f"A resource has at most {TAGS_MOST} tags.", ResourceName=where)
    return tags


def namespace_of(request: Mapping[str, Any]) -> str:
    """The namespace that CreateService names, in whichever place."""
    inside = (request.get("DnsConfig") or {}).get("NamespaceId")
    given = request.get("NamespaceId") or inside
    if not given:
        raise InvalidInput("NamespaceId is required.")
    if inside and inside != given:
        raise InvalidInput("NamespaceId and DnsConfig.NamespaceId must be the same namespace.")
    return str(given)


def check_service(request: Mapping[str, Any], namespace: Namespace) -> None:
    """Raise for a service that this namespace cannot have."""
    if request.get("HealthCheckConfig"):
        raise InvalidInput(
            "HealthCheckConfig is not supported by Homeport: no Route 53 health checker comes here. "
            "Use HealthCheckCustomConfig."
        )
    if not _SERVICE.fullmatch(request["Name"]) and namespace.type != HTTP:
        raise InvalidInput(f"The service name {request['Name']} is not a domain name.")
    config = request.get("DnsConfig")
    if config is None:
        return
    if namespace.type == HTTP:
        raise InvalidInput("DnsConfig cannot be specified for a service in an HTTP namespace.")
    if request.get("Type") == HTTP:
        raise InvalidInput("DnsConfig cannot be specified for a service of the type HTTP.")
    if len(f"{request['Name']}.{namespace.name}") > 253:
        raise InvalidInput("The service's and the namespace's names together have at most 253 characters.")


def records_of(config: Mapping[str, Any]) -> tuple[Record, ...]:
    """The records of a DnsConfig. Raise for a combination that AWS does not have."""
    found = tuple(Record(type=one["Type"], ttl=int(one["TTL"])) for one in config.get("DnsRecords") or ())
    types = [one.type for one in found]
    if frozenset(types) not in _COMBINATIONS or len(set(types)) < len(types):
        raise InvalidInput(
            f"DnsRecords of the types {', '.join(types) or '(none)'} cannot be combined: "
            "they are A, AAAA, A and AAAA, SRV, or CNAME."
        )
    return found


_COMBINATIONS = frozenset(map(frozenset, (("A",), ("AAAA",), ("A", "AAAA"), ("SRV",), ("CNAME",))))


def routing_policy(config: Mapping[str, Any], records: Sequence[Record]) -> str:
    """Source: DnsRecord, "CNAME": its routing policy must be WEIGHTED. The defaults are ours."""
    alias = any(one.type == "CNAME" for one in records)
    policy = str(config.get("RoutingPolicy") or (WEIGHTED if alias else MULTIVALUE))
    if alias and policy != WEIGHTED:
        raise InvalidInput("The routing policy of CNAME records must be WEIGHTED.")
    return policy


def updated_records(service: Service, config: Mapping[str, Any] | None) -> tuple[Record, ...]:
    """A service's records after UpdateService: what is left out is deleted, types cannot be added.

    Source: UpdateService; DnsConfig, "DnsRecords".
    """
    if config is None:
        return ()
    known = {one.type for one in service.records}
    found = tuple(Record(type=one["Type"], ttl=int(one["TTL"])) for one in config.get("DnsRecords") or ())
    types = [one.type for one in found]
    if not set(types) <= known or len(set(types)) < len(types):
        raise InvalidInput("The record types of a service cannot be changed: only their TTL can.")
    return found


def unique_name(name: str, namespace: Namespace) -> str:
    """What no other service of the namespace may be called: DNS does not tell cases apart."""
    return name if namespace.type == HTTP else name.lower()


def service_attributes(given: Mapping[str, str], old: Mapping[str, str]) -> dict[str, str]:
    """A service's attributes with these laid over them."""
    after = {**old, **given}
    for key, value in given.items():
        if not 1 <= len(key) <= 255 or len(value) > 1024:
            raise InvalidInput(
                f"The attribute {key[:32]!r} is too long: 255 characters, and 1024 for its value."
            )
    if len(after) > ATTRIBUTES_MOST:
        raise ServiceAttributesLimitExceededException(f"A service has at most {ATTRIBUTES_MOST} attributes.")
    return after
