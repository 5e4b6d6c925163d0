"""Service deployments and revisions through boto3."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.test_services import create, described, remove, settled
from tests.api.test_tasks import register
from tests.kit.server import Live, Node

NOWHERE = [{"type": "memberOf", "expression": "attribute:nowhere exists"}]


@pytest.fixture(scope="module")
def node(live: Live) -> Node:
    return live.add_node()


@pytest.fixture(scope="module", autouse=True)
def definitions(ecs: Any, node: Node) -> None:
    register(ecs, "web", "stay", cpu=1)
    register(ecs, "other", "stay", cpu=2)
    register(ecs, "unsound", "stay", image="nowhere:1")


def history(ecs: Any, name: str) -> list[dict[str, Any]]:
    """A service's deployments, newest first, as they are described."""
    arns = [
        d["serviceDeploymentArn"] for d in ecs.list_service_deployments(service=name)["serviceDeployments"]
    ]
    return ecs.describe_service_deployments(serviceDeploymentArns=arns)["serviceDeployments"]


def until_newest_is(live: Live, ecs: Any, name: str, status: str) -> dict[str, Any]:
    async def is_so() -> bool:
        return (await asyncio.to_thread(history, ecs, name))[0]["status"] == status

    live.wait_until(is_so)
    return history(ecs, name)[0]


def test_a_service_begins_with_a_deployment_of_its_first_revision(ecs: Any, live: Live) -> None:
    create(ecs, "first")
    settled(live, ecs, "first")
    (shown,) = history(ecs, "first")
    assert (shown["status"], shown["sourceServiceRevisions"]) == ("SUCCESSFUL", [])
    target = shown["targetServiceRevision"]
    assert (target["requestedTaskCount"], target["runningTaskCount"], target["pendingTaskCount"]) == (2, 2, 0)
    assert shown["createdAt"] <= shown["startedAt"] <= shown["finishedAt"]
    assert shown["deploymentCircuitBreaker"] == {"status": "DISABLED", "failureCount": 0, "threshold": 0}
    (revision,) = ecs.describe_service_revisions(serviceRevisionArns=[target["arn"]])["serviceRevisions"]
    assert revision["taskDefinition"] == described(ecs, "first")["taskDefinition"]
    assert revision["serviceArn"] == shown["serviceArn"] == described(ecs, "first")["serviceArn"]
    remove(ecs, "first")


def test_an_update_deploys_a_new_revision_in_place_of_the_old_one(ecs: Any, live: Live) -> None:
    create(ecs, "second")
    settled(live, ecs, "second")
    (before,) = history(ecs, "second")
    ecs.update_service(service="second", desiredCount=1)
    assert len(history(ecs, "second")) == 1, "a desired count is no deployment"
    ecs.update_service(service="second", taskDefinition="other")
    assert history(ecs, "second")[1]["status"] == "SUCCESSFUL"
    newest = history(ecs, "second")[0]
    assert [source["arn"] for source in newest["sourceServiceRevisions"]] == [
        before["targetServiceRevision"]["arn"]
    ]
    ecs.update_service(service="second", forceNewDeployment=True)
    shown = history(ecs, "second")
    assert [record["status"] for record in shown[1:]] == ["STOPPED", "SUCCESSFUL"]
    assert "newer service deployment" in shown[1]["statusReason"]
    remove(ecs, "second")


def test_a_listing_can_be_narrowed_and_goes_in_pages(ecs: Any, live: Live) -> None:
    create(ecs, "third", count=0)
    settled(live, ecs, "third")
    for _ in range(3):
        ecs.update_service(service="third", forceNewDeployment=True)
        settled(live, ecs, "third")
    everything = ecs.list_service_deployments(service="third")["serviceDeployments"]
    assert [d["status"] for d in everything] == ["SUCCESSFUL"] * 4
    first = ecs.list_service_deployments(service="third", maxResults=3)
    rest = ecs.list_service_deployments(service="third", maxResults=3, nextToken=first["nextToken"])
    assert first["serviceDeployments"] + rest["serviceDeployments"] == everything
    assert ecs.list_service_deployments(service="third", status=["STOPPED"])["serviceDeployments"] == []
    middle = everything[1]["createdAt"]
    after = ecs.list_service_deployments(service="third", createdAt={"after": middle})
    before = ecs.list_service_deployments(service="third", createdAt={"before": middle})
    assert (len(after["serviceDeployments"]), len(before["serviceDeployments"])) == (2, 3)
    remove(ecs, "third")


