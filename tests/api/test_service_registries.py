"""Services whose tasks are found by name: ECS and Cloud Map tell the same, and so does DNS.

Sources: botocore's ServiceRegistry; developer guide, "Use service discovery to connect Amazon ECS services
with DNS names", and its tutorial (the attributes of an instance).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from homeport.app.networks.instances import Place, settle_places
from homeport.app.networks.names import NameKeeper
from homeport.gateway.dns_names import NameBook
from tests.api.test_tasks import waiter
from tests.kit.server import ACCOUNT, REGION, Live, Node

APP = {"name": "app", "image": "app:1", "memory": 16, "command": ["stay"]}
PORT = {**APP, "portMappings": [{"containerPort": 80}]}
A = {"DnsRecords": [{"Type": "A", "TTL": 10}]}
SRV = {"DnsRecords": [{"Type": "SRV", "TTL": 10}]}


@pytest.fixture(scope="module")
def sd(live: Live) -> Any:
    return live.client("servicediscovery", config=Config(inject_host_prefix=False))


@pytest.fixture(scope="module")
def vpc(live: Live) -> str:
    return str(live.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"])


@pytest.fixture(scope="module")
def subnet(live: Live) -> str:
    found = live.client("ec2").describe_subnets()["Subnets"]
    return str(next(one["SubnetId"] for one in found if one["AvailabilityZone"].endswith("a")))


@pytest.fixture(scope="module")
def namespace(sd: Any, vpc: str) -> str:
    operation = sd.create_private_dns_namespace(Name="corp.test", Vpc=vpc)["OperationId"]
    return str(sd.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"])


@pytest.fixture(scope="module")
def node(live: Live, vpc: str) -> Node:
    made = live.add_node(networks=True)
    place = Place(instance_id=made.settings.ec2_instance_id, zone=f"{REGION}a", address="172.31.0.77")
    plane = live.plane
    live.run(
        settle_places(plane.store, plane.clock, plane.ids, account_id=ACCOUNT, region=REGION, places=[place])
    )
    return made


@pytest.fixture(scope="module", autouse=True)
def definitions(ecs: Any, node: Node) -> None:
    checked = {**APP, "healthCheck": {"command": ["CMD", "after", "0.1"]}}
    for family, mode, container in (
        ("own", "awsvpc", PORT), ("bridged", "bridge", PORT), ("checked", "awsvpc", checked),
        ("none", "none", APP),
    ):  # fmt: skip
        ecs.register_task_definition(family=family, networkMode=mode, containerDefinitions=[container])


@pytest.fixture
def network(subnet: str) -> dict[str, Any]:
    return {"awsvpcConfiguration": {"subnets": [subnet]}}


@pytest.fixture
def named(ecs: Any, sd: Any, namespace: str) -> Iterator[Any]:
    """Makes Cloud Map services, and takes them and all ECS services away."""
    made = []

    def make(name: str, **members: Any) -> Any:
        made.append(sd.create_service(Name=name, NamespaceId=namespace, **members)["Service"])
        return made[-1]

    yield make
    for arn in ecs.list_services()["serviceArns"]:
        ecs.delete_service(service=arn, force=True)
        waiter(ecs, "services_inactive").wait(services=[arn])
    for one in made:
        assert sd.list_instances(ServiceId=one["Id"])["Instances"] == [], "who is stopped is not found"
        sd.delete_service(Id=one["Id"])


def create(ecs: Any, name: str, family: str, registry: Any, count: int = 1, **members: Any) -> Any:
    registries = registry if isinstance(registry, list) else [{"registryArn": registry["Arn"]}]
    return ecs.create_service(
        serviceName=name, taskDefinition=family, desiredCount=count, serviceRegistries=registries, **members
    )["service"]


def tasks(ecs: Any, name: str) -> dict[str, Any]:
    found = ecs.list_tasks(serviceName=name)["taskArns"]
    listed = ecs.describe_tasks(tasks=found)["tasks"] if found else []
    return {one["taskArn"].rpartition("/")[2]: one for one in listed}


def instances(sd: Any, registry: Any) -> dict[str, Any]:
    return {one["Id"]: one["Attributes"] for one in sd.list_instances(ServiceId=registry["Id"])["Instances"]}


def until(live: Live, check: Any) -> None:
    async def looked() -> bool:
        return bool(await asyncio.to_thread(check))

    live.wait_until(looked)


def refused(ecs: Any, *arguments: Any, **members: Any) -> str:
    with pytest.raises(ClientError) as caught:
        create(ecs, "refused", *arguments, **members)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterException"
    return str(caught.value.response["Error"]["Message"])


def dns(live: Live, vpc: str, name: str) -> dict[str, set[str]]:
    """What the VPC's DNS server would know."""

    async def look() -> dict[str, set[str]]:
        book = NameBook()
        keeper = NameKeeper(live.plane.store, book)
        for key in await keeper.keys():
            await keeper.reconcile(key)
        return {one.type: set(one.values) for one in book.find(vpc, name).records}

    return live.run(look())


