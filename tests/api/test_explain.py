"""`/_homeport/explain`: every case through the whole server, asked as the command line asks."""

from __future__ import annotations

from typing import Any

import pytest

from homeport.app.connection import Connection
from homeport.cli.client import ApiError, AwsClient
from homeport.services.iam.manifest import ADMINISTRATOR_POLICY_ARN, AGENT_POLICY_ARN
from tests.api.test_tasks import register, waiter
from tests.kit.server import ACCOUNT, REGION, Live, Node

HEAD = f"arn:aws:ecs:{REGION}:{ACCOUNT}"


@pytest.fixture(scope="module")
def node(live: Live) -> Node:
    return live.add_node()


@pytest.fixture(scope="module", autouse=True)
def definitions(ecs: Any, node: Node) -> None:
    register(ecs, "stay", "stay")
    register(ecs, "huge", "stay", memory=10_000_000)
    register(ecs, "nowhere", "stay", image="nowhere:1")
    register(ecs, "three", "exit", "3")


def client(live: Live, key: dict[str, str] | None = None) -> AwsClient:
    root = live.keys.root
    return AwsClient(
        Connection(
            endpoint=live.endpoint,
            access_key_id=key["AccessKeyId"] if key else root.access_key_id,
            secret_access_key=key["SecretAccessKey"] if key else root.secret_access_key,
            region=REGION,
            account_id=ACCOUNT,
        )
    )


def explained(live: Live, arn: str) -> dict[str, Any]:
    with client(live) as api:
        return dict(api.own("explain", arn=arn))


def key_with(live: Live, user: str, policy: str) -> dict[str, str]:
    iam = live.client("iam")
    iam.create_user(UserName=user)
    iam.attach_user_policy(UserName=user, PolicyArn=policy)
    return dict(iam.create_access_key(UserName=user)["AccessKey"])


def stopped(ecs: Any, family: str) -> str:
    arn = str(ecs.run_task(taskDefinition=family)["tasks"][0]["taskArn"])
    waiter(ecs, "tasks_stopped").wait(tasks=[arn])
    return arn


def test_a_task_that_could_not_pull_names_its_container_and_what_to_do(live: Live, ecs: Any) -> None:
    told = explained(live, stopped(ecs, "nowhere"))
    assert (told["kind"], told["status"]) == ("task", "STOPPED")
    assert told["because"][0].startswith("stopCode TaskFailedToStart: CannotPull")
    assert "it never reached RUNNING" in told["because"]
    assert told["remedies"] == ["Check the image's name and tag, and that the instance reaches the registry."]


def test_a_task_that_ended_tells_the_exit_code(live: Live, ecs: Any) -> None:
    told = explained(live, stopped(ecs, "three"))
    assert told["containers"][0]["exitCode"] == 3
    assert "container app exited with code 3" in told["because"]
    assert told["remedies"] == ["See what it wrote: homeport logs TASK"]


def test_a_running_task_is_told_to_run(live: Live, ecs: Any) -> None:
    arn = ecs.run_task(taskDefinition="stay")["tasks"][0]["taskArn"]
    waiter(ecs, "tasks_running").wait(tasks=[arn])
    told = explained(live, arn)
    assert (told["status"], told["verdict"]) == ("RUNNING", "It runs.")
    ecs.stop_task(task=arn, reason="enough")
    waiter(ecs, "tasks_stopped").wait(tasks=[arn])
    told = explained(live, arn)
    assert told["verdict"] == "It has stopped: enough"
    assert told["because"][0] == "stopCode UserInitiated: enough"


def test_a_service_without_room_tells_the_numbers_of_every_instance(live: Live, ecs: Any, node: Node) -> None:
    ecs.create_service(serviceName="big", taskDefinition="huge", desiredCount=2)
    told = explained(live, f"{HEAD}:service/default/big")
    assert told["verdict"] == "2 tasks are missing, and none of 1 container instances can take one."
    (instance,) = told["instances"]
    uid = node.agent.instance_arn.rpartition("/")[2]
    assert (instance["containerInstance"], instance["reason"]) == (uid, "RESOURCE:MEMORY")
    remaining = ecs.describe_container_instances(containerInstances=[uid])["containerInstances"][0]
    free = next(r["integerValue"] for r in remaining["remainingResources"] if r["name"] == "MEMORY")
    assert (instance["asked"], instance["free"]) == (10_000_000, free)
    assert told["numbers"]["desired"] == 2
    assert told["remedies"] == [instance["remedy"]]
    ecs.delete_service(service="big", force=True)


