"""IAM: what a request needs beyond its own action: roles that it hands on, tags, the revision that is meant.

Source: IAM User Guide, "Grant a user permissions to pass a role"; ECS developer guide, "Grant permission to
tag resources on creation".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from homeport.core.access import Access
from homeport.core.arn import is_arn
from homeport.core.call import Call
from homeport.core.errors import AwsError
from homeport.core.operations import NeedsOf
from homeport.services.ecs.api.context import Ecs, Request, find_cluster, find_task_definition, home
from homeport.services.ecs.api.resources import (
    FARGATE_AGENT,
    cluster_keys,
    definition_resource,
    ecs_keys,
    head_of,
    new_task_set_resource,
    services_resource,
)
from homeport.services.ecs.model import DAEMON_TASK_DEFINITION, FLEET, TaskDefinition, names_fleet
from homeport.services.ecs.plan.identifiers import service_name, task_definition_name
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.store.tx import Tx

PASSED_TO = "ecs-tasks.amazonaws.com"
SHIFTS_FOR = "ecs.amazonaws.com"
"""Who takes on the roles of load balancers. Source: developer guide, "Amazon ECS infrastructure IAM role"."""


def _role_arn(call: Call, role: str) -> str:
    return role if is_arn(role) else f"arn:aws:iam::{call.account_id}:role/{role.lstrip('/')}"


def passed_roles(call: Call, *documents: Mapping[str, Any]) -> list[Access]:
    """`iam:PassRole` on each role that a definition or its overrides hand to tasks."""
    roles = (one.get(member) for one in documents for member in ("taskRoleArn", "executionRoleArn"))
    return [
        Access(
            action="iam:PassRole",
            resource=_role_arn(call, str(role)),
            keys={"iam:PassedToService": PASSED_TO},
        )
        for role in dict.fromkeys(filter(None, roles))
    ]


def tagging(call: Call, request: Request, kind: str) -> list[Access]:
    """`ecs:TagResource` on what the operation makes, when it brings tags."""
    if not request.get("tags"):
        return []
    keys = {**ecs_keys(call, request), "ecs:CreateAction": call.operation}
    return [Access(action="ecs:TagResource", resource=f"{head_of(call)}:{kind}/*", keys=keys)]


def tags_on(kind: str) -> NeedsOf:
    """For operations that need no more than to tag what they make."""

    async def needs(call: Call, ecs: Ecs, request: Request) -> Sequence[Access]:
        del ecs
        return tagging(call, request, kind)

    return needs


async def serving(call: Call, ecs: Ecs, request: Request) -> Sequence[Access]:
    """What an agent asks for a machine of Fargate's needs a permission that no ECS policy gives."""
    del ecs
    if not names_fleet(request.get("cluster")):
        return []
    return [Access(action=FARGATE_AGENT, resource=f"{head_of(call)}:cluster/{FLEET}")]


async def registering_instance(call: Call, ecs: Ecs, request: Request) -> Sequence[Access]:
    """RegisterContainerInstance: tags, and Fargate's fleet."""
    return [*await serving(call, ecs, request), *tagging(call, request, "container-instance")]


async def registering(call: Call, ecs: Ecs, request: Request) -> Sequence[Access]:
    """RegisterTaskDefinition hands on the roles that it names."""
    del ecs
    return [*passed_roles(call, request), *tagging(call, request, "task-definition")]


def _definition(tx: Tx, call: Call, reference: str) -> TaskDefinition | None:
    try:
        return find_task_definition(tx, call, task_definition_name(home(call), reference))
    except AwsError:
        return None


