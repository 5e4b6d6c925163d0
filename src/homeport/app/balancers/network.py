"""EC2's network as Elastic Load Balancing sees it: where balancers may stand, and their addresses."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from homeport.core.clock import Clock
from homeport.core.errors import AwsError
from homeport.core.ids import Ids
from homeport.core.log import get_logger
from homeport.node.commands import CommandError
from homeport.services.ec2 import manifest as ec2
from homeport.services.ec2.repo.everywhere import interfaces_everywhere
from homeport.services.elbv2 import manifest as elbv2
from homeport.store.base import Store
from homeport.store.tx import Tx

log = get_logger(__name__)

REQUESTER = "amazon-elb"
"""Whose the interfaces of balancers are. Source: Application Load Balancer guide, "Network interfaces"."""


def description(balancer_arn: str) -> str:
    """What marks the interfaces of a balancer: `ELB app/NAME/ID`. Source: the same."""
    return f"ELB {balancer_arn.partition(':loadbalancer/')[2]}"


class Ec2Network:
    """Answers from EC2's rows and the local instances."""

    def __init__(self, store: Store, instances: ec2.Instances) -> None:
        self._store = store
        self._instances = instances

    async def vpcs(self, account_id: str, region: str, ids: Collection[str]) -> Mapping[str, elbv2.Vpc]:
        """Those of the VPCs that exist."""

        def work(tx: Tx) -> dict[str, elbv2.Vpc]:
            found = ec2.Shelf(tx, account_id, region).any_of(ids).values()
            return {
                one.resource_id: elbv2.Vpc(vpc_id=one.resource_id, cidrs=(one.cidr,))
                for one in found
                if isinstance(one, ec2.Vpc)
            }

        return await self._store.read(work)

    async def subnets(self, account_id: str, region: str, ids: Collection[str]) -> Mapping[str, elbv2.Subnet]:
        """Those of the subnets that exist."""

        def work(tx: Tx) -> dict[str, elbv2.Subnet]:
            found = ec2.Shelf(tx, account_id, region).any_of(ids).values()
            return {one.resource_id: _subnet(tx, one) for one in found if isinstance(one, ec2.Subnet)}

        return await self._store.read(work)

    async def subnets_of(self, account_id: str, region: str, vpc_id: str) -> Collection[elbv2.Subnet]:
        """All subnets of a VPC."""

        def work(tx: Tx) -> list[elbv2.Subnet]:
            found = ec2.Shelf(tx, account_id, region).all(ec2.Subnet, vpc_id=vpc_id)
            return [_subnet(tx, one) for one in found]

        return await self._store.read(work)

    async def security_groups(
        self, account_id: str, region: str, ids: Collection[str]
    ) -> Mapping[str, elbv2.SecurityGroup]:
        """Those of the security groups that exist."""

        def work(tx: Tx) -> dict[str, elbv2.SecurityGroup]:
            found = ec2.Shelf(tx, account_id, region).any_of(ids).values()
            return {
                one.resource_id: elbv2.SecurityGroup(
                    group_id=one.resource_id, vpc_id=one.vpc_id, name=one.name
                )
                for one in found
                if isinstance(one, ec2.SecurityGroup)
            }

        return await self._store.read(work)

    async def default_security_group(self, account_id: str, region: str, vpc_id: str) -> str | None:
        """The VPC's own security group."""

        def work(tx: Tx) -> str | None:
            groups = ec2.Shelf(tx, account_id, region).all(ec2.SecurityGroup, vpc_id=vpc_id)
            return next((one.resource_id for one in groups if one.is_default), None)

        return await self._store.read(work)

    async def instances(
        self, account_id: str, region: str, ids: Collection[str]
    ) -> Mapping[str, elbv2.Instance]:
        """Those of the instances that exist. Each that has a place in a subnet is in its VPC."""
        wanted = [one for one in await self._instances.all(account_id, region) if one.instance_id in ids]

        def work(tx: Tx) -> dict[str, ec2.NetworkInterface]:
            found = ec2.Shelf(tx, account_id, region).any_of({one.interface_id for one in wanted}).values()
            return {one.resource_id: one for one in found if isinstance(one, ec2.NetworkInterface)}

        placed = await self._store.read(work)
        return {
            one.instance_id: elbv2.Instance(
                instance_id=one.instance_id,
                vpc_id=placed[one.interface_id].vpc_id if one.interface_id in placed else "",
                zone=one.zone,
                address=placed[one.interface_id].address if one.interface_id in placed else "",
            )
            for one in wanted
        }


def _subnet(tx: Tx, one: ec2.Subnet) -> elbv2.Subnet:
    vpc = ec2.Shelf(tx, one.account_id, one.region).get(ec2.Vpc, one.vpc_id)
    return elbv2.Subnet(
        subnet_id=one.resource_id,
        vpc_id=one.vpc_id,
        zone=one.zone,
        cidr=one.cidr,
        closed=ec2.range_trouble(tx, vpc),
    )


class Place(Protocol):
    """A subnet that a balancer stands in."""

    @property
    def subnet_id(self) -> str: ...

    @property
    def private_address(self) -> str: ...


class Standing(Protocol):
    """A balancer of whatever kind, as far as its addresses are concerned."""

    @property
    def arn(self) -> str: ...

    @property
    def account_id(self) -> str: ...

    @property
    def region(self) -> str: ...

    @property
    def zones(self) -> Sequence[Place]: ...

    @property
    def security_groups(self) -> tuple[str, ...]: ...


