"""Services and tasks for tests of the rollout planner, and a world that carries its plans out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec

from homeport.services.ecs.model import Container, Deployment, Protection, Service, Task
from homeport.services.ecs.plan.rollout import ServicePlan, ServiceSnapshot, plan_service

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def deployment(number: int, **members: Any) -> Deployment:
    name = f"ecs-svc/{number}"
    given = {
        "task_definition_id": number,
        "task_definition": f"arn:aws:ecs:us-east-1:000000000000:task-definition/web:{number}",
        "created_at": NOW,
        "updated_at": NOW,
        "counted_until": NOW - timedelta(days=1),
        "rollout_state_reason": f"ECS deployment {name} in progress.",
    }
    return Deployment(id=name, **{**given, **members})


def service(desired: int, *deployments: Deployment, **members: Any) -> Service:
    return Service(
        id=1,
        cluster_id=1,
        cluster_name="default",
        account_id="000000000000",
        region="us-east-1",
        name="web",
        desired_count=desired,
        deployments=deployments or (deployment(1),),
        created_at=NOW,
        created_by="test",
        **members,
    )


def task(number: int, of: int = 1, **members: Any) -> Task:
    """A task of deployment `of`; RUNNING for a minute, without health checks, unless told otherwise."""
    health = members.pop("health", None)
    given: dict[str, Any] = {
        "last_status": "RUNNING",
        "started_at": NOW - timedelta(seconds=60),
        "instance_id": 1,
    }
    container = Container(
        name="app",
        uid="0" * 32,
        image="app:1",
        essential=True,
        has_health_check=health is not None,
        cpu="0",
        health_status=health or "UNKNOWN",
    )
    if members.get("last_status") == "PENDING":
        given["started_at"] = None
    return Task(
        id=number,
        cluster_id=1,
        cluster_name="default",
        account_id="000000000000",
        region="us-east-1",
        uid=f"{number:032x}",
        task_definition_id=of,
        family="web",
        revision=of,
        group="service:web",
        started_by=f"ecs-svc/{of}",
        service_id=1,
        service_name="web",
        containers=(container,),
        created_at=NOW,
        **{**given, **members},
    )


def protected(seconds: float = 3600) -> Protection:
    return Protection(expires_at=NOW + timedelta(seconds=seconds))


@dataclass
class Behaviour:
    """What tasks of a deployment do: `fails` never run, `sick` run and fail their health check."""

    fails: bool = False
    sick: bool = False
    checked: bool = False


@dataclass
class World:
    """Tasks that do as they are told after a while; time moves when nothing else does."""

    service: Service
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    dice: Random = field(default_factory=lambda: Random(1))
    now: datetime = NOW
    tasks: dict[int, Task] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    rooms: dict[str | None, int] = field(default_factory=dict)
    """How many tasks each capacity provider has room for; empty: as many as there are."""
    plans: list[tuple[ServiceSnapshot, ServicePlan, datetime]] = field(default_factory=list)

    def snapshot(self) -> ServiceSnapshot:
        live = tuple(t for t in self.tasks.values() if t.stopped_at is None)
        until = self.service.primary.counted_until
        stopped = tuple(t for t in self.tasks.values() if t.stopped_at is not None and t.stopped_at > until)
        return ServiceSnapshot(service=self.service, live=live, stopped=stopped)

    def step(self) -> ServicePlan:
        snapshot = self.snapshot()
        plan = plan_service(snapshot, self.now)
        self.plans.append((snapshot, plan, self.now))
        self.service = plan.service
        self.events += plan.events
        for stop in plan.stop:
            self.change(stop.task, desired_status="STOPPED", stopped_reason=stop.reason)
        number = int(self.service.primary.id.rpartition("/")[2])
        for place in range(plan.start):
            provider = plan.start_in[place] if plan.start_in else None
            if self.rooms and self.rooms.get(provider, 0) <= self.held(provider):
                continue
            fresh = task(len(self.tasks) + 1, number, last_status="PENDING", capacity_provider=provider)
            checked = self.behaviour(fresh).checked
            containers = tuple(msgspec.structs.replace(c, has_health_check=checked) for c in fresh.containers)
            self.tasks[fresh.id] = msgspec.structs.replace(fresh, containers=containers)
        return plan

    def held(self, provider: str | None) -> int:
        """How many tasks have their place in a capacity provider."""
        return sum(t.capacity_provider == provider and t.stopped_at is None for t in self.tasks.values())

    def behaviour(self, of: Task) -> Behaviour:
        return self.behaviours.get(of.started_by or "", Behaviour())

    def change(self, of: Task, **members: Any) -> None:
        self.tasks[of.id] = msgspec.structs.replace(self.tasks[of.id], **members)

    def agents_work(self) -> bool:
        """One thing happens to one task; False: nothing is left to happen."""
        able = [t for t in self.tasks.values() if t.stopped_at is None and self._next(t) is not None]
        if not able:
            return False
        self.now += timedelta(seconds=self.dice.uniform(0.1, 5))
        chosen = self.dice.choice(able)
        self.change(chosen, **(self._next(chosen) or {}))
        return True

    def _next(self, of: Task) -> dict[str, Any] | None:
        stopped = {"last_status": "STOPPED", "stopped_at": self.now, "execution_stopped_at": self.now}
        if of.desired_status == "STOPPED":
            return stopped
        doing = self.behaviour(of)
        if of.last_status == "PENDING":
            if doing.fails:
                return {**stopped, "desired_status": "STOPPED", "stop_code": "TaskFailedToStart"}
            return {"last_status": "RUNNING", "started_at": self.now}
        if doing.checked and of.containers[0].health_status == "UNKNOWN":
            health = "UNHEALTHY" if doing.sick else "HEALTHY"
            containers = (msgspec.structs.replace(of.containers[0], health_status=health),)
            return {"containers": containers}
        return None

    def run(self, steps: int = 2000) -> None:
        """Until nothing happens any more and no clock is waited for, or for so many steps."""
        for _ in range(steps):
            plan = self.step()
            if plan.stop or plan.start:
                continue
            if self.agents_work():
                continue
            if self.service.steady_at is not None or plan.wake_at is None:
                return
            self.now = max(self.now, plan.wake_at)
        raise AssertionError(f"still at work after {steps} steps")
