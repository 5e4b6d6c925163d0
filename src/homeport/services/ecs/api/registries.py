"""Looking up the service registries that a request names, before the transaction that uses them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from homeport.core.call import Call
from homeport.services.ecs.api.context import Ecs, Request
from homeport.services.ecs.model import Deployment, Registry, Service, TaskDefinition
from homeport.services.ecs.plan.connect import asked_registries
from homeport.services.ecs.plan.registries import (
    check_registries,
    check_room,
    named_registries,
    registries_of,
)
from homeport.services.ecs.plan.support import refuse
from homeport.services.ecs.ports import RegistryFacts
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.store.tx import Tx


async def registry_facts(call: Call, ecs: Ecs, req: Request) -> Mapping[str, RegistryFacts]:
    """What the registries that a request names are. Raise where there are no registries at all."""
    given = req.get("serviceRegistries") or ()
    if not given:
        return {}
    if ecs.registries is None:
        refuse(req, "", ("serviceRegistries",))
        return {}
    return await ecs.registries.find(call.account_id, call.region, named_registries(given))


def registries_for_task_set(
    req: Request, service: Service, definition: TaskDefinition, facts: Mapping[str, RegistryFacts]
) -> tuple[Registry, ...]:
    """The registries that a task set asks for. Raise unless its tasks can be registered there."""
    registries = registries_of(req.get("serviceRegistries") or (), facts)
    check_room(registries, service.desired_count)
    check_registries(registries, definition, facts)
    return registries


def with_registries(
    tx: Tx, req: Request, deployments: tuple[Deployment, ...], facts: Mapping[str, RegistryFacts]
) -> tuple[Deployment, ...]:
    """A new service's deployments with its registries. Raise unless their tasks can be registered."""
    registries = registries_of(req.get("serviceRegistries") or (), facts)
    check_room(registries, req.get("desiredCount") or 0)
    for one in deployments:
        found = TaskDefinitionRepo(tx).by_ids([one.task_definition_id])
        check_registries(registries, found[one.task_definition_id], facts)
    return tuple(msgspec.structs.replace(one, registries=registries) for one in deployments)


def next_registries(
    req: Request, service: Service, facts: Mapping[str, RegistryFacts]
) -> tuple[Registry, ...]:
    """A service's registries after an update: those that it has, unless others are asked for."""
    asked, count = req.get("serviceRegistries"), req.get("desiredCount")
    registries = (
        asked_registries(service.primary.registries) if asked is None else registries_of(asked, facts)
    )
    check_room(registries, service.desired_count if count is None else count)
    return registries
