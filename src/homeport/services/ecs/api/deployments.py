"""Deployments as they begin: of services, and of task sets."""

from __future__ import annotations

from homeport.core.call import Call
from homeport.core.ids import digits
from homeport.services.ecs.api.context import Ecs, find_task_definition, home
from homeport.services.ecs.errors import ClientException
from homeport.services.ecs.model import (
    Connect,
    Deployment,
    LoadBalancer,
    Registry,
    TaskDefinition,
    TaskNetwork,
)
from homeport.services.ecs.plan.compute import Compute
from homeport.services.ecs.plan.identifiers import task_definition_name
from homeport.services.ecs.plan.load_balancers import balancers_of
from homeport.store.tx import Tx


def definition_of(tx: Tx, call: Call, reference: str) -> TaskDefinition:
    """The task definition that a request names. Raise `ClientException`."""
    definition = find_task_definition(tx, call, task_definition_name(home(call), reference))
    if definition is None:
        raise ClientException("TaskDefinition not found.")
    return definition


def new_deployment(
    ecs: Ecs,
    definition: TaskDefinition,
    compute: Compute,
    balancers: tuple[LoadBalancer, ...],
    network: TaskNetwork | None = None,
    registries: tuple[Registry, ...] = (),
    connect: Connect | None = None,
) -> Deployment:
    """A deployment of the definition that begins now, and where its tasks run.

    Raise when its tasks cannot be registered with the load balancers.
    """
    balancers = balancers_of(balancers, definition)
    now, name = ecs.clock.now(), f"ecs-svc/{digits(ecs.ids, 19)}"
    return Deployment(
        id=name,
        revision=digits(ecs.ids, 19),
        task_definition_id=definition.id,
        task_definition=definition.arn,
        launch_type=compute.launch_type,
        platform_version=compute.platform_version,
        strategy=compute.strategy,
        load_balancers=balancers,
        registries=registries,
        connect=connect,
        network=network,
        created_at=now,
        updated_at=now,
        counted_until=now,
        rollout_state_reason=f"ECS deployment {name} in progress.",
    )
