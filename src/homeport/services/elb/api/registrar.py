"""Instances for those who register them on somebody's behalf, as ECS does for its services.

They go the same way as a request: the same rules, the same errors.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from homeport.core.call import inner_call
from homeport.services.elb.api.context import Elb
from homeport.services.elb.api.instances import (
    deregister_instances,
    describe_instance_health,
    register,
)
from homeport.services.elb.model import Seen
from homeport.services.elb.plan.instances import DRAINING
from homeport.services.elb.repo.balancers import BalancerRepo
from homeport.store.tx import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerFacts:
    """What whoever registers instances must know of a balancer. `instance_ports` are its listeners'."""

    name: str
    arn: str
    instance_ports: frozenset[int]
    draining_seconds: float


class Registrar:
    """Registers, deregisters, and tells health. Raises the API's errors."""

    def __init__(self, elb: Elb) -> None:
        self._elb = elb

    async def find(self, account_id: str, region: str, names: Collection[str]) -> Mapping[str, BalancerFacts]:
        """Those of the balancers that exist."""

        def work(tx: Tx) -> dict[str, BalancerFacts]:
            repo = BalancerRepo(tx, account_id, region)
            found = ((name, repo.named(name)) for name in names)
            return {
                name: BalancerFacts(
                    name=name,
                    arn=one.arn,
                    instance_ports=frozenset(listener.instance_port for listener in one.listeners),
                    draining_seconds=float(one.attributes.draining_seconds)
                    if one.attributes.draining
                    else 0.0,
                )
                for name, one in found
                if one is not None
            }

        return await self._elb.store.read(work)

    async def register(
        self,
        account_id: str,
        region: str,
        name: str,
        ids: Collection[str],
        *,
        before: datetime | None = None,
    ) -> None:
        """Register instances; one that drains comes back, one that is there stays.

        From `before` on none is: raise `TooLateError`.
        """
        if ids:
            call = inner_call("elb", "RegisterInstancesWithLoadBalancer", account_id, region)
            await register(call, self._elb, _request(name, ids), before=before)

    async def deregister(self, account_id: str, region: str, name: str, ids: Collection[str]) -> None:
        """Let instances drain; those that are not registered do not matter."""
        there = await self.health(account_id, region, name)
        if known := [one for one in ids if one in there and there[one] != DRAINING]:
            call = inner_call("elb", "DeregisterInstancesFromLoadBalancer", account_id, region)
            await deregister_instances(call, self._elb, _request(name, known))

    async def health(self, account_id: str, region: str, name: str) -> Mapping[str, Seen]:
        """All registered instances, draining ones included."""
        call = inner_call("elb", "DescribeInstanceHealth", account_id, region)
        answer = await describe_instance_health(call, self._elb, {"LoadBalancerName": name})
        return {
            one["InstanceId"]: Seen(
                state=one["State"], reason=one["ReasonCode"], description=one["Description"]
            )
            for one in answer["InstanceStates"]
        }


def _request(name: str, ids: Collection[str]) -> dict[str, object]:
    return {"LoadBalancerName": name, "Instances": [{"InstanceId": one} for one in ids]}
