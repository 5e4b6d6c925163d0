"""Tasks with network interfaces of their own, through boto3: ECS and EC2 tell the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.app.networks.ground import NoGround
from homeport.services.ecs.control.event_bus import EventBus
from homeport.services.ecs.plan.remedies import stop_remedy
from tests.api.test_explain import explained
from tests.api.test_task_sets import until
from tests.api.test_tasks import described, waiter
from tests.kit.server import Live, Node, live_server

APP = {"name": "app", "image": "app:1", "memory": 16, "command": ["stay"]}


@pytest.fixture(scope="module")
def ec2(live: Live) -> Any:
    return live.client("ec2")


@pytest.fixture(scope="module")
def subnets(ec2: Any) -> dict[str, str]:
    """The default VPC's, by zone."""
    found = ec2.describe_subnets()["Subnets"]
    return {one["AvailabilityZone"]: one["SubnetId"] for one in found}


@pytest.fixture(scope="module", autouse=True)
def nodes(live: Live, ecs: Any) -> dict[str, Node]:
    """One in each of two zones, of which the second makes no networks."""
    a = live.add_node(networks=True, availability_zone="us-east-1a")
    b = live.add_node(networks=True, availability_zone="us-east-1b")
    old = live.add_node(availability_zone="us-east-1a")
    ecs.register_task_definition(
        family="eni",
        networkMode="awsvpc",
        containerDefinitions=[APP, {**APP, "name": "side", "portMappings": [{"containerPort": 80}]}],
    )
    checked = {**APP, "healthCheck": {"command": ["CMD", "after", "0.1"]}}
    ecs.register_task_definition(family="checked", networkMode="awsvpc", containerDefinitions=[checked])
    return {"a": a, "b": b, "old": old}


def network(*subnets: str, **members: Any) -> dict[str, Any]:
    return {"awsvpcConfiguration": {"subnets": list(subnets), **members}}


def run(ecs: Any, *subnets: str, **members: Any) -> dict[str, Any]:
    answer = ecs.run_task(taskDefinition="eni", networkConfiguration=network(*subnets), **members)
    assert answer["failures"] == []
    return answer["tasks"][0]


def attachment(task: dict[str, Any]) -> dict[str, str]:
    (found,) = task["attachments"]
    return {"status": found["status"], "id": found["id"]} | {d["name"]: d["value"] for d in found["details"]}


def interfaces(ec2: Any) -> dict[str, Any]:
    found = ec2.describe_network_interfaces(Filters=[{"Name": "requester-id", "Values": ["amazon-ecs"]}])[
        "NetworkInterfaces"
    ]
    return {one["NetworkInterfaceId"]: one for one in found}


def stop(ecs: Any, *tasks: dict[str, Any]) -> None:
    for task in tasks:
        ecs.stop_task(task=task["taskArn"])
    waiter(ecs, "tasks_stopped").wait(tasks=[task["taskArn"] for task in tasks])


def test_a_tasks_interface_is_there_from_its_beginning_to_its_end(
    ecs: Any, ec2: Any, subnets: dict[str, str], nodes: dict[str, Node]
) -> None:
    task = run(ecs, subnets["us-east-1a"])
    assert task["lastStatus"] == "PROVISIONING"
    waiter(ecs, "tasks_running").wait(tasks=[task["taskArn"]])
    running = described(ecs, task)
    held = attachment(running)
    assert (held["status"], held["subnetId"]) == ("ATTACHED", subnets["us-east-1a"])
    eni = interfaces(ec2)[held["networkInterfaceId"]]
    assert eni["PrivateIpAddress"] == held["privateIPv4Address"]
    assert (eni["MacAddress"], eni["PrivateDnsName"]) == (held["macAddress"], held["privateDnsName"])
    assert eni["Description"].endswith(f":attachment/{held['id']}")
    assert eni["Status"] == "in-use"
    assert [group["GroupName"] for group in eni["Groups"]] == ["default"]
    for container in running["containers"]:
        assert container["networkInterfaces"] == [
            {"attachmentId": held["id"], "privateIpv4Address": held["privateIPv4Address"]}
        ]
        assert container["networkBindings"] == []
    assert nodes["a"].sandboxes is not None
    (made,) = nodes["a"].sandboxes.namespaces.values()
    assert made.address == held["privateIPv4Address"]
    assert made.spec.interface is not None
    assert made.spec.interface.dns == ("172.31.0.2",)
    stop(ecs, task)
    stopped = described(ecs, task)
    assert attachment(stopped)["status"] == "DELETED"
    assert held["networkInterfaceId"] not in interfaces(ec2)
    assert not nodes["a"].sandboxes.namespaces


