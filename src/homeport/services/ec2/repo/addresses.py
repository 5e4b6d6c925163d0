"""Which addresses of subnets are taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

import msgspec
from sqlalchemy import delete, func, select

from homeport.services.ec2.errors import Ec2Error, invalid
from homeport.services.ec2.model import Subnet
from homeport.services.ec2.plan.addresses import next_free
from homeport.services.ec2.plan.cidrs import usable
from homeport.services.ec2.repo.shelf import Shelf
from homeport.services.ec2.repo.tables import addresses

_A = addresses.c
_WINDOW = 512
_MANY = 500


class AddressBook:
    """Claims are guarded twice: by the subnet's version, and by the table's key."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._tx = shelf.tx

    def claim(self, subnet: Subnet, interface_id: str, wanted: str = "") -> str:
        """Take an address, the wanted one or the next.

        Raise AWS's error when it is taken or there is none.
        """
        if wanted:
            number = self._wanted(subnet, wanted)
        else:
            found = next_free(
                subnet.cidr, subnet.next_address, lambda low, high: self._taken(subnet, low, high)
            )
            if found is None:
                raise Ec2Error(
                    "InsufficientFreeAddressesInSubnet",
                    f"insufficient free addresses in subnet '{subnet.resource_id}'",
                )
            number = found
        self._shelf.save(subnet if wanted else msgspec.structs.replace(subnet, next_address=number + 1))
        self._tx.execute(
            addresses.insert().values(subnet_id=subnet.resource_id, address=number, interface_id=interface_id)
        )
        return str(IPv4Address(number))

    def _wanted(self, subnet: Subnet, wanted: str) -> int:
        try:
            number = int(IPv4Address(wanted))
        except ValueError:
            raise invalid(f"invalid value for parameter address: {wanted}") from None
        first, last = usable(subnet.cidr)
        if not first - 4 <= number <= last + 1:
            raise invalid("Address does not fall within the subnet's address range")
        if not first <= number <= last:
            raise invalid("Address is in subnet's reserved address range")
        if number in self._taken(subnet, number, number):
            raise Ec2Error("InvalidIPAddress.InUse", f"The address '{wanted}' is in use.")
        return number

    def release(self, subnet_id: str, address: str) -> None:
        """Give an address back; one that is free stays free."""
        number = int(IPv4Address(address))
        self._tx.execute(delete(addresses).where(_A.subnet_id == subnet_id, _A.address == number))

    def taken(self, subnet_ids: Iterable[str]) -> dict[str, int]:
        """How many addresses of these subnets are taken."""
        wanted, found = tuple(subnet_ids), dict[str, int]()
        for start in range(0, len(wanted), _MANY):
            query = select(_A.subnet_id, func.count()).group_by(_A.subnet_id)
            rows = self._tx.execute(query.where(_A.subnet_id.in_(wanted[start : start + _MANY])))
            found |= {row[0]: row[1] for row in rows}
        return found

    def _taken(self, subnet: Subnet, low: int, high: int) -> Iterator[int]:
        query = select(_A.address).where(_A.subnet_id == subnet.resource_id, _A.address <= high)
        while True:
            some = [
                row[0]
                for row in self._tx.execute(
                    query.where(_A.address >= low).order_by(_A.address).limit(_WINDOW)
                )
            ]
            yield from some
            if len(some) < _WINDOW:
                return
            low = some[-1] + 1
