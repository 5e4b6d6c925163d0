"""What a daemon's task asks of its instance, and which instances are its. Pure."""

from __future__ import annotations

from datetime import datetime

import msgspec

from homeport.services.ecs.model import (
    GROUP_ATTRIBUTE,
    Cluster,
    Daemon,
    DaemonRevision,
    Provider,
    Task,
    TaskDefinition,
)
from homeport.services.ecs.plan.launch import Launch, launch_of, task_template
from homeport.services.ecs.plan.placement_types import Constraint, Demand
from homeport.services.ecs.plan.tags import Tags, merged
from homeport.services.ecs.ports import PlacementRequest


def group_constraint(revision: DaemonRevision) -> Constraint:
    """That an instance belongs to one of the revision's capacity providers."""
    names = ", ".join(f"'{provider.group}'" for provider in revision.providers)
    return Constraint("memberOf", f"attribute:{GROUP_ATTRIBUTE} in [{names}]")


def managed_demand(daemon: Daemon, revision: DaemonRevision, definition: TaskDefinition) -> Demand:
    """What one task of the revision takes from its instance."""
    demand = launch_of(definition, {}).demand
    return Demand(
        cpu=demand.cpu,
        memory=demand.memory,
        ports_tcp=demand.ports_tcp,
        ports_udp=demand.ports_udp,
        gpus=demand.gpus,
        attributes=demand.required_attributes,
        constraints=(group_constraint(revision),),
        group=daemon.group,
    )


def closing_demand(daemon: Daemon, revision: DaemonRevision) -> Demand | None:
    """The instances that are closed until the daemon runs there; `None`: it is not critical."""
    if not revision.critical:
        return None
    return Demand(constraints=(group_constraint(revision),), group=daemon.group)


def daemon_template(
    daemon: Daemon,
    revision: DaemonRevision,
    provider: Provider,
    cluster: Cluster,
    definition: TaskDefinition,
    launch: Launch,
    *,
    log_mode: str,
    now: datetime,
) -> Task:
    """A task of the revision, without what placing adds. AWS documents no group and startedBy: ours."""
    tags: Tags = daemon.tags if revision.propagate_tags == "DAEMON" else ()
    if revision.enable_managed_tags:
        ours = (("aws:ecs:clusterName", cluster.name), ("aws:ecs:daemonName", daemon.name))
        tags = merged(tags, tuple({"key": key, "value": value} for key, value in ours))
    template = task_template(
        cluster=cluster,
        definition=definition,
        launch=launch,
        group=daemon.group,
        started_by=f"ecs-daemon/{daemon.deployment}",
        tags=tags,
        log_mode=log_mode,
        now=now,
    )
    return msgspec.structs.replace(
        template,
        daemon_id=daemon.id,
        daemon_name=daemon.name,
        daemon_revision=revision.uid,
        capacity_provider=provider.arn.rpartition("/")[2],
    )


def daemon_placement(
    daemon: Daemon,
    revision: DaemonRevision,
    cluster: Cluster,
    definition: TaskDefinition,
    launch: Launch,
    template: Task,
    instance_uids: tuple[str, ...],
) -> PlacementRequest:
    """What placing a daemon's tasks asks for; good while nobody writes the daemon."""
    constraint = group_constraint(revision)
    return PlacementRequest(
        cluster=cluster,
        definition=definition,
        template=template,
        demand=template.demand,
        count=len(instance_uids),
        instance_uids=instance_uids,
        required_attributes=launch.demand.required_attributes,
        constraints=({"type": constraint.kind, "expression": constraint.expression},),
        daemon=daemon,
    )
