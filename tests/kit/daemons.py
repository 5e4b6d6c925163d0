"""A world of instances for tests of the planner of DAEMON services."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from homeport.services.ecs.model import Deployment, Service
from homeport.services.ecs.plan.daemon import DaemonSnapshot, plan_daemon
from homeport.services.ecs.plan.daemon_hosts import Host
from homeport.services.ecs.plan.rollout import ServicePlan
from tests.kit.rollout import World, service, task


def host(number: int, **members: Any) -> Host:
    return Host(id=number, uid=f"{number:032x}", **members)


def daemon(*deployments: Deployment, **members: Any) -> Service:
    given = {"scheduling_strategy": "DAEMON", "minimum_healthy_percent": 0, "maximum_percent": 100}
    return service(members.pop("desired", 0), *deployments, **{**given, **members})


@dataclass
class DaemonWorld(World):
    """Instances that come, drain and go; a daemon's tasks on them."""

    hosts: list[Host] = field(default_factory=list)

    def snapshot(self) -> DaemonSnapshot:
        seen = super().snapshot()
        return DaemonSnapshot(
            service=seen.service, live=seen.live, stopped=seen.stopped, hosts=tuple(self.hosts)
        )

    def step(self) -> ServicePlan:
        snapshot = self.snapshot()
        plan = plan_daemon(snapshot, self.now)
        self.plans.append((snapshot, plan, self.now))
        self.service = plan.service
        self.events += plan.events
        for stop in plan.stop:
            self.change(stop.task, desired_status="STOPPED", stopped_reason=stop.reason)
        number = int(self.service.primary.id.rpartition("/")[2])
        ids = {known.uid: known.id for known in self.hosts}
        for uid in plan.start_on:
            fresh = task(len(self.tasks) + 1, number, last_status="PENDING", instance_id=ids[uid])
            checked = self.behaviour(fresh).checked
            containers = tuple(msgspec.structs.replace(c, has_health_check=checked) for c in fresh.containers)
            self.tasks[fresh.id] = msgspec.structs.replace(fresh, containers=containers)
        return plan
