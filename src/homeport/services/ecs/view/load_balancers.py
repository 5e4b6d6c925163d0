"""Load balancers of services and task sets on the wire."""

from __future__ import annotations

from collections.abc import Iterable

from homeport.services.ecs.model import LoadBalancer, classic_name
from homeport.services.ecs.view.wire import Wire


def load_balancers_view(balancers: Iterable[LoadBalancer]) -> list[Wire]:
    """As they were given."""
    found = []
    for balancer in balancers:
        name = classic_name(balancer.target_group)
        view: Wire = {
            **({"loadBalancerName": name} if name else {"targetGroupArn": balancer.target_group}),
            "containerName": balancer.place.container,
            "containerPort": balancer.place.port,
        }
        if balancer.advanced:
            view["advancedConfiguration"] = dict(balancer.advanced)
        found.append(view)
    return found


def resolved_view(balancers: Iterable[LoadBalancer]) -> Wire:
    """What a revision of a service really uses: the target group of the two, and the rule in front of it.

    A Classic Load Balancer has neither.
    """
    found = []
    for balancer in balancers:
        if classic_name(balancer.place.target_group):
            continue
        view: Wire = {"targetGroupArn": balancer.place.target_group}
        if balancer.advanced:
            view["productionListenerRule"] = balancer.advanced["productionListenerRule"]
        found.append(view)
    return {"resolvedConfiguration": {"loadBalancers": found}} if found else {}
