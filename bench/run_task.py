"""RunTask until DescribeTasks shows RUNNING, against Docker's own create and start of the same image.

Run as `python -m bench.run_task [--json] [--rounds 10] [--many 50]` (root, Docker Engine, busybox-static).
In turns on one engine: a container that sleeps, on Docker's default bridge; one alone, then `--many` at once
(Docker's from eight connections, the number at which it is fastest here).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop
from tests.kit.docker import ensure_image

from bench.kit import Figure, arguments, client_of, free_port, median, tell, whole_homeport
from homeport.app.settings import environment
from homeport.node.drivers.docker_images import DockerImages
from homeport.node.drivers.engine_client import EngineClient

CONNECTIONS = 8
COMMAND = ["sh", "-c", "trap exit TERM; sleep 3600 & wait"]
DEFINITION = {"family": "bench", "containerDefinitions": [{"name": "app", "memory": 16, "command": COMMAND}]}


class DockerAlone:
    """The engine's API without anything around it."""

    def __init__(self, client: EngineClient, image: str) -> None:
        self._client = client
        self._image = image
        self._made: list[str] = []

    async def start(self, count: int) -> float:
        """Seconds until the last of so many containers runs."""
        turns = asyncio.Semaphore(CONNECTIONS)
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self._one(turns))
        return time.perf_counter() - started

    async def _one(self, turns: asyncio.Semaphore) -> None:
        body = {"Image": self._image, "Cmd": COMMAND, "HostConfig": {"Memory": 16 << 20}}
        async with turns:
            made = await self._client.post("/containers/create", body)
            await self._client.post(f"/containers/{made['Id']}/start")
        self._made.append(made["Id"])

    async def remove(self) -> None:
        made, self._made = self._made, []
        for name in made:
            await self._client.delete(f"/containers/{name}", params={"force": "true"})


class Ours:
    """A Homeport that runs, through its API."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._arns: list[str] = []

    async def start(self, count: int) -> float:
        """Seconds until DescribeTasks shows so many tasks RUNNING."""
        started = time.perf_counter()
        arns: list[str] = []
        while len(arns) < count:
            answer = self._client.call("RunTask", taskDefinition="bench", count=min(10, count - len(arns)))
            if answer["failures"]:
                raise RuntimeError(f"a task was not placed: {answer['failures']}")
            arns += [task["taskArn"] for task in answer["tasks"]]
        self._wait(arns, "RUNNING")
        took = time.perf_counter() - started
        self._arns += arns
        return took

    def _wait(self, arns: list[str], status: str) -> None:
        waiting = list(arns)
        while waiting:
            tasks = self._client.call("DescribeTasks", tasks=waiting[:100])["tasks"]
            for task in tasks:
                if task["lastStatus"] == "STOPPED" != status:
                    raise RuntimeError(f"a task stopped: {task['stoppedReason']}")
            waiting = [task["taskArn"] for task in tasks if task["lastStatus"] != status] + waiting[100:]
            time.sleep(0.002)

    async def remove(self) -> None:
        arns, self._arns = self._arns, []
        for arn in arns:
            self._client.call("StopTask", task=arn)
        self._wait(arns, "STOPPED")


async def measure(client: Any, rounds: int, many: int) -> list[Figure]:
    engine = EngineClient(environment().get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    try:
        image = await ensure_image(DockerImages(engine))
        definition = json.loads(json.dumps(DEFINITION))
        definition["containerDefinitions"][0]["image"] = image
        client.call("RegisterTaskDefinition", **definition)
        docker, ours = DockerAlone(engine, image), Ours(client)
        single = await in_turns(docker, ours, 1, rounds)
        group = await in_turns(docker, ours, many, max(3, rounds // 3))
    finally:
        await engine.close()
    return [
        Figure(
            name=name, ours=mine * 1000, unit="ms", peer="Docker API create+start", theirs=theirs * 1000,
            target="<= 1.25",
        )
        for name, (mine, theirs) in (
            ("RunTask -> RUNNING, one task", single),
            (f"RunTask -> RUNNING, {many} tasks", group),
        )
    ]  # fmt: skip


async def in_turns(docker: DockerAlone, ours: Ours, count: int, rounds: int) -> tuple[float, float]:
    """Medians of ours and Docker's; the first round warms both."""
    times: dict[Any, list[float]] = {docker: [], ours: []}
    for _ in range(rounds + 1):
        for runner in (docker, ours):
            start: Callable[[int], Awaitable[float]] = runner.start
            times[runner].append(await start(count))
            await runner.remove()
    return median(times[ours][1:]), median(times[docker][1:])


def main() -> None:
    options = arguments(__doc__ or "", rounds=10, many=50)
    with whole_homeport(free_port()) as (data_dir, _):
        client = client_of(data_dir)
        figures = uvloop.run(measure(client, options.rounds, options.many))
        client.close()
    tell(figures, as_json=options.json)


if __name__ == "__main__":
    main()
