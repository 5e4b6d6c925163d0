"""The classic lesson, on a real `homeport up`: a balancer reaches nothing that no rule lets it reach.

Who forgot the rule sees unhealthy targets, is told which one it is, types it, and is served.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from homeport.app.connection import read_connection
from homeport.cli.env import variables
from homeport.node.firewall.kernel import table_name
from tests.kit.behind_balancer import until
from tests.kit.docker import IMAGE
from tests.kit.packets import inside
from tests.kit.up import TASK_LABEL, Up, explained, homeport_up
from tests.kit.web import PORT, web_definition

pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(600)]
AWS = Path(sys.executable).parent / "aws"
CHECKS = {
    "HealthCheckPath": "/health",
    "HealthCheckIntervalSeconds": 5,
    "HealthCheckTimeoutSeconds": 2,
    "HealthyThresholdCount": 2,
    "UnhealthyThresholdCount": 2,
}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with homeport_up(tmp_path_factory.mktemp("up"), "--instances", "2") as running:
        yield running
        name = table_name(running.installation)
        assert name in tables()
    assert name not in tables(), "nothing is left of it"


def tables() -> str:
    return subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout


def group_of(ec2: Any, vpc: str, name: str) -> str:
    return str(ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"])


def environment(up: Up) -> dict[str, str]:
    kept = {"PATH": f"{AWS.parent}:{os.environ['PATH']}", "HOME": str(up.folder), "AWS_PAGER": ""}
    return {**kept, **variables(read_connection(up.data_dir))}


def test_a_balancer_without_its_rule_finds_no_target_and_the_rule_that_is_told_lets_it_in(up: Up) -> None:
    ec2, elb, ecs = up.client("ec2"), up.client("elbv2"), up.client()
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]]
    guests, hosts = group_of(ec2, vpc, "guests"), group_of(ec2, vpc, "hosts")
    ec2.authorize_security_group_ingress(GroupId=guests, IpProtocol="tcp", FromPort=80, ToPort=80,
                                         CidrIp="0.0.0.0/0")  # fmt: skip
    for reservation in ec2.describe_instances()["Reservations"]:
        ec2.modify_instance_attribute(InstanceId=reservation["Instances"][0]["InstanceId"], Groups=[hosts])
    balancer = elb.create_load_balancer(Name="web", Subnets=subnets, SecurityGroups=[guests])[
        "LoadBalancers"
    ][0]["LoadBalancerArn"]
    group = elb.create_target_group(Name="web", Protocol="HTTP", Port=80, VpcId=vpc, **CHECKS)[
        "TargetGroups"
    ][0]["TargetGroupArn"]
    elb.create_listener(
        LoadBalancerArn=balancer, Protocol="HTTP", Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )  # fmt: skip
    ecs.register_task_definition(**web_definition("web", "served"))
    ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=2, healthCheckGracePeriodSeconds=600,
        loadBalancers=[{"targetGroupArn": group, "containerName": "web", "containerPort": PORT}],
    )  # fmt: skip

    def states() -> list[tuple[str, str]]:
        found = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return [(one["TargetHealth"]["State"], one["TargetHealth"].get("Reason", "")) for one in found]

    until(lambda: states() == [("unhealthy", "Target.Timeout")] * 2, why=states)

    told = explained(up, "web")
    (reason, *_) = [one for one in told["because"] if "security group" in one]
    assert f"security group {hosts} (hosts) of instance" in reason
    assert f"in from load balancer web (security group {guests} (guests))" in reason
    (remedy,) = [one for one in told["remedies"] if "authorize-security-group" in one]
    command = remedy.partition(": ")[2]
    assert f"--group-id {hosts} --protocol tcp --port 49153-65535 --source-group {guests}" in command
    done = subprocess.run(
        shlex.split(command), env=environment(up), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr

    until(lambda: [state for state, _ in states()] == ["healthy"] * 2, why=states)
    assert not [one for one in explained(up, "web").get("because", ()) if "security group" in one]
    mark = f"ELB {balancer.partition(':loadbalancer/')[2]}"
    addresses = [
        one["PrivateIpAddress"]
        for one in ec2.describe_network_interfaces()["NetworkInterfaces"]
        if one["Description"] == mark
    ]
    with closing(http.client.HTTPConnection(addresses[0], 80, timeout=10)) as connection:
        connection.request("GET", "/", headers={"Host": "example.com"})
        assert connection.getresponse().read() == b"served"

    # Nobody is let in any more: what begins from now on is dropped, not refused.
    ec2.revoke_security_group_ingress(GroupId=guests, IpProtocol="tcp", FromPort=80, ToPort=80,
                                      CidrIp="0.0.0.0/0")  # fmt: skip
    until(lambda: not answers(addresses[0]))


def answers(address: str) -> bool:
    try:
        socket.create_connection((address, 80), timeout=1).close()
    except TimeoutError:
        return False
    return True


STAY = ["sh", "-c", f"exec httpd -f -p {PORT}"]


def runs(up: Up, family: str, groups: list[str], subnets: list[str]) -> Any:
    """A task that listens, with an address of its own; without `groups` on its instance."""
    ecs = up.client()
    mode = "awsvpc" if groups else "bridge"
    listening = {
        "name": "app", "image": IMAGE, "memory": 32, "command": STAY,
        "portMappings": [{"containerPort": PORT}],
    }  # fmt: skip
    ecs.register_task_definition(family=family, networkMode=mode, containerDefinitions=[listening])
    place = {"subnets": subnets, "securityGroups": groups}
    network = {"networkConfiguration": {"awsvpcConfiguration": place}} if groups else {}
    arn = ecs.run_task(taskDefinition=family, **network)["tasks"][0]["taskArn"]

    def running() -> Any:
        (task,) = ecs.describe_tasks(tasks=[arn])["tasks"]
        return task if task["lastStatus"] == "RUNNING" else None

    return until(running, why=lambda: ecs.describe_tasks(tasks=[arn])["tasks"])


def address_of(task: Any) -> str:
    details = {one["name"]: one["value"] for one in task["attachments"][0]["details"]}
    return str(details["privateIPv4Address"])


def namespace_of(up: Up, task: Any) -> str:
    """The network namespace of its container, as a file."""
    ids = {
        one["Id"]
        for one in up.containers()
        if one["Labels"].get(TASK_LABEL) == task["taskArn"] and one["State"] == "running"
    }
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            text = (process / "cgroup").read_text() + (process / "cmdline").read_text()
            if any(one in text for one in ids) and "httpd" in text:
                return str(process / "ns" / "net")
    raise AssertionError("no process of the task")


def reaches(namespace: str, address: str) -> bool:
    """Whether who is in that namespace gets through; an empty one is the machine's."""
    if not namespace:
        return tries(socket.socket(), address)
    return inside(namespace, lambda: tries(socket.socket(), address))


