"""Keeps Service Connect's doors: their addresses, and what the proxy does at them.

Level-triggered: one look at the rows decides. What ECS's services say is carried to Cloud Map's rows (a
deployment that is rolled back to has its earlier names again), names of services that are no more go, each
name has its address, and the proxy gets the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import timedelta

from homeport.app.balancers.carrier import Carrier
from homeport.app.balancers.classic import Halves
from homeport.app.balancers.network import Link, NoLink
from homeport.app.discovery.doors import (
    DEPLOYMENT,
    REQUESTER,
    Door,
    DoorPort,
    balancers_of,
    mark_of,
    read_doors,
)
from homeport.app.discovery.gate import DoorGate, ways_of
from homeport.app.discovery.names import CloudMapConnect
from homeport.core.clock import Clock
from homeport.core.errors import AwsError
from homeport.core.ids import Ids
from homeport.core.log import get_logger
from homeport.dataplane.model import Balancer
from homeport.runtime.changes import Change
from homeport.runtime.retry import decide_again
from homeport.runtime.runner import Next
from homeport.services.ec2 import manifest as ec2
from homeport.services.ecs import manifest as ecs
from homeport.services.servicediscovery import manifest as cloud_map
from homeport.store.base import Store
from homeport.store.tx import Tx

log = get_logger("service.connect")

KEY = "doors"
SERVICE = "ecs.service"
KINDS = frozenset({SERVICE, cloud_map.SERVICE_CHANGED})
LOOK = timedelta(milliseconds=250)
"""Until the proxy is asked again whether it has let go of what is not behind a door any more."""
AGAIN = timedelta(seconds=30)
"""Until a name without an address is tried again: somebody may give a subnet's back."""


class ConnectController:
    """One key is all doors; the others are ECS's services that changed."""

    name = "service.connect"

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: Ids,
        names: CloudMapConnect,
        *,
        link: Link,
        serve: Callable[[Collection[Balancer]], None],
        is_settled: Callable[[], bool] | None = None,
    ) -> None:
        self._store, self._clock, self._ids = store, clock, ids
        self._names, self._link, self._serve = names, link, serve
        self._is_settled = is_settled
        self._served: Sequence[Door] = ()
        self.gate = DoorGate()
        self._owners: frozenset[str] = frozenset()

    async def keys(self) -> Iterable[str]:
        """All doors."""
        return (KEY,)

    def keys_of(self, change: Change) -> Iterable[str]:
        """The service that changed, or all doors."""
        return (change.key,) if change.kind == SERVICE else (KEY,)

    async def reconcile(self, key: str) -> Next:
        """Make it so. A service that has no part in it does not matter."""
        if key != KEY:
            service = await self._store.read(lambda tx: ecs.ServiceRepo(tx).get(int(key)))
            if service is None or not (_uses(service) or service.arn in self._owners):
                return Next()
        if await self._store.read(self._is_unsettled):
            await decide_again(lambda: self._store.write(self._settle))
        self._owners, doors, lacking = await self._store.read(self._look)
        ways = ways_of(doors)
        await self.gate.ready(ways)
        try:
            await self._link.hold([one.address for one in doors])
        finally:  # the load balancers wait for it, and must not suffer
            self._serve(balancers_of(doors))
            self._served = doors
        if self._is_settled is None or self._is_settled():
            self.gate.settled(ways)
        elif self.gate.used != ways:
            return Next(wake_at=self._clock.now() + LOOK)
        return Next(wake_at=self._clock.now() + AGAIN if lacking else None)

    async def is_in_force(self, service_arn: str) -> bool | None:
        """Whether the proxy does what the rows say of a service; `None`: there is no proxy."""
        if self._is_settled is None:
            return None
        _, doors, _ = await self._store.read(self._look)
        return _of(doors, service_arn) == _of(self._served, service_arn) and self._is_settled()

    def _look(self, tx: Tx) -> tuple[frozenset[str], Sequence[Door], bool]:
        services = cloud_map.services_with_entrances(tx)
        interfaces = ec2.interfaces_everywhere(tx)
        marks = {one.description for one in interfaces if one.requester_id == REQUESTER}
        owners = frozenset(one.entrance.owner for one in services if one.entrance is not None)
        return owners, read_doors(tx, interfaces), any(mark_of(one) not in marks for one in services)

    # ---- rows -----------------------------------------------------------------------------------

    def _is_unsettled(self, tx: Tx) -> bool:
        services = cloud_map.services_with_entrances(tx)
        held = {one.description for one in _interfaces(tx)}
        return held != {mark_of(one) for one in services} or any(
            self._is_stale(tx, one) or self._differs(tx, one) is not None or self._has_shifted(tx, one)
            for one in services
        )

    def _settle(self, tx: Tx) -> None:
        for one in cloud_map.services_with_entrances(tx):
            if self._is_stale(tx, one):
                self._names.remove(tx, one)
            elif (found := self._differs(tx, one)) is not None:
                self._claim(tx, *found)
            if one.entrance is not None and self._has_shifted(tx, one):
                self._names.share(tx, one.entrance.owner, None)
        left = {mark_of(one): one for one in cloud_map.services_with_entrances(tx)}
        for interface in _interfaces(tx):
            if left.pop(interface.description, None) is None:
                ec2.remove_interface(ec2.Shelf(tx, interface.account_id, interface.region), interface)
        for mark, one in left.items():
            self._open(tx, mark, one)

    def _is_stale(self, tx: Tx, one: cloud_map.Service) -> bool:
        """Whether its ECS service is gone, or has no use for it any more and no task in it."""
        owner = _owner(tx, one)
        if owner is None or owner.status == "INACTIVE":
            return True
        return one.arn not in _used(owner) and not cloud_map.find_instances(tx, one.service_id)

    def _has_shifted(self, tx: Tx, one: cloud_map.Service) -> bool:
        """Whether all its traffic has found its deployment, and nobody is left who is to get none of it."""
        owner, shift = _owner(tx, one), None if one.entrance is None else one.entrance.shift
        if owner is None or shift is None or not owner.deployments or owner.primary.staging is not None:
            return False
        of = {found.attributes.get(DEPLOYMENT) for found in cloud_map.find_instances(tx, one.service_id)}
        return not of - {shift.fresh} if owner.primary.id == shift.fresh else shift.fresh not in of

    def _differs(
        self, tx: Tx, one: cloud_map.Service
    ) -> tuple[ecs.Service, ecs.ConnectEndpoint, cloud_map.Service] | None:
        """What the owner says of it, where that is something else."""
        owner, there = _owner(tx, one), one.entrance
        connect = None if owner is None or not owner.deployments else owner.primary.connect
        if owner is None or connect is None or there is None:
            return None
        said = next((each for each in connect.endpoints if each.arn == one.arn), None)
        if said is None:
            return None
        now = (there.name, there.port, there.protocol, there.test_header, there.test_value)
        asked = (said.alias, said.port, said.protocol, said.test_header, said.test_value)
        times = (there.idle_seconds, there.request_seconds) == (said.idle_seconds, said.request_seconds)
        return None if now == asked and times else (owner, said, one)

    def _claim(self, tx: Tx, owner: ecs.Service, said: ecs.ConnectEndpoint, one: cloud_map.Service) -> None:
        namespace = cloud_map.find_namespace(tx, one.namespace_id)
        if namespace is None:
            return
        try:
            self._names.claim(tx, owner.arn, namespace.arn, said, owner.primary.network)
        except ecs.ConnectRefusedError as error:
            log.warning("connect.name_lost", service=owner.arn, why=str(error))

    def _open(self, tx: Tx, mark: str, one: cloud_map.Service) -> None:
        """An address in the first of the subnets that has one left."""
        assert one.entrance is not None
        shelf, entrance = ec2.Shelf(tx, one.account_id, one.region), one.entrance
        subnets = [found for each in entrance.subnets if (found := shelf.find(ec2.Subnet, each)) is not None]
        for subnet in subnets or shelf.all(ec2.Subnet, vpc_id=entrance.vpc_id):
            plugged = ec2.Attachment(
                attachment_id=f"ela-attach-0{self._ids.token(8).hex()}", attached_at=self._clock.now()
            )
            try:
                ec2.add_interface(
                    shelf, self._ids, subnet, description=mark, requester_id=REQUESTER, attachment=plugged
                )
            except AwsError as error:
                log.warning("connect.without_address", name=entrance.name, why=str(error))
                continue
            return


