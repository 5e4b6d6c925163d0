"""What goes out on TCS: metrics every 20 s, container health at once when it changes, the instance's status.

One sample per container and interval: a difference of counters costs nothing more, so an idle node is idle.
Source of the frames: recordings of the real agent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from homeport.agentproto.messages import (
    ContainerHealth,
    ContainerMetric,
    Frame,
    InstanceStatus,
    MetricsMetadata,
    PublishHealthRequest,
    PublishInstanceStatusRequest,
    PublishMetricsRequest,
    StatsSet,
    TaskHealth,
    TaskMetric,
)
from homeport.core.clock import Clock
from homeport.core.ids import Ids, uuid
from homeport.core.log import get_logger
from homeport.node.admission import MEBIBYTE
from homeport.node.engine import Engine
from homeport.node.model import ContainerState, Phase
from homeport.node.networks import is_awsvpc
from homeport.node.owner import TaskOwner
from homeport.node.ports import ContainerDriver, DriverError, DriverUnavailableError, Sample, SandboxDriver
from homeport.node.samples import sample_of

log = get_logger("node.telemetry")

COUNTER_MAX = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The latest sample of a container, and the one before."""

    now: Sample
    before: Sample | None = None


def metric_of(
    name: str, usage: Usage, known: ContainerState, *, network: bool, restarts: bool, sharing: int = 1
) -> ContainerMetric | None:
    """A container's metrics over the last interval; `None` until there are two samples.

    `sharing`: how many containers have one network, whose traffic is divided among them.
    """
    now, before = usage.now, usage.before
    if before is None:
        return None
    seconds = (now.read_at - before.read_at).total_seconds()
    if seconds <= 0 or now.cpu_total_ns < before.cpu_total_ns:
        return None  # the container was restarted between the samples
    cpu = (now.cpu_total_ns - before.cpu_total_ns) / 1e9 / seconds / max(now.online_cpus, 1) * 100
    return ContainerMetric(
        container_name=name,
        cpu_stats_set=_one(cpu),
        memory_stats_set=_one(now.memory_bytes // MEBIBYTE),
        network_stats_set=_network(now, before, seconds, sharing) if network else None,
        storage_stats_set={
            "readSizeBytes": _counter(now.read_bytes),
            "writeSizeBytes": _counter(now.write_bytes),
        },
        restart_stats_set={"restartCount": known.restarts} if restarts else None,
    )


def _one(value: float) -> StatsSet:
    return StatsSet(min=value, max=value, sample_count=1, sum=value)


def _counter(value: int) -> dict[str, int]:
    """Counters are 64 bits with the overflow apart."""
    low, high = value & COUNTER_MAX, value >> 63
    return {
        "min": low, "max": low, "sum": low, "sampleCount": 1,
        "overflowMin": high, "overflowMax": high, "overflowSum": high,
    }  # fmt: skip


def _network(now: Sample, before: Sample, seconds: float, sharing: int) -> dict[str, Any]:
    stats: dict[str, Any] = {
        "rxBytes": _counter(now.rx_bytes // sharing),
        "txBytes": _counter(now.tx_bytes // sharing),
    }
    counters = network_counters(now.raw)
    for direction in ("rx", "tx"):
        for kind in ("Dropped", "Errors", "Packets"):
            stats[f"{direction}{kind}"] = _counter(counters.get(f"{direction}_{kind.lower()}", 0) // sharing)
    for member, later, earlier in (
        ("rxBytesPerSecond", now.rx_bytes, before.rx_bytes),
        ("txBytesPerSecond", now.tx_bytes, before.tx_bytes),
    ):
        rate = max(later - earlier, 0) / seconds / sharing
        stats[member] = {"min": rate, "max": rate, "sum": rate, "sampleCount": 1}
    return stats


def network_counters(raw: Mapping[str, Any]) -> dict[str, int]:
    """Docker's network counters, summed over interfaces."""
    total: dict[str, int] = {}
    for interface in (raw.get("networks") or {}).values():
        for name, value in interface.items():
            if isinstance(value, int):
                total[name] = total.get(name, 0) + value
    return total


def health_of(owner: TaskOwner) -> TaskHealth | None:
    """A task's containers with health checks; `None`: it has none that run."""
    containers = []
    for name, rule in owner.record.rules.containers.items():
        known = owner.record.of(name)
        if rule.health_checked and known.phase is Phase.RUNNING:
            since = known.health.since or known.started_at
            containers.append(
                ContainerHealth(
                    container_name=name,
                    health_status=known.health.status,
                    status_since=_epoch(since) if since else 0,
                    status_message=known.health.output[:1024],
                )
            )
    if not containers:
        return None
    return TaskHealth(
        task_arn=owner.task.arn,
        task_definition_family=owner.task.family,
        task_definition_version=owner.task.version,
        containers=tuple(containers),
    )


def _epoch(at: datetime) -> float:
    return round(at.timestamp(), 3)


class Telemetry:
    """One node's publications."""

    def __init__(
        self,
        engine: Engine,
        containers: ContainerDriver,
        *,
        sandboxes: SandboxDriver | None = None,
        cluster: str,
        instance: str,
        send: Callable[[Frame], None],
        clock: Clock,
        ids: Ids,
        interval_seconds: float,
    ) -> None:
        self._engine = engine
        self._containers = containers
        self._sandboxes = sandboxes
        self._cluster = cluster
        self._instance = instance
        self._send = send
        self._clock = clock
        self._ids = ids
        self._interval = interval_seconds
        self._usage: dict[str, Usage] = {}
        self._status = InstanceStatus(type="ContainerRuntime", status="INITIALIZING")

    async def run(self, connected: asyncio.Event) -> None:
        """Publish until cancelled; for the first time when TCS is open. Health changes go out at once."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publish(connected))
            group.create_task(self._follow_health())

    def usage(self, docker_name: str) -> Usage | None:
        """The last samples of a container."""
        return self._usage.get(docker_name)

    async def checked(self) -> None:
        """A heartbeat came: look at the container engine, and say how it is."""
        now = _epoch(self._clock.now())
        try:
            await self._containers.info()
        except (DriverError, DriverUnavailableError):
            status = "IMPAIRED"
        else:
            status = "OK"
        changed = now if status != self._status.status else self._status.last_status_change
        self._status = InstanceStatus(
            type="ContainerRuntime", status=status, last_updated=now, last_status_change=changed
        )
        metadata = MetricsMetadata(
            cluster=self._cluster, container_instance=self._instance, request_id=uuid(self._ids)
        )
        self._send(PublishInstanceStatusRequest(metadata=metadata, timestamp=now, statuses=(self._status,)))

    def publish_health(self) -> None:
        """Every health check's result, if there are any."""
        tasks = [health for owner in self._engine.tasks if (health := health_of(owner)) is not None]
        if tasks:
            now = _epoch(self._clock.now())
            self._send(PublishHealthRequest(metadata=self._metadata(), timestamp=now, tasks=tuple(tasks)))

    async def publish_metrics(self) -> None:
        """One interval's metrics. A node that is not idle and has no two samples yet says nothing."""
        owners = [
            o for o in self._engine.tasks if any(o.record.runs(name) for name in o.record.rules.containers)
        ]
        await self._sample(owners)
        tasks = [metric for owner in owners if (metric := self._task_metric(owner)) is not None]
        if owners and not tasks:
            return
        metadata = self._metadata(idle=not owners)
        now = _epoch(self._clock.now())
        self._send(PublishMetricsRequest(metadata=metadata, timestamp=now, task_metrics=tuple(tasks)))

    async def _publish(self, connected: asyncio.Event) -> None:
        while True:
            await connected.wait()
            try:
                await self.publish_metrics()
                self.publish_health()
            except Exception:  # the edge: tasks run whether or not they can be measured
                log.exception("metrics.failed")
            await asyncio.sleep(self._interval)

    async def _follow_health(self) -> None:
        while True:
            await self._engine.health_changed.wait()
            self._engine.health_changed.clear()
            self.publish_health()

    async def _sample(self, owners: list[TaskOwner]) -> None:
        fresh: dict[str, Usage] = {}
        for owner in owners:
            for name, docker_name in owner.record.docker_names.items():
                if not owner.record.runs(name) or owner.record.rules.containers[name].sandbox:
                    continue
                try:
                    sample = await sample_of(self._containers, self._sandboxes, owner.record, name)
                except (DriverError, DriverUnavailableError) as error:
                    log.debug("sample.failed", container=docker_name, error=str(error))
                    continue
                if sample is not None:
                    before = self._usage.get(docker_name)
                    fresh[docker_name] = Usage(now=sample, before=before.now if before else None)
        self._usage = fresh

    def _task_metric(self, owner: TaskOwner) -> TaskMetric | None:
        metrics = []
        for name, rule in owner.record.rules.containers.items():
            usage = self._usage.get(owner.record.docker_names[name])
            if usage is None or rule.internal:
                continue
            metric = metric_of(
                name,
                usage,
                owner.record.of(name),
                network=owner.task.network_mode in {"", "bridge", "awsvpc"},
                restarts=rule.restarts is not None,
                sharing=len(owner.task.containers) if is_awsvpc(owner.task) else 1,
            )
            if metric is not None:
                metrics.append(metric)
        if not metrics:
            return None
        return TaskMetric(
            task_arn=owner.task.arn,
            task_definition_family=owner.task.family,
            task_definition_version=owner.task.version,
            container_metrics=tuple(metrics),
        )

    def _metadata(self, *, idle: bool | None = None) -> MetricsMetadata:
        return MetricsMetadata(
            cluster=self._cluster,
            container_instance=self._instance,
            idle=idle,
            fin=True,
            message_id=uuid(self._ids),
        )
