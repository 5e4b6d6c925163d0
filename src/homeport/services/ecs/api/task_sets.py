"""Task sets of services whose deployments somebody else conducts."""

from __future__ import annotations

from typing import Any

import msgspec

from homeport.core.call import Call
from homeport.services.ecs.api.access import deploying
from homeport.services.ecs.api.context import Answer, Ecs, Request, find_cluster, ops
from homeport.services.ecs.api.deployments import definition_of, new_deployment
from homeport.services.ecs.api.load_balancers import target_groups
from homeport.services.ecs.api.networks import network_of
from homeport.services.ecs.api.registries import registries_for_task_set, registry_facts
from homeport.services.ecs.api.resources import new_task_set_resource, resolved_later, services_resource
from homeport.services.ecs.api.services import find_service
from homeport.services.ecs.errors import InvalidParameterException, ServiceNotActiveException
from homeport.services.ecs.model import Service, TaskSet
from homeport.services.ecs.plan.compute import compute_of
from homeport.services.ecs.plan.launch import request_digest
from homeport.services.ecs.plan.load_balancers import TASK_SET_MOST, load_balancers
from homeport.services.ecs.plan.tags import checked
from homeport.services.ecs.plan.task_set_request import (
    check_delete,
    check_room,
    check_task_set,
    known_task_set,
    named,
    open_task_set,
    scale_of,
)
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.settings import TokenRepo
from homeport.services.ecs.repo.task_sets import TaskSetRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.services.ecs.view import Standings, task_set_view
from homeport.store.tx import Tx

_TAGS = frozenset({"TAGS"})


def _arn(call: Call, request: Request, reference: str) -> str:
    """The ARN of a task set, which is named by its id or its ARN."""
    if reference.startswith("arn:"):
        return reference
    return f"{services_resource(call, request)[0].replace(':service/', ':task-set/')}/{reference}"


def _resource(call: Call, request: Request) -> tuple[str, ...]:
    """IAM: the task sets that a request names; all of the service's where it names none."""
    given = request.get("taskSets") or [request.get("taskSet") or "*"]
    return tuple(_arn(call, request, reference) for reference in given)


def _find(tx: Tx, call: Call, req: Request) -> tuple[Service, tuple[TaskSet, ...]]:
    """The ACTIVE service that a request names, with its task sets."""
    service = find_service(tx, call, find_cluster(tx, call, req.get("cluster")), req["service"])
    if service.status != "ACTIVE":
        raise ServiceNotActiveException("Service was not ACTIVE.")
    if not service.is_external:
        raise InvalidParameterException(
            "Amazon ECS only supports task set management on services configured to use external "
            "deployment controllers."
        )
    return service, TaskSetRepo(tx).of_service(service.id)


def _view(tx: Tx, task_set: TaskSet, include: frozenset[str] = _TAGS) -> Answer:
    tasks = Standings(TaskRepo(tx).standings_of_service(task_set.service_id))
    return task_set_view(task_set, tasks=tasks, include=include)


def _digest(req: Request) -> str:
    return request_digest({key: value for key, value in req.items() if key not in ("cluster", "service")})


def _repeated(tx: Tx, service: Service, task_sets: tuple[TaskSet, ...], req: Request) -> TaskSet | None:
    """What an earlier request under the same client token made. Raise if it asked for something else."""
    token = req.get("clientToken")
    known = TokenRepo(tx).find(f"CreateTaskSet/{service.id}", token) if token else None
    if known is None:
        return None
    found = named(task_sets, known[1])
    if known[0] != _digest(req) or found is None:
        raise InvalidParameterException("Creation of task set was not idempotent.")
    return found


