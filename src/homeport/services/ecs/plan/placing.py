"""From a request to places in the fleet, and back to what the caller is told. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from homeport.core.ids import Ids, uuid
from homeport.services.ecs.model import (
    FARGATE,
    GROUP_ATTRIBUTE,
    Cluster,
    ContainerInstance,
    Service,
    Task,
    TaskDefinition,
)
from homeport.services.ecs.plan.fargate_room import NO_MACHINE, lacking, reason_of
from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.launch import Launch
from homeport.services.ecs.plan.placement import Placement, check, place
from homeport.services.ecs.plan.placement_admission import pool_rows
from homeport.services.ecs.plan.placement_each import place_each
from homeport.services.ecs.plan.placement_types import (
    Constraint,
    Demand,
    InstanceView,
    Reason,
    Refusal,
    Strategy,
)
from homeport.services.ecs.ports import PlacementFailure, PlacementRequest, Share

TROUBLESHOOTING = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."


def fleet_key(uid: str) -> int:
    """A task's key in the fleet: 63 bits of its id, so that it is known before the row is.

    Among a million live tasks two share a key with a chance of one in ten million.
    """
    return int(uid[:16], 16) >> 1


def instance_state(instance: ContainerInstance) -> InstanceView:
    """An instance as placement sees it."""
    return InstanceView(
        id=instance.id,
        uid=instance.uid,
        cpu=instance.cpu,
        memory=instance.memory,
        registered_at=instance.registered_at,
        status=instance.status,
        agent_connected=instance.agent_connected,
        agent_version=instance.agent_version,
        ec2_instance_id=instance.ec2_instance_id,
        az=instance.attribute("ecs.availability-zone") or "",
        ports_tcp=instance.ports_tcp,
        ports_udp=instance.ports_udp,
        gpu_ids=instance.gpu_ids,
        attributes={a.name: a.value for a in instance.attributes},
    )


def pool_of(group: str) -> str:
    """What the instances of an Auto Scaling group have in common, as a demand names it."""
    return f"{GROUP_ATTRIBUTE}={group}"


def fleet_demand(request: PlacementRequest, share: Share | None = None) -> Demand:
    """What a request's tasks, or those of one of its shares, ask of an instance."""
    if request.is_fargate:
        return Demand(
            cpu=request.demand.cpu,
            memory=request.demand.memory,
            attributes=request.required_attributes,
            # Nobody may ask for any: these are the definition's, for what its images run on.
            constraints=tuple(Constraint(c["type"], c.get("expression") or "") for c in request.constraints),
            group=request.template.group,
            enis=_enis(request),
        )
    return Demand(
        cpu=request.demand.cpu,
        memory=request.demand.memory,
        ports_tcp=request.demand.ports_tcp,
        ports_udp=request.demand.ports_udp,
        gpus=request.demand.gpus,
        attributes=request.required_attributes,
        constraints=tuple(Constraint(c["type"], c.get("expression") or "") for c in request.constraints),
        strategy=tuple(Strategy(s["type"], s.get("field") or "") for s in request.strategy),
        group=request.template.group,
        enis=_enis(request),
        azs=_zones(request),
        pool="" if share is None else pool_of(share.group),
    )


def _enis(request: PlacementRequest) -> int:
    return 0 if request.network is None else 1


def _zones(request: PlacementRequest) -> frozenset[str] | None:
    """Where the tasks may be; `None`: anywhere."""
    asked = frozenset(request.zones) if request.zones else None
    if request.network is None:
        return asked
    return request.network.zones if asked is None else request.network.zones & asked


def service_placement(
    service: Service,
    cluster: Cluster,
    definition: TaskDefinition,
    launch: Launch,
    template: Task,
    *,
    count: int = 1,
    instance_uids: tuple[str, ...] | None = None,
    zones: tuple[str, ...] = (),
    shares: tuple[Share, ...] = (),
) -> PlacementRequest:
    """What placing a service's tasks asks for; good while nobody writes the service."""
    return PlacementRequest(
        cluster=cluster,
        definition=definition,
        template=template,
        demand=template.demand,
        count=count,
        instance_uids=instance_uids,
        required_attributes=launch.demand.required_attributes,
        constraints=(*launch.demand.constraints, *service.placement_constraints),
        strategy=service.placement_strategy,
        zones=zones,
        service=service,
        shares=shares,
        network=service.primary.network if service.deployments else None,
    )