def test_the_events_tell_every_status(live: Live, ecs: Any, subnets: dict[str, str]) -> None:
    """Source: developer guide, "Amazon ECS task lifecycle", "Task state change events"."""
    task = run(ecs, subnets["us-east-1a"])
    waiter(ecs, "tasks_running").wait(tasks=[task["taskArn"]])
    stop(ecs, task)
    page = live.run(EventBus(live.plane.store).newest("000000000000", "us-east-1", 200))
    mine = [d["detail"] for d in page.documents if d["resources"] == [task["taskArn"]]]
    told = {(one["lastStatus"], one["attachments"][0]["status"]) for one in mine}
    assert ("PROVISIONING", "ATTACHING") in told
    assert ("RUNNING", "ATTACHED") in told
    assert ("DEPROVISIONING", "DETACHING") in told
    assert ("STOPPED", "DELETED") in told
    assert {one["attachments"][0]["type"] for one in mine} == {"eni"}


def test_tasks_go_where_their_subnets_are(ecs: Any, subnets: dict[str, str], nodes: dict[str, Node]) -> None:
    tasks = [run(ecs, subnets["us-east-1b"]) for _ in range(3)]
    assert {task["availabilityZone"] for task in tasks} == {"us-east-1b"}
    assert {task["containerInstanceArn"] for task in tasks} == {nodes["b"].agent.instance_arn}
    waiter(ecs, "tasks_running").wait(tasks=[task["taskArn"] for task in tasks])
    stop(ecs, *tasks)


def test_where_no_instance_is_nothing_is_placed(ecs: Any, subnets: dict[str, str]) -> None:
    answer = ecs.run_task(taskDefinition="eni", networkConfiguration=network(subnets["us-east-1c"]))
    assert answer["tasks"] == []
    assert {failure["reason"] for failure in answer["failures"]} == {"LOCATION", "ATTRIBUTE"}


def test_explain_says_which_zones_and_which_capability_are_missing(
    live: Live, ecs: Any, subnets: dict[str, str], nodes: dict[str, Node]
) -> None:
    made = ecs.create_service(
        serviceName="lost",
        taskDefinition="eni",
        desiredCount=1,
        networkConfiguration=network(subnets["us-east-1c"]),
    )["service"]
    told = {one["containerInstance"]: one for one in explained(live, made["serviceArn"])["instances"]}
    uid = nodes["a"].agent.instance_arn.rpartition("/")[2]
    assert "us-east-1a; allowed are us-east-1c" in str(told[uid])
    old = nodes["old"].agent.instance_arn.rpartition("/")[2]
    assert "ecs.capability.task-eni" in str(told[old])
    ecs.delete_service(service="lost", force=True)


