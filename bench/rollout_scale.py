"""One service of many hollow tasks: 0 -> steady, then revision 1 -> 2 -> steady; and many steady services.

Run as `python -m bench.rollout_scale [--json] [--counts 100,1000,10000] [--services 1000] [--seconds 20]`.
The agents are real, their machines are in memory, in a process of their own; ten tasks an instance. Tasks
have no check, so an update waits the 40 seconds after which its tasks count as healthy: that wait is not in
its time. CPU is of the control plane's process. Steady is what the newest service deployment says.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.idle import cpu_seconds
from bench.kit import Figure, arguments, client_of, control_plane, free_port, hollow_nodes, tell

TASKS_AN_INSTANCE = 10
INSTANCES_MOST = 1000
SETTLING_SECONDS = 40.0
POLL_SECONDS = 0.2
SETTLE_SECONDS = 10.0


class Bench:
    """A control plane, watched from outside."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._pid = int((data_dir / "up.lock").read_text())
        self.client = client_of(data_dir)
        container = {"name": "app", "image": "app:1", "memory": 16, "command": ["stay"]}
        for _ in range(2):
            self.client.call("RegisterTaskDefinition", family="web", containerDefinitions=[container])

    def cpu(self) -> float:
        return cpu_seconds(self._pid)

    def changes(self) -> int:
        """The number of the latest change: one for each key that a commit touched."""
        file = f"file:{self._data_dir / 'homeport.db'}?mode=ro"
        with closing(sqlite3.connect(file, uri=True)) as db:
            row = db.execute("select max(seq) from change").fetchone()
        return int(row[0] or 0)

    def until_successful(self) -> None:
        """Until the newest service deployment is; asking for that reads no task."""
        while True:
            newest = self.client.call("ListServiceDeployments", service="web")["serviceDeployments"][0]
            if newest["status"] == "SUCCESSFUL":
                return
            time.sleep(POLL_SECONDS)

    def measured(self, name: str, count: int, act: Callable[[], Any], *, waits: float) -> list[Figure]:
        cpu, changes, started = self.cpu(), self.changes(), time.perf_counter()
        act()
        self.until_successful()
        took = time.perf_counter() - started - waits
        spent, written = self.cpu() - cpu, self.changes() - changes
        return [
            Figure(name=name, ours=took, unit="s"),
            Figure(name=f"{name}, CPU a task", ours=spent / count * 1000, unit="ms", target="flat"),
            Figure(name=f"{name}, changes a task", ours=written / count, unit="keys", target="flat"),
        ]


def one_service(count: int) -> list[Figure]:
    """All tasks in one service."""
    instances = max(1, min(count // TASKS_AN_INSTANCE, INSTANCES_MOST))
    quota = ("--tasks-per-service", str(count))
    with control_plane(free_port(), *quota) as data_dir, hollow_nodes(data_dir, instances):
        bench = Bench(data_dir)
        call = bench.client.call
        figures = bench.measured(
            f"0 -> {count} tasks",
            count,
            lambda: call("CreateService", serviceName="web", taskDefinition="web:1", desiredCount=count),
            waits=0,
        )
        figures += bench.measured(
            f"revision 1 -> 2 of {count} tasks",
            count,
            lambda: call("UpdateService", service="web", taskDefinition="web:2"),
            waits=SETTLING_SECONDS,
        )
        bench.client.close()
    return figures


def many_services(count: int, seconds: int) -> Figure:
    """What so many steady services of one task cost while nothing happens."""
    with control_plane(free_port()) as data_dir, hollow_nodes(data_dir, 1):
        bench = Bench(data_dir)
        for number in range(count):
            bench.client.call(
                "CreateService", serviceName=f"s{number}", taskDefinition="web:1", desiredCount=1
            )
        while True:
            (cluster,) = bench.client.call("DescribeClusters")["clusters"]
            if cluster["runningTasksCount"] == count:
                break
            time.sleep(POLL_SECONDS)
        time.sleep(SETTLING_SECONDS + SETTLE_SECONDS)
        before = bench.cpu()
        time.sleep(seconds)
        used = (bench.cpu() - before) / seconds
        bench.client.close()
    return Figure(name=f"{count} steady services, CPU", ours=used * 100, unit="% of a core", target="< 2")


def main() -> None:
    options = arguments(__doc__ or "", counts="100,1000,10000", services=1000, seconds=20)
    figures = [figure for count in options.counts.split(",") for figure in one_service(int(count))]
    if options.services:
        figures.append(many_services(options.services, options.seconds))
    tell(figures, as_json=options.json)


if __name__ == "__main__":
    main()