def shares(
    due: Mapping[str, int], groups: Mapping[str, str], *, most: int | None = None
) -> tuple[Share, ...]:
    """The shares of tasks that are due in capacity providers; at most `most` in each.

    `groups`: Auto Scaling groups by provider. A provider that has none any more has no instances.
    """
    return tuple(
        Share(provider=name, group=groups.get(name, ""), count=count if most is None else min(count, most))
        for name, count in due.items()
    )


def hold(fleet: Fleet, task: Task) -> None:
    """Take in what a task holds of its instance now. Repeats change nothing."""
    if task.instance_id is None:
        return
    held = Demand(
        cpu=task.demand.cpu,
        memory=task.demand.memory,
        ports_tcp=task.demand.ports_tcp,
        ports_udp=task.demand.ports_udp,
        gpus=task.demand.gpus,
        enis=0 if task.interface is None else 1,
        group=task.group,
    )
    fleet.assign(
        fleet_key(task.uid),
        task.instance_id,
        held,
        desired_status=task.desired_status,
        last_status=task.last_status,
        gpu_ids=tuple(gpu for container in task.containers for gpu in container.gpu_ids),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Instances chosen, in order, and why the rest found none."""

    chosen: tuple[int, ...]
    refusals: tuple[Refusal, ...] = ()
    no_instances: bool = False
    explanation: str = ""
    empty_providers: tuple[str, ...] = ()
    capacity: str = ""
    short_providers: tuple[str, ...] = ()
    """Fargate's that had not room for all; `capacity` says why."""


def decide(fleet: Fleet, request: PlacementRequest, *, dice: int, share: Share | None = None) -> Decision:
    """Where the request's tasks go, or those of one of its shares. `dice` is a seed."""
    demand = fleet_demand(request, share)
    if request.is_fargate:
        count = request.count if share is None else share.count
        return _of_fargate(
            place(fleet, demand, count, dice=dice), FARGATE if share is None else share.provider
        )
    if share is not None:
        if not len(pool_rows(fleet, demand)):
            return Decision(chosen=(), no_instances=True, empty_providers=(share.provider,))
        return _decision(place(fleet, demand, share.count, dice=dice), "capacity provider")
    if request.instance_uids is not None and request.owner is not None:
        each = place_each(fleet, demand, request.instance_uids)
        return _decision(each) if each.unplaced else Decision(chosen=each.chosen)
    if request.instance_uids is not None:
        return _named(fleet, demand, request.instance_uids)
    if len(fleet) == 0:
        return Decision(
            chosen=(),
            no_instances=True,
            explanation="No Container Instances were found in your cluster.",
        )
    return _decision(place(fleet, demand, request.count, dice=dice))


def together(decisions: Sequence[Decision]) -> Decision:
    """The decisions about a request's shares as one."""
    if len(decisions) == 1:
        return decisions[0]
    return Decision(
        chosen=tuple(instance_id for one in decisions for instance_id in one.chosen),
        refusals=tuple(refusal for one in decisions for refusal in one.refusals),
        no_instances=all(one.no_instances for one in decisions),
        explanation=next((one.explanation for one in decisions if one.explanation), ""),
        empty_providers=tuple(name for one in decisions for name in one.empty_providers),
        capacity=next((one.capacity for one in decisions if one.capacity), ""),
        short_providers=tuple(name for one in decisions for name in one.short_providers),
    )


def _of_fargate(placement: Placement, provider: str) -> Decision:
    """The machines are nobody's to see: what is told is that there is no room, and how much there is."""
    chosen = tuple(int(instance_id) for instance_id in placement.chosen)
    if not placement.unplaced:
        return Decision(chosen=chosen)
    return Decision(chosen=chosen, capacity=lacking(placement.closest()), short_providers=(provider,))


def no_fargate(request: PlacementRequest) -> tuple[PlacementFailure, ...]:
    """What is told where no machine runs Fargate's tasks at all."""
    providers = tuple(share.provider for share in request.shares) or (FARGATE,)
    return failures(Decision(chosen=(), capacity=NO_MACHINE, short_providers=providers), request)


def _decision(placement: Placement, where: str = "cluster") -> Decision:
    return Decision(
        chosen=tuple(int(instance_id) for instance_id in placement.chosen),
        refusals=placement.refusals,
        explanation=_explanation(placement, where) if placement.unplaced else "",
    )


def _explanation(placement: Placement, where: str) -> str:
    closest = placement.closest()
    if closest is None:
        return f"No Container Instances were found in your {where}."
    name = f"(container-instance {closest.instance_uid})"
    return f"The closest matching {name} {closest.clause}. {TROUBLESHOOTING}"


def _named(fleet: Fleet, demand: Demand, uids: tuple[str, ...]) -> Decision:
    """StartTask: the caller places; each named instance is checked alone."""
    ids = {fleet.view(row).uid: fleet.view(row).id for row in range(fleet.size)}
    chosen: list[int] = []
    refusals: list[Refusal] = []
    for uid in uids:
        instance_id = ids.get(uid)
        if instance_id is None:
            refusals.append(Refusal(instance_uid=uid, reason=Reason.MISSING))
            continue
        refusal = check(fleet, demand, instance_id)
        if refusal is None:
            chosen.append(instance_id)
        else:
            refusals.append(refusal)
    return Decision(chosen=tuple(chosen), refusals=tuple(refusals))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """What a task takes over from the instance it is placed on."""

    instance_id: int
    instance_uid: str
    availability_zone: str | None
    attributes: tuple[dict[str, str], ...]


def seat_on(instance: InstanceView) -> Seat:
    """The seat that an instance gives."""
    architecture = instance.attributes.get("ecs.cpu-architecture")
    return Seat(
        instance_id=instance.id,
        instance_uid=instance.uid,
        availability_zone=instance.az or None,
        attributes=({"name": "ecs.cpu-architecture", "value": architecture},) if architecture else (),
    )


def placed_task(template: Task, uid: str, seat: Seat, gpu_ids: tuple[str, ...], ids: Ids) -> Task:
    """A task of the template on its seat; its containers take the GPUs in the definition's order."""
    containers = []
    for container in template.containers:
        taken, gpu_ids = gpu_ids[: container.gpus], gpu_ids[container.gpus :]
        containers.append(msgspec.structs.replace(container, uid=uuid(ids), gpu_ids=taken))
    return msgspec.structs.replace(
        template,
        uid=uid,
        instance_id=seat.instance_id,
        instance_uid=seat.instance_uid,
        # Fargate's machines are in no zone: a task is where its subnet is.
        availability_zone=seat.availability_zone if template.fleet_id is None else None,
        attributes=seat.attributes,
        containers=tuple(containers),
    )


def failures(decision: Decision, request: PlacementRequest) -> tuple[PlacementFailure, ...]:
    """The refusals as RunTask and StartTask show them."""
    cluster = request.cluster
    head = f"arn:aws:ecs:{cluster.region}:{cluster.account_id}:container-instance/{cluster.name}"
    providers = f"arn:aws:ecs:{cluster.region}:{cluster.account_id}:capacity-provider"
    return (
        *(
            PlacementFailure(
                arn=f"{head}/{refusal.instance_uid}",
                reason=str(refusal.reason),
                detail=refusal.explanation,
            )
            for refusal in decision.refusals
        ),
        *(
            PlacementFailure(arn=f"{providers}/{name}", reason="EMPTY CAPACITY PROVIDER")
            for name in decision.empty_providers
        ),
        *(
            PlacementFailure(arn="", reason=reason_of(name), detail=decision.capacity)
            for name in decision.short_providers
        ),
    )
