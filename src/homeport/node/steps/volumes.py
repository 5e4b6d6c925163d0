"""Volumes and limits that a task's containers share."""

from __future__ import annotations

from dataclasses import replace

from homeport.agentproto.messages import Task
from homeport.node.admission import MEBIBYTE
from homeport.node.names import task_id
from homeport.node.ports import DriverError
from homeport.node.render_volumes import mismatch, render_volumes
from homeport.node.steps.tools import Tools

SHARES_MIN = 2


async def make_volumes(tools: Tools, task: Task) -> None:
    """Every volume that is not a host path. Raise `DriverError`.

    A task's own carry the node's labels; a shared one stays as the task definition describes it.
    """
    volumes = tools.drivers.volumes
    for planned in render_volumes(task, region=tools.settings.region):
        spec = planned.spec
        if planned.task_scoped:
            await volumes.create(replace(spec, labels={**spec.labels, **tools.context.labels}))
            continue
        found = await volumes.inspect(spec.name)
        if planned.must_exist:
            if found is None:
                raise DriverError("HostConfigError", f"the shared volume {spec.name} does not exist")
        elif found is None:
            await volumes.create(spec)
        elif differs := mismatch(spec, found):
            raise DriverError("CannotCreateVolumeError", differs)


async def make_limits(tools: Tools, task: Task) -> None:
    """The task's own cgroup. Without task CPU it weighs what its containers weigh together."""
    cgroups = tools.drivers.cgroups
    if cgroups is None:
        return
    await cgroups.create(
        task_id(task.arn),
        cpus=task.cpu or None,
        shares=sum(max(container.cpu, SHARES_MIN) for container in task.containers),
        memory_bytes=task.memory * MEBIBYTE if task.memory else None,
    )


async def remove_shared(tools: Tools, task: Task) -> None:
    """What `make_volumes` and `make_limits` made for this task alone."""
    for planned in render_volumes(task, region=tools.settings.region):
        if planned.task_scoped:
            await tools.drivers.volumes.remove(planned.spec.name)
    if tools.drivers.cgroups is not None:
        await tools.drivers.cgroups.remove(task_id(task.arn))
