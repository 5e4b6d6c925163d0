"""Keeps the data plane serving the Classic Load Balancers that the state says."""

from __future__ import annotations

from collections.abc import Mapping

from homeport.core.clock import Clock
from homeport.dataplane.model import Balancer
from homeport.runtime.roster import Roster
from homeport.runtime.runner import Next
from homeport.services.elb.model import LoadBalancer
from homeport.services.elb.plan.instances import next_change, swept
from homeport.services.elb.plan.to_dataplane import Places, to_dataplane
from homeport.services.elb.ports import CHANGED, Addresses, Certificates, DataPlane, Network
from homeport.services.elb.repo.balancers import BalancerRepo, every_balancer, find_anywhere
from homeport.store.base import Store
from homeport.store.tx import Tx


class ClassicController:
    """One key is one balancer's ARN. It is `Balancing` for the API as well.

    What is served is in memory only: a fresh process reads every balancer once (`keys`).
    """

    name = "elb.balancers"

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        network: Network,
        certificates: Certificates,
        addresses: Addresses,
        plane: DataPlane,
    ) -> None:
        self._store, self._clock = store, clock
        self._network, self._certificates = network, certificates
        self._addresses, self._plane = addresses, plane
        self._served: Roster[Balancer] = Roster(plane.serve)
        self._ids: dict[str, dict[str, str]] = {}

    async def keys(self) -> tuple[str, ...]:
        """Every balancer, and those that are served or have addresses and may be gone."""
        known = await self._store.read(every_balancer)
        arns = (one.arn for one in known)
        found = dict.fromkeys((*arns, *self._served.keys(), *await self._addresses.holders()))
        self._served.expect(found)
        return tuple(found)

    async def reconcile(self, key: str) -> Next:
        """Serve the balancer as it is to be now, until time alone changes it."""
        now = self._clock.now()
        balancer = await self._store.read(lambda tx: find_anywhere(tx, key))
        if balancer is None:
            self._ids.pop(key, None)
            self._served.drop(key)
            await self._addresses.release(key)
            return Next()
        left = swept(balancer, now)
        if left != balancer:
            await self._store.write(lambda tx: _save(tx, left))
            return Next()
        try:
            places = await self._places(balancer)
        except Exception:
            self._served.give_up(key)
            raise
        self._ids[key] = {one.address: one.instance_id for one in places.instances.values()}
        self._served.put(key, to_dataplane(balancer, places))
        return Next(wake_at=next_change(balancer))

    async def _places(self, balancer: LoadBalancer) -> Places:
        here = (balancer.account_id, balancer.region)
        ids = sorted({one.instance_id for one in balancer.registered})
        arns = sorted({one.certificate for one in balancer.listeners if one.certificate})
        found = await self._certificates.find(*here, arns) if arns else {}
        return Places(
            addresses=await self._addresses.of(balancer),
            instances=await self._network.instances(*here, ids) if ids else {},
            certificates={arn: one.names for arn, one in found.items()},
        )

    async def tell(self, group_id: str) -> None:
        """An instance behind a listener is in another health: those who wait for it hear of it."""
        for arn, served in self._served.items():
            if group_id.startswith(f"{served.id}/"):
                await self._store.write(lambda tx, arn=arn: tx.touch(CHANGED, arn))  # type: ignore[misc]

    def health(self, balancer: LoadBalancer) -> Mapping[str, str]:
        """The states of the instances that were checked: healthy where every listener's check finds it so."""
        ids = self._ids.get(balancer.arn, {})
        found: dict[str, set[str]] = {}
        for listener in balancer.listeners:
            for key, one in self._plane.health(balancer.group_id(listener.port)).items():
                found.setdefault(ids.get(key.rpartition(":")[0], ""), set()).add(one.state)
        return {one: _worst(states) for one, states in found.items() if one}


def _worst(states: set[str]) -> str:
    return next((state for state in ("unhealthy", "initial") if state in states), "healthy")


def _save(tx: Tx, balancer: LoadBalancer) -> None:
    BalancerRepo(tx, balancer.account_id, balancer.region).save(balancer)
