"""A service behind Service Connect is deployed anew while a client task asks for it: no request fails."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.behind_balancer import until
from tests.kit.load import Told, constant_load
from tests.kit.up import TASK_LABEL, Up, homeport_up
from tests.kit.web import PORT, python_inside, web_definition

pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(900)]
RATE = 50.0
PROBE = "import socket; socket.create_connection(('127.0.0.1', 8080), 2)"
ASK = """
import sys, urllib.request
asked = urllib.request.Request("http://shop/", headers=dict([sys.argv[1:3]]))
print(urllib.request.urlopen(asked, timeout=3).read().decode())
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with homeport_up(tmp_path_factory.mktemp("connect"), "--instances", "2") as running:
        yield running


class Shop:
    """A service `shop` that clients reach as http://shop/, and the container of a client."""

    def __init__(self, up: Up, mode: str) -> None:
        self.up, self.ecs, self.mode, self.name = up, up.client(), mode, f"shop-{mode}"
        self.ecs.update_cluster(cluster="default", serviceConnectDefaults={"namespace": "shop"})
        subnets = [one["SubnetId"] for one in up.client("ec2").describe_subnets()["Subnets"]]
        own = {"networkConfiguration": {"awsvpcConfiguration": {"subnets": subnets}}}
        self.network: dict[str, Any] = own if mode == "awsvpc" else {}
        alias = {"port": 80, "dnsName": "shop"}
        self.connect = {
            "enabled": True,
            "services": [{"portName": "web", "discoveryName": self.name, "clientAliases": [alias]}],
        }
        self.create(self.name, self.define("one"), 2, self.connect)
        self.client = self.waiting_client()

    def define(self, revision: str) -> str:
        definition = web_definition(self.name, revision, networkMode=self.mode)
        container = definition["containerDefinitions"][0]
        container["portMappings"] = [{"containerPort": PORT, "name": "web", "appProtocol": "http"}]
        container["environment"].append({"name": "ENDS", "value": "at once"})
        container["healthCheck"] = {
            "command": ["CMD", *python_inside(), "-c", PROBE], "interval": 5, "timeout": 4,
        }  # fmt: skip
        made = self.ecs.register_task_definition(**definition)["taskDefinition"]
        return str(made["taskDefinitionArn"])

    def create(self, name: str, definition: str, count: int, connect: Any) -> None:
        self.ecs.create_service(
            serviceName=name, taskDefinition=definition, desiredCount=count,
            serviceConnectConfiguration=connect, **self.network,
        )  # fmt: skip

    def update(self, revision: str, **members: Any) -> None:
        self.ecs.update_service(service=self.name, taskDefinition=self.define(revision), **members)

    def waiting_client(self) -> str:
        name = f"client-{self.mode}"
        self.ecs.register_task_definition(**web_definition(name, "client", networkMode=self.mode))
        self.create(name, name, 1, {"enabled": True})

        def runs() -> str:
            tasks = self.ecs.list_tasks(serviceName=name)["taskArns"]
            held = [
                one for one in self.up.containers()
                if one["Labels"].get(TASK_LABEL) in tasks and one["State"] == "running"
                and one["Labels"].get("com.amazonaws.ecs.container-name") == "web"
            ]  # fmt: skip
            return str(held[0]["Id"]) if held else ""

        return str(until(runs, why=lambda: self.told(name)))

    def told(self, name: str) -> list[str]:
        found = self.ecs.describe_services(services=[name])["services"][0]["events"]
        return [one["message"] for one in found]

    @property
    def newest(self) -> Any:
        found = self.ecs.list_service_deployments(service=self.name)["serviceDeployments"]
        arns = [one["serviceDeploymentArn"] for one in found[:1]]
        return self.ecs.describe_service_deployments(serviceDeploymentArns=arns)["serviceDeployments"][0]

    def until_deployed(self) -> None:
        until(
            lambda: self.newest["status"] == "SUCCESSFUL",
            300,
            why=lambda: (self.newest, self.told(self.name)),
        )

    def paused_at(self, stage: str) -> None:
        """Until it pauses there; then let it go on, once the caller is through."""
        until(
            lambda: self.newest.get("lifecycleStage") == stage and self.hook(), 300, why=lambda: self.newest
        )

    def hook(self) -> str:
        runs = self.newest.get("lifecycleHookDetails", ())
        return next((one["hookId"] for one in runs if one["status"] == "AWAITING_ACTION"), "")

    def go_on(self) -> None:
        arn = self.newest["serviceDeploymentArn"]
        self.ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=self.hook())

    def load(self, name: str = "shop") -> Any:
        """Constant requests of the client task, each of which takes a second."""
        inside = ("docker", "exec", "-i", self.client, *python_inside())
        return constant_load(name, 80, rate=RATE, path="/slow", inside=inside)

    def asks(self, header: str = "X-None", value: str = "1") -> str:
        """Who answers the client's request with that header."""
        done = subprocess.run(
            ["docker", "exec", self.client, *python_inside(), "-c", ASK, header, value],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        return done.stdout.strip() or done.stderr[-300:]

    @property
    def address(self) -> str:
        """What its name leads to."""
        found = self.up.client("ec2").describe_network_interfaces()["NetworkInterfaces"]
        mark = "ECS Service Connect "
        return str(next(one["PrivateIpAddress"] for one in found if one["Description"].startswith(mark)))

    def tasks(self, status: str) -> int:
        return len(self.ecs.list_tasks(serviceName=self.name, desiredStatus=status)["taskArns"])

    def end(self) -> None:
        for name in (self.name, f"client-{self.mode}"):
            self.ecs.delete_service(service=name, force=True)
        until(lambda: not self.ecs.list_tasks(cluster="default")["taskArns"])


def shows(told: Told, revision: str) -> None:
    before = told.bodies[revision]
    until(lambda: told.bodies[revision] > before + RATE, why=lambda: (told.bodies, told.failures[:5]))


@pytest.mark.parametrize("mode", ["awsvpc", "bridge"])
def test_a_service_is_deployed_anew_without_a_failed_request_of_its_clients(up: Up, mode: str) -> None:
    shop = Shop(up, mode)
    shop.until_deployed()
    until(lambda: shop.asks() == "one", why=shop.asks)
    with shop.load() as told:
        for revision in ("two", "three"):
            shop.update(revision)
            shop.until_deployed()
            shows(told, revision)
        hooks = [
            {"targetType": "PAUSE", "lifecycleStages": [stage]}
            for stage in ("POST_TEST_TRAFFIC_SHIFT", "POST_PRODUCTION_TRAFFIC_SHIFT")
        ]
        shop.update("four", deploymentConfiguration={"strategy": "BLUE_GREEN", "lifecycleHooks": hooks})
        shop.paused_at("POST_TEST_TRAFFIC_SHIFT")
        assert told.bodies["four"] == 0, "production is blue's"
        assert shop.asks("x-amzn-ecs-blue-green-test") == "four"
        shop.go_on()
        shop.paused_at("POST_PRODUCTION_TRAFFIC_SHIFT")
        assert shop.asks() == "four"
        shop.go_on()
        shop.until_deployed()
        shop.ecs.update_service(service=shop.name, desiredCount=1)
        until(lambda: len(shop.ecs.list_tasks(serviceName=shop.name)["taskArns"]) == 1)
        shows(told, "four")
    assert told.failures == []
    assert told.answered == told.begun
    shop.end()


def test_homeport_may_be_killed_while_a_service_is_deployed_anew(up: Up) -> None:
    """Names are not resolved meanwhile, as the DNS server is gone with it: the client keeps the address."""
    shop = Shop(up, "awsvpc")
    shop.until_deployed()
    until(lambda: shop.asks() == "one", why=shop.asks)
    with shop.load(shop.address) as told:
        shows(told, "one")
        for revision, status, least in (("two", "RUNNING", 3), ("three", "STOPPED", 3)):
            shop.update(revision)
            until(lambda status=status, least=least: shop.tasks(status) >= least)
            up.kill()
            before = told.answered
            until(lambda before=before: told.answered > before + RATE, why=lambda: told.failures[:5])
            up.start()
            shop.ecs = up.client()
            shop.until_deployed()
            shows(told, revision)
    assert told.failures == []
    shop.end()
