"""Which ranges VPCs may have on one machine."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.services.ec2.errors import Ec2Error
from homeport.services.ec2.model import Vpc
from homeport.services.ec2.plan.ranges import check_range, default_range, standing

NETWORKS = st.tuples(st.sampled_from(["10", "172", "192"]), st.integers(0, 255), st.integers(9, 28)).map(
    lambda parts: str(IPv4Network(f"{parts[0]}.{parts[1]}.0.0/{parts[2]}", strict=False))
)


def overlaps(cidr: str, others: list[str]) -> bool:
    return any(IPv4Network(cidr).overlaps(IPv4Network(one)) for one in others)


def lies_in(cidr: str, others: list[str]) -> bool:
    return any(IPv4Network(cidr).subnet_of(IPv4Network(one)) for one in others)


@given(st.lists(NETWORKS, max_size=12), st.data())
def test_of_vpcs_that_overlap_the_one_with_addresses_in_use_stands(
    cidrs: list[str], data: st.DataObject
) -> None:
    vpcs = [
        Vpc(account_id="0", region="r", resource_id=f"vpc-{n}", cidr=one, association_id="")
        for n, one in enumerate(cidrs)
    ]
    held: list[Vpc] = []
    for one in data.draw(st.permutations(vpcs)):
        if not overlaps(one.cidr, [other.cidr for other in held]) and data.draw(st.booleans()):
            held.append(one)
    found = standing(vpcs, {one.resource_id for one in held})
    assert all(one in found for one in held)
    for one in vpcs:
        others = [other.cidr for other in found if other != one]
        assert overlaps(one.cidr, others) is (one not in found)


@given(NETWORKS, st.lists(NETWORKS), st.lists(NETWORKS), st.lists(NETWORKS))
def test_a_range_is_refused_exactly_when_somebody_has_a_part_of_it(
    cidr: str, vpcs: list[str], kept: list[str], routed: list[str]
) -> None:
    foreign = [one for one in routed if not lies_in(one, vpcs)]
    taken = overlaps(cidr, [*kept, *foreign])
    refusal = ""
    try:
        check_range(cidr, vpcs, kept, routed)
    except Ec2Error as error:
        refusal = error.message
    assert (cidr in refusal) is taken


@given(st.lists(NETWORKS, max_size=20), st.lists(NETWORKS, max_size=5))
def test_a_default_range_overlaps_nothing(vpcs: list[str], routed: list[str]) -> None:
    found = ""
    with contextlib.suppress(Ec2Error):
        found = default_range("", vpcs, (), routed)
    assert not found or not overlaps(found, [*vpcs, *routed])
    assert found or overlaps("10.254.0.0/16", [*vpcs, *routed])


def test_the_range_that_is_kept_for_a_default_network_is_its_own() -> None:
    home = "10.31.0.0/16"
    assert default_range(home, (), (home,), (home,)) == home
    assert default_range("", (), (), ()) == "172.31.0.0/16"
    assert default_range("", (), ("172.31.0.0/16",), ()) == "10.254.0.0/16"


@pytest.mark.parametrize(
    ("kept", "routed", "says"),
    [
        (["10.0.0.0/8"], [], "kept for the default VPC"),
        ([], ["10.1.2.3/32"], "10.1.2.3/32, which this machine routes already"),
    ],
)
def test_a_refusal_says_who_has_it(kept: list[str], routed: list[str], says: str) -> None:
    with pytest.raises(Ec2Error, match="choose another range") as refused:
        check_range("10.1.0.0/16", (), kept, routed)
    assert says in refused.value.message