def test_running_tasks_are_registered_with_what_ecs_knows_of_them(
    live: Live, ecs: Any, sd: Any, named: Any, vpc: str, network: Any, node: Node
) -> None:
    registry = named("web", DnsConfig=A, HealthCheckCustomConfig={})
    made = create(ecs, "web", "own", registry, 2, networkConfiguration=network)
    assert made["serviceRegistries"] == [{"registryArn": registry["Arn"]}]
    until(live, lambda: len(instances(sd, registry)) == 2)
    running, found = tasks(ecs, "web"), instances(sd, registry)
    assert found.keys() == running.keys()
    for uid, attributes in found.items():
        address = running[uid]["containers"][0]["networkInterfaces"][0]["privateIpv4Address"]
        assert attributes == {
            "AWS_INSTANCE_IPV4": address,
            "AWS_INIT_HEALTH_STATUS": "HEALTHY",
            "AVAILABILITY_ZONE": "us-east-1a",
            "EC2_INSTANCE_ID": node.settings.ec2_instance_id,
            "ECS_CLUSTER_NAME": "default",
            "ECS_SERVICE_NAME": "web",
            "ECS_TASK_DEFINITION_FAMILY": "own",
            "REGION": REGION,
        }
    assert dns(live, vpc, "web.corp.test") == {"A": {one["AWS_INSTANCE_IPV4"] for one in found.values()}}
    (revision,) = ecs.describe_service_revisions(
        serviceRevisionArns=[
            ecs.list_service_deployments(service="web")["serviceDeployments"][0]["targetServiceRevisionArn"]
        ]
    )["serviceRevisions"]
    assert revision["serviceRegistries"] == made["serviceRegistries"]


def test_a_task_is_not_found_before_its_agent_hears_that_it_stops(
    live: Live, ecs: Any, sd: Any, named: Any, network: Any
) -> None:
    registry = named("leaving", DnsConfig=A)
    create(ecs, "leaving", "own", registry, networkConfiguration=network)
    until(live, lambda: instances(sd, registry))
    (uid,) = instances(sd, registry)
    ecs.stop_task(task=uid)
    waiter(ecs, "tasks_stopped").wait(tasks=[uid])
    until(live, lambda: instances(sd, registry) and uid not in instances(sd, registry))


def test_a_bridged_task_is_found_at_its_instance_and_host_port(
    live: Live, ecs: Any, sd: Any, named: Any, vpc: str
) -> None:
    registry = named("ported", DnsConfig=SRV)
    place = {"registryArn": registry["Arn"], "containerName": "app", "containerPort": 80}
    made = create(ecs, "ported", "bridged", [place])
    assert made["serviceRegistries"] == [place]
    until(live, lambda: instances(sd, registry))
    ((uid, attributes),) = instances(sd, registry).items()
    (binding,) = tasks(ecs, "ported")[uid]["containers"][0]["networkBindings"]
    assert attributes["AWS_INSTANCE_IPV4"] == "172.31.0.77"
    assert attributes["AWS_INSTANCE_PORT"] == str(binding["hostPort"])
    host = f"{uid}.ported.corp.test"
    assert dns(live, vpc, "ported.corp.test") == {"SRV": {f"1 1 {binding['hostPort']} {host}."}}
    assert dns(live, vpc, host) == {"A": {"172.31.0.77"}}


def test_what_containers_say_of_their_health_is_the_instances(
    live: Live, ecs: Any, sd: Any, named: Any, network: Any
) -> None:
    registry = named("well", DnsConfig=A, HealthCheckCustomConfig={})
    create(ecs, "well", "checked", registry, networkConfiguration=network)

    def states() -> list[str]:
        return list(sd.get_instances_health_status(ServiceId=registry["Id"])["Status"].values())

    until(live, lambda: states() == ["HEALTHY"])


def test_another_registry_takes_tasks_out_of_the_first(
    live: Live, ecs: Any, sd: Any, named: Any, network: Any
) -> None:
    first, second = named("first", DnsConfig=A), named("second", DnsConfig=A)
    at_once = {"minimumHealthyPercent": 0, "maximumPercent": 100}
    create(ecs, "moved", "own", first, networkConfiguration=network, deploymentConfiguration=at_once)
    until(live, lambda: instances(sd, first))
    registries = [{"registryArn": second["Arn"]}]
    changed = ecs.update_service(service="moved", serviceRegistries=registries)["service"]
    assert changed["serviceRegistries"] == registries
    until(live, lambda: instances(sd, second) and not instances(sd, first))
    ecs.update_service(service="moved", serviceRegistries=[])
    until(live, lambda: not instances(sd, second))
    assert ecs.describe_services(services=["moved"])["services"][0]["serviceRegistries"] == []


