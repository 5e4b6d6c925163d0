"""Load balancers of a real `homeport up`: packets do what the API says, this machine's and containers'."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from homeport.app.balancers.envoy_process import Files, find_running, proxy_folder
from homeport.node.address_link import balancer_link
from tests.kit.behind_balancer import until
from tests.kit.docker import IMAGE
from tests.kit.load import constant_load
from tests.kit.up import Up, clean_environment, free_port, homeport_up
from tests.kit.web import web_definition

pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.root]
CHECKS = {
    "HealthCheckPath": "/health",
    "HealthCheckIntervalSeconds": 5,
    "HealthCheckTimeoutSeconds": 4,
    "HealthyThresholdCount": 2,
    "UnhealthyThresholdCount": 2,
}


@dataclass(slots=True)
class World:
    """Two tasks, `one` and `two`, each in a target group of its own behind one balancer."""

    up: Up
    elb: Any
    ec2: Any
    ecs: Any
    vpc: str
    subnets: list[str]
    guests: str
    balancer: Any
    port: int
    listener: str
    groups: dict[str, str]

    def address_of(self, balancer: Any) -> str:
        mark = f"ELB {balancer['LoadBalancerArn'].partition(':loadbalancer/')[2]}"
        found = until(lambda: [one for one in self.interfaces() if one["Description"] == mark])
        return str(found[0]["PrivateIpAddress"])

    def interfaces(self) -> list[Any]:
        return list(self.ec2.describe_network_interfaces()["NetworkInterfaces"])

    @property
    def address(self) -> str:
        return self.address_of(self.balancer)

    def group(self, name: str, **changes: Any) -> str:
        made = {"Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": self.vpc, **CHECKS, **changes}
        return str(self.elb.create_target_group(**made)["TargetGroups"][0]["TargetGroupArn"])

    def rule(self, priority: int, conditions: list[Any], actions: list[Any]) -> str:
        made = self.elb.create_rule(
            ListenerArn=self.listener, Priority=priority, Conditions=conditions, Actions=actions
        )
        return str(made["Rules"][0]["RuleArn"])

    def states(self, group: str) -> list[tuple[str, str]]:
        found = self.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return [(one["TargetHealth"]["State"], one["TargetHealth"].get("Reason", "")) for one in found]

    def until_healthy(self, group: str) -> None:
        until(
            lambda: [state for state, _ in self.states(group)] == ["healthy"], why=lambda: self.states(group)
        )

    def run(self, name: str, definition: dict[str, Any]) -> str:
        self.ecs.register_task_definition(**definition)
        return str(self.ecs.run_task(taskDefinition=name)["tasks"][0]["taskArn"])

    def task(self, arn: str) -> Any:
        return self.ecs.describe_tasks(tasks=[arn])["tasks"][0]

    def place(self, arn: str) -> tuple[str, int]:
        """The instance of a task, and its published port."""
        told = until(
            lambda: one if (one := self.task(arn))["lastStatus"] == "RUNNING" else None,
            why=lambda: self.task(arn),
        )
        where = self.ecs.describe_container_instances(containerInstances=[told["containerInstanceArn"]])
        port = told["containers"][0]["networkBindings"][0]["hostPort"]
        return where["containerInstances"][0]["ec2InstanceId"], int(port)

    def until_is(self, path: str, wanted: object) -> None:
        until(lambda: self.ask(path)[:2] == wanted, why=lambda: self.ask(path))

    def ask(self, path: str = "/", *, host: str = "example.com", at: str = "") -> tuple[int, str, str]:
        """The status, the body and where it leads, of a request from this machine."""
        with closing(http.client.HTTPConnection(at or self.address, self.port, timeout=10)) as connection:
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.getheader("location") or ""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with homeport_up(tmp_path_factory.mktemp("up"), "--instances", "2") as up:
        yield made(up)
        installation = up.installation
    assert find_running(Files(folder=proxy_folder(installation))) is None
    assert not proxy_folder(installation).exists()
    assert balancer_link(installation) not in links()


def links() -> set[str]:
    told = subprocess.run(["ip", "-j", "link"], capture_output=True, text=True, check=True).stdout
    return {one["ifname"] for one in json.loads(told)}


def addresses(link: str) -> set[str]:
    told = subprocess.run(
        ["ip", "-j", "-4", "address", "show", "dev", link], capture_output=True, text=True, check=True
    ).stdout
    return {info["local"] for one in json.loads(told) for info in one.get("addr_info", ())}


def made(up: Up) -> World:
    elb, ec2, ecs = up.client("elbv2"), up.client("ec2"), up.client()
    subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]]
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    found = ec2.describe_security_groups()["SecurityGroups"]
    default = next(one["GroupId"] for one in found if one["GroupName"] == "default")
    guests = ec2.create_security_group(GroupName="guests", Description="all", VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=guests, IpProtocol="-1", CidrIp="0.0.0.0/0")
    balancer = elb.create_load_balancer(Name="web", Subnets=subnets[:2], SecurityGroups=[default, guests])[
        "LoadBalancers"
    ][0]
    port = free_port()
    fixed = {"StatusCode": "404", "MessageBody": "nothing here", "ContentType": "text/plain"}
    listener = elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=port,
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": fixed}],
    )["Listeners"][0]["ListenerArn"]
    world = World(up, elb, ec2, ecs, vpc, subnets, guests, balancer, port, listener, {})
    for name in ("one", "two"):
        instance, host_port = world.place(world.run(name, web_definition(name, name)))
        world.groups[name] = world.group(name)
        elb.register_targets(TargetGroupArn=world.groups[name], Targets=[{"Id": instance, "Port": host_port}])
    return world


def forward(*shares: tuple[str, int]) -> list[Any]:
    groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in shares]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]


def path_is(*patterns: str) -> Any:
    return {"Field": "path-pattern", "PathPatternConfig": {"Values": list(patterns)}}


def test_a_balancer_has_its_interfaces_addresses_on_this_machine_and_becomes_active(world: World) -> None:
    arn = world.balancer["LoadBalancerArn"]

    def state() -> Any:
        return world.elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]["State"]

    until(lambda: state() == {"Code": "active"}, 30, why=lambda: (state(), world.up.log.read_text()[-2000:]))
    mine = {o["PrivateIpAddress"] for o in world.interfaces() if o.get("RequesterId") == "amazon-elb"}
    assert addresses(balancer_link(world.up.installation)) == mine
    assert len(mine) == 2
    assert world.ask("/") == (404, "nothing here", "")


def test_rules_lead_where_they_say(world: World) -> None:
    one, two = world.groups["one"], world.groups["two"]
    world.rule(1, [path_is("/one", "/health")], forward((one, 1)))
    world.rule(2, [{"Field": "host-header", "Values": ["two.example.com"]}], forward((two, 1)))
    redirect = {"StatusCode": "HTTP_301", "Protocol": "HTTPS", "Port": "443", "Path": "/new/#{path}"}
    world.rule(3, [path_is("/old/*")], [{"Type": "redirect", "RedirectConfig": redirect}])
    world.rule(4, [path_is("/both")], forward((one, 1), (two, 1)))
    for group in (one, two):
        world.until_healthy(group)
    world.until_is("/one", (200, "one"))
    assert world.ask("/any", host="two.example.com")[:2] == (200, "two")
    status, _, location = world.ask("/old/a")
    assert (status, location) == (301, "https://example.com:443/new/old/a")
    shares = Counter(world.ask("/both")[1] for _ in range(60))
    assert set(shares) == {"one", "two"}
    assert min(shares.values()) > 10


def test_a_container_reaches_the_balancer_too(world: World) -> None:
    world.until_is("/one", (200, "one"))
    asked = "(printf 'GET /one HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n'; sleep 3)"  # else nc shuts its side
    script = f'test "$( {asked} | nc -w 10 {world.address} {world.port} | tail -n 1)" = one'
    container = {"name": "asks", "image": IMAGE, "memory": 32, "command": ["sh", "-c", script]}
    arn = world.run("asks", {"family": "asks", "containerDefinitions": [container]})
    told = until(lambda: one if (one := world.task(arn))["lastStatus"] == "STOPPED" else None)
    assert told["containers"][0].get("exitCode") == 0, told


def test_targets_are_as_unwell_as_the_documentation_says(world: World) -> None:
    _, unused = world.groups["one"], world.group("unused")
    (known,) = world.elb.describe_target_health(TargetGroupArn=world.groups["one"])[
        "TargetHealthDescriptions"
    ]
    target = known["Target"]
    world.elb.register_targets(TargetGroupArn=unused, Targets=[target])
    assert world.states(unused) == [("unused", "Target.NotInUse")]
    fussy = world.group("fussy", Matcher={"HttpCode": "418"})
    silent = world.group("silent")
    closed = {"Id": target["Id"], "Port": free_port()}
    world.rule(10, [path_is("/fussy", "/closed")], forward((fussy, 1), (silent, 1)))
    world.elb.register_targets(TargetGroupArn=fussy, Targets=[target])
    world.elb.register_targets(TargetGroupArn=silent, Targets=[closed])
    until(lambda: world.states(fussy) == [("unhealthy", "Target.ResponseCodeMismatch")])
    until(lambda: world.states(silent) == [("unhealthy", "Target.FailedHealthChecks")])
    (told,) = world.elb.describe_target_health(TargetGroupArn=fussy)["TargetHealthDescriptions"]
    assert "[200]" in told["TargetHealth"]["Description"]
    world.elb.deregister_targets(TargetGroupArn=fussy, Targets=[target])
    assert world.states(fussy) == [("draining", "Target.DeregistrationInProgress")]


def test_an_address_of_the_vpc_can_be_a_target_itself(world: World) -> None:
    (known,) = world.elb.describe_target_health(TargetGroupArn=world.groups["two"])[
        "TargetHealthDescriptions"
    ]
    instance = known["Target"]["Id"]
    own = next(o for o in world.interfaces() if o.get("Attachment", {}).get("InstanceId") == instance)
    group = world.group("by-address", TargetType="ip")
    world.rule(20, [path_is("/by-address")], forward((group, 1)))
    target = {"Id": own["PrivateIpAddress"], "Port": known["Target"]["Port"]}
    world.elb.register_targets(TargetGroupArn=group, Targets=[target])
    world.until_healthy(group)
    world.until_is("/by-address", (200, "two"))


def homeport(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "homeport", *words, "--data-dir", str(world.up.data_dir)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_its_url_works_from_this_machine_and_its_name_on_loopback(world: World) -> None:
    printed = homeport(world, "url", "web")
    assert printed.stdout == f"http://{world.address}:{world.port}/\n", printed.stderr
    told = json.loads(homeport(world, "url", "balancer", "web", "--json").stdout)
    (door,) = told["addresses"]
    label = world.balancer["DNSName"].partition(".")[0]
    assert door["loopback"] == f"http://{label}.elb.localhost:{world.port}/"
    assert world.ask("/one", host=f"{label}.elb.localhost:{world.port}", at="127.0.0.1")[:2] == (200, "one")
    assert world.ask("/one", host="example.com", at="127.0.0.1")[0] == 404


def test_a_port_of_loopback_that_is_taken_is_said_to_be_and_the_balancer_works(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        arn = world.elb.create_listener(
            LoadBalancerArn=world.balancer["LoadBalancerArn"],
            Protocol="HTTP",
            Port=port,
            DefaultActions=forward((world.groups["one"], 1)),
        )["Listeners"][0]["ListenerArn"]

        def why() -> Any:
            told = json.loads(homeport(world, "url", "balancer", "web", "--json").stdout)
            return next((o["closed"] for o in told["addresses"] if o["port"] == port), "")

        until(lambda: "in use" in why(), why=why)
        with closing(http.client.HTTPConnection(world.address, port, timeout=10)) as connection:
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"one"
    world.elb.delete_listener(ListenerArn=arn)


def network_balancer(world: World, name: str, protocol: str, port: int, group: str) -> str:
    made = world.elb.create_load_balancer(
        Name=name, Type="network", Subnets=world.subnets, SecurityGroups=world.balancer["SecurityGroups"]
    )["LoadBalancers"][0]
    everywhere = {"Key": "load_balancing.cross_zone.enabled", "Value": "true"}
    world.elb.modify_load_balancer_attributes(
        LoadBalancerArn=made["LoadBalancerArn"], Attributes=[everywhere]
    )
    world.elb.create_listener(
        LoadBalancerArn=made["LoadBalancerArn"],
        Protocol=protocol,
        Port=port,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    return world.address_of(made)


def test_a_network_balancer_carries_connections(world: World) -> None:
    (known,) = world.elb.describe_target_health(TargetGroupArn=world.groups["one"])[
        "TargetHealthDescriptions"
    ]
    group = world.elb.create_target_group(
        Name="tcp",
        Protocol="TCP",
        Port=80,
        VpcId=world.vpc,
        HealthCheckTimeoutSeconds=4,
        HealthCheckIntervalSeconds=5,
    )["TargetGroups"][0]["TargetGroupArn"]
    world.elb.register_targets(TargetGroupArn=group, Targets=[known["Target"]])
    port = free_port()
    address = network_balancer(world, "net", "TCP", port, group)
    world.until_healthy(group)
    with closing(http.client.HTTPConnection(address, port, timeout=10)) as connection:
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"one"


ECHO = """
import socket
place = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
place.bind(("0.0.0.0", 5353))
while True:
    place.sendto(*place.recvfrom(2048))
