"""Fargate through boto3: tasks and services on machines that nobody is shown.

Sources: ECS API Reference; developer guide, "AWS Fargate for Amazon ECS", "Fargate capacity providers".
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.core.sigv4 import Credentials
from homeport.services.ecs.control.event_bus import EventBus
from tests.api.test_awsvpc import attachment, interfaces, network, stop
from tests.api.test_tasks import described, waiter
from tests.kit.server import ACCOUNT, REGION, Live, Node

APP = {"name": "app", "image": "app:1", "command": ["stay"]}
HEAD = f"arn:aws:ecs:{REGION}:{ACCOUNT}"


@pytest.fixture(scope="module")
def ec2(live: Live) -> Any:
    return live.client("ec2")


@pytest.fixture(scope="module")
def subnets(ec2: Any) -> list[str]:
    return sorted(one["SubnetId"] for one in ec2.describe_subnets()["Subnets"])


@pytest.fixture(scope="module", autouse=True)
def machine(live: Live, ecs: Any) -> Node:
    """One of Fargate's, with 2 vCPUs and 8 GiB; the cluster `default` has no instance."""
    ecs.create_cluster(clusterName="default", capacityProviders=["FARGATE", "FARGATE_SPOT"])
    ecs.create_cluster(clusterName="bare")
    register(ecs, "web")
    return live.add_node(
        networks=True,
        cluster=".fargate",
        cluster_configured=True,
        fargate=True,
        ec2_instance_id="",
        availability_zone="",
        cpu_units=2048,
        memory_mib=8192,
    )


def register(ecs: Any, family: str, *, cpu: str = "256", memory: str = "512", **members: Any) -> None:
    base = {"containerDefinitions": [APP], "requiresCompatibilities": ["FARGATE"], **members}
    ecs.register_task_definition(family=family, networkMode="awsvpc", cpu=cpu, memory=memory, **base)


def run(ecs: Any, subnets: list[str], **members: Any) -> dict[str, Any]:
    asked = {"taskDefinition": "web", "networkConfiguration": network(*subnets), **members}
    if "capacityProviderStrategy" not in asked:
        asked.setdefault("launchType", "FARGATE")
    answer: dict[str, Any] = ecs.run_task(**asked)
    return answer


