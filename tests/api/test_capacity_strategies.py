"""Tasks and services with capacity provider strategies, through boto3.

Sources: ECS API Reference, RunTask, CreateService, UpdateService, CreateTaskSet, and
CapacityProviderStrategyItem; the texts are from issues of users who met them, named at each.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from homeport.app.settings import GROUP_ATTRIBUTE as OPTION
from homeport.services.ecs.model import GROUP_ATTRIBUTE
from tests.api.test_capacity_providers import associate, create, refusal
from tests.api.test_events import end, since
from tests.api.test_explain import explained
from tests.api.test_services import described, settled, stable
from tests.api.test_tasks import register, waiter
from tests.kit.server import Live, Node, live_server

SWITCH = (
    "When switching from launch type to capacity provider strategy on an existing service, or making a "
    "change to a capacity provider strategy on a service that is already using one, you must force a new "
    "deployment."
)


@pytest.fixture
def live() -> Iterator[Live]:
    """A cluster with an instance in each of two groups, and one in none."""
    with live_server() as server:
        for group in ("a-group", "b-group"):
            server.add_node(attributes={GROUP_ATTRIBUTE: group})
        server.add_node()
        client = server.client("ecs")
        for name in ("a", "b", "empty"):
            create(client, name)
        associate(client, "a", "b", "empty", "FARGATE")
        register(client, "web", "stay", cpu=1)
        yield server


@pytest.fixture
def ecs(live: Live) -> Any:
    return live.client("ecs")


def shares(**weights: int) -> list[dict[str, Any]]:
    """`a=4`: weight 4; `a_base=2`: base 2."""
    names = [name for name in weights if not name.endswith("_base")]
    return [
        {"capacityProvider": name, "weight": weights[name], "base": weights.get(f"{name}_base", 0)}
        for name in names
    ]


def placed(ecs: Any, tasks: list[dict[str, Any]]) -> Counter[tuple[str | None, str | None]]:
    """How many of the tasks are of which provider, on instances of which provider."""
    arns = sorted({task["containerInstanceArn"] for task in tasks})
    instances = ecs.describe_container_instances(containerInstances=arns)["containerInstances"]
    owner = {one["containerInstanceArn"]: one.get("capacityProviderName") for one in instances}
    return Counter((task.get("capacityProviderName"), owner[task["containerInstanceArn"]]) for task in tasks)


def running(ecs: Any, service: str) -> list[dict[str, Any]]:
    arns = ecs.list_tasks(serviceName=service)["taskArns"]
    return list(ecs.describe_tasks(tasks=arns)["tasks"]) if arns else []


def where(ecs: Any, service: str) -> dict[str, int]:
    found = placed(ecs, running(ecs, service))
    assert all(of == on for of, on in found)
    return {of or "": count for (of, _), count in found.items()}


def serve(ecs: Any, name: str, count: int, **members: Any) -> Any:
    asked = {"serviceName": name, "taskDefinition": "web", "desiredCount": count, **members}
    asked["deploymentConfiguration"] = {"minimumHealthyPercent": 0}  # nobody waits for 40 healthy seconds
    return ecs.create_service(**asked)["service"]


def wait_for(live: Live, service: str, check: Any) -> None:
    ecs = live.client("ecs")

    async def holds() -> bool:
        return bool(check(await asyncio.to_thread(described, ecs, service)))

    live.wait_until(holds)


def test_an_instance_belongs_to_the_provider_of_its_group_in_clusters_that_have_it(
    ecs: Any, live: Live
) -> None:
    assert OPTION == GROUP_ATTRIBUTE

    def owners() -> list[str | None]:
        arns = [node.agent.instance_arn for node in live.nodes]
        told = ecs.describe_container_instances(containerInstances=arns)["containerInstances"]
        return [one.get("capacityProviderName") for one in told]

    assert owners() == ["a", "b", None]
    chosen = ecs.list_container_instances(filter=f"attribute:{GROUP_ATTRIBUTE} == b-group")
    assert chosen["containerInstanceArns"] == [live.nodes[1].agent.instance_arn]
    associate(ecs, "b")
    assert owners() == [None, "b", None]


def test_run_task_shares_its_tasks_and_each_says_by_what_it_was_placed(ecs: Any) -> None:
    answer = ecs.run_task(taskDefinition="web", count=7, capacityProviderStrategy=shares(a=1, b=4, a_base=2))
    assert answer["failures"] == []
    assert placed(ecs, answer["tasks"]) == {("a", "a"): 3, ("b", "b"): 4}
    assert {task["launchType"] for task in answer["tasks"]} == {"EC2"}


def test_a_client_token_gives_the_tasks_of_all_shares_again(ecs: Any) -> None:
    members = {"taskDefinition": "web", "count": 4, "clientToken": "t"}
    first, again = (
        ecs.run_task(**members, capacityProviderStrategy=shares(a=1, b=1))["tasks"] for _ in range(2)
    )
    assert [task["taskArn"] for task in first] == [task["taskArn"] for task in again]


def test_the_clusters_strategy_is_for_those_who_ask_for_nothing(ecs: Any) -> None:
    associate(ecs, "a", "b", strategy=shares(b=1))
    assert placed(ecs, ecs.run_task(taskDefinition="web", count=2)["tasks"]) == {("b", "b"): 2}
    answer = ecs.run_task(taskDefinition="web", capacityProviderStrategy=shares(a=1))
    assert placed(ecs, answer["tasks"]) == {("a", "a"): 1}
    (by_type,) = ecs.run_task(taskDefinition="web", launchType="EC2")["tasks"]
    assert "capacityProviderName" not in by_type
    assert serve(ecs, "one", 0)["capacityProviderStrategy"] == shares(b=1)
    assert serve(ecs, "two", 0, launchType="EC2")["launchType"] == "EC2"
    ecs.create_service(serviceName="sets", deploymentController={"type": "EXTERNAL"})
    made = ecs.create_task_set(cluster="default", service="sets", taskDefinition="web")["taskSet"]
    assert made["capacityProviderStrategy"] == shares(b=1)
    assert "launchType" not in made


def test_what_a_strategy_cannot_be(ecs: Any) -> None:
    def asked(**members: Any) -> tuple[str, str]:
        return refusal(ecs.run_task, taskDefinition="web", **members)

    both = asked(launchType="EC2", capacityProviderStrategy=shares(a=1))
    assert both == (
        "InvalidParameterException",
        "Specifying both a launch type and capacity provider strategy is not supported. "
        "Remove one and try again.",
    )
    create(ecs, "stranger")
    assert "not associated with the cluster" in asked(capacityProviderStrategy=shares(stranger=1))[1]
    assert "does not support launch_type FARGATE" in asked(capacityProviderStrategy=shares(FARGATE=1))[1]
    assert "weight greater than 0" in asked(capacityProviderStrategy=shares(a=0, b=0))[1]


def test_without_managed_scaling_there_is_no_waiting_for_room(ecs: Any, live: Live) -> None:
    """Tasks that find no capacity fail at once. Source: AWS's article on cluster auto scaling, retold."""
    nothing = refusal(ecs.run_task, taskDefinition="web", capacityProviderStrategy=shares(empty=1))
    assert nothing == (
        "InvalidParameterException",
        "No Container Instances were found in your capacity provider.",
    )
    answer = ecs.run_task(taskDefinition="web", count=2, capacityProviderStrategy=shares(a=1, empty=1))
    assert placed(ecs, answer["tasks"]) == {("a", "a"): 1}
    assert [(f["arn"].rpartition("/")[2], f["reason"]) for f in answer["failures"]] == [
        ("empty", "EMPTY CAPACITY PROVIDER")
    ]
    register(ecs, "huge", "stay", memory=10_000_000)
    answer = ecs.run_task(taskDefinition="huge", capacityProviderStrategy=shares(b=1))
    assert [(f["arn"], f["reason"]) for f in answer["failures"]] == [
        (live.nodes[1].agent.instance_arn, "RESOURCE:MEMORY")
    ]


