"""Looking up the service registries that a request names, before the transaction that uses them."""

from __future__ import annotations

from collections.abc import Mapping

from homeport.core.call import Call
from homeport.services.ecs.api.context import Ecs, Request
from homeport.services.ecs.plan.registries import named_registries
from homeport.services.ecs.plan.support import refuse
from homeport.services.ecs.ports import RegistryFacts


async def registry_facts(call: Call, ecs: Ecs, req: Request) -> Mapping[str, RegistryFacts]:
    """What the registries that a request names are. Raise where there are no registries at all."""
    given = req.get("serviceRegistries") or ()
    if not given:
        return {}
    if ecs.registries is None:
        refuse(req, "", ("serviceRegistries",))
        return {}
    return await ecs.registries.find(call.account_id, call.region, named_registries(given))
