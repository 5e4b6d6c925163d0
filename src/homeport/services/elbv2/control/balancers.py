"""Keeps the data plane serving what the state says, and says how balancers are doing."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from homeport.core.clock import Clock
from homeport.core.errors import StaleWriteError
from homeport.core.log import get_logger
from homeport.dataplane.model import Balancer
from homeport.runtime.roster import Roster
from homeport.runtime.runner import Next
from homeport.services.elbv2.model.groups import INSTANCE, TargetHealth
from homeport.services.elbv2.plan.to_dataplane import Places, Whole, next_change, to_dataplane
from homeport.services.elbv2.ports import (
    TARGETS_CHANGED,
    Addresses,
    BalancerState,
    Certificates,
    DataPlane,
    Network,
)
from homeport.services.elbv2.repo.whole import every_balancer, find_whole, sweep
from homeport.store.base import Store
from homeport.store.tx import Tx

log = get_logger(__name__)


class BalancerController:
    """One key is one balancer's ARN. It is `Balancing` for the API as well.

    What is served is in memory only: a fresh process reads every balancer once (`keys`).
    """

    name = "elbv2.balancers"

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
        self._complete: set[str] = set()
        self._groups: dict[str, str] = {}
        self._troubles: dict[str, str] = {}

    async def keys(self) -> tuple[str, ...]:
        """Every balancer, and those that are served or have addresses and may be gone."""
        known = await self._store.read(every_balancer)
        found = dict.fromkeys((*known, *self._served.keys(), *await self._addresses.holders()))
        self._served.expect(found)
        return tuple(found)

    async def reconcile(self, key: str) -> Next:
        """Serve the balancer as it is to be now, until time alone changes it."""
        try:
            next_look = await self._settle(key)
        except StaleWriteError:
            raise
        except Exception as error:
            self._troubles[key] = str(error).partition("\n")[0] or type(error).__name__
            self._served.give_up(key)
            raise
        self._troubles.pop(key, None)
        return next_look

    async def _settle(self, key: str) -> Next:
        now = self._clock.now()

        def work(tx: Tx) -> Whole | None:
            return find_whole(tx, key)

        whole = await self._store.read(work)
        if whole is None:
            self._complete.discard(key)
            self._served.drop(key)
            await self._addresses.release(key)
            return Next()
        self._groups |= {group.tail: arn for arn, group in whole.groups.items()}
        places = await self._places(whole)
        wanted = to_dataplane(whole, places, now)
        if len(wanted.addresses) == len(whole.balancer.zones):
            self._complete.add(key)
        else:
            self._complete.discard(key)
        if self._served.put(key, wanted):
            state = self._plane.state(wanted.id)
            if state is not None and state.reason:
                log.warning("balancer.refused", balancer=key, why=state.reason)
        if any(target.is_gone(now) for held in whole.targets.values() for target in held):
            await self._store.write(lambda tx: sweep(tx, whole, now))
        return Next(wake_at=next_change(whole, now))

    async def _places(self, whole: Whole) -> Places:
        balancer = whole.balancer
        here = (balancer.account_id, balancer.region)
        ids = {
            target.target_id
            for arn, held in whole.targets.items()
            if whole.groups[arn].target_type == INSTANCE
            for target in held
        }
        arns = {arn for one, _ in whole.listeners for arn in (one.certificate, *one.certificates) if arn}
        instances = await self._network.instances(*here, sorted(ids)) if ids else {}
        certificates = await self._certificates.find(*here, sorted(arns)) if arns else {}
        return Places(
            addresses=await self._addresses.of(balancer),
            instances={one.instance_id: one.address for one in instances.values() if one.address},
            certificates={one.arn: one.names for one in certificates.values()},
        )

    async def tell(self, group_id: str) -> None:
        """A target of the group is in another health: those who wait for it hear of it by the change feed."""
        if (arn := self._groups.get(group_id)) is not None:
            await self._store.write(lambda tx: tx.touch(TARGETS_CHANGED, arn))

    # Balancing

    async def states(self, balancer_arns: Collection[str]) -> Mapping[str, BalancerState]:
        """Active when every address is served, else what the data plane or this machine says against it."""
        found: dict[str, BalancerState] = {}
        for arn in balancer_arns:
            served = self._served.get(arn)
            state = None if served is None else self._plane.state(served.id)
            if trouble := self._troubles.get(arn):
                found[arn] = BalancerState(
                    code="failed" if state is None else "active_impaired", reason=trouble
                )
            elif state is not None and (arn in self._complete or state.reason):
                found[arn] = state
        return found

    async def health(self, group_arn: str) -> Mapping[str, TargetHealth]:
        """What the health checks of a group found, by `address:port`."""
        return self._plane.health(group_arn.split(":", 5)[5])

    async def in_force(self, balancer_arns: Collection[str]) -> bool:
        """Whether the data plane has these balancers as the state says by now."""
        return self._plane.is_settled and all([await self._is_served(arn) for arn in balancer_arns])

    async def _is_served(self, arn: str) -> bool:
        whole = await self._store.read(lambda tx: find_whole(tx, arn))
        if whole is None:
            return self._served.get(arn) is None
        return self._served.get(arn) == to_dataplane(whole, await self._places(whole), self._clock.now())
