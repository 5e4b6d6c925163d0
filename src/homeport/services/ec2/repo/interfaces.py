"""Network interfaces: an address taken and given back with them."""

from __future__ import annotations

from collections.abc import Sequence

from homeport.core.ids import Ids
from homeport.services.ec2.errors import Ec2Error, not_found
from homeport.services.ec2.model import Attachment, NetworkInterface, SecurityGroup, Subnet, Vpc
from homeport.services.ec2.repo.addresses import AddressBook
from homeport.services.ec2.repo.everywhere import claim_range
from homeport.services.ec2.repo.networks import fresh_id
from homeport.services.ec2.repo.shelf import Shelf
from homeport.services.ec2.repo.tokens import TokenRepo

GROUPS_MAX = 5
"""Source: VPC user guide, "Amazon VPC quotas": security groups of one interface."""


def groups_for(shelf: Shelf, vpc_id: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """The groups of an interface, the VPC's own by default. Raise for those that are not the VPC's."""
    if not wanted:
        own = [one for one in shelf.all(SecurityGroup, vpc_id=vpc_id) if one.is_default]
        return tuple(one.resource_id for one in own)
    ids = tuple(dict.fromkeys(wanted))
    if len(ids) > GROUPS_MAX:
        raise Ec2Error(
            "SecurityGroupsPerInterfaceLimitExceeded",
            f"The maximum number of security groups per interface is {GROUPS_MAX}.",
        )
    found = shelf.any_of(ids)
    for one in ids:
        group = found.get(one)
        if not isinstance(group, SecurityGroup):
            raise not_found("security-group", one)
        if group.vpc_id != vpc_id:
            raise Ec2Error(
                "InvalidGroup.NotFound",
                f"You have specified two resources that belong to different networks: {one} and {vpc_id}.",
            )
    return ids


def add_interface(  # noqa: PLR0913 - what an interface is made of
    shelf: Shelf,
    ids: Ids,
    subnet: Subnet,
    *,
    groups: Sequence[str] = (),
    description: str = "",
    tags: dict[str, str] | None = None,
    address: str = "",
    requester_id: str = "",
    is_public: bool = False,
    attachment: Attachment | None = None,
) -> NetworkInterface:
    """An interface with an address of the subnet. Raise AWS's error when that cannot be."""
    interface_id = fresh_id(ids, "eni")
    claim_range(shelf.tx, shelf.get(Vpc, subnet.vpc_id))
    guards = groups_for(shelf, subnet.vpc_id, groups)  # before an address is taken: who is refused took none
    return shelf.add(
        NetworkInterface(
            account_id=shelf.account_id,
            region=shelf.region,
            resource_id=interface_id,
            vpc_id=subnet.vpc_id,
            subnet_id=subnet.resource_id,
            zone=subnet.zone,
            address=AddressBook(shelf).claim(subnet, interface_id, address),
            mac="0e:" + ids.token(5).hex(":"),
            description=description,
            groups=guards,
            requester_id=requester_id,
            is_public=is_public,
            attachment=attachment,
            tags=tags or {},
        )
    )


def remove_interface(shelf: Shelf, interface: NetworkInterface) -> None:
    """Its address is free again."""
    shelf.delete(interface)
    AddressBook(shelf).release(interface.subnet_id, interface.address)
    TokenRepo(shelf).forget(interface.resource_id)


def vpc_of(shelf: Shelf, interface_id: str, instance_id: str) -> str:
    """The VPC of an interface, or without one of an instance's own. Empty: it is not there."""
    if interface_id:
        found = shelf.find(NetworkInterface, interface_id)
    else:
        held = ((one.attachment, one) for one in shelf.all(NetworkInterface))
        mine = (one for by, one in held if by and by.instance_id == instance_id and by.device_index == 0)
        found = next(mine, None)
    return "" if found is None else found.vpc_id
