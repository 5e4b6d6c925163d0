"""Services with the EXTERNAL deployment controller and their task sets, through boto3."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.services.ecs.repo.services import ServiceRepo
from tests.api.test_events import end, since
from tests.api.test_explain import explained
from tests.api.test_services import create, described, remove
from tests.api.test_tasks import register, waiter
from tests.kit.server import Live, Node

EXTERNAL = {"type": "EXTERNAL"}


@pytest.fixture(scope="module")
def node(live: Live) -> Node:
    return live.add_node()


@pytest.fixture(scope="module", autouse=True)
def definitions(ecs: Any, node: Node) -> None:
    register(ecs, "blue", "stay", cpu=1)
    register(ecs, "green", "stay", cpu=2)


@pytest.fixture
def service(ecs: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a service of four tasks, as soon as somebody says of what."""
    name = f"sets-{abs(hash(request.node.name)) % 10**8}"
    ecs.create_service(serviceName=name, desiredCount=4, deploymentController=EXTERNAL)
    yield name
    if described(ecs, name)["status"] != "INACTIVE":
        remove(ecs, name)


def add(ecs: Any, service: str, percent: float = 100, of: str = "blue", **members: Any) -> dict[str, Any]:
    scale = {"value": percent, "unit": "PERCENT"}
    return ecs.create_task_set(cluster="default", service=service, taskDefinition=of, scale=scale, **members)[
        "taskSet"
    ]


def shown(ecs: Any, service: str, *ids: str) -> list[dict[str, Any]]:
    return ecs.describe_task_sets(cluster="default", service=service, taskSets=list(ids))["taskSets"]


def until(live: Live, check: Callable[[], bool]) -> None:
    async def holds() -> bool:
        return await asyncio.to_thread(check)

    live.wait_until(holds)


def steady(live: Live, ecs: Any, service: str, task_set: str, count: int) -> dict[str, Any]:
    """The task set once it is steady with so many tasks."""

    def is_so() -> bool:
        (one,) = shown(ecs, service, task_set)
        return (one["stabilityStatus"], one["computedDesiredCount"]) == ("STEADY_STATE", count)

    until(live, is_so)
    (one,) = shown(ecs, service, task_set)
    assert (one["runningCount"], one["pendingCount"]) == (count, 0)
    return one


def tasks_of(ecs: Any, service: str) -> dict[str, list[dict[str, Any]]]:
    """A service's tasks by who started them."""
    arns = ecs.list_tasks(serviceName=service)["taskArns"]
    found: dict[str, list[dict[str, Any]]] = {}
    for task in ecs.describe_tasks(tasks=arns)["tasks"] if arns else ():
        found.setdefault(task["startedBy"], []).append(task)
    return found


def messages(ecs: Any, service: str) -> list[str]:
    return [event["message"] for event in described(ecs, service)["events"]]


def test_a_service_begins_without_anything_to_run(ecs: Any) -> None:
    created = ecs.create_service(serviceName="bare", deploymentController=EXTERNAL)["service"]
    assert created["deploymentController"] == EXTERNAL
    assert (created["desiredCount"], created["runningCount"]) == (0, 0)
    assert (created["deployments"], created["taskSets"]) == ([], [])
    assert "taskDefinition" not in created
    again = ecs.create_service(serviceName="bare", deploymentController=EXTERNAL)["service"]
    assert again["serviceArn"] == created["serviceArn"]
    assert ecs.list_service_deployments(service="bare")["serviceDeployments"] == []
    ecs.delete_service(service="bare")
    waiter(ecs, "services_inactive").wait(services=["bare"])


