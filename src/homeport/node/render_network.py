"""A network of a task as a sandbox, and what a container is told that joins one. Pure.

A container that joins another's network takes no name, port, link, DNS server or host of its own: Docker
refuses them. They are the sandbox's, whose files the container sees.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from homeport.agentproto.messages import Container, Task
from homeport.node.names import container_name
from homeport.node.networks import interface_of, is_awsvpc
from homeport.node.ports import DriverError, Publication, SandboxSpec

_NOT_LINKED = frozenset({"HOME", "PATH"})
"""Of the environment of a linked container. Source: Docker Engine, links."""

Port = tuple[int, str]
"""(port, protocol)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """A container that another one links to, once it runs. `env`: all of its environment."""

    name: str
    alias: str
    docker_name: str
    address: str
    ports: tuple[Port, ...] = ()
    env: Mapping[str, str]


def join_network(config: dict[str, Any], host: dict[str, Any], network: str) -> None:
    """Both bodies for a container in the network of the container `network`."""
    for name in ("Hostname", "Domainname", "ExposedPorts", "MacAddress"):
        config.pop(name, None)
    for name in ("PortBindings", "Links", "Dns", "DnsSearch", "DnsOptions", "ExtraHosts", "PublishAllPorts"):
        host.pop(name, None)
    host["NetworkMode"] = f"container:{network}"


def render_sandbox(
    task: Task,
    part: str,
    container: Container | None,
    *,
    host_ports: Iterable[tuple[int, str, int]] = (),
    linked: Iterable[Linked] = (),
    labels: Mapping[str, str],
    cgroup_parent: str | None,
) -> SandboxSpec:
    """The network of `container`, or (`None`) of the whole task. Raise `DriverError`.

    `part` is its name within the task. Source of the hosts of links: Docker user guide, "Legacy container
    links": alias and name of the linked container.
    """
    name = container_name(task, part)
    if container is None:
        bodies = [_bodies(each) for each in task.containers]
        return SandboxSpec(
            name=name,
            interface=interface_of(task) if is_awsvpc(task) else None,
            dns=_first(host.get("Dns") for _, host in bodies),
            dns_search=_first(host.get("DnsSearch") for _, host in bodies),
            dns_options=_first(host.get("DnsOptions") for _, host in bodies),
            labels=labels,
            cgroup_parent=cgroup_parent,
            holds_more="task" in {task.pid_mode, task.ipc_mode},
        )
    config, host = _bodies(container)
    hosts = [_host(container, entry) for entry in host.get("ExtraHosts") or ()]
    for each in linked:
        hosts += [(alias, each.address) for alias in dict.fromkeys((each.alias, each.name, each.docker_name))]
    return SandboxSpec(
        name=name,
        published=tuple(
            Publication(container_port=port, protocol=protocol, host_port=host_port)
            for port, protocol, host_port in host_ports
        ),
        hostname=str(config.get("Hostname") or ""),
        extra_hosts=tuple(hosts),
        dns=tuple(host.get("Dns") or ()),
        dns_search=tuple(host.get("DnsSearch") or ()),
        dns_options=tuple(host.get("DnsOptions") or ()),
        labels=labels,
        cgroup_parent=cgroup_parent,
    )


def link_environment(task: Task, container: Container, linked: Iterable[Linked]) -> dict[str, str]:
    """What Docker tells a container of those it links to. Its own environment goes over it.

    Source: Docker user guide, "Legacy container links", "Environment variables"; Docker Engine, links.
    """
    told: dict[str, str] = {}
    for each in linked:
        alias = each.alias.upper().replace("-", "_")
        ports = sorted(each.ports, key=lambda port: (port[0], port[1] != "tcp"))
        if ports:
            first, protocol = ports[0]
            told[f"{alias}_PORT"] = f"{protocol}://{each.address}:{first}"
        for port, protocol in ports:
            head = f"{alias}_PORT_{port}_{protocol.upper()}"
            told[head] = f"{protocol}://{each.address}:{port}"
            told[f"{head}_ADDR"] = each.address
            told[f"{head}_PORT"] = str(port)
            told[f"{head}_PROTO"] = protocol
        told[f"{alias}_NAME"] = f"/{container_name(task, container.name)}/{each.alias}"
        told |= {f"{alias}_ENV_{name}": v for name, v in each.env.items() if name not in _NOT_LINKED}
    return told


def ports_of(container: Container, exposed: Iterable[str]) -> tuple[Port, ...]:
    """What a container exposes: its port mappings, and its image's ports (`80/tcp`)."""
    ports: dict[Port, None] = {}
    for mapping in container.port_mappings:
        first, _, last = (mapping.container_port_range or str(mapping.container_port)).partition("-")
        for port in range(int(first), int(last or first) + 1):
            ports[port, mapping.protocol] = None
    for text in exposed:
        number, _, protocol = text.partition("/")
        if number.isdigit():
            ports[int(number), protocol or "tcp"] = None
    return tuple(ports)


def _bodies(container: Container) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """`Config` and `HostConfig` as the control plane rendered them; `rules` made sure that they are JSON."""
    config = json.loads(container.docker_config.config or "{}")
    host = json.loads(container.docker_config.host_config or "{}")
    return config, host


def _first(lists: Iterable[Any]) -> tuple[str, ...]:
    return next((tuple(each) for each in lists if each), ())


def _host(container: Container, entry: str) -> tuple[str, str]:
    name, _, address = entry.partition(":")
    if not name or not address:
        raise DriverError(
            "HostConfigError", f"{container.name}: the extra host {entry!r} is not NAME:ADDRESS"
        )
    return name, address
