"""A service's task is killed -> its replacement is RUNNING, against Docker's own create and start, and Swarm.

Run as `python -m bench.replace [--json] [--rounds 8] [--no-swarm 0]` (root, Docker Engine, busybox-static).
Ours and Docker's create and start take turns on the machine's engine. Swarm does not go together with
live-restore, which that engine may have: it gets a daemon of its own (restart delay 0), and beside it the
same create and start there. Tasks are killed through the engine's API once they have lived for a while; the
clock starts when the engine answers that (it waits for the container's end, 140 ms here). Both APIs are asked
every 5 ms for what is new: asking without pause would take the processor from what is measured.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop
from tests.kit.docker import ensure_image, machine
from tests.kit.dockerd import PrivateDaemon, private_daemon

from bench.kit import Figure, arguments, client_of, free_port, median, tell, whole_homeport
from bench.run_task import COMMAND, DockerAlone
from homeport.app.settings import environment
from homeport.node.drivers.docker_images import DockerImages
from homeport.node.drivers.engine_client import EngineClient

LIVED_SECONDS = 11.0
"""Shorter lives in a row are restarted with a pause."""
LOOK_SECONDS = 0.005
PATIENCE_SECONDS = 60.0


async def until(look: Callable[[], Any]) -> Any:
    """What `look` answers or comes to, once that is true."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = look()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(LOOK_SECONDS)


class Ours:
    """A service of Homeport's, through its API."""

    def __init__(self, client: Any, engine: EngineClient) -> None:
        self._call = client.call
        self._engine = engine

    async def start(self, image: str, count: int) -> None:
        container = {"name": "app", "image": image, "memory": 16, "command": COMMAND}
        self._call("RegisterTaskDefinition", family="bench", containerDefinitions=[container])
        self._call("CreateService", serviceName="bench", taskDefinition="bench", desiredCount=count)
        await until(lambda: len(self._running()) == count)

    def _running(self) -> dict[str, str]:
        """Containers of running tasks, by task."""
        arns = self._call("ListTasks", serviceName="bench")["taskArns"]
        tasks = self._call("DescribeTasks", tasks=arns)["tasks"] if arns else []
        return {
            task["taskArn"]: task["containers"][0]["runtimeId"]
            for task in tasks
            if task["lastStatus"] == "RUNNING"
        }

    def _new_runs(self, known: set[str]) -> bool:
        """Whether a task that is not known runs; nothing is asked about those that are."""
        arns = set(self._call("ListTasks", serviceName="bench")["taskArns"]) - known
        tasks = self._call("DescribeTasks", tasks=sorted(arns))["tasks"] if arns else []
        return any(task["lastStatus"] == "RUNNING" for task in tasks)

    def victims(self) -> dict[str, str]:
        return self._running()

    async def replaced(self, container: str, known: set[str]) -> float:
        """Seconds from when the container is dead until another task runs."""
        await self._engine.post(f"/containers/{container}/kill")
        started = time.perf_counter()
        await until(lambda: self._new_runs(known))
        return time.perf_counter() - started


class Swarm:
    """A replicated service of Swarm's."""

    def __init__(self, engine: EngineClient) -> None:
        self._engine = engine

    async def start(self, image: str, count: int) -> None:
        await self._engine.post(
            "/swarm/init", {"ListenAddr": f"127.0.0.1:{free_port()}", "AdvertiseAddr": "127.0.0.1"}
        )
        template = {
            "ContainerSpec": {"Image": image, "Command": COMMAND},
            "Resources": {"Limits": {"MemoryBytes": 16 << 20}},
            "RestartPolicy": {"Condition": "any", "Delay": 0},
        }
        body = {"Name": "bench", "TaskTemplate": template, "Mode": {"Replicated": {"Replicas": count}}}
        await self._engine.post("/services/create", body)

        async def all_run() -> bool:
            return len(await self._running()) == count

        await until(all_run)

    async def _running(self) -> dict[str, str]:
        wanted = {"filters": json.dumps({"desired-state": ["running"]})}
        tasks = await self._engine.get("/tasks", params=wanted)
        return {
            task["ID"]: task["Status"]["ContainerStatus"]["ContainerID"]
            for task in tasks
            if task["Status"]["State"] == "running"
        }

    async def victims(self) -> dict[str, str]:
        return await self._running()

    async def replaced(self, container: str, known: set[str]) -> float:
        await self._engine.post(f"/containers/{container}/kill")
        started = time.perf_counter()

        async def another() -> bool:
            return bool((await self._running()).keys() - known)

        await until(another)
        return time.perf_counter() - started


async def in_turns(service: Any, docker: DockerAlone, rounds: int) -> tuple[float, float]:
    """Medians: kill to replacement, and create and start; the first round warms both."""
    found = service.victims()
    victims: dict[str, str] = await found if asyncio.iscoroutine(found) else found
    known, replaced, started = set(victims), [], []
    await asyncio.sleep(LIVED_SECONDS)
    for container in victims.values():
        replaced.append(await service.replaced(container, known))
        found = service.victims()
        known |= set(await found if asyncio.iscoroutine(found) else found)
        started.append(await docker.start(1))
        await docker.remove()
    assert len(replaced) == rounds + 1
    return median(replaced[1:]), median(started[1:])


async def measure_ours(client: Any, rounds: int) -> tuple[float, float]:
    engine = EngineClient(environment().get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    try:
        image = await ensure_image(DockerImages(engine))
        ours = Ours(client, engine)
        await ours.start(image, rounds + 1)
        return await in_turns(ours, DockerAlone(engine, image), rounds)
    finally:
        await engine.close()


async def measure_swarm(rounds: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        async with private_daemon(Path(folder), live_restore=False, bridge=True) as daemon:
            loopback(daemon)
            engine = EngineClient(daemon.socket)
            try:
                image = await ensure_image(DockerImages(engine))
                swarm = Swarm(engine)
                await swarm.start(image, rounds + 1)
                try:
                    return await in_turns(swarm, DockerAlone(engine, image), rounds)
                finally:
                    await engine.post("/swarm/leave", params={"force": "true"})
            finally:
                await engine.close()


def loopback(daemon: PrivateDaemon) -> None:
    """Swarm's manager and agent talk over it."""
    machine("ip", "-n", daemon.namespace, "link", "set", "lo", "up")


def main() -> None:
    options = arguments(__doc__ or "", rounds=8, no_swarm=0)
    with whole_homeport(free_port()) as (data_dir, _):
        client = client_of(data_dir)
        ours, docker = uvloop.run(measure_ours(client, options.rounds))
        client.close()
    name = "task killed -> replacement RUNNING"
    figures = [
        Figure(
            name=name, ours=ours * 1000, unit="ms", peer="Docker API create+start", theirs=docker * 1000,
            target="<= 1.5",
        )
    ]  # fmt: skip
    if not options.no_swarm:
        swarm, beside = uvloop.run(measure_swarm(options.rounds))
        peer = f"Docker Swarm, restart delay 0 (create+start on its daemon: {beside * 1000:,.0f} ms)"
        figures.append(
            Figure(name=name, ours=ours * 1000, unit="ms", peer=peer, theirs=swarm * 1000, target="< 1")
        )
    tell(figures, as_json=options.json)


if __name__ == "__main__":
    main()
