"""A world for deployments with stages: traffic, functions and people beside the tasks of `rollout`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec

from homeport.services.ecs.model import (
    DeploymentStrategy,
    HookAnswer,
    HookRun,
    LifecycleHook,
    Service,
    Staging,
)
from homeport.services.ecs.plan.daemon import plan_either
from homeport.services.ecs.plan.rollout import ServicePlan, ServiceSnapshot
from homeport.services.ecs.plan.rollout_health import verdict
from homeport.services.ecs.plan.strategy_begin import begun
from homeport.services.ecs.plan.strategy_hooks import answered, with_runs
from tests.kit.rollout import World, deployment, task

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:check"
ROLE = "arn:aws:iam::000000000000:role/hooks"


def pause(*stages: str, minutes: int = 1440, action: str = "ROLLBACK") -> LifecycleHook:
    return LifecycleHook(target_type="PAUSE", stages=stages, timeout_minutes=minutes, timeout_action=action)


def function(*stages: str, **members: Any) -> LifecycleHook:
    return LifecycleHook(target_arn=FUNCTION, role_arn=ROLE, stages=stages, **members)


def staging_of(service: Service) -> Staging:
    staging = service.primary.staging
    assert staging is not None
    return staging


@dataclass
class StagedWorld(World):
    """Carries plans out, and checks with each of them what must always hold.

    `traffic`: the share of production that each revision has; `shifts`: whether there is a load
    balancer; `delays`: how many times a shift is not in force yet; `answers`: what the function
    says, `SUCCEEDED` once there is nothing left; `patient`: nobody continues what is paused.
    """

    shifts: bool = True
    traffic: float = 0.0
    test_traffic: float = 0.0
    delays: int = 0
    answers: list[str] = field(default_factory=list)
    patient: bool = False
    draining: frozenset[int] = frozenset()
    stages: list[str] = field(default_factory=list)
    called: list[tuple[str, float]] = field(default_factory=list)
    shifted: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    newest: int = 1

    def deploy(self, number: int, strategy: DeploymentStrategy | None = None, **members: Any) -> None:
        """A new deployment, as UpdateService begins one."""
        self.newest = number
        older = tuple(msgspec.structs.replace(d, status="ACTIVE") for d in self.service.deployments)
        new = deployment(number, counted_until=self.now, revision=f"{number:019d}", **members)
        service = msgspec.structs.replace(self.service, deployments=(new, *older))
        if strategy is not None:
            service = msgspec.structs.replace(service, deployment_strategy=strategy)
        self.service = begun(service, self.now)
        staging = self.service.primary.staging
        if staging is not None and staging.live:
            # Shares are green's, and it is another now: all of the traffic is blue's.
            self.traffic = self.test_traffic = 0.0

    def snapshot(self) -> ServiceSnapshot:
        live = tuple(t for t in self.tasks.values() if t.stopped_at is None)
        until = min(d.counted_until for d in self.service.deployments)
        stopped = tuple(t for t in self.tasks.values() if t.stopped_at is not None and t.stopped_at > until)
        return ServiceSnapshot(
            service=self.service,
            live=live,
            stopped=stopped,
            draining_instances=self.draining,
            has_target_groups=self.shifts,
        )

    def step(self) -> ServicePlan:
        snapshot = self.snapshot()
        plan = plan_either(snapshot, self.now)
        assert plan_either(snapshot, self.now) == plan, "same input, another plan"
        self.plans.append((snapshot, plan, self.now))
        self.service = plan.service
        self.events += plan.events
        self._note(plan)
        self._judge(snapshot, plan)
        for stop in plan.stop:
            self.change(stop.task, desired_status="STOPPED", stopped_reason=stop.reason)
        self._start(plan)
        if plan.shift:
            self._shift()
        for run in plan.calls:
            self._call(run)
        return plan

    def _note(self, plan: ServicePlan) -> None:
        staging = plan.service.primary.staging
        stage = "" if staging is None else ("<- " if staging.returns else "") + staging.stage
        if stage and (not self.stages or self.stages[-1] != stage):
            self.stages.append(stage)

    def _start(self, plan: ServicePlan) -> None:
        number = int((plan.start_of or self.service.primary.id).rpartition("/")[2])
        for _ in range(plan.start):
            fresh = task(len(self.tasks) + 1, number, last_status="PENDING")
            checked = self.behaviour(fresh).checked
            containers = tuple(msgspec.structs.replace(c, has_health_check=checked) for c in fresh.containers)
            self.tasks[fresh.id] = msgspec.structs.replace(fresh, containers=containers)

    def _staged(self, staging: Staging) -> None:
        primary = msgspec.structs.replace(self.service.primary, staging=staging)
        self.service = msgspec.structs.replace(
            self.service, deployments=(primary, *self.service.deployments[1:])
        )

    def _shift(self) -> None:
        if self.delays:
            self.delays -= 1
            self.now += timedelta(seconds=1)
            return
        staging = staging_of(self.service)
        self.traffic, self.test_traffic = staging.production, staging.test
        self.shifted.append(self.traffic)
        self._staged(msgspec.structs.replace(staging, live=True))

    def _call(self, run: HookRun) -> None:
        staging = staging_of(self.service)
        self.called.append((("<- " if staging.returns else "") + staging.stage, staging.production))
        said = self.answers.pop(0) if self.answers else "SUCCEEDED"
        self._staged(with_runs(staging, answered(run, HookAnswer(status=said), self.now)))

    def decide(self, action: str) -> None:
        """Somebody continues what is paused, or sends it back; as ContinueServiceDeployment does."""
        staging = staging_of(self.service)
        runs = [run for run in staging.hooks if run.status == "AWAITING_ACTION"]
        assert runs, "nothing is paused"
        status = "SUCCEEDED" if action == "CONTINUE" else "FAILED"
        self._staged(with_runs(staging, msgspec.structs.replace(runs[0], status=status)))

    @property
    def paused(self) -> bool:
        staging = self.service.primary.staging
        return staging is not None and any(run.status == "AWAITING_ACTION" for run in staging.hooks)

    def run(self, steps: int = 3000) -> None:
        """Until it is steady, or nothing but a person can make it go on."""
        for _ in range(steps):
            plan = self.step()
            if plan.stop or plan.start or plan.shift or plan.calls:
                continue
            if self.agents_work():
                continue
            if self.paused and self.patient:
                return
            if self.paused:
                self.decide("CONTINUE")
                continue
            if self.service.steady_at is not None or plan.wake_at is None:
                return
            if self.service.primary.rollout_state == "FAILED":
                return
            self.now = max(self.now, plan.wake_at)
        raise AssertionError(f"still at work after {steps} steps: {self.stages[-3:]}")

    def active(self, number: int) -> int:
        return sum(
            t.started_by == f"ecs-svc/{number}" and t.desired_status == "RUNNING" and t.stopped_at is None
            for t in self.tasks.values()
        )

    # ---- what must always hold ---------------------------------------------------------------

    def _judge(self, before: ServiceSnapshot, plan: ServicePlan) -> None:
        was, now = before.service.primary.staging, plan.service.primary.staging
        staging = now or was
        if staging is None or plan.service.status != "ACTIVE":
            return
        if staging.stage != "CLEAN_UP" and not staging.returns:
            self._blue_is_left_alone(before, plan, staging)
        gained = now is not None and (was.production if was is not None else 0) < now.production
        if gained and self._healthy(before, staging.green) < before.service.desired_count:
            self.violations.append(f"{staging.stage}: green got traffic before it was whole")
        if now is not None and now.shifts and now.live and not plan.shift and not now.returns:
            late = now.is_past("POST_PRODUCTION_TRAFFIC_SHIFT") and self.traffic != 100.0
            if late:
                self.violations.append(f"{now.stage}: production is at {self.traffic}")
        if staging.stage == "CLEAN_UP" and staging.shifts and plan.stop:
            gone = staging.green if staging.returns else staging.blue
            share = self.traffic if staging.returns else 100 - self.traffic
            if share and any(stop.task.started_by == gone for stop in plan.stop):
                self.violations.append(f"tasks with {share} % of production are stopped")

    def _blue_is_left_alone(self, before: ServiceSnapshot, plan: ServicePlan, staging: Staging) -> None:
        blue = [t for t in before.live if t.started_by == staging.blue and t.desired_status == "RUNNING"]
        stops = [
            stop
            for stop in plan.stop
            if stop.task.started_by == staging.blue
            and "health checks" not in stop.reason
            and stop.task.instance_id not in before.draining_instances
        ]
        spare = max(len(blue) - before.service.desired_count, 0)
        if len(stops) > spare:
            self.violations.append(f"{staging.stage}: {len(stops)} of {len(blue)} tasks of blue are stopped")

    def _healthy(self, snapshot: ServiceSnapshot, deployment_id: str) -> int:
        return sum(
            t.started_by == deployment_id
            and t.desired_status == "RUNNING"
            and verdict(t, snapshot.service, {}, self.now).is_healthy(self.now)
            for t in snapshot.live
        )
