"""Remove what a finished task left on the machine, and what nobody owns."""

from __future__ import annotations

from collections.abc import Awaitable, Collection

from homeport.agentproto.messages import Task
from homeport.core.log import get_logger
from homeport.node.model import TaskRules
from homeport.node.names import container_name
from homeport.node.ports import DriverError
from homeport.node.steps import sandbox
from homeport.node.steps.tools import Tools
from homeport.node.steps.volumes import remove_shared

log = get_logger("node.cleanup")

INSTANCE_LABEL = "com.amazonaws.ecs.homeport.instance"
"""Whose a container is: local nodes share one engine."""


async def remove_task(tools: Tools, task: Task, rules: TaskRules) -> None:
    """Its containers, volumes and limits. Raise `DriverError` when something will not go."""
    for name, rule in rules.containers.items():
        if not rule.sandbox:
            await tools.drivers.containers.remove(container_name(task, name))
    for name, rule in rules.containers.items():
        if rule.sandbox:
            await sandbox.remove(tools, container_name(task, name))
    await remove_shared(tools, task)


async def remove_orphans(tools: Tools, owner: str, known: Collection[str]) -> tuple[str, ...]:
    """Containers of this instance that no task of it owns: made, and forgotten in a crash."""
    if not owner:
        return ()
    removed: list[str] = []
    driver = tools.drivers.sandboxes
    networks = () if driver is None else await driver.names()
    for name in await tools.drivers.containers.names(label=INSTANCE_LABEL, value=owner):
        if name in known or name in networks:
            continue
        if await _gone(tools.drivers.containers.remove(name), name):
            removed.append(name)
    for name in networks:  # when nobody is in them any more
        if name not in known and await _gone(sandbox.remove(tools, name), name):
            removed.append(name)
    return tuple(removed)


async def _gone(removal: Awaitable[None], name: str) -> bool:
    try:
        await removal
    except DriverError as error:
        log.warning("orphan.kept", container=name, error=str(error))
        return False
    return True
