"""Names in a real `homeport up`: the VPC's DNS server answers this machine and containers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import dns.message
import dns.query
import dns.rcode
import pytest

from homeport.app.networks.dns import dns_address, dns_link
from tests.kit.behind_balancer import until
from tests.kit.docker import IMAGE
from tests.kit.up import Up, homeport_up

pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(600)]
PATIENCE = 5.0
RECORDS = {"DnsRecords": [{"Type": "A", "TTL": 10}]}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with homeport_up(tmp_path_factory.mktemp("names"), "--instances", "1") as running:
        link = dns_link(running.installation)
        yield running
    shown = subprocess.run(["ip", "link", "show", link], capture_output=True, check=False)
    assert shown.returncode != 0, "the DNS servers' link is gone with the rest"


@pytest.fixture(scope="module")
def vpc(up: Up) -> Any:
    return up.client("ec2").describe_vpcs()["Vpcs"][0]


def ask(vpc: Any, name: str, kind: str = "A") -> dns.message.Message:
    server = dns_address(vpc["CidrBlock"])
    return dns.query.udp_with_fallback(dns.message.make_query(name, kind), server, timeout=PATIENCE)[0]


def values(reply: dns.message.Message) -> list[str]:
    return sorted(record.to_text() for one in reply.answer for record in one)


def registered(up: Up, vpc: Any) -> Any:
    sd = up.client("servicediscovery", inject_host_prefix=False)
    found = sd.list_services()["Services"]
    if not found:
        operation = sd.create_private_dns_namespace(Name="corp.test", Vpc=vpc["VpcId"])["OperationId"]
        namespace = sd.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
        sd.create_service(Name="api", NamespaceId=namespace, DnsConfig=RECORDS)
        found = sd.list_services()["Services"]
    attributes = {"AWS_INSTANCE_IPV4": "172.31.77.7"}
    sd.register_instance(ServiceId=found[0]["Id"], InstanceId="i1", Attributes=attributes)
    return sd


def test_an_interface_is_found_by_its_name_and_its_name_by_its_address(up: Up, vpc: Any) -> None:
    (one, *_) = up.client("ec2").describe_network_interfaces()["NetworkInterfaces"]
    name, address = one["PrivateDnsName"], one["PrivateIpAddress"]
    assert until(lambda: values(ask(vpc, name))) == [address]
    reverse = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
    assert values(ask(vpc, reverse, "PTR")) == [f"{name}."]


def test_a_balancers_name_leads_to_its_addresses(up: Up, vpc: Any) -> None:
    ec2, elb = up.client("ec2"), up.client("elbv2")
    subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]][:2]
    made = elb.create_load_balancer(Name="named", Subnets=subnets, Scheme="internal")["LoadBalancers"][0]
    mark = f"ELB {made['LoadBalancerArn'].partition(':loadbalancer/')[2]}"

    def addresses() -> list[str]:
        found = ec2.describe_network_interfaces(Filters=[{"Name": "description", "Values": [mark]}])
        return sorted(one["PrivateIpAddress"] for one in found["NetworkInterfaces"])

    wanted = until(lambda: addresses() if len(addresses()) == 2 else None)
    assert until(lambda: values(ask(vpc, made["DNSName"])) == wanted)
    nothing = ask(vpc, made["DNSName"], "AAAA")
    assert (nothing.rcode(), nothing.answer) == (dns.rcode.NOERROR, [])
    elb.delete_load_balancer(LoadBalancerArn=made["LoadBalancerArn"])
    assert until(lambda: not values(ask(vpc, made["DNSName"])))


def test_a_registered_instance_is_found_by_containers(up: Up, vpc: Any) -> None:
    registered(up, vpc)
    assert until(lambda: values(ask(vpc, "api.corp.test"))) == ["172.31.77.7"]
    assert ask(vpc, "nobody.corp.test").rcode() == dns.rcode.NXDOMAIN
    ecs = up.client()
    command = "nslookup -type=a api.corp.test | grep -q 172.31.77.7"
    container = {"name": "app", "image": IMAGE, "memory": 32, "command": ["sh", "-c", command]}
    ecs.register_task_definition(family="asks", containerDefinitions=[container])
    (task,) = ecs.run_task(taskDefinition="asks")["tasks"]

    def ended() -> Any:
        (now,) = ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"]
        return now if now["lastStatus"] == "STOPPED" else None

    stopped = until(ended)
    assert stopped["containers"][0].get("exitCode") == 0, stopped["containers"]


def test_a_services_tasks_are_found_while_they_run(up: Up, vpc: Any) -> None:
    registered(up, vpc)
    sd, ecs = up.client("servicediscovery"), up.client()
    (namespace,) = sd.list_namespaces()["Namespaces"]
    made = sd.create_service(Name="web", NamespaceId=namespace["Id"], DnsConfig=RECORDS)["Service"]
    subnets = [one["SubnetId"] for one in up.client("ec2").describe_subnets()["Subnets"]]
    container = {"name": "app", "image": IMAGE, "memory": 32, "command": ["sleep", "1000"]}
    ecs.register_task_definition(family="web", networkMode="awsvpc", containerDefinitions=[container])
    ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=2,
        networkConfiguration={"awsvpcConfiguration": {"subnets": subnets}},
        serviceRegistries=[{"registryArn": made["Arn"]}],
    )
    assert until(lambda: len(values(ask(vpc, "web.corp.test"))) == 2)
    running = ecs.describe_tasks(tasks=ecs.list_tasks(serviceName="web")["taskArns"])["tasks"]
    own = [one["containers"][0]["networkInterfaces"][0]["privateIpv4Address"] for one in running]
    assert values(ask(vpc, "web.corp.test")) == sorted(own)
    up.kill()
    up.start()
    ecs.delete_service(service="web", force=True)
    assert until(lambda: not values(ask(vpc, "web.corp.test")))
    assert until(lambda: not sd.list_instances(ServiceId=made["Id"])["Instances"])
    sd.delete_service(Id=made["Id"])


def test_names_are_answered_again_after_a_crash(up: Up, vpc: Any) -> None:
    sd = registered(up, vpc)
    up.kill()
    up.start()
    assert until(lambda: values(ask(vpc, "api.corp.test"))) == ["172.31.77.7"]
    (service,) = sd.list_services()["Services"]
    sd.deregister_instance(ServiceId=service["Id"], InstanceId="i1")
    assert until(lambda: not values(ask(vpc, "api.corp.test")))
