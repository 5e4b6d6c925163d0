"""The hub behind agents' work sockets: who holds an instance's, and what goes out on it in which order.

Source: reference, section 5.2: a manifest with a number that is not above a payload's is dropped.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select

from homeport.agentproto.messages import (
    ContainerHealth,
    Frame,
    InstanceStatus,
    PayloadMessage,
    PublishHealthRequest,
    PublishInstanceStatusRequest,
    TaskHealth,
    TaskManifestMessage,
)
from homeport.services.ecs.control.agent_telemetry import TcsSession
from homeport.services.ecs.control.agents import AcsSession
from homeport.services.ecs.ports import AgentHello, RefusedAgentError
from homeport.services.ecs.repo.tables import container_instances
from tests.kit.agent_replay import AgentCalls
from tests.kit.server import ACCOUNT, REGION, Live


@dataclass
class Box:
    """An outbox that remembers, and may be broken."""

    frames: list[Frame] = field(default_factory=list)
    is_closed: bool = False
    broken: bool = False

    def send(self, frame: Frame) -> None:
        if self.broken:
            raise ConnectionError
        self.frames.append(frame)

    def close(self) -> None:
        self.is_closed = True

    def replaced(self) -> None:
        self.is_closed = True

    def orders(self) -> list[str]:
        return [task.arn for f in self.frames if isinstance(f, PayloadMessage) for task in f.tasks]


@pytest.fixture
def instance(live: Live, ecs: Any) -> str:
    resources = [
        {"name": "CPU", "type": "INTEGER", "integerValue": 1024},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": 1024},
    ]
    status, answer = AgentCalls(live).call("RegisterContainerInstance", {"totalResources": resources})
    assert status == 200
    ecs.register_task_definition(
        family="order", containerDefinitions=[{"name": "c", "image": "i", "memory": 4}]
    )
    return str(answer["containerInstance"]["containerInstanceArn"])


def start(ecs: Any, instance: str) -> str:
    answer = ecs.start_task(taskDefinition="order", containerInstances=[instance])
    assert answer["failures"] == []
    return str(answer["tasks"][0]["taskArn"])


def hello(instance: str) -> AgentHello:
    return AgentHello(account_id=ACCOUNT, region=REGION, cluster="default", container_instance=instance)


def opened(live: Live, instance: str, box: Box) -> AcsSession:
    return live.run(live.plane.hub.open_acs(hello(instance), box))


def is_connected(ecs: Any, instance: str) -> bool:
    (found,) = ecs.describe_container_instances(containerInstances=[instance])["containerInstances"]
    return bool(found["agentConnected"])


@pytest.mark.parametrize("closes_first", [True, False])
def test_an_agent_that_comes_back_while_its_old_socket_ends_is_connected(
    live: Live, ecs: Any, instance: str, closes_first: bool
) -> None:
    session = opened(live, instance, Box())
    for _ in range(20):
        box, held = Box(), session

        async def at_once(box: Box = box, held: AcsSession = held) -> AcsSession:
            both = [held.closed(), live.plane.hub.open_acs(hello(instance), box)]
            answers = await asyncio.gather(*(both if closes_first else both[::-1]))
            return next(answer for answer in answers if answer is not None)

        session = live.run(at_once())
        assert is_connected(ecs, instance)
    live.run(session.closed())
    assert not is_connected(ecs, instance)


def test_the_end_of_a_replaced_socket_changes_nothing(live: Live, ecs: Any, instance: str) -> None:
    first, second = Box(), Box()
    old = opened(live, instance, first)
    new = opened(live, instance, second)
    assert first.is_closed
    live.run(old.closed())
    assert is_connected(ecs, instance)
    assert not second.is_closed
    live.run(new.closed())


def test_a_socket_that_fails_while_it_opens_leaves_nothing(live: Live, ecs: Any, instance: str) -> None:
    before = live.plane.hub.connected
    with pytest.raises(ConnectionError):
        opened(live, instance, Box(broken=True))
    assert live.plane.hub.connected == before
    assert not is_connected(ecs, instance)
    box = Box()
    session = opened(live, instance, box)
    assert is_connected(ecs, instance)
    live.run(session.closed())


def test_a_refused_agent_holds_no_socket(live: Live, ecs: Any, instance: str) -> None:
    before = live.plane.hub.connected
    ecs.deregister_container_instance(containerInstance=instance)
    with pytest.raises(RefusedAgentError, match="InactiveInstanceException"):
        opened(live, instance, Box())
    assert live.plane.hub.connected == before


def test_the_manifest_comes_first_and_numbers_only_rise(live: Live, ecs: Any, instance: str) -> None:
    """Also across sockets, and whoever else asks for the same instance at that moment."""
    session = opened(live, instance, Box())
    tasks = {start(ecs, instance) for _ in range(25)}
    last = 0
    for _ in range(3):
        box = Box()
        held = session

        async def at_once(box: Box = box, held: AcsSession = held) -> AcsSession:
            hub = live.plane.hub
            keys = list(await hub.keys())
            answers = await asyncio.gather(
                hub.open_acs(hello(instance), box),
                held.closed(),
                *(hub.reconcile(key) for key in keys * 3),
            )
            return answers[0]  # type: ignore[no-any-return]

        session = live.run(at_once())
        manifest, *payloads = box.frames
        assert isinstance(manifest, TaskManifestMessage)
        assert {task.task_arn for task in manifest.tasks} == tasks
        assert sorted(box.orders()) == sorted(tasks)  # each once
        numbers = [manifest.timeline, *(p.seq_num for p in payloads if isinstance(p, PayloadMessage))]
        assert numbers == sorted(set(numbers))
        assert numbers[0] > last
        last = numbers[-1]
    live.run(session.closed())
    for task in tasks:
        ecs.stop_task(task=task)


def test_numbers_rise_also_when_the_database_is_an_older_copy(live: Live, instance: str) -> None:
    first, second = Box(), Box()
    live.run(opened(live, instance, first).closed())

    def restore(tx: Any) -> None:
        tx.execute(container_instances.update().values(payloads=0))

    live.run(live.plane.store.write(restore))
    live.run(opened(live, instance, second).closed())
    (before,), (after,) = first.frames, second.frames
    assert isinstance(before, TaskManifestMessage)
    assert isinstance(after, TaskManifestMessage)
    assert after.timeline > before.timeline


def test_an_order_goes_out_once_on_a_socket_and_again_on_the_next_until_it_is_reported(
    live: Live, ecs: Any, instance: str
) -> None:
    first = Box()
    session = opened(live, instance, first)
    task = start(ecs, instance)
    live.run(settled(live, lambda: first.orders() == [task]))
    other = start(ecs, instance)
    live.run(settled(live, lambda: first.orders() == [task, other]))
    live.run(session.closed())
    body = {"cluster": "default", "task": task, "status": "RUNNING"}
    assert AgentCalls(live).call("SubmitTaskStateChange", body)[0] == 200
    second = Box()
    session = opened(live, instance, second)
    assert second.orders() == [other]
    ecs.stop_task(task=task)
    live.run(settled(live, lambda: second.orders() == [other, task]))
    live.run(session.closed())


class Counted:
    """A store that counts its write transactions."""

    def __init__(self, live: Live) -> None:
        self._store = live.plane.store
        self.writes = 0

    async def write(self, work: Any) -> Any:
        self.writes += 1
        return await self._store.write(work)


def test_telemetry_that_repeats_itself_costs_no_transaction(live: Live, ecs: Any, instance: str) -> None:
    """Agents say everything again every 20 s."""
    held = opened(live, instance, Box())
    task = start(ecs, instance)
    uid = bytes.fromhex(instance.rpartition("/")[2])
    query = select(container_instances.c.id).where(container_instances.c.uid == uid)
    row = live.run(live.plane.store.read(lambda tx: tx.execute(query).scalar_one()))
    store = Counted(live)
    session = TcsSession(store, row)  # type: ignore[arg-type]
    for health, writes in (("UNKNOWN", 1), ("HEALTHY", 2), ("HEALTHY", 2), ("HEALTHY", 2), ("UNHEALTHY", 3)):
        container = ContainerHealth(container_name="c", health_status=health)
        report = PublishHealthRequest(tasks=(TaskHealth(task_arn=task, containers=(container,)),))
        live.run(session.received(report))
        (shown,) = ecs.describe_tasks(tasks=[task])["tasks"]
        assert shown["containers"][0]["healthStatus"] == health
        assert store.writes == writes
    for status, writes in (("OK", 4), ("OK", 4), ("IMPAIRED", 5), ("IMPAIRED", 5)):
        told = InstanceStatus(type="ContainerRuntime", status=status, last_updated=float(writes))
        live.run(session.received(PublishInstanceStatusRequest(statuses=(told,))))
        assert store.writes == writes
    live.run(held.closed())
    ecs.stop_task(task=task)


async def settled(live: Live, check: Any) -> None:
    """Return once it holds; the dispatcher works on the same loop."""
    async with asyncio.timeout(10):
        while not check():  # noqa: ASYNC110 - an outbox has nothing to wait on
            await asyncio.sleep(0.005)