def test_a_task_set_has_a_registry_of_its_own(
    live: Live, ecs: Any, sd: Any, named: Any, network: Any
) -> None:
    blue, green = named("blue", DnsConfig=A), named("green", DnsConfig=A)
    ecs.create_service(serviceName="sets", desiredCount=1, deploymentController={"type": "EXTERNAL"})
    of_service = {"cluster": "default", "service": "sets"}
    asked = {**of_service, "taskDefinition": "own", "networkConfiguration": network}
    made = []
    for registry in (blue, green):
        given = [{"registryArn": registry["Arn"]}]
        scale = {"value": 100.0, "unit": "PERCENT"}
        made.append(ecs.create_task_set(**asked, scale=scale, serviceRegistries=given)["taskSet"])
        assert made[-1]["serviceRegistries"] == given
    until(live, lambda: instances(sd, blue) and instances(sd, green))
    ((uid, attributes),) = instances(sd, green).items()
    assert tasks(ecs, "sets")[uid]["startedBy"] == made[1]["id"]
    assert attributes["ECS_SERVICE_NAME"] == "sets"
    ecs.delete_task_set(**of_service, taskSet=made[1]["id"])
    until(live, lambda: not instances(sd, green))
    assert len(instances(sd, blue)) == 1, "the other task set is where it was"
    with pytest.raises(ClientError, match="at most 1000 tasks"):
        ecs.update_service(service="sets", desiredCount=1001)
    with pytest.raises(ClientError, match="Unable to update serviceRegistries"):
        ecs.update_service(service="sets", serviceRegistries=[{"registryArn": blue["Arn"]}])


def test_what_somebody_takes_out_or_leaves_behind_is_put_right(
    live: Live, ecs: Any, sd: Any, named: Any, network: Any
) -> None:
    registry = named("kept", DnsConfig=A)
    create(ecs, "kept", "own", registry, networkConfiguration=network)
    until(live, lambda: instances(sd, registry))
    (uid,) = instances(sd, registry)
    left = {"AWS_INSTANCE_IPV4": "172.31.0.9", "ECS_CLUSTER_NAME": "gone", "ECS_SERVICE_NAME": "gone"}
    sd.register_instance(ServiceId=registry["Id"], InstanceId="0" * 32, Attributes=left)
    sd.register_instance(
        ServiceId=registry["Id"], InstanceId="mine", Attributes={"AWS_INSTANCE_IPV4": "172.31.0.8"}
    )
    sd.deregister_instance(ServiceId=registry["Id"], InstanceId=uid)
    controller = live.plane.registries
    assert controller is not None

    async def look() -> None:
        for key in await controller.keys():
            await controller.reconcile(key)

    live.run(look())
    assert instances(sd, registry).keys() == {uid, "mine"}
    sd.deregister_instance(ServiceId=registry["Id"], InstanceId="mine")


def test_what_no_task_could_be_registered_in_is_refused(ecs: Any, sd: Any, named: Any, network: Any) -> None:
    registry, ported = named("plain", DnsConfig=A), named("needs-port", DnsConfig=SRV)
    alias = named("alias", DnsConfig={"DnsRecords": [{"Type": "CNAME", "TTL": 1}]})
    own = {"networkConfiguration": network}
    gone = [{"registryArn": registry["Arn"] + "x"}]
    assert "does not exist" in refused(ecs, "own", gone, **own)
    assert "at most 1" in refused(ecs, "own", [{"registryArn": "a"}, {"registryArn": "b"}], **own)
    assert "CNAME" in refused(ecs, "own", alias, **own)
    assert "SRV records only" in refused(ecs, "bridged", registry)
    assert "needs a containerName and a containerPort" in refused(ecs, "bridged", ported)
    assert "needs a containerName and a containerPort, or a port" in refused(ecs, "own", ported, **own)
    both = {"registryArn": ported["Arn"], "containerName": "app", "containerPort": 80, "port": 80}
    assert "not both" in refused(ecs, "own", [both], **own)
    half = {"registryArn": ported["Arn"], "containerName": "app"}
    assert "go together" in refused(ecs, "own", [half], **own)
    nobody = {"registryArn": ported["Arn"], "containerName": "x", "containerPort": 80}
    assert "does not exist in the task" in refused(ecs, "own", [nobody], **own)
    closed = {"registryArn": ported["Arn"], "containerName": "app", "containerPort": 81}
    assert "did not have a container port 81" in refused(ecs, "own", [closed], **own)
    assert "none" in refused(ecs, "none", ported)
    assert "at most 1000 tasks" in refused(ecs, "own", registry, 1001, **own)


def test_no_service_is_in_a_namespace_and_which_there_are_is_known(ecs: Any, namespace: str) -> None:
    assert ecs.list_services_by_namespace(namespace="corp.test")["serviceArns"] == []
    with pytest.raises(ClientError) as caught:
        ecs.list_services_by_namespace(namespace="nowhere.test")
    assert caught.value.response["Error"]["Code"] == "NamespaceNotFoundException"