def test_a_task_set_runs_its_share_and_says_when_it_is_steady(ecs: Any, live: Live, service: str) -> None:
    """The messages: AWS CLI examples, describe-services of an external deployment."""
    made = add(ecs, service, 30, externalId="build-7", tags=[{"key": "team", "value": "a"}])
    assert (made["status"], made["stabilityStatus"]) == ("ACTIVE", "STABILIZING")
    one = steady(live, ecs, service, made["id"], 2)
    assert one["scale"] == {"value": 30.0, "unit": "PERCENT"}
    assert one["externalId"] == "build-7"
    assert one["stabilityStatusAt"] > made["stabilityStatusAt"]
    assert "tags" not in one
    tasks = tasks_of(ecs, service)
    assert {name: len(mine) for name, mine in tasks.items()} == {made["id"]: 2}
    assert {task["group"] for task in tasks[made["id"]]} == {f"service:{service}"}
    told = messages(ecs, service)
    assert told[:2] == [
        f"(service {service}) has reached a steady state.",
        f"(service {service}, taskSet {made['id']}) updated state to STEADY_STATE.",
    ]
    assert f"(service {service}) updated computedDesiredCount for taskSet {made['id']} to 2." in told
    started = [
        text for text in told if text.startswith(f"(service {service}, taskSet {made['id']}) has started")
    ]
    assert len(started) == 1


def test_a_task_set_that_becomes_steady_is_an_event(ecs: Any, live: Live, service: str) -> None:
    """Source: developer guide, "Amazon ECS service action events": TASKSET_STEADY_STATE."""
    before = end(live)
    made = add(ecs, service, 25)
    steady(live, ecs, service, made["id"], 1)
    mine = [e for e in since(live, before) if described(ecs, service)["serviceArn"] in e["resources"]]
    names = [event["detail"].get("eventName") for event in mine]
    assert names == ["TASKS_STARTED", "TASKSET_STEADY_STATE", "SERVICE_STEADY_STATE"]


def test_a_share_is_rounded_up_and_follows_the_scale_and_the_desired_count(
    ecs: Any, live: Live, service: str
) -> None:
    made = add(ecs, service, 26)
    steady(live, ecs, service, made["id"], 2)
    ecs.update_task_set(
        cluster="default",
        service=service,
        taskSet=made["taskSetArn"],
        scale={"value": 75.0, "unit": "PERCENT"},
    )
    steady(live, ecs, service, made["id"], 3)
    ecs.update_service(service=service, desiredCount=1)
    steady(live, ecs, service, made["id"], 1)
    assert described(ecs, service)["desiredCount"] == 1


def test_one_task_set_takes_over_from_another(ecs: Any, live: Live, service: str) -> None:
    blue = add(ecs, service, 100)
    steady(live, ecs, service, blue["id"], 4)
    ecs.update_service_primary_task_set(cluster="default", service=service, primaryTaskSet=blue["id"])
    assert described(ecs, service)["taskDefinition"] == blue["taskDefinition"]
    green = add(ecs, service, 50, of="green")
    steady(live, ecs, service, green["id"], 2)
    assert {name: len(mine) for name, mine in tasks_of(ecs, service).items()} == {
        blue["id"]: 4,
        green["id"]: 2,
    }
    answer = ecs.update_service_primary_task_set(
        cluster="default", service=service, primaryTaskSet=green["taskSetArn"]
    )["taskSet"]
    assert (answer["id"], answer["status"]) == (green["id"], "PRIMARY")
    both = described(ecs, service)
    assert {one["id"]: one["status"] for one in both["taskSets"]} == {
        blue["id"]: "ACTIVE",
        green["id"]: "PRIMARY",
    }
    assert both["taskDefinition"] == green["taskDefinition"] != blue["taskDefinition"]
    assert (both["runningCount"], both["deployments"]) == (6, [])
    gone = ecs.delete_task_set(cluster="default", service=service, taskSet=blue["id"])["taskSet"]
    assert (gone["status"], gone["computedDesiredCount"]) == ("DRAINING", 0)
    until(live, lambda: shown(ecs, service, blue["id"]) == [])
    assert set(tasks_of(ecs, service)) == {green["id"]}
    failures = ecs.describe_task_sets(cluster="default", service=service, taskSets=[blue["id"]])["failures"]
    assert failures == [{"arn": blue["taskSetArn"], "reason": "MISSING"}]
    with pytest.raises(ClientError, match=r"Primary TaskSet cannot be deleted"):
        ecs.delete_task_set(cluster="default", service=service, taskSet=green["id"])