def test_an_instance_that_makes_no_networks_takes_none(
    ecs: Any, nodes: dict[str, Node], subnets: Any
) -> None:
    answer = ecs.start_task(
        taskDefinition="eni",
        containerInstances=[nodes["old"].agent.instance_arn],
        networkConfiguration=network(subnets["us-east-1a"]),
    )
    assert answer["failures"][0]["reason"] == "ATTRIBUTE"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            network("subnet-0123456789abcdef0"),
            "Error retrieving subnet information for [subnet-0123456789abcdef0]: "
            "The subnet ID 'subnet-0123456789abcdef0' does not exist (ErrorCode: InvalidSubnetID.NotFound)",
        ),
        (
            network("HERE", securityGroups=["sg-0123456789abcdef0"]),
            "Error retrieving security group information for [sg-0123456789abcdef0]: "
            "The security group 'sg-0123456789abcdef0' does not exist (ErrorCode: InvalidGroup.NotFound)",
        ),
        (
            network("HERE", assignPublicIp="ENABLED"),
            "Assign public IP is not supported for this launch type.",
        ),
    ],
)
def test_what_is_not_there_is_said(
    ecs: Any, subnets: dict[str, str], given: dict[str, Any], text: str
) -> None:
    """Source: answers of ECS, recorded in users' reports."""
    asked = given["awsvpcConfiguration"]
    asked = {**asked, "subnets": [s.replace("HERE", subnets["us-east-1a"]) for s in asked["subnets"]]}
    for call in (
        lambda: ecs.run_task(taskDefinition="eni", networkConfiguration={"awsvpcConfiguration": asked}),
        lambda: ecs.create_service(
            serviceName="no",
            taskDefinition="eni",
            desiredCount=1,
            networkConfiguration={"awsvpcConfiguration": asked},
        ),
    ):
        with pytest.raises(ecs.exceptions.InvalidParameterException) as refusal:
            call()
        assert refusal.value.response["Error"]["Message"] == text


def test_subnets_of_two_networks_are_refused(ecs: Any, ec2: Any, subnets: dict[str, str]) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    other = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.1.0/24", AvailabilityZone="us-east-1a")
    with pytest.raises(ecs.exceptions.InvalidParameterException) as refusal:
        ecs.run_task(
            taskDefinition="eni",
            networkConfiguration=network(subnets["us-east-1a"], other["Subnet"]["SubnetId"]),
        )
    assert "one VPC" in refusal.value.response["Error"]["Message"]


def test_security_groups_that_are_named_are_the_interfaces(
    ecs: Any, ec2: Any, subnets: dict[str, str]
) -> None:
    group = ec2.create_security_group(GroupName="web", Description="web")["GroupId"]
    task = ecs.run_task(
        taskDefinition="eni", networkConfiguration=network(subnets["us-east-1a"], securityGroups=[group])
    )["tasks"][0]
    eni = interfaces(ec2)[attachment(task)["networkInterfaceId"]]
    assert [one["GroupId"] for one in eni["Groups"]] == [group]
    waiter(ecs, "tasks_running").wait(tasks=[task["taskArn"]])
    stop(ecs, task)


def test_a_full_subnet_stops_the_task_and_says_so(ecs: Any, ec2: Any) -> None:
    """Source: developer guide, "Amazon ECS stopped tasks error messages"; a /28 has 11 addresses."""
    vpc = ec2.create_vpc(CidrBlock="10.78.0.0/24")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.78.0.0/28", AvailabilityZone="us-east-1a")
    subnet_id = subnet["Subnet"]["SubnetId"]
    tasks = [
        task
        for _ in range(2)
        for task in ecs.run_task(taskDefinition="eni", count=6, networkConfiguration=network(subnet_id))[
            "tasks"
        ]
    ]
    failed = [task for task in tasks if task["lastStatus"] == "STOPPED"]
    assert len(failed) == 1
    assert failed[0]["stopCode"] == "TaskFailedToStart"
    assert failed[0]["stoppedReason"].endswith(f"in subnet '{subnet_id}': InsufficientFreeAddressesInSubnet")
    assert stop_remedy("TaskFailedToStart", failed[0]["stoppedReason"]).startswith("Its subnets have no")
    ready = [task for task in tasks if task not in failed]
    waiter(ecs, "tasks_running").wait(tasks=[task["taskArn"] for task in ready])
    stop(ecs, *ready)
    again = run(ecs, subnet_id)  # addresses come back
    waiter(ecs, "tasks_running").wait(tasks=[again["taskArn"]])
    stop(ecs, again)


