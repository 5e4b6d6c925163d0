"""REPLICA services through boto3."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.test_tasks import register, waiter
from tests.kit.server import Live, Node


@pytest.fixture(scope="module")
def node(live: Live) -> Node:
    return live.add_node()


@pytest.fixture(scope="module", autouse=True)
def definitions(ecs: Any, node: Node) -> None:
    register(ecs, "web", "stay", cpu=1)


def create(ecs: Any, name: str, count: int = 2, **members: Any) -> dict[str, Any]:
    return ecs.create_service(
        **{"serviceName": name, "taskDefinition": "web", "desiredCount": count, **members}
    )["service"]


def described(ecs: Any, name: str) -> dict[str, Any]:
    return ecs.describe_services(services=[name], include=["TAGS"])["services"][0]


def stable(ecs: Any, name: str) -> dict[str, Any]:
    waiter(ecs, "services_stable").wait(services=[name])
    return described(ecs, name)


def remove(ecs: Any, name: str) -> None:
    ecs.delete_service(service=name, force=True)
    waiter(ecs, "services_inactive").wait(services=[name])


def settled(live: Live, ecs: Any, name: str) -> dict[str, Any]:
    """Stable, and the service's own controller has seen it too."""
    stable(ecs, name)

    async def is_completed() -> bool:
        service = await asyncio.to_thread(described, ecs, name)
        return [d["rolloutState"] for d in service["deployments"]] == ["COMPLETED"]

    live.wait_until(is_completed)
    return described(ecs, name)


def test_a_service_reaches_its_count_and_says_so(ecs: Any, live: Live) -> None:
    created = create(ecs, "one", tags=[{"key": "team", "value": "a"}])
    assert (created["status"], created["desiredCount"]) == ("ACTIVE", 2)
    assert "deploymentController" not in created
    service = settled(live, ecs, "one")
    assert service["events"][0]["message"] == "(service one) has reached a steady state."
    tasks = ecs.list_tasks(serviceName="one")["taskArns"]
    shown = ecs.describe_tasks(tasks=tasks)["tasks"]
    assert {t["group"] for t in shown} == {"service:one"}
    assert {t["startedBy"] for t in shown} == {service["deployments"][0]["id"]}
    remove(ecs, "one")


def test_a_stopped_task_is_replaced(ecs: Any) -> None:
    create(ecs, "two")
    stable(ecs, "two")
    victim = ecs.list_tasks(serviceName="two")["taskArns"][0]
    ecs.stop_task(task=victim)
    waiter(ecs, "tasks_stopped").wait(tasks=[victim])
    stable(ecs, "two")
    tasks = ecs.list_tasks(serviceName="two")["taskArns"]
    assert len(tasks) == 2
    assert victim not in tasks
    remove(ecs, "two")


def test_scaling_changes_the_count_without_a_deployment(ecs: Any) -> None:
    create(ecs, "three", count=1)
    before = stable(ecs, "three")["deployments"][0]["id"]
    ecs.update_service(service="three", desiredCount=4)
    assert stable(ecs, "three")["runningCount"] == 4
    ecs.update_service(service="three", desiredCount=1)
    service = stable(ecs, "three")
    assert (service["runningCount"], service["deployments"][0]["id"]) == (1, before)
    remove(ecs, "three")


def test_a_protected_task_survives_scale_in(ecs: Any) -> None:
    create(ecs, "kept", count=3)
    stable(ecs, "kept")
    protected = ecs.list_tasks(serviceName="kept")["taskArns"][-1]
    answer = ecs.update_task_protection(cluster="default", tasks=[protected], protectionEnabled=True)
    assert answer["protectedTasks"][0]["protectionEnabled"] is True
    ecs.update_service(service="kept", desiredCount=1)
    stable(ecs, "kept")
    assert ecs.list_tasks(serviceName="kept")["taskArns"] == [protected]
    remove(ecs, "kept")


def test_another_definition_rolls_over(ecs: Any) -> None:
    create(
        ecs,
        "roll",
        count=2,
        deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 100},
    )
    before = stable(ecs, "roll")["deployments"][0]["id"]
    fresh = register(ecs, "web", "stay", cpu=2)["taskDefinitionArn"]
    ecs.update_service(service="roll", taskDefinition=fresh)
    service = stable(ecs, "roll")
    assert service["taskDefinition"] == fresh
    assert service["deployments"][0]["id"] != before
    tasks = ecs.describe_tasks(tasks=ecs.list_tasks(serviceName="roll")["taskArns"])["tasks"]
    assert {t["taskDefinitionArn"] for t in tasks} == {fresh}
    remove(ecs, "roll")


