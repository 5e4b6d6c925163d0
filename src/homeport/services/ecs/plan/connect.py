"""What a service may ask of Service Connect. Pure.

Sources: botocore's ServiceConnectConfiguration and what is in it; developer guide, "Service Connect". The
texts of errors are ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from homeport.services.ecs.errors import ClientException, InvalidParameterException
from homeport.services.ecs.model import Connect, ConnectEndpoint, Registry, TaskDefinition

_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}")
_ALIAS = re.compile(r"(?=.{1,127}$)[a-z0-9_][a-z0-9_-]{0,62}(\.[a-z0-9_][a-z0-9_-]{0,62})*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
_VALUE = re.compile(r"[ -~]{1,1024}")
_NAMESPACE = re.compile(r'[^<>"/]{1,1024}')
MEMBER = "serviceConnectConfiguration"
IDLE_SECONDS = {"tcp": 3600}
HTTP_IDLE_SECONDS, HTTP_REQUEST_SECONDS = 300, 15
"""Defaults. Source: botocore's TimeoutConfiguration for idle ones; of one request as recalled, unproven."""
_NO_CONTAINER = "tasks have no proxy container here, this machine's own proxy carries the requests"
_REFUSED = {
    "logConfiguration": f"{_NO_CONTAINER}, and what it logs is of all services",
    "accessLogConfiguration": f"{_NO_CONTAINER}, and there is no log of one service's requests",
    "containerConfigurations": _NO_CONTAINER,
}
TEST_HEADER = "x-amzn-ecs-blue-green-test"
MOST_SECONDS = 2_147_483
ALIASES = 1


def check_connect(given: Mapping[str, Any] | None) -> None:
    """Raise for what is not done whatever the rest is."""
    if not given:
        return
    if not given.get("enabled"):
        if len(given) > 1:
            raise ClientException(f"{MEMBER} has members that need enabled to be true.")
        return
    for member, why in _REFUSED.items():
        if given.get(member):
            raise ClientException(f"{MEMBER}.{member} is not supported by Homeport: {why}.")
    for one in given.get("services") or ():
        if one.get("tls"):
            raise ClientException(
                f"{MEMBER}.services.tls is not supported by Homeport: there is no AWS Private CA here that "
                "issues the tasks' certificates."
            )


def check_namespace_name(name: str) -> None:
    """Raise for what cannot be the name of a namespace to be made."""
    if not _NAMESPACE.fullmatch(name) or name.startswith("arn:"):
        raise InvalidParameterException(
            f"The namespace {name} is not there, and cannot be made: a name has 1 to 1024 characters without "
            '<, >, " and /.'
        )


def endpoints_of(
    given: Mapping[str, Any], definition: TaskDefinition, namespace: str
) -> tuple[ConnectEndpoint, ...]:
    """What clients are to reach. `namespace`: its name. Raise `InvalidParameterException`."""
    services = given.get("services") or ()
    mode = definition.body.get("networkMode", "bridge")
    if mode not in ("bridge", "awsvpc"):
        raise InvalidParameterException(
            f"Service Connect needs the network mode awsvpc or bridge: the task definition has {mode}."
        )
    ports = {
        mapping["name"]: (container["name"], mapping)
        for container in definition.body["containerDefinitions"]
        for mapping in container.get("portMappings") or ()
        if mapping.get("name")
    }
    found = [_endpoint(one, ports, namespace) for one in services]
    _check_unique("discoveryName", [one.discovery_name for one in found])
    _check_unique("client alias", [f"{one.alias}:{one.port}" for one in found])
    _check_unique("ingressPortOverride", [str(one.ingress_port) for one in found if one.ingress_port])
    _check_ingress(found, definition, mode)
    return tuple(found)