def test_a_service_whose_constraint_no_instance_meets_names_the_expression(live: Live, ecs: Any) -> None:
    ecs.create_service(
        serviceName="picky",
        taskDefinition="stay",
        desiredCount=1,
        placementConstraints=[{"type": "memberOf", "expression": "attribute:colour == blue"}],
    )
    (instance,) = explained(live, f"{HEAD}:service/default/picky")["instances"]
    assert instance["reason"].startswith("MemberOf")
    assert instance["detail"] == "attribute:colour == blue"
    ecs.delete_service(service="picky", force=True)


def test_a_deployment_that_the_breaker_rolled_back_says_why(live: Live, ecs: Any) -> None:
    ecs.create_service(
        serviceName="broken",
        taskDefinition="nowhere",
        desiredCount=1,
        deploymentConfiguration={
            "deploymentCircuitBreaker": {
                "enable": True,
                "rollback": False,
                "thresholdConfiguration": {"type": "COUNT", "value": 1},
            }
        },
    )

    async def has_failed() -> bool:
        found = await live.plane.store.read(lambda tx: _service(tx, "broken"))
        return bool(found.primary.rollout_state == "FAILED")

    live.wait_until(has_failed)
    told = explained(live, f"{HEAD}:service/default/broken")
    assert told["verdict"].startswith("Deployment ecs-svc/")
    assert "circuit breaker" in told["verdict"]
    assert any("CannotPull" in reason for reason in told["because"])
    listed = ecs.list_service_deployments(service="broken")["serviceDeployments"]
    told = explained(live, listed[0]["serviceDeploymentArn"])
    assert (told["kind"], told["status"]) == ("deployment", "STOPPED")
    assert told["numbers"]["failures"] == 1
    assert any("CannotPull" in reason for reason in told["because"])
    ecs.delete_service(service="broken", force=True)


def _service(tx: Any, name: str) -> Any:
    from homeport.services.ecs.repo.clusters import ClusterRepo
    from homeport.services.ecs.repo.services import ServiceRepo

    cluster = ClusterRepo(tx).find(ACCOUNT, REGION, "default")
    assert cluster is not None
    return ServiceRepo(tx).find(cluster.id, name)


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "hello",
        f"{HEAD}:cluster/default",
        f"{HEAD}:service/default",
        f"{HEAD}:service/default/none",
        f"{HEAD}:service/nowhere/none",
        f"{HEAD}:task/default/{'0' * 32}",
        f"{HEAD}:task/default/none",
        f"{HEAD}:service-deployment/default/none/none",
        f"arn:aws:ecs:{REGION}:111111111111:service/default/big",
        f"arn:aws:ecs:eu-west-1:{ACCOUNT}:service/default/big",
    ],
)
def test_what_is_not_there_is_refused(live: Live, arn: str) -> None:
    with pytest.raises(ApiError) as caught:
        explained(live, arn)
    assert (caught.value.status, caught.value.code) == (400, "InvalidParameterException")


def test_only_who_may_do_everything_may_ask(live: Live) -> None:
    agent = key_with(live, "asking-agent", AGENT_POLICY_ARN)
    with client(live, agent) as api, pytest.raises(ApiError) as caught:
        api.own("explain", arn=f"{HEAD}:service/default/none")
    assert caught.value.code == "AccessDeniedException"
    admin = key_with(live, "asking-admin", ADMINISTRATOR_POLICY_ARN)
    with client(live, admin) as api, pytest.raises(ApiError) as caught:
        api.own("explain", arn=f"{HEAD}:service/default/none")
    assert caught.value.code == "InvalidParameterException"


def test_a_wrong_secret_is_not_believed(live: Live) -> None:
    wrong = {"AccessKeyId": live.keys.root.access_key_id, "SecretAccessKey": "x" * 40}
    with client(live, wrong) as api, pytest.raises(ApiError) as caught:
        api.own("explain", arn=f"{HEAD}:service/default/none")
    assert caught.value.code == "InvalidSignatureException"
