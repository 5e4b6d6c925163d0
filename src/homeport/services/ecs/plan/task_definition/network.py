"""Ports, names and namespaces, by network mode.

Sources: PortMapping, ContainerDefinition (botocore ecs); developer guide,
"Amazon ECS task networking options" and "Task definition parameters".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from homeport.services.ecs.plan.task_definition.settings import Document, check_range, refuse

MODES = ("bridge", "host", "awsvpc", "none")
RANGES_MOST = 100
_RANGE = re.compile(r"(\d{1,5})-(\d{1,5})")
_PORT_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}")


def port_range(text: str) -> tuple[int, int]:
    """`8000-8010` as its ends. Raise when it is not a rising range of ports."""
    match = _RANGE.fullmatch(text)
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= first < last <= 65535:
        raise refuse(
            f"Invalid containerPortRange '{text}': "
            "two ports between 1 and 65535, the first less than the last."
        )
    return first, last


def with_ports(document: Document) -> dict[str, Any]:
    """The definition with every port mapping's host port and protocol filled in."""
    mode = document["networkMode"]
    containers = []
    for container in document["containerDefinitions"]:
        mappings = [_filled(mapping, mode, container["name"]) for mapping in container["portMappings"]]
        containers.append({**container, "portMappings": mappings})
    return {**document, "containerDefinitions": containers}


def _filled(mapping: Document, mode: str, name: str) -> dict[str, Any]:
    filled = {**mapping, "protocol": mapping.get("protocol", "tcp")}
    if filled["protocol"] not in ("tcp", "udp"):
        raise refuse(f"Invalid protocol '{filled['protocol']}' in a port mapping of container '{name}'.")
    given = mapping.get("containerPortRange")
    if given is not None:
        port_range(given)
        if mode not in ("bridge", "awsvpc"):
            raise refuse(f"containerPortRange is not supported when networkMode={mode}.")
        if mapping.get("containerPort") or mapping.get("hostPort"):
            raise refuse(
                f"A port mapping of container '{name}' has containerPortRange and containerPort or "
                "hostPort: specify one or the other."
            )
        return {key: value for key, value in filled.items() if key not in ("containerPort", "hostPort")}
    port, host = mapping.get("containerPort"), mapping.get("hostPort") or 0
    if port is None:
        raise refuse(
            f"A port mapping of container '{name}' has neither containerPort nor containerPortRange."
        )
    check_range(port, 1, 65535, f"containerPort of container '{name}'")
    check_range(host, 0, 65535, f"hostPort of container '{name}'")
    if mode in ("host", "awsvpc"):
        if host not in (0, port):
            raise refuse(
                f"When networkMode={mode}, the host ports and container ports in port mappings must match."
            )
        host = port
    return {**filled, "hostPort": host}


def _ports(mapping: Document) -> range:
    if "containerPortRange" in mapping:
        first, last = port_range(mapping["containerPortRange"])
        return range(first, last + 1)
    return range(mapping["containerPort"], mapping["containerPort"] + 1)


def check_ports(document: Document) -> None:
    """Mappings of a container, and of all of them, do not contradict each other."""
    mode = document["networkMode"]
    taken: dict[tuple[int, str], str] = {}
    names: set[str] = set()
    for container in document["containerDefinitions"]:
        name, mappings = container["name"], container["portMappings"]
        if mappings and mode == "none":
            raise refuse("Port mappings are not supported when networkMode=none.")
        _check_container_ports(name, mappings)
        for mapping in mappings:
            _check_port_name(mapping, names)
            host = mapping.get("hostPort")
            if not host or mode == "awsvpc":
                continue
            key = (host, mapping["protocol"])
            if key in taken:
                raise refuse(
                    f"Host port {host}/{mapping['protocol']} is mapped by container '{taken[key]}' "
                    f"and by container '{name}'."
                )
            taken[key] = name


def _check_container_ports(name: str, mappings: list[Document]) -> None:
    ranges = [mapping for mapping in mappings if "containerPortRange" in mapping]
    if len(ranges) > RANGES_MOST:
        raise refuse(f"Container '{name}' has {len(ranges)} port ranges; {RANGES_MOST} are allowed.")
    for index, mapping in enumerate(mappings):
        for other in mappings[:index]:
            mine, theirs = _ports(mapping), _ports(other)
            if mine.start >= theirs.stop or theirs.start >= mine.stop:
                continue
            if mapping in ranges or other in ranges:
                raise refuse(f"Container '{name}' maps overlapping container port ranges.")
            if mapping["protocol"] != other["protocol"]:
                raise refuse(
                    f"Container '{name}' exposes container port {mapping['containerPort']} for multiple "
                    "protocols."
                )


def _check_port_name(mapping: Document, names: set[str]) -> None:
    name = mapping.get("name")
    if name is None:
        return
    if not _PORT_NAME.fullmatch(name):
        raise refuse(
            f"Invalid port mapping name '{name}': up to 64 lowercase letters, numbers, underscores and "
            "hyphens; the first is not a hyphen."
        )
    if name in names:
        raise refuse(f"Port mapping name '{name}' is used more than once in the task definition.")
    names.add(name)


def _unsupported(container: Document, mode: str) -> Iterator[str]:
    if container.get("links") and mode != "bridge":
        yield "links"
    if mode == "awsvpc":
        yield from (key for key in ("hostname", "extraHosts") if container.get(key))


def check_mode(document: Document) -> None:
    """The mode itself and what it excludes."""
    mode = document["networkMode"]
    if mode not in MODES:
        raise refuse(f"Invalid networkMode '{mode}': valid values are {', '.join(MODES)}.")
    for container in document["containerDefinitions"]:
        for key in _unsupported(container, mode):
            raise refuse(
                f"'{key}' of container '{container['name']}' is not supported when networkMode={mode}."
            )
    for key, values in (("pidMode", ("host", "task")), ("ipcMode", ("host", "task", "none"))):
        if key in document and document[key] not in values:
            raise refuse(f"Invalid {key} '{document[key]}': valid values are {', '.join(values)}.")


def check_proxy(document: Document) -> None:
    """An App Mesh proxy is one of the containers of an awsvpc task."""
    proxy = document.get("proxyConfiguration")
    if proxy is None:
        return
    if proxy.get("type", "APPMESH") != "APPMESH":
        raise refuse(f"Invalid proxyConfiguration.type '{proxy['type']}': the only valid value is APPMESH.")
    if proxy["containerName"] not in {c["name"] for c in document["containerDefinitions"]}:
        raise refuse(
            f"proxyConfiguration.containerName '{proxy['containerName']}' is not a container of "
            "the task definition."
        )
    if document["networkMode"] != "awsvpc":
        raise refuse("proxyConfiguration is only supported when networkMode=awsvpc.")
