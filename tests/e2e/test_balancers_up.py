"""Balancers of a real `homeport up`: HTTPS by its own authority; a classic one with a task on an instance."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dns.message
import dns.query
import pytest

from homeport.app.connection import read_connection
from homeport.app.networks.dns import dns_address
from homeport.cli.client import AwsClient
from homeport.cli.url import find_doors, reaches
from tests.kit.behind_balancer import TRUST, until
from tests.kit.docker import IMAGE
from tests.kit.up import Up, explained, homeport_up

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]
SERVICE_ROLE = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceRole"
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


SAFE = {
    "Type": "fixed-response",
    "Order": 2,
    "FixedResponseConfig": {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": "safe"},
}


def secure(up: Up, name: str, subnets: list[str], group: str, *actions: Any) -> tuple[str, str, str]:
    """A balancer's ARN, its certificate's, and the root of that."""
    acm, elb = up.client("acm"), up.client("elbv2")
    asked = {"DomainName": "app.test", "CertificateAuthorityArn": AUTHORITY, "KeyAlgorithm": "EC_prime256v1"}
    certificate = acm.request_certificate(**asked)["CertificateArn"]
    root = acm.get_certificate(CertificateArn=certificate)["CertificateChain"]
    balancer = elb.create_load_balancer(Name=name, Subnets=subnets, SecurityGroups=[group])
    arn = balancer["LoadBalancers"][0]["LoadBalancerArn"]
    elb.create_listener(
        LoadBalancerArn=arn,
        Protocol="HTTPS",
        Port=443,
        Certificates=[{"CertificateArn": certificate}],
        DefaultActions=list(actions),
    )
    return arn, certificate, root


def ask(up: Up, arn: str, root: str, path: str = "/", cookie: str = "") -> tuple[HTTPResponse, bytes] | None:
    context = ssl.create_default_context(cadata=root)
    for address in addresses(up, f"ELB {arn.partition('loadbalancer/')[2]}"):
        with socket.create_connection((address, 443), timeout=5) as plain:
            client = HTTPSConnection("app.test")
            client.sock = context.wrap_socket(plain, server_hostname="app.test")
            client.request("GET", path, headers={"Cookie": cookie})
            answer = client.getresponse()
            body = answer.read()
            client.close()
            return answer, body
    return None


def test_https_with_a_certificate_of_the_installation(up: Up, subnets: list[str], open_group: str) -> None:
    arn, certificate, root = secure(up, "web", subnets, open_group, SAFE)
    assert until(lambda: quietly(lambda: ask(up, arn, root)), 60)[1] == b"safe"
    held = up.client("acm").describe_certificate(CertificateArn=certificate)["Certificate"]
    assert held["InUseBy"] == [arn]
    up.client("elbv2").delete_load_balancer(LoadBalancerArn=arn)
    up.client("acm").delete_certificate(CertificateArn=certificate)


def test_who_wants_in_is_sent_to_the_provider_whom_nobody_reaches(
    up: Up, subnets: list[str], open_group: str
) -> None:
    provider = "https://localhost:1"
    config = {
        "Issuer": provider,
        "AuthorizationEndpoint": f"{provider}/authorize",
        "TokenEndpoint": f"{provider}/token",
        "UserInfoEndpoint": f"{provider}/userinfo",
        "ClientId": "me",
        "ClientSecret": "hunter2",
    }
    login = {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": config}
    arn, certificate, root = secure(up, "login", subnets, open_group, login, SAFE)
    away, body = until(lambda: quietly(lambda: ask(up, arn, root, "/cart")), 60)
    to = away.headers["Location"]
    assert (away.status, body, to.partition("?")[0]) == (302, b"", f"{provider}/authorize")
    state = parse_qs(urlsplit(to).query)["state"][0]
    back = f"/oauth2/idpresponse?code=c&state={state}"
    browser = away.headers["Set-Cookie"].partition(";")[0]
    assert [found[0].status for cookie in ("", browser) if (found := ask(up, arn, root, back, cookie))] == [
        401,
        500,
    ]
    up.client("elbv2").delete_load_balancer(LoadBalancerArn=arn)
    up.client("acm").delete_certificate(CertificateArn=certificate)


def web_definition(host_port: int) -> dict[str, Any]:
    """A container that serves one page."""
    return {
        "name": "app",
        "image": IMAGE,
        "memory": 32,
        "command": ["sh", "-c", "mkdir /w && echo classic > /w/index.html && exec httpd -f -p 80 -h /w"],
        "portMappings": [{"containerPort": 80, "hostPort": host_port}],
    }


def let_in(up: Up, guests: str, port: int) -> str:
    """The only instance lets a group's members in at a port; its EC2 id."""
    ecs, ec2 = up.client(), up.client("ec2")
    arns = ecs.list_container_instances()["containerInstanceArns"]
    shown = ecs.describe_container_instances(containerInstances=arns)["containerInstances"]
    instance: str = shown[0]["ec2InstanceId"]
    found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    pairs = [{"GroupId": guests}]
    ec2.authorize_security_group_ingress(
        GroupId=found["SecurityGroups"][0]["GroupId"],
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": pairs}],
    )
    return instance


