"""RunTask until DescribeTasks shows RUNNING, against Docker's ways to start the same container, and Swarm's.

Run as `python -m bench.run_task [--json] [--rounds 10] [--many 50] [--no-swarm 0]` (root, Docker Engine with
its command line, busybox-static). In turns on one engine: a container that sleeps, by `docker run -d` and by
create and start on Docker's default bridge, as a task in bridge mode and as one in awsvpc mode; then `--many`
at once (create and start from eight connections, the number at which it is fastest here; also into a network
namespace that is there, which is the least that Docker itself takes). After each of our turns there is a
pause, in which warm sandboxes are made again: nobody's time. Swarm does not go together with live-restore, so
it has a daemon of its own.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop
from tests.kit.docker import ensure_image, machine
from tests.kit.dockerd import private_daemon

from bench.kit import Figure, arguments, client_of, free_port, median, tell, whole_homeport
from homeport.app.settings import environment
from homeport.node.drivers.docker_images import DockerImages
from homeport.node.drivers.engine_client import EngineClient

CONNECTIONS = 8
READY = "Docker API create+start in a namespace that is there"
COMMAND = ["sh", "-c", "trap exit TERM; sleep 3600 & wait"]
CONTAINER = {"name": "app", "memory": 16, "command": COMMAND}
PAUSE_SECONDS = 1.5
LOOK_SECONDS = {False: 0.002, True: 0.02}
"""Between two looks at whether all run, by whether many are waited for: who asks shares the machine's CPU
with who works, so the same for us and for Swarm."""


class DockerAlone:
    """The engine's API without anything around it. `network`: the mode; none is Docker's default bridge."""

    def __init__(self, client: EngineClient, image: str, *, network: str = "default") -> None:
        self._client = client
        self._image = image
        self._network = network
        self.made: list[str] = []

    async def start(self, count: int) -> float:
        """Seconds until the last of so many containers runs."""
        turns = asyncio.Semaphore(CONNECTIONS)
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self._one(turns))
        return time.perf_counter() - started

    async def _one(self, turns: asyncio.Semaphore) -> None:
        settings = {"Memory": 16 << 20, "NetworkMode": self._network}
        body = {"Image": self._image, "Cmd": COMMAND, "HostConfig": settings}
        async with turns:
            made = await self._client.post("/containers/create", body)
            await self._client.post(f"/containers/{made['Id']}/start")
        self.made.append(made["Id"])

    async def remove(self) -> None:
        made, self.made = self.made, []
        for name in made:
            await self._client.delete(f"/containers/{name}", params={"force": "true"})


class DockerRun:
    """`docker run -d`, one after the other."""

    def __init__(self, image: str) -> None:
        self._command = ("docker", "run", "-d", "--memory", "16m", image, *COMMAND)
        self._made: list[str] = []

    async def start(self, count: int) -> float:
        """Seconds until the last of so many containers runs."""
        started = time.perf_counter()
        for _ in range(count):
            process = await asyncio.create_subprocess_exec(*self._command, stdout=asyncio.subprocess.PIPE)
            said, _ = await process.communicate()
            self._made.append(said.decode().strip())
        return time.perf_counter() - started

    async def remove(self) -> None:
        made, self._made = self._made, []
        process = await asyncio.create_subprocess_exec(
            "docker", "rm", "-f", *made, stdout=asyncio.subprocess.DEVNULL
        )
        await process.wait()


class Ours:
    """A Homeport that runs, through its API. `members`: of RunTask, besides the count."""

    def __init__(self, client: Any, **members: Any) -> None:
        self._client = client
        self._members = members
        self._arns: list[str] = []

    async def start(self, count: int) -> float:
        """Seconds until DescribeTasks shows so many tasks RUNNING."""
        started = time.perf_counter()
        arns: list[str] = []
        while len(arns) < count:
            answer = self._client.call("RunTask", count=min(10, count - len(arns)), **self._members)
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
            time.sleep(LOOK_SECONDS[len(arns) > 1])

    async def remove(self) -> None:
        arns, self._arns = self._arns, []
        for arn in arns:
            self._client.call("StopTask", task=arn)
        self._wait(arns, "STOPPED")
        await asyncio.sleep(PAUSE_SECONDS)


async def measure(client: Any, rounds: int, many: int) -> dict[str, float]:
    """Seconds, by name."""
    engine = EngineClient(environment().get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    try:
        image = await ensure_image(DockerImages(engine))
        container = {**CONTAINER, "image": image}
        client.call("RegisterTaskDefinition", family="bridge", containerDefinitions=[container])
        client.call(
            "RegisterTaskDefinition", family="awsvpc", containerDefinitions=[container], networkMode="awsvpc"
        )
        network = {"awsvpcConfiguration": {"subnets": [first_subnet(client)]}}
        api = DockerAlone(engine, image)
        bridge = Ours(client, taskDefinition="bridge")
        awsvpc = Ours(client, taskDefinition="awsvpc", networkConfiguration=network)
        await asyncio.sleep(2 * PAUSE_SECONDS)
        alone = {"run": DockerRun(image), "api": api, "bridge": bridge, "awsvpc": awsvpc}
        single = await in_turns(alone, 1, rounds)
        holder = DockerAlone(engine, image, network="none")
        await holder.start(1)
        ready = DockerAlone(engine, image, network=f"container:{holder.made[0]}")
        together = {"api": api, "ready": ready, "bridge": bridge, "awsvpc": awsvpc}
        group = await in_turns(together, many, max(3, rounds // 3))
        await holder.remove()
        return single | {f"{name} many": took for name, took in group.items()}
    finally:
        await engine.close()


def first_subnet(client: Any) -> str:
    """Of the default VPC."""
    form = "Action=DescribeSubnets&Version=2016-11-15"
    _, body = client.send(client.prepared_form("ec2", form))
    return str(re.findall(r"<subnetId>([^<]+)", body.decode())[0])


async def in_turns(runners: dict[str, Any], count: int, rounds: int) -> dict[str, float]:
    """Medians; the first round warms all."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds + 1):
        for name, runner in runners.items():
            times[name].append(await runner.start(count))
            await runner.remove()
    return {name: median(taken[1:]) for name, taken in times.items()}