def test_a_service_keeps_its_shares_whatever_happens(ecs: Any, live: Live) -> None:
    of = shares(a=1, b=4, a_base=2)
    made = serve(ecs, "web", 7, capacityProviderStrategy=of)
    assert made["capacityProviderStrategy"] == of
    assert "launchType" not in made
    shown = settled(live, ecs, "web")
    assert where(ecs, "web") == {"a": 3, "b": 4}
    assert shown["deployments"][0]["capacityProviderStrategy"] == of
    assert "launchType" not in shown["deployments"][0]
    (revision,) = ecs.list_service_deployments(service="web")["serviceDeployments"]
    arn = revision["targetServiceRevisionArn"]
    (revision,) = ecs.describe_service_revisions(serviceRevisionArns=[arn])["serviceRevisions"]
    assert revision["capacityProviderStrategy"] == of
    assert "launchType" not in revision
    lost = [task["taskArn"] for task in running(ecs, "web") if task["capacityProviderName"] == "a"][:2]
    for task in lost:
        ecs.stop_task(task=task)
    waiter(ecs, "tasks_stopped").wait(tasks=lost)
    stable(ecs, "web")
    assert where(ecs, "web") == {"a": 3, "b": 4}
    for count, expected in ((12, {"a": 4, "b": 8}), (2, {"a": 2})):
        ecs.update_service(service="web", desiredCount=count)
        settled(live, ecs, "web")
        wait_for(live, "web", lambda told, count=count: told["runningCount"] == count)
        assert where(ecs, "web") == expected