def test_a_task_set_at_zero_is_steady_until_it_is_deleted(ecs: Any, live: Live, service: str) -> None:
    made = ecs.create_task_set(cluster="default", service=service, taskDefinition="blue")["taskSet"]
    assert made["scale"] == {"value": 0.0, "unit": "PERCENT"}
    steady(live, ecs, service, made["id"], 0)
    ecs.delete_task_set(cluster="default", service=service, taskSet=made["id"])
    until(live, lambda: shown(ecs, service) == [])
    with pytest.raises(ecs.exceptions.TaskSetNotFoundException, match="does not exist"):
        ecs.delete_task_set(cluster="default", service=service, taskSet=made["id"])


def test_the_primary_task_set_goes_by_force_and_its_values_with_it(
    ecs: Any, live: Live, service: str
) -> None:
    made = add(ecs, service, 25)
    ecs.update_service_primary_task_set(cluster="default", service=service, primaryTaskSet=made["id"])
    with pytest.raises(ClientError, match=r"Primary TaskSet cannot be deleted"):
        ecs.delete_task_set(cluster="default", service=service, taskSet=made["id"])
    ecs.delete_task_set(cluster="default", service=service, taskSet=made["id"], force=True)
    until(live, lambda: shown(ecs, service) == [])
    assert "taskDefinition" not in described(ecs, service)


def test_what_terraforms_provider_asks_of_a_task_set_in_its_order(ecs: Any, live: Live) -> None:
    """Source: hashicorp/terraform-provider-aws, internal/service/ecs (service, task_set)."""
    tags = [{"key": "managed", "value": "yes"}]
    made = ecs.create_service(
        serviceName="tf-sets", cluster="default", desiredCount=1, deploymentController=EXTERNAL, tags=tags,
        clientToken="terraform-1", schedulingStrategy="REPLICA", enableECSManagedTags=False,
        enableExecuteCommand=False, capacityProviderStrategy=[],
        deploymentConfiguration={"maximumPercent": 200, "minimumHealthyPercent": 100},
    )["service"]  # fmt: skip
    names = {"cluster": made["clusterArn"], "service": made["serviceArn"]}
    scale = {"value": 100.0, "unit": "PERCENT"}
    one = ecs.create_task_set(
        **names, taskDefinition="blue", clientToken="terraform-2", tags=tags, scale=scale
    )["taskSet"]
    steady(live, ecs, "tf-sets", one["id"], 1)
    (read,) = ecs.describe_task_sets(**names, taskSets=[one["id"]], include=["TAGS"])["taskSets"]
    assert (read["scale"], read["tags"], read["taskDefinition"]) == (scale, tags, one["taskDefinition"])
    ecs.update_task_set(**names, taskSet=one["id"], scale={"value": 0.0, "unit": "PERCENT"})
    steady(live, ecs, "tf-sets", one["id"], 0)
    ecs.update_task_set(**names, taskSet=one["id"], scale=scale)
    ecs.delete_task_set(**names, taskSet=one["id"], force=False)
    until(live, lambda: shown(ecs, "tf-sets", one["id"]) == [])
    ecs.update_service(**names, desiredCount=0)
    ecs.delete_service(**names, force=False)
    waiter(ecs, "services_inactive").wait(services=["tf-sets"])


def test_a_task_that_stops_is_replaced_in_its_task_set(ecs: Any, live: Live, service: str) -> None:
    blue, green = add(ecs, service, 25), add(ecs, service, 25, of="green")
    for made in (blue, green):
        steady(live, ecs, service, made["id"], 1)
    (victim,) = tasks_of(ecs, service)[green["id"]]
    ecs.stop_task(task=victim["taskArn"])
    waiter(ecs, "tasks_stopped").wait(tasks=[victim["taskArn"]])

    def is_replaced() -> bool:
        arns = [task["taskArn"] for task in tasks_of(ecs, service).get(green["id"], ())]
        return len(arns) == 1 and arns[0] != victim["taskArn"]

    until(live, is_replaced)
    steady(live, ecs, service, green["id"], 1)


