"""Service Connect on a real `homeport up`: clients ask for a name, and get as far as groups let them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from homeport.node.address_link import connect_link
from tests.kit.behind_balancer import until
from tests.kit.up import TASK_LABEL, Up, homeport_up
from tests.kit.web import PORT, web_definition

pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(900)]
ASK = """
import sys, urllib.request
print(urllib.request.urlopen(f"http://{sys.argv[1]}:{sys.argv[2]}/", timeout=3).read().decode())
"""
MODES = ("awsvpc", "bridge")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with homeport_up(tmp_path_factory.mktemp("connect"), "--instances", "2") as running:
        link = connect_link(running.installation)
        yield running
    shown = subprocess.run(["ip", "link", "show", link], capture_output=True, check=False)
    assert shown.returncode != 0, "the link of its addresses is gone with the rest"


@pytest.fixture(scope="module")
def place(up: Up) -> dict[str, Any]:
    """A VPC's subnets and three groups: clients, those who serve clients, and strangers."""
    ec2, ecs = up.client("ec2"), up.client()
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    found: dict[str, Any] = {"subnets": [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]]}
    for name in ("clients", "servers", "ingress"):
        made = ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)
        found[name] = made["GroupId"]
    ecs.update_cluster(cluster="default", serviceConnectDefaults={"namespace": "shop"})
    return found


def network(place: dict[str, Any], mode: str, group: str) -> dict[str, Any]:
    own = {"subnets": place["subnets"], "securityGroups": [place[group]]}
    return {"networkConfiguration": {"awsvpcConfiguration": own}} if mode == "awsvpc" else {}