def test_a_repeat_is_the_same_service_and_another_request_is_refused(ecs: Any) -> None:
    first = create(ecs, "same", count=0)
    assert create(ecs, "same", count=0)["serviceArn"] == first["serviceArn"]
    with pytest.raises(ClientError, match=r"Creation of service was not idempotent."):
        create(ecs, "same", count=1)
    remove(ecs, "same")


def test_a_client_token_means_one_service(ecs: Any) -> None:
    first = create(ecs, "token-a", count=0, clientToken="once")
    assert create(ecs, "token-a", count=0, clientToken="once")["serviceArn"] == first["serviceArn"]
    with pytest.raises(ClientError, match=r"Creation of service was not idempotent."):
        create(ecs, "token-b", count=0, clientToken="once")
    remove(ecs, "token-a")
    assert create(ecs, "token-a", count=0, clientToken="once")["status"] == "ACTIVE"
    remove(ecs, "token-a")


def test_the_controller_is_told_except_to_who_created_without_one(ecs: Any) -> None:
    """Sources: botocore, CreateServiceResponse.service; Ansible's ecs_service reads it on an update."""
    assert "deploymentController" not in create(ecs, "quiet", count=0)
    assert described(ecs, "quiet")["deploymentController"] == {"type": "ECS"}
    explicit = create(ecs, "loud", count=0, deploymentController={"type": "ECS"})
    assert explicit["deploymentController"] == {"type": "ECS"}
    for name in ("quiet", "loud"):
        assert "deploymentController" in ecs.update_service(service=name, desiredCount=0)["service"]
        remove(ecs, name)


def test_what_an_update_does_not_say_stays(ecs: Any) -> None:
    create(ecs, "kept", count=0, deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 150})
    changed = ecs.update_service(service="kept", deploymentConfiguration={"maximumPercent": 175})["service"]
    limits = changed["deploymentConfiguration"]
    assert (limits["minimumHealthyPercent"], limits["maximumPercent"]) == (0, 175)
    with pytest.raises(ClientError, match="Network Configuration is not valid"):
        ecs.update_service(
            service="kept", networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
        )
    assert len(described(ecs, "kept")["deployments"]) == 1
    remove(ecs, "kept")


def test_only_a_service_at_zero_is_deleted_without_force(ecs: Any) -> None:
    create(ecs, "busy", count=1)
    with pytest.raises(ClientError, match=r"The service cannot be stopped while it is scaled above 0."):
        ecs.delete_service(service="busy")
    with pytest.raises(ecs.exceptions.ClusterContainsServicesException):
        delete_cluster_with_services(ecs)
    remove(ecs, "busy")
    assert "busy" not in str(ecs.list_services()["serviceArns"])
    assert described(ecs, "busy")["status"] == "INACTIVE"


def test_a_deleted_service_is_deleted_again_but_not_updated(ecs: Any) -> None:
    """As long as it is described.

    Source: terraform issue 3582, what AWS said to the update of a service that was deleted; aws-sdk-js issue
    4189, DeleteService of an INACTIVE service answers with it.
    """
    create(ecs, "ended", count=1)
    remove(ecs, "ended")
    assert described(ecs, "ended")["status"] == "INACTIVE"
    assert ecs.delete_service(service="ended", force=True)["service"]["status"] == "INACTIVE"
    with pytest.raises(ecs.exceptions.ServiceNotActiveException, match=r"Service was not ACTIVE."):
        ecs.update_service(service="ended", desiredCount=1)
    with pytest.raises(ecs.exceptions.ServiceNotActiveException, match=r"Service was not ACTIVE."):
        ecs.create_task_set(cluster="default", service="ended", taskDefinition="web")
    for refused in (ecs.update_service, ecs.delete_service):
        with pytest.raises(ecs.exceptions.ServiceNotFoundException, match=r"Service not found."):
            refused(service="never")


def delete_cluster_with_services(ecs: Any) -> None:
    ecs.create_cluster(clusterName="full")
    ecs.create_service(serviceName="idle", taskDefinition="web", desiredCount=0, cluster="full")
    ecs.delete_cluster(cluster="full")


