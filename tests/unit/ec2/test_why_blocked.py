"""What is told about a flow that does not begin: nothing when it does, and else what lets it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.services.ec2.model import Rule
from homeport.services.ec2.plan.effective_rules import TCP, Flow, admits, effective_rules
from homeport.services.ec2.plan.why_blocked import End, Guard, why_blocked

BALANCER = End(name="load balancer web", address="10.0.0.9", vpc_id="vpc-1", groups=("sg-lb",))
INSTANCE = End(name="instance i-1", address="10.0.1.4", vpc_id="vpc-1", groups=("sg-host",))
NAMES = {"sg-lb": "web-lb", "sg-host": "hosts"}
MEMBERS = {"sg-lb": {BALANCER.address}, "sg-host": {INSTANCE.address}}


def rule(group: str, first: int, last: int, peer: str, *, egress: bool = False) -> Rule:
    return Rule(
        account_id="0", region="r", resource_id="sgr-1", group_id=group, is_egress=egress, protocol="tcp",
        from_port=first, to_port=last, cidr4=peer if "/" in peer else "",
        peer_group_id="" if "/" in peer else peer,
    )  # fmt: skip


def guard(*rules: Rule) -> Guard:
    return Guard(rules=rules, members=MEMBERS, names=NAMES)


OUT = rule("sg-lb", 0, 65535, "0.0.0.0/0", egress=True)
PORTS = st.sampled_from([22, 80, 8080, 49153, 50000, 65535])
RULES = st.lists(
    st.builds(
        lambda group, ports, peer, egress: rule(group, min(ports), max(ports), peer, egress=egress),
        st.sampled_from(["sg-lb", "sg-host", "sg-other"]),
        st.tuples(PORTS, PORTS),
        st.sampled_from(["0.0.0.0/0", "10.0.0.0/24", "10.0.1.4/32", "sg-lb", "sg-host", "sg-other"]),
        st.booleans(),
    ),
    max_size=5,
)


@given(RULES, PORTS)
def test_something_is_told_exactly_when_a_group_drops(rules: list[Rule], port: int) -> None:
    out = Flow(egress=True, protocol=TCP, port=port, peer=INSTANCE.address)
    into = Flow(egress=False, protocol=TCP, port=port, peer=BALANCER.address)
    passes = admits(effective_rules(BALANCER.groups, rules), out, MEMBERS) and admits(
        effective_rules(INSTANCE.groups, rules), into, MEMBERS
    )
    assert (why_blocked(guard(*rules), BALANCER, INSTANCE, port=port) == ()) is passes


@given(RULES, PORTS)
def test_the_commands_that_are_told_are_enough(rules: list[Rule], port: int) -> None:
    told = why_blocked(guard(*rules), BALANCER, INSTANCE, port=port)
    added = [typed(one.command) for one in told]
    assert why_blocked(guard(*rules, *added), BALANCER, INSTANCE, port=port) == ()


def typed(command: str) -> Rule:
    """What a command of ours adds."""
    group = re.search(r"--group-id (\S+)", command)
    assert group is not None
    if "authorize-security-group-egress" in command:
        said = re.search(r"FromPort=(\d+),ToPort=(\d+),UserIdGroupPairs=\[\{GroupId=(\S+?)\}\]", command)
        assert said is not None
        return rule(group[1], int(said[1]), int(said[2]), said[3], egress=True)
    said = re.search(r"--protocol tcp --port (\d+)(?:-(\d+))? --source-group (\S+)", command)
    assert said is not None
    return rule(group[1], int(said[1]), int(said[2] or said[1]), said[3])


def test_the_classic_lesson_is_told_with_the_ephemeral_ports() -> None:
    (one,) = why_blocked(guard(OUT), BALANCER, INSTANCE, port=49160)
    assert one.text == (
        "security group sg-host (hosts) of instance i-1 lets no tcp 49160 in from load balancer web "
        "(security group sg-lb (web-lb))"
    )
    assert one.command == (
        "aws ec2 authorize-security-group-ingress --group-id sg-host --protocol tcp "
        "--port 49153-65535 --source-group sg-lb"
    )
    (one,) = why_blocked(guard(OUT), BALANCER, INSTANCE, port=80)
    assert "--port 80 --source-group sg-lb" in one.command


def test_who_has_no_groups_is_named_by_its_address() -> None:
    free = replace(BALANCER, groups=())
    (one,) = why_blocked(guard(), free, INSTANCE, port=80)
    assert one.command.endswith("--port 80 --cidr 10.0.0.9/32")
    assert why_blocked(guard(), free, replace(INSTANCE, groups=()), port=80) == ()


def test_one_of_two_groups_is_enough_and_both_are_named() -> None:
    two = replace(INSTANCE, groups=("sg-host", "sg-second"))
    assert why_blocked(guard(OUT, rule("sg-second", 80, 80, "sg-lb")), BALANCER, two, port=80) == ()
    (one,) = why_blocked(guard(OUT), BALANCER, two, port=80)
    assert one.text.startswith("none of the security groups sg-host (hosts), sg-second of instance i-1 lets")


@pytest.mark.parametrize("rules", [(), (OUT, rule("sg-host", 0, 65535, "0.0.0.0/0"))])
def test_no_rule_leads_into_another_vpc(rules: tuple[Rule, ...]) -> None:
    (one,) = why_blocked(guard(*rules), BALANCER, replace(INSTANCE, vpc_id="vpc-2"), port=80)
    assert one.command == ""
    assert "vpc-2" in one.text
