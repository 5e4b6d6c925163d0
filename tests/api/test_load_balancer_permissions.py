"""Who may do what to load balancers, and that everything in a request is read.

Source: Service Authorization Reference, "AWS Elastic Load Balancing V2".
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import homeport.services.elbv2 as package
from homeport.core.errors import AwsError
from homeport.core.operations import any_resource
from homeport.services.elbv2 import errors
from homeport.services.elbv2.manifest import operations
from homeport.wire.model import service_api
from tests.kit.elbv2 import application, group, listener, mount_elbv2
from tests.kit.server import Live, live_server

FIXED = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
PLACE = "arn:aws:elasticloadbalancing:us-east-1:000000000000"


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with live_server(mount=mount_elbv2) as server:
        yield server


@pytest.fixture
def elb(live: Live) -> Any:
    client = live.client("elbv2")
    for one in client.describe_load_balancers()["LoadBalancers"]:
        client.delete_load_balancer(LoadBalancerArn=one["LoadBalancerArn"])
    return client


def user(live: Live, name: str, *statements: dict[str, Any]) -> Any:
    """A client of a user who may what the statements say."""
    iam = live.client("iam")
    iam.create_user(UserName=name)
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **one} for one in statements]}
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return live.client(
        "elbv2", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    )


def refused(work: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        work()
    return str(caught.value.response["Error"]["Code"])


def test_a_balancer_is_made_under_the_names_and_kinds_that_are_allowed(live: Live, elb: Any) -> None:
    mine = user(
        live,
        "maker",
        {
            "Action": "elasticloadbalancing:CreateLoadBalancer",
            "Resource": f"{PLACE}:loadbalancer/app/mine-*",
            "Condition": {"StringEquals": {"elasticloadbalancing:Scheme": "internal"}},
        },
    )
    application(mine, "mine-1", Scheme="internal")
    assert refused(lambda: application(mine, "mine-2")) == "AccessDenied"
    assert refused(lambda: application(mine, "yours-1", Scheme="internal")) == "AccessDenied"
    tagged = {"Scheme": "internal", "Tags": [{"Key": "a", "Value": "b"}]}
    assert refused(lambda: application(mine, "mine-3", **tagged)) == "AccessDenied"


def test_tags_come_with_what_is_made_when_that_is_allowed(live: Live, elb: Any) -> None:
    mine = user(
        live,
        "tagger",
        {"Action": "elasticloadbalancing:CreateLoadBalancer", "Resource": "*"},
        {
            "Action": "elasticloadbalancing:AddTags",
            "Resource": "*",
            "Condition": {"StringEquals": {"elasticloadbalancing:CreateAction": "CreateLoadBalancer"}},
        },
    )
    arn = application(mine, "tagged", Tags=[{"Key": "a", "Value": "b"}])["LoadBalancerArn"]
    later = lambda: mine.add_tags(ResourceArns=[arn], Tags=[{"Key": "c", "Value": "d"}])  # noqa: E731
    assert refused(later) == "AccessDenied"


def test_a_listener_may_speak_what_is_allowed(live: Live, elb: Any) -> None:
    balancer = application(elb)
    mine = user(
        live,
        "listener",
        {
            "Action": "elasticloadbalancing:CreateListener",
            "Resource": balancer["LoadBalancerArn"],
            "Condition": {"StringEquals": {"elasticloadbalancing:ListenerProtocol": "HTTPS"}},
        },
    )
    assert refused(lambda: listener(mine, balancer, FIXED)) == "AccessDenied"


def test_a_policy_may_depend_on_a_balancers_tags(live: Live, elb: Any) -> None:
    ours = application(elb, "ours", Tags=[{"Key": "team", "Value": "us"}])["LoadBalancerArn"]
    theirs = application(elb, "theirs", Tags=[{"Key": "team", "Value": "them"}])["LoadBalancerArn"]
    mine = user(
        live,
        "teammate",
        {
            "Action": "elasticloadbalancing:DeleteLoadBalancer",
            "Resource": "*",
            "Condition": {"StringEquals": {"elasticloadbalancing:ResourceTag/team": "us"}},
        },
    )
    assert refused(lambda: mine.delete_load_balancer(LoadBalancerArn=theirs)) == "AccessDenied"
    mine.delete_load_balancer(LoadBalancerArn=ours)


def test_targets_are_registered_where_it_is_allowed(live: Live, elb: Any) -> None:
    arn = group(elb)["TargetGroupArn"]
    mine = user(live, "registrar", {"Action": "elasticloadbalancing:RegisterTargets", "Resource": arn})
    mine.register_targets(TargetGroupArn=arn, Targets=[{"Id": "i-0"}])
    leave = lambda: mine.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": "i-0"}])  # noqa: E731
    assert refused(leave) == "AccessDenied"


def test_every_operation_is_there_and_looking_is_about_nothing_in_particular() -> None:
    """Source: Service Authorization Reference: actions that describe have no resource types."""
    names = service_api("elbv2").operation_names
    assert operations.names() == names
    vague = {name for name in names if operations.find(name).resources is any_resource}  # type: ignore[union-attr]
    assert vague == {name for name in names if name.startswith("Describe")}
    assert {operations.find(name).action for name in names} == {  # type: ignore[union-attr]
        f"elasticloadbalancing:{name}" for name in names
    }


def test_every_member_of_every_request_is_read_somewhere() -> None:
    """A member whose name nowhere stands in the service cannot have an effect."""
    folder = Path(package.__file__).parent
    words = {
        node.value
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    api = service_api("elbv2")
    asked = [name for name in api.operation_names if "TrustStore" not in name and "Capacity" not in name]
    unread = {
        f"{name}.{member}"
        for name in asked
        for shape in api.operation(name).input.walk()
        if "Cognito" not in shape.name  # refused as a whole
        for member in shape.members
        if member not in words
    }
    without_effect = {
        "ModifyIpPools.RemoveIpamPools",  # refused whatever it says
        "ModifyIpPools.Ipv4IpamPoolId",
        "CreateLoadBalancer.Ipv4IpamPoolId",  # refused with what it is in
    }
    assert unread == without_effect


def test_every_error_is_in_the_model_but_the_one_that_is_common_to_all() -> None:
    ours = {
        one.code
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, AwsError) and one is not AwsError
    }
    api = service_api("elbv2")
    assert {code for code in ours if api.error_shape(code) is None} == {"ValidationError"}
