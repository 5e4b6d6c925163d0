"""What ECS asks of target groups before a service's tasks can be registered in them, through boto3.

EC2, Elastic Load Balancing and ECS are mounted over one store, as they are served.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.app.balancer_network import Ec2Network
from homeport.app.control_plane import ControlPlane
from homeport.app.service_targets import ServiceTargets
from homeport.core.pages import Pages
from homeport.gateway.stages import MountedService
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
    context = dataclasses.replace(ecs.context, target_groups=ServiceTargets(Registrar(elb.context)))
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
