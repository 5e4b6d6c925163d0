"""Service Connect: what is asked for, what comes of it in Cloud Map and EC2, and what is refused.

Source: botocore's ServiceConnectConfiguration, ClusterServiceConnectDefaultsRequest, ListServicesByNamespace.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from homeport.app.discovery.doors import Door, read_doors
from homeport.app.networks.firewall import NOTHING_INNER, read_state
from homeport.app.networks.instances import Place, settle_places
from homeport.app.networks.names import NameKeeper
from homeport.gateway.dns_names import NameBook
from homeport.services.ec2.repo.everywhere import interfaces_everywhere
from tests.api.test_deployment_strategies import until as passing
from tests.api.test_explain import explained
from tests.api.test_service_history import history
from tests.api.test_tasks import waiter
from tests.kit.server import ACCOUNT, REGION, Live, Node

PORTS = [{"containerPort": 80, "name": "web", "appProtocol": "http"}, {"containerPort": 81, "name": "db"}]
APP = {"name": "app", "image": "app:1", "memory": 16, "command": ["stay"], "portMappings": PORTS}
WEB = {"portName": "web", "clientAliases": [{"port": 8080}]}


@pytest.fixture(scope="module")
def sd(live: Live) -> Any:
    return live.client("servicediscovery", config=Config(inject_host_prefix=False))


@pytest.fixture(scope="module")
def node(live: Live) -> Node:
    live.client("ec2").describe_vpcs()
    made = live.add_node(networks=True)
    place = Place(instance_id=made.settings.ec2_instance_id, zone=f"{REGION}a", address="172.31.0.77")
    plane = live.plane
    live.run(
        settle_places(plane.store, plane.clock, plane.ids, account_id=ACCOUNT, region=REGION, places=[place])
    )
    return made


@pytest.fixture(scope="module", autouse=True)
def shop(ecs: Any, node: Node) -> str:
    """The cluster's namespace."""
    for family, mode in (("own", "awsvpc"), ("bridged", "bridge"), ("hosted", "host")):
        ecs.register_task_definition(family=family, networkMode=mode, containerDefinitions=[APP])
    checked = {**APP, "healthCheck": {"command": ["CMD", "true"]}}
    ecs.register_task_definition(family="checked", networkMode="bridge", containerDefinitions=[checked])
    made = ecs.update_cluster(cluster="default", serviceConnectDefaults={"namespace": "shop"})["cluster"]
    return str(made["serviceConnectDefaults"]["namespace"])


@pytest.fixture
def network(live: Live) -> dict[str, Any]:
    found = live.client("ec2").describe_subnets()["Subnets"]
    subnet = next(one["SubnetId"] for one in found if one["AvailabilityZone"].endswith("a"))
    return {"networkConfiguration": {"awsvpcConfiguration": {"subnets": [subnet]}}}


@pytest.fixture(autouse=True)
def tidy(live: Live, ecs: Any, sd: Any) -> Iterator[None]:
    """After each test: no services, and nothing that they left anywhere."""
    yield
    for arn in ecs.list_services()["serviceArns"]:
        ecs.delete_service(service=arn, force=True)
        waiter(ecs, "services_inactive").wait(services=[arn])
    until(live, lambda: not sd.list_services()["Services"] and not doors(live))


def create(
    ecs: Any, name: str, family: str = "bridged", *services: Any, count: int = 1, **members: Any
) -> Any:
    connect = members.pop("connect", {"enabled": True, "services": list(services)})
    return ecs.create_service(
        serviceName=name, taskDefinition=family, desiredCount=count, serviceConnectConfiguration=connect,
        **members,
    )["service"]  # fmt: skip


def until(live: Live, check: Any) -> None:
    async def looked() -> bool:
        return bool(await asyncio.to_thread(check))

    live.wait_until(looked)


def doors(live: Live) -> tuple[Door, ...]:
    def look(tx: Any) -> tuple[Door, ...]:
        return read_doors(tx, interfaces_everywhere(tx))

    return live.run(live.plane.store.read(look))


