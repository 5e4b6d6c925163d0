"""Looking up the load balancers that a request names, before the transaction that uses them."""

from __future__ import annotations

from collections.abc import Mapping

from homeport.core.call import Call
from homeport.services.ecs.api.alarms import check_alarms
from homeport.services.ecs.api.context import Ecs, Request
from homeport.services.ecs.errors import InvalidParameterException, ServerException
from homeport.services.ecs.model import classic_arn
from homeport.services.ecs.plan.load_balancers import (
    SERVICE_MOST,
    TASK_SET_MOST,
    named_groups,
    role_of,
    unusable_role,
)
from homeport.services.ecs.plan.support import refuse
from homeport.services.ecs.plan.traffic import check_rules, named_rules
from homeport.services.ecs.ports import TargetGroup, TargetGroupsError


async def target_groups(
    call: Call, ecs: Ecs, req: Request, *, most: int = SERVICE_MOST
) -> Mapping[str, TargetGroup]:
    """The target groups that a request names, by what it calls them. Raise where there are none at all.

    A Classic Load Balancer stands for one, by its name.
    """
    given = req.get("loadBalancers") or ()
    if ecs.target_groups is None:
        refuse(req, "", ("loadBalancers",))
    if not given or ecs.target_groups is None:
        return {}
    names, rules = named_groups(given, most=most), named_rules(given)
    classic = {one["loadBalancerName"] for one in given if one.get("loadBalancerName")}
    arns = {classic_arn(call.account_id, call.region, one) if one in classic else one: one for one in names}
    await _check_role(call, ecs, req, frozenset(arns))
    try:
        known = await ecs.target_groups.find(call.account_id, call.region, arns)
        found = {arns[arn]: group for arn, group in known.items()}
    except TargetGroupsError as error:
        raise ServerException(f"The target groups cannot be looked up: {error}") from None
    if rules and ecs.shifter is None:
        refuse({"advancedConfiguration": True}, "loadBalancers", ("advancedConfiguration",))
    elif rules and most == TASK_SET_MOST:
        raise InvalidParameterException(
            "advancedConfiguration is not for task sets: whoever conducts them shifts theirs."
        )
    elif ecs.shifter is not None and rules:
        check_rules(given, await ecs.shifter.forwards(call.account_id, call.region, rules))
    return found


async def _check_role(call: Call, ecs: Ecs, req: Request, arns: frozenset[str]) -> None:
    """Raise unless the role that a service brings for its load balancer lets ECS look at that."""
    role = role_of(req, call.account_id)
    if not role or ecs.target_groups is None:
        return
    try:
        await ecs.target_groups.permit(role, [("find", arn) for arn in sorted(arns)])
    except TargetGroupsError as error:
        raise InvalidParameterException(unusable_role(req["loadBalancers"], str(error))) from None


async def looked_up(call: Call, ecs: Ecs, req: Request) -> Mapping[str, TargetGroup]:
    """The target groups of a service's request, once its alarms are known to exist as well."""
    await check_alarms(call, ecs, req)
    return await target_groups(call, ecs, req)
