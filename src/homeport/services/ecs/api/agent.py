"""What container agents call: register, find the sockets, report."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

import msgspec

from homeport.core.call import Call
from homeport.core.ids import hex32
from homeport.services.ecs.api.access import registering_instance, serving
from homeport.services.ecs.api.container_instances import instance_views
from homeport.services.ecs.api.context import (
    Answer,
    Ecs,
    Request,
    agents_cluster,
    find_cluster,
    home,
    ops,
)
from homeport.services.ecs.api.resources import cluster_resource
from homeport.services.ecs.errors import ClusterNotFoundException, InvalidParameterException
from homeport.services.ecs.model import FLEET, Cluster, ContainerInstance, Task, names_fleet
from homeport.services.ecs.plan.identifiers import cluster_name, instance_uid, task_uid
from homeport.services.ecs.plan.lifecycle import apply_container_report, apply_report, deprovisioned, lost
from homeport.services.ecs.plan.networks import unknown_attachments
from homeport.services.ecs.plan.registration import registered_instance
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.fleets import task_of_fleet
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.settings import TokenRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.tx import Tx

ACS_PATH = "/_homeport/acs"
TCS_PATH = "/_homeport/tcs"
_REPORTED = ("PENDING", "RUNNING", "STOPPED")


def _registration_cluster(tx: Tx, call: Call, reference: str | None, now: datetime) -> Cluster:
    """The cluster to register into; `default` and Fargate's fleet are made when the first instance comes."""
    if names_fleet(reference):
        found = ClusterRepo(tx).fleet(call.account_id, call.region)
        if found is not None:
            return found
        fleet = Cluster(account_id=call.account_id, region=call.region, name=FLEET, created_at=now)
        return ClusterRepo(tx).add(fleet)
    try:
        return find_cluster(tx, call, reference)
    except ClusterNotFoundException:
        if cluster_name(home(call), reference) != "default":
            raise
    clusters = ClusterRepo(tx)
    fresh = Cluster(account_id=call.account_id, region=call.region, name="default", created_at=now)
    old = clusters.find(call.account_id, call.region, "default")
    return clusters.add(fresh) if old is None else clusters.revive(old, fresh)


