"""The controller of daemons: what it starts, when it has nothing to do, and what the placer keeps for it."""

from __future__ import annotations

import msgspec
import pytest
from tests.repo import nouns
from tests.unit.ecs.test_placer import NOW, World, world

from homeport.core.clock import FixedClock
from homeport.core.errors import StaleWriteError
from homeport.runtime import Change
from homeport.services.ecs.control.managed_daemons import DaemonController
from homeport.services.ecs.model import GROUP_ATTRIBUTE, Attribute, Daemon, Provider, Task
from homeport.services.ecs.ports import PlacementOutcome, PlacementRequest
from homeport.services.ecs.repo.daemons import DaemonRepo
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.tx import Tx

EDGE = Provider(arn="arn:aws:ecs:us-east-1:000000000000:capacity-provider/edge", group="edge")


async def daemon(it: World, *, critical: bool = True) -> Daemon:
    """A daemon whose task takes half of an instance's memory."""

    def work(tx: Tx) -> Daemon:
        repo = DaemonRepo(tx)
        made = {"task_definition_id": it.definition.id, "providers": (EDGE,), "critical": critical}
        added = repo.add(nouns.daemon(it.cluster.id, "agent", counted_until=NOW))
        repo.add_revision(nouns.daemon_revision(added.id, "r1", **made))
        repo.add_deployment(nouns.daemon_deployment(added.id, "d1"))
        return added

    return await it.store.write(work)


async def member(it: World) -> int:
    """An instance of the daemon's group."""
    instance = await it.instance()
    named = (*instance.attributes, Attribute(name=GROUP_ATTRIBUTE, value="edge"))
    changed = msgspec.structs.replace(instance, attributes=named)
    return (await it.store.write(lambda tx: InstanceRepo(tx).save(changed))).id


async def tasks_of(it: World, row: int) -> tuple[Task, ...]:
    return await it.store.read(lambda tx: TaskRepo(tx).live_of_daemon(row))


def controller_of(it: World) -> DaemonController:
    return DaemonController(it.store, FixedClock(NOW), it.placer)


async def run(it: World, task: Task) -> None:
    """The task comes to run."""
    running = msgspec.structs.replace(task, last_status="RUNNING", started_at=NOW)
    await it.store.write(lambda tx: TaskRepo(tx).save(running))


async def test_the_first_look_listens_and_the_second_starts_one_on_each_instance() -> None:
    async with world() as it:
        row = (await daemon(it)).id
        homes = {await member(it), await member(it)}
        await it.instance()
        controller, news = controller_of(it), Change("ecs.instances", str(it.cluster.id))
        assert tuple(controller.keys_of(news)) == ()
        assert (await controller.reconcile(str(row))).wake_at == NOW
        assert tuple(controller.keys_of(news)) == (str(row),)
        await controller.reconcile(str(row))
        started = await tasks_of(it, row)
        assert {task.instance_id for task in started} == homes
        assert {task.capacity_provider for task in started} == {"edge"}
        await controller.reconcile(str(row))
        assert await tasks_of(it, row) == started, "nothing to do is nothing done"


async def test_a_daemon_that_is_gone_is_left_alone() -> None:
    async with world() as it:
        made = await daemon(it)
        await member(it)
        await it.store.write(lambda tx: DaemonRepo(tx).save(msgspec.structs.replace(made, status="DELETED")))
        controller = controller_of(it)
        for key in (str(made.id), "4711"):
            assert (await controller.reconcile(key)).wake_at is None
        assert await tasks_of(it, made.id) == ()


async def test_a_placer_that_has_just_begun_lets_nobody_in_before_a_critical_daemon_runs() -> None:
    async with world() as it:
        row = (await daemon(it)).id
        await member(it)
        refused = await it.place()
        assert [failure.reason for failure in refused.failures] == ["DAEMON"]
        controller = controller_of(it)
        for _ in range(2):
            await controller.reconcile(str(row))
        [task] = await tasks_of(it, row)
        assert (await it.place()).tasks == (), "it is on its way"
        await run(it, task)
        assert len((await it.place()).tasks) == 1


async def test_a_daemon_that_is_not_critical_keeps_its_room_and_no_more() -> None:
    async with world() as it:
        await daemon(it, critical=False)
        await member(it)
        assert len((await it.place(2)).tasks) == 1


async def test_starts_that_were_decided_on_an_older_daemon_are_refused_and_tried_again() -> None:
    async with world() as it:
        made = await daemon(it)
        await member(it)

        class Interfering:
            """Somebody writes the daemon between the look and the placement."""

            def __init__(self) -> None:
                self.reserve_daemon = it.placer.reserve_daemon

            async def place(self, request: PlacementRequest) -> PlacementOutcome:
                def work(tx: Tx) -> None:
                    current = DaemonRepo(tx).get(made.id)
                    assert current is not None
                    DaemonRepo(tx).save(current)

                await it.store.write(work)
                return await it.placer.place(request)

        controller = DaemonController(it.store, FixedClock(NOW), Interfering())  # type: ignore[arg-type]
        await controller.reconcile(str(made.id))
        with pytest.raises(StaleWriteError):
            await controller.reconcile(str(made.id))
        assert await tasks_of(it, made.id) == ()
        again = controller_of(it)
        for _ in range(2):
            await again.reconcile(str(made.id))
        assert len(await tasks_of(it, made.id)) == 1
