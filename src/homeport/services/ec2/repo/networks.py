"""VPCs with all that comes with them, and the network that every account begins with."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from sqlalchemy import select

from homeport.core.ids import Ids
from homeport.services.ec2.model import (
    Association,
    InternetGateway,
    NetworkAcl,
    Opened,
    Route,
    RouteTable,
    Rule,
    SecurityGroup,
    Subnet,
    Vpc,
)
from homeport.services.ec2.plan.cidrs import default_ranges
from homeport.services.ec2.plan.ranges import default_range
from homeport.services.ec2.plan.zones import zones
from homeport.services.ec2.repo.shelf import OPENED, Shelf
from homeport.services.ec2.repo.tables import resources

EVERYWHERE = "0.0.0.0/0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """What was known of this machine's ranges when the transaction began, as `ports.Ground` tells it."""

    home: str = ""
    kept: tuple[str, ...] = ()
    routed: tuple[str, ...] = ()


def fresh_id(ids: Ids, prefix: str) -> str:
    """`vpc-` and 17 hex digits, the first 0, as AWS's are."""
    return f"{prefix}-0{ids.token(8).hex()}"


def open_account(shelf: Shelf, ids: Ids, ranges: Ranges) -> None:
    """Give an account its default network here, once in its life."""
    if shelf.is_open():
        return
    opened = Opened(account_id=shelf.account_id, region=shelf.region, resource_id=OPENED)
    shelf.add(opened)
    add_default_network(shelf, ids, ranges)


def add_default_network(shelf: Shelf, ids: Ids, ranges: Ranges) -> Vpc:
    """A default VPC with a subnet in each zone and a way out. Source: VPC user guide, "Default VPCs"."""
    wanted = default_range(ranges.home, all_ranges(shelf), ranges.kept, ranges.routed)
    vpc = add_vpc(shelf, ids, cidr=wanted, is_default=True, tags={})
    here = zones(shelf.region)
    for zone, cidr in zip(here, default_ranges(vpc.cidr, len(here)), strict=True):
        add_subnet(shelf, ids, vpc, cidr=cidr, zone=zone, is_default=True, tags={})
    gateway = shelf.add(
        InternetGateway(
            account_id=shelf.account_id,
            region=shelf.region,
            resource_id=fresh_id(ids, "igw"),
            vpc_id=vpc.resource_id,
        )
    )
    (main,) = shelf.all(RouteTable, vpc_id=vpc.resource_id)
    way_out = Route(destination=EVERYWHERE, gateway_id=gateway.resource_id)
    shelf.save(msgspec.structs.replace(main, routes=(way_out,)))
    return vpc


def add_vpc(shelf: Shelf, ids: Ids, *, cidr: str, is_default: bool, tags: dict[str, str]) -> Vpc:
    """A VPC with its main route table, its ACL and its default security group.

    Source: VPC user guide, "Default security groups": whoever is in it may come in, all may go out.
    """
    account_id, region = shelf.account_id, shelf.region
    vpc = shelf.add(
        Vpc(
            account_id=account_id,
            region=region,
            resource_id=fresh_id(ids, "vpc"),
            cidr=cidr,
            is_default=is_default,
            dns_hostnames=is_default,
            association_id=fresh_id(ids, "vpc-cidr-assoc"),
            tags=tags,
        )
    )
    vpc_id = vpc.resource_id
    shelf.add(
        RouteTable(
            account_id=account_id,
            region=region,
            resource_id=fresh_id(ids, "rtb"),
            vpc_id=vpc_id,
            associations=(Association(association_id=fresh_id(ids, "rtbassoc")),),
        )
    )
    shelf.add(
        NetworkAcl(account_id=account_id, region=region, resource_id=fresh_id(ids, "acl"), vpc_id=vpc_id)
    )
    group = add_group(
        shelf, ids, vpc_id=vpc_id, name="default", description="default VPC security group", tags={}
    )
    shelf.add(
        Rule(
            account_id=account_id,
            region=region,
            resource_id=fresh_id(ids, "sgr"),
            vpc_id=vpc_id,
            group_id=group.resource_id,
            is_egress=False,
            protocol="-1",
            peer_group_id=group.resource_id,
        )
    )
    return vpc


def add_group(
    shelf: Shelf, ids: Ids, *, vpc_id: str, name: str, description: str, tags: dict[str, str]
) -> SecurityGroup:
    """A security group that lets everything out and nothing in."""
    group = shelf.add(
        SecurityGroup(
            account_id=shelf.account_id,
            region=shelf.region,
            resource_id=fresh_id(ids, "sg"),
            vpc_id=vpc_id,
            name=name,
            description=description,
            tags=tags,
        )
    )
    shelf.add(
        Rule(
            account_id=shelf.account_id,
            region=shelf.region,
            resource_id=fresh_id(ids, "sgr"),
            vpc_id=vpc_id,
            group_id=group.resource_id,
            is_egress=True,
            protocol="-1",
            cidr4=EVERYWHERE,
        )
    )
    return group


def all_ranges(shelf: Shelf) -> tuple[str, ...]:
    """The ranges of all VPCs, of all accounts and regions: they are on one machine."""
    rows = shelf.tx.execute(
        select(resources.c.body).where(resources.c.kind == Vpc.type).order_by(resources.c.id)
    )
    return tuple(row[0].cidr for row in rows)


def add_subnet(
    shelf: Shelf, ids: Ids, vpc: Vpc, *, cidr: str, zone: str, is_default: bool, tags: dict[str, str]
) -> Subnet:
    """A subnet. Default ones give public addresses by themselves."""
    return shelf.add(
        Subnet(
            account_id=shelf.account_id,
            region=shelf.region,
            resource_id=fresh_id(ids, "subnet"),
            vpc_id=vpc.resource_id,
            cidr=cidr,
            zone=zone,
            is_default=is_default,
            public_by_default=is_default,
            acl_association_id=fresh_id(ids, "aclassoc"),
            tags=tags,
        )
    )