def tries(sent: socket.socket, address: str) -> bool:
    with closing(sent):
        sent.settimeout(1)
        try:
            sent.connect((address, PORT))
        except TimeoutError:
            return False
        return True


def test_tasks_let_in_whom_their_groups_do(up: Up) -> None:
    """A task's interface, a container of an instance and the machine itself, each by a rule about it."""
    ec2 = up.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]]
    names = ("db", "app", "other", "machines")
    db, app, other, machines = (group_of(ec2, vpc, name) for name in names)
    for reservation in ec2.describe_instances()["Reservations"]:
        instance = reservation["Instances"][0]["InstanceId"]
        ec2.modify_instance_attribute(InstanceId=instance, Groups=[machines])
    served = address_of(runs(up, "db", [db], subnets))
    friend, stranger = (runs(up, name, [group], subnets) for name, group in (("app", app), ("other", other)))
    guest = runs(up, "guest", [], [])
    inside_of = {name: namespace_of(up, one) for name, one in
                 (("friend", friend), ("stranger", stranger), ("guest", guest))}  # fmt: skip

    def let_in(**peer: Any) -> None:
        permission = {"IpProtocol": "tcp", "FromPort": PORT, "ToPort": PORT, **peer}
        ec2.authorize_security_group_ingress(GroupId=db, IpPermissions=[permission])

    def whoever_gets_in() -> set[str]:
        found = {name for name, namespace in inside_of.items() if reaches(namespace, served)}
        return found | ({"machine"} if reaches("", served) else set())

    assert whoever_gets_in() == set()
    let_in(UserIdGroupPairs=[{"GroupId": app}])
    until(lambda: reaches(inside_of["friend"], served))
    assert whoever_gets_in() == {"friend"}
    let_in(UserIdGroupPairs=[{"GroupId": machines}])
    until(lambda: reaches(inside_of["guest"], served))
    assert whoever_gets_in() == {"friend", "guest"}
    let_in(IpRanges=[{"CidrIp": f"{address_of(stranger)}/32"}])
    until(lambda: reaches(inside_of["stranger"], served))
    assert whoever_gets_in() == {"friend", "guest", "stranger"}
    let_in(IpRanges=[{"CidrIp": "0.0.0.0/0"}])
    until(lambda: reaches("", served))

    # What the control plane decided stands while it is away, and what it decides when it is back.
    up.kill()
    assert whoever_gets_in() == {"friend", "guest", "stranger", "machine"}
    up.start()
    rules = ec2.describe_security_groups(GroupIds=[db])["SecurityGroups"][0]["IpPermissions"]
    ec2.revoke_security_group_ingress(GroupId=db, IpPermissions=rules)
    until(lambda: whoever_gets_in() == set(), why=whoever_gets_in)
