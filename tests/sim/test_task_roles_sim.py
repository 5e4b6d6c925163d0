"""Days in a task's life: its credentials are always good, and renewed before they end.

Real control plane and key ring over a store in memory; time passes at once. What an agent holds is what it
was last sent; the SDK in a container asks for nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from homeport.agentproto.messages import (
    Frame,
    IAMRoleCredentialsMessage,
    PayloadMessage,
    RoleCredentials,
)
from homeport.app.control_plane import ControlPlane
from homeport.app.identity.instance_profiles import ProfileSessions, ensure_profile
from homeport.app.identity.keyring import StoredKeys
from homeport.app.wiring import build_control_plane
from homeport.core.call import Call, Principal
from homeport.core.clock import LoopClock
from homeport.core.ids import SeededIds
from homeport.runtime.supervisor import Supervisor
from homeport.services.ecs.control.agents import AcsSession
from homeport.services.ecs.ports import AgentHello
from homeport.store.base import Store
from homeport.store.opening import open_memory_store
from homeport.store.vault import Vault
from tests.kit.iam import trusts

ACCOUNT, REGION = "000000000000", "us-east-1"
KEY = bytes(32)
DAY = timedelta(days=1)
LOOK = timedelta(minutes=7)


@dataclass
class Agent:
    """An agent's memory: credentials by what they are, and how often they came."""

    held: dict[tuple[str, str], RoleCredentials] = field(default_factory=dict)
    times: int = 0
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, frame: Frame) -> None:
        match frame:
            case PayloadMessage(tasks=tasks):
                for task in tasks:
                    self._keep(task.arn, "TaskApplication", task.role_credentials)
                    self._keep(task.arn, "TaskExecution", task.execution_role_credentials)
            case IAMRoleCredentialsMessage(task_arn=arn, role_type=kind, role_credentials=given):
                self._keep(arn, kind, given)

    def _keep(self, task: str, kind: str, given: RoleCredentials | None) -> None:
        if given is not None:
            self.held[task, kind] = given
            self.times += 1
            self.heard.set()

    def close(self) -> None: ...

    def replaced(self) -> None: ...


@dataclass
class World:
    """A control plane, and an administrator who calls it."""

    store: Store
    clock: LoopClock
    plane: ControlPlane
    ring: StoredKeys

    async def call(self, service: str, operation: str, **members: Any) -> Any:
        mounted = next(one for one in self.plane.services if one.name == service)
        found = mounted.operations.find(operation)
        assert found is not None
        who = Principal(arn=f"arn:aws:iam::{ACCOUNT}:root", account_id=ACCOUNT, user_id=ACCOUNT)
        call = Call(
            request_id="sim",
            service=service,
            operation=operation,
            account_id=ACCOUNT,
            region=REGION,
            principal=who,
        )
        return await found.handler(call, mounted.context, members)

    async def connect(self, instance: str, agent: Agent) -> AcsSession:
        hello = AgentHello(account_id=ACCOUNT, region=REGION, cluster="default", container_instance=instance)
        return await self.plane.hub.open_acs(hello, agent)

    async def is_good(self, given: RoleCredentials) -> bool:
        """Whether the gateway would take the credentials now."""
        record = await self.ring.find(given.access_key_id)
        if record is None or record.expires_at is None or record.expires_at <= self.clock.now():
            return False
        return (record.secret_access_key, record.session_token) == (
            given.secret_access_key,
            given.session_token,
        )


@asynccontextmanager
async def control_plane(store: Store, clock: LoopClock, life: int = 1) -> AsyncIterator[World]:
    """One process of it."""
    ids = SeededIds(life)
    vault = Vault(KEY, ids)
    plane = build_control_plane(store, clock, ids, page_key=KEY, vault=vault)
    async with Supervisor() as supervisor:
        ring = StoredKeys(store, clock, store.feed.subscribe, vault)
        supervisor.start("ring", ring.run)
        plane.start(supervisor)
        yield World(store, clock, plane, ring)


