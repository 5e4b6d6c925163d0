"""Networks of tasks on a real `homeport up`: real namespaces, real packets, an agent that is killed.

Everything that a task was given can be had by others once it has stopped.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

import pytest

from tests.kit.behind_balancer import until
from tests.kit.docker import IMAGE
from tests.kit.up import Up, homeport_up

pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(600)]
PORT = 8080
SERVE = f"mkdir -p /www && echo hello > /www/index.html && exec httpd -f -p {PORT} -h /www"
ASK = f"until printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc 127.0.0.1 {PORT} | grep hello; do sleep 0.2; done"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with homeport_up(tmp_path_factory.mktemp("up"), "--instances", "1") as running:
        yield running


@pytest.fixture(scope="module")
def subnet(up: Up) -> str:
    """A small one of the default VPC, in the zone of the only instance: 11 addresses."""
    ec2 = up.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]
    first, second, *_ = vpc["CidrBlock"].split(".")
    made = ec2.create_subnet(
        VpcId=vpc["VpcId"], CidrBlock=f"{first}.{second}.240.0/28", AvailabilityZone="us-east-1a"
    )
    return str(made["Subnet"]["SubnetId"])


@pytest.fixture(scope="module")
def open_group(up: Up, subnet: str) -> str:
    ec2 = up.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="open", Description="open", VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=PORT, ToPort=PORT, CidrIp="0.0.0.0/0"
    )
    return str(group)


def container(name: str, script: str, **members: Any) -> dict[str, Any]:
    made = {"name": name, "image": IMAGE, "memory": 32, "command": ["sh", "-c", script], "stopTimeout": 2}
    return {**made, **members}


def fetched(host: str, port: int, path: str = "/") -> str:
    with contextlib.closing(http.client.HTTPConnection(host, port, timeout=3)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except OSError:
            return ""


def task_of(ecs: Any, arn: str) -> Any:
    return ecs.describe_tasks(tasks=[arn])["tasks"][0]


def reaches(ecs: Any, arn: str, status: str) -> Any:
    """The task, once it is there."""

    def look() -> Any:
        task = task_of(ecs, arn)
        return task if task["lastStatus"] in (status, "STOPPED") else None

    task = until(look, why=lambda: task_of(ecs, arn))
    assert task["lastStatus"] == status, task
    return task


def details(task: Any) -> dict[str, str]:
    (held,) = task["attachments"]
    return {"status": held["status"], **{one["name"]: one["value"] for one in held["details"]}}


def routes() -> set[str]:
    found = subprocess.run(["ip", "-j", "-4", "route", "show"], capture_output=True, text=True, check=True)
    return {route["dst"] for route in json.loads(found.stdout)}


def test_a_task_has_an_address_of_its_own_until_it_stops(up: Up, subnet: str, open_group: str) -> None:
    ecs, ec2 = up.client(), up.client("ec2")
    ecs.register_task_definition(
        family="pair",
        networkMode="awsvpc",
        containerDefinitions=[
            container("web", SERVE, portMappings=[{"containerPort": PORT}]),
            container("peer", ASK, essential=False),
        ],
    )
    arn = ecs.run_task(
        taskDefinition="pair",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [open_group]}},
    )["tasks"][0]["taskArn"]
    held = details(reaches(ecs, arn, "RUNNING"))
    assert held["status"] == "ATTACHED"
    address = held["privateIPv4Address"]
    until(lambda: fetched(address, PORT) == "hello\n")  # from the machine, by a rule
    peer = until(  # and from its neighbour, by none
        lambda: next((c for c in task_of(ecs, arn)["containers"] if c.get("exitCode") is not None), None)
    )
    assert (peer["name"], peer["exitCode"]) == ("peer", 0)
    eni = ec2.describe_network_interfaces(NetworkInterfaceIds=[held["networkInterfaceId"]])
    assert eni["NetworkInterfaces"][0]["PrivateIpAddress"] == address
    assert address in routes()

    before = {c["name"]: c["runtimeId"] for c in task_of(ecs, arn)["containers"]}
    up.kill()
    assert fetched(address, PORT) == "hello\n"  # nobody notices
    up.start()
    ecs = up.client()
    assert {c["name"]: c["runtimeId"] for c in reaches(ecs, arn, "RUNNING")["containers"]} == before
    assert fetched(address, PORT) == "hello\n"

    ecs.stop_task(task=arn)
    assert details(reaches(ecs, arn, "STOPPED"))["status"] == "DELETED"
    assert address not in routes()
    left = ec2.describe_network_interfaces(Filters=[{"Name": "private-ip-address", "Values": [address]}])
    assert left["NetworkInterfaces"] == []


def test_a_task_reads_where_its_network_is(up: Up, subnet: str, open_group: str) -> None:
    """Source: developer guide, "Amazon ECS task metadata endpoint version 4 for tasks on EC2"."""
    ecs, ec2 = up.client(), up.client("ec2")
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    block = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["CidrBlock"]
    script = (  # who asks before its agent knows that it runs is told less, as by the official agent
        "mkdir -p /www; until wget -q -O /www/index.html $ECS_CONTAINER_METADATA_URI_V4/task && "
        "grep -q Networks /www/index.html; do sleep 0.2; done; "
        "wget -q -O /www/v2 http://169.254.170.2/v2/metadata; "
        f"exec httpd -f -p {PORT} -h /www"
    )
    for mode in ("awsvpc", "bridge"):
        mapping = {"containerPort": PORT} if mode == "awsvpc" else {"containerPort": PORT, "hostPort": 0}
        ecs.register_task_definition(
            family=f"told-{mode}",
            networkMode=mode,
            containerDefinitions=[container("web", script, portMappings=[mapping])],
        )
    network = {"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [open_group]}}
    arn = ecs.run_task(taskDefinition="told-awsvpc", networkConfiguration=network)["tasks"][0]["taskArn"]
    held = details(reaches(ecs, arn, "RUNNING"))
    told = json.loads(until(lambda: fetched(held["privateIPv4Address"], PORT)))
    assert told["VPCID"] == vpc["VpcId"]
    ((shown,),) = (one["Networks"] for one in told["Containers"])
    base = IPv4Network(block)
    assert shown == {
        "NetworkMode": "awsvpc",
        "IPv4Addresses": [held["privateIPv4Address"]],
        "AttachmentIndex": 0,
        "MACAddress": held["macAddress"],
        "IPv4SubnetCIDRBlock": block,
        "SubnetGatewayIpv4Address": f"{base[1]}/{base.prefixlen}",
        "DomainNameServers": [str(IPv4Network(vpc["CidrBlock"])[2])],
        "DomainNameSearchList": [held["privateDnsName"].partition(".")[2]],
        "PrivateDNSName": held["privateDnsName"],
    }
    assert json.loads(fetched(held["privateIPv4Address"], PORT, "/v2"))["TaskARN"] == arn, "by its address"
    ecs.stop_task(task=arn)
    arn = ecs.run_task(taskDefinition="told-bridge")["tasks"][0]["taskArn"]
    (binding,) = reaches(ecs, arn, "RUNNING")["containers"][0]["networkBindings"]
    told = json.loads(until(lambda: fetched(binding["bindIP"], binding["hostPort"])))
    assert told["VPCID"] == vpc["VpcId"], "its instance's"
    assert [one["NetworkMode"] for one in told["Containers"][0]["Networks"]] == ["bridge"]
    ecs.stop_task(task=arn)


def test_addresses_are_given_again(up: Up, subnet: str) -> None:
    ecs = up.client()
    ecs.register_task_definition(
        family="idle", networkMode="awsvpc", containerDefinitions=[container("app", "exec sleep 1000")]
    )
    seen: list[str] = []
    for _ in range(2):
        tasks = ecs.run_task(
            taskDefinition="idle",
            count=8,
            networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet]}},
        )["tasks"]
        arns = [task["taskArn"] for task in tasks]
        seen += [details(reaches(ecs, arn, "RUNNING"))["privateIPv4Address"] for arn in arns]
        for arn in arns:
            ecs.stop_task(task=arn)
        for arn in arns:
            reaches(ecs, arn, "STOPPED")
    assert len(seen) == 16
    assert len(set(seen)) <= 11
    assert not set(seen) & routes()


def test_a_group_that_lets_nobody_in_keeps_the_machine_out(up: Up, subnet: str) -> None:
    ecs = up.client()
    arn = ecs.run_task(
        taskDefinition="pair", networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet]}}
    )["tasks"][0]["taskArn"]
    address = details(reaches(ecs, arn, "RUNNING"))["privateIPv4Address"]
    until(lambda: any(c.get("exitCode") == 0 for c in task_of(ecs, arn)["containers"]))
    assert fetched(address, PORT) == ""
    ecs.stop_task(task=arn)
    reaches(ecs, arn, "STOPPED")


def test_a_bridge_task_knows_its_links_and_hosts_and_publishes_its_ports(up: Up) -> None:
    """Source: Docker user guide, "Legacy container links"."""
    ecs = up.client()
    script = (
        "mkdir -p /www; until printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc store 8080 | grep hello; "
        "do sleep 0.2; done; "
        "(env | grep ^STORE_PORT=; grep 'old$' /etc/hosts; hostname) > /www/index.html; "
        f"exec httpd -f -p {PORT} -h /www"
    )
    ecs.register_task_definition(
        family="linked",
        containerDefinitions=[
            container("db", SERVE, portMappings=[{"containerPort": PORT, "hostPort": 0}]),
            container(
                "app",
                script,
                links=["db:store"],
                hostname="front",
                extraHosts=[{"hostname": "old", "ipAddress": "10.9.8.7"}],
                portMappings=[{"containerPort": PORT, "hostPort": 0}],
            ),
        ],
    )
    arn = ecs.run_task(taskDefinition="linked")["tasks"][0]["taskArn"]
    task = reaches(ecs, arn, "RUNNING")
    app = next(c for c in task["containers"] if c["name"] == "app")
    (binding,) = app["networkBindings"]
    told = until(lambda: fetched(binding["bindIP"], binding["hostPort"]))
    port, hosts, name = told.splitlines()
    assert port.startswith("STORE_PORT=tcp://")
    assert port.endswith(f":{PORT}")
    assert hosts.split() == ["10.9.8.7", "old"]
    assert name == "front"
    up.kill()
    assert fetched(binding["bindIP"], binding["hostPort"]) == told
    up.start()
    ecs = up.client()
    reaches(ecs, arn, "RUNNING")
    assert fetched(binding["bindIP"], binding["hostPort"]) == told
    ecs.stop_task(task=arn)
    reaches(ecs, arn, "STOPPED")
    assert fetched(binding["bindIP"], binding["hostPort"]) == ""