def rule(place: dict[str, Any], port: int = PORT) -> dict[str, Any]:
    peer = {"UserIdGroupPairs": [{"GroupId": place["clients"]}]}
    return {"IpPermissions": [{"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **peer}]}


def serve(
    up: Up, place: dict[str, Any], mode: str, port: int, protocol: str, group: str = "servers", **members: Any
) -> str:
    """A server that says its mode; the name that its clients ask."""
    ecs, name = up.client(), f"{mode}-{port}"
    definition = web_definition(name, mode, networkMode=mode)
    mapping = {"containerPort": PORT, "name": "web", "appProtocol": protocol}
    definition["containerDefinitions"][0]["portMappings"] = [
        {key: value for key, value in mapping.items() if value != "tcp"}
    ]
    ecs.register_task_definition(**definition)
    ecs.create_service(
        serviceName=name, taskDefinition=name, desiredCount=2, **network(place, mode, group),
        serviceConnectConfiguration={
            "enabled": True,
            "services": [
                {"portName": "web", "discoveryName": name, "clientAliases": [{"port": port}], **members}
            ],
        },
    )  # fmt: skip
    return f"{name}.shop"


def client(up: Up, place: dict[str, Any], mode: str) -> str:
    """The container of a client service that only waits."""
    ecs, name = up.client(), f"client-{mode}"
    if name in str(ecs.list_services()["serviceArns"]):
        ecs.delete_service(service=name, force=True)
        ecs.get_waiter("services_inactive").wait(services=[name])
    ecs.register_task_definition(**web_definition(name, "client", networkMode=mode))
    ecs.create_service(
        serviceName=name, taskDefinition=name, desiredCount=1, **network(place, mode, "clients"),
        serviceConnectConfiguration={"enabled": True},
    )  # fmt: skip

    def running() -> str:
        found = ecs.list_tasks(serviceName=name)["taskArns"]
        held = ecs.describe_tasks(tasks=found)["tasks"] if found else []
        if [one["lastStatus"] for one in held] != ["RUNNING"]:
            return ""
        runs = [
            one for one in up.containers()
            if one["Labels"].get(TASK_LABEL) == found[0] and one["State"] == "running"
            and one["Labels"].get("com.amazonaws.ecs.container-name") == "web"
        ]  # fmt: skip
        return str(runs[0]["Id"]) if runs else ""

    return str(until(running, why=lambda: ecs.describe_services(services=[name])["services"][0]["events"]))


def asked(container: str, name: str, port: int) -> tuple[int, str]:
    """What a container gets for `GET http://name:port/`."""
    python = web_definition("", "")["containerDefinitions"][0]["entryPoint"][0]
    done = subprocess.run(
        ["docker", "exec", container, python, "-S", "-E", "-c", ASK, name, str(port)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout.strip() or done.stderr[-300:]


def gets(container: str, name: str, port: int, answer: str) -> None:
    """It gets the answer, sooner or later."""
    until(lambda: asked(container, name, port) == (0, answer), why=lambda: asked(container, name, port))


def test_clients_reach_a_service_by_its_name_where_its_groups_let_them(up: Up, place: dict[str, Any]) -> None:
    ec2, ecs, sd = up.client("ec2"), up.client(), up.client("servicediscovery", inject_host_prefix=False)
    clients = {mode: client(up, place, mode) for mode in MODES}
    name = serve(up, place, "awsvpc", 8081, "http")  # the clients were there before
    own = (name, 8081)
    until(lambda: len(instances(sd)) == 2, why=lambda: told(ecs))
    for container in clients.values():
        assert asked(container, *own)[0] != 0, "nobody is let in without a rule"
    ec2.authorize_security_group_ingress(GroupId=place["servers"], **rule(place))
    gets(clients["awsvpc"], *own, "awsvpc")
    assert asked(clients["bridge"], *own)[0] != 0, "its instance is in another group"
    for port, protocol in ((8082, "http"), (8083, "tcp")):
        name = serve(up, place, "bridge", port, protocol)
        gets(clients["bridge"], name, port, "bridge")
        assert asked(clients["awsvpc"], name, port)[0] != 0, "instances let in those of their group"

    up.kill()
    assert_docker_is_left(clients["awsvpc"])
    up.start()
    gets(clients["awsvpc"], *own, "awsvpc")

    ecs.update_service(service="awsvpc-8081", desiredCount=0)
    until(lambda: asked(clients["awsvpc"], *own)[0] != 0)
    ecs.update_service(service="awsvpc-8081", desiredCount=1)
    gets(clients["awsvpc"], *own, "awsvpc")

    ec2.revoke_security_group_ingress(GroupId=place["servers"], **rule(place))
    until(lambda: asked(clients["awsvpc"], *own)[0] != 0)

    for service in ("awsvpc-8081", "bridge-8082", "bridge-8083"):
        ecs.delete_service(service=service, force=True)
    until(lambda: not doors(ec2) and not sd.list_services()["Services"], why=lambda: doors(ec2))
    until(lambda: "Name or service not known" in asked(clients["bridge"], "bridge-8082.shop", 8082)[1])


def test_groups_decide_about_the_port_that_tasks_say_instead_of_their_containers(
    up: Up, place: dict[str, Any]
) -> None:
    ec2, ecs, sd = up.client("ec2"), up.client(), up.client("servicediscovery", inject_host_prefix=False)
    asks = client(up, place, "awsvpc")
    name = serve(up, place, "awsvpc", 8085, "http", "ingress", ingressPortOverride=9000)
    until(lambda: len(instances(sd)) == 2, why=lambda: told(ecs))
    own = instances(sd)[0]["Attributes"]["AWS_INSTANCE_IPV4"]
    ec2.authorize_security_group_ingress(GroupId=place["ingress"], **rule(place))
    gets(asks, own, PORT, "awsvpc")
    assert asked(asks, name, 8085)[0] != 0, "the group lets nobody in at 9000"
    ec2.revoke_security_group_ingress(GroupId=place["ingress"], **rule(place))
    ec2.authorize_security_group_ingress(GroupId=place["ingress"], **rule(place, 9000))
    gets(asks, name, 8085, "awsvpc")
    gets(asks, own, 9000, "awsvpc")
    until(lambda: asked(asks, own, PORT)[0] != 0)


def assert_docker_is_left(container: str) -> None:
    shown = subprocess.run(
        ["docker", "inspect", "-f", "{{.State.Running}}", container], capture_output=True, check=True
    )
    assert shown.stdout == b"true\n"


def instances(sd: Any) -> list[Any]:
    return [
        one for each in sd.list_services()["Services"]
        for one in sd.list_instances(ServiceId=each["Id"])["Instances"]
    ]  # fmt: skip


def told(ecs: Any) -> list[str]:
    found = ecs.describe_services(services=["awsvpc-8081"])["services"][0]["events"]
    return [one["message"] for one in found]


def doors(ec2: Any) -> list[str]:
    found = ec2.describe_network_interfaces()["NetworkInterfaces"]
    return [one["Description"] for one in found if one["Description"].startswith("ECS Service Connect ")]
