"""What ECS asks of target groups before a service's tasks can be registered in them, through boto3.

EC2, Elastic Load Balancing and ECS are mounted over one store, as they are served. Sources for roles:
botocore's CreateService, `role`; hashicorp/terraform issue 5442, amazon-ecs-cli issue 21 and
cloudformation-coverage-roadmap issue 1804, where the texts were seen.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.app.balancers.network import Ec2Network
from homeport.app.balancers.roles import RoleTargets
from homeport.app.balancers.service_traffic import InfrastructureRoles
from homeport.app.control_plane import ControlPlane
from homeport.core.pages import Pages
from homeport.gateway.stages import MountedService
from homeport.services.ecs.ports import TargetGroupsError, TargetUse
from homeport.services.elb.manifest import Registrar as ClassicRegistrar
from homeport.services.elbv2.manifest import Registrar
from tests.kit.ec2 import SomeInstances, instance
from tests.kit.elbv2 import application, group, listener, mount_elbv2
from tests.kit.server import Live, live_server

APP = {"name": "app", "image": "app:1", "memory": 16, "portMappings": [{"containerPort": 80}]}


def mount(plane: ControlPlane, pages: Pages) -> tuple[MountedService, ...]:
    """Elastic Load Balancing in EC2's networks, and an ECS that knows it."""
    (elb,) = mount_elbv2(plane, pages)
    network = Ec2Network(plane.store, SomeInstances(instance(0)))
    elb = dataclasses.replace(elb, context=dataclasses.replace(elb.context, network=network))
    ecs = next(one for one in plane.services if one.name == "ecs")
    classic = next(one for one in plane.services if one.name == "elb").context
    roles = InfrastructureRoles(plane.service_roles, plane.clock)
    groups = RoleTargets(plane.store, roles, Registrar(elb.context), ClassicRegistrar(classic))
    context = dataclasses.replace(ecs.context, target_groups=groups)
    return (elb, dataclasses.replace(ecs, context=context))


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with live_server(mount=mount) as server:
        yield server


@dataclasses.dataclass(frozen=True)
class Site:
    """A VPC with two subnets, and a target group for addresses that a balancer there forwards to."""

    subnets: tuple[str, ...]
    group: str

    @property
    def network(self) -> dict[str, Any]:
        """For a service."""
        return {"awsvpcConfiguration": {"subnets": list(self.subnets)}}

    @property
    def balanced(self) -> list[dict[str, Any]]:
        """For a service."""
        return [{"targetGroupArn": self.group, "containerName": "app", "containerPort": 80}]


def site(live: Live, name: str, cidr: str) -> Site:
    ec2, elb = live.client("ec2"), live.client("elbv2")
    vpc = ec2.create_vpc(CidrBlock=f"{cidr}.0.0/16")["Vpc"]["VpcId"]
    subnets = tuple(
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"{cidr}.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")[
            "Subnet"
        ]["SubnetId"]
        for number, zone in enumerate("ab")
    )
    made = group(elb, name, VpcId=vpc, TargetType="ip")
    listener(elb, application(elb, name, Subnets=list(subnets)), made)
    return Site(subnets, made["TargetGroupArn"])


@pytest.fixture(scope="module")
def here(live: Live) -> Site:
    return site(live, "here", "10.21")


@pytest.fixture(scope="module")
def there(live: Live) -> Site:
    return site(live, "there", "10.22")


@pytest.fixture(scope="module", autouse=True)
def definition(ecs: Any) -> None:
    ecs.create_cluster()
    ecs.register_task_definition(family="plain", containerDefinitions=[APP])
    fixed = {**APP, "portMappings": [{"containerPort": 80, "hostPort": 8080}]}
    ecs.register_task_definition(family="fixed", containerDefinitions=[fixed])
    ecs.register_task_definition(family="eni", networkMode="awsvpc", containerDefinitions=[APP])


def refused(call: Any, **members: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**members)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterException"
    return str(caught.value.response["Error"]["Message"])


def test_a_target_group_takes_tasks_of_its_own_vpc_only(ecs: Any, here: Site, there: Site) -> None:
    asked = {"serviceName": "web", "taskDefinition": "eni", "desiredCount": 0}
    text = refused(
        ecs.create_service, **asked, loadBalancers=there.balanced, networkConfiguration=here.network
    )
    assert there.group in text
    assert "takes no tasks of the VPC" in text
    ecs.create_service(**asked, loadBalancers=here.balanced, networkConfiguration=here.network)
    for members in (
        {"loadBalancers": there.balanced},
        {"networkConfiguration": there.network},
        {"loadBalancers": there.balanced, "networkConfiguration": here.network},
    ):
        assert "takes no tasks of the VPC" in refused(ecs.update_service, service="web", **members)
    moved = {"loadBalancers": there.balanced, "networkConfiguration": there.network}
    assert ecs.update_service(service="web", **moved)["service"]["loadBalancers"] == there.balanced
    ecs.update_service(service="web", desiredCount=0)


def test_so_do_the_groups_of_task_sets(ecs: Any, here: Site, there: Site) -> None:
    ecs.create_service(serviceName="sets", desiredCount=0, deploymentController={"type": "EXTERNAL"})
    asked = {"cluster": "default", "service": "sets", "taskDefinition": "eni"}
    text = refused(
        ecs.create_task_set, **asked, loadBalancers=there.balanced, networkConfiguration=here.network
    )
    assert "takes no tasks of the VPC" in text
    made = ecs.create_task_set(**asked, loadBalancers=here.balanced, networkConfiguration=here.network)
    assert made["taskSet"]["loadBalancers"] == here.balanced


# ---- roles ----------------------------------------------------------------------------------