def refusal(work: Any, *args: Any, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        work(*args, **members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_task_runs_and_shows_its_platform_and_no_instance(
    ecs: Any, ec2: Any, subnets: list[str], machine: Node
) -> None:
    (task,) = run(ecs, subnets[:1])["tasks"]
    waiter(ecs, "tasks_running").wait(tasks=[task["taskArn"]])
    running = described(ecs, task)
    assert running["clusterArn"] == f"{HEAD}:cluster/default"
    assert running["launchType"] == "FARGATE"
    assert (running["platformVersion"], running["platformFamily"]) == ("1.4.0", "Linux")
    assert running["ephemeralStorage"] == running["fargateEphemeralStorage"] == {"sizeInGiB": 20}
    assert "containerInstanceArn" not in running
    assert "capacityProviderName" not in running
    held = attachment(running)
    zones = {one["SubnetId"]: one["AvailabilityZone"] for one in ec2.describe_subnets()["Subnets"]}
    assert running["availabilityZone"] == zones[subnets[0]] == zones[held["subnetId"]]
    (container,) = running["containers"]
    uid = task["taskArn"].rpartition("/")[2]
    assert container["runtimeId"].startswith(f"{uid}-")
    assert len(container["runtimeId"]) == len(uid) + 11
    (made,) = [c for name, c in machine.machine.containers.items() if "-app-" in name]
    environment = dict(each.partition("=")[::2] for each in made.spec.config["Env"])
    assert environment["AWS_EXECUTION_ENV"] == "AWS_ECS_FARGATE"
    assert {"Name": "nofile", "Soft": 65535, "Hard": 65535} in made.spec.host_config["Ulimits"]
    stop(ecs, task)
    assert held["networkInterfaceId"] not in interfaces(ec2)


def test_tasks_are_spread_over_the_subnets(ecs: Any, subnets: list[str]) -> None:
    tasks = run(ecs, subnets, count=8)["tasks"]
    found = Counter(attachment(task)["subnetId"] for task in tasks)
    assert sorted(found.values()) == [2, 3, 3], "evenly"
    stop(ecs, *tasks)


def test_what_replaces_a_task_goes_where_its_service_has_the_fewest(ecs: Any, subnets: list[str]) -> None:
    ecs.create_service(
        serviceName="even",
        taskDefinition="web",
        desiredCount=3,
        launchType="FARGATE",
        networkConfiguration=network(*subnets),
    )
    waiter(ecs, "services_stable").wait(services=["even"])
    first = tasks_of(ecs, "even")
    assert len({task["availabilityZone"] for task in first}) == 3
    for task in first:
        ecs.stop_task(task=task["taskArn"])
        waiter(ecs, "tasks_stopped").wait(tasks=[task["taskArn"]])
        waiter(ecs, "services_stable").wait(services=["even"])
        assert len({one["availabilityZone"] for one in tasks_of(ecs, "even")}) == 3
    ecs.delete_service(service="even", force=True)


def tasks_of(ecs: Any, service: str) -> list[dict[str, Any]]:
    arns = ecs.list_tasks(serviceName=service)["taskArns"]
    found: list[dict[str, Any]] = ecs.describe_tasks(tasks=arns)["tasks"]
    return found


def test_nobody_is_shown_the_machine(live: Live, ecs: Any, ec2: Any, machine: Node) -> None:
    assert all(not arn.endswith("/.fargate") for arn in ecs.list_clusters()["clusterArns"])
    (cluster,) = ecs.describe_clusters(clusters=["default"])["clusters"]
    assert cluster["registeredContainerInstancesCount"] == 0
    assert ecs.list_container_instances(cluster="default")["containerInstanceArns"] == []
    hidden = f"{HEAD}:cluster/.fargate"
    arn = machine.agent.instance_arn
    for name, members in (
        ("list_container_instances", {}),
        ("describe_container_instances", {"containerInstances": [arn]}),
        ("deregister_container_instance", {"containerInstance": arn, "force": True}),
        ("update_container_instances_state", {"containerInstances": [arn], "status": "DRAINING"}),
        ("list_attributes", {"targetType": "container-instance"}),
        ("put_attributes", {"attributes": [{"name": "a", "targetId": arn}]}),
        ("list_tasks", {}),
        ("delete_cluster", {}),
        ("run_task", {"taskDefinition": "web"}),
    ):
        code, _ = refusal(getattr(ecs, name), cluster=hidden, **members)
        assert code == "ClusterNotFoundException", name
    assert ecs.describe_clusters(clusters=[hidden])["clusters"] == []
    missing = ecs.describe_container_instances(cluster="default", containerInstances=[arn])
    assert missing["containerInstances"] == []
    with pytest.raises(ClientError):
        ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "b"}])
    found = ec2.describe_instances()["Reservations"]
    assert all("mi-" not in json.dumps(one, default=str) for one in found)
    page = live.run(EventBus(live.plane.store).newest(ACCOUNT, REGION, 500))
    assert not any(".fargate" in json.dumps(one) for one in page.documents)


def test_nothing_is_started_there_by_name(ecs: Any, subnets: list[str], machine: Node) -> None:
    answer = ecs.start_task(
        taskDefinition="web",
        containerInstances=[machine.agent.instance_arn],
        networkConfiguration=network(*subnets[:1]),
    )
    assert answer["tasks"] == []
    assert [failure["reason"] for failure in answer["failures"]] == ["MISSING"]