def build_connect(
    store: Store,
    clock: Clock,
    ids: Ids,
    names: CloudMapConnect,
    carrier: Carrier | None,
    halves: Halves | None,
) -> ConnectController:
    """The controller. Without a carrier the rows are kept, and nobody listens."""
    return ConnectController(
        store,
        clock,
        ids,
        names,
        link=NoLink() if carrier is None else carrier.connect_link,
        serve=(lambda _: None) if halves is None else halves.of_connect(),
        is_settled=None if halves is None else halves.is_settled,
    )


def _interfaces(tx: Tx) -> list[ec2.NetworkInterface]:
    return [one for one in ec2.interfaces_everywhere(tx) if one.requester_id == REQUESTER]


def _owner(tx: Tx, one: cloud_map.Service) -> ecs.Service | None:
    """The ECS service whose tasks are in it."""
    assert one.entrance is not None
    cluster_name, _, name = one.entrance.owner.partition(":service/")[2].partition("/")
    cluster = ecs.ClusterRepo(tx).find(one.account_id, one.region, cluster_name)
    return None if cluster is None else ecs.ServiceRepo(tx).find(cluster.id, name)


def _connects(service: ecs.Service) -> list[ecs.Connect]:
    past = (service.last_completed,) if service.last_completed is not None else ()
    held = (one.connect for one in (*service.deployments, *past))
    return [one for one in held if one is not None]


def _uses(service: ecs.Service) -> bool:
    return bool(_connects(service))


def _used(service: ecs.Service) -> frozenset[str]:
    return frozenset(endpoint.arn for one in _connects(service) for endpoint in one.endpoints)


def _of(doors: Iterable[Door], owner: str) -> list[tuple[str, DoorPort]]:
    return [(door.address, port) for door in doors for port in door.ports if port.owner == owner]