def classic(up: Up, name: str, host_port: int, group: str) -> str:
    """A Classic Load Balancer in all zones; its DNS name."""
    elb = up.client("elb")
    zones = [one["AvailabilityZone"] for one in up.client("ec2").describe_subnets()["Subnets"]]
    listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": host_port}
    made: str = elb.create_load_balancer(
        LoadBalancerName=name, Listeners=[listener], AvailabilityZones=zones, SecurityGroups=[group]
    )["DNSName"]
    check = {
        "Target": f"HTTP:{host_port}/",
        "Interval": 5,
        "Timeout": 4,
        "UnhealthyThreshold": 2,
        "HealthyThreshold": 2,
    }
    elb.configure_health_check(LoadBalancerName=name, HealthCheck=check)
    attributes = {
        "CrossZoneLoadBalancing": {"Enabled": True},
        "ConnectionDraining": {"Enabled": True, "Timeout": 3},
    }
    elb.modify_load_balancer_attributes(LoadBalancerName=name, LoadBalancerAttributes=attributes)
    return made


def states(up: Up, name: str) -> dict[str, str]:
    """How the instances of a Classic Load Balancer are."""
    found = up.client("elb").describe_instance_health(LoadBalancerName=name)["InstanceStates"]
    return {one["InstanceId"]: one["State"] for one in found}


def page(up: Up, name: str) -> bytes | None:
    """What a Classic Load Balancer answers."""
    for address in addresses(up, f"ELB {name}"):
        client = HTTPConnection(address, 80, timeout=5)
        client.request("GET", "/")
        answer = client.getresponse()
        body = answer.read()
        client.close()
        return body if answer.status == 200 else None
    return None


def test_a_classic_balancer_sends_requests_to_a_task_on_its_instance(up: Up, open_group: str) -> None:
    ecs, elb = up.client(), up.client("elb")
    ecs.register_task_definition(family="web", containerDefinitions=[web_definition(8080)])
    task = ecs.run_task(taskDefinition="web")["tasks"][0]["taskArn"]
    instance = let_in(up, open_group, 8080)
    dns_name = classic(up, "old", 8080, open_group)
    elb.register_instances_with_load_balancer(LoadBalancerName="old", Instances=[{"InstanceId": instance}])
    assert until(lambda: states(up, "old") == {instance: "InService"}, 120)
    assert until(lambda: quietly(lambda: page(up, "old")), 30) == b"classic\n"
    assert until(lambda: named(up, dns_name) == sorted(addresses(up, "ELB old")), 30)
    ecs.stop_task(task=task)
    elb.delete_load_balancer(LoadBalancerName="old")
    assert until(lambda: not addresses(up, "ELB old"), 30)


