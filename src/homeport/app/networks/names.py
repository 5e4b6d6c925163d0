"""Keeps what a VPC's DNS server knows: interfaces' names, balancers' names and Cloud Map's.

Level-triggered: a key names one thing (`eni/...`, `lb/...`, `svc/...`), which is read again and said again.
Names of balancers are told everywhere, as AWS's are; those of public namespaces in all VPCs of their account;
all others to askers of their own VPC only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv4Network

from homeport.app.balancers.classic import is_classic
from homeport.app.balancers.network import REQUESTER, description
from homeport.app.discovery.doors import name_of
from homeport.core.call import Call
from homeport.core.log import get_logger
from homeport.gateway.dns_answers import is_sound
from homeport.gateway.dns_names import (
    EVERYWHERE,
    NameBook,
    Network,
    Records,
    Zone,
    reverse_name,
    reverse_zones,
)
from homeport.runtime.changes import Change
from homeport.runtime.runner import Next
from homeport.services.ec2 import manifest as ec2
from homeport.services.elb import manifest as elb
from homeport.services.elbv2 import manifest as elbv2
from homeport.services.servicediscovery import manifest as cloud_map
from homeport.store.base import Store
from homeport.store.tx import Tx

log = get_logger("dns")

TTL = 60
"""Of names of balancers and interfaces, in seconds."""
VPC, INTERFACE, BALANCER, NAMESPACE, SERVICE = "vpc", "eni", "lb", "ns", "svc"
_KINDS = {
    "ec2.vpc": VPC,
    "ec2.network-interface": INTERFACE,
    elbv2.BALANCERS_CHANGED: BALANCER,
    elb.CHANGED: BALANCER,
    cloud_map.NAMESPACE_CHANGED: NAMESPACE,
    cloud_map.SERVICE_CHANGED: SERVICE,
}


class Ec2Vpcs:
    """Which VPCs private namespaces may be for."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def exists(self, call: Call, vpc_id: str) -> bool:
        """Whether the caller's account has that VPC here."""
        account_id, region = call.account_id, call.region
        found = await self._store.read(lambda tx: ec2.Shelf(tx, account_id, region).find(ec2.Vpc, vpc_id))
        return found is not None


def _balancer(tx: Tx, arn: str) -> elb.LoadBalancer | elbv2.LoadBalancer | None:
    """A balancer of whichever kind."""
    if is_classic(arn):
        return elb.find_anywhere(tx, arn)
    whole = elbv2.find_whole(tx, arn)
    return None if whole is None else whole.balancer


