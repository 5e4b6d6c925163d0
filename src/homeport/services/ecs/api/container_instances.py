"""Container instances and their attributes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from homeport.core.call import Call
from homeport.services.ecs.api.context import Answer, Ecs, Request, find_cluster, home, ops
from homeport.services.ecs.api.paging import page_of
from homeport.services.ecs.api.resources import attributes_resource, cluster_resource, instances_resource
from homeport.services.ecs.errors import (
    AttributeLimitExceededException,
    ClientException,
    InvalidParameterException,
    NoUpdateAvailableException,
    TargetNotFoundException,
)
from homeport.services.ecs.model import Attribute, Cluster, ContainerInstance, Task
from homeport.services.ecs.plan.identifiers import instance_uid
from homeport.services.ecs.plan.query import Facts, QuerySyntaxError, compile_query, facts_of
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.memberships import providers_of
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.services.ecs.view import instance_view
from homeport.store.tx import Tx

_CUSTOM_MAX = 10
_NAME = re.compile(r"[A-Za-z0-9\-_./\\]{1,128}")
_VALUE = re.compile(r"[A-Za-z0-9\-_.@/\\:][A-Za-z0-9\-_.@/\\: ]{0,127}(?<! )")


def instance_views(
    tx: Tx, instances: Iterable[ContainerInstance], include: frozenset[str] = frozenset()
) -> list[Answer]:
    """Instances with what their tasks hold."""
    found = tuple(instances)
    counts = InstanceRepo(tx).task_counts(instance.id for instance in found)
    providers = providers_of(tx, found)
    tasks = TaskRepo(tx)
    return [
        instance_view(
            instance,
            tasks=tasks.live_of_instance(instance.id) if instance.id in counts else (),
            counts=counts.get(instance.id, (0, 0)),
            include=include,
            provider=providers.get(instance.id),
        )
        for instance in found
    ]


def find_instances(
    tx: Tx, call: Call, cluster: Cluster, references: Iterable[str]
) -> tuple[list[ContainerInstance], list[Answer]]:
    """The instances that exist, in the order asked, and a MISSING failure for each other."""
    asked = {
        reference: instance_uid(home(call), cluster.name, reference)
        for reference in dict.fromkeys(references)
    }
    known = InstanceRepo(tx).find_many(cluster.id, [uid for uid in asked.values() if uid])
    found = [known[uid] for uid in asked.values() if uid in known]
    head = f"arn:aws:ecs:{call.region}:{call.account_id}:container-instance/{cluster.name}"
    failures = [
        {"arn": reference if reference.startswith("arn:") else f"{head}/{reference}", "reason": "MISSING"}
        for reference, uid in asked.items()
        if uid not in known
    ]
    return found, failures


@ops.operation("DescribeContainerInstances", resources=instances_resource)
async def describe_container_instances(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Describe up to 100 instances."""
    references = req["containerInstances"]
    if not references:
        raise ClientException("Container Instances cannot be empty.")
    if len(references) > 100:
        raise InvalidParameterException("containerInstances can have at most 100 items.")
    include = frozenset(req.get("include") or ())

    def work(tx: Tx) -> Answer:
        cluster = find_cluster(tx, call, req.get("cluster"))
        found, failures = find_instances(tx, call, cluster, references)
        return {"containerInstances": instance_views(tx, found, include), "failures": failures}

    return await ecs.store.read(work)


@ops.operation("ListContainerInstances", resources=cluster_resource)
async def list_container_instances(call: Call, ecs: Ecs, req: Request) -> Answer:
    """ARNs of instances that are not INACTIVE, filtered by status and by query."""
    page = page_of(call, ecs, req)
    matches: Callable[[Facts], bool] | None = None
    if req.get("filter"):
        try:
            matches = compile_query(req["filter"]).matches
        except QuerySyntaxError as error:
            raise InvalidParameterException(f"Invalid filter: {error}") from None

    def work(tx: Tx) -> list[tuple[int, str]]:
        cluster = find_cluster(tx, call, req.get("cluster"))
        repo = InstanceRepo(tx)
        found = repo.of_cluster(
            cluster.id,
            after_id=page.after(0),
            limit=page.limit + 1 if matches is None else None,
            status=req.get("status"),
        )
        if matches is not None:
            tasks = TaskRepo(tx)
            views = instance_views(tx, found)
            found = tuple(
                instance
                for instance, view in zip(found, views, strict=True)
                if matches(facts_of(view, _groups(tasks, instance)))
            )
        return [(instance.id, instance.arn) for instance in found[: page.limit + 1]]

    return page.answer("containerInstanceArns", await ecs.store.read(work))