def _check_unique(what: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InvalidParameterException(f"The {what} {name} is given more than once.")


def _check_ingress(found: Sequence[ConnectEndpoint], definition: TaskDefinition, mode: str) -> None:
    """Raise for ports at which nobody could listen for others."""
    asked = [one for one in found if one.ingress_port]
    if asked and mode != "awsvpc":
        raise ClientException(
            f"{MEMBER}.services.ingressPortOverride in the network mode {mode} is not supported by Homeport: "
            "give the portMapping a hostPort, or use awsvpc."
        )
    used = {
        mapping.get("containerPort")
        for container in definition.body["containerDefinitions"]
        for mapping in container.get("portMappings") or ()
    }
    for one in asked:
        if one.ingress_port in used:
            raise InvalidParameterException(
                f"ingressPortOverride {one.ingress_port} is a containerPort of the task definition."
            )


def _endpoint(
    one: Mapping[str, Any], ports: Mapping[str, tuple[str, Mapping[str, Any]]], namespace: str
) -> ConnectEndpoint:
    port_name = one["portName"]
    if port_name not in ports:
        raise InvalidParameterException(
            f"portName {port_name} is the name of no portMapping in the task definition."
        )
    container, mapping = ports[port_name]
    if mapping.get("protocol", "tcp") != "tcp" or "containerPort" not in mapping:
        raise InvalidParameterException(f"The portMapping {port_name} must be one port of tcp.")
    discovery_name = one.get("discoveryName") or port_name
    if not _NAME.fullmatch(discovery_name):
        raise InvalidParameterException(
            f"discoveryName {discovery_name} must have 1 to 64 lower-case letters, digits, underscores and "
            "hyphens, and cannot begin with a hyphen."
        )
    aliases: Sequence[Mapping[str, Any]] = one.get("clientAliases") or ()
    if len(aliases) != ALIASES:
        raise InvalidParameterException(f"portName {port_name} must have {ALIASES} clientAlias.")
    alias = aliases[0].get("dnsName") or f"{discovery_name}.{namespace}".lower()
    if not _ALIAS.fullmatch(alias):
        raise InvalidParameterException(
            f"dnsName {alias} must be a DNS name of at most 127 lower-case letters, digits, underscores, "
            "hyphens and periods."
        )
    if not 1 <= aliases[0]["port"] <= 65535:
        raise InvalidParameterException(f"The port of the client alias {alias} is between 1 and 65535.")
    protocol = mapping.get("appProtocol") or "tcp"
    header, value = _test_traffic(aliases[0], protocol)
    ingress = one.get("ingressPortOverride") or 0
    if not 0 <= ingress <= 65535:
        raise InvalidParameterException("ingressPortOverride is between 0 and 65535.")
    idle, request = _timeouts(one.get("timeout") or {}, protocol)
    return ConnectEndpoint(
        port_name=port_name,
        discovery_name=discovery_name,
        container=container,
        container_port=mapping["containerPort"],
        protocol=protocol,
        alias=alias,
        port=aliases[0]["port"],
        idle_seconds=idle,
        request_seconds=request,
        ingress_port=ingress,
        test_header=header,
        test_value=value,
    )


def _test_traffic(alias: Mapping[str, Any], protocol: str) -> tuple[str, str]:
    """The header that tests are known by, and its value ("" for any); no headers, no tests.

    Source: developer guide, "Service Connect resources for Amazon ECS blue/green, linear, and canary
    deployments" (the default); botocore's ServiceConnectTestTrafficHeaderRules.
    """
    given = (alias.get("testTrafficRules") or {}).get("header")
    if protocol == "tcp":
        if given is not None:
            raise InvalidParameterException("testTrafficRules need an appProtocol other than tcp.")
        return "", ""
    if given is None:
        return TEST_HEADER, ""
    if not _HEADER.fullmatch(given["name"]):
        raise InvalidParameterException(f"testTrafficRules: {given['name']} is not the name of a header.")
    value = given.get("value")
    if value is not None and not _VALUE.fullmatch(value["exact"]):
        raise InvalidParameterException("testTrafficRules: exact is 1 to 1024 printable characters.")
    return given["name"].lower(), value["exact"] if value else ""


def _timeouts(given: Mapping[str, Any], protocol: str) -> tuple[int, int]:
    idle, request = given.get("idleTimeoutSeconds"), given.get("perRequestTimeoutSeconds")
    if request is not None and protocol == "tcp":
        raise InvalidParameterException("perRequestTimeoutSeconds needs an appProtocol other than tcp.")
    for value in (idle, request):
        if not 0 <= (value or 0) <= MOST_SECONDS:
            raise InvalidParameterException(f"Timeouts are between 0 and {MOST_SECONDS} seconds.")
    if idle is None:
        idle = IDLE_SECONDS.get(protocol, HTTP_IDLE_SECONDS)
    if request is None:
        request = 0 if protocol == "tcp" else HTTP_REQUEST_SECONDS
    return idle, request


def registries_for(connect: Connect | None) -> tuple[Registry, ...]:
    """Where tasks are registered for Service Connect; no request names them, and none is shown them."""
    endpoints = () if connect is None else connect.endpoints
    services = () if connect is None else connect.given.get("services") or ()
    asked = {one.get("discoveryName") or one["portName"]: dict(one) for one in services}
    return tuple(
        Registry(
            arn=one.arn,
            container=one.container,
            container_port=one.container_port,
            port=one.ingress_port or None,
            for_connect=True,
            given=asked.get(one.discovery_name, {}) | {"discoveryName": one.discovery_name},
        )
        for one in endpoints
    )


def asked_registries(registries: Sequence[Registry]) -> tuple[Registry, ...]:
    """Without those of Service Connect."""
    return tuple(one for one in registries if not one.for_connect)


def claimed(endpoint: ConnectEndpoint, arn: str) -> ConnectEndpoint:
    """The endpoint with its Cloud Map service."""
    return msgspec.structs.replace(endpoint, arn=arn)
