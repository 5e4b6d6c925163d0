"""Addresses of subnets: never one twice, never a reserved one, and all of the others.

Source: VPC user guide, "Subnet sizing": the first four addresses and the last are reserved.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.services.ec2.errors import Ec2Error
from homeport.services.ec2.model import capacity, private_name, zone_id
from homeport.services.ec2.plan.addresses import next_free
from homeport.services.ec2.plan.cidrs import (
    default_ranges,
    free_default_range,
    rule_cidr,
    subnet_range,
    usable,
    vpc_range,
)
from homeport.services.ec2.plan.zones import regions, zone_of_id, zones

RANGES = st.builds(
    lambda number, bits: str(IPv4Network((number, bits), strict=False)),
    st.integers(0, 2**32 - 1),
    st.integers(24, 28),
)


def after(cidr: str, taken: set[int], start: int) -> int | None:
    return next_free(cidr, start, lambda low, high: sorted(one for one in taken if low <= one <= high))


@given(RANGES)
def test_a_subnet_gives_each_of_its_addresses_once_and_then_none(cidr: str) -> None:
    taken: set[int] = set()
    start = 0
    while (found := after(cidr, taken, start)) is not None:
        assert found not in taken
        taken.add(found)
        start = found + 1
    network = IPv4Network(cidr)
    addresses = [int(one) for one in network]
    assert taken == set(addresses[4:-1])
    assert len(taken) == capacity(cidr) == network.num_addresses - 5


@given(RANGES, st.data())
def test_whatever_is_taken_what_comes_next_is_free_and_the_nearest_behind_the_last(
    cidr: str, data: st.DataObject
) -> None:
    first, last = usable(cidr)
    taken = data.draw(st.sets(st.integers(first, last)))
    start = data.draw(st.integers(first - 10, last + 10))
    found = after(cidr, taken, start)
    free = [one for one in range(first, last + 1) if one not in taken]
    behind = [one for one in free if one >= start] if first <= start <= last else free
    assert found == next(iter(behind or free), None)


def test_an_address_given_back_is_the_last_to_be_given_again() -> None:
    first, last = usable("10.0.0.0/28")
    taken = {first}
    start = first + 1
    taken.remove(first)
    order = []
    for _ in range(capacity("10.0.0.0/28")):
        found = after("10.0.0.0/28", taken, start)
        assert found is not None
        taken.add(found)
        order.append(found)
        start = found + 1
    assert order == [*range(first + 1, last + 1), first]


def test_only_as_much_of_what_is_taken_is_read_as_is_needed() -> None:
    read: list[int] = []

    def taken(low: int, high: int):  # type: ignore[no-untyped-def]
        for one in (low, low + 1, low + 3, low + 4):
            read.append(one)
            yield one

    first, _ = usable("10.0.0.0/16")
    assert next_free("10.0.0.0/16", first, taken) == first + 2
    assert read == [first, first + 1, first + 3]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("10.0.0.0", "InvalidParameterValue"),
        ("10.0.0.0/33", "InvalidParameterValue"),
        ("ten", "InvalidParameterValue"),
        ("::/16", "InvalidParameterValue"),
        ("10.0.0.0/15", "InvalidVpc.Range"),
        ("10.0.0.0/29", "InvalidVpc.Range"),
    ],
)
def test_a_vpc_has_a_range_of_its_sizes(text: str, code: str) -> None:
    with pytest.raises(Ec2Error) as caught:
        vpc_range(text)
    assert caught.value.code == code


def test_what_a_range_says_beyond_its_prefix_is_left_out() -> None:
    """Source: API Reference, CreateVpc."""
    assert vpc_range("100.68.0.18/18") == "100.68.0.0/18"
    assert rule_cidr("10.1.2.3/8", 4) == "10.0.0.0/8"
    assert rule_cidr("2001:DB8::1/32", 6) == "2001:db8::/32"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("10.1.0.0/24", "InvalidSubnet.Range"),
        ("10.0.0.0/15", "InvalidSubnet.Range"),
        ("10.0.0.0/29", "InvalidSubnet.Range"),
        ("10.0.1.128/25", "InvalidSubnet.Conflict"),
        ("10.0.0.0/16", "InvalidSubnet.Conflict"),
        ("x/24", "InvalidParameterValue"),
    ],
)
def test_a_subnet_lies_in_its_vpc_and_on_no_other(text: str, code: str) -> None:
    with pytest.raises(Ec2Error) as caught:
        subnet_range(text, "10.0.0.0/16", ["10.0.1.0/24"])
    assert caught.value.code == code
    assert subnet_range("10.0.2.0/24", "10.0.0.0/16", ["10.0.1.0/24"]) == "10.0.2.0/24"


def test_default_subnets_are_the_first_twenties() -> None:
    three = default_ranges("172.31.0.0/16", 3)
    assert three == ("172.31.0.0/20", "172.31.16.0/20", "172.31.32.0/20")
    assert free_default_range("172.31.0.0/16", ["172.31.0.0/20", "172.31.40.0/24"]) == "172.31.16.0/20"
    assert free_default_range("172.31.0.0/16", ["172.31.0.0/16"]) is None


@pytest.mark.parametrize(
    ("zone", "wanted"),
    [
        ("us-east-1a", "use1-az1"),
        ("eu-central-1b", "euc1-az2"),
        ("ap-southeast-2c", "apse2-az3"),
        ("ap-northeast-1a", "apne1-az1"),
        ("sa-east-1a", "sae1-az1"),
    ],
)
def test_a_zone_has_the_id_of_its_place(zone: str, wanted: str) -> None:
    """Source: RAM user guide, "Availability Zone IDs for your resources"."""
    assert zone_id(zone) == wanted
    assert zone_of_id(zone[:-1], wanted) == zone
    assert zone in zones(zone[:-1])


def test_a_region_of_ones_own_is_listed_too() -> None:
    assert "moon-1" in regions("moon-1")
    assert len(set(map(zone_id, (zone for name in regions("us-east-1") for zone in zones(name))))) == 3 * 17


def test_names_of_addresses_are_awss() -> None:
    """Source: VPC user guide, "DNS hostnames"."""
    assert private_name("10.0.0.4", "us-east-1") == "ip-10-0-0-4.ec2.internal"
    assert private_name("10.0.0.4", "eu-west-1") == "ip-10-0-0-4.eu-west-1.compute.internal"
    assert str(IPv4Address(usable("10.0.0.0/24")[0])) == "10.0.0.4"
