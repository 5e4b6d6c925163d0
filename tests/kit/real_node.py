"""A container instance with real drivers on a Homeport in this process, and what it left on the machine.

The control plane is `tests.kit.server`'s; images, containers, cgroups and nftables are the machine's.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from homeport.app.nodes.local import NodeHost
from homeport.app.settings import INSTALLATION_LABEL
from homeport.core.clock import SystemClock
from homeport.core.ids import SystemIds
from homeport.node.agent import NodeAgent
from homeport.node.commands import run_command
from homeport.node.drivers.cgroups import Limits
from homeport.node.drivers.docker_views import filters
from homeport.node.drivers.engine_client import DEFAULT_SOCKET, EngineClient
from homeport.node.metadata.redirect import TABLE, MetadataRedirect
from homeport.node.settings import ImageGcSettings, NodeSettings
from tests.kit.docker import IMAGE, PATIENCE_SECONDS, cgroups, ensure_image, machine
from tests.kit.server import REGION, Live

Task = dict[str, Any]


class Commits:
    """Lets a test's thread wait for the next commit of a control plane."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    async def follow(self, live: Live) -> None:
        async for _ in live.plane.store.feed.subscribe(None):
            with self._changed:
                self._count += 1
                self._changed.notify_all()

    def until(self, look: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
        """What `look` answers, once that is true; it is asked again after every commit."""
        deadline = time.monotonic() + seconds
        while True:
            seen = self._count
            if found := look():
                return found
            self._after(seen, deadline)

    def _after(self, seen: int, deadline: float) -> None:
        with self._changed:
            changed = self._changed.wait_for(lambda: self._count != seen, deadline - time.monotonic())
        assert changed, "it never came about"


@dataclass(slots=True)
class RealNode:
    """A node with real containers, and a client of its control plane."""

    live: Live
    host: NodeHost
    agent: NodeAgent
    client: EngineClient
    installation: str
    commits: Commits
    ecs: Any
    families: list[str] = field(default_factory=list)
    rules_before: str = ""

    @property
    def instance(self) -> str:
        """Its ARN."""
        return self.agent.instance_arn

    def connected(self) -> bool:
        """Whether the control plane says so."""
        found = self.ecs.describe_container_instances(containerInstances=[self.instance])
        return bool(found["containerInstances"][0]["agentConnected"])

    def register(self, *containers: Task, family: str = "", **members: Any) -> str:
        """A task definition of the test image; its ARN."""
        family = family or f"{self.installation[:10]}-{len(self.families)}"
        self.families.append(family)
        definitions = [
            {"name": "app", "image": IMAGE, "memory": 32, "essential": True, "stopTimeout": 2, **container}
            for container in containers
        ]
        answer = self.ecs.register_task_definition(
            family=family, containerDefinitions=definitions, **{"networkMode": "none", **members}
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def run(self, definition: str, **members: Any) -> str:
        """RunTask of one; the task's ARN."""
        answer = self.ecs.run_task(taskDefinition=definition, **members)
        assert answer["failures"] == []
        return str(answer["tasks"][0]["taskArn"])

    def describe(self, arn: str) -> Task:
        found: Task = self.ecs.describe_tasks(tasks=[arn])["tasks"][0]
        return found

    def until(self, arn: str, check: Callable[[Task], Any], seconds: float = PATIENCE_SECONDS) -> Task:
        """The task as DescribeTasks shows it, once `check` holds."""
        last: list[Task] = []

        def look() -> Task | None:
            task = self.describe(arn)
            last[:] = [task]
            return task if check(task) else None

        try:
            found: Task = self.commits.until(look, seconds)
        except AssertionError:
            raise AssertionError(f"it never came about: {last}") from None
        return found

    def running(self, arn: str) -> Task:
        return self.until(arn, lambda task: settled(task, "RUNNING"))

    def stopped(self, arn: str, seconds: float = PATIENCE_SECONDS) -> Task:
        return self.until(arn, lambda task: task["lastStatus"] == "STOPPED", seconds)

    def stop(self, arn: str) -> Task:
        self.ecs.stop_task(task=arn)
        return self.stopped(arn)

    def docker(self, method: str, path: str, **more: Any) -> Any:
        """One call of Docker's API."""
        return self.live.run(self.client.call(method, path, **more))

    def container(self, task: Task, name: str = "app") -> Any:
        """Docker's view of a task's container."""
        runtime = next(c["runtimeId"] for c in task["containers"] if c["name"] == name)
        return self.docker("GET", f"/containers/{runtime}/json")

    def logs(self, task: Task, name: str = "app") -> list[str]:
        """What a container wrote."""
        docker_name = self.container(task, name)["Name"].removeprefix("/")
        return list(self.live.run(self.host.containers.logs(docker_name, tail=100)))

    def traces(self) -> set[str]:
        """Everything on the machine that is this node's tasks': containers, volumes, networks, cgroups."""
        mine = [f"{INSTALLATION_LABEL}={self.installation}"]
        found = self.docker("GET", "/containers/json", params={"all": "1", "filters": filters(label=mine)})
        names = {f"container {each['Names'][0]}" for each in found}
        for family in self.families:
            wanted = {"filters": filters(name=[f"ecs-{family}-"])}
            volumes = self.docker("GET", "/volumes", params=wanted)["Volumes"] or ()
            names |= {f"volume {each['Name']}" for each in volumes}
            names |= {f"network {each['Name']}" for each in self.docker("GET", "/networks", params=wanted)}
        groups = cgroups(f"homeport-{self.installation[:12]}/*/*")
        return names | {f"cgroup {path}" for path in groups if path.is_dir()}

    def rules(self) -> str:
        """The node's nftables table; empty: it has none."""
        slot = self.host.metadata.slot
        return "" if slot is None else machine("nft", "list", "table", "ip", f"{TABLE}{slot:02x}")

    def nothing_left(self) -> None:
        """Return once all tasks are cleaned up; fail when they are and something of them is there."""
        engine = self.agent.engine
        assert engine is not None

        async def cleaned() -> None:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while engine.tasks:  # noqa: ASYNC110 - the engine tells nobody that it is done
                    await asyncio.sleep(0.05)

        asyncio.run_coroutine_threadsafe(cleaned(), self.live.loop).result()
        assert self.traces() == set()
        assert self.rules() == self.rules_before


def settled(task: Task, status: str) -> bool:
    """It has come to `status`; one that stopped instead never will."""
    if status != "STOPPED":
        assert task["lastStatus"] != "STOPPED", task
    return bool(task["lastStatus"] == status)


@contextlib.contextmanager
def real_node(live: Live, *, socket: str = DEFAULT_SOCKET, **changes: Any) -> Iterator[RealNode]:
    """A registered instance while the block runs. Afterwards nothing of its tasks may be left."""
    clock, ids = SystemClock(), SystemIds()
    installation = ids.token(8).hex()
    commits = Commits()
    held: dict[str, Any] = {}

    async def serve(ready: asyncio.Event) -> None:
        client = EngineClient(socket)
        host = NodeHost(
            docker_host=socket,
            installation_id=installation,
            clock=clock,
            ids=ids,
            report=lambda _event, _fields: None,
        )
        async with host, asyncio.TaskGroup() as group:
            await ensure_image(host.images)
            groups = await host.cgroups("e2e", Limits())
            settings = NodeSettings(
                **{
                    "endpoint_url": live.endpoint,
                    "region": REGION,
                    "credentials": live.keys.nodes,
                    "data_dir": None,
                    "host_ip": "127.0.0.1",
                    "images": ImageGcSettings(enabled=False),
                    "cluster_configured": False,
                    "interim_report_seconds": 0.05,
                    "publish_interval_seconds": 1.0,
                    "cleanup_wait_seconds": 0.0,
                    "stop_timeout_seconds": 2.0,
                    **changes,
                }
            )
            agent = NodeAgent(
                host.settings(settings),
                host.drivers(groups),
                clock=clock,
                ids=ids,
                dice=host.dice,
                starts=host.starts,
                session=host.session,
            )
            following = group.create_task(commits.follow(live))
            running = group.create_task(host.run_node(agent))
            held.update(host=host, agent=agent, client=client, running=running)
            await agent.registered.wait()
            ready.set()
            try:
                await held["done"].wait()
                agent.stop()
                await running
                if groups is not None:
                    await groups.teardown()
                await MetadataRedirect(run_command, installation).release()
            finally:
                following.cancel()
                await client.close()

    async def begin() -> asyncio.Task[None]:
        ready, held["done"] = asyncio.Event(), asyncio.Event()
        serving = live.group.create_task(serve(ready))
        waiting = live.group.create_task(ready.wait())
        await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        return serving

    serving = live.run(begin())
    node = RealNode(
        live, held["host"], held["agent"], held["client"], installation, commits, live.client("ecs")
    )
    try:
        commits.until(node.connected)
        node.rules_before = node.rules()
        yield node
        for arn in _task_arns(node.ecs):
            node.ecs.stop_task(task=arn)
        node.nothing_left()
    finally:
        live.loop.call_soon_threadsafe(held["done"].set)

        async def end() -> None:
            await asyncio.wait([serving])

        live.run(end())
    assert cgroups(f"homeport-{installation[:12]}") == []


def _task_arns(ecs: Any) -> list[str]:
    pages = ecs.get_paginator("list_tasks").paginate(desiredStatus="RUNNING")
    return [arn for page in pages for arn in page["taskArns"]]