def test_no_room_is_told_in_an_event_and_cured_by_room(live: Live, ecs: Any) -> None:
    where = [{"type": "memberOf", "expression": "attribute:zone == late"}]
    create(ecs, "late", count=1, placementConstraints=where)

    def told() -> bool:
        return any("was unable to place a task" in e["message"] for e in described(ecs, "late")["events"])

    async def is_told() -> bool:
        return await asyncio.to_thread(told)

    live.wait_until(is_told)
    live.add_node(attributes={"zone": "late"})
    assert stable(ecs, "late")["runningCount"] == 1
    remove(ecs, "late")


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"schedulingStrategy": "DAEMON", "desiredCount": 1}, "daemon scheduling strategy does not support"),
        ({"launchType": "FARGATE"}, "does not support launch_type FARGATE"),
        ({"loadBalancers": [{"containerName": "app", "containerPort": 80}]}, "loadBalancers is not"),
        ({"deploymentController": {"type": "CODE_DEPLOY"}}, "CODE_DEPLOY deployment controller needs"),
        ({"enableExecuteCommand": True}, "enableExecuteCommand is not supported"),
        ({"deploymentConfiguration": {"deploymentCircuitBreaker": {
            "enable": True, "rollback": True, "thresholdConfiguration": {"type": "COUNT", "value": 0}}}},
         "must be at least 1"),
        ({"deploymentConfiguration": {"alarms": {"alarmNames": ["a"], "enable": True, "rollback": True}}},
         "deploymentConfiguration.alarms is not supported by Homeport yet"),
        ({"deploymentConfiguration": {"earlySuccessCriteria": {"enable": True, "healthyPercent": 100}}},
         "sourceServiceRevisionCleanup is required"),
        ({"deploymentConfiguration": {"minimumHealthyPercent": 60, "earlySuccessCriteria": {
            "enable": True, "healthyPercent": 59, "sourceServiceRevisionCleanup": "BLOCKING"}}},
         "greater than or equal to minimumHealthyPercent 60"),
        ({"deploymentConfiguration": {"strategy": "CANARY"}}, "CANARY shifts traffic step by step"),
        ({"taskDefinition": "ghost"}, "TaskDefinition not found."),
        ({"serviceName": "bad name"}, "serviceName"),
        ({"placementStrategy": [{"type": "binpack", "field": "disk"}]}, "placement strategy"),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused(ecs: Any, members: dict[str, Any], text: str) -> None:
    others = {name: value for name, value in members.items() if name != "serviceName"}
    with pytest.raises(ClientError, match=text):
        create(ecs, members.get("serviceName", "never"), **others)


def test_a_broken_update_trips_the_breaker_and_is_rolled_back(ecs: Any, live: Live) -> None:
    register(ecs, "sound", "stay")
    register(ecs, "unsound", "stay", image="nowhere:1")
    breaker = {"enable": True, "rollback": True, "thresholdConfiguration": {"type": "COUNT", "value": 2}}
    create(
        ecs,
        "safe",
        count=2,
        taskDefinition="sound",
        deploymentConfiguration={"deploymentCircuitBreaker": breaker},
    )
    stable(ecs, "safe")
    before = set(ecs.list_tasks(serviceName="safe")["taskArns"])
    first = described(ecs, "safe")["deployments"][0]["id"]
    updated = ecs.update_service(service="safe", taskDefinition="unsound")["service"]
    second = updated["deployments"][0]["id"]

    def rolled_back() -> bool:
        primary = described(ecs, "safe")["deployments"][0]
        return primary["id"] == first and primary["rolloutState"] == "COMPLETED"

    async def has_rolled_back() -> bool:
        return await asyncio.to_thread(rolled_back)

    live.wait_until(has_rolled_back)
    shown = described(ecs, "safe")
    assert shown["deploymentConfiguration"]["deploymentCircuitBreaker"] == breaker
    assert set(ecs.list_tasks(serviceName="safe")["taskArns"]) == before
    messages = [event["message"] for event in shown["events"]]
    assert f"(service safe) (deployment {second}) deployment failed: tasks failed to start." in messages
    assert f"(service safe) rolling back to deployment {first}." in messages
    remove(ecs, "safe")


def test_an_image_that_never_starts_backs_off_and_counts(ecs: Any, live: Live) -> None:
    register(ecs, "broken", "stay", image="nowhere:1")
    create(ecs, "broken", count=1, taskDefinition="broken")

    def failed() -> bool:
        return described(ecs, "broken")["deployments"][0]["failedTasks"] >= 2

    async def has_failed() -> bool:
        return await asyncio.to_thread(failed)

    live.wait_until(has_failed)
    remove(ecs, "broken")


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"loadBalancers": [{"containerName": "app", "containerPort": 80}]}, "loadBalancers is not"),
        ({"deploymentConfiguration": {"alarms": {"alarmNames": [], "enable": True, "rollback": False}}},
         "deploymentConfiguration.alarms is not supported"),
    ],
)  # fmt: skip
def test_an_update_that_needs_what_is_not_there_is_refused(
    ecs: Any, members: dict[str, Any], text: str
) -> None:
    off = {"alarms": {"alarmNames": ["a"], "enable": False, "rollback": False}}
    create(ecs, "bare", count=0, loadBalancers=[], deploymentConfiguration=off)
    assert described(ecs, "bare")["deploymentConfiguration"]["alarms"] == off["alarms"]
    with pytest.raises(ClientError, match=text):
        ecs.update_service(service="bare", **members)
    remove(ecs, "bare")
