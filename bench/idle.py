"""What Homeport costs while nothing happens: CPU and memory with 20 idle tasks, and time to serving.

Run as `python -m bench.idle [--json] [--tasks 20] [--seconds 60]` (root, Docker Engine, busybox-static).
CPU and memory are of the one process that is control plane and node; time to serving is of `up` on a fresh
data directory, from its start to `Ready.`, after one has filled the bytecode cache of Python.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from tests.kit.docker import ensure_image

from bench.kit import Figure, arguments, client_of, free_port, median, tell, whole_homeport
from homeport.app.settings import environment
from homeport.node.drivers.docker_images import DockerImages
from homeport.node.drivers.engine_client import EngineClient

SETTLE_SECONDS = 15
COMMAND = ["sh", "-c", "trap exit TERM; sleep 3600 & wait"]


async def image() -> str:
    engine = EngineClient(environment().get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    try:
        return await ensure_image(DockerImages(engine))
    finally:
        await engine.close()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of children it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Memory of its own: resident pages without those of files."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    return int(status["VmRSS"].split()[0]) / 1024


def start_tasks(data_dir: Path, count: int, image_name: str) -> None:
    client = client_of(data_dir)
    container = {"name": "app", "image": image_name, "memory": 16, "command": COMMAND}
    client.call("RegisterTaskDefinition", family="idle", containerDefinitions=[container])
    arns: list[str] = []
    while len(arns) < count:
        answer = client.call("RunTask", taskDefinition="idle", count=min(10, count - len(arns)))
        arns += [task["taskArn"] for task in answer["tasks"]]
    while any(t["lastStatus"] != "RUNNING" for t in client.call("DescribeTasks", tasks=arns)["tasks"]):
        time.sleep(0.1)
    client.close()


def main() -> None:
    options = arguments(__doc__ or "", tasks=20, seconds=60, rounds=3)
    image_name = asyncio.run(image())
    environ = {"PYTHONDONTWRITEBYTECODE": ""}
    starts = []
    for _ in range(options.rounds + 1):
        started = time.perf_counter()
        with whole_homeport(free_port(), env=environ):
            starts.append(time.perf_counter() - started)
    with whole_homeport(free_port(), env=environ) as (data_dir, pid):
        start_tasks(data_dir, options.tasks, image_name)
        time.sleep(SETTLE_SECONDS)
        before = cpu_seconds(pid)
        time.sleep(options.seconds)
        used = (cpu_seconds(pid) - before) / options.seconds
        memory = resident_mib(pid)
    name = f"idle with {options.tasks} tasks"
    figures = [
        Figure(name=f"{name}, CPU", ours=used * 100, unit="% of a core", target="< 2"),
        Figure(name=f"{name}, memory", ours=memory, unit="MiB", target="< 200"),
        Figure(name="start to serving", ours=median(starts[1:]), unit="s", target="< 2"),
    ]
    tell(figures, as_json=options.json)


if __name__ == "__main__":
    main()
