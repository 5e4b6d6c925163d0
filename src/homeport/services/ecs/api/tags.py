"""Tags of everything that has an ARN."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from homeport.core.arn import MalformedArnError, parse_arn
from homeport.core.call import Call
from homeport.services.ecs.api.context import (
    Answer,
    Ecs,
    Request,
    find_cluster,
    home,
    ops,
)
from homeport.services.ecs.errors import InvalidParameterException, ResourceNotFoundException
from homeport.services.ecs.model import DAEMON_TASK_DEFINITION, TASK_DEFINITION, Cluster
from homeport.services.ecs.plan.identifiers import PARTITION, is_uid, task_definition_name
from homeport.services.ecs.plan.tags import Tags, checked, merged, without
from homeport.services.ecs.plan.task_set_request import named
from homeport.services.ecs.repo.capacity_providers import CapacityProviderRepo
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.daemons import DaemonRepo
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.repo.task_sets import TaskSetRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.tx import Tx

Change = Callable[[Tags], Tags]


def _resource(call: Call, request: Request) -> tuple[str, ...]:
    del call
    return (request["resourceArn"],)


def _retag(tx: Tx, call: Call, arn_text: str, change: Change | None) -> Tags:
    """The tags of what the ARN names, after `change`. Raise `ResourceNotFoundException`."""
    try:
        arn = parse_arn(arn_text)
    except MalformedArnError:
        raise InvalidParameterException(f"The ARN provided is invalid: {arn_text}") from None
    if (arn.service, arn.partition) != ("ecs", PARTITION) or (arn.account_id, arn.region) != (
        call.account_id,
        call.region,
    ):
        raise ResourceNotFoundException(f"The specified resource was not found: {arn_text}")
    kind, *path = arn.resource.split("/")
    if not all(path):  # no name is not the name `default`
        raise InvalidParameterException(f"The ARN provided is invalid: {arn_text}")
    if kind == "cluster" and len(path) == 1:
        cluster = find_cluster(tx, call, arn_text)
        if change is None:
            return cluster.tags
        return ClusterRepo(tx).save(msgspec.structs.replace(cluster, tags=change(cluster.tags))).tags
    if kind in (TASK_DEFINITION, DAEMON_TASK_DEFINITION) and len(path) == 1:
        return _retag_definition(tx, call, kind, arn_text, change)
    if kind == "capacity-provider" and len(path) == 1:
        return _retag_provider(tx, call, arn_text, path[0], change)
    if kind == "task-set" and len(path) == 4:
        return _retag_task_set(tx, call, arn_text, path, change)
    if kind not in ("service", "task", "container-instance", "daemon"):
        raise InvalidParameterException(f"The ARN provided is invalid: {arn_text}")
    if len(path) != 2:
        raise InvalidParameterException("Long arn format must be used for tagging operations")
    return _retag_in_cluster(tx, call, kind, path, change)


def _retag_provider(tx: Tx, call: Call, arn_text: str, name: str, change: Change | None) -> Tags:
    providers = CapacityProviderRepo(tx)
    found = providers.find(call.account_id, call.region, name)
    if found is None or found.status == "INACTIVE":
        raise ResourceNotFoundException(f"The specified capacity provider was not found: {arn_text}")
    if change is None:
        return found.tags
    return providers.save(msgspec.structs.replace(found, tags=change(found.tags))).tags


def _retag_definition(tx: Tx, call: Call, kind: str, arn_text: str, change: Change | None) -> Tags:
    name = task_definition_name(home(call), arn_text, kind)
    repo = TaskDefinitionRepo(tx, kind)
    definition = None
    if name.revision is not None:
        definition = repo.exact(call.account_id, call.region, name.family, name.revision)
    if definition is None:
        words = kind.replace("-", " ")
        raise ResourceNotFoundException(f"The specified {words} was not found: {arn_text}")
    if change is None:
        return definition.tags
    return repo.save(msgspec.structs.replace(definition, tags=change(definition.tags))).tags


def _retag_daemon(tx: Tx, cluster: Cluster, name: str, change: Change | None) -> Tags | None:
    daemons = DaemonRepo(tx)
    daemon = daemons.find(cluster.id, name)
    if daemon is None or change is None:
        return None if daemon is None else daemon.tags
    return daemons.save(msgspec.structs.replace(daemon, tags=change(daemon.tags))).tags


def _retag_task_set(tx: Tx, call: Call, arn_text: str, path: list[str], change: Change | None) -> Tags:
    service = ServiceRepo(tx).find(find_cluster(tx, call, path[0]).id, path[1])
    task_sets = TaskSetRepo(tx)
    found = None if service is None else named(task_sets.of_service(service.id), arn_text)
    if found is None:
        raise ResourceNotFoundException(f"The specified task-set was not found: {arn_text}")
    if change is None:
        return found.tags
    return task_sets.save(msgspec.structs.replace(found, tags=change(found.tags))).tags


def _retag_in_cluster(tx: Tx, call: Call, kind: str, path: list[str], change: Change | None) -> Tags:
    cluster = find_cluster(tx, call, path[0])
    gone = ResourceNotFoundException(f"The specified {kind} was not found: {path[1]}")
    if kind == "daemon":
        if (tags := _retag_daemon(tx, cluster, path[1], change)) is None:
            raise gone
        return tags
    if kind == "service":
        services = ServiceRepo(tx)
        service = services.find(cluster.id, path[1])
        if service is None:
            raise gone
        if change is None:
            return service.tags
        return services.save(msgspec.structs.replace(service, tags=change(service.tags))).tags
    if not is_uid(path[1]):
        raise gone
    if kind == "task":
        tasks = TaskRepo(tx)
        task = tasks.find(cluster.id, path[1])
        if task is None:
            raise gone
        if change is None:
            return task.tags
        return tasks.save(msgspec.structs.replace(task, tags=change(task.tags))).tags
    instances = InstanceRepo(tx)
    instance = instances.find(cluster.id, path[1])
    if instance is None or instance.status == "INACTIVE":
        raise gone
    if change is None:
        return instance.tags
    return instances.save(msgspec.structs.replace(instance, tags=change(instance.tags))).tags


def tags_of(tx: Tx, call: Call, arn: str) -> Tags:
    """The tags of what an ARN names. Raise `ResourceNotFoundException`, and others, when it names nothing."""
    return _retag(tx, call, arn, None)


@ops.operation("TagResource", resources=_resource)
async def tag_resource(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Add tags, or give them other values."""
    new = checked(req["tags"])
    await ecs.store.write(lambda tx: _retag(tx, call, req["resourceArn"], lambda old: merged(old, new)))
    return {}


@ops.operation("UntagResource", resources=_resource)
async def untag_resource(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Remove tags; absent keys are ignored."""
    keys = req["tagKeys"]
    for key in keys:
        if key.lower().startswith("aws:"):
            raise InvalidParameterException(
                f"Tag key '{key}' starts with the prefix 'aws:', which is reserved."
            )
    await ecs.store.write(lambda tx: _retag(tx, call, req["resourceArn"], lambda old: without(old, keys)))
    return {}


@ops.operation("ListTagsForResource", resources=_resource)
async def list_tags_for_resource(call: Call, ecs: Ecs, req: Request) -> Answer:
    """The tags of an ARN."""
    tags = await ecs.store.read(lambda tx: tags_of(tx, call, req["resourceArn"]))
    return {"tags": list(tags)}
