"""Filters, tags and rules as requests spell them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.services.ec2.errors import Ec2Error
from homeport.services.ec2.plan.filters import pattern, predicate
from homeport.services.ec2.plan.permissions import RULES_MAX, asked, asked_rule, check_new, ports_of, spelt
from homeport.services.ec2.plan.tags import specified, tags_of
from tests.unit.ec2.test_effective_rules import rule

FIELDS = {"name": lambda one: (one["name"],), "ports": lambda one: map(str, one["ports"])}


def code(work: Any) -> str:
    with pytest.raises(Ec2Error) as caught:
        work()
    return str(caught.value.code)


@pytest.mark.parametrize(
    ("value", "text", "matches"),
    [
        ("web", "web", True),
        ("web", "Web", False),
        ("web", "web1", False),
        ("web*", "web1", True),
        ("*", "", True),
        ("w?b", "web", True),
        ("w?b", "wb", False),
        (r"w\?b", "w?b", True),
        (r"w\?b", "web", False),
        (r"\*amazon\?\\", "*amazon?\\", True),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
    ],
)
def test_wildcards_are_stars_and_question_marks(value: str, text: str, *, matches: bool) -> None:
    """Source: EC2 user guide, "Filter resources"."""
    assert bool(pattern(value).fullmatch(text)) == matches


@given(st.text())
def test_a_text_with_its_wildcards_taken_away_matches_only_itself(text: str) -> None:
    assert pattern(re.sub(r"([\\*?])", r"\\\1", text)).fullmatch(text)


def test_values_are_alternatives_and_filters_must_all_hold() -> None:
    def passes(*filters: tuple[str, list[str]]) -> list[str]:
        items = [
            {"name": "a", "ports": [1, 2], "tags": {"env": "prod"}},
            {"name": "b", "ports": [2], "tags": {}},
        ]
        given = [{"Name": name, "Values": values} for name, values in filters]
        test = predicate(given, FIELDS, tags=lambda one: one["tags"])
        return [str(one["name"]) for one in items if test(one)]

    assert passes() == ["a", "b"]
    assert passes(("name", ["a", "b"])) == ["a", "b"]
    assert passes(("name", ["a"]), ("ports", ["2"])) == ["a"]
    assert passes(("name", ["b"]), ("ports", ["1"])) == []
    assert passes(("tag:env", ["pro*"])) == ["a"]
    assert passes(("tag-key", ["env"])) == ["a"]
    assert passes(("tag:none", ["*"])) == []
    assert code(lambda: passes(("nonsense", ["x"]))) == "InvalidParameterValue"
    assert code(lambda: passes(("name", []))) == "InvalidParameterValue"
    assert code(lambda: passes(("name", ["x"] * 201))) == "FilterLimitExceeded"


def permission(**changes: Any) -> dict[str, Any]:
    one = {
        "IpProtocol": "tcp",
        "FromPort": 22,
        "ToPort": 22,
        "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
        **changes,
    }
    return {"IpPermissions": [{name: value for name, value in one.items() if value is not None}]}


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (permission(), "peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW"),
        (permission(IpProtocol="6"), "peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW"),
        (permission(IpProtocol="UDP"), "peer: 0.0.0.0/0, UDP, from port: 22, to port: 22, ALLOW"),
        (permission(IpProtocol="-1"), "peer: 0.0.0.0/0, ALL, ALLOW"),
        (permission(IpProtocol="all"), "peer: 0.0.0.0/0, ALL, ALLOW"),
        (permission(IpProtocol="50"), "peer: 0.0.0.0/0, protocol: 50, ALLOW"),
        (
            permission(IpRanges=[], UserIdGroupPairs=[{"GroupId": "sg-1"}]),
            "peer: sg-1, TCP, from port: 22, to port: 22, ALLOW",
        ),
    ],
)
def test_a_rule_is_spelt_as_was_seen(request_: dict[str, Any], text: str) -> None:
    """Sources: ansible/ansible-modules-core 3258, lucidsoftware/cumulus 101, galaxyproject/cloudlaunch 56."""
    (one,) = asked(request_)
    assert spelt(one) == text


def test_one_permission_with_three_peers_is_three_rules() -> None:
    found = asked(
        permission(
            IpRanges=[{"CidrIp": "10.0.0.0/8", "Description": "home"}, {"CidrIp": "192.0.2.0/24"}],
            Ipv6Ranges=[{"CidrIpv6": "::/0"}],
        )
    )
    assert [(one.peer.cidr4, one.peer.cidr6, one.description) for one in found] == [
        ("10.0.0.0/8", "", "home"),
        ("192.0.2.0/24", "", ""),
        ("", "::/0", ""),
    ]


def test_flat_members_are_a_permission_too() -> None:
    flat = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}
    assert asked(flat) == asked(permission())
    (by_name,) = asked({"SourceSecurityGroupName": "web"})
    assert (by_name.protocol, by_name.peer.group_name) == ("-1", "web")
    assert code(lambda: asked({**flat, **permission()})) == "InvalidParameterCombination"


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"FromPort": None}, "InvalidParameterValue"),
        ({"ToPort": None}, "InvalidParameterValue"),
        ({"FromPort": -1, "ToPort": -1}, "InvalidParameterValue"),
        ({"FromPort": 23}, "InvalidParameterValue"),
        ({"ToPort": 65536}, "InvalidParameterValue"),
        ({"IpProtocol": "sctp"}, "InvalidPermission.Malformed"),
        ({"IpProtocol": "256"}, "InvalidPermission.Malformed"),
        ({"IpProtocol": None}, "InvalidParameterValue"),
        ({"IpProtocol": "icmp", "FromPort": 256, "ToPort": -1}, "InvalidParameterValue"),
        ({"IpProtocol": "icmp", "FromPort": -1, "ToPort": 0}, "InvalidParameterValue"),
        ({"IpProtocol": "icmp", "FromPort": None}, "InvalidParameterValue"),
        ({"IpRanges": []}, "InvalidParameterValue"),
        ({"IpRanges": [{"CidrIp": "10.0.0.1"}]}, "InvalidParameterValue"),
        ({"IpRanges": [{"CidrIp": "::/0"}]}, "InvalidParameterValue"),
        ({"IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "ö"}]}, "InvalidParameterValue"),
        ({"IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "x" * 256}]}, "InvalidParameterValue"),
        ({"IpRanges": [{"CidrIp": "10.0.0.1/8"}, {"CidrIp": "10.0.0.2/8"}]}, "InvalidParameterValue"),
        ({"UserIdGroupPairs": [{}]}, "MissingParameter"),
        ({"PrefixListIds": [{"PrefixListId": "pl-1"}]}, "UnsupportedOperation"),
        (
            {"UserIdGroupPairs": [{"GroupId": "sg-1", "VpcPeeringConnectionId": "pcx-1"}]},
            "UnsupportedOperation",
        ),
    ],
)
def test_a_rule_that_cannot_be_is_refused(changes: dict[str, Any], wanted: str) -> None:
    assert code(lambda: asked(permission(**changes))) == wanted


def test_all_protocols_have_all_ports_whatever_is_asked() -> None:
    """Source: API Reference, IpPermission."""
    assert ports_of("-1", 22, 22) == ports_of("50", 1, 2) == (None, None)
    assert ports_of("icmpv6", None, None) == (-1, -1)
    assert ports_of("icmp", 8, None) == (8, -1)


def test_a_rule_is_not_added_twice_and_a_group_has_sixty() -> None:
    (new,) = asked(permission())
    there = rule("sg-1", ("tcp", 22, 22, "0.0.0.0/0"), is_egress=False)
    with pytest.raises(Ec2Error) as caught:
        check_new([new], [there])
    assert caught.value.code == "InvalidPermission.Duplicate"
    assert caught.value.message == f'the specified rule "{spelt(new)}" already exists'
    full = [
        rule("sg-1", ("tcp", port, port, "0.0.0.0/0"), is_egress=False)
        for port in range(100, 100 + RULES_MAX)
    ]
    check_new([new], full[1:])
    assert code(lambda: check_new([new], full)) == "RulesPerSecurityGroupLimitExceeded"


def test_a_changed_rule_has_one_peer() -> None:
    tcp = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2}
    assert asked_rule({**tcp, "CidrIpv4": "10.0.0.1/8"}).peer.cidr4 == "10.0.0.0/8"
    assert code(lambda: asked_rule(tcp)) == "MissingParameter"
    both = {**tcp, "CidrIpv4": "10.0.0.0/8", "ReferencedGroupId": "sg-1"}
    assert code(lambda: asked_rule(both)) == "InvalidParameterCombination"
    assert code(lambda: asked_rule({**tcp, "PrefixListId": "pl-1"})) == "UnsupportedOperation"


def tag(key: str, value: str = "") -> dict[str, str]:
    return {"Key": key, "Value": value}


def test_tags_are_laid_over_older_ones() -> None:
    assert tags_of([tag("a", "2"), tag("b")], {"a": "1", "c": "3"}) == {"a": "2", "b": "", "c": "3"}


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ([tag("aws:x")], "InvalidParameterValue"),
        ([tag("")], "InvalidParameterValue"),
        ([tag("x" * 128)], "InvalidParameterValue"),
        ([tag("x", "y" * 257)], "InvalidParameterValue"),
        ([tag("x"), tag("x", "2")], "InvalidParameterValue"),
        ([tag(str(number)) for number in range(51)], "TagLimitExceeded"),
    ],
)
def test_a_tag_that_may_not_be_is_refused(tags: list[dict[str, str]], wanted: str) -> None:
    assert code(lambda: tags_of(tags)) == wanted


def test_only_what_is_made_can_be_tagged_with_it() -> None:
    given = {"TagSpecifications": [{"ResourceType": "vpc", "Tags": [tag("a", "1")]}]}
    assert specified(given, "vpc") == {"a": "1"}
    assert code(lambda: specified(given, "subnet")) == "InvalidParameterValue"
