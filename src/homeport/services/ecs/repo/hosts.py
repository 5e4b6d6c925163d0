"""The instances of a cluster as DAEMON services and daemons see them, and the room that is held for these."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeport.services.ecs.model import GROUP_ATTRIBUTE, Daemon, Service, TaskDefinition
from homeport.services.ecs.model.daemon_snapshot import DaemonHost, ManagedSnapshot
from homeport.services.ecs.plan.daemon_hosts import Host, daemon_demand, hosts_of, wants_of
from homeport.services.ecs.plan.managed_hosts import closing_demand, managed_demand
from homeport.services.ecs.plan.placement_types import Demand
from homeport.services.ecs.repo.daemons import DaemonRepo
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.tx import Tx


def daemon_hosts(tx: Tx, service: Service, definition: TaskDefinition) -> tuple[Host, ...]:
    """The instances of the service's cluster, as the service sees them with that definition."""
    instances = InstanceRepo(tx).of_cluster(service.cluster_id)
    draining = [instance.id for instance in instances if instance.status == "DRAINING"]
    network = service.primary.network
    zones = None if network is None else network.zones
    wants = wants_of(definition, service.placement_constraints, zones=zones)
    return hosts_of(instances, wants, {instance_id: _others(tx, instance_id) for instance_id in draining})


def _others(tx: Tx, instance_id: int) -> int:
    """How many tasks of other than DAEMON services and daemons are on an instance."""
    tasks = [task for task in TaskRepo(tx).live_of_instance(instance_id) if task.daemon_id is None]
    services = ServiceRepo(tx).get_many({t.service_id for t in tasks if t.service_id is not None})
    daemons = {service.id for service in services.values() if service.is_daemon}
    return sum(task.service_id not in daemons for task in tasks)


def managed_hosts(tx: Tx, cluster_id: int) -> tuple[DaemonHost, ...]:
    """The instances of a cluster as its daemons see them: daemons leave a draining one after all others."""
    tasks = TaskRepo(tx)
    return tuple(
        DaemonHost(
            id=instance.id,
            uid=instance.uid,
            active=instance.status == "ACTIVE",
            connected=instance.agent_connected,
            others=0
            if instance.status == "ACTIVE"
            else sum(task.daemon_id is None for task in tasks.live_of_instance(instance.id)),
            group=instance.attribute(GROUP_ATTRIBUTE) or "",
        )
        for instance in InstanceRepo(tx).of_cluster(cluster_id)
    )


def load_managed(tx: Tx, daemon: Daemon) -> ManagedSnapshot:
    """Everything that the next step of the daemon depends on."""
    repo, tasks = DaemonRepo(tx), TaskRepo(tx)
    live = tasks.live_of_daemon(daemon.id)
    uids = {daemon.revision, daemon.last_good, *(task.daemon_revision for task in live)}
    return ManagedSnapshot(
        daemon=daemon,
        deployment=repo.deployments([daemon.deployment])[daemon.deployment],
        revisions=repo.revisions(uids),
        hosts=managed_hosts(tx, daemon.cluster_id),
        live=live,
        stopped=tasks.stopped_of_daemon(daemon.id, after=daemon.counted_until),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """What is held free in a cluster, and what is closed in it, by who holds it (see `plan.reservations`)."""

    demands: dict[int, Demand] = field(default_factory=dict)
    closing: dict[int, Demand] = field(default_factory=dict)


def reserved_room(tx: Tx, cluster_id: int) -> Reserved:
    """What the tasks of a cluster's DAEMON services and daemons need."""
    reserved = Reserved()
    services = [s for s in ServiceRepo(tx).daemons(cluster_id) if s.primary.rollout_state != "FAILED"]
    daemons = [daemon for daemon in DaemonRepo(tx).of_cluster(cluster_id) if daemon.status == "ACTIVE"]
    revisions = DaemonRepo(tx).revisions(daemon.revision for daemon in daemons)
    ids = {s.primary.task_definition_id for s in services} | {
        r.task_definition_id for r in revisions.values()
    }
    definitions = TaskDefinitionRepo(tx).by_ids(ids)
    for service in services:
        if (definition := definitions.get(service.primary.task_definition_id)) is not None:
            reserved.demands[service.id] = daemon_demand(service, definition)
    for daemon in daemons:
        revision = revisions[daemon.revision or ""]
        reserved.demands[-daemon.id] = managed_demand(
            daemon, revision, definitions[revision.task_definition_id]
        )
        if (closes := closing_demand(daemon, revision)) is not None:
            reserved.closing[-daemon.id] = closes
    return reserved
