"""What agents tell over telemetry, and what of it is state: containers' health and the instance's own.

Agents repeat everything every 20 s. A socket remembers what was written, so that
a repetition costs no transaction; a new socket knows nothing and writes what differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from homeport.agentproto.messages import Frame, PublishHealthRequest, PublishInstanceStatusRequest
from homeport.runtime.retry import decide_again
from homeport.services.ecs.plan.identifiers import Home, or_none, task_uid
from homeport.services.ecs.plan.lifecycle import apply_health
from homeport.services.ecs.repo.fleets import task_of_fleet
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

Health = Mapping[str, str]
"""Statuses by container name."""


class TcsSession:
    """One agent's telemetry socket, as the gateway drives it."""

    def __init__(self, store: Store, instance_id: int) -> None:
        self._store = store
        self._instance_id = instance_id
        self._health: Mapping[str, Health] = {}
        self._status: list[tuple[str, str]] | None = None

    async def received(self, frame: Frame) -> None:
        """Health changes state; metrics wait for CloudWatch and are not kept."""
        if isinstance(frame, PublishHealthRequest):
            told = {
                t.task_arn: {c.container_name: c.health_status for c in t.containers} for t in frame.tasks
            }
            news = {arn: health for arn, health in told.items() if self._health.get(arn) != health}
            if news:
                await decide_again(lambda: self._store.write(lambda tx: self._write_health(tx, news)))
            self._health = told
        elif isinstance(frame, PublishInstanceStatusRequest):
            rows = _status_rows(frame)
            said = _said(rows)
            if said != self._status:
                await decide_again(lambda: self._store.write(lambda tx: self._write_status(tx, rows)))
            self._status = said

    async def closed(self) -> None:
        """Nothing was held."""

    def _write_health(self, tx: Tx, news: Mapping[str, Health]) -> None:
        repo = TaskRepo(tx)
        instance = InstanceRepo(tx).get(self._instance_id)
        if instance is None:
            return
        here = Home(instance.account_id, instance.region)
        for arn, health in news.items():
            if instance.is_hidden:
                task = task_of_fleet(tx, here, arn, instance.cluster_id)
            else:
                uid = or_none(task_uid, here, instance.cluster_name, arn)
                task = None if uid is None else repo.find(instance.cluster_id, uid)
            if task is None or task.instance_id != self._instance_id:
                continue
            after = apply_health(task, health)
            if after is not task:
                repo.save(after)

    def _write_status(self, tx: Tx, rows: tuple[dict[str, Any], ...]) -> None:
        repo = InstanceRepo(tx)
        instance = repo.get(self._instance_id)
        if instance is not None and _said(instance.health) != _said(rows):
            repo.save(msgspec.structs.replace(instance, health=rows))


def _status_rows(report: PublishInstanceStatusRequest) -> tuple[dict[str, Any], ...]:
    """`healthStatus.details` of DescribeContainerInstances."""
    return tuple(
        {
            "type": "CONTAINER_RUNTIME" if status.type == "ContainerRuntime" else status.type,
            "status": status.status,
            "lastUpdated": status.last_updated,
            "lastStatusChange": status.last_status_change,
        }
        for status in report.statuses
    )


def _said(rows: tuple[Mapping[str, Any], ...]) -> list[tuple[str, str]]:
    return [(str(row["type"]), str(row["status"])) for row in rows]
