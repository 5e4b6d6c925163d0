"""The machine goes down with everything that is in its kernel, and comes back: only files are left.

Services have their tasks again, at addresses that packets find, behind the balancer that they had.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from homeport.app.balancers.envoy_process import end_leftover, proxy_folder
from homeport.node.sandbox import layout
from tests.kit.behind_balancer import HTTP, BehindBalancer, until
from tests.kit.docker import machine
from tests.kit.up import Up, homeport_up, kernel_traces

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with homeport_up(tmp_path_factory.mktemp("up"), "--instances", "2") as running:
        yield running


def lose_power(up: Up) -> None:
    """What a machine's kernel holds of an installation is gone; Docker's list of containers is not."""
    up.kill()
    for container in up.containers():
        if container["State"] == "running":
            machine("docker", "kill", container["Id"])
    folder = proxy_folder(up.installation)
    asyncio.run(end_leftover(folder))
    shutil.rmtree(folder, ignore_errors=True)
    own = layout.short_id(up.installation)
    for line in machine("ip", "-o", "link").splitlines():
        if own in (name := line.split(": ")[1]):
            machine("ip", "link", "delete", name)
    for line in machine("nft", "list", "tables").splitlines():
        if own in line:
            machine("nft", "delete", *line.split())
    for line in machine("iptables", "-w", "-S").splitlines():
        if layout.veth_prefix(up.installation) in line:
            machine("iptables", "-w", "-D", *line.split()[1:])
    assert kernel_traces(up.installation) == []


def fetched(host: str, port: int) -> str:
    with contextlib.closing(http.client.HTTPConnection(host, port, timeout=3)) as connection:
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        except OSError:
            return ""


def running(web: BehindBalancer) -> set[str]:
    """Ids of the tasks' containers."""
    arns = web.ecs.list_tasks(serviceName=web.name)["taskArns"]
    tasks = web.ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
    return {one["containers"][0]["runtimeId"] for one in tasks if one["lastStatus"] == "RUNNING"}


@pytest.mark.parametrize("target_type", ["instance", "ip"])
def test_services_are_back_behind_their_balancer(up: Up, target_type: str) -> None:
    web = BehindBalancer(up, f"web-{target_type}", target_type=target_type)
    more: dict[str, Any] = {}
    if target_type == "ip":
        web.definition = {"networkMode": "awsvpc"}
        network = {"subnets": web.subnets, "securityGroups": [web.members]}
        more = {"networkConfiguration": {"awsvpcConfiguration": network}}
    web.serve("r0", 2, loadBalancers=web.load_balancers, **more)
    address, before = web.address, running(web)
    until(lambda: fetched(address, HTTP) == "r0", why=web.standing)

    lose_power(up)
    up.start()

    web.ecs, web.elb, web.ec2 = up.client(), up.client("elbv2"), up.client("ec2")
    until(lambda: len(running(web) - before) == 2, why=web.standing)
    until(lambda: web.healthy(0) == 2, why=web.standing)
    assert web.address == address
    assert fetched(address, HTTP) == "r0"
    assert not running(web) & before
    held = [
        one
        for one in web.ec2.describe_network_interfaces()["NetworkInterfaces"]
        if one["Description"].startswith("arn:aws:ecs:")
    ]
    assert len(held) == (2 if target_type == "ip" else 0)
    web.update(desiredCount=0)
    web.until_steady()