SERVICE_ROLE = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceRole"
OWN_ROLE_ONLY = "You cannot specify an IAM role for services that require a service linked role."


def policy(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def role(live: Live, name: str, *, who: str = "ecs.amazonaws.com", path: str = "/", **allowed: Any) -> str:
    """The ARN of a role that may do what is allowed, and lets somebody in."""
    iam = live.client("iam")
    trust = policy(Principal={"Service": who}, Action="sts:AssumeRole")
    made = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=trust)["Role"]
    if allowed:
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(**allowed))
    else:
        iam.attach_role_policy(RoleName=name, PolicyArn=SERVICE_ROLE)
    return str(made["Arn"])


@pytest.fixture(scope="module")
def instances(live: Live, here: Site) -> list[dict[str, Any]]:
    """A balancer for instances."""
    elb = live.client("elbv2")
    made = group(elb, "instances", VpcId=vpc_of(live, here))
    listener(elb, application(elb, "instances", Subnets=list(here.subnets)), made)
    return [{"targetGroupArn": made["TargetGroupArn"], "containerName": "app", "containerPort": 80}]


@pytest.fixture(scope="module")
def classic(live: Live, here: Site) -> list[dict[str, Any]]:
    """A Classic Load Balancer."""
    ports = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 8080}
    live.client("elb").create_load_balancer(
        LoadBalancerName="old", Listeners=[ports], Subnets=list(here.subnets)
    )
    return [{"loadBalancerName": "old", "containerName": "app", "containerPort": 80}]


def vpc_of(live: Live, there: Site) -> str:
    found = live.client("ec2").describe_subnets(SubnetIds=list(there.subnets))["Subnets"]
    return str(found[0]["VpcId"])


def test_a_role_must_let_ecs_in_and_may_look_at_the_load_balancer(
    live: Live, ecs: Any, instances: Any, classic: Any
) -> None:
    asked = {"serviceName": "roles", "taskDefinition": "plain", "desiredCount": 0, "loadBalancers": instances}
    for named in (
        "nobody",
        role(live, "of-ec2", who="ec2.amazonaws.com"),
        role(live, "blind", Action="elasticloadbalancing:RegisterTargets", Resource="*"),
    ):
        text = refused(ecs.create_service, **asked, role=named)
        assert text.startswith(
            "Unable to assume role and validate the specified targetGroupArn. Please verify"
        )
        old = {**asked, "taskDefinition": "fixed", "loadBalancers": classic}
        text = refused(ecs.create_service, **old, role=named)
        assert "validate the listeners configured on your load balancer" in text
    good = role(live, "good", path="/web/")
    for number, (named, balancers, family) in enumerate(
        ((good, instances, "plain"), ("web/good", instances, "plain"), ("/web/good", classic, "fixed"))
    ):
        members = {**asked, "serviceName": f"roles-{number}", "loadBalancers": balancers}
        made = ecs.create_service(**{**members, "taskDefinition": family}, role=named)["service"]
        assert made["roleArn"] == good
        (shown,) = ecs.describe_services(services=[made["serviceName"]])["services"]
        assert shown["roleArn"] == good


def test_a_role_is_for_what_ecs_does_not_need_its_own_for(
    live: Live, ecs: Any, here: Site, instances: Any
) -> None:
    own = role(live, "refused")
    asked = {"serviceName": "own", "desiredCount": 0, "role": own}
    assert "loadBalancers must be given" in refused(ecs.create_service, **asked, taskDefinition="plain")
    (one,) = instances
    elb = live.client("elbv2")
    other = group(elb, "other", VpcId=vpc_of(live, here))
    listener(elb, application(elb, "other", Subnets=list(here.subnets)), other)
    two = [one, {**one, "targetGroupArn": other["TargetGroupArn"]}]
    awsvpc = {"loadBalancers": here.balanced, "networkConfiguration": here.network}
    for members in (
        {"taskDefinition": "plain", "loadBalancers": two},
        {"taskDefinition": "eni", **awsvpc},
    ):
        assert refused(ecs.create_service, **asked, **members) == OWN_ROLE_ONLY


@pytest.mark.parametrize(
    ("doing", "kind", "operation"),
    [
        ("register", "modern", "RegisterTargets"),
        ("deregister", "modern", "DeregisterTargets"),
        ("health", "modern", "DescribeTargetHealth"),
        ("find", "modern", "DescribeTargetGroups"),
        ("register", "classic", "RegisterInstancesWithLoadBalancer"),
        ("deregister", "classic", "DeregisterInstancesFromLoadBalancer"),
        ("health", "classic", "DescribeInstanceHealth"),
        ("find", "classic", "DescribeLoadBalancers"),
    ],
)
def test_ecs_may_with_a_role_what_the_role_may(
    live: Live, instances: Any, classic: Any, doing: Any, kind: str, operation: str
) -> None:
    old = f"arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/{classic[0]['loadBalancerName']}"
    arn = instances[0]["targetGroupArn"] if kind == "modern" else old
    groups = next(one for one in reversed(live.plane.services) if one.name == "ecs").context.target_groups
    action = f"elasticloadbalancing:{operation}"

    def ask(role_arn: str, what: str) -> None:
        use: TargetUse = (doing, what)
        live.run(groups.permit(role_arn, [use]))

    about = arn if doing.endswith("register") else "*"
    ask(role(live, f"may-{kind}-{doing}", Action=action, Resource=about), arn)
    for suffix, allowed in (
        ("other", {"NotAction": action, "Resource": "*"}),
        ("where", {"Action": action, "Resource": f"{arn}0"}),
    ):
        with pytest.raises(TargetGroupsError, match=f"is not authorized to perform: {action} on resource"):
            ask(role(live, f"{suffix}-{kind}-{doing}", **allowed), arn)