def test_a_protected_task_stays_until_its_protection_ends_or_by_force(
    ecs: Any, live: Live, service: str
) -> None:
    made = add(ecs, service, 25)
    steady(live, ecs, service, made["id"], 1)
    (task,) = tasks_of(ecs, service)[made["id"]]
    ecs.update_task_protection(cluster="default", tasks=[task["taskArn"]], protectionEnabled=True)
    ecs.update_task_set(
        cluster="default", service=service, taskSet=made["id"], scale={"value": 0.0, "unit": "PERCENT"}
    )
    until(live, lambda: shown(ecs, service)[0]["stabilityStatus"] == "STABILIZING")
    ecs.delete_task_set(cluster="default", service=service, taskSet=made["id"])
    assert [one["status"] for one in shown(ecs, service)] == ["DRAINING"]
    assert ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"][0]["desiredStatus"] == "RUNNING"
    ecs.delete_task_set(cluster="default", service=service, taskSet=made["id"], force=True)
    until(live, lambda: shown(ecs, service) == [])


def test_a_client_token_means_one_task_set(ecs: Any, service: str) -> None:
    first = add(ecs, service, 0, clientToken="once")
    assert add(ecs, service, 0, clientToken="once")["id"] == first["id"]
    with pytest.raises(ClientError, match="not idempotent"):
        add(ecs, service, 1, clientToken="once")
    assert add(ecs, service, 0)["id"] != first["id"]
    assert len(shown(ecs, service)) == 2


def test_a_service_has_at_most_five_task_sets(ecs: Any, service: str) -> None:
    for _ in range(5):
        add(ecs, service, 0)
    with pytest.raises(
        ClientError, match=r"5 deployments exist on the service. Unable to create new TaskSet"
    ):
        add(ecs, service, 0)


def test_tags_are_shown_where_they_are_asked_for(ecs: Any, service: str) -> None:
    made = add(ecs, service, 0, tags=[{"key": "team", "value": "a"}])
    assert made["tags"] == [{"key": "team", "value": "a"}]
    ecs.tag_resource(resourceArn=made["taskSetArn"], tags=[{"key": "x", "value": "y"}])
    ecs.untag_resource(resourceArn=made["taskSetArn"], tagKeys=["team"])
    assert ecs.list_tags_for_resource(resourceArn=made["taskSetArn"])["tags"] == [{"key": "x", "value": "y"}]
    (one,) = ecs.describe_task_sets(cluster="default", service=service, include=["TAGS"])["taskSets"]
    assert one["tags"] == [{"key": "x", "value": "y"}]
    with pytest.raises(ecs.exceptions.ResourceNotFoundException):
        ecs.list_tags_for_resource(resourceArn=made["taskSetArn"] + "1")


def test_a_service_with_task_sets_is_deleted_by_force_only(ecs: Any, live: Live, service: str) -> None:
    made = add(ecs, service, 50)
    steady(live, ecs, service, made["id"], 2)
    with pytest.raises(ClientError, match=r"The service cannot be stopped while it is scaled above 0."):
        ecs.delete_service(service=service)
    ecs.update_service(service=service, desiredCount=0)
    with pytest.raises(ClientError, match=r"The service cannot be stopped while deployments are active."):
        ecs.delete_service(service=service)
    ecs.delete_service(service=service, force=True)
    waiter(ecs, "services_inactive").wait(services=[service])
    assert described(ecs, service)["taskSets"] == []
    with pytest.raises(ecs.exceptions.ServiceNotActiveException):
        shown(ecs, service)


