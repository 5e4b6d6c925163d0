"""Make a network that containers join, look at it, and remove it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from homeport.agentproto.messages import Container, Task
from homeport.core.log import get_logger
from homeport.node.hostports import HostPort
from homeport.node.names import task_id
from homeport.node.networks import interface_of, is_awsvpc
from homeport.node.ports import (
    ContainerStatus,
    DriverError,
    DriverUnavailableError,
    PortBinding,
    RunState,
    Sandbox,
    SandboxSpec,
)
from homeport.node.render import labels_of
from homeport.node.render_network import Linked, render_sandbox
from homeport.node.steps.stop import ASKED_TIMES, BACKOFF
from homeport.node.steps.tools import Tools

log = get_logger("node.sandbox")


async def ensure(tools: Tools, spec: SandboxSpec) -> Sandbox:
    """Make it, or find it. Raise `DriverError`, after which nothing of it is there."""
    driver = tools.drivers.sandboxes
    if driver is None:
        raise DriverError("CannotCreateContainerError", "this node makes no networks any more")
    try:
        async with tools.starts.creating():
            return await driver.ensure(spec)
    except DriverUnavailableError:
        raise
    except Exception:
        await remove_patiently(tools, spec.name)
        raise


async def find(tools: Tools, docker_name: str) -> Sandbox | None:
    """What is there of it, if it is whole."""
    driver = tools.drivers.sandboxes
    return None if driver is None else await driver.find(docker_name)


async def publish(tools: Tools, spec: SandboxSpec) -> None:
    """Have its ports lead to it again. Raise `DriverError`."""
    if tools.drivers.sandboxes is not None:
        await tools.drivers.sandboxes.publish(spec)


async def remove(tools: Tools, docker_name: str) -> None:
    """Once. Raise `DriverError`."""
    if tools.drivers.sandboxes is None:
        await tools.drivers.containers.remove(docker_name)
    else:
        await tools.drivers.sandboxes.remove(docker_name)


async def remove_patiently(tools: Tools, docker_name: str) -> None:
    """Until it is gone: nobody may be told before that its address and ports are free."""
    failures = 0
    while True:
        try:
            return await remove(tools, docker_name)
        except DriverError as error:
            failures += 1
            log.warning("sandbox.stays", sandbox=docker_name, attempt=failures, error=str(error))
        await asyncio.sleep(BACKOFF.delay_seconds(min(failures, ASKED_TIMES), tools.dice))


def spec_of(
    tools: Tools,
    task: Task,
    part: str,
    container: Container | None,
    *,
    host_ports: Iterable[HostPort],
    linked: Iterable[Linked],
) -> SandboxSpec:
    """The network to make. Raise `DriverError`."""
    cgroups = tools.drivers.cgroups
    return render_sandbox(
        task,
        part,
        container,
        host_ports=host_ports,
        linked=linked,
        labels=labels_of(task, part, tools.context),
        cgroup_parent=cgroups.parent_of(task_id(task.arn)) if cgroups is not None else None,
    )


def seen_from_outside(
    tools: Tools, task: Task, status: ContainerStatus, *, host_ports: Iterable[HostPort], address: str
) -> ContainerStatus:
    """A container's status with what Docker does not know of a container in another one's network."""
    if is_awsvpc(task):
        return replace(status, network_mode="awsvpc", ip_addresses=(interface_of(task).address,), ports=())
    runs = status.state is RunState.RUNNING
    return replace(
        status,
        network_mode="bridge",
        ip_addresses=(address,) if address and runs else (),
        ports=tuple(
            PortBinding(
                bind_ip=tools.context.host_ip, container_port=port, host_port=host_port, protocol=protocol
            )
            for port, protocol, host_port in host_ports
            if runs
        ),
    )
