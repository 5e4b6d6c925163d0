"""Service registries: what a service may ask for, and which of its tasks should be registered. Pure.

Sources: botocore's ServiceRegistry and CreateService; developer guide, "Use service discovery to connect
Amazon ECS services with DNS names". The texts of errors are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from homeport.services.ecs.errors import InvalidParameterException
from homeport.services.ecs.model import Registry, Service, Task, TaskDefinition
from homeport.services.ecs.plan.container_ports import check_container_port
from homeport.services.ecs.ports import RegistryFacts, RegistryInstance

MOST = 1
TASKS_MOST = 1000
"""Tasks of a service with a registry. Source: developer guide, "Amazon ECS service quotas"."""
DRAIN = timedelta(seconds=5)
"""How long a task goes on with what it has begun, once Service Connect sends it nothing new [our choice]."""
LOOK = timedelta(milliseconds=250)
"""How often the proxy is asked whether it sends somebody nothing new."""
LET_GO_WITHIN = timedelta(seconds=30)
"""A proxy that does not say by then that it sends nothing new holds nobody up any more [our choice]."""
HEALTHY, UNHEALTHY = "HEALTHY", "UNHEALTHY"


def named_registries(given: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """The registries that a request names. Raise for what cannot be whatever they are."""
    if len(given) > MOST:
        raise InvalidParameterException(f"serviceRegistries can have at most {MOST} item.")
    for item in given:
        if not item.get("registryArn"):
            raise InvalidParameterException("registryArn can not be blank.")
        if bool(item.get("containerName")) != (item.get("containerPort") is not None):
            raise InvalidParameterException(
                "A service registry's containerName and containerPort go together."
            )
        if item.get("containerName") and item.get("port") is not None:
            raise InvalidParameterException(
                "A service registry has a containerName and containerPort, or a port: not both."
            )
        if not 0 <= (item.get("port") or 0) <= 65535:
            raise InvalidParameterException("A service registry's port is between 0 and 65535.")
    return frozenset(item["registryArn"] for item in given)


def registries_of(
    given: Sequence[Mapping[str, Any]], found: Mapping[str, RegistryFacts]
) -> tuple[Registry, ...]:
    """What was asked for. Raise for a registry that is not there, or that takes no tasks."""
    made = []
    for item in given:
        facts = found.get(item["registryArn"])
        if facts is None:
            raise InvalidParameterException(f"The service registry {item['registryArn']} does not exist.")
        if "CNAME" in facts.record_types or "AAAA" in facts.record_types:
            raise InvalidParameterException(
                f"The service registry {item['registryArn']} has records of the type "
                f"{', '.join(facts.record_types)}: tasks are registered with A or SRV records."
            )
        made.append(
            Registry(
                arn=item["registryArn"],
                container=item.get("containerName") or "",
                container_port=item.get("containerPort"),
                port=item.get("port"),
                custom_health=facts.custom_health,
                given=dict(item),
            )
        )
    return tuple(made)


def check_registries(
    registries: Sequence[Registry], definition: TaskDefinition, found: Mapping[str, RegistryFacts]
) -> None:
    """Raise unless tasks of the definition can be registered there."""
    mode = definition.body.get("networkMode", "bridge")
    for one in registries:
        if mode == "none":
            raise InvalidParameterException("Tasks with the network mode none cannot be registered anywhere.")
        facts = found.get(one.arn)
        types = () if facts is None else facts.record_types
        if mode != "awsvpc" and types and "SRV" not in types:
            raise InvalidParameterException(
                f"Tasks with the network mode {mode} are registered with SRV records only: the service "
                f"registry {one.arn} has {', '.join(types)}."
            )
        if mode != "awsvpc" and not one.container:
            raise InvalidParameterException(
                f"With the network mode {mode} a service registry needs a containerName and a containerPort."
            )
        if "SRV" in types and not one.container and one.port is None:
            raise InvalidParameterException(
                "A service registry with SRV records needs a containerName and a containerPort, or a port."
            )
        if one.container:
            check_container_port(definition, one.container, one.container_port)


def check_room(registries: Sequence[Registry], desired_count: int) -> None:
    """Raise for more tasks than a registry takes."""
    if registries and desired_count > TASKS_MOST:
        raise InvalidParameterException(_too_many(desired_count))


def check_service_room(service: Service, desired_count: int | None) -> None:
    """Raise for more tasks than a registry takes, where a service's task sets have some."""
    if service.has_registries and (desired_count or 0) > TASKS_MOST:
        raise InvalidParameterException(_too_many(desired_count))


def _too_many(desired_count: int | None) -> str:
    return (
        f"A service with a service registry or Service Connect has at most {TASKS_MOST} tasks, "
        f"not {desired_count}."
    )


