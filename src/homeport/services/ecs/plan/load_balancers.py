"""What a service or a task set may ask of load balancers. Pure.

Sources: botocore's LoadBalancer and AdvancedConfiguration. What ECS answers was seen in others' issues:
hashicorp/terraform 24266 and 32908 (target type, no load balancer), aws/amazon-ecs-agent 1276 (no such
container), aws/amazon-ecs-cli 359 (blank name); the other texts are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from homeport.services.ecs.errors import InvalidParameterException
from homeport.services.ecs.model import CLASSIC, LoadBalancer, TargetPlace, TaskDefinition, classic_name
from homeport.services.ecs.plan.container_ports import check_container_port
from homeport.services.ecs.ports import TargetGroup

SERVICE_MOST, TASK_SET_MOST = 5, 1
NO_ROLE = "You cannot specify an IAM role for services that require a service linked role."
_ADVANCED = ("alternateTargetGroupArn", "productionListenerRule", "roleArn")


def named_groups(given: Sequence[Mapping[str, Any]], *, most: int = SERVICE_MOST) -> frozenset[str]:
    """The target groups that a request names, or the name of its Classic Load Balancer.

    Raise for one that cannot be honoured whatever these are.
    """
    if len(given) > most:
        raise InvalidParameterException(f"load balancers can have at most {most} items.")
    found: set[str] = set()
    for item in given:
        if item.get("loadBalancerName"):
            _check_classic(item, given, most)
        elif not item.get("targetGroupArn"):
            raise InvalidParameterException("Target Group ARN can not be blank.")
        elif classic_name(item["targetGroupArn"]):
            raise InvalidParameterException(f"The target group {item['targetGroupArn']} does not exist.")
        if not item.get("containerName"):
            raise InvalidParameterException("Container Name can not be blank.")
        if item.get("containerPort") is None:
            raise InvalidParameterException("Container Port can not be blank.")
        found |= {_named(item), *_alternates(item)}
    places = [(_named(item), item["containerPort"]) for item in given]
    if len(set(places)) < len(places):
        raise InvalidParameterException("A target group can be given once for a container port.")
    return frozenset(found)


def role_of(request: Mapping[str, Any], account_id: str) -> str:
    """The ARN of the role that a CreateService gives to ECS for its load balancer; empty: none.

    Raise where ECS must do it in its own name. Sources: botocore's CreateService, `role`; the second text
    was seen in an answer (cloudformation-coverage-roadmap issue 1804).
    """
    given = request.get("role") or ""
    if not given:
        return ""
    balancers = request.get("loadBalancers") or ()
    registered = request.get("serviceRegistries") or (request.get("serviceConnectConfiguration") or {}).get(
        "enabled"
    )
    if not balancers and not registered:
        raise InvalidParameterException(
            "role is for the service's load balancer: loadBalancers must be given with it."
        )
    if registered or len(balancers) > 1 or any(one.get("advancedConfiguration") for one in balancers):
        raise InvalidParameterException(NO_ROLE)
    return given if given.startswith("arn:") else f"arn:aws:iam::{account_id}:role/{given.lstrip('/')}"


def unusable_role(given: Sequence[Mapping[str, Any]], why: str) -> str:
    """What is said of a role that does not let ECS look at a service's load balancer.

    Source: hashicorp/terraform issue 5442 and amazon-ecs-cli issue 21, where it was seen; the reason is ours.
    """
    classic = any(item.get("loadBalancerName") for item in given)
    what = "listeners configured on your load balancer" if classic else "specified targetGroupArn"
    return (
        f"Unable to assume role and validate the {what}. Please verify that the ECS service role being "
        f"passed has the proper permissions. ({why})"
    )


def _named(item: Mapping[str, Any]) -> str:
    name: str = item.get("loadBalancerName") or item["targetGroupArn"]
    return name


def _check_classic(item: Mapping[str, Any], given: Sequence[Mapping[str, Any]], most: int) -> None:
    """Source: botocore's LoadBalancer and CreateTaskSet (`loadBalancers`); the texts are ours."""
    if item.get("targetGroupArn"):
        raise InvalidParameterException("loadBalancerName and targetGroupArn cannot both be given.")
    if most == TASK_SET_MOST:
        raise InvalidParameterException("Task sets support Application and Network Load Balancers only.")
    if len(given) > 1:
        raise InvalidParameterException(
            "A service can have one Classic Load Balancer, and no other load balancers beside it."
        )
    if item.get("advancedConfiguration"):
        raise InvalidParameterException("advancedConfiguration is not for Classic Load Balancers.")


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
    given: Iterable[Mapping[str, Any]],
    groups: Mapping[str, TargetGroup],
    definition: TaskDefinition,
    *,
    role: str | None = None,
) -> tuple[LoadBalancer, ...]:
    """What was asked for, with what `groups` are: by what the request calls them. `role`: what ECS is given.

    Raise for a group that cannot have targets, or a balancer that sends nothing to those of the definition.
    """
    if role and definition.body.get("networkMode") == "awsvpc":
        raise InvalidParameterException(NO_ROLE)
    found = []
    for item in given:
        if item.get("loadBalancerName") and item["loadBalancerName"] not in groups:
            raise InvalidParameterException(f"The load balancer {item['loadBalancerName']} does not exist.")
        group = _usable(_named(item), groups)
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
        _check_place(place, definition)
        if place.target_type == CLASSIC:
            _check_listened(place, group, definition)
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
    for one in balancers:
        _check_place(one.place, definition)
    return tuple(
        msgspec.structs.replace(one, place=msgspec.structs.replace(one.place, on_host=mode == "host"))
        for one in balancers
    )


