"""A rule's conditions as what the proxy looks at in a request. All of a match's parts must hold."""

from __future__ import annotations

from collections.abc import Iterable

from homeport.dataplane import patterns
from homeport.dataplane.rules import Condition, HeaderIs, HostIs, MethodIs, PathIs, QueryHas, SourceIs
from homeport.dataplane.types import Body

CLIENT_ADDRESS = "homeport.client_address"
"""Where a connection's filter puts the address that it came from."""


def header(name: str, regex: str) -> Body:
    """A header whose whole value the expression matches."""
    return {"name": name, "string_match": {"safe_regex": {"regex": regex}}}


def route_match(conditions: Iterable[Condition]) -> Body:
    """What holds when all of `conditions` do; with none, always."""
    headers: list[Body] = []
    paths: list[PathIs] = []
    sources: list[Body] = []
    for condition in conditions:
        match condition:
            case PathIs():
                paths.append(condition)
            case SourceIs(cidrs=cidrs):
                ranges = [_range(cidr) for cidr in cidrs]
                sources.append({"key": CLIENT_ADDRESS, "address_match": {"ranges": ranges}})
            case _:
                headers.append(_header_match(condition))
    found: Body = {"prefix": ""}
    if paths:
        found = {"safe_regex": {"regex": patterns.whole(paths[0].patterns, paths[0].regexes)}}
    if headers:
        found["headers"] = headers
    if sources:
        found["filter_state"] = sources
    return found


def _header_match(condition: HostIs | HeaderIs | MethodIs | QueryHas) -> Body:
    match condition:
        case HostIs():
            return header(":authority", patterns.host(condition.patterns, condition.regexes))
        case HeaderIs():
            return header(condition.name, f"(?i){patterns.whole(condition.patterns, condition.regexes)}")
        case MethodIs():
            return header(":method", patterns.either(map(patterns.literal, condition.methods)))
        case QueryHas():
            one = patterns.either(patterns.query(pair.key, pair.value) for pair in condition.pairs)
            return header(":path", f"(?i){one}")


def _range(cidr: str) -> Body:
    address, _, length = cidr.partition("/")
    return {"address_prefix": address, "prefix_len": int(length or (128 if ":" in address else 32))}


def needs_client_address(conditions: Iterable[Condition]) -> bool:
    """Whether one of them asks where the connection comes from."""
    return any(isinstance(condition, SourceIs) for condition in conditions)
