"""Tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from homeport.core.call import Call
from homeport.services.ecs.api.access import running
from homeport.services.ecs.api.context import (
    Answer,
    Ecs,
    Request,
    find_cluster,
    find_task_definition,
    home,
    ops,
)
from homeport.services.ecs.api.networks import network_of
from homeport.services.ecs.api.paging import page_of
from homeport.services.ecs.api.resources import (
    definition_resource,
    instances_resource,
    resolved_later,
    tasks_resource,
)
from homeport.services.ecs.api.settings import effective_settings
from homeport.services.ecs.errors import (
    ClientException,
    InvalidParameterException,
    ServiceNotFoundException,
)
from homeport.services.ecs.model import Cluster, Protection, Task, TaskDefinition, TaskNetwork
from homeport.services.ecs.plan.capacity_strategy import to_start
from homeport.services.ecs.plan.compute import Compute, compute_of
from homeport.services.ecs.plan.failures import REASON_MOST, user_stop
from homeport.services.ecs.plan.fargate_room import SPOT_SHORT, UNAVAILABLE
from homeport.services.ecs.plan.identifiers import (
    instance_uid,
    service_name,
    task_definition_name,
    task_uid,
)
from homeport.services.ecs.plan.launch import (
    ANYWHERE,
    Launch,
    check_launch,
    request_digest,
    task_tags,
    task_template,
)
from homeport.services.ecs.plan.networks import is_awsvpc
from homeport.services.ecs.plan.placing import shares
from homeport.services.ecs.plan.service_request import check_constraints, check_strategy
from homeport.services.ecs.ports import ClientToken, PlacementFailure, PlacementRequest
from homeport.services.ecs.repo.capacity_providers import CapacityProviderRepo
from homeport.services.ecs.repo.daemons import DaemonRepo
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.services.ecs.view import task_view
from homeport.store.tx import Tx

_TAGS = frozenset({"TAGS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What RunTask and StartTask alike are asked to start. `groups`: of the cluster's providers, by name."""

    cluster: Cluster
    definition: TaskDefinition
    launch: Launch
    template: Task
    groups: Mapping[str, str]
    compute: Compute
    network: TaskNetwork | None


def _named(tx: Tx, call: Call, req: Request) -> tuple[Cluster, TaskDefinition, str, Mapping[str, str]]:
    """The cluster, the definition, the delivery mode of log drivers, and groups of capacity providers."""
    cluster = find_cluster(tx, call, req.get("cluster"))
    name = task_definition_name(home(call), req["taskDefinition"])
    definition = find_task_definition(tx, call, name)
    if definition is None:
        raise ClientException("TaskDefinition not found.")
    groups = CapacityProviderRepo(tx).groups(call.account_id, call.region, cluster.capacity_providers)
    return cluster, definition, effective_settings(tx, call)["defaultLogDriverMode"], groups


async def _asked(call: Call, ecs: Ecs, req: Request, *, is_placed: bool) -> _Asked:
    """What a request asks to start. `is_placed`: by ECS, wherever it finds room. Raise when it cannot be."""
    cluster, definition, log_mode, groups = await ecs.store.read(lambda tx: _named(tx, call, req))
    compute = compute_of(req, cluster) if is_placed else ANYWHERE
    check_launch(req, definition, compute)
    launch = ecs.launches.of(definition, req.get("overrides"), compute)
    network = None
    if is_awsvpc(definition):
        network = await ecs.store.read(lambda tx: network_of(tx, call, ecs, req, definition))
    check_constraints(tuple(req.get("placementConstraints") or ()))
    check_strategy(tuple(req.get("placementStrategy") or ()))
    template = task_template(
        cluster=cluster,
        definition=definition,
        launch=launch,
        group=req.get("group"),
        started_by=req.get("startedBy"),
        tags=task_tags(req, cluster, definition),
        log_mode=log_mode,
        now=ecs.clock.now(),
        compute=compute,
    )
    return _Asked(
        cluster=cluster,
        definition=definition,
        launch=launch,
        template=template,
        groups=groups,
        compute=compute,
        network=network,
    )


def _failures(failures: tuple[PlacementFailure, ...]) -> list[Answer]:
    return [{"arn": f.arn or None, "reason": f.reason, "detail": f.detail or None} for f in failures]