# ---- tasks ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A task's instance: its EC2 id, and its address where that is known."""

    ec2_instance_id: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySnapshot:
    """A service's live tasks, their instances by row, and what is registered for the service, by registry."""

    service: Service
    live: tuple[Task, ...]
    hosts: Mapping[int, Host] = field(default_factory=dict)
    registered: Mapping[str, Mapping[str, RegistryInstance]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """Register a task, or register it again with other attributes."""

    arn: str
    task: Task
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Tell a registry how a task is."""

    arn: str
    uid: str
    healthy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Deregister:
    """Take a task out of a registry."""

    arn: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryPlan:
    """What to do with registries; then the tasks that have left them are written."""

    actions: tuple[Register | Report | Deregister, ...]
    released: tuple[Task, ...]

    @property
    def is_empty(self) -> bool:
        """Whether all is as it should be."""
        return not (self.actions or self.released)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """A task that Service Connect sends nothing new: since when it is to be so, and when it was so."""

    since: datetime
    gone: datetime | None = None

    @property
    def until(self) -> datetime:
        """From when on it may be told to stop."""
        return self.since + LET_GO_WITHIN if self.gone is None else self.gone + DRAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class LetGo:
    """Who may stop, who cannot yet by row, and when to look again."""

    free: tuple[Task, ...]
    leaving: Mapping[int, Leaving]
    wake_at: datetime | None = None


def is_wanted(task: Task) -> bool:
    """Whether others should find the task."""
    return task.desired_status == "RUNNING" and task.last_status == "RUNNING" and bool(task.registries)


def is_connected(task: Task) -> bool:
    """Whether clients reach the task by Service Connect."""
    return any(one.for_connect for one in task.registries)


def is_healthy(task: Task) -> bool:
    """What a registry is told: as healthy as all of its checked essential containers.

    Service Connect sends requests to healthy tasks only. Source: developer guide, "Service Connect resources
    for Amazon ECS blue/green, linear, and canary deployments".
    """
    checked = [c for c in task.containers if c.essential and c.has_health_check]
    return all(container.health_status == HEALTHY for container in checked)


def plan_registrations(snapshot: RegistrySnapshot) -> RegistryPlan:
    """Registered is exactly what should run and runs; who is to stop is told so once nobody finds it."""
    actions: list[Register | Report | Deregister] = []
    wanted: set[tuple[str, str]] = set()
    for task in snapshot.live:
        if not is_wanted(task):
            continue
        for registry in task.registries:
            if registry.for_connect and not is_healthy(task):
                continue
            attributes = attributes_of(task, registry, snapshot)
            if attributes is None:
                continue
            wanted.add((registry.arn, task.uid))
            actions += _kept(task, registry, attributes, snapshot.registered.get(registry.arn, {}))
    for arn, instances in sorted(snapshot.registered.items()):
        actions += [Deregister(arn=arn, uid=uid) for uid in sorted(instances) if (arn, uid) not in wanted]
    released = tuple(
        msgspec.structs.replace(
            task, has_left=True, last_status=task.last_status if task.target_places else "STOPPING"
        )
        for task in snapshot.live
        if task.is_held and task.registries and not task.has_left
    )
    return RegistryPlan(actions=tuple(actions), released=released)


def let_go(
    released: Iterable[Task], leaving: Mapping[int, Leaving], in_force: bool | None, *, now: datetime
) -> LetGo:
    """Nobody stops whom Service Connect's proxy may send something new, or who has just begun something.

    `in_force`: whether the proxy knows that they are gone; `None`: there is no proxy.
    """
    free: list[Task] = []
    kept: dict[int, Leaving] = {}
    for task in released:
        one = leaving.get(task.id) or Leaving(since=now)
        if in_force and one.gone is None:
            one = replace(one, gone=now)
        if in_force is None or not is_connected(task) or one.until <= now:
            free.append(task)
        else:
            kept[task.id] = one
    wakes = [now + LOOK if one.gone is None else one.until for one in kept.values()]
    return LetGo(free=tuple(free), leaving=kept, wake_at=min(wakes, default=None))


def _kept(
    task: Task, registry: Registry, attributes: Mapping[str, str], there: Mapping[str, RegistryInstance]
) -> list[Register | Report | Deregister]:
    known = there.get(task.uid)
    if known is None or _lasting(known.attributes) != _lasting(attributes):
        return [Register(arn=registry.arn, task=task, attributes=attributes)]
    if registry.custom_health and known.healthy != is_healthy(task):
        return [Report(arn=registry.arn, uid=task.uid, healthy=is_healthy(task))]
    return []


def _lasting(attributes: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if name != "AWS_INIT_HEALTH_STATUS"}


def attributes_of(task: Task, registry: Registry, snapshot: RegistrySnapshot) -> dict[str, str] | None:
    """What a registry knows of a task, as ECS tells it; `None`: where it is, is not known yet."""
    place = place_of(task, registry, snapshot.hosts)
    if place is None:
        return None
    address, port = place
    host = None if task.instance_id is None else snapshot.hosts.get(task.instance_id)
    found = {
        "AWS_INSTANCE_IPV4": address,
        "ECS_CLUSTER_NAME": task.cluster_name,
        "ECS_SERVICE_NAME": snapshot.service.name,
        "ECS_TASK_DEFINITION_FAMILY": task.family,
        "REGION": task.region,
    }
    if port is not None:
        found["AWS_INSTANCE_PORT"] = str(port)
    if task.availability_zone:
        found["AVAILABILITY_ZONE"] = task.availability_zone
    if host is not None and task.launch_type == "EC2":
        found["EC2_INSTANCE_ID"] = host.ec2_instance_id
    if registry.for_connect and port not in (None, registry.container_port) and task.interface is not None:
        found["ECS_CONTAINER_PORT"] = str(registry.container_port)
    if registry.for_connect and task.started_by:
        found["ECS_DEPLOYMENT_ID"] = task.started_by
    if registry.custom_health:
        found["AWS_INIT_HEALTH_STATUS"] = HEALTHY if is_healthy(task) else UNHEALTHY
    return found


def place_of(task: Task, registry: Registry, hosts: Mapping[int, Host]) -> tuple[str, int | None] | None:
    """A task's address, and its port if anybody is to know it; `None`: they are not known yet."""
    if task.interface is not None:
        ingress = registry.port if registry.for_connect else None
        return task.interface.address, ingress or registry.container_port or registry.port
    host = None if task.instance_id is None else hosts.get(task.instance_id)
    container = next((c for c in task.containers if c.name == registry.container), None)
    if host is None or not host.address or container is None:
        return None
    for binding in container.network_bindings:
        if binding.get("containerPort") == registry.container_port and binding.get("hostPort"):
            return host.address, int(binding["hostPort"])
    return None
