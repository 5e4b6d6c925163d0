"""Answers to DNS queries, without a socket. Sources: RFC 1034, 1035, 2308, 2782, 6891."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.gateway.dns_answers import Answer, Follow, Forward, is_sound, respond
from homeport.gateway.dns_names import (
    EVERYWHERE,
    NameBook,
    Network,
    Records,
    Zone,
    reverse_name,
    reverse_zones,
)

VPC, OTHER = "vpc-1", "vpc-2"
INSIDE, OUTSIDE = "172.31.0.9", "10.9.0.9"


def book() -> NameBook:
    names = NameBook(home=IPv4Network("172.31.0.0/16"))
    ranges = {VPC: "172.31.0.0/16", OTHER: "10.9.0.0/16"}
    names.set_networks(Network(vpc_id=one, cidr=IPv4Network(cidr)) for one, cidr in ranges.items())
    names.put("lb", EVERYWHERE, [Records(name="web-1.elb.amazonaws.com", type="A", values=("172.31.0.5",))])
    names.put_zones("ns", VPC, [Zone(apex="corp.local", negative_ttl=15)])
    names.put("svc", VPC, [Records(name="api.corp.local", type="A", values=("172.31.1.1",), ttl=10)])
    return names


def ask(
    names: NameBook,
    name: str,
    kind: str = "A",
    *,
    source: str = INSIDE,
    udp: bool = True,
    edns: int | None = None,
) -> dns.message.Message:
    step = step_of(names, name, kind, source=source, udp=udp, edns=edns)
    assert isinstance(step, Answer)
    return dns.message.from_wire(step.wire)


def step_of(
    names: NameBook,
    name: str,
    kind: str = "A",
    *,
    source: str = INSIDE,
    udp: bool = True,
    edns: int | None = None,
) -> object:
    query = dns.message.make_query(name, kind, use_edns=None if edns is None else 0, payload=edns or 1232)
    return respond(names, source, query.to_wire(), over_udp=udp, below=lambda most: most - 1)


def texts(reply: dns.message.Message) -> list[str]:
    return [record.to_text() for one in reply.answer for record in one]


def test_a_balancers_name_leads_to_its_address_for_a_minute() -> None:
    reply = ask(book(), "WEB-1.elb.amazonaws.com")
    assert texts(reply) == ["172.31.0.5"]
    assert reply.answer[0].ttl == 60
    assert reply.flags & dns.flags.AA


def test_a_name_without_that_type_is_there_and_has_nothing() -> None:
    reply = ask(book(), "web-1.elb.amazonaws.com", "AAAA")
    assert reply.rcode() == dns.rcode.NOERROR
    assert reply.answer == []


def test_what_is_missing_in_a_zone_of_ours_does_not_exist_and_nobody_else_is_asked() -> None:
    reply = ask(book(), "nobody.corp.local")
    assert reply.rcode() == dns.rcode.NXDOMAIN
    (soa,) = reply.authority
    assert (soa.name.to_text(), soa.ttl, soa[0].minimum) == ("corp.local.", 15, 15)


def test_a_zone_is_the_business_of_its_own_vpc_only() -> None:
    assert texts(ask(book(), "api.corp.local")) == ["172.31.1.1"]
    assert isinstance(step_of(book(), "api.corp.local", source=OUTSIDE), Forward)


def test_who_is_in_no_vpc_asks_as_one_at_home() -> None:
    assert texts(ask(book(), "api.corp.local", source="127.0.0.1")) == ["172.31.1.1"]
    assert texts(ask(book(), "api.corp.local", source="::1")) == ["172.31.1.1"]


def test_names_that_others_lie_below_exist() -> None:
    names = book()
    names.put("deep", VPC, [Records(name="a.b.corp.local", type="A", values=("1.2.3.4",))])
    assert ask(names, "b.corp.local").rcode() == dns.rcode.NOERROR
    assert ask(names, "corp.local").rcode() == dns.rcode.NOERROR
    names.drop("deep")
    assert ask(names, "b.corp.local").rcode() == dns.rcode.NXDOMAIN


def test_other_names_are_for_the_machines_resolvers() -> None:
    step = step_of(book(), "example.com")
    assert isinstance(step, Forward)
    assert dns.message.from_wire(step.query).question[0].name.to_text() == "example.com."


def test_an_alias_is_followed_here_and_elsewhere() -> None:
    names = book()
    names.put("c1", VPC, [Records(name="x.corp.local", type="CNAME", values=("api.corp.local",))])
    names.put("c2", VPC, [Records(name="y.corp.local", type="CNAME", values=("example.com",))])
    assert texts(ask(names, "x.corp.local")) == ["api.corp.local.", "172.31.1.1"]
    assert texts(ask(names, "x.corp.local", "CNAME")) == ["api.corp.local."]
    follow = step_of(names, "y.corp.local")
    assert isinstance(follow, Follow)
    asked = dns.message.from_wire(follow.question())
    assert asked.question[0].to_text() == "example.com. IN A"
    found = dns.message.make_response(asked)
    found.answer.append(dns.rrset.from_text("example.com.", 30, "IN", "A", "192.0.2.1"))
    whole = dns.message.from_wire(follow.completed(found.to_wire(), most=512).wire)
    assert texts(whole) == ["example.com.", "192.0.2.1"]
    failed = dns.message.from_wire(follow.completed(None, most=512).wire)
    assert failed.rcode() == dns.rcode.SERVFAIL


def test_aliases_in_a_circle_fail() -> None:
    names = book()
    names.put("c1", VPC, [Records(name="x.corp.local", type="CNAME", values=("y.corp.local",))])
    names.put("c2", VPC, [Records(name="y.corp.local", type="CNAME", values=("x.corp.local",))])
    assert ask(names, "x.corp.local").rcode() == dns.rcode.SERVFAIL


def test_a_service_record_brings_its_addresses() -> None:
    names = book()
    names.put(
        "srv",
        VPC,
        [
            Records(name="db.corp.local", type="SRV", values=("1 1 5432 i1.db.corp.local",)),
            Records(name="i1.db.corp.local", type="A", values=("172.31.2.2",)),
        ],
    )
    reply = ask(names, "db.corp.local", "SRV")
    assert texts(reply) == ["1 1 5432 i1.db.corp.local."]
    assert [one.to_text() for one in reply.additional] == ["i1.db.corp.local. 60 IN A 172.31.2.2"]


def test_owners_of_one_name_add_up_and_take_back_only_their_own() -> None:
    names = book()
    names.put("more", VPC, [Records(name="api.corp.local", type="A", values=("172.31.1.2",))])
    assert sorted(texts(ask(names, "api.corp.local"))) == ["172.31.1.1", "172.31.1.2"]
    names.drop("svc")
    assert texts(ask(names, "api.corp.local")) == ["172.31.1.2"]


@given(st.integers(1, 60), st.integers(1, 8), st.data())
def test_some_of_many_values_are_told_each_in_its_turn(count: int, most: int, data: st.DataObject) -> None:
    names = book()
    values = tuple(str(IPv4Address(0x0A000001 + number)) for number in range(count))
    names.put("svc", VPC, [Records(name="api.corp.local", type="A", values=values, answers_most=most)])
    query = dns.message.make_query("api.corp.local", "A").to_wire()

    def below(limit: int) -> int:
        return data.draw(st.integers(0, limit - 1))

    step = respond(names, INSIDE, query, over_udp=False, below=below)
    assert isinstance(step, Answer)
    found = texts(dns.message.from_wire(step.wire))
    assert len(found) == len(set(found)) == min(count, most)
    assert set(found) <= set(values)


@given(st.integers(1, 400), st.one_of(st.none(), st.integers(0, 65535)))
def test_what_goes_over_udp_fits_or_says_that_it_is_cut(count: int, payload: int | None) -> None:
    names = book()
    values = tuple(str(IPv4Address(0x0A000001 + number)) for number in range(count))
    names.put("svc", VPC, [Records(name="api.corp.local", type="A", values=values)])
    use = None if payload is None else 0
    query = dns.message.make_query("api.corp.local", "A", use_edns=use, payload=payload or 0).to_wire()
    step = respond(names, INSIDE, query, over_udp=True, below=lambda most: most - 1)
    assert isinstance(step, Answer)
    assert len(step.wire) <= (512 if payload is None else min(max(payload, 512), 1232))
    reply = dns.message.from_wire(step.wire)
    if not reply.flags & dns.flags.TC:
        assert len(texts(reply)) == count
    whole = respond(names, INSIDE, query, over_udp=False, below=lambda most: most - 1)
    assert isinstance(whole, Answer)
    assert len(texts(dns.message.from_wire(whole.wire))) == count


@given(st.binary(max_size=600), st.booleans())
def test_no_bytes_crash_it(wire: bytes, udp: bool) -> None:
    respond(book(), INSIDE, wire, over_udp=udp, below=lambda most: most - 1)


@given(st.data())
def test_no_damaged_query_crashes_it_and_the_answer_has_its_id(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["A", "SRV", "ANY", "TXT", "AXFR"]))
    wire = bytearray(dns.message.make_query("api.corp.local", kind, use_edns=0, payload=1232).to_wire())
    for _ in range(data.draw(st.integers(0, 8))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(wire[: data.draw(st.integers(0, len(wire)))])
    step = respond(book(), INSIDE, cut, over_udp=True, below=lambda most: most - 1)
    if isinstance(step, Answer):
        assert step.wire[:2] == cut[:2]
        assert step.wire[2] & 0x80, "an answer says that it is one"


def test_answers_are_not_answered() -> None:
    reply = dns.message.make_response(dns.message.make_query("api.corp.local", "A"))
    assert respond(book(), INSIDE, reply.to_wire(), over_udp=True, below=lambda most: 0) is None


@pytest.mark.parametrize(
    ("change", "rcode"),
    [
        (lambda q: q.set_opcode(dns.opcode.NOTIFY), dns.rcode.NOTIMP),
        (lambda q: q.question.clear(), dns.rcode.FORMERR),
        (lambda q: q.use_edns(1), dns.rcode.BADVERS),
    ],
)
def test_what_is_no_plain_question_is_refused_by_its_code(change: object, rcode: dns.rcode.Rcode) -> None:
    query = dns.message.make_query("api.corp.local", "A")
    change(query)  # type: ignore[operator]
    step = respond(book(), INSIDE, query.to_wire(), over_udp=True, below=lambda most: 0)
    assert isinstance(step, Answer)
    assert dns.message.from_wire(step.wire).rcode() == rcode


@given(st.integers(8, 30), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_reverse_zones_cover_a_network(length: int, base: int, offset: int) -> None:
    network = IPv4Network((base, length), strict=False)
    if network.num_addresses > 2**16 * 4 and length < 8:
        return
    inside = network[offset % network.num_addresses]
    name = reverse_name(str(inside))
    assert any(name.endswith(f".{zone}") for zone in reverse_zones(network))


def test_what_cannot_be_sent_is_known_beforehand() -> None:
    assert is_sound(Records(name="a.b", type="A", values=("1.2.3.4",)))
    assert not is_sound(Records(name="a.b", type="A", values=("1.2.3",)))
    assert not is_sound(Records(name="a" * 64 + ".b", type="A", values=("1.2.3.4",)))
    assert not is_sound(Records(name="a.b", type="CNAME", values=("x" * 64 + ".b",)))
    assert not is_sound(Records(name="a.b", type="SRV", values=("1 1 99999 x.b",)))
