"""Security group rules as requests spell them. Pure.

Sources: EC2 API Reference, IpPermission and SecurityGroupRuleRequest; VPC user guide, "Amazon VPC quotas".
Texts marked [O] were seen: ansible/ansible-modules-core 3258 and lucidsoftware/cumulus 101 (duplicates),
hashicorp/terraform-provider-aws 2587 (the same rule twice in one request), getmoto/moto's tests marked
as verified against AWS (protocols, ports and peers that are missing).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from homeport.services.ec2.errors import Ec2Error, clashing, invalid, missing, unsupported
from homeport.services.ec2.model import Rule
from homeport.services.ec2.plan.cidrs import rule_cidr

RULES_MAX = 60
"""Of one group in one direction."""
_NAMES = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6", "all": "-1"}
_KNOWN = frozenset({"tcp", "udp", "icmp", "icmpv6", "-1"})
_DESCRIPTION = re.compile(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{0,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who is at the other end: one of these. A group by its id or, in the default VPC, its name."""

    cidr4: str = ""
    cidr6: str = ""
    group_id: str = ""
    group_name: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One rule that a request asks for."""

    protocol: str
    from_port: int | None
    to_port: int | None
    peer: Peer
    description: str = ""

    @property
    def identity(self) -> tuple[object, ...]:
        """What makes it the same rule as another of a group and direction; its group must be an id."""
        peer = self.peer
        return self.protocol, self.from_port, self.to_port, peer.cidr4, peer.cidr6, peer.group_id


def identity(rule: Rule) -> tuple[object, ...]:
    """What makes two rules of a group and direction the same."""
    return rule.protocol, rule.from_port, rule.to_port, rule.cidr4, rule.cidr6, rule.peer_group_id


def protocol_of(text: str) -> str:
    """A protocol in its one spelling. Raise for what is none."""
    found = _NAMES.get(text.lower(), text.lower())
    if found in _KNOWN or (found.isascii() and found.isdecimal() and int(found) <= 255):
        return found if found in _KNOWN else _NAMES.get(str(int(found)), str(int(found)))
    raise Ec2Error("InvalidPermission.Malformed", f"Invalid IP protocol '{text}'")


def ports_of(protocol: str, first: int | None, last: int | None) -> tuple[int | None, int | None]:
    """The ports, or type and code, of a rule. Raise for what cannot be."""
    if protocol in ("tcp", "udp"):
        if first is None or last is None or first < 0 or last < 0:
            wrong = [f" '{port}'" for port in (first, last) if port is not None and port < 0]
            raise invalid(
                f"Invalid value{''.join(wrong[:1])} for portRange. "
                "Must specify both from and to ports with TCP/UDP."
            )
        if first > last or last > 65535:
            raise invalid(f"Invalid TCP/UDP port range ({first}:{last})")
        return first, last
    if protocol in ("icmp", "icmpv6"):
        if first is None and protocol == "icmpv6":
            first, last = -1, -1
        if first is None:
            raise invalid("Must specify the ICMP type.")
        last = -1 if last is None else last
        if not -1 <= first <= 255 or not -1 <= last <= 255:
            raise invalid(f"ICMP type ({first}) or code ({last}) out of range")
        if first == -1 and last != -1:
            raise invalid(f"ICMP code ({last}) is not allowed with ICMP type -1")
        return first, last
    return None, None


def _check_protocol(given: Mapping[str, Any]) -> None:
    if not given.get("IpProtocol"):
        raise invalid(
            "Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly."
        )


def check_description(text: str) -> str:
    """A rule's description. Raise for characters that it cannot have."""
    if not _DESCRIPTION.fullmatch(text):
        raise invalid(
            "Invalid rule description. Valid descriptions are strings less than 256 characters from "
            "the following "
            "set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
        )
    return text


def asked(request: Mapping[str, Any]) -> tuple[Asked, ...]:
    """The rules of Authorize- and RevokeSecurityGroup*, from either of their spellings.

    Raise for what cannot be.
    """
    permissions = request.get("IpPermissions") or ()
    flat = _flat(request)
    if permissions and flat:
        raise clashing(
            "The parameter 'ipPermissions' may not be used in combination with 'ipProtocol' or 'cidrIp'"
        )
    found = tuple(_expanded(permissions or ([flat] if flat else [])))
    if len({(*one.identity, one.peer.group_name) for one in found}) != len(found):
        raise invalid("The same permission must not appear multiple times")  # [O]
    return found


