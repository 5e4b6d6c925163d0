"""Which ranges VPCs may have on one machine."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.services.ec2.errors import Ec2Error
from homeport.services.ec2.plan.ranges import check_range, default_range

NETWORKS = st.tuples(st.sampled_from(["10", "172", "192"]), st.integers(0, 255), st.integers(9, 28)).map(
    lambda parts: str(IPv4Network(f"{parts[0]}.{parts[1]}.0.0/{parts[2]}", strict=False))
)


def overlaps(cidr: str, others: list[str]) -> bool:
    return any(IPv4Network(cidr).overlaps(IPv4Network(one)) for one in others)


@given(NETWORKS, st.lists(NETWORKS), st.lists(NETWORKS), st.lists(NETWORKS))
def test_a_range_is_refused_exactly_when_somebody_has_a_part_of_it(
    cidr: str, vpcs: list[str], kept: list[str], routed: list[str]
) -> None:
    taken = overlaps(cidr, [*vpcs, *kept, *routed])
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
    ("vpcs", "kept", "routed", "says"),
    [
        (["10.1.0.0/16"], [], [], "the VPC with the range 10.1.0.0/16"),
        ([], ["10.0.0.0/8"], [], "kept for the default VPC"),
        ([], [], ["10.1.2.3/32"], "10.1.2.3/32, which this machine routes already"),
    ],
)
def test_a_refusal_says_who_has_it(vpcs: list[str], kept: list[str], routed: list[str], says: str) -> None:
    with pytest.raises(Ec2Error, match="choose another range") as refused:
        check_range("10.1.0.0/16", vpcs, kept, routed)
    assert says in refused.value.message