def test_a_deployment_that_the_breaker_ended_says_why_and_to_what_it_rolled_back(
    ecs: Any, live: Live
) -> None:
    breaker = {"enable": True, "rollback": True, "thresholdConfiguration": {"type": "COUNT", "value": 2}}
    create(ecs, "fourth", deploymentConfiguration={"deploymentCircuitBreaker": breaker})
    settled(live, ecs, "fourth")
    (good,) = history(ecs, "fourth")
    ecs.update_service(service="fourth", taskDefinition="unsound")
    ended = until_newest_is(live, ecs, "fourth", "ROLLBACK_SUCCESSFUL")
    assert ended["statusReason"] == "ECS deployment circuit breaker: task failed to start."
    assert ended["rollback"]["serviceRevisionArn"] == good["targetServiceRevision"]["arn"]
    assert ended["deploymentCircuitBreaker"]["status"] == "TRIGGERED"
    assert ended["deploymentCircuitBreaker"]["threshold"] == 2
    remove(ecs, "fourth")


def test_a_deployment_that_is_stopped_goes_back_to_what_ran_before(ecs: Any, live: Live) -> None:
    create(ecs, "fifth")
    settled(live, ecs, "fifth")
    running = set(ecs.list_tasks(serviceName="fifth")["taskArns"])
    ecs.update_service(service="fifth", taskDefinition="other", placementConstraints=NOWHERE)
    arn = until_newest_is(live, ecs, "fifth", "IN_PROGRESS")["serviceDeploymentArn"]
    assert ecs.stop_service_deployment(serviceDeploymentArn=arn)["serviceDeploymentArn"] == arn
    ended = until_newest_is(live, ecs, "fifth", "ROLLBACK_SUCCESSFUL")
    assert ended["rollback"]["reason"] == "Service deployment was stopped by the user."
    assert set(ecs.list_tasks(serviceName="fifth")["taskArns"]) == running
    with pytest.raises(ecs.exceptions.ConflictException, match="ROLLBACK_SUCCESSFUL"):
        ecs.stop_service_deployment(serviceDeploymentArn=arn)
    remove(ecs, "fifth")


def test_a_first_deployment_can_be_aborted_but_has_nothing_to_roll_back_to(ecs: Any, live: Live) -> None:
    create(ecs, "sixth", placementConstraints=NOWHERE)
    arn = until_newest_is(live, ecs, "sixth", "IN_PROGRESS")["serviceDeploymentArn"]
    with pytest.raises(ecs.exceptions.ConflictException, match="no completed deployment"):
        ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
    ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ABORT")
    assert history(ecs, "sixth")[0]["status"] == "STOPPED"
    assert described(ecs, "sixth")["deployments"][0]["rolloutState"] == "FAILED"
    remove(ecs, "sixth")


def test_what_is_not_there_is_missing_or_not_found(ecs: Any) -> None:
    head = "arn:aws:ecs:us-east-1:000000000000"
    ghost = f"{head}:service-deployment/default/ghost/abcdefghijklmnopqrstu"
    shown = ecs.describe_service_deployments(serviceDeploymentArns=[ghost])
    assert shown["failures"] == [{"arn": ghost, "reason": "MISSING"}]
    revision = f"{head}:service-revision/default/ghost/1234567890123456789"
    assert (
        ecs.describe_service_revisions(serviceRevisionArns=[revision])["failures"][0]["reason"] == "MISSING"
    )
    with pytest.raises(ecs.exceptions.ServiceDeploymentNotFoundException):
        ecs.stop_service_deployment(serviceDeploymentArn=ghost)
    with pytest.raises(ecs.exceptions.ServiceNotFoundException):
        ecs.list_service_deployments(service="ghost")
    for call, member in (
        (ecs.describe_service_deployments, "serviceDeploymentArns"),
        (ecs.describe_service_revisions, "serviceRevisionArns"),
    ):
        with pytest.raises(ClientError, match="Invalid identifier"):
            call(**{member: ["nonsense"]})


def test_a_deployment_completes_early_and_keeps_its_numbers(ecs: Any, live: Live) -> None:
    criteria = {"enable": True, "healthyPercent": 50, "sourceServiceRevisionCleanup": "DEFERRED"}
    create(
        ecs,
        "early",
        count=2,
        deploymentConfiguration={"minimumHealthyPercent": 50, "earlySuccessCriteria": criteria},
    )
    assert described(ecs, "early")["deploymentConfiguration"]["earlySuccessCriteria"] == criteria
    with pytest.raises(ClientError, match="greater than or equal to minimumHealthyPercent 51"):
        ecs.update_service(service="early", deploymentConfiguration={"minimumHealthyPercent": 51})
    settled(live, ecs, "early")
    ecs.update_service(service="early", desiredCount=0)
    settled(live, ecs, "early")
    (shown,) = history(ecs, "early")
    assert shown["status"] == "SUCCESSFUL"
    assert shown["deploymentConfiguration"]["earlySuccessCriteria"] == criteria
    target = shown["targetServiceRevision"]
    assert (target["requestedTaskCount"], target["runningTaskCount"]) == (2, 2), "as when it completed"
    ecs.update_service(service="early", deploymentConfiguration={"earlySuccessCriteria": {"enable": False}})
    assert described(ecs, "early")["deploymentConfiguration"]["earlySuccessCriteria"] == {"enable": False}
    remove(ecs, "early")
