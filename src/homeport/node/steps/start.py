"""Create a container, and start it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from homeport.agentproto.messages import Container, Task
from homeport.node.hostports import HostPort
from homeport.node.names import is_internal, task_id
from homeport.node.ports import ContainerSpec
from homeport.node.render import render_container, render_pause
from homeport.node.rules import host_config
from homeport.node.steps.tools import Extras, Tools


async def create(
    tools: Tools,
    task: Task,
    container: Container | None,
    *,
    extras: Extras,
    host_ports: Iterable[HostPort],
    image_env: Iterable[str],
    network: str = "",
    link_env: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Create, or find, the container (`None`: the holder of namespaces); its Docker id.

    `network`, `link_env`: as `render_container`.
    """
    spec = render(
        tools,
        task,
        container,
        extras=extras,
        host_ports=host_ports,
        image_env=image_env,
        network=network,
        link_env=link_env,
    )
    async with tools.starts.creating():
        return await tools.drivers.containers.create(spec)


def render(
    tools: Tools,
    task: Task,
    container: Container | None,
    *,
    extras: Extras,
    host_ports: Iterable[HostPort],
    image_env: Iterable[str],
    network: str = "",
    link_env: Mapping[str, str] = MappingProxyType({}),
) -> ContainerSpec:
    """Docker's view of the container."""
    cgroups = tools.drivers.cgroups
    parent = cgroups.parent_of(task_id(task.arn)) if cgroups is not None else None
    if container is None:
        return render_pause(task, tools.context, cgroup_parent=parent)
    return render_container(
        task,
        with_extras(container, extras),
        tools.context,
        host_ports=host_ports,
        image_env=image_env,
        cgroup_parent=parent,
        network=network,
        link_env=link_env,
    )


async def start(tools: Tools, docker_name: str) -> None:
    """Start it, for the first time or again."""
    async with tools.starts.starting():
        await tools.drivers.containers.start(docker_name)


def with_extras(container: Container, extras: Extras) -> Container:
    """The container with everything that was fetched for it."""
    if extras.environment:
        container = msgspec.structs.replace(
            container, environment={**extras.environment, **container.environment}
        )
    if extras.log_options:
        host = dict(host_config(container))
        log = dict(host.get("LogConfig") or {})
        log["Config"] = {**(log.get("Config") or {}), **extras.log_options}
        host["LogConfig"] = log
        docker = msgspec.structs.replace(container.docker_config, host_config=json.dumps(host))
        container = msgspec.structs.replace(container, docker_config=docker)
    return container


def payload_container(task: Task, name: str) -> Container | None:
    """A container of the payload; `None`: the node's own."""
    if is_internal(name):
        return None
    return next(container for container in task.containers if container.name == name)
