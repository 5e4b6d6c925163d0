"""The placer keeps a daemon's room, and the controller listens for what a daemon waits for."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.repo import nouns
from tests.unit.ecs.test_placer import NOW, World, world

from homeport.core.clock import FixedClock
from homeport.runtime import Change
from homeport.services.ecs.control.replicas import ReplicaController
from homeport.services.ecs.model import Service
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.tx import Tx


async def daemon(it: World, **members: Any) -> Service:
    """A DAEMON service whose task takes half of an instance's memory."""

    def work(tx: Tx) -> Service:
        fresh = nouns.service(it.cluster.id, "agent", scheduling_strategy="DAEMON", **members)
        primary = msgspec.structs.replace(fresh.primary, task_definition_id=it.definition.id)
        return ServiceRepo(tx).add(msgspec.structs.replace(fresh, deployments=(primary,)))

    return await it.store.write(work)


async def test_others_get_what_a_daemon_leaves_them() -> None:
    async with world() as it:
        service = await daemon(it)
        it.placer.reserve(service, it.definition)
        await it.instance()
        assert len((await it.place(2)).tasks) == 1
        it.placer.reserve(service, None)
        assert len((await it.place(2)).tasks) == 1


async def test_a_placer_that_has_just_begun_knows_the_daemons_by_itself() -> None:
    async with world() as it:
        await daemon(it)
        await it.instance()
        assert len((await it.place(2)).tasks) == 1


async def test_a_daemon_is_started_in_the_room_that_was_kept_and_hears_of_instances() -> None:
    async with world() as it:
        service = await daemon(it)
        controller = ReplicaController(it.store, FixedClock(NOW), it.ids, it.placer)
        news = Change("ecs.instances", str(it.cluster.id))
        assert tuple(controller.keys_of(news)) == ()
        first = await controller.reconcile(str(service.id))
        assert first.wake_at == NOW, "what changed before it listened is looked at once more"
        assert tuple(controller.keys_of(news)) == (str(service.id),)
        await it.instance()
        await it.place(2)
        await controller.reconcile(str(service.id))
        live = await it.store.read(lambda tx: TaskRepo(tx).live_of_service(service.id))
        assert len(live) == 1
        await controller.reconcile(str(service.id))
        assert len(await it.store.read(lambda tx: TaskRepo(tx).live_of_service(service.id))) == 1


async def test_a_daemon_that_waits_for_others_to_leave_hears_of_it() -> None:
    async with world() as it:
        service = await daemon(it)
        instance = await it.instance()
        controller = ReplicaController(it.store, FixedClock(NOW), it.ids, it.placer)
        for _ in range(2):
            await controller.reconcile(str(service.id))
        await it.place()

        def drain(tx: Tx) -> None:
            repo, tasks = InstanceRepo(tx), TaskRepo(tx)
            current = repo.get(instance.id)
            assert current is not None
            repo.save(msgspec.structs.replace(current, status="DRAINING"))
            for task in tasks.live_of_service(service.id):
                tasks.save(msgspec.structs.replace(task, last_status="RUNNING", started_at=NOW))

        await it.store.write(drain)
        room = Change("ecs.fleet", str(it.cluster.id))
        tuple(controller.keys_of(room))
        again = await controller.reconcile(str(service.id))
        assert again.wake_at == NOW, "they may have left while nobody listened"
        later = await controller.reconcile(str(service.id))
        assert later.wake_at != NOW
        assert tuple(controller.keys_of(room)) == (str(service.id),)
