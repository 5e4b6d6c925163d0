"""Operations that were asked for: all of them are done when the answer to their request is sent."""

from __future__ import annotations

from homeport.core.call import Call
from homeport.services.servicediscovery.api.context import (
    Answer,
    Request,
    ServiceDiscovery,
    check_owner,
    ops,
    paged,
    registry,
)
from homeport.services.servicediscovery.errors import OperationNotFound
from homeport.services.servicediscovery.plan.filters import operation_test
from homeport.services.servicediscovery.view import operation_view
from homeport.store.tx import Tx


@ops.operation("GetOperation")
async def get_operation(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """One operation of the last thirty days."""
    check_owner(call, req)
    found = await sd.store.read(lambda tx: registry(tx, call).operation(req["OperationId"]))
    if found is None:
        raise OperationNotFound(f"Operation {req['OperationId']} does not exist.")
    return {"Operation": operation_view(found)}


@ops.operation("ListOperations")
async def list_operations(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """Operations of the last thirty days, newest first."""
    is_asked_for = operation_test(req.get("Filters") or ())

    def work(tx: Tx) -> Answer:
        found = [one for one in registry(tx, call).operations() if is_asked_for(one)]
        page, more = paged(sd, call, req, found)
        rows = [{"Id": one.operation_id, "Status": "SUCCESS"} for one in page]
        return {"Operations": rows, **more}

    return await sd.store.read(work)
