"""What a service or a task set may ask of load balancers. Pure.

Sources: botocore's LoadBalancer and AdvancedConfiguration. What ECS answers was seen in others' issues:
hashicorp/terraform 24266 and 32908 (target type, no load balancer), aws/amazon-ecs-agent 1276 (no such
container), aws/amazon-ecs-cli 359 (blank name); the other texts are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from homeport.services.ecs.errors import ClientException, InvalidParameterException
from homeport.services.ecs.model import LoadBalancer, TargetPlace, TaskDefinition
from homeport.services.ecs.ports import TargetGroup

SERVICE_MOST, TASK_SET_MOST = 5, 1
_ADVANCED = ("alternateTargetGroupArn", "productionListenerRule", "roleArn")


def named_groups(given: Sequence[Mapping[str, Any]], *, most: int = SERVICE_MOST) -> frozenset[str]:
    """The target groups that a request names. Raise for one that cannot be honoured whatever these are."""
    if len(given) > most:
        raise InvalidParameterException(f"load balancers can have at most {most} items.")
    found: set[str] = set()
    for item in given:
        if item.get("loadBalancerName"):
            raise ClientException("loadBalancers.loadBalancerName is not supported by Homeport yet.")
        if not item.get("targetGroupArn"):
            raise InvalidParameterException("Target Group ARN can not be blank.")
        if not item.get("containerName"):
            raise InvalidParameterException("Container Name can not be blank.")
        if item.get("containerPort") is None:
            raise InvalidParameterException("Container Port can not be blank.")
        found |= {item["targetGroupArn"], *_alternates(item)}
    places = [(item["targetGroupArn"], item["containerPort"]) for item in given]
    if len(set(places)) < len(places):
        raise InvalidParameterException("A target group can be given once for a container port.")
    return frozenset(found)


def _alternates(item: Mapping[str, Any]) -> tuple[str, ...]:
    advanced = item.get("advancedConfiguration")
    if not advanced:
        return ()
    for member in _ADVANCED:
        if not advanced.get(member):
            raise InvalidParameterException(f"advancedConfiguration.{member} can not be blank.")
    if advanced["alternateTargetGroupArn"] == item["targetGroupArn"]:
        raise InvalidParameterException("The alternate target group must be another than the target group.")
    return (advanced["alternateTargetGroupArn"],)


def load_balancers(
    given: Iterable[Mapping[str, Any]], groups: Mapping[str, TargetGroup]
) -> tuple[LoadBalancer, ...]:
    """What was asked for, with what `groups` are. Raise for a group that cannot have targets."""
    found = []
    for item in given:
        group = _usable(item["targetGroupArn"], groups)
        for alternate in _alternates(item):
            if _usable(alternate, groups, listened=False).target_type != group.target_type:
                raise InvalidParameterException(
                    f"The target groups {group.arn} and {alternate} must have the same target type."
                )
        place = TargetPlace(
            target_group=group.arn,
            target_type=group.target_type,
            container=item["containerName"],
            port=item["containerPort"],
        )
        found.append(LoadBalancer(place=place, advanced=dict(item.get("advancedConfiguration") or {})))
    return tuple(found)


def _usable(arn: str, groups: Mapping[str, TargetGroup], *, listened: bool = True) -> TargetGroup:
    group = groups.get(arn)
    if group is None:
        raise InvalidParameterException(f"The target group {arn} does not exist.")
    if listened and not group.has_load_balancer:
        raise InvalidParameterException(
            f"The target group with targetGroupArn {arn} does not have an associated load balancer."
        )
    return group


def balancers_of(balancers: Sequence[LoadBalancer], definition: TaskDefinition) -> tuple[LoadBalancer, ...]:
    """The load balancers as tasks of the definition are registered there. Raise unless they can be."""
    mode = definition.body.get("networkMode", "bridge")
    _check_places(balancers, definition, mode)
    return tuple(
        msgspec.structs.replace(one, place=msgspec.structs.replace(one.place, on_host=mode == "host"))
        for one in balancers
    )


def _check_places(balancers: Iterable[LoadBalancer], definition: TaskDefinition, mode: str) -> None:
    for balancer in balancers:
        place = balancer.place
        if place.target_type != ("ip" if mode == "awsvpc" else "instance"):
            raise InvalidParameterException(
                f"The provided target group {place.target_group} has target type {place.target_type}, which "
                f"is incompatible with the {mode} network mode specified in the task definition."
            )
        containers = {one["name"]: one for one in definition.body["containerDefinitions"]}
        container = containers.get(place.container)
        if container is None:
            raise InvalidParameterException(
                f"The container {place.container} does not exist in the task definition."
            )
        ports = {mapping.get("containerPort") for mapping in container.get("portMappings") or ()}
        if place.port not in ports:
            raise InvalidParameterException(
                f"The container {place.container} did not have a container port {place.port} defined."
            )