def test_a_strategy_changes_with_a_forced_deployment_only(ecs: Any, live: Live) -> None:
    """Source of the text: PipeCD pull request 6385, ecs_deploy pull request 74."""
    serve(ecs, "web", 2)
    settled(live, ecs, "web")
    for wanted in (shares(a=1), shares(a=1, b=1)):
        refused = refusal(ecs.update_service, service="web", capacityProviderStrategy=wanted)
        assert refused == ("InvalidParameterException", SWITCH)
        told = ecs.update_service(service="web", capacityProviderStrategy=wanted, forceNewDeployment=True)[
            "service"
        ]
        assert told["capacityProviderStrategy"] == wanted
        settled(live, ecs, "web")
        expected = {"a": 2} if len(wanted) == 1 else {"a": 1, "b": 1}
        wait_for(live, "web", lambda told: told["runningCount"] == 2)
        assert where(ecs, "web") == expected
    same = ecs.update_service(service="web", capacityProviderStrategy=shares(b=1, a=1))["service"]
    assert len(same["deployments"]) == 1
    assert refusal(ecs.update_service, service="web", capacityProviderStrategy=[])[1] == SWITCH
    back = ecs.update_service(service="web", capacityProviderStrategy=[], forceNewDeployment=True)["service"]
    assert back["launchType"] == "EC2"
    assert "capacityProviderStrategy" not in back
    settled(live, ecs, "web")
    wait_for(live, "web", lambda told: told["runningCount"] == 2)
    assert {task.get("capacityProviderName") for task in running(ecs, "web")} == {None}


def test_a_new_task_definition_keeps_the_strategy(ecs: Any, live: Live) -> None:
    serve(ecs, "web", 2, capacityProviderStrategy=shares(b=1))
    register(ecs, "web", "stay", cpu=2)
    told = ecs.update_service(service="web", taskDefinition="web")["service"]
    assert told["deployments"][0]["capacityProviderStrategy"] == shares(b=1)
    settled(live, ecs, "web")
    assert where(ecs, "web") == {"b": 2}


