"""Networks that requests ask for, looked up in EC2."""

from __future__ import annotations

from collections.abc import Iterable

from homeport.core.call import Call
from homeport.services.ecs.api.context import Ecs, Request
from homeport.services.ecs.errors import ClientException, InvalidParameterException
from homeport.services.ecs.model import LoadBalancer, TaskDefinition, TaskNetwork
from homeport.services.ecs.plan.networks import asked_network, is_awsvpc
from homeport.services.ecs.ports import NetworkRefusedError
from homeport.store.tx import Tx


def network_of(
    tx: Tx,
    call: Call,
    ecs: Ecs,
    req: Request,
    definition: TaskDefinition,
    *,
    before: TaskNetwork | None = None,
    balancers: Iterable[LoadBalancer] = (),
) -> TaskNetwork | None:
    """Where the definition's tasks are to be; `before`: where they are, if the request says nothing.

    `balancers`: those that are to send them traffic. Raise when there is no such place, or nobody makes
    interfaces here, or a balancer's target groups are of another VPC. What a request may say at all is
    checked before (`plan.launch.check_network`).
    """
    if not is_awsvpc(definition):
        return None
    asked = asked_network(req)
    if before is not None and not (asked or req.get("loadBalancers")):
        return before
    if ecs.networks is None:
        raise ClientException(
            "This task definition uses networkMode awsvpc ('networkMode'): running that is not supported by "
            f"this Homeport: {ecs.no_networks}"
        )
    try:
        found = before
        if asked or found is None:
            found = ecs.networks.find(
                tx,
                call.account_id,
                call.region,
                subnets=asked.get("subnets") or (),
                groups=asked.get("securityGroups") or (),
                public=asked.get("assignPublicIp") == "ENABLED",
            )
        groups = sorted({arn for one in balancers for arn in one.pair})
        ecs.networks.check_groups(tx, call.account_id, call.region, network=found, groups=groups)
    except NetworkRefusedError as error:
        raise InvalidParameterException(str(error)) from None
    return found
