"""Blue/green deployments, PAUSE hooks and ContinueServiceDeployment through boto3."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError

from homeport.runtime.retry import decide_again
from homeport.services.ecs.model import Task
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.tx import Tx
from tests.api.test_explain import explained
from tests.api.test_service_history import history
from tests.api.test_services import create, described, remove
from tests.api.test_tasks import register
from tests.kit.server import Live, Node

PAUSE = {"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"]}
FUNCTION = {
    "hookTargetArn": "arn:aws:lambda:us-east-1:000000000000:function:check",
    "roleArn": "arn:aws:iam::000000000000:role/hooks",
    "lifecycleStages": ["POST_SCALE_UP"],
}


@pytest.fixture(scope="module")
def node(live: Live) -> Node:
    return live.add_node()


@pytest.fixture(scope="module", autouse=True)
def definitions(ecs: Any, node: Node) -> None:
    check = {"command": ["CMD", "true"]}
    register(ecs, "web", "stay", cpu=1, healthCheck=check)
    register(ecs, "other", "stay", cpu=2, healthCheck=check)


def blue_green(*hooks: dict[str, Any], bake: int = 0) -> dict[str, Any]:
    return {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": bake, "lifecycleHooks": list(hooks)}


def until(live: Live, condition: Callable[[], bool]) -> None:
    """Until it is so; meanwhile every task that runs passes its health check, as its agent would report."""

    def pass_checks(tx: Tx) -> None:
        tasks = TaskRepo(tx)
        for service_id in ServiceRepo(tx).live_ids():
            for task in tasks.live_of_service(service_id):
                if task.last_status == "RUNNING" and task.containers[0].health_status == "UNKNOWN":
                    tasks.save(healthy(task))

    async def is_so() -> bool:
        await decide_again(lambda: live.plane.store.write(pass_checks))
        return await asyncio.to_thread(condition)

    live.wait_until(is_so)


def healthy(task: Task) -> Task:
    containers = tuple(msgspec.structs.replace(one, health_status="HEALTHY") for one in task.containers)
    return msgspec.structs.replace(task, containers=containers)


def settled(live: Live, ecs: Any, name: str) -> None:
    until(live, lambda: [d["rolloutState"] for d in described(ecs, name)["deployments"]] == ["COMPLETED"])


def until_newest_is(live: Live, ecs: Any, name: str, status: str) -> dict[str, Any]:
    until(live, lambda: history(ecs, name)[0]["status"] == status)
    return history(ecs, name)[0]


def paused(live: Live, ecs: Any, name: str, stage: str) -> dict[str, Any]:
    """The newest deployment of a service, once somebody must continue it."""

    def is_so() -> bool:
        runs = history(ecs, name)[0].get("lifecycleHookDetails", ())
        return any(run["status"] == "AWAITING_ACTION" for run in runs)

    until(live, is_so)
    newest = history(ecs, name)[0]
    assert (newest["status"], newest["lifecycleStage"]) == ("IN_PROGRESS", stage)
    return newest


def refused(call: Any, code: str, text: str) -> None:
    with pytest.raises(ClientError, match=text) as caught:
        call()
    assert caught.value.response["Error"]["Code"] == code


@pytest.mark.parametrize(
    ("configuration", "text"),
    [
        ({"strategy": "LINEAR"}, "LINEAR shifts traffic step by step: it needs a service with a load bal"),
        ({"strategy": "CANARY"}, "CANARY shifts traffic step by step"),
        ({"strategy": "LINEAR", "linearConfiguration": {"stepPercent": 2.9}}, "0.1 from 3.0 to 100.0"),
        ({"strategy": "LINEAR", "linearConfiguration": {"stepPercent": 3.05}}, "multiple of 0.1"),
        ({"strategy": "LINEAR", "linearConfiguration": {"stepBakeTimeInMinutes": 1441}}, "0 and 1440"),
        ({"strategy": "CANARY", "canaryConfiguration": {"canaryPercent": 100.1}}, "0.1 from 0.1 to 100.0"),
        ({"strategy": "CANARY", "canaryConfiguration": {"canaryBakeTimeInMinutes": -1}}, "0 and 1440"),
        ({"strategy": "BLUE_GREEN", "linearConfiguration": {}}, "valid with the strategy LINEAR only"),
        ({"canaryConfiguration": {}}, "valid with the strategy CANARY only: the strategy is ROLLING"),
        ({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1441}, "bakeTimeInMinutes must be between 0"),
        ({"strategy": "ROLLING", "bakeTimeInMinutes": 1}, "cannot be set for the strategy ROLLING"),
        ({"lifecycleHooks": [PAUSE]}, "with the strategy ROLLING is not supported"),
        (blue_green({**PAUSE, "lifecycleStages": []}), "at least one stage"),
        (blue_green({**PAUSE, "lifecycleStages": ["TEST_TRAFFIC_SHIFT"]}), "PAUSE cannot run at TEST_"),
        (blue_green({**PAUSE, "lifecycleStages": ["PRODUCTION_TRAFFIC_SHIFT"]}), "cannot run at PRODUCTION"),
        (blue_green({**PAUSE, "hookTargetArn": FUNCTION["hookTargetArn"]}), "hook has no hookTargetArn"),
        (blue_green({**PAUSE, "hookDetails": {"a": 1}}), "a PAUSE hook has no hookDetails"),
        (blue_green({**FUNCTION, "hookTargetArn": "check"}), "the ARN of a function as its hookTargetArn"),
        (blue_green({**FUNCTION, "roleArn": "arn:aws:iam::000000000000:role/"}), "roleArn"),
        (blue_green(FUNCTION), "AWS_LAMBDA is not supported .* Use a PAUSE hook at those stages"),
        (blue_green({**PAUSE, "timeoutConfiguration": {"timeoutInMinutes": 20161}}), "20,?160"),
        (
            {
                "strategy": "BLUE_GREEN",
                "earlySuccessCriteria": {
                    "enable": True,
                    "healthyPercent": 100,
                    "sourceServiceRevisionCleanup": "BLOCKING",
                },
            },
            "valid with the strategy ROLLING only",
        ),
    ],
    ids=str,
)  # fmt: skip
def test_what_a_strategy_cannot_do_is_refused(ecs: Any, configuration: dict[str, Any], text: str) -> None:
    with pytest.raises(ClientError, match=text):
        create(ecs, "refused", deploymentConfiguration=configuration)


def test_what_runs_elsewhere_is_refused_in_updates_too(ecs: Any) -> None:
    create(ecs, "run-elsewhere", count=0)
    for members, text in (
        ({"deploymentConfiguration": blue_green(FUNCTION)}, "Use a PAUSE hook at those stages"),
        ({"deploymentController": {"type": "CODE_DEPLOY"}}, "there is no AWS CodeDeploy here"),
    ):
        with pytest.raises(ClientError, match=text):
            ecs.update_service(service="run-elsewhere", **members)


def test_a_daemon_and_a_service_of_task_sets_have_no_strategy_but_their_own(ecs: Any) -> None:
    configuration = {"strategy": "BLUE_GREEN"}
    refused(
        lambda: ecs.create_service(
            serviceName="daemon",
            taskDefinition="web",
            schedulingStrategy="DAEMON",
            deploymentConfiguration=configuration,
        ),
        "InvalidParameterException",
        "daemon scheduling strategy does not support the deployment strategy BLUE_GREEN",
    )
    refused(
        lambda: ecs.create_service(
            serviceName="external",
            desiredCount=1,
            deploymentController={"type": "EXTERNAL"},
            deploymentConfiguration=configuration,
        ),
        "InvalidParameterException",
        "deploymentConfiguration|EXTERNAL",
    )


def test_a_strategy_is_kept_until_another_is_named(ecs: Any) -> None:
    create(ecs, "kept", count=0, deploymentConfiguration=blue_green(PAUSE, bake=7))
    shown = described(ecs, "kept")["deploymentConfiguration"]
    assert (shown["strategy"], shown["bakeTimeInMinutes"]) == ("BLUE_GREEN", 7)
    assert shown["lifecycleHooks"] == [PAUSE]
    ecs.update_service(service="kept", deploymentConfiguration={"bakeTimeInMinutes": 8})
    shown = described(ecs, "kept")["deploymentConfiguration"]
    assert (shown["bakeTimeInMinutes"], shown["lifecycleHooks"]) == (8, [PAUSE])
    ecs.update_service(service="kept", deploymentConfiguration={"lifecycleHooks": []})
    assert "lifecycleHooks" not in described(ecs, "kept")["deploymentConfiguration"]
    ecs.update_service(service="kept", deploymentConfiguration={"strategy": "ROLLING"})
    shown = described(ecs, "kept")["deploymentConfiguration"]
    assert (shown["strategy"], shown["bakeTimeInMinutes"]) == ("ROLLING", 0)
    assert len(history(ecs, "kept")) == 1, "a deployment configuration is no deployment"
    remove(ecs, "kept")


def test_a_blue_green_deployment_pauses_with_both_revisions_and_goes_on_when_it_is_told_to(
    ecs: Any, live: Live
) -> None:
    create(ecs, "green")
    settled(live, ecs, "green")
    blue = described(ecs, "green")["deployments"][0]["id"]
    tasks = set(ecs.list_tasks(serviceName="green")["taskArns"])
    ecs.update_service(service="green", taskDefinition="other", deploymentConfiguration=blue_green(PAUSE))
    newest = paused(live, ecs, "green", "POST_SCALE_UP")
    (run,) = newest["lifecycleHookDetails"]
    assert run["hookId"].startswith("ecs-pause-")
    assert (run["targetType"], run["timeoutAction"]) == ("PAUSE", "ROLLBACK")
    minutes = (run["expiresAt"] - newest["createdAt"]).total_seconds() / 60
    assert minutes == pytest.approx(1440, abs=5)
    shown = described(ecs, "green")
    assert [(d["status"], d["desiredCount"], d["runningCount"]) for d in shown["deployments"]] == [
        ("PRIMARY", 2, 2),
        ("ACTIVE", 2, 2),
    ]
    assert tasks <= set(ecs.list_tasks(serviceName="green")["taskArns"])
    assert newest["targetServiceRevision"]["requestedTaskCount"] == 2
    assert newest["sourceServiceRevisions"][0]["requestedTaskCount"] == 2
    assert "requestedProductionTrafficWeight" not in newest["targetServiceRevision"], "nothing to shift"
    arn = newest["serviceDeploymentArn"]
    for told in (explained(live, shown["serviceArn"]), explained(live, arn)):
        words = " ".join([told["verdict"], *told["because"]])
        assert f"(BLUE_GREEN) beside {blue} is at POST_SCALE_UP" in words
        assert f"hook {run['hookId']} waits for somebody to continue it" in words
        assert any(run["hookId"] in remedy for remedy in told["remedies"])
    answer = ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=run["hookId"])
    assert answer["serviceDeploymentArn"] == arn
    ended = until_newest_is(live, ecs, "green", "SUCCESSFUL")
    assert ended["lifecycleStage"] == "CLEAN_UP"
    settled(live, ecs, "green")
    shown = described(ecs, "green")
    assert [d["id"] != blue for d in shown["deployments"]] == [True]
    assert shown["deployments"][0]["rolloutState"] == "COMPLETED"
    assert tasks.isdisjoint(ecs.list_tasks(serviceName="green")["taskArns"])
    refused(
        lambda: ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=run["hookId"]),
        "InvalidParameterException",
        "is SUCCESSFUL: only one that is IN_PROGRESS can be paused",
    )
    remove(ecs, "green")


def test_a_paused_deployment_that_is_sent_back_leaves_blue_as_it_was(ecs: Any, live: Live) -> None:
    create(ecs, "back")
    settled(live, ecs, "back")
    (first,) = history(ecs, "back")
    tasks = set(ecs.list_tasks(serviceName="back")["taskArns"])
    ecs.update_service(service="back", taskDefinition="other", deploymentConfiguration=blue_green(PAUSE))
    newest = paused(live, ecs, "back", "POST_SCALE_UP")
    arn, hook = newest["serviceDeploymentArn"], newest["lifecycleHookDetails"][0]["hookId"]
    refused(
        lambda: ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId="ecs-pause-nothing"),
        "InvalidParameterException",
        "ecs-pause-nothing is not AWAITING_ACTION at this stage",
    )
    refused(
        lambda: ecs.continue_service_deployment(serviceDeploymentArn=arn + "x", hookId=hook),
        "ServiceDeploymentNotFoundException",
        "not found",
    )
    ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=hook, action="ROLLBACK")
    ended = until_newest_is(live, ecs, "back", "ROLLBACK_SUCCESSFUL")
    assert ended["rollback"]["serviceRevisionArn"] == first["targetServiceRevision"]["arn"]
    assert ended["statusReason"] == "Service deployment was rolled back by the user at a lifecycle hook."
    settled(live, ecs, "back")
    assert set(ecs.list_tasks(serviceName="back")["taskArns"]) == tasks
    remove(ecs, "back")


def test_a_first_deployment_that_is_paused_has_nothing_to_go_back_to(ecs: Any, live: Live) -> None:
    create(ecs, "first", deploymentConfiguration=blue_green({**PAUSE, "lifecycleStages": ["PRE_SCALE_UP"]}))
    newest = paused(live, ecs, "first", "PRE_SCALE_UP")
    assert ecs.list_tasks(serviceName="first")["taskArns"] == []
    arn, hook = newest["serviceDeploymentArn"], newest["lifecycleHookDetails"][0]["hookId"]
    refused(
        lambda: ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=hook, action="ROLLBACK"),
        "InvalidParameterException",
        "no completed deployment to roll back to",
    )
    ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=hook, action="CONTINUE")
    until_newest_is(live, ecs, "first", "SUCCESSFUL")
    settled(live, ecs, "first")
    remove(ecs, "first")


@pytest.mark.parametrize(("kind", "status"), [("ROLLBACK", "ROLLBACK_SUCCESSFUL"), ("ABORT", "STOPPED")])
def test_a_paused_deployment_can_be_stopped(ecs: Any, live: Live, kind: str, status: str) -> None:
    name = f"stop-{kind.lower()}"
    create(ecs, name)
    settled(live, ecs, name)
    ecs.update_service(service=name, taskDefinition="other", deploymentConfiguration=blue_green(PAUSE))
    newest = paused(live, ecs, name, "POST_SCALE_UP")
    ecs.stop_service_deployment(serviceDeploymentArn=newest["serviceDeploymentArn"], stopType=kind)
    until_newest_is(live, ecs, name, status)
    assert described(ecs, name)["deployments"][-1]["runningCount"] == 2
    ecs.update_service(service=name, forceNewDeployment=True, deploymentConfiguration=blue_green())
    until_newest_is(live, ecs, name, "SUCCESSFUL")
    remove(ecs, name)