class Link(Protocol):
    """Where this machine has the balancers' addresses."""

    async def hold(self, addresses: Collection[str]) -> None:
        """These are the machine's own from now on, and no others of balancers."""
        ...


class NoLink:
    """Nobody listens on them."""

    async def hold(self, addresses: Collection[str]) -> None:
        """Nothing."""
        del addresses


class Ec2Addresses:
    """An interface for a balancer in each of its subnets, which is found again by its description.

    Its address is on the machine's link before anybody hears of it.
    """

    def __init__(self, store: Store, clock: Clock, ids: Ids, link: Link | None = None) -> None:
        self._store, self._clock, self._ids = store, clock, ids
        self._link = link or NoLink()
        self._held: dict[str, frozenset[str]] | None = None

    async def of(self, balancer: Standing) -> Mapping[str, str]:
        """The address by subnet; made when it is not there, and guarded by the balancer's groups."""

        def look(tx: Tx) -> dict[str, ec2.NetworkInterface]:
            return _held(ec2.Shelf(tx, balancer.account_id, balancer.region), balancer.arn)

        held = await self._store.read(look)
        wanted = {zone.subnet_id for zone in balancer.zones}
        if held.keys() != wanted or any(one.groups != balancer.security_groups for one in held.values()):
            held = await self._store.write(lambda tx: self._settled(tx, balancer))
        await self._hold(balancer.arn, frozenset(one.address for one in held.values()))
        return {subnet_id: one.address for subnet_id, one in held.items()}

    async def holders(self) -> Collection[str]:
        """The ARNs of all that have interfaces. The first look takes strays off the link."""
        found = await self._store.read(_everybodys)
        if self._held is None:
            self._held = found
            try:
                await self._link.hold(frozenset[str]().union(*found.values()))
            except CommandError as error:  # each balancer says so by itself
                log.warning("balancer.addresses_unsettled", why=str(error))
        return tuple(found)

    async def _hold(self, balancer_arn: str, addresses: frozenset[str]) -> None:
        """The addresses of all others stay: at the start they are what the rows say."""
        if self._held is None:
            found = await self._store.read(_everybodys)
            # Who was as quick, for a balancer of the other kind, may have said by now what these rows do not.
            self._held = found if self._held is None else self._held
        if addresses:
            self._held[balancer_arn] = addresses
        else:
            self._held.pop(balancer_arn, None)
        await self._link.hold(frozenset[str]().union(*self._held.values()))

    def _settled(self, tx: Tx, balancer: Standing) -> dict[str, ec2.NetworkInterface]:
        shelf = ec2.Shelf(tx, balancer.account_id, balancer.region)
        held = _held(shelf, balancer.arn)
        found: dict[str, ec2.NetworkInterface] = {}
        for zone in balancer.zones:
            one = held.pop(zone.subnet_id, None) or self._made(
                shelf, balancer, zone.subnet_id, zone.private_address
            )
            if one is not None and one.groups != balancer.security_groups:
                one = shelf.save(msgspec.structs.replace(one, groups=balancer.security_groups))
            if one is not None:
                found[zone.subnet_id] = one
        for left in held.values():
            ec2.remove_interface(shelf, left)
        return found

    def _made(
        self, shelf: ec2.Shelf, balancer: Standing, subnet_id: str, address: str
    ) -> ec2.NetworkInterface | None:
        subnet = shelf.find(ec2.Subnet, subnet_id)
        if subnet is None:
            return None
        plugged = ec2.Attachment(
            attachment_id=f"ela-attach-0{self._ids.token(8).hex()}", attached_at=self._clock.now()
        )
        try:
            return ec2.add_interface(
                shelf,
                self._ids,
                subnet,
                groups=balancer.security_groups,
                description=description(balancer.arn),
                address=address,
                requester_id=REQUESTER,
                attachment=plugged,
            )
        except AwsError as error:
            log.warning("balancer.without_address", balancer=balancer.arn, subnet=subnet_id, why=str(error))
            return None

    async def release(self, balancer_arn: str) -> None:
        """Give the addresses of a balancer back."""
        _, _, _, region, account_id, _ = balancer_arn.split(":", 5)

        def work(tx: Tx) -> None:
            shelf = ec2.Shelf(tx, account_id, region)
            for one in _held(shelf, balancer_arn).values():
                ec2.remove_interface(shelf, one)

        await self._store.write(work)
        await self._hold(balancer_arn, frozenset())


def _everybodys(tx: Tx) -> dict[str, frozenset[str]]:
    """The addresses of all balancers' interfaces, of all accounts and regions, by the balancer's ARN."""
    found: dict[str, frozenset[str]] = {}
    for one in _own(interfaces_everywhere(tx)):
        place = f"arn:aws:elasticloadbalancing:{one.region}:{one.account_id}"
        arn = f"{place}:loadbalancer/{one.description.removeprefix('ELB ')}"
        found[arn] = found.get(arn, frozenset()) | {one.address}
    return found


def _held(shelf: ec2.Shelf, balancer_arn: str) -> dict[str, ec2.NetworkInterface]:
    """A balancer's interfaces by subnet."""
    mark, found = description(balancer_arn), shelf.all(ec2.NetworkInterface)
    return {one.subnet_id: one for one in _own(found) if one.description == mark}


def _own(found: Sequence[ec2.NetworkInterface]) -> list[ec2.NetworkInterface]:
    return [one for one in found if one.requester_id == REQUESTER]
