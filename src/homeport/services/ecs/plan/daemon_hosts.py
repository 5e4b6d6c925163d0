"""On which instances a DAEMON service wants its task. Pure.

Source: developer guide, "Daemon scheduling strategy": one task on every active instance that meets the
task placement constraints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from homeport.services.ecs.model import ContainerInstance, Service, TaskDefinition
from homeport.services.ecs.plan.launch import launch_of
from homeport.services.ecs.plan.placement_types import Constraint, Demand, InstanceView
from homeport.services.ecs.plan.placing import instance_state
from homeport.services.ecs.plan.query import Facts, Query, compile_query


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A container instance as a DAEMON service sees it.

    `qualifies`: it has the attributes and meets the constraints, whatever its status and
    room. `others`: how many tasks of other than DAEMON services are on it; told of draining ones.
    """

    id: int
    uid: str
    active: bool = True
    connected: bool = True
    qualifies: bool = True
    others: int = 0

    @property
    def wanted(self) -> bool:
        """Whether the service is to have a task there."""
        return self.active and self.qualifies


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """What an instance must be. `queries` depend on attributes only.

    Constraints about the tasks on an instance decide where a task is started, not whether it
    stays: the service's own tasks would change their answers [our choice].
    """

    attributes: frozenset[str] = frozenset()
    queries: tuple[Query, ...] = ()
    zones: frozenset[str] | None = None

    def met_by(self, instance: InstanceView) -> bool:
        """Whether the instance is all that."""
        if self.zones is not None and instance.az not in self.zones:
            return False
        facts = Facts(
            agent_connected=instance.agent_connected,
            agent_version=instance.agent_version,
            ec2_instance_id=instance.ec2_instance_id,
            registered_at=instance.registered_at,
            running_tasks_count=0,
            attributes=instance.attributes,
        )
        return all(_has(instance, name) for name in self.attributes) and all(
            query.matches(facts) for query in self.queries
        )


def _has(instance: InstanceView, wanted: str) -> bool:
    name, equals, value = wanted.partition("=")
    if name not in instance.attributes:
        return False
    return not equals or instance.attributes[name] == value


def wants_of(
    definition: TaskDefinition,
    constraints: Iterable[Mapping[str, Any]],
    *,
    zones: frozenset[str] | None = None,
) -> Wants:
    """What a definition, and a service's own constraints and subnets (`zones`), ask of an instance."""
    demand = launch_of(definition, {}).demand
    queries = [
        compile_query(constraint["expression"])
        for constraint in (*demand.constraints, *constraints)
        if constraint["type"] == "memberOf"
    ]
    return Wants(
        attributes=demand.required_attributes,
        queries=tuple(query for query in queries if not query.volatile),
        zones=zones,
    )


def daemon_demand(service: Service, definition: TaskDefinition) -> Demand:
    """What one task of the service's primary deployment takes from its instance."""
    demand = launch_of(definition, {}).demand
    constraints = (*demand.constraints, *service.placement_constraints)
    network = service.primary.network
    return Demand(
        cpu=demand.cpu,
        memory=demand.memory,
        ports_tcp=demand.ports_tcp,
        ports_udp=demand.ports_udp,
        gpus=demand.gpus,
        attributes=demand.required_attributes,
        constraints=tuple(Constraint(c["type"], c.get("expression") or "") for c in constraints),
        group=f"service:{service.name}",
        enis=0 if network is None else 1,
        azs=None if network is None else network.zones,
    )


def hosts_of(
    instances: Iterable[ContainerInstance], wants: Wants, others: Mapping[int, int]
) -> tuple[Host, ...]:
    """The instances as hosts. `others`: tasks of others on the draining ones, by the instance's row."""
    return tuple(
        Host(
            id=instance.id,
            uid=instance.uid,
            active=instance.status == "ACTIVE",
            connected=instance.agent_connected,
            qualifies=wants.met_by(instance_state(instance)),
            others=others.get(instance.id, 0),
        )
        for instance in instances
    )