def ends(live: Live) -> list[tuple[str, int]]:
    return [end for door in doors(live) for port in door.ports for end in port.endpoints]


def names(live: Live, name: str) -> set[str]:
    """What the VPC's DNS server would know."""
    vpc = live.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]

    async def look() -> set[str]:
        book = NameBook()
        keeper = NameKeeper(live.plane.store, book)
        for key in await keeper.keys():
            await keeper.reconcile(key)
        return {value for one in book.find(vpc, name).records for value in one.values}

    return live.run(look())


def refused(call: Any, *arguments: Any, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(*arguments, **members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_cluster_gets_a_namespace_of_a_new_name_and_keeps_one_that_is_there(
    ecs: Any, sd: Any, shop: str
) -> None:
    (made,) = sd.list_namespaces()["Namespaces"]
    assert (made["Name"], made["Type"], made["Arn"]) == ("shop", "HTTP", shop)
    for reference in ("shop", shop):
        again = ecs.create_cluster(
            clusterName=f"c-{len(reference)}", serviceConnectDefaults={"namespace": reference}
        )
        assert again["cluster"]["serviceConnectDefaults"] == {"namespace": shop}
    assert len(sd.list_namespaces()["Namespaces"]) == 1
    without = ecs.update_cluster(cluster="c-4", serviceConnectDefaults={"namespace": ""})["cluster"]
    assert "serviceConnectDefaults" not in without
    code, _ = refused(ecs.update_cluster, cluster="c-4", serviceConnectDefaults={"namespace": shop + "x"})
    assert code == "NamespaceNotFoundException"
    code, _ = refused(ecs.update_cluster, cluster="c-4", serviceConnectDefaults={"namespace": "a<b"})
    assert code == "InvalidParameterException"


def test_running_tasks_are_behind_a_name_and_what_is_shown_says_where(
    live: Live, ecs: Any, sd: Any, shop: str, network: Any
) -> None:
    made = create(ecs, "web", "own", WEB, **network)
    (cloud,) = sd.list_services()["Services"]
    (deployment,) = made["deployments"]
    assert deployment["serviceConnectConfiguration"]["services"] == [WEB]
    assert deployment["serviceConnectConfiguration"]["namespace"] == shop
    assert deployment["serviceConnectResources"] == [{"discoveryName": "web", "discoveryArn": cloud["Arn"]}]
    assert made["serviceRegistries"] == []
    until(live, lambda: len(ends(live)) == 1)
    (task,) = ecs.describe_tasks(tasks=ecs.list_tasks(serviceName="web")["taskArns"])["tasks"]
    address = task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"]
    (attached,) = [one for one in task["attachments"] if one["type"] == "Service Connect"]
    details = {one["name"]: one["value"] for one in attached["details"]}
    assert attached["status"] == "ATTACHED"
    assert json.loads(details.pop("clientAliases")) == WEB["clientAliases"]
    assert details == {"portName": "web", "discoveryName": "web"}
    (door,) = doors(live)
    assert [(one.port, one.endpoints) for one in door.ports] == [(8080, ((address, 80),))]
    assert names(live, "web.shop") == {door.address}
    code, _ = refused(sd.delete_service, Id=cloud["Id"])
    assert code == "ResourceInUse"
    ecs.update_service(service="web", desiredCount=0)
    until(live, lambda: not ends(live))
    assert names(live, "web.shop") == {door.address}, "the name stays while the service does"


def test_a_task_on_an_instance_is_found_at_its_host_port(live: Live, ecs: Any) -> None:
    create(ecs, "db", "bridged", {"portName": "db", "clientAliases": [{"port": 5432, "dnsName": "db"}]})
    until(live, lambda: len(ends(live)) == 1)
    (task,) = ecs.describe_tasks(tasks=ecs.list_tasks(serviceName="db")["taskArns"])["tasks"]
    bound = {one["containerPort"]: one["hostPort"] for one in task["containers"][0]["networkBindings"]}
    assert ends(live) == [("172.31.0.77", bound[81])]
    (door,) = doors(live)
    assert (door.ports[0].protocol, door.ports[0].idle_seconds) == ("tcp", 3600)
    assert names(live, "db") == {door.address}
    state = live.run(live.plane.store.read(lambda tx: read_state(tx, NOTHING_INNER, "172.31.0.0/16")))
    (guard,) = [one for one in state.interfaces if one.address == door.address]
    (let_in,) = state.rules[guard.groups].ingress
    assert (let_in.low, let_in.high, bool(let_in.group)) == (5432, 5432, True)


def test_a_task_is_behind_a_name_once_its_health_checks_pass(live: Live, ecs: Any) -> None:
    create(ecs, "web", "checked", WEB)
    until(live, lambda: running(ecs, "web") == 1)
    assert ends(live) == []
    passing(live, lambda: len(ends(live)) == 1)


def running(ecs: Any, name: str) -> int:
    return int(ecs.describe_services(services=[name])["services"][0]["runningCount"])


def test_a_task_is_reached_at_its_ingress_port(live: Live, ecs: Any, sd: Any, network: Any) -> None:
    one = {**WEB, "ingressPortOverride": 9000}
    code, text = refused(create, ecs, "web", "own", {**one, "ingressPortOverride": 81}, **network)
    assert (code, "containerPort" in text) == ("InvalidParameterException", True)
    create(ecs, "web", "own", one, **network)
    until(live, lambda: len(ends(live)) == 1)
    ((address, port),) = ends(live)
    assert port == 9000
    (cloud,) = sd.list_services()["Services"]
    (instance,) = sd.list_instances(ServiceId=cloud["Id"])["Instances"]
    assert instance["Attributes"]["AWS_INSTANCE_PORT"] == "9000"
    state = live.run(live.plane.store.read(lambda tx: read_state(tx, NOTHING_INNER, "172.31.0.0/16")))
    assert state.redirects == ((address, 9000, 80),)


def test_what_others_register_leads_no_further_than_the_vpc(live: Live, ecs: Any, sd: Any) -> None:
    create(ecs, "web", "bridged", WEB, count=0)
    (cloud,) = sd.list_services()["Services"]
    instance, port = "AWS_INSTANCE_IPV4", "AWS_INSTANCE_PORT"
    for number, attributes in enumerate(
        ({instance: "127.0.0.1", port: "22"}, {instance: "172.31.0.77"}, {"any": "thing"})
    ):
        sd.register_instance(ServiceId=cloud["Id"], InstanceId=f"i{number}", Attributes=attributes)
    until(live, lambda: len(doors(live)) == 1)
    assert ends(live) == []
    sd.register_instance(
        ServiceId=cloud["Id"], InstanceId="ok", Attributes={instance: "172.31.0.77", port: "8000"}
    )
    until(live, lambda: ends(live) == [("172.31.0.77", 8000)])


def test_an_update_changes_the_names_and_takes_them_away(live: Live, ecs: Any) -> None:
    create(ecs, "web", "bridged", WEB)
    until(live, lambda: len(ends(live)) == 1)
    other = {
        **WEB,
        "clientAliases": [{"port": 80, "dnsName": "front"}],
        "timeout": {"perRequestTimeoutSeconds": 0},
    }
    changed = ecs.update_service(
        service="web", serviceConnectConfiguration={"enabled": True, "services": [other]}
    )
    assert len(changed["service"]["deployments"]) == 2
    until(live, lambda: names(live, "front") and not names(live, "web.shop"))
    same = ecs.update_service(
        service="web", serviceConnectConfiguration={"enabled": True, "services": [other]}
    )
    assert same["service"]["deployments"][0]["id"] == changed["service"]["deployments"][0]["id"]
    again = ecs.update_service(service="web", forceNewDeployment=True)["service"]["deployments"][0]
    assert again["serviceConnectConfiguration"]["services"] == [other]
    (port,) = doors(live)[0].ports
    assert (port.port, port.request_seconds, port.idle_seconds) == (80, 0, 300)
    ended = ecs.update_service(service="web", serviceConnectConfiguration={"enabled": False})["service"]
    shown = ["serviceConnectConfiguration" in one for one in ended["deployments"]]
    assert shown == [False, *([True] * (len(shown) - 1))], "earlier tasks are reached until they are replaced"


def test_the_services_of_a_namespace_are_listed(ecs: Any, sd: Any, shop: str) -> None:
    arns = {create(ecs, f"s{n}", count=0)["serviceArn"] for n in range(3)}
    ecs.create_service(serviceName="alone", taskDefinition="bridged", desiredCount=0)
    for namespace in ("shop", shop):
        pages = ecs.get_paginator("list_services_by_namespace").paginate(
            namespace=namespace, PaginationConfig={"PageSize": 2}
        )
        found = list(pages)
        assert [len(page["serviceArns"]) for page in found] == [2, 1]
        assert {arn for page in found for arn in page["serviceArns"]} == arns


ONE = {"enabled": True, "services": [WEB]}


@pytest.mark.parametrize(
    ("connect", "code", "text"),
    [
        ({"enabled": True, "namespace": "nowhere"}, "NamespaceNotFoundException", "nowhere"),
        ({**ONE, "services": [{**WEB, "portName": "x"}]}, "InvalidParameterException", "portName x"),
        ({**ONE, "services": [{"portName": "web"}]}, "InvalidParameterException", "clientAlias"),
        ({**ONE, "services": [WEB, WEB]}, "InvalidParameterException", "more than once"),
        ({**ONE, "services": [{**WEB, "discoveryName": "A"}]}, "InvalidParameterException", "discoveryName"),
        ({**ONE, "services": [{**WEB, "clientAliases": [{"port": 0}]}]}, "InvalidParameterException", "port"),
        ({**ONE, "services": [{**WEB, "clientAliases": [{"port": 1, "dnsName": "-x"}]}]},
         "InvalidParameterException", "dnsName"),
        ({**ONE, "services": [{"portName": "db", "clientAliases": [{"port": 1}],
                               "timeout": {"perRequestTimeoutSeconds": 1}}]},
         "InvalidParameterException", "perRequestTimeoutSeconds"),
        ({**ONE, "services": [{**WEB, "ingressPortOverride": 9}]},
         "ClientException", "ingressPortOverride in the"),
        ({**ONE, "services": [{**WEB, "ingressPortOverride": 65536}]},
         "InvalidParameterException", "ingressPortOverride"),
        ({**ONE, "services": [{**WEB, "tls": {"issuerCertificateAuthority": {"awsPcaAuthorityArn": "a"}}}]},
         "ClientException", "AWS Private CA"),
        ({**ONE, "logConfiguration": {"logDriver": "json-file"}},
         "ClientException", "logConfiguration is not supported by Homeport: tasks have no proxy container"),
        ({**ONE, "accessLogConfiguration": {"format": "TEXT"}}, "ClientException", "accessLogConfiguration"),
        ({"enabled": False, "namespace": "shop"}, "ClientException", "enabled"),
    ],
)  # fmt: skip
def test_what_cannot_be_or_is_not_done_is_refused_by_name(
    ecs: Any, sd: Any, connect: Any, code: str, text: str
) -> None:
    told = refused(create, ecs, "refused", connect=connect)
    assert told[0] == code
    assert text in told[1]
    assert not sd.list_services()["Services"]


def test_a_name_is_one_services_and_a_discovery_name_too(live: Live, ecs: Any) -> None:
    create(ecs, "web", "bridged", WEB, count=0)
    code, text = refused(create, ecs, "two", "bridged", {**WEB, "clientAliases": [{"port": 9}]}, count=0)
    assert (code, "already exists" in text) == ("InvalidParameterException", True)
    named = {
        "portName": "web",
        "discoveryName": "two",
        "clientAliases": [{"port": 8080, "dnsName": "web.shop"}],
    }
    code, text = refused(create, ecs, "two", "bridged", named, count=0)
    assert (code, "web.shop:8080" in text) == ("InvalidParameterException", True)
    ecs.create_cluster(clusterName="mall", serviceConnectDefaults={"namespace": "mall"})
    code, text = refused(create, ecs, "two", "bridged", named, count=0, cluster="mall")
    assert (code, "another namespace" in text) == ("InvalidParameterException", True)
    elsewhere = {**named, "clientAliases": [{"port": 8081, "dnsName": "web.shop"}]}
    create(ecs, "two", "bridged", elsewhere, count=0)
    until(live, lambda: len(doors(live)) == 1 and len(doors(live)[0].ports) == 2)


def test_a_service_that_others_reach_has_a_thousand_tasks_at_most(ecs: Any) -> None:
    code, text = refused(create, ecs, "refused", "bridged", WEB, count=1001)
    assert (code, "1000" in text) == ("InvalidParameterException", True)


def test_host_mode_is_refused(ecs: Any) -> None:
    code, text = refused(create, ecs, "refused", "hosted", WEB)
    assert (code, "network mode" in text) == ("InvalidParameterException", True)


def staged(strategy: str, *stages: str, **members: Any) -> dict[str, Any]:
    hooks = [{"targetType": "PAUSE", "lifecycleStages": [stage]} for stage in stages]
    return {"deploymentConfiguration": {"strategy": strategy, "lifecycleHooks": hooks, **members}}


def go_on(live: Live, ecs: Any, name: str, stage: str) -> None:
    """Wait until the newest deployment pauses at the stage, and continue it."""
    found: list[dict[str, Any]] = []

    def pauses() -> bool:
        newest = history(ecs, name)[0]
        runs = [one for one in newest.get("lifecycleHookDetails", ()) if one["status"] == "AWAITING_ACTION"]
        found[:] = (
            [{**newest, "run": runs[0]["hookId"]}] if runs and newest["lifecycleStage"] == stage else []
        )
        return bool(found)

    passing(live, pauses)
    arn = found[0]["serviceDeploymentArn"]
    ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=found[0]["run"])


def shown(live: Live) -> tuple[int, int, float | None, Any]:
    """How many others and fresh ones are behind the only port, the fresh ones' share, and what tests are."""
    ((port,),) = [door.ports for door in doors(live)]
    return len(port.endpoints) - len(port.fresh), len(port.fresh), port.percent, port.test


def waits(live: Live, ecs: Any, name: str, stage: str) -> None:
    passing(live, lambda: history(ecs, name)[0].get("lifecycleStage") == stage)


TESTS = {"testTrafficRules": {"header": {"name": "X-Try", "value": {"exact": "Me"}}}}


@pytest.mark.parametrize(
    ("alias", "expected"), [({}, ("x-amzn-ecs-blue-green-test", "")), (TESTS, ("x-try", "Me"))]
)
def test_a_green_deployment_gets_tests_first_and_then_all_of_production(
    live: Live, ecs: Any, alias: Any, expected: tuple[str, str]
) -> None:
    one = {"portName": "web", "clientAliases": [{"port": 8080, **alias}]}
    create(ecs, "web", "checked", one, **staged("BLUE_GREEN"))
    passing(live, lambda: history(ecs, "web")[0]["status"] == "SUCCESSFUL")
    passing(live, lambda: shown(live) == (1, 0, None, None))
    stages = ("POST_SCALE_UP", "POST_TEST_TRAFFIC_SHIFT", "POST_PRODUCTION_TRAFFIC_SHIFT")
    ecs.update_service(service="web", forceNewDeployment=True, **staged("BLUE_GREEN", *stages))
    assert shown(live)[2:] == (0.0, None), "green gets nothing before it is there"
    waits(live, ecs, "web", "POST_SCALE_UP")
    passing(live, lambda: shown(live) == (1, 1, 0.0, None))
    newest = history(ecs, "web")[0]
    assert newest["targetServiceRevision"]["requestedProductionTrafficWeight"] == 0
    go_on(live, ecs, "web", "POST_SCALE_UP")
    waits(live, ecs, "web", "POST_TEST_TRAFFIC_SHIFT")
    assert shown(live) == (1, 1, 0.0, expected)
    go_on(live, ecs, "web", "POST_TEST_TRAFFIC_SHIFT")
    waits(live, ecs, "web", "POST_PRODUCTION_TRAFFIC_SHIFT")
    assert shown(live) == (1, 1, 100.0, expected)
    go_on(live, ecs, "web", "POST_PRODUCTION_TRAFFIC_SHIFT")
    passing(live, lambda: history(ecs, "web")[0]["status"] == "SUCCESSFUL")
    passing(live, lambda: shown(live) == (1, 0, None, None))
    ecs.update_service(service="web", forceNewDeployment=True, **staged("ROLLING"))
    assert shown(live)[2:] == (None, None), "tasks of a rolling deployment get their share at once"


def test_a_canary_that_is_sent_back_leaves_production_to_blue(live: Live, ecs: Any) -> None:
    create(ecs, "web", "checked", WEB)
    passing(live, lambda: history(ecs, "web")[0]["status"] == "SUCCESSFUL" and len(ends(live)) == 1)
    blue = ends(live)
    ecs.update_service(
        service="web", forceNewDeployment=True,
        **staged("CANARY", canaryConfiguration={"canaryPercent": 12.5}),
    )  # fmt: skip
    passing(live, lambda: shown(live)[:3] == (1, 1, 12.5))
    newest = history(ecs, "web")[0]["serviceDeploymentArn"]
    ecs.stop_service_deployment(serviceDeploymentArn=newest, stopType="ROLLBACK")
    passing(live, lambda: history(ecs, "web")[0]["status"].startswith("ROLLBACK_S"))
    passing(live, lambda: shown(live) == (1, 0, None, None))
    assert ends(live) == blue


@pytest.mark.parametrize(
    ("port", "rules", "text"),
    [
        ("db", {"header": {"name": "x"}}, "appProtocol"),
        ("web", {"header": {"name": "a b"}}, "header"),
        ("web", {"header": {"name": "a", "value": {"exact": ""}}}, "exact"),
    ],
)
def test_tests_that_nobody_can_send_are_refused(ecs: Any, port: str, rules: Any, text: str) -> None:
    one = {"portName": port, "clientAliases": [{"port": 1, "testTrafficRules": rules}]}
    code, told = refused(create, ecs, "refused", "bridged", one)
    assert (code, text in told) == ("InvalidParameterException", True)


def told(live: Live, name: str) -> list[str]:
    arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/default/{name}"
    found = explained(live, arn)
    return [*found.get("because", ()), *found.get("remedies", ())]


def test_what_keeps_clients_from_a_service_is_explained_at_both(live: Live, ecs: Any, network: Any) -> None:
    ec2 = live.client("ec2")
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    groups = {
        name: ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc["VpcId"])["GroupId"]
        for name in ("callers", "called")
    }

    def own(name: str) -> dict[str, Any]:
        (members,) = network.values()
        held = {**members["awsvpcConfiguration"], "securityGroups": [groups[name]]}
        return {"networkConfiguration": {"awsvpcConfiguration": held}}

    create(ecs, "server", "own", WEB, count=0, **own("called"))
    create(ecs, "client", "own", **own("callers"))
    until(live, lambda: running(ecs, "client") == 1 and len(doors(live)) == 1)
    (nobody,) = [one for one in told(live, "client") if "no task" in one]
    assert nobody.startswith("web.shop:8080 of service server leads to no task")
    assert any(one.startswith("web.shop:8080 leads to no task") for one in told(live, "server"))
    ecs.update_service(service="server", desiredCount=1)
    until(live, lambda: len(ends(live)) == 1)
    for name in ("client", "server"):
        (closed,) = [one for one in told(live, name) if "lets no" in one]
        assert closed.startswith(
            f"security group {groups['called']} (called) of service server lets no tcp 80"
        )
        assert "in from service client" in closed
        (remedy,) = [one for one in told(live, name) if one.startswith("Let it in: ")]
        assert "authorize-security-group-ingress" in remedy
    peer = {"UserIdGroupPairs": [{"GroupId": groups["callers"]}]}
    ec2.authorize_security_group_ingress(
        GroupId=groups["called"],
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, **peer}],
    )
    for name in ("client", "server"):
        assert not [one for one in told(live, name) if "security group" in one or "no task" in one]
