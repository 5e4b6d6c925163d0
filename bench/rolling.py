"""A rolling update of 20 running tasks until only new ones run, against Docker Swarm's of the same service.

Run as `python -m bench.rolling [--json] [--tasks 20] [--rounds 2] [--checked 1] [--no-swarm 0]` (root, Docker
Engine, busybox-static). What is compared, and why it is fair:

- Same image, command and memory limit; the update changes one environment variable; both obey SIGTERM.
- `all at once`: ours with 0 and 100 percent, Swarm's with a parallelism of all tasks, stop first, no delay.
  No task has a check, so nobody waits for health: Swarm takes what runs for well, ours may leave none.
- `half at a time, checked`: ours with 50 and 100 percent, Swarm's with a parallelism of half, stop first, no
  delay. The container has the same health check for both, without which ECS would wait 40 seconds and Swarm
  not at all. Docker runs a check for the first time after its interval, 5 seconds (the least that ECS takes):
  both wait for that twice.
- The clock runs from the request until the API shows all tasks new and running, and no old one running.
- Swarm does not go together with live-restore, which the machine's engine may have: it gets its own daemon.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop
from tests.kit.docker import ensure_image
from tests.kit.dockerd import private_daemon

from bench.kit import Figure, arguments, client_of, free_port, median, tell, whole_homeport
from bench.replace import loopback, until
from bench.run_task import COMMAND
from homeport.app.settings import environment
from homeport.node.drivers.docker_images import DockerImages
from homeport.node.drivers.engine_client import EngineClient

CHECK_SECONDS = 5
SECOND_NS = 1_000_000_000
NAMES = {False: "all at once", True: "half at a time, checked"}


class Ours:
    """A service of Homeport's, through its API."""

    def __init__(self, client: Any, image: str, count: int, *, checked: bool) -> None:
        self._call = client.call
        self._image = image
        self._count = count
        self._checked = checked
        self._name = f"rolling-{checked}".lower()
        self._revision = 0

    def _definition(self) -> str:
        self._revision += 1
        container: dict[str, Any] = {
            "name": "app",
            "image": self._image,
            "memory": 16,
            "command": COMMAND,
            "environment": [{"name": "REVISION", "value": str(self._revision)}],
            "stopTimeout": 10,
        }
        if self._checked:
            container["healthCheck"] = {"command": ["CMD", "true"], "interval": CHECK_SECONDS, "retries": 2}
        made = self._call("RegisterTaskDefinition", family=self._name, containerDefinitions=[container])
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def _only_new(self) -> bool:
        (service,) = self._call("DescribeServices", services=[self._name])["services"]
        primary, *others = service["deployments"]
        return primary["runningCount"] == self._count and not any(o["runningCount"] for o in others)

    def _is_steady(self) -> bool:
        (service,) = self._call("DescribeServices", services=[self._name])["services"]
        return service["deployments"][0]["rolloutState"] == "COMPLETED" and len(service["deployments"]) == 1

    async def start(self) -> None:
        percent = {"minimumHealthyPercent": 50 if self._checked else 0, "maximumPercent": 100}
        self._call(
            "CreateService",
            serviceName=self._name,
            taskDefinition=self._definition(),
            desiredCount=self._count,
            deploymentConfiguration=percent,
        )
        await until(self._is_steady)

    async def update(self) -> float:
        definition = self._definition()
        started = time.perf_counter()
        self._call("UpdateService", service=self._name, taskDefinition=definition)
        await until(self._only_new)
        took = time.perf_counter() - started
        await until(self._is_steady)
        return took

    async def end(self) -> None:
        self._call("DeleteService", service=self._name, force=True)

        def gone() -> bool:
            return not self._call("ListTasks", serviceName=self._name)["taskArns"]

        await until(gone)


