"""After a restart: what was known, as the beginning of what is to be found out.

Every container is looked at before anything is done: gone means STOPPED with ContainerVanishedError, exited
means its real exit code, running is left alone. What had not been started yet goes on where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace

from homeport.agentproto.messages import Container, Task
from homeport.core.log import get_logger
from homeport.node.admission import Admission, claim_of
from homeport.node.hostports import HostPorts
from homeport.node.model import Desired, Preparation, TaskRules, TaskStatus
from homeport.node.ports import DriverError, Drivers, DriverUnavailableError
from homeport.node.progress import task_status
from homeport.node.rules import MalformedTaskError, task_rules
from homeport.node.settings import NodeSettings
from homeport.node.state import SavedProgress
from homeport.node.steps.cleanup import remove_orphans
from homeport.node.steps.tools import Tools

log = get_logger("node.resume")
NETWORKS_AGAIN_SECONDS = 1.0


def rules_of(task: Task, settings: NodeSettings, *, sandboxed: bool) -> TaskRules:
    """The task's rules on this node. Raise `MalformedTaskError`."""
    return task_rules(
        task,
        stop_timeout_seconds=settings.stop_timeout_seconds,
        pause_available=bool(settings.pause_image),
        sandboxed=sandboxed,
    )


def nothing_to_run(arn: str) -> TaskRules:
    """The rules of a task that was never begun: it is stopped already."""
    return TaskRules(arn=arn, containers={}, dependents={})


def resumed(
    task: Task, progress: SavedProgress, *, settings: NodeSettings, admission: Admission, ports: HostPorts
) -> tuple[TaskRules, SavedProgress]:
    """What a task's owner goes on with; what the task holds is held again."""
    state = replace(progress.state, preparation=Preparation.NONE)
    try:
        rules = nothing_to_run(task.arn)
        if task.containers:
            rules = rules_of(task, settings, sandboxed=state.sandboxed)
    except MalformedTaskError as error:  # this version refuses what the one before took
        rules = _as_it_was(task, sandboxed=state.sandboxed)
        state = replace(state, desired=Desired.STOPPED, reason=state.reason or str(error))
    if state.admitted and task_status(rules, state) is not TaskStatus.STOPPED:
        admission.hold(task.arn, claim_of(task))
        for known in state.containers.values():
            ports.hold(task.arn, ((host, protocol) for _, protocol, host in known.host_ports))
    return rules, SavedProgress(state=state, acked=progress.acked, unsent=progress.unsent)


def _as_it_was(task: Task, *, sandboxed: bool) -> TaskRules:
    """Enough to stop its containers."""
    bare = tuple(Container(name=container.name, image=container.image) for container in task.containers)
    return task_rules(Task(arn=task.arn, containers=bare), sandboxed=sandboxed)


async def clean_orphans(tools: Tools, owner: str, known: Collection[str]) -> None:
    """Remove containers of this instance that a crash left without a task. `known` may grow meanwhile."""
    try:
        removed = await remove_orphans(tools, owner, known)
    except DriverError as error:
        log.warning("orphans.kept", error=str(error))
    else:
        if removed:
            log.info("orphans.removed", containers=removed)


async def clear_networks(drivers: Drivers) -> None:
    """Before a node becomes a new instance: networks that an earlier one left here go, whoever is in them.

    Nobody knows those tasks any more, and with the new instance their addresses may be given to others.
    """
    if drivers.sandboxes is None:
        return
    while True:
        try:
            for name in await drivers.sandboxes.names():
                await drivers.sandboxes.remove(name)
                log.info("network.left_behind", sandbox=name)
        except (DriverError, DriverUnavailableError) as error:
            log.warning("networks.stay", error=str(error))
        else:
            return
        await asyncio.sleep(NETWORKS_AGAIN_SECONDS)
