"""Why a task set is not steady, and a service that is made of task sets. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from homeport.services.ecs.model import Service, TaskSet
from homeport.services.ecs.plan.explain import Explanation
from homeport.services.ecs.plan.explain_service import ServiceCase, explain_service


def explain_task_set(task_set: TaskSet, case: ServiceCase, now: datetime) -> Explanation:
    """Why a task set is not where it should be. `case`: the task set as if it were a service."""
    told = explain_service(case, now)
    return msgspec.structs.replace(
        told,
        arn=task_set.arn,
        kind="task-set",
        status=task_set.status,
        numbers={**told.numbers, "scalePercent": task_set.scale},
    )


def explain_external(service: Service, parts: Sequence[tuple[TaskSet, Explanation]]) -> Explanation:
    """Why a service is not steady whose deployments somebody else conducts: one task set after the other."""
    steady = sum(task_set.stability_status == "STEADY_STATE" for task_set, _ in parts)
    verdict = f"{steady} of {len(parts)} task sets are steady."
    remedies = [remedy for _, told in parts for remedy in told.remedies]
    if not parts and service.status == "ACTIVE":
        verdict = "It has no task set, so there is nothing to run."
        remedies = ["CreateTaskSet says what to run, and how much of the desired count."]
    because: list[str] = []
    for task_set, told in parts:
        because.append(f"taskSet {task_set.uid} ({task_set.status}): {told.verdict}")
        because += [f"taskSet {task_set.uid}: {reason}" for reason in told.because]
    return Explanation(
        arn=service.arn,
        kind="service",
        status=service.status,
        verdict=verdict,
        because=tuple(because),
        remedies=tuple(dict.fromkeys(remedies)),
        numbers={"desired": service.desired_count, "taskSets": len(parts), "steadyTaskSets": steady},
        instances=next((told.instances for _, told in parts if told.instances), ()),
    )