async def started(world: World) -> tuple[str, str, Agent]:
    """An instance, a task of two roles on it, and what its agent was sent."""
    roles = []
    for name in ("app", "execution"):
        made = await world.call("iam", "CreateRole", RoleName=name, AssumeRolePolicyDocument=trusts())
        roles.append(made["Role"]["Arn"])
    able = [{"name": "com.amazonaws.ecs.capability.task-iam-role"}]
    resources = [{"name": name, "type": "INTEGER", "integerValue": 1024} for name in ("CPU", "MEMORY")]
    registered = await world.call(
        "ecs", "RegisterContainerInstance", totalResources=resources, attributes=able
    )
    instance = registered["containerInstance"]["containerInstanceArn"]
    agent = Agent()
    await world.connect(instance, agent)
    await world.call(
        "ecs",
        "RegisterTaskDefinition",
        family="app",
        taskRoleArn=roles[0],
        executionRoleArn=roles[1],
        containerDefinitions=[{"name": "app", "image": "i", "memory": 4}],
    )
    answer = await world.call("ecs", "StartTask", taskDefinition="app", containerInstances=[instance])
    task = str(answer["tasks"][0]["taskArn"])
    await agent.heard.wait()
    await reported(world, task, "RUNNING")
    return instance, task, agent


async def reported(world: World, task: str, status: str) -> None:
    entry = {"containerName": "app", "status": status}
    await world.call("ecs", "SubmitTaskStateChange", task=task, status=status, containers=[entry])


@pytest.mark.looptime(noop_cycles=1)
async def test_for_two_days_credentials_are_good_and_never_about_to_end(virtual_clock: LoopClock) -> None:
    async with control_plane(open_memory_store(), virtual_clock) as world:
        _, task, agent = await started(world)
        keys, names = set(), set()
        for _ in range(int(2 * DAY / LOOK)):
            await asyncio.sleep(LOOK.total_seconds())
            assert {key[1] for key in agent.held} == {"TaskApplication", "TaskExecution"}
            for given in agent.held.values():
                assert await world.is_good(given)
                record = await world.ring.find(given.access_key_id)
                assert record is not None
                assert record.expires_at is not None
                left = record.expires_at - virtual_clock.now()
                assert timedelta(minutes=59) < left <= timedelta(hours=6)
                assert record.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ") == given.expiration
                keys.add(given.access_key_id)
                names.add(given.credentials_id)
        assert len(names) == 2, "containers know the id: it stays"
        assert len(keys) == agent.times, "nothing is sent twice"
        assert 2 * 8 <= len(keys) <= 2 * 11
        last = list(agent.held.values())
        await reported(world, task, "STOPPED")
        assert [await world.is_good(given) for given in last] == [False, False]


@pytest.mark.looptime(noop_cycles=1)
async def test_after_a_kill_the_same_credentials_are_sent_and_renewed_in_time(
    virtual_clock: LoopClock,
) -> None:
    """The next process knows when they end; an agent that forgot them has them again."""
    store = open_memory_store()
    async with control_plane(store, virtual_clock) as world:
        instance, _, agent = await started(world)
    before = dict(agent.held)
    await asyncio.sleep(timedelta(hours=4).total_seconds())
    async with control_plane(store, virtual_clock, life=2) as world:
        forgot = Agent()
        await world.connect(instance, forgot)
        assert forgot.held == before
        await asyncio.sleep(timedelta(hours=1.5).total_seconds())
        assert forgot.times == 4
        assert {key: one.credentials_id for key, one in forgot.held.items()} == {
            key: one.credentials_id for key, one in before.items()
        }
        assert all([await world.is_good(given) for given in forgot.held.values()])
    await asyncio.sleep(timedelta(days=2).total_seconds())
    async with control_plane(store, virtual_clock, life=3) as world:
        late = Agent()
        await world.connect(instance, late)
        assert all([await world.is_good(given) for given in late.held.values()])
        assert not any([await world.is_good(given) for given in before.values()])


