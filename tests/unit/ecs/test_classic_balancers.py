"""What a service may ask of a Classic Load Balancer. Source: botocore's LoadBalancer, CreateService."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.ecs.test_compute import definition

from homeport.services.ecs.errors import InvalidParameterException
from homeport.services.ecs.model import CLASSIC, TaskDefinition, classic_arn
from homeport.services.ecs.plan.load_balancers import (
    TASK_SET_MOST,
    balancers_of,
    load_balancers,
    named_groups,
)
from homeport.services.ecs.ports import TargetGroup

ARN = classic_arn("000000000000", "us-east-1", "old")
OLD = {"loadBalancerName": "old", "containerName": "app", "containerPort": 80}
GROUPS = {"old": TargetGroup(arn=ARN, target_type=CLASSIC, instance_ports=frozenset({80, 8080}))}


def defined(host_port: int | None, **members: Any) -> TaskDefinition:
    mapping = {"containerPort": 80, **({} if host_port is None else {"hostPort": host_port})}
    container = {"name": "app", "image": "app", "memory": 8, "portMappings": [mapping]}
    return definition({"family": "web", "containerDefinitions": [container], **members})


@pytest.mark.parametrize(
    ("asked", "on_host"), [(defined(8080), False), (defined(None, networkMode="host"), True)]
)
def test_a_port_that_is_always_the_same_is_registered(asked: TaskDefinition, on_host: bool) -> None:
    (found,) = balancers_of(load_balancers([OLD], GROUPS, asked), asked)
    place = found.place
    assert (place.target_group, place.target_type, place.port, place.on_host) == (ARN, CLASSIC, 80, on_host)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (defined(None), "needs a host port that is always the same"),
        (defined(0), "needs a host port that is always the same"),
        (defined(8081), "no listener with the instance port 8081.*its listeners have 80, 8080"),
        (defined(80, networkMode="awsvpc"), "incompatible with the awsvpc network mode"),
    ],
)
def test_tasks_that_it_cannot_reach_are_refused(asked: TaskDefinition, text: str) -> None:
    with pytest.raises(InvalidParameterException, match=text):
        load_balancers([OLD], GROUPS, asked)


@pytest.mark.parametrize(
    ("given", "most"),
    [
        ([{**OLD, "targetGroupArn": "tg/one"}], 5),
        ([OLD, {**OLD, "loadBalancerName": "second"}], 5),
        ([OLD, {"targetGroupArn": "tg/one", "containerName": "app", "containerPort": 80}], 5),
        ([{**OLD, "advancedConfiguration": {"roleArn": "role"}}], 5),
        ([OLD], TASK_SET_MOST),
        ([{"targetGroupArn": ARN, "containerName": "app", "containerPort": 80}], 5),
    ],
)
def test_it_stands_alone_and_by_its_name(given: list[dict[str, Any]], most: int) -> None:
    with pytest.raises(InvalidParameterException):
        named_groups(given, most=most)
    assert named_groups([OLD]) == {"old"}
