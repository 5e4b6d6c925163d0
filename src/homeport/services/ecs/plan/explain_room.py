"""Which container instances could take one more task, and what keeps each of the others from it. Pure.

Masks and numbers are those that placement refuses with (`placement_refusals`); the words are made here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from homeport.services.ecs.model import ContainerInstance, Task
from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.fleet_parts import Longs
from homeport.services.ecs.plan.placement_admission import (
    attribute_mask,
    conditions,
    location_mask,
    pool_rows,
)
from homeport.services.ecs.plan.placement_refusals import Refusals, refusals
from homeport.services.ecs.plan.placement_types import Demand, Reason, Refusal
from homeport.services.ecs.plan.query import compile_query
from homeport.services.ecs.plan.remedies import placement_remedy

HOLDERS_TOLD = 3
_UNITS = {Reason.CPU: "CPU units", Reason.MEMORY: "MiB", Reason.GPU: "GPUs", Reason.ENI: "network interfaces"}
_ASKED = {Reason.CPU: "cpu", Reason.MEMORY: "memory", Reason.GPU: "gpus", Reason.ENI: "enis"}


class Say(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of what is told."""


class InstanceVerdict(Say, frozen=True, kw_only=True):
    """Whether an instance could take one more task, and if not, the first check that it fails.

    `asked` and `free` count what the reason is about: CPU units, MiB, GPUs, ports, attributes,
    expressions. `detail` names it; `why` says it in a sentence.
    """

    container_instance: str
    fits: bool
    reason: str = ""
    asked: int = 0
    free: int = 0
    detail: str = ""
    why: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What else is known of a cluster: its instances by uid, and the live tasks on each of them."""

    instances: Mapping[str, ContainerInstance] = field(default_factory=dict)
    tasks: Mapping[str, Sequence[Task]] = field(default_factory=dict)

    @classmethod
    def of(cls, instances: Iterable[ContainerInstance], tasks: Iterable[Task]) -> Around:
        """From rows."""
        on: dict[str, list[Task]] = {}
        for task in tasks:
            on.setdefault(task.instance_uid or "", []).append(task)
        return cls(instances={instance.uid: instance for instance in instances}, tasks=on)


def instance_verdicts(
    fleet: Fleet, demand: Demand, around: Around | None = None
) -> tuple[InstanceVerdict, ...]:
    """How every instance that is there for it answers one more task, those that fit first."""
    refused = {refusal.instance_uid: refusal for refusal in _asked(fleet, demand).all()}
    told = [
        _verdict(uid, refused.get(uid), demand, around or Around())
        for uid in (fleet.view(row).uid for row in _rows(fleet, demand).tolist())
    ]
    order = [str(reason) for reason in reversed(Reason)]
    return tuple(sorted(told, key=lambda v: (not v.fits, order.index(v.reason) if v.reason else 0, -v.free)))


def _verdict(uid: str, refusal: Refusal | None, demand: Demand, around: Around) -> InstanceVerdict:
    if refusal is None:
        return InstanceVerdict(container_instance=uid, fits=True)
    return InstanceVerdict(
        container_instance=uid,
        fits=False,
        reason=str(refusal.reason),
        asked=refusal.asked,
        free=refusal.free,
        detail=refusal.detail,
        why=_why(refusal, demand, around),
        remedy=placement_remedy(refusal.reason),
    )


def _asked(fleet: Fleet, demand: Demand) -> Refusals:
    return refusals(fleet, demand, _rows(fleet, demand), np.zeros(fleet.size, dtype=np.int32))


def _rows(fleet: Fleet, demand: Demand) -> Longs:
    """The instances that are there for it."""
    return pool_rows(fleet, demand).astype(np.int64)


# ---- one instance -------------------------------------------------------------------------------


def _why(refusal: Refusal, demand: Demand, around: Around) -> str:
    instance = around.instances.get(refusal.instance_uid)
    here = around.tasks.get(refusal.instance_uid, ())
    why = ""
    match refusal.reason:
        case Reason.INACTIVE:
            why = f"it is {'not ACTIVE' if instance is None else instance.status}"
        case Reason.AGENT:
            why = "its agent is not connected"
        case Reason.DAEMON:
            why = "a critical daemon does not run there yet"
        case Reason.ATTRIBUTE:
            why = "; ".join(_lacking(wanted, instance) for wanted in refusal.detail.split(", "))
        case Reason.MEMBER_OF:
            why = f"{refusal.detail} does not hold{_facts(demand, instance)}"
        case Reason.DISTINCT_INSTANCE:
            mine = [task for task in here if task.group == demand.group]
            why = f"it has a task of {demand.group} already{_named(mine)}"
        case Reason.LOCATION:
            allowed = ", ".join(sorted(demand.azs or ()))
            why = f"it is in {refusal.detail or 'no zone'}; allowed are {allowed}"
        case Reason.PORTS | Reason.PORTS_UDP:
            ports = map(int, refusal.detail.split(", "))
            why = "; ".join(_held(port, refusal.reason, instance, here) for port in ports)
        case Reason.CPU | Reason.MEMORY | Reason.GPU | Reason.ENI:
            why = _too_little(refusal, instance, here)
    return why


def _lacking(wanted: str, instance: ContainerInstance | None) -> str:
    name, equals, value = wanted.partition("=")
    has = instance is not None and any(attribute.name == name for attribute in instance.attributes)
    if has and equals and instance is not None:
        return f"attribute {name} is {instance.attribute(name)}, not {value}"
    return f"attribute {wanted} is missing"


def _facts(demand: Demand, instance: ContainerInstance | None) -> str:
    """What the instance says to the attributes that the expressions look at."""
    if instance is None:
        return ""
    names = {
        subject.removeprefix("attribute:")
        for constraint in demand.constraints
        if constraint.kind == "memberOf"
        for subject in compile_query(constraint.expression).subjects
        if subject.startswith("attribute:")
    }
    known = {attribute.name: attribute.value for attribute in instance.attributes}
    told = [f"{name} is {known[name]}" if name in known else f"it has no {name}" for name in sorted(names)]
    return f": {', '.join(told)}" if told else ""


def _held(port: int, reason: Reason, instance: ContainerInstance | None, here: Sequence[Task]) -> str:
    tcp = reason is Reason.PORTS
    name = f"port {port}/{'tcp' if tcp else 'udp'}"
    holders = [task for task in here if port in (task.demand.ports_tcp if tcp else task.demand.ports_udp)]
    if holders:
        return f"{name} is held{_named(holders, 'by task')}"
    if instance is not None and port in (instance.ports_tcp if tcp else instance.ports_udp):
        return f"{name} is reserved there"
    return f"{name} is taken"


def _too_little(refusal: Refusal, instance: ContainerInstance | None, here: Sequence[Task]) -> str:
    unit = _UNITS[refusal.reason]
    text = f"it has {refusal.free} {unit} free, {refusal.asked} are asked"
    if instance is None or refusal.reason is Reason.ENI:
        return text
    total = {
        Reason.CPU: instance.cpu,
        Reason.MEMORY: instance.memory,
        Reason.GPU: len(instance.gpu_ids),
    }[refusal.reason]
    return f"{text}; of its {total}, {len(here)} tasks hold {total - refusal.free}"


def _named(tasks: Sequence[Task], word: str = "task") -> str:
    names = [f"{task.uid} ({task.group})" for task in tasks[:HOLDERS_TOLD]]
    more = f" and {len(tasks) - HOLDERS_TOLD} more" if len(tasks) > HOLDERS_TOLD else ""
    lead = f" {word} " if word != "task" else ": task "
    return f"{lead}{', '.join(names)}{more}" if names else ""


# ---- all of them --------------------------------------------------------------------------------


def exclusions(fleet: Fleet, demand: Demand, around: Around | None = None) -> tuple[str, ...]:
    """What excludes how many instances, each check on its own: one instance may fail several."""
    rows, asked = _rows(fleet, demand), _asked(fleet, demand)
    count = len(rows)
    of = f"of {count} container instances"
    told = [*_states(fleet, rows, of, around or Around())]
    for wanted in sorted(demand.attributes):
        if missing := int((~attribute_mask(fleet, wanted)[rows]).sum()):
            told.append(f"attribute {wanted} is missing on {missing} {of}")
    for text, lacks in asked.lacks[Reason.MEMBER_OF]:
        if failing := int(lacks.sum()):
            told.append(f"memberOf ({text}) excludes {failing} {of}")
    if conditions(demand.constraints).distinct and (taken := int(fleet.hosting(demand.group)[rows].sum())):
        told.append(f"distinctInstance excludes {taken} {of}: they have a task of {demand.group}")
    if demand.azs is not None and (elsewhere := int((~location_mask(fleet, demand.azs)[rows]).sum())):
        told.append(f"{elsewhere} {of} are in none of the zones {', '.join(sorted(demand.azs))}")
    for reason, protocol in ((Reason.PORTS, "tcp"), (Reason.PORTS_UDP, "udp")):
        for port, clash in asked.lacks[reason]:
            if taken := int(clash.sum()):
                told.append(f"port {port}/{protocol} is taken on {taken} {of}")
    for reason, unit in _UNITS.items():
        wanted_of = getattr(demand, _ASKED[reason])
        free = asked.free[reason]
        if wanted_of and count and (short := int((free < wanted_of).sum())):
            told.append(
                f"{short} {of} have less than the {wanted_of} {unit} asked; "
                f"the most free is {int(free.max())}"
            )
    return tuple(told)


def _states(fleet: Fleet, rows: Longs, of: str, around: Around) -> Iterable[str]:
    inactive = fleet.rows.uid_of[rows[~fleet.rows.active[rows]]].tolist()
    states = Counter(
        around.instances[uid].status if uid in around.instances else "not ACTIVE" for uid in inactive
    )
    for status, many in states.most_common():
        yield f"{many} {of} are {status}"
    if away := int((~fleet.rows.connected[rows]).sum()):
        yield f"the agents of {away} {of} are not connected"