@pytest.mark.looptime(noop_cycles=1)
async def test_a_role_that_trusts_ecs_no_more_is_tried_again(virtual_clock: LoopClock) -> None:
    async with control_plane(open_memory_store(), virtual_clock) as world:
        _, task, agent = await started(world)
        other = trusts("ec2.amazonaws.com")
        await world.call("iam", "UpdateAssumeRolePolicy", RoleName="app", PolicyDocument=other)
        await asyncio.sleep(timedelta(hours=7).total_seconds())
        given = agent.held[task, "TaskApplication"]
        assert not await world.is_good(given), "they end, as AWS's do"
        assert await world.is_good(agent.held[task, "TaskExecution"])
        await world.call("iam", "UpdateAssumeRolePolicy", RoleName="app", PolicyDocument=trusts())
        await asyncio.sleep(timedelta(minutes=6).total_seconds())
        assert await world.is_good(agent.held[task, "TaskApplication"])


@pytest.mark.looptime(noop_cycles=1)
async def test_a_task_whose_role_goes_before_it_is_sent_does_not_start(virtual_clock: LoopClock) -> None:
    async with control_plane(open_memory_store(), virtual_clock) as world:
        instance, _, _ = await started(world)
        role = await world.call("iam", "CreateRole", RoleName="short", AssumeRolePolicyDocument=trusts())
        await world.call(
            "ecs",
            "RegisterTaskDefinition",
            family="short",
            taskRoleArn=role["Role"]["Arn"],
            containerDefinitions=[{"name": "app", "image": "i", "memory": 4}],
        )
        agent = Agent()
        (session,) = world.plane.hub._sessions.values()
        async with session.turn:  # nothing goes out meanwhile
            answer = await world.call(
                "ecs", "StartTask", taskDefinition="short", containerInstances=[instance]
            )
            await world.call("iam", "DeleteRole", RoleName="short")
        task = answer["tasks"][0]["taskArn"]
        await asyncio.sleep(60)
        await world.connect(instance, agent)
        (raw,) = (await world.call("ecs", "DescribeTasks", tasks=[task]))["tasks"]
        shown = msgspec.json.decode(raw)
        assert (shown["desiredStatus"], shown["stopCode"]) == ("STOPPED", "TaskFailedToStart")
        assert f"unable to assume the role '{role['Role']['Arn']}'" in shown["stoppedReason"]
        assert (task, "TaskApplication") not in agent.held


@pytest.mark.looptime(noop_cycles=1)
async def test_an_instances_credentials_are_renewed_and_follow_its_profile(virtual_clock: LoopClock) -> None:
    async with control_plane(open_memory_store(), virtual_clock) as world:
        sessions = ProfileSessions(
            world.store, virtual_clock, world.plane.service_roles, account_id=ACCOUNT, profile="hosts"
        )
        assert await sessions.credentials("i-1") is None, "there is no such profile"
        for _ in range(2):
            await ensure_profile(world.store, virtual_clock, SeededIds(9), account_id=ACCOUNT, name="hosts")
        keys = set()
        for _ in range(int(DAY / LOOK)):
            given = await sessions.credentials("i-1")
            assert given is not None
            assert await world.is_good(given.credentials)
            keys.add(given.credentials.access_key_id)
            await asyncio.sleep(LOOK.total_seconds())
        assert 4 <= len(keys) <= 6
        other = await sessions.credentials("i-2")
        assert other is not None
        assert other.credentials.access_key_id not in keys
        await world.call(
            "iam", "RemoveRoleFromInstanceProfile", InstanceProfileName="hosts", RoleName="hosts"
        )
        assert await sessions.credentials("i-1") is None
        for name, service in (("mine", "ec2.amazonaws.com"), ("theirs", "ecs-tasks.amazonaws.com")):
            await world.call("iam", "CreateRole", RoleName=name, AssumeRolePolicyDocument=trusts(service))
        await world.call("iam", "AddRoleToInstanceProfile", InstanceProfileName="hosts", RoleName="mine")
        given = await sessions.credentials("i-1")
        assert given is not None
        assert given.role_name == "mine"
        await world.call("iam", "RemoveRoleFromInstanceProfile", InstanceProfileName="hosts", RoleName="mine")
        await world.call("iam", "AddRoleToInstanceProfile", InstanceProfileName="hosts", RoleName="theirs")
        assert await sessions.credentials("i-1") is None, "it does not trust EC2"