async def measure_swarm(many: int, rounds: int) -> tuple[float, float]:
    """`service create` until all replicas run; create and start of as many on the same daemon."""
    with tempfile.TemporaryDirectory() as folder:
        async with private_daemon(Path(folder), live_restore=False, bridge=True) as daemon:
            machine("ip", "-n", daemon.namespace, "link", "set", "lo", "up")
            engine = EngineClient(daemon.socket)
            try:
                image = await ensure_image(DockerImages(engine))
                at = f"127.0.0.1:{free_port()}"
                await engine.post("/swarm/init", {"ListenAddr": at, "AdvertiseAddr": "127.0.0.1"})
                try:
                    runners = {"swarm": SwarmService(engine, image), "api": DockerAlone(engine, image)}
                    times = await in_turns(runners, many, rounds)
                finally:
                    await engine.post("/swarm/leave", params={"force": "true"})
            finally:
                await engine.close()
    return times["swarm"], times["api"]


class SwarmService:
    """A service of Swarm's, made and removed."""

    def __init__(self, engine: EngineClient, image: str) -> None:
        self._engine = engine
        self._image = image

    async def start(self, count: int) -> float:
        """Seconds until so many replicas run."""
        template = {
            "ContainerSpec": {"Image": self._image, "Command": COMMAND},
            "Resources": {"Limits": {"MemoryBytes": 16 << 20}},
        }
        body = {"Name": "bench", "TaskTemplate": template, "Mode": {"Replicated": {"Replicas": count}}}
        started = time.perf_counter()
        await self._engine.post("/services/create", body)
        while await self._count("running") < count:  # noqa: ASYNC110 - as its own client does
            await asyncio.sleep(LOOK_SECONDS[count > 1])
        return time.perf_counter() - started

    async def remove(self) -> None:
        await self._engine.delete("/services/bench")
        while await self._engine.get("/containers/json", params={"all": "1"}):  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    async def _count(self, state: str) -> int:
        tasks = await self._engine.get("/tasks")
        return sum(task["Status"]["State"] == state for task in tasks)


def figures_of(times: dict[str, float], many: int) -> list[Figure]:
    """Against Docker on the machine's own engine."""
    rows = [
        ("one task, bridge", "bridge", "run", "docker run -d", "<= 0.6"),
        ("one task, awsvpc", "awsvpc", "run", "docker run -d", "<= 0.6"),
        ("one task, bridge", "bridge", "api", "Docker API create+start", "<= 1.25"),
        (f"{many} tasks, bridge", "bridge many", "api many", "Docker API create+start", "<= 1.25"),
        (f"{many} tasks, awsvpc", "awsvpc many", "api many", "Docker API create+start", "<= 1.25"),
        (f"{many} tasks, bridge", "bridge many", "ready many", READY, ""),
        (f"{many} tasks, awsvpc", "awsvpc many", "ready many", READY, ""),
    ]
    return [
        Figure(
            name=f"RunTask -> RUNNING, {name}", ours=times[ours] * 1000, unit="ms", peer=peer,
            theirs=times[theirs] * 1000, target=target,
        )
        for name, ours, theirs, peer, target in rows
    ]  # fmt: skip


def main() -> None:
    options = arguments(__doc__ or "", rounds=10, many=50, no_swarm=0)
    with whole_homeport(free_port()) as (data_dir, _):
        client = client_of(data_dir)
        times = uvloop.run(measure(client, options.rounds, options.many))
        client.close()
    figures = figures_of(times, options.many)
    if not options.no_swarm:
        swarm, beside = uvloop.run(measure_swarm(options.many, max(2, options.rounds // 4)))
        peer = f"Docker Swarm's service create (create+start on its daemon: {beside * 1000:,.0f} ms)"
        figures += [
            Figure(
                name=f"RunTask -> RUNNING, {options.many} tasks, {mode}", ours=times[f"{mode} many"] * 1000,
                unit="ms", peer=peer, theirs=swarm * 1000, target="<= 0.4",
            )
            for mode in ("bridge", "awsvpc")
        ]  # fmt: skip
    tell(figures, as_json=options.json)


if __name__ == "__main__":
    main()