@pytest.mark.parametrize("action", ["ecs:*", "*"])
def test_being_such_a_machine_needs_a_permission_of_its_own(live: Live, action: str) -> None:
    iam, name = live.client("iam"), "agent-all" if action == "*" else "agent-ecs"
    iam.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    own = live.client(
        "ecs", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    )
    resources = [
        {"name": "CPU", "type": "INTEGER", "integerValue": 1},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": 1},
    ]
    asked = {"cluster": ".fargate", "totalResources": resources}
    if action == "*":
        own.discover_poll_endpoint(cluster=".fargate")
        return
    for work, members in (
        (own.register_container_instance, asked),
        (own.register_container_instance, {**asked, "cluster": f"{HEAD}:cluster/.fargate"}),
        (own.discover_poll_endpoint, {"cluster": ".fargate"}),
        (own.submit_task_state_change, {"cluster": ".fargate", "task": "x", "status": "STOPPED"}),
        (own.submit_container_state_change, {"cluster": ".fargate", "task": "x"}),
    ):
        code, text = refusal(work, **members)
        assert code == "AccessDeniedException"
        assert "homeport:RunFargateTasks" in text


def test_no_room_is_said_with_numbers(ecs: Any, subnets: list[str]) -> None:
    """Source of the first sentence: developer guide, "API failure reasons"."""
    register(ecs, "large", cpu="4096", memory="8192")
    code, text = refusal(run, ecs, subnets, taskDefinition="large")
    assert code == "ClientException"
    assert text.startswith("Capacity is unavailable at this time.")
    assert "asks for 4096 CPU units" in text
    spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    answer = run(ecs, subnets, taskDefinition="large", capacityProviderStrategy=spot)
    assert [failure["reason"] for failure in answer["failures"]] == ["RESOURCE:FARGATE"]


def test_another_processor_is_another_machine(ecs: Any, subnets: list[str]) -> None:
    register(ecs, "arm", runtimePlatform={"cpuArchitecture": "ARM64"})
    code, text = refusal(run, ecs, subnets, taskDefinition="arm")
    assert (code, text[:23]) == ("ClientException", "Capacity is unavailable")
    assert "cpu-architecture == arm64" in text


def test_some_of_what_was_asked_for_is_started(ecs: Any, subnets: list[str]) -> None:
    register(ecs, "whole", cpu="1024", memory="2048")
    answer = run(ecs, subnets, taskDefinition="whole", count=3)
    assert len(answer["tasks"]) == 2
    assert [failure["reason"][:23] for failure in answer["failures"]] == ["Capacity is unavailable"]
    stop(ecs, *answer["tasks"])


def test_a_strategy_shares_tasks_between_fargate_and_spot(ecs: Any, subnets: list[str]) -> None:
    strategy = [
        {"capacityProvider": "FARGATE", "base": 1, "weight": 1},
        {"capacityProvider": "FARGATE_SPOT", "weight": 3},
    ]
    tasks = run(ecs, subnets, count=5, capacityProviderStrategy=strategy)["tasks"]
    names = sorted(task["capacityProviderName"] for task in tasks)
    assert names == ["FARGATE"] * 2 + ["FARGATE_SPOT"] * 3
    assert {task["launchType"] for task in tasks} == {"FARGATE"}
    stop(ecs, *tasks)


def test_what_fargate_does_not_have_is_refused(ecs: Any, subnets: list[str]) -> None:
    spread = [{"type": "spread", "field": "instanceId"}]
    distinct = [{"type": "distinctInstance"}]
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"placementStrategy": spread}, "InvalidParameterException", "strategies are not supported"),
        ({"placementConstraints": distinct}, "InvalidParameterException", "constraints are not supported"),
        ({"platformVersion": "9.9.9"}, "PlatformUnknownException", "does not exist"),
        ({"overrides": {"cpu": "300"}}, "InvalidParameterException", "No Fargate configuration exists"),
        (
            {"overrides": {"ephemeralStorage": {"sizeInGiB": 30}}, "platformVersion": "1.3.0"},
            "PlatformTaskDefinitionIncompatibilityException",
            "ephemeralStorage",
        ),
        ({"launchType": "EC2", "platformVersion": "1.4.0"}, "InvalidParameterException", "must be null"),
    ]
    for members, code, text in cases:
        found = refusal(run, ecs, subnets, **members)
        assert found[0] == code, members
        assert text in found[1]
    daemon = refusal(
        ecs.create_service,
        serviceName="daemon",
        taskDefinition="web",
        launchType="FARGATE",
        schedulingStrategy="DAEMON",
        networkConfiguration=network(*subnets),
    )
    assert "EC2 and EXTERNAL only" in daemon[1]