def _groups(tasks: TaskRepo, instance: ContainerInstance) -> frozenset[str]:
    return frozenset(task.group for task in tasks.live_of_instance(instance.id))


def _orphan(task: Task, ecs: Ecs) -> Task:
    """A task whose instance was forced away: ECS stops tracking it, its containers run on."""
    now = ecs.clock.now()
    return msgspec.structs.replace(
        task,
        desired_status="STOPPED",
        last_status="STOPPED",
        stop_code="UserInitiated",
        stopped_reason="Container instance deregistration forced by user",
        stopping_at=task.stopping_at or now,
        stopped_at=now,
    )


@ops.operation("DeregisterContainerInstance", resources=cluster_resource)
async def deregister_container_instance(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Remove an instance; with tasks on it only by force, which orphans them."""
    forced = req.get("force", False)

    def work(tx: Tx) -> Answer:
        cluster = find_cluster(tx, call, req.get("cluster"))
        uid = instance_uid(home(call), cluster.name, req["containerInstance"])
        repo, tasks = InstanceRepo(tx), TaskRepo(tx)
        instance = None if uid is None else repo.find(cluster.id, uid)
        if instance is None or instance.status == "INACTIVE":
            raise InvalidParameterException("Referenced container instance ID not found.")
        live = tasks.live_of_instance(instance.id)
        if live and not forced:
            raise InvalidParameterException("Found running tasks on the instance.")
        for task in live:
            tasks.save(_orphan(task, ecs))
        gone = repo.save(msgspec.structs.replace(instance, status="INACTIVE", agent_connected=False))
        tx.touch("ecs.dispatch", str(instance.id))
        return instance_view(gone, tasks=(), counts=(0, 0), include=frozenset())

    return {"containerInstance": await ecs.store.write(work)}


@ops.operation("UpdateContainerInstancesState", resources=instances_resource)
async def update_container_instances_state(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Drain up to ten instances, or make them ACTIVE again."""
    status = req["status"]
    if status not in ("ACTIVE", "DRAINING"):
        raise InvalidParameterException("Container instance status should be one of [ACTIVE, DRAINING]")
    if not 1 <= len(req["containerInstances"]) <= 10:
        raise InvalidParameterException("containerInstances must name 1 to 10 container instances.")

    def work(tx: Tx) -> Answer:
        cluster = find_cluster(tx, call, req.get("cluster"))
        found, failures = find_instances(tx, call, cluster, req["containerInstances"])
        repo, tasks = InstanceRepo(tx), TaskRepo(tx)
        changed = []
        for instance in found:
            if instance.status not in ("ACTIVE", "DRAINING"):
                failures.append({"arn": instance.arn, "reason": instance.status})
                continue
            changed.append(repo.save(msgspec.structs.replace(instance, status=status)))
            for service_id in {t.service_id for t in tasks.live_of_instance(instance.id)} - {None}:
                tx.touch("ecs.service", str(service_id))
        return {"containerInstances": instance_views(tx, changed), "failures": failures}

    return await ecs.store.write(work)


@ops.operation("UpdateContainerAgent", resources=instances_resource)
async def update_container_agent(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Refused: agents are updated with the package they came in."""

    def work(tx: Tx) -> None:
        cluster = find_cluster(tx, call, req.get("cluster"))
        found, _ = find_instances(tx, call, cluster, [req["containerInstance"]])
        if not found:
            raise InvalidParameterException("Referenced container instance ID not found.")

    await ecs.store.read(work)
    raise NoUpdateAvailableException("There is no update available for this container agent.")


def _checked_attribute(given: Answer) -> tuple[str, str | None]:
    name, value = given["name"], given.get("value")
    if not _NAME.fullmatch(name):
        raise InvalidParameterException(f"Invalid attribute name '{name}'.")
    if name.startswith("ecs."):
        raise InvalidParameterException(
            f"The attribute '{name}' is reserved: names starting with ecs. are ECS's."
        )
    if value is not None and not _VALUE.fullmatch(value):
        raise InvalidParameterException(f"Invalid attribute value '{value}'.")
    return name, value


def _target(tx: Tx, call: Call, cluster: Cluster, given: Answer) -> ContainerInstance:
    if given.get("targetType", "container-instance") != "container-instance":
        raise InvalidParameterException("The only targetType is container-instance.")
    uid = instance_uid(home(call), cluster.name, given.get("targetId") or "")
    instance = None if uid is None else InstanceRepo(tx).find(cluster.id, uid)
    if instance is None or instance.status == "INACTIVE":
        raise TargetNotFoundException(f"The target {given.get('targetId')} was not found.")
    return instance


async def _change_attributes(
    call: Call, ecs: Ecs, req: Request, change: Callable[[ContainerInstance, Answer], ContainerInstance]
) -> Answer:
    given = req["attributes"]
    if not 1 <= len(given) <= 10:
        raise InvalidParameterException("attributes must hold 1 to 10 attributes.")

    def work(tx: Tx) -> Answer:
        cluster = find_cluster(tx, call, req.get("cluster"))
        shown = []
        for attribute in given:
            instance = _target(tx, call, cluster, attribute)
            InstanceRepo(tx).save(change(instance, attribute))
            shown.append(
                {
                    "name": attribute["name"],
                    "value": attribute.get("value"),
                    "targetType": "container-instance",
                    "targetId": instance.arn,
                }
            )
        return {"attributes": shown}

    return await ecs.store.write(work)


def _with_attribute(instance: ContainerInstance, given: Answer) -> ContainerInstance:
    name, value = _checked_attribute(given)
    others = tuple(a for a in instance.attributes if a.name != name)
    if sum(a.custom for a in others) >= _CUSTOM_MAX:
        raise AttributeLimitExceededException(
            f"A container instance has at most {_CUSTOM_MAX} custom attributes."
        )
    added = Attribute(name=name, value=value, custom=True)
    return msgspec.structs.replace(instance, attributes=(*others, added))


def _without_attribute(instance: ContainerInstance, given: Answer) -> ContainerInstance:
    kept = tuple(
        a
        for a in instance.attributes
        if not (a.custom and a.name == given["name"] and given.get("value") in (None, a.value))
    )
    if len(kept) == len(instance.attributes):
        raise TargetNotFoundException(f"The attribute {given['name']} was not found on {instance.arn}.")
    return msgspec.structs.replace(instance, attributes=kept)


@ops.operation("PutAttributes", resources=attributes_resource)
async def put_attributes(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Set custom attributes."""
    return await _change_attributes(call, ecs, req, _with_attribute)


@ops.operation("DeleteAttributes", resources=attributes_resource)
async def delete_attributes(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Remove custom attributes."""
    return await _change_attributes(call, ecs, req, _without_attribute)


@ops.operation("ListAttributes", resources=cluster_resource)
async def list_attributes(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Attributes of a cluster's instances, by name and value."""
    name, value = req.get("attributeName"), req.get("attributeValue")
    if value is not None and name is None:
        raise InvalidParameterException("attributeValue needs attributeName.")
    page = page_of(call, ecs, req)
    last_id, last_name = page.after([0, ""])

    def work(tx: Tx) -> list[tuple[Any, Answer]]:
        cluster = find_cluster(tx, call, req.get("cluster"))
        rows: list[tuple[Any, Answer]] = []
        for instance in InstanceRepo(tx).of_cluster(cluster.id, after_id=last_id - 1):
            for a in sorted(instance.attributes, key=lambda attribute: attribute.name):
                if (instance.id, a.name) <= (last_id, last_name) or name not in (None, a.name):
                    continue
                if value not in (None, a.value):
                    continue
                shown = {"name": a.name, "value": a.value, "targetType": "container-instance"}
                rows.append(([instance.id, a.name], {**shown, "targetId": instance.arn}))
                if len(rows) > page.limit:
                    return rows
        return rows

    return page.answer("attributes", await ecs.store.read(work))
