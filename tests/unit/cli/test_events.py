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


def test_a_pause_says_at_which_stage_a_service_waits() -> None:
    told = document(
        "ECS Hook State Change",
        f"{HEAD}:service/default/web",
        eventName="HOOK_AWAITING_ACTION",
        hookId="ecs-pause-1",
        lifecycleStage="POST_SCALE_UP",
    )
    line = Lines().of(told)
    assert line is not None
    assert line.split(maxsplit=3)[1:] == ["hook", "web", "awaiting action at POST_SCALE_UP: ecs-pause-1"]


def test_a_daemons_deployments_and_troubles_are_told_under_its_name() -> None:
    arn = f"{HEAD}:daemon/default/agent"
    changed = document(
        "ECS Daemon Deployment State Change", arn, daemonArn=arn, eventName="DAEMON_DEPLOYMENT_SUCCESSFUL"
    )
    failed = document(
        "ECS Daemon Service Action", TASK, daemonArn=arn, eventName="DAEMON_TASK_START_IMPAIRED", reason="why"
    )
    unmade = {**failed, "resources": []}  # there was no room for a task
    shown = list(of_cluster([changed, failed, unmade], "default"))
    told = [str(Lines().of(one)).split(maxsplit=3)[1:] for one in shown]
    assert told == [
        ["daemon", "agent", "deployment successful"],
        ["daemon", "agent", "task start impaired: why"],
        ["daemon", "agent", "task start impaired: why"],
    ]
    assert list(of_cluster(shown, "other")) == []