def test_a_services_tasks_are_where_it_says_and_move_when_it_says_otherwise(
    ecs: Any, ec2: Any, subnets: dict[str, str]
) -> None:
    both = network(subnets["us-east-1a"], subnets["us-east-1b"])
    made = ecs.create_service(
        serviceName="spread", taskDefinition="checked", desiredCount=4, networkConfiguration=both
    )["service"]
    shown = {**both["awsvpcConfiguration"], "securityGroups": [], "assignPublicIp": "DISABLED"}
    assert made["networkConfiguration"]["awsvpcConfiguration"] == shown
    waiter(ecs, "services_stable").wait(services=["spread"])
    arns = ecs.list_tasks(serviceName="spread")["taskArns"]
    zones = [task["availabilityZone"] for task in ecs.describe_tasks(tasks=arns)["tasks"]]
    assert sorted(zones) == ["us-east-1a", "us-east-1a", "us-east-1b", "us-east-1b"]
    ecs.update_service(service="spread", networkConfiguration=network(subnets["us-east-1b"]))
    waiter(ecs, "services_stable").wait(services=["spread"])
    arns = ecs.list_tasks(serviceName="spread")["taskArns"]
    tasks = ecs.describe_tasks(tasks=arns)["tasks"]
    assert {task["availabilityZone"] for task in tasks} == {"us-east-1b"}
    assert {attachment(task)["subnetId"] for task in tasks} == {subnets["us-east-1b"]}
    same = ecs.update_service(service="spread", desiredCount=1)["service"]
    assert len(same["deployments"]) == 1  # nothing but the count has changed
    waiter(ecs, "services_stable").wait(services=["spread"])
    revision = ecs.describe_service_revisions(
        serviceRevisionArns=[
            ecs.list_service_deployments(service="spread")["serviceDeployments"][0][
                "targetServiceRevisionArn"
            ]
        ]
    )["serviceRevisions"][0]
    assert revision["networkConfiguration"]["awsvpcConfiguration"]["subnets"] == [subnets["us-east-1b"]]
    ecs.delete_service(service="spread", force=True)
    waiter(ecs, "services_inactive").wait(services=["spread"])
    assert interfaces(ec2) == {}


def test_a_daemon_service_is_on_the_instances_of_its_subnets(ecs: Any, subnets: dict[str, str]) -> None:
    ecs.create_service(
        serviceName="each",
        taskDefinition="eni",
        schedulingStrategy="DAEMON",
        networkConfiguration=network(subnets["us-east-1b"]),
    )
    waiter(ecs, "services_stable").wait(services=["each"])
    found = ecs.describe_services(services=["each"])["services"][0]
    assert (found["desiredCount"], found["runningCount"]) == (1, 1)
    ecs.delete_service(service="each", force=True)
    waiter(ecs, "services_inactive").wait(services=["each"])


def test_a_task_set_says_where_its_tasks_are(live: Live, ecs: Any, subnets: dict[str, str]) -> None:
    ecs.create_service(serviceName="ext", desiredCount=1, deploymentController={"type": "EXTERNAL"})
    made = ecs.create_task_set(
        service="ext",
        cluster="default",
        taskDefinition="eni",
        networkConfiguration=network(subnets["us-east-1a"]),
        scale={"value": 100, "unit": "PERCENT"},
    )["taskSet"]
    given = made["networkConfiguration"]["awsvpcConfiguration"]
    assert given["subnets"] == [subnets["us-east-1a"]]
    until(live, lambda: bool(ecs.list_tasks(serviceName="ext")["taskArns"]))
    (arn,) = ecs.list_tasks(serviceName="ext")["taskArns"]
    assert attachment(described(ecs, {"taskArn": arn}))["subnetId"] == subnets["us-east-1a"]
    ecs.delete_task_set(service="ext", cluster="default", taskSet=made["id"], force=True)
    ecs.delete_service(service="ext", force=True)
    waiter(ecs, "tasks_stopped").wait(tasks=[arn])


