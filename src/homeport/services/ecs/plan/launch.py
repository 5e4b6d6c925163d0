"""Building a task from a RunTask, StartTask or service request. Pure.

Source: ECS API Reference, RunTask and StartTask.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from homeport.services.ecs.errors import ClientException, InvalidParameterException
from homeport.services.ecs.model import Cluster, Container, Demand, Service, Task, TaskDefinition
from homeport.services.ecs.plan.compute import Compute, check_fargate, check_launch_type, compute_now
from homeport.services.ecs.plan.overrides import demand_of, echo, effective, validate_overrides
from homeport.services.ecs.plan.support import refuse
from homeport.services.ecs.plan.tags import Tags, checked, merged
from homeport.services.ecs.plan.task_definition import TaskDemand, references, unsupported_at_run

_STARTED_BY = re.compile(r"[A-Za-z0-9_/ .,:+=@-]{0,128}")
"""Wider than the model's text: ecs-deploy sends `ECS Deploy`, others send owners and e-mail addresses."""
LAUNCHES_KEPT = 2000
ANYWHERE = Compute()
_UNSUPPORTED = ("volumeConfigurations", "referenceId")


def check_compute(request: Mapping[str, Any], definition: TaskDefinition, compute: Compute) -> None:
    """What tasks and services ask alike: the definition runs on that launch type, in that network."""
    check_network(request, definition)
    check_launch_type(compute, request, definition)


def check_network(request: Mapping[str, Any], definition: TaskDefinition) -> None:
    """A network configuration is for awsvpc, and for nothing else."""
    mode = definition.body.get("networkMode", "bridge")
    if mode == "awsvpc" and not request.get("networkConfiguration"):
        raise InvalidParameterException(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified."
        )
    if mode != "awsvpc" and request.get("networkConfiguration"):
        raise InvalidParameterException(
            "Network Configuration is not valid for the given networkMode of this task definition."
        )
    network = (request.get("networkConfiguration") or {}).get("awsvpcConfiguration") or {}
    if mode == "awsvpc" and not network.get("subnets"):
        raise InvalidParameterException("subnets can not be empty.")
    for member, most in (("subnets", 16), ("securityGroups", 5)):
        if len(network.get(member) or ()) > most:
            raise InvalidParameterException(f"{member} can have at most {most} items.")


def check_launch(request: Mapping[str, Any], definition: TaskDefinition, compute: Compute) -> None:
    """What RunTask and StartTask ask of a request alike. Raise when it cannot be honoured."""
    check_compute(request, definition, compute)
    refuse(request, "", _UNSUPPORTED)
    if request.get("enableExecuteCommand"):
        raise ClientException("enableExecuteCommand is not supported by Homeport yet.")
    if request.get("propagateTags") == "SERVICE":
        raise InvalidParameterException("propagateTags SERVICE is for services: use TASK_DEFINITION or NONE.")
    if not _STARTED_BY.fullmatch(request.get("startedBy") or ""):
        raise InvalidParameterException(
            "startedBy has at most 128 letters, digits, spaces and the characters _ / . , : + = @ -."
        )
    group = request.get("group") or ""
    if group.startswith("service:"):
        raise InvalidParameterException("The group prefix 'service:' is reserved for services.")
    if group.startswith("daemon:"):
        raise InvalidParameterException("The group prefix 'daemon:' is reserved for daemons.")
    if len(group) > 255:
        raise InvalidParameterException("group has at most 255 characters.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a definition comes to with a task's overrides.

    `body` is the definition with the overrides merged in, `refusal` why this
    Homeport does not run it, `echo` the overrides as DescribeTasks shows them.
    """

    body: Mapping[str, Any]
    refusal: str | None
    demand: TaskDemand
    containers: tuple[Container, ...]
    echo: Mapping[str, Any]
    overrides: Mapping[str, Any]


def launch_of(definition: TaskDefinition, overrides: Mapping[str, Any]) -> Launch:
    """Raise `InvalidParameterException` for overrides that cannot be made."""
    validate_overrides(definition.body, overrides)
    body = effective(definition.body, overrides)
    return Launch(
        body=body,
        refusal=unsupported_at_run(body),
        demand=demand_of(definition.body, overrides),
        containers=_containers(body),
        echo=echo(definition.body, overrides),
        overrides=overrides,
    )


class Launches:
    """Launches without overrides, remembered: a revision's body never changes."""

    def __init__(self) -> None:
        self._plain: dict[str, Launch] = {}

    def of(
        self,
        definition: TaskDefinition,
        overrides: Mapping[str, Any] | None = None,
        compute: Compute = ANYWHERE,
    ) -> Launch:
        """The launch. Raise when the definition is not ACTIVE or Homeport cannot run it there, like that."""
        if definition.status != "ACTIVE":
            raise ClientException("TaskDefinition is inactive")
        launch = launch_of(definition, overrides) if overrides else self._plain_of(definition)
        if launch.refusal is not None:
            raise ClientException(launch.refusal)
        check_fargate(compute, launch.body)
        return launch

    def _plain_of(self, definition: TaskDefinition) -> Launch:
        found = self._plain.get(definition.arn)
        if found is None:
            if len(self._plain) >= LAUNCHES_KEPT:
                self._plain.clear()
            found = self._plain[definition.arn] = launch_of(definition, {})
        return found


def task_tags(request: Mapping[str, Any], cluster: Cluster, definition: TaskDefinition) -> Tags:
    """The tags of a new task: propagated, given, and ECS's own where they are enabled."""
    tags: Tags = ()
    if request.get("propagateTags") == "TASK_DEFINITION":
        tags = definition.tags
    tags = merged(tags, checked(request.get("tags")))
    if request.get("enableECSManagedTags"):
        tags = merged(tags, ({"key": "aws:ecs:clusterName", "value": cluster.name},))
    return tags


def _containers(body: Mapping[str, Any]) -> tuple[Container, ...]:
    return tuple(
        Container(
            name=container["name"],
            uid="",
            image=container["image"],
            essential=container.get("essential", True),
            has_health_check="healthCheck" in container,
            cpu=str(container.get("cpu", 0)),
            memory=_text(container.get("memory")),
            memory_reservation=_text(container.get("memoryReservation")),
            gpus=sum(
                int(need["value"])
                for need in container.get("resourceRequirements") or ()
                if need["type"] == "GPU"
            ),
        )
        for container in body["containerDefinitions"]
    )


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)


