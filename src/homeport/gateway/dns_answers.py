"""Answers to DNS queries from names that are known here. Pure: bytes and a book of names in, what to do out.

Sources: RFC 1034 and 1035 (messages), 2308 (negative answers), 6891 (EDNS), 2782 (SRV), 7766 (truncation).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from homeport.gateway.dns_names import Known, NameBook, Records, Zone

HEADER_BYTES = 12
PLAIN_UDP_BYTES = 512
UDP_BYTES_MOST = 1232
"""What we send at most over UDP: no path breaks it up. Source: DNS flag day 2020."""
TCP_BYTES_MOST = 65535
ALIASES_MOST = 8

Below = Callable[[int], int]
"""Dice: a number from 0 to below its argument."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Send these bytes back."""

    wire: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """The name is not ours: ask the machine's resolvers, and hand on what they say."""

    query: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """The answer is `partial`, and what the machine's resolvers say of `target`, where its alias leads."""

    query: dns.message.QueryMessage
    partial: dns.message.Message
    target: str

    def question(self) -> bytes:
        """The query for the target."""
        asked = self.query.question[0]
        return dns.message.make_query(self.target, asked.rdtype, asked.rdclass).to_wire()

    def completed(self, wire: bytes | None, *, most: int) -> Answer:
        """The whole answer, with `wire` from a resolver; without one, SERVFAIL."""
        try:
            found = None if wire is None else dns.message.from_wire(wire)
        except (dns.exception.DNSException, ValueError):
            found = None
        if found is None:
            return Answer(wire=_fit(_reply(self.query, dns.rcode.SERVFAIL), most))
        self.partial.answer.extend(found.answer)
        self.partial.set_rcode(found.rcode())
        self.partial.flags &= ~dns.flags.AA
        return Answer(wire=_fit(self.partial, most))


Step = Answer | Forward | Follow | None


def udp_most(wire: bytes) -> int:
    """How long a UDP answer to this query may be."""
    try:
        query = dns.message.from_wire(wire)
    except (dns.exception.DNSException, ValueError):
        return PLAIN_UDP_BYTES
    return _udp_most(query)


def _udp_most(query: dns.message.Message) -> int:
    if query.edns < 0:
        return PLAIN_UDP_BYTES
    return min(max(query.payload, PLAIN_UDP_BYTES), UDP_BYTES_MOST)


def respond(book: NameBook, source: str, wire: bytes, *, over_udp: bool, below: Below) -> Step:
    """What to do about a message from `source`; `None`: nothing, it is no query."""
    if len(wire) < HEADER_BYTES or wire[2] & 0x80:
        return None
    try:
        query = dns.message.from_wire(wire)
    except dns.message.UnknownTSIGKey:
        return _bare(wire, dns.rcode.REFUSED)
    except (dns.exception.DNSException, ValueError):
        return _bare(wire, dns.rcode.FORMERR)
    most = _udp_most(query) if over_udp else TCP_BYTES_MOST
    refusal = _refusal(query)
    if refusal is not None:
        return Answer(wire=_fit(_reply(query, refusal), most))
    assert isinstance(query, dns.message.QueryMessage)
    return _look_up(book, book.scope_of(source), query, wire, most=most, below=below)


def failed(wire: bytes) -> bytes | None:
    """SERVFAIL to a query."""
    try:
        query = dns.message.from_wire(wire)
        return _fit(_reply(query, dns.rcode.SERVFAIL), PLAIN_UDP_BYTES)
    except (dns.exception.DNSException, ValueError):
        return None


def _bare(wire: bytes, rcode: dns.rcode.Rcode) -> Answer:
    """A header only, for what cannot be read."""
    flags = 0x80 | (wire[2] & 0x79)
    return Answer(wire=wire[:2] + bytes([flags, 0x80 | rcode]) + bytes(8))


def _refusal(query: dns.message.Message) -> dns.rcode.Rcode | None:
    if query.opcode() != dns.opcode.QUERY:
        return dns.rcode.NOTIMP
    if len(query.question) != 1:
        return dns.rcode.FORMERR
    if query.edns > 0:
        return dns.rcode.BADVERS
    asked = query.question[0]
    if asked.rdclass not in (dns.rdataclass.IN, dns.rdataclass.ANY):
        return dns.rcode.REFUSED
    if asked.rdtype in (dns.rdatatype.AXFR, dns.rdatatype.IXFR):
        return dns.rcode.REFUSED
    return None