def test_storage_is_shown_as_it_was_asked_for(ecs: Any, subnets: list[str]) -> None:
    register(ecs, "disk", ephemeralStorage={"sizeInGiB": 42})
    (plain,) = run(ecs, subnets, taskDefinition="disk")["tasks"]
    (more,) = run(ecs, subnets, overrides={"ephemeralStorage": {"sizeInGiB": 50}})["tasks"]
    (older,) = run(ecs, subnets, platformVersion="1.3.0")["tasks"]
    assert [t["ephemeralStorage"]["sizeInGiB"] for t in (plain, more)] == [42, 50]
    assert older["platformVersion"] == "1.3.0"
    assert "fargateEphemeralStorage" not in older
    stop(ecs, plain, more, older)


def test_a_service_is_steady_updated_and_gone(ecs: Any, subnets: list[str]) -> None:
    checked = {**APP, "healthCheck": {"command": ["CMD", "after", "0.1"]}}
    register(ecs, "checked", containerDefinitions=[checked])
    made = ecs.create_service(
        serviceName="shop",
        taskDefinition="checked",
        desiredCount=2,
        launchType="FARGATE",
        networkConfiguration=network(*subnets),
    )["service"]
    assert (made["launchType"], made["platformVersion"]) == ("FARGATE", "LATEST")
    assert made["platformFamily"] == "Linux"
    waiter(ecs, "services_stable").wait(services=["shop"])
    arns = ecs.list_tasks(serviceName="shop", launchType="FARGATE")["taskArns"]
    tasks = ecs.describe_tasks(tasks=arns)["tasks"]
    assert {task["platformVersion"] for task in tasks} == {"1.4.0"}
    assert len(arns) == 2
    (cluster,) = ecs.describe_clusters(include=["STATISTICS"])["clusters"]
    counts = {one["name"]: one["value"] for one in cluster["statistics"]}
    assert (counts["runningFargateTasksCount"], counts["activeFargateServiceCount"]) == ("2", "1")
    updated = ecs.update_service(service="shop", platformVersion="1.3.0")["service"]
    assert [d["platformVersion"] for d in updated["deployments"]] == ["1.3.0", "LATEST"]
    waiter(ecs, "services_stable").wait(services=["shop"])
    arns = ecs.list_tasks(serviceName="shop")["taskArns"]
    tasks = ecs.describe_tasks(tasks=arns)["tasks"]
    assert {task["platformVersion"] for task in tasks} == {"1.3.0"}
    ecs.delete_service(service="shop", force=True)
    waiter(ecs, "services_inactive").wait(services=["shop"])


def test_a_service_waits_for_room_in_whatever_cluster_it_comes_up(ecs: Any, subnets: list[str]) -> None:
    register(ecs, "whole", cpu="1024", memory="2048")
    blockers = run(ecs, subnets, taskDefinition="whole", count=2, cluster="bare")["tasks"]
    ecs.create_service(
        serviceName="waiting",
        taskDefinition="whole",
        desiredCount=1,
        capacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
        networkConfiguration=network(*subnets),
    )

    def shown() -> dict[str, Any]:
        (found,) = ecs.describe_services(services=["waiting"])["services"]
        return dict(found)

    assert shown()["capacityProviderStrategy"][0]["capacityProvider"] == "FARGATE_SPOT"
    assert "launchType" not in shown()
    for _ in range(200):
        if shown()["events"]:
            break
    assert "Reason: Capacity is unavailable at this time." in shown()["events"][-1]["message"]
    for task in blockers:
        ecs.stop_task(task=task["taskArn"], cluster="bare")
    waiter(ecs, "services_stable").wait(services=["waiting"])
    ecs.delete_service(service="waiting", force=True)
    waiter(ecs, "services_inactive").wait(services=["waiting"])