def test_an_empty_provider_is_told_and_waited_for(ecs: Any, live: Live) -> None:
    serve(ecs, "web", 2, capacityProviderStrategy=shares(a=1, empty=1))
    message = (
        "(service web) was unable to reach steady state. Reason: No Container Instances were found in your "
        "capacity provider."
    )
    wait_for(live, "web", lambda told: message in [event["message"] for event in told["events"]])
    wait_for(live, "web", lambda told: told["runningCount"] == 1)
    assert where(ecs, "web") == {"a": 1}
    why = explained(live, described(ecs, "web")["serviceArn"])
    assert why["verdict"] == (
        "1 tasks are missing, and 1 of them find no room in their capacity provider (empty)."
    )
    assert why["because"][0] == (
        "1 for capacity provider empty (Auto Scaling group empty-group): it has no container instances"
    )
    assert "homeport agent --attribute homeport.auto-scaling-group=empty-group" in why["remedies"][0]
    live.add_node(attributes={GROUP_ATTRIBUTE: "empty-group"})
    settled(live, ecs, "web")
    assert where(ecs, "web") == {"a": 1, "empty": 1}
    events = [event["message"] for event in described(ecs, "web")["events"]]
    assert events.count(message) == 1


def test_no_room_in_a_provider_is_explained_by_its_own_instances(ecs: Any, live: Live) -> None:
    register(ecs, "huge", "stay", memory=10_000_000)
    serve(ecs, "web", 1, taskDefinition="huge", capacityProviderStrategy=shares(b=1))
    wait_for(live, "web", lambda told: any("unable to place" in e["message"] for e in told["events"]))
    told = described(ecs, "web")["events"][0]["message"]
    uid = live.nodes[1].agent.instance_arn.rpartition("/")[2]
    assert f"(container-instance {uid}) has insufficient memory available" in told
    why = explained(live, described(ecs, "web")["serviceArn"])
    (because,) = why["because"]
    assert because.startswith(
        "1 for capacity provider b (Auto Scaling group b-group): 1 of 1 container instances have less than"
    )
    assert [one["containerInstance"] for one in why["instances"]] == [uid]


def test_tasks_of_an_instance_that_drains_stay_in_their_provider(ecs: Any, live: Live) -> None:
    second: Node = live.add_node(attributes={GROUP_ATTRIBUTE: "a-group"})
    serve(ecs, "web", 4, capacityProviderStrategy=shares(a=1, b=1))
    settled(live, ecs, "web")
    leaving = live.nodes[0].agent.instance_arn
    ecs.update_container_instances_state(containerInstances=[leaving], status="DRAINING")
    settled(live, ecs, "web")
    wait_for(
        live,
        "web",
        lambda told: told["runningCount"] == 4 and told["events"][0]["message"].endswith("state."),
    )
    assert where(ecs, "web") == {"a": 2, "b": 2}
    on = {task["containerInstanceArn"] for task in running(ecs, "web") if task["capacityProviderName"] == "a"}
    assert on == {second.agent.instance_arn}


def test_a_steady_service_is_an_event_of_each_of_its_providers(ecs: Any, live: Live) -> None:
    """Source: developer guide, "Amazon ECS service action events"."""
    start = end(live)
    serve(ecs, "web", 2, capacityProviderStrategy=shares(a=1, b=1))
    settled(live, ecs, "web")
    head = "arn:aws:ecs:us-east-1:000000000000:capacity-provider"
    told = [event["detail"] for event in since(live, start)]
    steady = [one for one in told if one.get("eventName", "").endswith("STEADY_STATE")]
    assert [(one["eventName"], one.get("capacityProviderArns")) for one in steady] == [
        ("SERVICE_STEADY_STATE", None),
        ("CAPACITY_PROVIDER_STEADY_STATE", [f"{head}/a"]),
        ("CAPACITY_PROVIDER_STEADY_STATE", [f"{head}/b"]),
    ]