def _check_place(place: TargetPlace, definition: TaskDefinition) -> None:
    mode = definition.body.get("networkMode", "bridge")
    if place.target_type == CLASSIC:
        _check_no_interface(place, mode)
    elif place.target_type != ("ip" if mode == "awsvpc" else "instance"):
        raise InvalidParameterException(
            f"The provided target group {place.target_group} has target type {place.target_type}, which "
            f"is incompatible with the {mode} network mode specified in the task definition."
        )
    check_container_port(definition, place.container, place.port)
    if place.target_type == CLASSIC and not host_port(definition, place):
        raise InvalidParameterException(
            f"The Classic Load Balancer {classic_name(place.target_group)} needs a host port that is always "
            f"the same: the container {place.container} has none for its container port {place.port}."
        )


def _check_no_interface(place: TargetPlace, mode: str) -> None:
    """Source: botocore's CreateService, `loadBalancers`: not for services in network mode awsvpc."""
    if mode == "awsvpc":
        raise InvalidParameterException(
            f"The load balancer {classic_name(place.target_group)} is a Classic Load Balancer, which is "
            "incompatible with the awsvpc network mode specified in the task definition."
        )


def host_port(definition: TaskDefinition, place: TargetPlace) -> int:
    """The port of its instance at which each task of the definition listens; 0: it differs."""
    if definition.body.get("networkMode") == "host":
        return place.port
    container = next(one for one in definition.body["containerDefinitions"] if one["name"] == place.container)
    mappings = (one for one in container.get("portMappings") or () if one.get("containerPort") == place.port)
    return next((one["hostPort"] for one in mappings if one.get("hostPort")), 0)


def _check_listened(place: TargetPlace, group: TargetGroup, definition: TaskDefinition) -> None:
    port = host_port(definition, place)
    if port not in group.instance_ports:
        raise InvalidParameterException(
            f"The load balancer {classic_name(place.target_group)} has no listener with the instance port "
            f"{port}, the host port of the container {place.container}: its listeners have "
            f"{', '.join(map(str, sorted(group.instance_ports))) or 'none'}."
        )