def test_no_room_is_told_and_cured_by_room_for_each_task_set(ecs: Any, live: Live) -> None:
    where = [{"type": "memberOf", "expression": "attribute:stage == late"}]
    ecs.create_service(
        serviceName="late-sets", desiredCount=1, deploymentController=EXTERNAL, placementConstraints=where
    )
    blue, green = add(ecs, "late-sets"), add(ecs, "late-sets", of="green")

    def is_told() -> bool:
        told = [text for text in messages(ecs, "late-sets") if "was unable to place a task" in text]
        return all(any(made["id"] in text for text in told) for made in (blue, green))

    until(live, is_told)
    live.add_node(attributes={"stage": "late"})
    for made in (blue, green):
        steady(live, ecs, "late-sets", made["id"], 1)
    remove(ecs, "late-sets")


def test_an_external_service_keeps_what_an_update_may_change(ecs: Any, service: str) -> None:
    strategy = [{"type": "binpack", "field": "memory"}]
    changed = ecs.update_service(
        service=service, desiredCount=3, healthCheckGracePeriodSeconds=9, placementStrategy=strategy,
        enableECSManagedTags=True, propagateTags="SERVICE",
    )["service"]  # fmt: skip
    assert (changed["desiredCount"], changed["healthCheckGracePeriodSeconds"]) == (3, 9)
    assert (changed["placementStrategy"], changed["propagateTags"]) == (strategy, "SERVICE")


def test_a_task_set_and_its_service_say_why_they_wait(ecs: Any, live: Live, service: str) -> None:
    nothing = explained(live, described(ecs, service)["serviceArn"])
    assert nothing["verdict"] == "It has no task set, so there is nothing to run."
    made = add(ecs, service, 50)
    steady(live, ecs, service, made["id"], 2)
    well = explained(live, made["taskSetArn"])
    assert (well["kind"], well["status"], well["numbers"]["running"]) == ("task-set", "ACTIVE", 2)
    assert (well["numbers"]["desired"], well["numbers"]["scalePercent"]) == (2, 50.0)
    whole = explained(live, described(ecs, service)["serviceArn"])
    assert whole["verdict"] == "1 of 1 task sets are steady."
    register(ecs, "giant", "stay", memory=10_000_000)
    stuck = add(ecs, service, 50, of="giant")
    until(live, lambda: any("was unable to place" in text for text in messages(ecs, service)))
    told = explained(live, stuck["taskSetArn"])
    assert "memory" in str(told).lower()
    whole = explained(live, described(ecs, service)["serviceArn"])
    assert whole["verdict"] == "1 of 2 task sets are steady."
    assert any(stuck["id"] in reason for reason in whole["because"])


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"taskDefinition": "green"}, "Unable to update taskDefinition"),
        ({"forceNewDeployment": True}, "Unable to update forceNewDeployment"),
        ({"deploymentConfiguration": {"maximumPercent": 150}}, "Unable to update deploymentConfiguration"),
        (
            {"deploymentController": {"type": "ECS"}},
            "deploymentController ECS for a service that has EXTERNAL",
        ),
        (
            {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}},
            "Unable to update networkConfiguration",
        ),
    ],
)
def test_what_belongs_to_a_task_set_is_not_updated_in_a_service(
    ecs: Any, service: str, members: dict[str, Any], text: str
) -> None:
    with pytest.raises(ClientError, match=text):
        ecs.update_service(service=service, **members)


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"taskDefinition": "blue"}, r"TaskDefinition must be blank."),
        ({"launchType": "EC2"}, "launchType must be blank"),
        ({"schedulingStrategy": "DAEMON"}, "daemon scheduling strategy"),
        ({"deploymentConfiguration": {"maximumPercent": 150}}, "maximumPercent is 200"),
        (
            {"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}},
            "deploymentCircuitBreaker is not supported with an EXTERNAL",
        ),
    ],
)
def test_what_belongs_to_a_task_set_is_not_given_to_a_service(
    ecs: Any, members: dict[str, Any], text: str
) -> None:
    with pytest.raises(ClientError, match=text):
        ecs.create_service(serviceName="never", deploymentController=EXTERNAL, **members)


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"scale": {"value": 100.5, "unit": "PERCENT"}}, "between 0 and 100"),
        ({"scale": {"value": -1, "unit": "PERCENT"}}, "between 0 and 100"),
        ({"taskDefinition": "ghost"}, r"TaskDefinition not found."),
        ({"launchType": "FARGATE"}, "does not support launch_type FARGATE"),
        ({"loadBalancers": [{"containerName": "app", "containerPort": 80}]}, "loadBalancers is not"),
        ({"serviceRegistries": [{"registryArn": "arn:x"}]}, "arn:x does not exist"),
        ({"capacityProviderStrategy": [{"capacityProvider": "x"}]}, "not associated with the cluster"),
        ({"platformVersion": "LATEST"}, "platform version must be null"),
        ({"clientToken": "x" * 37}, "clientToken has at most 36"),
        ({"service": "ghost"}, r"Service not found."),
    ],
)
def test_a_task_set_that_cannot_be_made_is_refused(
    ecs: Any, service: str, members: dict[str, Any], text: str
) -> None:
    asked = {"cluster": "default", "service": service, "taskDefinition": "blue", **members}
    with pytest.raises(ClientError, match=text):
        ecs.create_task_set(**asked)
    assert shown(ecs, service) == []