@ops.operation("RegisterContainerInstance", resources=cluster_resource, needs=registering_instance)
async def register_container_instance(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Register an instance, or renew the registration of `containerInstanceArn`."""
    token = req.get("clientToken")

    def work(tx: Tx) -> Answer:
        cluster = _registration_cluster(tx, call, req.get("cluster"), ecs.clock.now())
        instances, tokens = InstanceRepo(tx), TokenRepo(tx)
        scope = f"RegisterContainerInstance/{cluster.id}"
        known = tokens.find(scope, token) if token else None
        reference = req.get("containerInstanceArn") or (known[1] if known else None)
        old = None
        if reference:
            uid = instance_uid(home(call), cluster.name, reference)
            old = None if uid is None else instances.find(cluster.id, uid)
            if old is None or old.status == "INACTIVE":
                raise InvalidParameterException(f"Referenced container instance {reference} not found.")
        instance = registered_instance(
            req,
            cluster=cluster,
            old=old,
            uid=hex32(ecs.ids),
            managed_id=f"mi-{ecs.ids.token(9).hex()[:17]}",
            now=ecs.clock.now(),
        )
        if old is None:
            saved = instances.add(instance)
            _succeed(tx, saved, ecs.clock.now())
            _sweep(tx, ecs, saved)
        else:
            saved = instances.save(instance)
        if token and known is None:
            stamp = ecs.clock.now().timestamp()
            tokens.add(scope, token, digest="", result=saved.arn, created_at=stamp)
        return instance_views(tx, [saved], frozenset({"TAGS"}))[0]

    return {"containerInstance": await ecs.store.write(work)}


def _succeed(tx: Tx, begun: ContainerInstance, now: datetime) -> None:
    """A machine of Fargate's that begins anew takes the place of what it was: nobody else could end that."""
    if not begun.is_hidden:
        return
    instances, tasks = InstanceRepo(tx), TaskRepo(tx)
    for former in instances.of_cluster(begun.cluster_id):
        if former.id == begun.id or former.ec2_instance_id != begun.ec2_instance_id:
            continue
        for task in tasks.live_of_instance(former.id):
            tasks.save(lost(task, now))
        instances.save(msgspec.structs.replace(former, status="INACTIVE", agent_connected=False))


def _sweep(tx: Tx, ecs: Ecs, begun: ContainerInstance) -> None:
    """A machine that begins anew has nothing left of what ran on it: interfaces of lost tasks go.

    Those are of tasks whose instance was deregistered by force: until now their containers might run on.
    """
    if ecs.networks is None or not begun.ec2_instance_id:
        return
    ecs.networks.sweep(
        tx,
        begun.account_id,
        begun.region,
        instance_id=begun.ec2_instance_id,
        is_live=TaskRepo(tx).is_live,
    )


@ops.operation("DiscoverPollEndpoint", needs=serving)
async def discover_poll_endpoint(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Where the agent's sockets are: under the address that it reached us at."""
    await ecs.store.read(lambda tx: agents_cluster(tx, call, req.get("cluster")))
    return {"endpoint": call.base_url + ACS_PATH, "telemetryEndpoint": call.base_url + TCS_PATH}


async def _report(call: Call, ecs: Ecs, req: Request, apply: Callable[[Task], Task]) -> Answer:
    """Apply a report.

    The end of a task that is not known (any more) is acknowledged, because agents keep
    its containers until then. All else is InvalidParameterException, because agents
    repeat for ever what any other error answered.
    """
    status = req.get("status")
    if status is not None and status not in _REPORTED:
        raise InvalidParameterException(f"status must be one of {', '.join(_REPORTED)}, not '{status}'.")

    def work(tx: Tx) -> None:
        tasks = TaskRepo(tx)
        task = _reported_task(tx, tasks, call, req)
        if task is None:
            if status == "STOPPED":
                return
            raise InvalidParameterException("The referenced task was not found.")
        if lost := unknown_attachments((task,), req.get("attachments") or ()):
            raise _no_attachments(lost)
        after = apply(task)
        if after is not task and after != task:
            _save(tx, ecs, after)

    await ecs.store.write(work)
    return {"acknowledgment": "ACK"}


def _save(tx: Tx, ecs: Ecs, task: Task) -> None:
    """With the end of a task its interface goes: its agent says STOPPED when nothing of it is left."""
    tasks = TaskRepo(tx)
    if task.stopped_at is None or task.interface is None or ecs.networks is None:
        tasks.save(task)
        return
    going, gone = deprovisioned(task)
    ecs.networks.detach(tx, task)
    version = tasks.save(going).version
    tasks.save(msgspec.structs.replace(gone, version=version))


def _reported_task(tx: Tx, tasks: TaskRepo, call: Call, req: Request) -> Task | None:
    reference = req.get("task") or ""
    try:
        cluster = agents_cluster(tx, call, req.get("cluster"))
        if cluster.name == FLEET:
            return task_of_fleet(tx, home(call), reference, cluster.id)
    except ClusterNotFoundException:
        return None
    uid = task_uid(home(call), cluster.name, reference)
    return None if uid is None else tasks.find(cluster.id, uid)


@ops.operation("SubmitTaskStateChange", resources=cluster_resource, needs=serving)
async def submit_task_state_change(call: Call, ecs: Ecs, req: Request) -> Answer:
    """A task moved, or its containers did."""
    now = ecs.clock.now()
    return await _report(call, ecs, req, lambda task: apply_report(task, req, now))


@ops.operation("SubmitContainerStateChange", resources=cluster_resource, needs=serving)
async def submit_container_state_change(call: Call, ecs: Ecs, req: Request) -> Answer:
    """A container moved."""
    now = ecs.clock.now()
    return await _report(call, ecs, req, lambda task: apply_container_report(task, req, now))


@ops.operation("SubmitAttachmentStateChanges", resources=cluster_resource, needs=serving)
async def submit_attachment_state_changes(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Refused for every attachment: those of tasks come with SubmitTaskStateChange, and there are no others.

    Source: amazon-ecs-agent, which sends this for instances' interfaces and for volumes.
    """
    await ecs.store.read(lambda tx: agents_cluster(tx, call, req.get("cluster")))
    raise _no_attachments(unknown_attachments((), req["attachments"]))


def _no_attachments(arns: list[str]) -> InvalidParameterException:
    return InvalidParameterException(f"No such attachment: {json.dumps(arns)}")
