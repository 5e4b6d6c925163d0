"""Tasks whose networks are the node's own: awsvpc, and bridge mode with sandboxes. In virtual time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from homeport.agentproto.messages import Container, DockerConfig, PortMapping, PublishMetricsRequest, Task
from homeport.node.metadata import view
from homeport.node.names import endpoint_id
from homeport.node.networks import MalformedInterfaceError, interface_of
from homeport.node.ports import DriverError, RunState
from homeport.node.render_network import Linked, link_environment
from tests.kit.machine import FakeMachine
from tests.kit.node import container, task
from tests.kit.sandboxes import FakeSandboxes, interface, with_sandboxes
from tests.unit.node.conftest import World

pytestmark = pytest.mark.looptime


def vpc_task(name: str, *containers: Container, address: str = "10.99.0.20", **members: Any) -> Task:
    return task(
        name,
        *containers,
        network_mode="awsvpc",
        elastic_network_interfaces=(interface(address),),
        **members,
    )


def configured(name: str, *, config: dict[str, Any], host: dict[str, Any], **members: Any) -> Container:
    made = container(name, **members)
    docker = DockerConfig(config=json.dumps(config), host_config=json.dumps(host))
    return msgspec.structs.replace(made, docker_config=docker)


def only_sandbox(sandboxes: FakeSandboxes) -> Any:
    (found,) = sandboxes.namespaces.values()
    return found


def body_of(machine: FakeMachine, name: str) -> Any:
    (found,) = [c for n, c in machine.containers.items() if f"-{name}-" in n]
    return found.spec


async def test_containers_of_an_awsvpc_task_share_the_network_of_its_interface(world: World) -> None:
    drivers, sandboxes = with_sandboxes(world.machine)
    async with world.node(drivers=drivers):
        wanted = vpc_task("a", container("app"), container("side"))
        world.plane.run_task(wanted)
        report = await world.plane.until(wanted.arn, "RUNNING")
        (name,) = sandboxes.namespaces
        modes = {body_of(world.machine, each).host_config["NetworkMode"] for each in ("app", "side")}
        assert modes == {f"container:{name}"}
        assert "internalecspause" in name  # as the ECS agent names it: ~internal~ecs~pause
        made = only_sandbox(sandboxes).spec.interface
        assert (made.address, made.mac, made.subnet) == ("10.99.0.20", "02:aa:bb:cc:dd:01", "10.99.0.0/24")
        assert made.dns == ("10.99.0.2",)
        assert [c["containerName"] for c in report["containers"]] == ["app", "side"]
        assert not any(c.get("networkBindings") for c in report["containers"])
        arn = wanted.elastic_network_interfaces[0]["attachmentArn"]
        assert report["attachments"] == [{"attachmentArn": arn, "status": "ATTACHED"}]


async def test_attached_is_said_while_an_image_is_still_pulled(world: World) -> None:
    world.machine.registry = {"slow:1": 60.0}
    drivers, _ = with_sandboxes(world.machine)
    async with world.node(drivers=drivers):
        wanted = vpc_task("a", container(image="slow:1"))
        record = world.plane.run_task(wanted)
        await asyncio.sleep(30)
        assert [(r["status"], bool(r.get("attachments"))) for r in record.reports][-1] == ("PENDING", True)


async def test_a_network_is_gone_before_the_task_is_said_to_be_over(world: World) -> None:
    drivers, sandboxes = with_sandboxes(world.machine)
    async with world.node(drivers=drivers):
        wanted = vpc_task("a")
        record = world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        world.machine.slow = {"sandboxes.remove": 5.0}
        world.plane.stop_task(wanted.arn)
        await asyncio.sleep(4)
        assert {r["status"] for r in record.reports} == {"RUNNING"}
        await world.plane.until(wanted.arn, "STOPPED")
        assert not sandboxes.namespaces
        assert sandboxes.violations == []


async def test_an_awsvpc_task_without_sandboxes_is_refused(world: World) -> None:
    async with world.node():
        wanted = vpc_task("a")
        world.plane.run_task(wanted)
        assert "awsvpc" in (await world.plane.until(wanted.arn, "STOPPED"))["reason"]


@pytest.mark.parametrize(
    "eni",
    [
        (),
        ({**interface(), "subnetGatewayIpv4Address": ""},),
        ({**interface(), "ipv4Addresses": []},),
        ({**interface(), "interfaceAssociationProtocol": "vlan"},),
        (interface("10.98.0.1"),),
        (interface(), interface("10.99.0.21", 2)),
    ],
)
def test_an_interface_that_cannot_be_used_is_said(eni: tuple[dict[str, Any], ...]) -> None:
    with pytest.raises(MalformedInterfaceError):
        interface_of(task("a", network_mode="awsvpc", elastic_network_interfaces=eni))


async def test_a_bridge_container_has_a_network_of_its_own_with_its_ports(world: World) -> None:
    drivers, sandboxes = with_sandboxes(world.machine)
    async with world.node(drivers=drivers, dynamic_ports=(50000, 50009), host_ip="172.31.0.4"):
        ports = (PortMapping(container_port=80), PortMapping(container_port=53, host_port=53, protocol="udp"))
        wanted = task("a", container("app", port_mappings=ports), container("side"))
        world.plane.run_task(wanted)
        report = await world.plane.until(wanted.arn, "RUNNING")
        app = next(s for name, s in sandboxes.namespaces.items() if name.count("app"))
        assert {(p.container_port, p.protocol, p.host_port) for p in app.spec.published} == {
            (80, "tcp", 50000),
            (53, "udp", 53),
        }
        assert len(sandboxes.namespaces) == 2
        assert "PortBindings" not in body_of(world.machine, "app").host_config
        assert report["containers"][0]["networkBindings"] == [
            {"bindIP": "172.31.0.4", "containerPort": 80, "hostPort": 50000, "protocol": "tcp"},
            {"bindIP": "172.31.0.4", "containerPort": 53, "hostPort": 53, "protocol": "udp"},
        ]
        assert "attachments" not in report


async def test_names_hosts_and_links_are_the_networks(world: World) -> None:
    """Source: Docker Engine API: a container in another's network has none of its own."""
    drivers, sandboxes = with_sandboxes(world.machine)
    async with world.node(drivers=drivers):
        db = container("db", environment={"USER": "me"}, port_mappings=(PortMapping(container_port=5432),))
        app = configured(
            "app",
            config={"Hostname": "web"},
            host={"Dns": ["9.9.9.9"], "DnsSearch": ["corp"], "ExtraHosts": ["old:10.1.1.1"]},
            links=("db:store",),
        )
        wanted = task("a", app, db)
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        spec = next(s.spec for name, s in sandboxes.namespaces.items() if "sandboxapp" in name)
        address = next(s.address for name, s in sandboxes.namespaces.items() if "sandboxdb" in name)
        assert (spec.hostname, spec.dns, spec.dns_search) == ("web", ("9.9.9.9",), ("corp",))
        assert spec.extra_hosts[:3] == (("old", "10.1.1.1"), ("store", address), ("db", address))
        body = body_of(world.machine, "app")
        assert not {"Hostname", "ExposedPorts"} & body.config.keys()
        assert not {"Links", "Dns", "DnsSearch", "ExtraHosts", "PortBindings"} & body.host_config.keys()
        env = dict(entry.partition("=")[::2] for entry in body.config["Env"])
        assert env["STORE_PORT"] == f"tcp://{address}:5432"
        assert env["STORE_PORT_5432_TCP_ADDR"] == address
        assert env["STORE_ENV_USER"] == "me"
        assert "STORE_ENV_PATH" not in env
        assert env["STORE_NAME"].endswith("/store")