class Swarm:
    """A replicated service of Swarm's."""

    def __init__(self, engine: EngineClient, image: str, count: int, *, checked: bool) -> None:
        self._engine = engine
        self._image = image
        self._count = count
        self._checked = checked
        self._revision = 0
        self._id = ""

    def _spec(self) -> dict[str, Any]:
        self._revision += 1
        container: dict[str, Any] = {
            "Image": self._image,
            "Command": COMMAND,
            "Env": [f"REVISION={self._revision}"],
            "StopGracePeriod": 10 * SECOND_NS,
        }
        if self._checked:
            container["Healthcheck"] = {
                "Test": ["CMD", "true"], "Interval": CHECK_SECONDS * SECOND_NS, "Retries": 2,
            }  # fmt: skip
        return {
            "Name": f"rolling-{self._checked}".lower(),
            "TaskTemplate": {
                "ContainerSpec": container,
                "Resources": {"Limits": {"MemoryBytes": 16 << 20}},
                "RestartPolicy": {"Condition": "any", "Delay": 0},
            },
            "Mode": {"Replicated": {"Replicas": self._count}},
            "UpdateConfig": {
                "Parallelism": self._count // 2 if self._checked else self._count,
                "Delay": 0,
                "Order": "stop-first",
            },
        }

    async def _only_new(self) -> bool:
        running = [
            f"REVISION={self._revision}" in task["Spec"]["ContainerSpec"]["Env"]
            for task in await self._engine.get("/tasks")
            if task["ServiceID"] == self._id and task["Status"]["State"] == "running"
        ]
        return len(running) == self._count and all(running)

    async def start(self) -> None:
        self._id = (await self._engine.post("/services/create", self._spec()))["ID"]
        await until(self._only_new)

    async def update(self) -> float:
        version = (await self._engine.get(f"/services/{self._id}"))["Version"]["Index"]
        started = time.perf_counter()
        await self._engine.post(
            f"/services/{self._id}/update", self._spec(), params={"version": str(version)}
        )
        await until(self._only_new)
        return time.perf_counter() - started

    async def end(self) -> None:
        await self._engine.delete(f"/services/{self._id}")

        async def gone() -> bool:
            return not await self._engine.get("/containers/json")

        await until(gone)


async def measured(service: Any, rounds: int) -> float:
    """Median; the first update warms."""
    await service.start()
    try:
        took = [await service.update() for _ in range(rounds + 1)]
    finally:
        await service.end()
    return median(took[1:])


async def ours(data_dir: Path, scenes: list[bool], count: int, rounds: int) -> list[float]:
    client = client_of(data_dir)
    engine = EngineClient(environment().get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    try:
        image = await ensure_image(DockerImages(engine))
        return [await measured(Ours(client, image, count, checked=c), rounds) for c in scenes]
    finally:
        await engine.close()
        client.close()


async def swarms(scenes: list[bool], count: int, rounds: int) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        async with private_daemon(Path(folder), live_restore=False, bridge=True) as daemon:
            loopback(daemon)
            engine = EngineClient(daemon.socket)
            try:
                image = await ensure_image(DockerImages(engine))
                await engine.post(
                    "/swarm/init", {"ListenAddr": f"127.0.0.1:{free_port()}", "AdvertiseAddr": "127.0.0.1"}
                )
                try:
                    return [await measured(Swarm(engine, image, count, checked=c), rounds) for c in scenes]
                finally:
                    await engine.post("/swarm/leave", params={"force": "true"})
            finally:
                await engine.close()


def main() -> None:
    options = arguments(__doc__ or "", tasks=20, rounds=2, checked=1, no_swarm=0)
    scenes = [False, True] if options.checked else [False]
    with whole_homeport(free_port()) as (data_dir, _):
        mine = uvloop.run(ours(data_dir, scenes, options.tasks, options.rounds))
    theirs: list[float] | list[None] = [None] * len(scenes)
    if not options.no_swarm:
        theirs = uvloop.run(swarms(scenes, options.tasks, options.rounds))
    figures = [
        Figure(
            name=f"rolling update of {options.tasks} tasks, {NAMES[checked]}",
            ours=ours_,
            unit="s",
            peer="" if their is None else "Docker Swarm",
            theirs=their,
            target="< 1",
        )
        for checked, ours_, their in zip(scenes, mine, theirs, strict=True)
    ]
    tell(figures, as_json=options.json)


if __name__ == "__main__":
    main()