def _flat(request: Mapping[str, Any]) -> dict[str, Any]:
    flat = {name: request[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in request}
    if "CidrIp" in request:
        flat["IpRanges"] = [{"CidrIp": request["CidrIp"]}]
    if "SourceSecurityGroupName" in request:
        owner = request.get("SourceSecurityGroupOwnerId", "")
        flat["UserIdGroupPairs"] = [{"GroupName": request["SourceSecurityGroupName"], "UserId": owner}]
        flat.setdefault("IpProtocol", "-1")
    elif "SourceSecurityGroupOwnerId" in request:
        raise missing("SourceSecurityGroupName")
    return flat


def _expanded(permissions: Sequence[Mapping[str, Any]]) -> Iterator[Asked]:
    for one in permissions:
        _check_protocol(one)
        if one.get("PrefixListIds"):
            raise unsupported("A rule with a prefix list")
        protocol = protocol_of(one["IpProtocol"])
        first, last = ports_of(protocol, one.get("FromPort"), one.get("ToPort"))
        peers = tuple(_peers(one))
        if not peers:
            raise invalid(
                "Invalid value 'null' for rule: a source or destination is needed: a range or a group."
            )
        for peer, description in peers:
            yield Asked(
                protocol=protocol,
                from_port=first,
                to_port=last,
                peer=peer,
                description=check_description(description),
            )


def _peers(one: Mapping[str, Any]) -> Iterator[tuple[Peer, str]]:
    for given in one.get("IpRanges") or ():
        yield Peer(cidr4=rule_cidr(given.get("CidrIp", ""), 4)), given.get("Description", "")
    for given in one.get("Ipv6Ranges") or ():
        yield Peer(cidr6=rule_cidr(given.get("CidrIpv6", ""), 6)), given.get("Description", "")
    for given in one.get("UserIdGroupPairs") or ():
        if given.get("VpcPeeringConnectionId"):
            raise unsupported("A group of another VPC")
        if not given.get("GroupId") and not given.get("GroupName"):
            raise missing("groupId")
        peer = Peer(
            group_id=given.get("GroupId", ""),
            group_name=given.get("GroupName", "") if not given.get("GroupId") else "",
            owner=given.get("UserId", ""),
        )
        yield peer, given.get("Description", "")


def asked_rule(given: Mapping[str, Any]) -> Asked:
    """The rule that ModifySecurityGroupRules makes of another. Raise for what cannot be."""
    if given.get("PrefixListId"):
        raise unsupported("A rule with a prefix list")
    peers = [name for name in ("CidrIpv4", "CidrIpv6", "ReferencedGroupId") if given.get(name)]
    choices = "cidrIp, cidrIpv6, prefixListId, or referencedGroupId"
    if len(peers) > 1:
        raise clashing(f"Only one of {choices} can be specified")
    _check_protocol(given)
    protocol = protocol_of(given["IpProtocol"])
    first, last = ports_of(protocol, given.get("FromPort"), given.get("ToPort"))
    if not peers:
        raise Ec2Error("MissingParameter", f"The request must contain exactly one of: {choices}")
    peer = Peer(
        cidr4=rule_cidr(given["CidrIpv4"], 4) if given.get("CidrIpv4") else "",
        cidr6=rule_cidr(given["CidrIpv6"], 6) if given.get("CidrIpv6") else "",
        group_id=given.get("ReferencedGroupId", ""),
    )
    text = check_description(given.get("Description", ""))
    return Asked(protocol=protocol, from_port=first, to_port=last, peer=peer, description=text)


def check_new(new: Sequence[Asked], old: Iterable[Rule]) -> None:
    """Raise when one is there already, or there would be too many. `old`: of the group and direction."""
    there = {identity(rule) for rule in old}
    for one in new:
        if one.identity in there:
            raise Ec2Error("InvalidPermission.Duplicate", f'the specified rule "{spelt(one)}" already exists')
    if len(there) + len(new) > RULES_MAX:
        raise Ec2Error(
            "RulesPerSecurityGroupLimitExceeded",
            "The maximum number of rules per security group has been reached.",
        )


def spelt(one: Asked) -> str:
    """As messages name a rule [O]: `peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW`."""
    peer = one.peer.cidr4 or one.peer.cidr6 or one.peer.group_id
    if one.protocol == "-1":
        return f"peer: {peer}, ALL, ALLOW"
    if one.protocol not in _KNOWN:
        return f"peer: {peer}, protocol: {one.protocol}, ALLOW"
    if one.protocol in ("icmp", "icmpv6"):
        kind, code = ("ALL" if number == -1 else number for number in (one.from_port, one.to_port))
        return f"peer: {peer}, {one.protocol.upper()}, type: {kind}, code: {code}, ALLOW"
    return f"peer: {peer}, {one.protocol.upper()}, from port: {one.from_port}, to port: {one.to_port}, ALLOW"
