"""How `homeport events` reads."""

from __future__ import annotations

from typing import Any

from homeport.cli.events import Lines, of_cluster

HEAD = "arn:aws:ecs:us-east-1:000000000000"
TASK = f"{HEAD}:task/default/0123456789abcdef0123456789abcdef"


def document(detail_type: str, arn: str, **detail: Any) -> dict[str, Any]:
    return {
        "detail-type": detail_type,
        "resources": [arn],
        "time": "2030-01-01T00:00:00Z",
        "detail": detail,
    }


def task(last: str, desired: str = "RUNNING", **members: Any) -> dict[str, Any]:
    return document(
        "ECS Task State Change",
        TASK,
        lastStatus=last,
        desiredStatus=desired,
        taskDefinitionArn=f"{HEAD}:task-definition/web:3",
        **members,
    )


def instance(status: str, *, connected: bool = True) -> dict[str, Any]:
    arn = f"{HEAD}:container-instance/default/{'f' * 32}"
    return document("ECS Container Instance State Change", arn, status=status, agentConnected=connected)


def test_a_tasks_life_reads_from_top_to_bottom() -> None:
    lines = Lines()
    life = [
        task("PENDING"),
        task("PENDING"),
        task("RUNNING"),
        task("RUNNING", healthStatus="HEALTHY"),
        task("RUNNING", "STOPPED", stoppedReason="enough"),
        task("STOPPED", "STOPPED", stoppedReason="enough"),
    ]
    told = [line.partition("0123456789ab  ")[2] for one in life if (line := lines.of(one))]
    assert told == [
        "PENDING (web:3)",
        "RUNNING (web:3)",
        "RUNNING (web:3), HEALTHY",
        "RUNNING, to stop (web:3): enough",
        "STOPPED (web:3): enough",
    ]


def test_an_instance_tells_its_status_and_its_agent() -> None:
    lines = Lines()
    seen = [instance("ACTIVE", connected=False), instance("ACTIVE"), instance("ACTIVE"), instance("DRAINING")]
    told = [line.split("  ")[-1] for one in seen if (line := lines.of(one))]
    assert told == ["ACTIVE, agent away", "ACTIVE", "DRAINING"]


def test_a_service_may_say_the_same_twice() -> None:
    lines, arn = Lines(), f"{HEAD}:service/default/web"
    failure = document(
        "ECS Service Action", arn, eventName="SERVICE_TASK_PLACEMENT_FAILURE", reason="RESOURCE:CPU"
    )
    told = "2030-01-01T00:00:00Z  service   web           service task placement failure: RESOURCE:CPU"
    assert [lines.of(failure), lines.of(failure)] == [told, told]


def test_a_deployment_tells_its_reason() -> None:
    reason = "ECS deployment ecs-svc/1 completed."
    one = document("ECS Deployment State Change", f"{HEAD}:service/default/web", reason=reason)
    assert Lines().of(one) == f"2030-01-01T00:00:00Z  deploy    web           {reason}"


def test_a_cluster_is_told_from_others() -> None:
    other = document("ECS Service Action", f"{HEAD}:service/other/web")
    assert list(of_cluster([other, task("PENDING")], "default")) == [task("PENDING")]