def test_of_two_ports_the_lower_is_the_links_and_tcp_before_udp() -> None:
    linked = Linked(
        name="db",
        alias="my-db",
        docker_name="x",
        address="10.0.0.9",
        ports=((8080, "tcp"), (53, "udp"), (53, "tcp")),
        env={},
    )
    told = link_environment(task("a"), container("app"), [linked])
    assert told["MY_DB_PORT"] == "tcp://10.0.0.9:53"
    assert told["MY_DB_PORT_53_UDP_PROTO"] == "udp"
    assert told["MY_DB_PORT_8080_TCP"] == "tcp://10.0.0.9:8080"


async def test_networking_that_is_disabled_needs_no_network(world: World) -> None:
    drivers, sandboxes = with_sandboxes(world.machine)
    async with world.node(drivers=drivers):
        wanted = task("a", configured("app", config={"NetworkDisabled": True}, host={}))
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        assert not sandboxes.namespaces


async def test_why_a_network_could_not_be_made_is_why_its_container_never_ran(world: World) -> None:
    drivers, sandboxes = with_sandboxes(world.machine)
    sandboxes.refusals = [DriverError("CannotCreateContainerError", "no more links")]
    async with world.node(drivers=drivers):
        wanted = vpc_task("a")
        world.plane.run_task(wanted)
        report = await world.plane.until(wanted.arn, "STOPPED")
        assert report["containers"][0]["reason"] == "CannotCreateContainerError: no more links"
        assert not sandboxes.namespaces  # not even half of it