async def running(call: Call, ecs: Ecs, request: Request) -> Sequence[Access]:
    """RunTask and StartTask are about the revision that is meant, and hand on its roles or others instead."""
    definition = await ecs.store.read(lambda tx: _definition(tx, call, request["taskDefinition"]))
    if definition is None:  # who may not ask does not learn that it is not there
        keys = ecs_keys(call, request)
        named = definition_resource(call, request)
        return [Access(action=f"ecs:{call.operation}", resource=arn, keys=keys) for arn in named]
    overrides = request.get("overrides") or {}
    roles = {
        member: overrides.get(member) or definition.body.get(member)
        for member in ("taskRoleArn", "executionRoleArn")
    }
    keys = {**ecs_keys(call, request), "ecs:task-definition": definition.arn}
    return [
        Access(action=f"ecs:{call.operation}", resource=definition.arn, keys=keys),
        *passed_roles(call, roles),
        *tagging(call, request, "task"),
    ]


def _deployed(tx: Tx, call: Call, request: Request) -> TaskDefinition | None:
    """The definition that a service or task set will run; `None`: the one that it runs already."""
    if request.get("taskDefinition"):
        return _definition(tx, call, request["taskDefinition"])
    if not request.get("forceNewDeployment"):
        return None
    cluster = find_cluster(tx, call, request.get("cluster"))
    name = service_name(home(call), cluster.name, request["service"])
    service = None if name is None else ServiceRepo(tx).find(cluster.id, name)
    if service is None or not service.deployments:
        return None
    return _definition(tx, call, service.primary.task_definition)


async def deploying(call: Call, ecs: Ecs, request: Request) -> Sequence[Access]:
    """CreateService, UpdateService and CreateTaskSet hand on the roles of what they deploy."""
    definition = await ecs.store.read(lambda tx: _deployed(tx, call, request))
    kind = "task-set" if call.operation == "CreateTaskSet" else "service"
    keys = ecs_keys(call, request)
    if definition is not None and request.get("taskDefinition"):
        keys = {**keys, "ecs:task-definition": definition.arn}
    about = new_task_set_resource if kind == "task-set" else services_resource
    own = [
        Access(action=f"ecs:{call.operation}", resource=arn, keys={**keys, **cluster_keys(call, arn)})
        for arn in about(call, request)
    ]
    documents = [definition.body] if definition is not None else []
    return [
        *own,
        *passed_roles(call, *documents),
        *_shifting_roles(call, request),
        *tagging(call, request, kind),
    ]


def _shifting_roles(call: Call, request: Request) -> list[Access]:
    """`iam:PassRole` on each role that ECS is to use load balancers with."""
    given = [one.get("advancedConfiguration") or {} for one in request.get("loadBalancers") or ()]
    given.append({"roleArn": request.get("role")})
    return [
        Access(
            action="iam:PassRole",
            resource=_role_arn(call, role),
            keys={"iam:PassedToService": SHIFTS_FOR},
        )
        for role in dict.fromkeys(str(one["roleArn"]) for one in given if one.get("roleArn"))
    ]


async def registering_daemon(call: Call, ecs: Ecs, request: Request) -> Sequence[Access]:
    """RegisterDaemonTaskDefinition hands on the roles that it names."""
    del ecs
    return [*passed_roles(call, request), *tagging(call, request, DAEMON_TASK_DEFINITION)]


def _daemon_definition(tx: Tx, call: Call, reference: str) -> TaskDefinition | None:
    try:
        name = task_definition_name(home(call), reference, DAEMON_TASK_DEFINITION)
    except AwsError:
        return None
    repo = TaskDefinitionRepo(tx, DAEMON_TASK_DEFINITION)
    if not name.here:
        return None
    if name.revision is None:
        return repo.latest_active(call.account_id, call.region, name.family)
    return repo.exact(call.account_id, call.region, name.family, name.revision)


async def deploying_daemon(call: Call, ecs: Ecs, request: Request) -> Sequence[Access]:
    """CreateDaemon and UpdateDaemon hand on the roles of what they deploy, as CreateService does."""
    reference = request["daemonTaskDefinitionArn"]
    definition = await ecs.store.read(lambda tx: _daemon_definition(tx, call, reference))
    documents = [definition.body] if definition is not None else []
    return [*passed_roles(call, *documents), *tagging(call, request, "daemon")]
