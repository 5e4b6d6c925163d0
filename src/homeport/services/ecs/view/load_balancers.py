"""Load balancers of services and task sets on the wire."""

from __future__ import annotations

from collections.abc import Iterable

from homeport.services.ecs.model import LoadBalancer
from homeport.services.ecs.view.wire import Wire


def load_balancers_view(balancers: Iterable[LoadBalancer]) -> list[Wire]:
    """As they were given."""
    found = []
    for balancer in balancers:
        view: Wire = {
            "targetGroupArn": balancer.target_group,
            "containerName": balancer.place.container,
            "containerPort": balancer.place.port,
        }
        if balancer.advanced:
            view["advancedConfiguration"] = dict(balancer.advanced)
        found.append(view)
    return found


def resolved_view(balancers: Iterable[LoadBalancer]) -> Wire:
    """What a revision of a service really uses: the target group of the two, and the rule in front of it."""
    found = []
    for balancer in balancers:
        view: Wire = {"targetGroupArn": balancer.place.target_group}
        if balancer.advanced:
            view["productionListenerRule"] = balancer.advanced["productionListenerRule"]
        found.append(view)
    return {"resolvedConfiguration": {"loadBalancers": found}} if found else {}