async def test_a_network_that_is_lost_stops_the_task(world: World) -> None:
    drivers, sandboxes = with_sandboxes(world.machine)
    async with world.node(drivers=drivers):
        wanted = vpc_task("a")
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        sandboxes.break_link(*sandboxes.namespaces)
        report = await world.plane.until(wanted.arn, "STOPPED")
        assert report["reason"].startswith("ContainerVanishedError")
        assert not sandboxes.namespaces
        assert sandboxes.violations == []


async def test_a_network_is_made_while_the_image_is_pulled(world: World) -> None:
    world.machine.registry = {"slow:1": 60.0}
    drivers, _ = with_sandboxes(world.machine)
    world.machine.slow = {"sandboxes.ensure": 50.0}
    async with world.node(drivers=drivers):
        began = asyncio.get_running_loop().time()
        wanted = vpc_task("a", container(image="slow:1"))
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        assert asyncio.get_running_loop().time() - began < 62


async def test_a_killed_agent_finds_its_networks_again_and_makes_no_second_ones(world: World) -> None:
    drivers, sandboxes = with_sandboxes(world.machine)
    wanted = task("a", container("app", port_mappings=(PortMapping(container_port=80),)))
    async with world.node(drivers=drivers):
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
    made = list(sandboxes.made)
    async with world.node(drivers=drivers):
        await asyncio.sleep(1000)
        assert sandboxes.made == made
        world.plane.stop_task(wanted.arn)
        report = await world.plane.until(wanted.arn, "STOPPED")
        assert report["containers"][0]["exitCode"] == 0
        assert not sandboxes.namespaces


async def test_what_ran_on_dockers_bridge_stays_there_when_the_node_learns_of_networks(world: World) -> None:
    wanted = task("a", container("app", port_mappings=(PortMapping(container_port=80),)))
    async with world.node():
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
    drivers, sandboxes = with_sandboxes(world.machine)
    async with world.node(drivers=drivers):
        await asyncio.sleep(1000)
        assert sandboxes.made == []
        assert [c.state for c in world.machine.containers.values()] == [RunState.RUNNING]


async def test_a_network_that_nobody_knows_of_goes(world: World) -> None:
    drivers, sandboxes = with_sandboxes(world.machine)
    wanted = task("a")
    async with world.node(drivers=drivers):
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
    instance = world.plane.calls[0]
    assert instance[0] == "RegisterContainerInstance"
    lines = [line for line in world.disk.data.splitlines(keepends=True) if b"instance" in line[:40]]
    world.disk.data = b"".join(lines)  # everything but who it is
    world.plane.tasks.clear()
    async with world.node(drivers=drivers):
        await asyncio.sleep(10)
        assert not sandboxes.namespaces
        assert not world.machine.containers
        assert sandboxes.violations == []


async def test_a_node_with_networks_says_that_it_has_interfaces_for_tasks(world: World) -> None:
    drivers, _ = with_sandboxes(world.machine)
    async with world.node(drivers=drivers):
        names = {each["name"] for each in world.plane.calls[0][1]["attributes"]}
        assert "ecs.capability.task-eni" in names
    async with World(world.clock, FakeMachine(world.clock), world.plane).node():
        names = {each["name"] for each in world.plane.calls[-2][1].get("attributes", ())}
        assert "ecs.capability.task-eni" not in names