class NameKeeper:
    """A controller over the book: one key is one thing that has names."""

    name = "dns.names"
    kinds = frozenset(_KINDS)

    def __init__(self, store: Store, book: NameBook) -> None:
        self._store, self.book = store, book
        self._balancer_of: dict[str, str] = {}
        """Interfaces of balancers, as long as they are there."""

    async def keys(self) -> Iterable[str]:
        """Everything that has names, and everything that had."""

        def work(tx: Tx) -> list[str]:
            namespaces, services = cloud_map.ids_of_all(tx)
            return [
                *(f"{VPC}/{one.resource_id}" for one in ec2.vpcs_everywhere(tx)),
                *(f"{INTERFACE}/{one.resource_id}" for one in ec2.interfaces_everywhere(tx)),
                *(f"{BALANCER}/{arn}" for arn in elbv2.every_balancer(tx)),
                *(f"{BALANCER}/{one.arn}" for one in elb.every_balancer(tx)),
                *(f"{NAMESPACE}/{one}" for one in namespaces),
                *(f"{SERVICE}/{one}" for one in services),
            ]

        there = await self._store.read(work, bulk=True)
        known = {f"{VPC}/{one.vpc_id}" for one in self.book.networks()}
        return dict.fromkeys((*there, *sorted(self.book.owners() | known)))

    def keys_of(self, change: Change) -> Iterable[str]:
        """The thing that changed."""
        return (f"{_KINDS[change.kind]}/{change.key}",)

    async def reconcile(self, key: str) -> Next:
        """Say of one thing what is so now."""
        kind, _, which = key.partition("/")
        look = {
            VPC: self._vpc,
            INTERFACE: self._interface,
            BALANCER: self._balancer,
            NAMESPACE: self._namespace,
            SERVICE: self._service,
        }[kind]
        await look(key, which)
        return Next()

    def _say(self, key: str, scope: str | Collection[str], records: Iterable[Records]) -> None:
        said = []
        for one in records:
            if is_sound(one):
                said.append(one)
            else:
                log.warning("dns.unsound", name=one.name, type=one.type, values=list(one.values[:3]))
        self.book.put(key, scope, said)

    async def _vpc(self, key: str, vpc_id: str) -> None:
        vpc, standing = await self._store.read(
            lambda tx: (ec2.find_anywhere(tx, ec2.Vpc, vpc_id), ec2.standing_vpcs(tx))
        )
        self.book.set_networks(
            Network(vpc_id=one.resource_id, cidr=IPv4Network(one.cidr), is_served=one.dns_support)
            for one in standing
        )
        if vpc is None:
            self.book.drop_zones(key)
            return
        network = IPv4Network(vpc.cidr)
        private = ec2.private_name("127.0.0.1", vpc.region).partition(".")[2]
        apexes = (private, *reverse_zones(network))
        self.book.put_zones(key, vpc_id, [Zone(apex=apex, negative_ttl=TTL) for apex in apexes])
        account_id = vpc.account_id
        public = await self._store.read(lambda tx: cloud_map.public_services(tx, account_id))
        for service_id in public:
            await self._service(f"{SERVICE}/{service_id}", service_id)

    async def _interface(self, key: str, interface_id: str) -> None:
        one = await self._store.read(lambda tx: ec2.find_anywhere(tx, ec2.NetworkInterface, interface_id))
        if one is None:
            self.book.drop(key)
        else:
            name = ec2.private_name(one.address, one.region)
            names = (name, alias) if (alias := name_of(one)) else (name,)
            records = (
                *(Records(name=each, type="A", values=(one.address,), ttl=TTL) for each in names),
                Records(name=reverse_name(one.address), type="PTR", values=(f"{name}.",), ttl=TTL),
            )
            self._say(key, one.vpc_id, records)
            if one.requester_id == REQUESTER and one.description.startswith("ELB "):
                place = f"arn:aws:elasticloadbalancing:{one.region}:{one.account_id}"
                self._balancer_of[interface_id] = f"{place}:loadbalancer/{one.description[4:]}"
        arn = self._balancer_of.get(interface_id)
        if arn is not None:
            await self._balancer(f"{BALANCER}/{arn}", arn)
        if one is None:
            self._balancer_of.pop(interface_id, None)

    async def _balancer(self, key: str, arn: str) -> None:
        def work(tx: Tx) -> tuple[str, tuple[str, ...]] | None:
            balancer = _balancer(tx, arn)
            if balancer is None:
                return None
            mark = description(arn)
            shelf = ec2.Shelf(tx, balancer.account_id, balancer.region)
            held = shelf.all(ec2.NetworkInterface, vpc_id=balancer.vpc_id)
            mine = (one.address for one in held if (one.requester_id, one.description) == (REQUESTER, mark))
            return balancer.dns_name, tuple(mine)

        found = await self._store.read(work)
        if found is None:
            self.book.drop(key)
            return
        name, addresses = found
        self._say(key, EVERYWHERE, [Records(name=name, type="A", values=addresses, ttl=TTL)])

    async def _namespace(self, key: str, namespace_id: str) -> None:
        def work(tx: Tx) -> tuple[cloud_map.Namespace | None, list[str]]:
            namespace = cloud_map.find_namespace(tx, namespace_id)
            return namespace, list(cloud_map.services_of(tx, namespace_id))

        namespace, services = await self._store.read(work)
        if namespace is None or not namespace.vpc_id:
            self.book.drop_zones(key)
        else:
            zone = Zone(apex=namespace.name.lower(), negative_ttl=namespace.soa_ttl)
            self.book.put_zones(key, namespace.vpc_id, [zone])
        for service_id in services:
            await self._service(f"{SERVICE}/{service_id}", service_id)

    async def _service(self, key: str, service_id: str) -> None:
        def work(tx: Tx) -> tuple[list[str], tuple[cloud_map.NameRecords, ...]] | None:
            service = cloud_map.find_service(tx, service_id)
            namespace = None if service is None else cloud_map.find_namespace(tx, service.namespace_id)
            if service is None or namespace is None or not namespace.has_names:
                return None
            vpcs = [namespace.vpc_id]
            if namespace.is_public:
                owned = (one for one in ec2.vpcs_everywhere(tx) if one.account_id == namespace.account_id)
                vpcs = [one.resource_id for one in owned]
            instances = cloud_map.find_instances(tx, service_id)
            return vpcs, cloud_map.name_records(namespace, service, instances)

        found = await self._store.read(work)
        if found is None:
            self.book.drop(key)
            return
        vpcs, records = found
        self._say(
            key,
            vpcs,
            [
                Records(
                    name=one.name,
                    type=one.type,
                    values=one.values,
                    ttl=one.ttl,
                    answers_most=one.answers_most,
                )
                for one in records
            ],
        )