"""


def test_a_network_balancer_carries_datagrams(world: World) -> None:
    told = web_definition("echo", "echo")
    (container,) = told["containerDefinitions"]
    container["entryPoint"][-2:] = [ECHO]
    container["portMappings"] = [{"containerPort": 5353, "hostPort": 0, "protocol": "udp"}]
    instance, host_port = world.place(world.run("echo", told))
    (known,) = world.elb.describe_target_health(TargetGroupArn=world.groups["one"])[
        "TargetHealthDescriptions"
    ]
    group = world.elb.create_target_group(
        Name="udp",
        Protocol="UDP",
        Port=80,
        VpcId=world.vpc,
        HealthCheckProtocol="TCP",
        HealthCheckPort=str(known["Target"]["Port"]),
        HealthCheckTimeoutSeconds=4,
        HealthCheckIntervalSeconds=5,
    )["TargetGroups"][0]["TargetGroupArn"]
    world.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": instance, "Port": host_port}])
    port = free_port()
    address = network_balancer(world, "net-udp", "UDP", port, group)

    def echoed() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(1)
            try:
                client.sendto(b"hello", (address, port))
                return client.recvfrom(100)[0] == b"hello"
            except (TimeoutError, PermissionError):  # nobody listens, or nobody may yet
                return False

    until(echoed, why=lambda: world.states(group))


def test_a_killed_proxy_is_back_with_the_same_rules(world: World) -> None:
    world.until_is("/one", (200, "one"))
    running = find_running(Files(folder=proxy_folder(world.up.installation)))
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)

    def answers() -> bool:
        try:
            return world.ask("/one")[:2] == (200, "one")
        except OSError:
            return False

    until(answers, 15)
    world.until_healthy(world.groups["one"])


def test_a_killed_control_plane_costs_no_request(world: World) -> None:
    world.until_healthy(world.groups["one"])
    with constant_load(world.address, world.port, rate=100, path="/one") as told:
        world.up.kill()
        world.up.start()
        until(lambda: world.states(world.groups["one"]) == [("healthy", "")])
        rule = world.rule(30, [path_is("/fresh")], forward((world.groups["two"], 1)))
        world.until_is("/fresh", (200, "two"))
        world.elb.delete_rule(RuleArn=rule)
    assert told.failures == []
    assert told.bodies["one"] == told.begun > 100


def test_a_deleted_balancer_leaves_no_address(world: World) -> None:
    before = addresses(balancer_link(world.up.installation))
    gone = world.elb.create_load_balancer(Name="gone", Subnets=world.subnets[:2], Scheme="internal")[
        "LoadBalancers"
    ][0]
    assert re.fullmatch(r"internal-gone-\d+\.us-east-1\.elb\.amazonaws\.com", gone["DNSName"])
    world.address_of(gone)
    until(lambda: len(addresses(balancer_link(world.up.installation))) == len(before) + 2)
    world.elb.delete_load_balancer(LoadBalancerArn=gone["LoadBalancerArn"])
    until(lambda: addresses(balancer_link(world.up.installation)) == before)
