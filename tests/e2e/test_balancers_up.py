"""Balancers of a real `homeport up`: HTTPS by its own authority; a classic one with a task on an instance."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPSConnection
from typing import Any

import dns.message
import dns.query
import pytest

from homeport.app.vpc_dns import dns_address
from tests.kit.behind_balancer import until
from tests.kit.docker import IMAGE
from tests.kit.up import Up, homeport_up

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]
AUTHORITY = "arn:aws:acm-pca:us-east-1:000000000000:certificate-authority/homeport"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with homeport_up(tmp_path_factory.mktemp("up"), "--instances", "1") as running:
        yield running


@pytest.fixture(scope="module")
def subnets(up: Up) -> list[str]:
    found = up.client("ec2").describe_subnets()["Subnets"]
    return sorted(one["SubnetId"] for one in found)[:2]


@pytest.fixture(scope="module")
def open_group(up: Up) -> str:
    """A security group that lets the web in."""
    ec2 = up.client("ec2")
    made: str = ec2.create_security_group(GroupName="web", Description="web")["GroupId"]
    everybody = [{"CidrIp": "0.0.0.0/0"}]
    ec2.authorize_security_group_ingress(
        GroupId=made,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": everybody}
            for port in (80, 443)
        ],
    )
    return made


def addresses(up: Up, description: str) -> list[str]:
    """Where a balancer listens."""
    found = up.client("ec2").describe_network_interfaces(
        Filters=[{"Name": "description", "Values": [description]}]
    )["NetworkInterfaces"]
    return [one["PrivateIpAddress"] for one in found]


def named(up: Up, name: str) -> list[str]:
    """What the VPC's DNS server says to a name."""
    server = dns_address(up.client("ec2").describe_vpcs()["Vpcs"][0]["CidrBlock"])
    reply = dns.query.udp_with_fallback(dns.message.make_query(name, "A"), server, timeout=5)[0]
    return sorted(record.to_text() for one in reply.answer for record in one)


def quietly(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except OSError:
        return None


def test_https_with_a_certificate_of_the_installation(up: Up, subnets: list[str], open_group: str) -> None:
    acm, elb = up.client("acm"), up.client("elbv2")
    asked = {"DomainName": "app.test", "CertificateAuthorityArn": AUTHORITY, "KeyAlgorithm": "EC_prime256v1"}
    certificate = acm.request_certificate(**asked)["CertificateArn"]
    root = acm.get_certificate(CertificateArn=certificate)["CertificateChain"]
    balancer = elb.create_load_balancer(Name="web", Subnets=subnets, SecurityGroups=[open_group])
    arn = balancer["LoadBalancers"][0]["LoadBalancerArn"]
    elb.create_listener(
        LoadBalancerArn=arn,
        Protocol="HTTPS",
        Port=443,
        Certificates=[{"CertificateArn": certificate}],
        DefaultActions=[
            {
                "Type": "fixed-response",
                "FixedResponseConfig": {
                    "StatusCode": "200",
                    "ContentType": "text/plain",
                    "MessageBody": "safe",
                },
            }
        ],
    )
    context = ssl.create_default_context(cadata=root)

    def ask() -> bytes | None:
        for address in addresses(up, f"ELB {arn.partition('loadbalancer/')[2]}"):
            with socket.create_connection((address, 443), timeout=5) as plain:
                client = HTTPSConnection("app.test")
                client.sock = context.wrap_socket(plain, server_hostname="app.test")
                client.request("GET", "/")
                body = client.getresponse().read()
                client.close()
                return body
        return None

    assert until(lambda: quietly(ask), 60) == b"safe"
    assert acm.describe_certificate(CertificateArn=certificate)["Certificate"]["InUseBy"] == [arn]
    elb.delete_load_balancer(LoadBalancerArn=arn)
    acm.delete_certificate(CertificateArn=certificate)


def test_a_classic_balancer_sends_requests_to_a_task_on_its_instance(
    up: Up, subnets: list[str], open_group: str
) -> None:
    ecs, elb, ec2 = up.client(), up.client("elb"), up.client("ec2")
    definition = {
        "name": "app",
        "image": IMAGE,
        "memory": 32,
        "command": ["sh", "-c", "mkdir /w && echo classic > /w/index.html && exec httpd -f -p 80 -h /w"],
        "portMappings": [{"containerPort": 80, "hostPort": 8080}],
    }
    ecs.register_task_definition(family="web", containerDefinitions=[definition])
    task = ecs.run_task(taskDefinition="web")["tasks"][0]["taskArn"]
    arns = ecs.list_container_instances()["containerInstanceArns"]
    instance = ecs.describe_container_instances(containerInstances=arns)["containerInstances"][0][
        "ec2InstanceId"
    ]
    groups = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0][
        "SecurityGroups"
    ]
    ec2.authorize_security_group_ingress(
        GroupId=groups[0]["GroupId"],
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 8080,
                "ToPort": 8080,
                "UserIdGroupPairs": [{"GroupId": open_group}],
            }
        ],
    )
    zones = [one["AvailabilityZone"] for one in ec2.describe_subnets()["Subnets"]]
    listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 8080}
    dns_name = elb.create_load_balancer(
        LoadBalancerName="old", Listeners=[listener], AvailabilityZones=zones, SecurityGroups=[open_group]
    )["DNSName"]
    check = {
        "Target": "HTTP:8080/",
        "Interval": 5,
        "Timeout": 4,
        "UnhealthyThreshold": 2,
        "HealthyThreshold": 2,
    }
    elb.configure_health_check(LoadBalancerName="old", HealthCheck=check)
    elb.modify_load_balancer_attributes(
        LoadBalancerName="old", LoadBalancerAttributes={"CrossZoneLoadBalancing": {"Enabled": True}}
    )
    elb.register_instances_with_load_balancer(LoadBalancerName="old", Instances=[{"InstanceId": instance}])

    def in_service() -> bool:
        states = elb.describe_instance_health(LoadBalancerName="old")["InstanceStates"]
        return bool([one["State"] for one in states] == ["InService"])

    assert until(in_service, 120)

    def ask() -> bytes | None:
        for address in addresses(up, "ELB old"):
            client = HTTPConnection(address, 80, timeout=5)
            client.request("GET", "/")
            answer = client.getresponse()
            body = answer.read()
            client.close()
            return body if answer.status == 200 else None
        return None

    assert until(lambda: quietly(ask), 30) == b"classic\n"
    assert until(lambda: named(up, dns_name) == sorted(addresses(up, "ELB old")), 30)
    ecs.stop_task(task=task)
    elb.delete_load_balancer(LoadBalancerName="old")
    assert until(lambda: not addresses(up, "ELB old"), 30)


def test_nothing_of_the_balancers_is_left(up: Up) -> None:
    found = up.client("ec2").describe_network_interfaces()["NetworkInterfaces"]
    assert [one["Description"] for one in found if one["Description"].startswith("ELB ")] == []