def test_a_clusters_default_strategy_may_be_fargates(ecs: Any, subnets: list[str]) -> None:
    strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}]
    put = {"capacityProviders": ["FARGATE", "FARGATE_SPOT"], "defaultCapacityProviderStrategy": strategy}
    ecs.put_cluster_capacity_providers(cluster="default", **put)
    answer = ecs.run_task(taskDefinition="web", networkConfiguration=network(*subnets))
    assert [task["capacityProviderName"] for task in answer["tasks"]] == ["FARGATE_SPOT"]
    stop(ecs, *answer["tasks"])
    ecs.put_cluster_capacity_providers(cluster="default", **{**put, "defaultCapacityProviderStrategy": []})


def test_the_nodes_own_user_may_be_such_a_machine(live: Live) -> None:
    nodes: Credentials = live.keys.nodes
    own = live.client(
        "ecs",
        aws_access_key_id=nodes.access_key_id,
        aws_secret_access_key=nodes.secret_access_key,
    )
    assert own.discover_poll_endpoint(cluster=".fargate")["endpoint"]


def test_a_public_address_is_one_that_this_machine_reaches(ecs: Any, ec2: Any, subnets: list[str]) -> None:
    """Whoever is outside the VPC here is on this machine, which routes to the interface itself."""
    asked = {"networkConfiguration": network(subnets[0], assignPublicIp="ENABLED")}
    (public,) = run(ecs, subnets, **asked)["tasks"]
    (private,) = run(ecs, subnets[:1])["tasks"]
    found = interfaces(ec2)
    shown = found[attachment(public)["networkInterfaceId"]]
    assert shown["Association"]["PublicIp"] == shown["PrivateIpAddress"]
    assert "InstanceId" not in shown["Attachment"]
    assert "Association" not in found[attachment(private)["networkInterfaceId"]]
    asked_for = [{"Name": "association.public-ip", "Values": [shown["PrivateIpAddress"]]}]
    (named,) = ec2.describe_network_interfaces(Filters=asked_for)["NetworkInterfaces"]
    assert named["NetworkInterfaceId"] == shown["NetworkInterfaceId"]
    stop(ecs, public, private)


def test_a_machine_that_begins_anew_takes_the_place_of_what_it_was(
    live: Live, ecs: Any, ec2: Any, subnets: list[str]
) -> None:
    """Its tasks and their interfaces end: nobody could deregister it."""
    register(ecs, "huge", cpu="4096", memory="8192")
    same = {
        "networks": True,
        "cluster": ".fargate",
        "fargate": True,
        "ec2_instance_id": "fargate-same",
        "cpu_units": 4096,
        "memory_mib": 16384,
    }
    first = live.add_node(**same)
    (task,) = run(ecs, subnets[:1], taskDefinition="huge")["tasks"]
    waiter(ecs, "tasks_running").wait(tasks=[task["taskArn"]])
    eni = attachment(task)["networkInterfaceId"]
    live.stop_agent(first)
    live.add_node(**same)
    ended = described(ecs, task)
    assert (ended["lastStatus"], ended["stoppedReason"]) == (
        "STOPPED",
        "The machine that ran the task has begun anew.",
    )
    assert eni not in interfaces(ec2)
    (other,) = run(ecs, subnets[:1], taskDefinition="huge")["tasks"]
    stop(ecs, other)