@ops.operation("CreateTaskSet", resources=resolved_later, about=new_task_set_resource, needs=deploying)
async def create_task_set(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Add a task set to a service; the same request under the same client token returns it."""
    tags, scale = checked(req.get("tags")), scale_of(req.get("scale"))
    groups = await target_groups(call, ecs, req, most=TASK_SET_MOST)
    facts = await registry_facts(call, ecs, req)

    def work(tx: Tx) -> Answer:
        service, task_sets = _find(tx, call, req)
        earlier = _repeated(tx, service, task_sets, req)
        if earlier is not None:
            return _view(tx, earlier)
        definition = definition_of(tx, call, req["taskDefinition"])
        cluster = find_cluster(tx, call, req.get("cluster"))
        compute = compute_of(req, cluster)
        check_task_set(req, definition, compute)
        check_room(task_sets)
        balancers = load_balancers(req.get("loadBalancers") or (), groups, definition)
        registries = registries_for_task_set(req, service, definition, facts)
        network = network_of(tx, call, ecs, req, definition, balancers=balancers)
        deployment = new_deployment(ecs, definition, compute, balancers, network, registries)
        now = deployment.created_at
        task_set = TaskSet(
            service_id=service.id,
            cluster_name=service.cluster_name,
            account_id=service.account_id,
            region=service.region,
            service_name=service.name,
            deployment=deployment,
            scale=scale,
            external_id=req.get("externalId"),
            stability_at=now,
            created_at=now,
            updated_at=now,
            tags=tags,
        )
        added = TaskSetRepo(tx).add(task_set)
        joined = msgspec.structs.replace(
            service,
            has_targets=service.has_targets or bool(balancers),
            has_registries=service.has_registries or bool(registries),
        )
        ServiceRepo(tx).save(joined)
        if req.get("clientToken"):
            TokenRepo(tx).add(
                f"CreateTaskSet/{service.id}",
                req["clientToken"],
                digest=_digest(req),
                result=added.uid,
                created_at=now.timestamp(),
            )
        return _view(tx, added)

    return {"taskSet": await ecs.store.write(work)}


def _saved(tx: Tx, ecs: Ecs, service: Service, task_set: TaskSet, **changes: Any) -> TaskSet:
    """The task set after the changes; its service is written as well, which guards what is decided."""
    ServiceRepo(tx).save(service)
    changed = msgspec.structs.replace(task_set, updated_at=ecs.clock.now(), **changes)
    return TaskSetRepo(tx).save(changed)


@ops.operation("UpdateTaskSet", resources=_resource)
async def update_task_set(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Give a task set another share of its service's desired count."""
    if req["scale"].get("value") is None:
        raise InvalidParameterException("scale.value is required.")
    scale = scale_of(req["scale"])

    def work(tx: Tx) -> Answer:
        service, task_sets = _find(tx, call, req)
        task_set = open_task_set(task_sets, req["taskSet"])
        if scale == task_set.scale:
            return _view(tx, task_set)
        return _view(tx, _saved(tx, ecs, service, task_set, scale=scale))

    return {"taskSet": await ecs.store.write(work)}


@ops.operation("UpdateServicePrimaryTaskSet", resources=services_resource)
async def update_service_primary_task_set(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Make a task set the one whose values are the service's; the one before is ACTIVE again."""

    def work(tx: Tx) -> Answer:
        service, task_sets = _find(tx, call, req)
        chosen = open_task_set(task_sets, req["primaryTaskSet"])
        if chosen.status == "PRIMARY":
            return _view(tx, chosen)
        for task_set in task_sets:
            if task_set.status == "PRIMARY":
                before = msgspec.structs.replace(task_set, status="ACTIVE", updated_at=ecs.clock.now())
                TaskSetRepo(tx).save(before)
        return _view(tx, _saved(tx, ecs, service, chosen, status="PRIMARY"))

    return {"taskSet": await ecs.store.write(work)}


@ops.operation("DeleteTaskSet", resources=_resource)
async def delete_task_set(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Drain a task set: by force the PRIMARY one, too, and with tasks that are protected."""
    force = bool(req.get("force"))

    def work(tx: Tx) -> Answer:
        service, task_sets = _find(tx, call, req)
        task_set = known_task_set(task_sets, req["taskSet"])
        if task_set.status == "DRAINING" and (task_set.forced or not force):
            return _view(tx, task_set)
        check_delete(task_set, force=force)
        drained = _saved(
            tx, ecs, service, task_set, status="DRAINING", forced=force, computed_desired_count=0
        )
        return _view(tx, drained)

    return {"taskSet": await ecs.store.write(work)}


@ops.operation("DescribeTaskSets", resources=_resource)
async def describe_task_sets(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Describe the named task sets of a service, or all of them."""
    include = frozenset(req.get("include") or ())

    def work(tx: Tx) -> Answer:
        _, task_sets = _find(tx, call, req)
        references = dict.fromkeys(req.get("taskSets") or [one.uid for one in task_sets])
        found = {reference: named(task_sets, reference) for reference in references}
        return {
            "taskSets": [_view(tx, one, include) for one in found.values() if one is not None],
            "failures": [
                {"arn": _arn(call, req, reference), "reason": "MISSING"}
                for reference, one in found.items()
                if one is None
            ],
        }

    return await ecs.store.read(work)