def test_a_service_registers_the_instances_of_its_tasks_with_a_classic_balancer(
    up: Up, open_group: str
) -> None:
    ecs, elb = up.client(), up.client("elb")
    ecs.register_task_definition(family="web", containerDefinitions=[web_definition(8081)])
    classic(up, "svc", 8081, open_group)
    ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=1,
        loadBalancers=[{"loadBalancerName": "svc", "containerName": "app", "containerPort": 80}],
        deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 100},
        healthCheckGracePeriodSeconds=300,
    )

    def obstacles() -> list[str]:
        return [one for one in explained(up, "web").get("because", ()) if "security group" in one]

    (closed,) = until(obstacles, 60, lambda: explained(up, "web"))
    assert "lets no tcp 8081 in from load balancer svc" in closed
    instance = let_in(up, open_group, 8081)

    def service() -> Any:
        return ecs.describe_services(services=["web"])["services"][0]

    def is_steady() -> bool:
        shown = service()
        states = [one["rolloutState"] for one in shown["deployments"]]
        return bool(states == ["COMPLETED"] and shown["runningCount"] == 1)

    def told() -> Any:
        return [one["message"] for one in service()["events"]]

    until(is_steady, 120, told)
    assert states(up, "svc") == {instance: "InService"}
    assert obstacles() == []
    with AwsClient(read_connection(up.data_dir)) as api:
        (door,) = find_doors(api, "default", "service", "web")
        assert find_doors(api, "default", "balancer", "svc") == [door]
    assert door.address in addresses(up, "ELB svc")
    assert reaches(door)
    assert until(lambda: quietly(lambda: page(up, "svc")), 30) == b"classic\n"
    ecs.update_service(service="web", forceNewDeployment=True)
    until(lambda: "(service web) deregistered 1 instances in (elb svc)" in told(), 60, told)
    until(is_steady, 120, told)
    assert until(lambda: quietly(lambda: page(up, "svc")), 30) == b"classic\n"
    ecs.delete_service(service="web", force=True)
    until(lambda: states(up, "svc") == {}, 60, told)
    elb.delete_load_balancer(LoadBalancerName="svc")
    assert until(lambda: not addresses(up, "ELB svc"), 30)


def test_a_service_may_with_its_role_what_the_role_may(up: Up, open_group: str) -> None:
    ecs, elb, iam = up.client(), up.client("elb"), up.client("iam")
    ecs.register_task_definition(family="roled", containerDefinitions=[web_definition(8082)])
    classic(up, "roled", 8082, open_group)
    role = iam.create_role(RoleName="roled", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    looks = {"Effect": "Allow", "Action": "elasticloadbalancing:Describe*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [looks]})
    iam.put_role_policy(RoleName="roled", PolicyName="looks", PolicyDocument=document)
    made = ecs.create_service(
        serviceName="roled",
        taskDefinition="roled",
        desiredCount=1,
        loadBalancers=[{"loadBalancerName": "roled", "containerName": "app", "containerPort": 80}],
        role=role,
    )["service"]
    assert made["roleArn"] == role

    def told() -> list[str]:
        (shown,) = ecs.describe_services(services=["roled"])["services"]
        return [one["message"] for one in shown["events"]]

    denied = "(service roled) failed to register instances in (elb roled) with (error AccessDeniedException"
    until(lambda: any(one.startswith(denied) for one in told()), 60, told)
    assert states(up, "roled") == {}
    iam.attach_role_policy(RoleName="roled", PolicyArn=SERVICE_ROLE)
    until(lambda: states(up, "roled"), 90, told)
    ecs.delete_service(service="roled", force=True)
    until(lambda: states(up, "roled") == {}, 60, told)
    elb.delete_load_balancer(LoadBalancerName="roled")
    assert until(lambda: not addresses(up, "ELB roled"), 30)


def test_nothing_of_the_balancers_is_left(up: Up) -> None:
    found = up.client("ec2").describe_network_interfaces()["NetworkInterfaces"]
    assert [one["Description"] for one in found if one["Description"].startswith("ELB ")] == []