@ops.operation("RunTask", resources=resolved_later, about=definition_resource, needs=running)
async def run_task(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Place and start 1 to 10 tasks; no room is no error but `failures`."""
    count = req.get("count", 1)
    if not 1 <= count <= 10:
        raise InvalidParameterException("count must be between 1 and 10.")
    token = req.get("clientToken")
    if token is not None and not (len(token) <= 64 and all(33 <= ord(c) <= 126 for c in token)):
        raise InvalidParameterException("clientToken has at most 64 ASCII characters in the range 33-126.")

    asked = await _asked(call, ecs, req, is_placed=True)
    cluster, launch, strategy = asked.cluster, asked.launch, asked.compute.strategy
    outcome = await ecs.placer.place(
        PlacementRequest(
            cluster=cluster,
            definition=asked.definition,
            template=asked.template,
            demand=asked.template.demand,
            count=count,
            shares=shares(Counter(to_start(strategy, {}, count)) if strategy else {}, asked.groups),
            required_attributes=launch.demand.required_attributes,
            network=asked.network,
            constraints=(*launch.demand.constraints, *(req.get("placementConstraints") or ())),
            strategy=tuple(req.get("placementStrategy") or ()),
            client_token=None
            if token is None
            else ClientToken(scope=f"RunTask/{cluster.id}", token=token, digest=request_digest(req)),
        )
    )
    if outcome.capacity and not outcome.tasks and not any(f.reason == SPOT_SHORT for f in outcome.failures):
        raise ClientException(f"{UNAVAILABLE} ({outcome.capacity})")
    if outcome.no_instances:
        where = "capacity provider" if strategy else "cluster"
        raise InvalidParameterException(f"No Container Instances were found in your {where}.")
    return {
        "tasks": [task_view(task, include=_TAGS) for task in outcome.tasks],
        "failures": _failures(outcome.failures),
    }


def _missing_instance(call: Call, cluster: Cluster, reference: str) -> Answer:
    head = f"arn:aws:ecs:{call.region}:{call.account_id}:container-instance/{cluster.name}"
    return {
        "arn": reference if reference.startswith("arn:") else f"{head}/{reference}",
        "reason": "MISSING",
    }


@ops.operation("StartTask", resources=resolved_later, about=definition_resource, needs=running)
async def start_task(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Start one task on each of 1 to 10 named instances."""
    references = req["containerInstances"]
    if not 1 <= len(references) <= 10:
        raise InvalidParameterException("containerInstances must name 1 to 10 container instances.")
    asked = await _asked(call, ecs, req, is_placed=False)
    cluster = asked.cluster
    uids: list[str] = []
    missing: list[Answer] = []
    for reference in references:
        uid = instance_uid(home(call), cluster.name, reference)
        if uid is None:
            missing.append(_missing_instance(call, cluster, reference))
        else:
            uids.append(uid)
    if not uids:
        return {"tasks": [], "failures": missing}
    outcome = await ecs.placer.place(
        PlacementRequest(
            cluster=cluster,
            definition=asked.definition,
            template=asked.template,
            demand=asked.template.demand,
            instance_uids=tuple(uids),
            required_attributes=asked.launch.demand.required_attributes,
            network=asked.network,
        )
    )
    return {
        "tasks": [task_view(task, include=_TAGS) for task in outcome.tasks],
        "failures": missing + _failures(outcome.failures),
    }


@ops.operation("StopTask", resources=tasks_resource)
async def stop_task(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Ask a task to stop; a stopped one is returned as it is."""
    if len(req.get("reason") or "") > REASON_MOST:
        raise InvalidParameterException(f"reason has at most {REASON_MOST} characters.")
    stop = user_stop(req.get("reason"))

    def work(tx: Tx) -> Task:
        cluster = find_cluster(tx, call, req.get("cluster"))
        uid = task_uid(home(call), cluster.name, req["task"])
        repo = TaskRepo(tx)
        task = None if uid is None else repo.find(cluster.id, uid)
        if task is None:
            raise InvalidParameterException("The referenced task was not found.")
        if task.desired_status == "STOPPED":
            return task
        return repo.save(
            msgspec.structs.replace(
                task,
                desired_status="STOPPED",
                stop_code=stop.code.value,
                stopped_reason=stop.reason,
                stopping_at=ecs.clock.now(),
            )
        )

    return {"task": task_view(await ecs.store.write(work), include=_TAGS)}


def _asked_uids(call: Call, cluster: Cluster, references: list[str]) -> dict[str, str | None]:
    return {
        reference: task_uid(home(call), cluster.name, reference) for reference in dict.fromkeys(references)
    }


def _missing(call: Call, cluster: Cluster, reference: str) -> Answer:
    head = f"arn:aws:ecs:{call.region}:{call.account_id}:task/{cluster.name}"
    return {
        "arn": reference if reference.startswith("arn:") else f"{head}/{reference}",
        "reason": "MISSING",
    }


@ops.operation("DescribeTasks", resources=tasks_resource)
async def describe_tasks(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Describe up to 100 tasks."""
    references = req["tasks"]
    if not references:
        raise InvalidParameterException("Tasks cannot be empty.")
    if len(references) > 100:
        raise InvalidParameterException("tasks can have at most 100 items.")
    include = frozenset(req.get("include") or ())

    def work(tx: Tx) -> Answer:
        cluster = find_cluster(tx, call, req.get("cluster"))
        asked = _asked_uids(call, cluster, references)
        known = ecs.views.describe(tx, cluster.id, [uid for uid in asked.values() if uid], include)
        return {
            "tasks": [known[uid] for uid in asked.values() if uid in known],
            "failures": [
                _missing(call, cluster, reference) for reference, uid in asked.items() if uid not in known
            ],
        }

    return await ecs.store.read(work)


@ops.operation("ListTasks", resources=instances_resource)
async def list_tasks(call: Call, ecs: Ecs, req: Request) -> Answer:
    """ARNs of tasks; those that should run, unless `desiredStatus` says otherwise."""
    filters = ("containerInstance", "family", "serviceName", "launchType", "daemonName")
    if req.get("startedBy") and any(req.get(name) for name in filters):
        raise InvalidParameterException("startedBy must be the only filter: remove the others.")
    page = page_of(call, ecs, req)

    def work(tx: Tx) -> list[tuple[int, str]]:
        cluster = find_cluster(tx, call, req.get("cluster"))
        instance_id = service_id = daemon_id = None
        if req.get("containerInstance"):
            uid = instance_uid(home(call), cluster.name, req["containerInstance"])
            instance = None if uid is None else InstanceRepo(tx).find(cluster.id, uid)
            if instance is None:
                raise InvalidParameterException("Referenced container instance ID not found.")
            instance_id = instance.id
        if req.get("serviceName"):
            name = service_name(home(call), cluster.name, req["serviceName"])
            service = None if name is None else ServiceRepo(tx).find(cluster.id, name)
            if service is None:
                raise ServiceNotFoundException("Service not found.")
            service_id = service.id
        if req.get("daemonName"):
            daemon = DaemonRepo(tx).find(cluster.id, req["daemonName"])
            if daemon is None:
                raise InvalidParameterException("The specified daemon was not found.")
            daemon_id = daemon.id
        rows = TaskRepo(tx).page(
            cluster.id,
            desired_status=req.get("desiredStatus") or "RUNNING",
            filters={
                "instance_id": instance_id,
                "service_id": service_id,
                "daemon_id": daemon_id,
                "family": req.get("family"),
                "launch_type": req.get("launchType"),
                "started_by": req.get("startedBy"),
            },
            after_id=page.after(0),
            limit=page.limit + 1,
        )
        head = f"arn:aws:ecs:{call.region}:{call.account_id}:task/{cluster.name}"
        return [(row_id, f"{head}/{uid}") for row_id, uid in rows]

    return page.answer("taskArns", await ecs.store.read(work))


def _protection_view(task: Task, now_timestamp: float) -> Answer:
    protection = task.protection
    held = protection is not None and protection.expires_at.timestamp() > now_timestamp
    return {
        "taskArn": task.arn,
        "protectionEnabled": held,
        "expirationDate": protection.expires_at if held and protection is not None else None,
    }


@ops.operation("UpdateTaskProtection", resources=tasks_resource)
async def update_task_protection(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Protect up to ten service tasks from scale-in, or stop doing so."""
    minutes = req.get("expiresInMinutes", 120)
    if not 1 <= minutes <= 2880:
        raise InvalidParameterException("expiresInMinutes must be between 1 and 2880.")
    if not 1 <= len(req["tasks"]) <= 10:
        raise InvalidParameterException("tasks must name 1 to 10 tasks.")
    now = ecs.clock.now()
    protection = Protection(expires_at=now + timedelta(minutes=minutes)) if req["protectionEnabled"] else None

    def work(tx: Tx) -> Answer:
        cluster = find_cluster(tx, call, req["cluster"])
        asked = _asked_uids(call, cluster, req["tasks"])
        repo = TaskRepo(tx)
        known = repo.find_many(cluster.id, [uid for uid in asked.values() if uid])
        done: list[Answer] = []
        failures: list[Answer] = []
        for reference, uid in asked.items():
            task = known.get(uid or "")
            if task is None:
                failures.append(_missing(call, cluster, reference))
            elif task.service_id is None or task.stopped_at is not None:
                failures.append({"arn": task.arn, "reason": "TASK_NOT_VALID"})
            else:
                saved = repo.save(msgspec.structs.replace(task, protection=protection))
                done.append(_protection_view(saved, now.timestamp()))
        return {"protectedTasks": done, "failures": failures}

    return await ecs.store.write(work)


@ops.operation("GetTaskProtection", resources=tasks_resource)
async def get_task_protection(call: Call, ecs: Ecs, req: Request) -> Answer:
    """The protection of up to 100 service tasks."""
    references = req.get("tasks") or []
    if not 1 <= len(references) <= 100:
        raise InvalidParameterException("tasks must name 1 to 100 tasks.")

    def work(tx: Tx) -> Answer:
        cluster = find_cluster(tx, call, req["cluster"])
        asked = _asked_uids(call, cluster, references)
        known = TaskRepo(tx).find_many(cluster.id, [uid for uid in asked.values() if uid])
        done: list[Answer] = []
        failures: list[Answer] = []
        for reference, uid in asked.items():
            task = known.get(uid or "")
            if task is None:
                failures.append(_missing(call, cluster, reference))
            elif task.service_id is None:
                failures.append({"arn": task.arn, "reason": "TASK_NOT_VALID"})
            else:
                done.append(_protection_view(task, ecs.clock.now().timestamp()))
        return {"protectedTasks": done, "failures": failures}

    return await ecs.store.read(work)