def _role(body: Mapping[str, Any], member: str, account_id: str) -> str | None:
    """Overrides may give a short name, as registering may."""
    given = body.get(member)
    return references.role_arn(given, account_id) if given else None


def task_template(
    *,
    cluster: Cluster,
    definition: TaskDefinition,
    launch: Launch,
    group: str | None,
    started_by: str | None,
    tags: Tags,
    log_mode: str,
    now: datetime,
    compute: Compute = ANYWHERE,
) -> Task:
    """A task without id, instance and container ids; placing it adds them."""
    body, asked = launch.body, launch.demand
    return Task(
        cluster_id=cluster.id,
        cluster_name=cluster.name,
        account_id=cluster.account_id,
        region=cluster.region,
        uid="",
        task_definition_id=definition.id,
        family=definition.family,
        revision=definition.revision,
        group=group or f"family:{definition.family}",
        launch_type=compute.launch_type,
        platform_version=compute.resolved_version,
        storage_gib=compute.storage_gib(body),
        started_by=started_by,
        demand=Demand(
            cpu=asked.cpu,
            memory=asked.memory,
            ports_tcp=asked.ports_tcp,
            ports_udp=asked.ports_udp,
            gpus=asked.gpus,
        ),
        cpu=body.get("cpu") or str(asked.cpu),
        memory=body.get("memory") or str(asked.memory),
        containers=launch.containers,
        overrides=launch.echo,
        asked_overrides=launch.overrides,
        tags=tags,
        task_role=_role(body, "taskRoleArn", cluster.account_id),
        execution_role=_role(body, "executionRoleArn", cluster.account_id),
        log_mode=log_mode,
        created_at=now,
    )


def service_template(
    service: Service,
    cluster: Cluster,
    definition: TaskDefinition,
    launch: Launch,
    *,
    log_mode: str,
    now: datetime,
) -> Task:
    """A task of a service's primary deployment, without what placing adds."""
    tags: Tags = ()
    if service.propagate_tags == "TASK_DEFINITION":
        tags = definition.tags
    elif service.propagate_tags == "SERVICE":
        tags = service.tags
    if service.enable_managed_tags:
        tags = merged(
            tags,
            (
                {"key": "aws:ecs:clusterName", "value": cluster.name},
                {"key": "aws:ecs:serviceName", "value": service.name},
            ),
        )
    template = task_template(
        cluster=cluster,
        definition=definition,
        launch=launch,
        group=f"service:{service.name}",
        compute=compute_now(service.primary),
        started_by=service.primary.id,
        tags=tags,
        log_mode=log_mode,
        now=now,
    )
    return msgspec.structs.replace(
        template,
        service_id=service.id,
        service_name=service.name,
        target_places=service.primary.target_places,
        registries=service.primary.registries,
    )


def request_digest(request: Mapping[str, Any]) -> str:
    """What a repeat under the same client token must equal."""
    asked = {key: value for key, value in request.items() if key != "clientToken"}
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
