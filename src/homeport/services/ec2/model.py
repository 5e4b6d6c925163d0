"""EC2's nouns: what a virtual network is made of."""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv4Network
from typing import ClassVar

import msgspec


class Resource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Anything with an id. `type` is AWS's word for it in ARNs and in DescribeTags."""

    type: ClassVar[str] = ""

    id: int = 0
    version: int = 1
    account_id: str
    region: str
    resource_id: str
    vpc_id: str = ""
    tags: dict[str, str] = {}

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:ec2:{self.region}:{self.account_id}:{self.type}/{self.resource_id}"

    @property
    def parent_id(self) -> str:
        """What it lies in, beyond its VPC."""
        return ""


class Opened(Resource, frozen=True, kw_only=True, tag="opened"):
    """An account has its default network in a region, or had it and deleted it."""

    type = "opened"


class Vpc(Resource, frozen=True, kw_only=True, tag="vpc"):
    """A network of its own. `vpc_id` stays empty: it lies in none."""

    type = "vpc"
    cidr: str
    is_default: bool = False
    dns_support: bool = True
    dns_hostnames: bool = False
    association_id: str


class NetworkAcl(Resource, frozen=True, kw_only=True, tag="network-acl"):
    """A VPC's own ACL, which lets everything through; there are no others."""

    type = "network-acl"


class Subnet(Resource, frozen=True, kw_only=True, tag="subnet"):
    """A part of a VPC in one zone. `next_address`: where the search for a free one goes on, as a number."""

    type = "subnet"
    cidr: str
    zone: str
    is_default: bool = False
    public_by_default: bool = False
    acl_association_id: str
    next_address: int = 0


class SecurityGroup(Resource, frozen=True, kw_only=True, tag="security-group"):
    """Rules are rows of their own."""

    type = "security-group"
    name: str
    description: str

    @property
    def is_default(self) -> bool:
        """Whether it is its VPC's own."""
        return self.name == "default"


class Rule(Resource, frozen=True, kw_only=True, tag="security-group-rule"):
    """What a group lets through, to or from one peer.

    `protocol` is `tcp`, `udp`, `icmp`, `icmpv6`, another IANA number, or `-1` for all. Without ports it is
    all of them; for ICMP they are type and code, -1 being all.
    """

    type = "security-group-rule"
    group_id: str
    is_egress: bool
    protocol: str
    from_port: int | None = None
    to_port: int | None = None
    cidr4: str = ""
    cidr6: str = ""
    peer_group_id: str = ""
    description: str = ""

    @property
    def parent_id(self) -> str:
        """Its group."""
        return self.group_id


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Packets for `destination` go to an internet gateway. The VPC's own range is not written down."""

    destination: str
    gateway_id: str


class Association(msgspec.Struct, frozen=True, kw_only=True):
    """A subnet that routes by a table; without a subnet it is the VPC's main association."""

    association_id: str
    subnet_id: str = ""


class RouteTable(Resource, frozen=True, kw_only=True, tag="route-table"):
    """Where packets go that leave a subnet."""

    type = "route-table"
    routes: tuple[Route, ...] = ()
    associations: tuple[Association, ...] = ()

    @property
    def is_main(self) -> bool:
        """Whether subnets without a table of their own use it."""
        return any(not one.subnet_id for one in self.associations)


class InternetGateway(Resource, frozen=True, kw_only=True, tag="internet-gateway"):
    """A VPC's way out; `vpc_id` is empty while it is detached."""

    type = "internet-gateway"


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """Where an interface is plugged in. `instance_id` is empty for what no customer's instance holds."""

    attachment_id: str
    attached_at: datetime
    instance_id: str = ""
    device_index: int = 1


class NetworkInterface(Resource, frozen=True, kw_only=True, tag="network-interface"):
    """An address in a subnet, with security groups.

    `requester_id`: the service whose it is, empty for customers'. `is_public`: whoever is not in the VPC may
    reach it, and does so at its own address: what is outside here is this machine, which routes the VPC.
    """

    type = "network-interface"
    subnet_id: str
    zone: str
    address: str
    mac: str
    description: str = ""
    groups: tuple[str, ...] = ()
    requester_id: str = ""
    is_public: bool = False
    attachment: Attachment | None = None

    @property
    def public_address(self) -> str:
        """What is shown as its public address; empty: it has none."""
        return self.address if self.is_public else ""

    @property
    def parent_id(self) -> str:
        """Its subnet."""
        return self.subnet_id

    @property
    def status(self) -> str:
        """AWS's word."""
        return "in-use" if self.attachment is not None else "available"


class InstanceTags(Resource, frozen=True, kw_only=True, tag="instance"):
    """What EC2 knows of an instance that ECS does not: its tags."""

    type = "instance"


AnyResource = (
    Opened
    | Vpc
    | NetworkAcl
    | Subnet
    | SecurityGroup
    | Rule
    | RouteTable
    | InternetGateway
    | NetworkInterface
    | InstanceTags
)
"""What a row may hold."""

_DIRECTIONS = {
    "northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw",
    "north": "n", "south": "s", "east": "e", "west": "w", "central": "c",
}  # fmt: skip


def zone_id(zone: str) -> str:
    """`use1-az1` of `us-east-1a`."""
    parts = zone[:-1].split("-")
    area, directions, number = parts[0], parts[1:-1], parts[-1]
    short = "".join(_DIRECTIONS.get(word, word[0]) for word in directions)
    return f"{area}{short}{number}-az{ord(zone[-1]) - ord('a') + 1}"


def private_name(address: str, region: str) -> str:
    """The internal DNS name of an address. Source: VPC user guide, "DNS hostnames"."""
    suffix = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
    return f"ip-{address.replace('.', '-')}.{suffix}"


def capacity(cidr: str) -> int:
    """How many interfaces a subnet has addresses for: five are reserved.

    Source: VPC user guide, "Subnet sizing".
    """
    return IPv4Network(cidr).num_addresses - 5
