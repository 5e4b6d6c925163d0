"""Security groups decide as the truth table says, and the least list decides as all rules do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.services.ec2.model import Rule
from homeport.services.ec2.plan.effective_rules import (
    ANY,
    ICMP,
    TCP,
    UDP,
    EffectiveRules,
    Flow,
    admits,
    covers,
    effective_rules,
)
from tests.kit.security_groups import CLIENT, OTHER, SERVER, TRUTH, Case, RuleText

NUMBERS = {"tcp": TCP, "udp": UDP, "icmp": ICMP}


def rule(group: str, text: RuleText, *, is_egress: bool) -> Rule:
    protocol, low, high, peer = text
    return Rule(
        account_id="000000000000", region="us-east-1", resource_id="sgr-1", vpc_id="vpc-1",
        group_id=group, is_egress=is_egress, protocol=protocol, from_port=low, to_port=high,
        peer_group_id=peer if peer.startswith("sg-") else "",
        cidr4=peer if "." in peer else "", cidr6=peer if ":" in peer else "",
    )  # fmt: skip


def rules_of(case: Case) -> Iterator[Rule]:
    listed = (
        ("sg-server", case.server_in, False),
        ("sg-server", case.server_out, True),
        ("sg-client", case.client_in, False),
        ("sg-client", case.client_out, True),
        ("sg-second", case.second_in, False),
    )
    for group, texts, is_egress in listed:
        yield from (rule(group, text, is_egress=is_egress) for text in texts)


def members_of(case: Case) -> dict[str, set[str]]:
    members: dict[str, set[str]] = {}
    for address, groups in (
        (CLIENT, case.client_groups), (SERVER, case.server_groups), (OTHER, case.other_groups),
    ):  # fmt: skip
        for group in groups:
            members.setdefault(group, set()).add(address)
    return members


@pytest.mark.parametrize("case", TRUTH, ids=lambda case: case.name.replace(" ", "-"))
def test_a_flow_begins_exactly_when_both_ends_allow_it(case: Case) -> None:
    rules, members = tuple(rules_of(case)), members_of(case)
    flow = Flow(egress=True, protocol=NUMBERS[case.protocol], port=case.port, code=case.code, peer=SERVER)
    sends = admits(effective_rules(case.client_groups, rules), flow, members)
    arrives = dataclasses.replace(flow, egress=False, peer=CLIENT)
    assert (sends and admits(effective_rules(case.server_groups, rules), arrives, members)) == case.passes


def test_the_table_is_large_and_says_both() -> None:
    assert len(TRUTH) >= 60
    assert len({case.name for case in TRUTH}) == len(TRUTH)
    assert min(sum(case.passes for case in TRUTH), sum(not case.passes for case in TRUTH)) > 25


GROUPS = ("sg-a", "sg-b", "sg-c")
ADDRESSES = ("10.0.0.1", "10.0.0.200", "10.1.0.1", "192.0.2.1")
PEERS = st.sampled_from([*GROUPS, "0.0.0.0/0", "10.0.0.0/16", "10.0.0.0/24", "10.0.0.1/32", "::/0"])


@st.composite
def some_rules(draw: st.DrawFn) -> Rule:
    protocol = draw(st.sampled_from(["-1", "tcp", "udp", "icmp", "50"]))
    low = high = None
    if protocol in ("tcp", "udp"):
        low, high = sorted(draw(st.tuples(*[st.integers(0, 6)] * 2)))
    elif protocol == "icmp":
        low = draw(st.integers(-1, 2))
        high = -1 if low == -1 else draw(st.integers(-1, 2))
    text: RuleText = (protocol, low, high, draw(PEERS))
    return rule(draw(st.sampled_from(GROUPS)), text, is_egress=draw(st.booleans()))


EVERY_FLOW = tuple(
    Flow(egress=egress, protocol=protocol, port=port, code=code, peer=peer)
    for egress in (False, True)
    for peer in ADDRESSES
    for protocol, port, code in (
        *((TCP, port, 0) for port in range(7)),
        *((ICMP, kind, code) for kind in range(3) for code in range(3)),
        (UDP, 3, 0),
        (50, ANY, 0),
        (51, ANY, 0),
    )
)
in_groups = st.dictionaries(st.sampled_from(GROUPS), st.sets(st.sampled_from(ADDRESSES)))


def written_out(one: Rule, flow: Flow, members: dict[str, set[str]]) -> bool:
    """Whether a rule allows a flow: the guide's sentences, one after the other."""
    if one.is_egress != flow.egress:
        return False
    if one.peer_group_id:
        if flow.peer not in members.get(one.peer_group_id, ()):
            return False
    elif ip_address(flow.peer) not in ip_network(one.cidr4 or one.cidr6):
        return False
    if one.protocol == "-1":
        return True
    if NUMBERS.get(one.protocol, 50) != flow.protocol:
        return False
    if one.protocol == "50":
        return True
    assert one.from_port is not None
    assert one.to_port is not None
    if one.protocol == "icmp":
        return one.from_port in (-1, flow.port) and one.to_port in (-1, flow.code)
    return one.from_port <= flow.port <= one.to_port


@given(
    st.lists(some_rules(), min_size=1, max_size=8), st.sets(st.sampled_from(GROUPS), min_size=1), in_groups
)
def test_the_least_list_decides_as_all_rules_of_all_groups(
    rules: list[Rule], groups: set[str], members: dict[str, set[str]]
) -> None:
    found = effective_rules(groups, rules)
    mine = [one for one in rules if one.group_id in groups]
    for flow in EVERY_FLOW:
        assert admits(found, flow, members) == any(written_out(one, flow, members) for one in mine)


@given(st.lists(some_rules(), max_size=12), st.sets(st.sampled_from(GROUPS)))
def test_nothing_in_the_least_list_is_allowed_twice_and_its_order_is_always_the_same(
    rules: list[Rule], groups: set[str]
) -> None:
    found = effective_rules(groups, rules)
    for side in (found.ingress, found.egress):
        assert not any(covers(one, other) for one in side for other in side if one != other)
    assert found == effective_rules(groups, rules[::-1])
    assert found.peer_groups == {one.group_id for one in (*found.ingress, *found.egress)} - {""}


def test_no_groups_and_no_rules_allow_nothing() -> None:
    assert (
        effective_rules((), [rule("sg-a", ("-1", None, None, "0.0.0.0/0"), is_egress=False)])
        == EffectiveRules()
    )


def test_a_rule_without_ports_says_any() -> None:
    (one,) = effective_rules(["sg-a"], [rule("sg-a", ("-1", None, None, "0.0.0.0/0"), is_egress=True)]).egress
    assert (one.protocol, one.low, one.high) == (ANY, ANY, ANY)