def test_an_instance_that_was_forced_away_keeps_its_interfaces_until_it_begins_anew(
    live: Live, ecs: Any, ec2: Any, subnets: dict[str, str]
) -> None:
    """Its containers run on until then, and with them their addresses."""
    node = live.add_node(networks=True, availability_zone="us-east-1c")
    task = run(ecs, subnets["us-east-1c"])
    waiter(ecs, "tasks_running").wait(tasks=[task["taskArn"]])
    eni = attachment(described(ecs, task))["networkInterfaceId"]
    ecs.deregister_container_instance(containerInstance=node.agent.instance_arn, force=True)
    assert described(ecs, task)["lastStatus"] == "STOPPED"
    assert eni in interfaces(ec2)
    live.add_node(
        networks=True, availability_zone="us-east-1c", ec2_instance_id=node.settings.ec2_instance_id
    )
    assert eni not in interfaces(ec2)


def test_a_killed_agent_keeps_a_task_and_its_interface(
    live: Live, ecs: Any, ec2: Any, subnets: dict[str, str], nodes: dict[str, Node]
) -> None:
    task = run(ecs, subnets["us-east-1b"])
    waiter(ecs, "tasks_running").wait(tasks=[task["taskArn"]])
    live.stop_agent(nodes["b"])
    ecs.stop_task(task=task["taskArn"])
    eni = attachment(described(ecs, task))["networkInterfaceId"]
    assert eni in interfaces(ec2)  # nobody knows that it has stopped
    nodes["b"] = live.restart(nodes["b"])
    waiter(ecs, "tasks_stopped").wait(tasks=[task["taskArn"]])
    assert eni not in interfaces(ec2)


def test_attachments_that_nobody_knows_are_refused(ecs: Any, subnets: dict[str, str]) -> None:
    task = run(ecs, subnets["us-east-1a"])
    with pytest.raises(ClientError, match="No such attachment"):
        ecs.submit_task_state_change(
            cluster="default",
            task=task["taskArn"],
            attachments=[
                {"attachmentArn": "arn:aws:ecs:us-east-1:000000000000:attachment/x", "status": "ATTACHED"}
            ],
        )
    with pytest.raises(ClientError, match="No such attachment"):
        ecs.submit_attachment_state_changes(
            cluster="default", attachments=[{"attachmentArn": "arn:x", "status": "ATTACHED"}]
        )
    waiter(ecs, "tasks_running").wait(tasks=[task["taskArn"]])
    stop(ecs, task)


def test_nothing_is_left(ec2: Any, nodes: dict[str, Node]) -> None:
    assert interfaces(ec2) == {}
    for node in nodes.values():
        if node.sandboxes is not None:
            assert not node.sandboxes.namespaces
            assert node.sandboxes.violations == []


@pytest.fixture(scope="module")
def landless() -> Iterator[Live]:
    with live_server(ground=NoGround(why="networks need root here.")) as server:
        yield server


def test_without_a_network_of_its_own_homeport_says_what_is_missing(landless: Live) -> None:
    ecs = landless.client("ecs")
    ecs.create_cluster()
    ecs.register_task_definition(family="eni", networkMode="awsvpc", containerDefinitions=[APP])
    with pytest.raises(ecs.exceptions.ClientException) as refusal:
        ecs.run_task(taskDefinition="eni", networkConfiguration=network("subnet-1"))
    message = refusal.value.response["Error"]["Message"]
    assert "networkMode awsvpc" in message
    assert "networks need root here." in message