def _reply(query: dns.message.Message, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> dns.message.Message:
    reply = dns.message.Message(id=query.id)
    reply.flags = dns.flags.QR | dns.flags.RA | (query.flags & (dns.flags.RD | dns.flags.CD))
    reply.set_opcode(query.opcode())
    reply.question = list(query.question)
    if query.edns >= 0:
        reply.use_edns(0, payload=UDP_BYTES_MOST)
    reply.set_rcode(rcode)
    return reply


def _fit(reply: dns.message.Message, most: int) -> bytes:
    return reply.to_wire(max_size=most, prefer_truncation=True)


def _look_up(
    book: NameBook, scope: str, query: dns.message.QueryMessage, wire: bytes, *, most: int, below: Below
) -> Step:
    asked = query.question[0]
    kind, name = dns.rdatatype.to_text(asked.rdtype), asked.name
    reply = _reply(query)
    reply.flags |= dns.flags.AA
    for _ in range(ALIASES_MOST):
        text = _text(name)
        known = book.find(scope, text)
        if not known.is_ours:
            if name == asked.name:
                return Forward(query=wire)
            return Follow(query=query, partial=reply, target=text)
        found = _answers(known, name, kind, below)
        reply.answer.extend(found)
        alias = next((one for one in found if one.rdtype == dns.rdatatype.CNAME), None)
        if alias is None or kind in ("CNAME", "ANY"):
            _finish(book, scope, reply, known, found, below)
            return Answer(wire=_fit(reply, most))
        name = alias[0].target
    return Answer(wire=_fit(_reply(query, dns.rcode.SERVFAIL), most))


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def _answers(known: Known, name: dns.name.Name, kind: str, below: Below) -> list[dns.rrset.RRset]:
    """The record sets that answer, an alias where there is nothing else."""
    by_type: dict[str, list[Records]] = {}
    for one in known.records:
        by_type.setdefault(one.type, []).append(one)
    if kind == "ANY":
        wanted = list(by_type)
    else:
        wanted = [kind] if kind in by_type else (["CNAME"] if "CNAME" in by_type else [])
    return [_rrset(name, one, by_type[one], below) for one in wanted]


def _rrset(name: dns.name.Name, kind: str, said: Iterable[Records], below: Below) -> dns.rrset.RRset:
    """All that is said of a name, in an order of chance, and no more than may be told at once."""
    said = list(said)
    values = list(dict.fromkeys(value for one in said for value in one.values))
    for last in range(len(values) - 1, 0, -1):
        other = below(last + 1)
        values[last], values[other] = values[other], values[last]
    limits = [one.answers_most for one in said if one.answers_most]
    if limits or kind == "CNAME":
        values = values[: 1 if kind == "CNAME" else min(limits)]
    return _made(name, kind, values, min(one.ttl for one in said))


def _made(name: dns.name.Name, kind: str, values: list[str], ttl: int) -> dns.rrset.RRset:
    return dns.rrset.from_text_list(name, ttl, "IN", kind, values, origin=dns.name.root, relativize=False)


def is_sound(records: Records) -> bool:
    """Whether records can be sent: their name and values are what their type says."""
    try:
        name = dns.name.from_text(records.name)
        for value in records.values:
            _made(name, records.type, [value], records.ttl).to_wire(io.BytesIO())
    except (dns.exception.DNSException, ValueError):
        return False
    return True


def _finish(
    book: NameBook,
    scope: str,
    reply: dns.message.Message,
    known: Known,
    found: list[dns.rrset.RRset],
    below: Below,
) -> None:
    """What else belongs to the answer: where the targets of SRV records are, or why there is nothing."""
    if found:
        targets = {record.target for one in found if one.rdtype == dns.rdatatype.SRV for record in one}
        for target in sorted(targets):
            beside = book.find(scope, _text(target))
            for kind in ("A", "AAAA"):
                reply.additional.extend(
                    one
                    for one in _answers(beside, target, kind, below)
                    if dns.rdatatype.to_text(one.rdtype) == kind
                )
        return
    if not known.exists:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    if known.zone is not None:
        reply.authority.append(_authority(known.zone))


def _authority(zone: Zone) -> dns.rrset.RRset:
    ttl, apex = zone.negative_ttl, zone.apex
    return dns.rrset.from_text(
        f"{apex}.", ttl, "IN", "SOA", f"ns.{apex}. hostmaster.{apex}. 1 7200 900 1209600 {ttl}"
    )