async def test_traffic_is_the_networks_shared_among_those_that_are_in_it(world: World) -> None:
    drivers, _ = with_sandboxes(world.machine)
    async with world.node(drivers=drivers, publish_interval_seconds=20):
        wanted = vpc_task("a", container("app"), container("side"))
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        await asyncio.sleep(60)
        frames = [f for f in world.plane.frames if isinstance(f, PublishMetricsRequest) and f.task_metrics]
        metrics = frames[-1].task_metrics[0].container_metrics
        assert [m.container_name for m in metrics] == ["app", "side"]
        stats = metrics[0].network_stats_set
        assert stats is not None
        assert (stats["rxBytes"]["sum"], stats["txPackets"]["sum"]) == (500, 2)


async def test_task_metadata_shows_the_interface(world: World) -> None:
    drivers, _ = with_sandboxes(world.machine)
    async with world.node(drivers=drivers) as agent:
        wanted = vpc_task("a")
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        assert agent.source is not None
        found = agent.source.by_endpoint(endpoint_id(wanted.arn, "app"))
        assert found is not None
        assert view.container_v4(found[1])["Networks"] == [
            {
                "NetworkMode": "awsvpc",
                "IPv4Addresses": ["10.99.0.20"],
                "AttachmentIndex": 0,
                "MACAddress": "02:aa:bb:cc:dd:01",
                "IPv4SubnetCIDRBlock": "10.99.0.0/24",
                "DomainNameServers": ["10.99.0.2"],
                "DomainNameSearchList": ["ec2.internal"],
                "PrivateDNSName": "ip-10-99-0-20.ec2.internal",
                "SubnetGatewayIpv4Address": "10.99.0.1/24",
            }
        ]
        usage = await agent.source.usage(found[1])
        assert usage is not None
        assert view.stats(usage)["networks"]["eth0"]["rx_bytes"] == 1000


async def test_ports_that_were_lost_while_no_agent_was_there_are_published_by_the_next(world: World) -> None:
    drivers, sandboxes = with_sandboxes(world.machine)
    wanted = task("a", container("app", port_mappings=(PortMapping(container_port=80),)))
    async with world.node(drivers=drivers):
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        before = only_sandbox(sandboxes).spec.published
    sandboxes.lose_ports()
    async with world.node(drivers=drivers):
        await asyncio.sleep(5)
        assert only_sandbox(sandboxes).spec.published == before != ()
        assert (sandboxes.violations, len(sandboxes.made)) == ([], 1)


async def test_half_a_network_of_a_killed_agent_goes_before_its_task_is_said_to_be_over(world: World) -> None:
    drivers, sandboxes = with_sandboxes(world.machine)
    world.machine.slow = {"sandboxes.ensure": 30.0}
    wanted = vpc_task("a")
    left: list[str] = []
    world.plane.on_final = lambda task: left.extend(sandboxes.namespaces)
    async with world.node(drivers=drivers):
        world.plane.run_task(wanted)
        await asyncio.sleep(5)
        world.plane.stop_task(wanted.arn)
        await asyncio.sleep(5)
    assert sandboxes.namespaces
    async with world.node(drivers=drivers):
        await world.plane.until(wanted.arn, "STOPPED")
    assert left == []
    assert not sandboxes.namespaces


async def test_a_new_instance_begins_without_the_networks_of_the_one_before(world: World) -> None:
    """The control plane gives their addresses to others once it has registered."""
    drivers, sandboxes = with_sandboxes(world.machine)
    wanted = vpc_task("a", container("app", "exit", "0"))
    async with world.node(drivers=drivers):
        world.plane.run_task(vpc_task("b", address="10.99.0.21"))
        await world.plane.until(vpc_task("b").arn, "RUNNING")
    world.disk.data = b""
    for each in world.machine.containers.values():
        world.machine.end(each, 137)
    left: list[int] = []
    world.plane.answers["RegisterContainerInstance"] = lambda request: (
        left.append(len(sandboxes.namespaces))
        or {"containerInstance": {"containerInstanceArn": "arn:new", "attributes": request["attributes"]}}
    )
    world.plane.tasks.clear()
    async with world.node(drivers=drivers):
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "STOPPED")
    assert left == [0]
    assert sandboxes.violations == []