def test_a_provider_in_use_cannot_be_taken_away(ecs: Any, live: Live) -> None:
    """Source of the text: containers-roadmap issue 631."""
    used = (
        "ResourceInUseException",
        "The specified capacity provider is in use and cannot be removed.",
    )
    (task,) = ecs.run_task(taskDefinition="web", capacityProviderStrategy=shares(a=1))["tasks"]
    serve(ecs, "idle", 0, capacityProviderStrategy=shares(b=1))
    assert refusal(associate, ecs, "b") == used
    assert refusal(associate, ecs, "a") == used
    assert associate(ecs, "a", "b")["capacityProviders"] == ["a", "b"]
    ecs.stop_task(task=task["taskArn"])
    waiter(ecs, "tasks_stopped").wait(tasks=[task["taskArn"]])
    assert associate(ecs, "b")["capacityProviders"] == ["b"]
    ecs.update_service(service="idle", capacityProviderStrategy=[], forceNewDeployment=True)
    wait_for(live, "idle", lambda told: len(told["deployments"]) == 1)
    assert associate(ecs)["capacityProviders"] == []


def test_a_daemon_has_no_strategy_its_clusters_neither(ecs: Any) -> None:
    """Source: containers-roadmap issue 692."""
    daemon = {"serviceName": "d", "taskDefinition": "web", "schedulingStrategy": "DAEMON"}
    text = (
        "Specifying a capacity provider strategy is not supported when you create a service using the DAEMON "
        "scheduling strategy."
    )
    assert refusal(ecs.create_service, **daemon, capacityProviderStrategy=shares(a=1))[1] == text
    associate(ecs, "a", "b", strategy=shares(a=1))
    assert refusal(ecs.create_service, **daemon) == ("InvalidParameterException", text)
    assert ecs.create_service(**daemon, launchType="EC2")["service"]["launchType"] == "EC2"
    assert refusal(ecs.update_service, service="d", capacityProviderStrategy=shares(a=1))[1] == text


def test_task_sets_share_their_tasks_as_well(ecs: Any, live: Live) -> None:
    ecs.create_service(serviceName="sets", deploymentController={"type": "EXTERNAL"}, desiredCount=4)
    made = ecs.create_task_set(
        cluster="default",
        service="sets",
        taskDefinition="web",
        scale={"value": 100, "unit": "PERCENT"},
        capacityProviderStrategy=shares(a=3, b=1),
    )["taskSet"]
    ecs.update_service_primary_task_set(cluster="default", service="sets", primaryTaskSet=made["id"])

    async def is_steady() -> bool:
        told = await asyncio.to_thread(described, ecs, "sets")
        return [one["stabilityStatus"] for one in told["taskSets"]] == ["STEADY_STATE"]

    live.wait_until(is_steady)
    assert where(ecs, "sets") == {"a": 3, "b": 1}
    told = described(ecs, "sets")
    assert told["capacityProviderStrategy"] == shares(a=3, b=1)
    assert "launchType" not in told
    refused = refusal(ecs.update_service, service="sets", capacityProviderStrategy=shares(a=1))
    assert "EXTERNAL deployment controller" in refused[1]


def test_several_providers_are_not_balanced_over_zones(ecs: Any) -> None:
    """Their shares say where tasks are [our choice]."""
    assert (
        serve(ecs, "one", 0, capacityProviderStrategy=shares(a=1))["availabilityZoneRebalancing"] == "ENABLED"
    )
    several = {"capacityProviderStrategy": shares(a=1, b=1)}
    assert serve(ecs, "two", 0, **several)["availabilityZoneRebalancing"] == "DISABLED"
    refused = refusal(serve, ecs, "three", 0, **several, availabilityZoneRebalancing="ENABLED")
    assert "several providers" in refused[1]
    change = {"service": "one", "forceNewDeployment": True}
    for strategy, asked, expected in (
        (shares(a=1, b=1), {}, "DISABLED"),
        (shares(a=1), {"availabilityZoneRebalancing": "ENABLED"}, "ENABLED"),
    ):
        told = ecs.update_service(**change, **asked, capacityProviderStrategy=strategy)["service"]
        assert told["availabilityZoneRebalancing"] == expected