def test_a_service_that_ecs_deploys_has_no_task_sets(ecs: Any) -> None:
    create(ecs, "plain", count=0, taskDefinition="blue")
    asked = {"cluster": "default", "service": "plain"}
    scale = {"value": 0.0, "unit": "PERCENT"}
    for call, members in (
        (ecs.create_task_set, {"taskDefinition": "blue"}),
        (ecs.describe_task_sets, {}),
        (ecs.update_task_set, {"taskSet": "ecs-svc/1", "scale": scale}),
        (ecs.update_service_primary_task_set, {"primaryTaskSet": "ecs-svc/1"}),
        (ecs.delete_task_set, {"taskSet": "ecs-svc/1"}),
    ):
        with pytest.raises(
            ClientError, match="only supports task set management on services configured to use"
        ):
            call(**asked, **members)
    assert "taskSets" not in described(ecs, "plain")
    remove(ecs, "plain")


def test_a_task_set_that_is_not_there_is_not_found(ecs: Any, service: str) -> None:
    asked = {"cluster": "default", "service": service}
    scale = {"value": 0.0, "unit": "PERCENT"}
    for call, members in (
        (ecs.update_task_set, {"taskSet": "ecs-svc/1", "scale": scale}),
        (ecs.update_service_primary_task_set, {"primaryTaskSet": "ecs-svc/1"}),
    ):
        with pytest.raises(ecs.exceptions.TaskSetNotFoundException, match="does not exist"):
            call(**asked, **members)


def test_whoever_changes_a_task_set_changes_the_version_that_starts_are_guarded_by(
    ecs: Any, live: Live, service: str
) -> None:
    row = int(live.run(live.plane.store.read(lambda tx: ServiceRepo(tx).live_ids()))[-1])

    def version() -> int:
        found = live.run(live.plane.store.read(lambda tx: ServiceRepo(tx).get(row)))
        assert found is not None
        assert found.name == service
        return found.version

    ecs.update_service(service=service, desiredCount=0)
    names = {"cluster": "default", "service": service}
    made = add(ecs, service, 0)
    steady(live, ecs, service, made["id"], 0)
    until(live, lambda: messages(ecs, service)[:1] == [f"(service {service}) has reached a steady state."])
    before = version()
    ecs.update_task_set(**names, taskSet=made["id"], scale={"value": 9.0, "unit": "PERCENT"})
    rescaled = version()
    ecs.update_service_primary_task_set(**names, primaryTaskSet=made["id"])
    assert before < rescaled < version()
