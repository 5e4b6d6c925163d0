"""What a listener's rules mean, written once more as plainly as possible: the model for traffic.

Source: Application Load Balancer guide, "Listener rules": conditions are anded, their values ored, the
lowest number first.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from homeport.dataplane.rules import (
    Condition,
    HeaderIs,
    HostIs,
    MethodIs,
    PathIs,
    QueryHas,
    QueryPair,
    Rule,
    SourceIs,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as the balancer gets it."""

    method: str = "GET"
    host: str = "a.com"
    path: str = "/"
    query: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    source: str = "127.0.0.1"

    @property
    def target(self) -> str:
        return self.path if self.query is None else f"{self.path}?{self.query}"


def like(pattern: str, text: str, *, escapes: bool = False) -> bool:
    """`*` and `?`, one character after the other."""
    if not pattern:
        return not text
    first, rest = pattern[0], pattern[1:]
    if escapes and first == "\\" and rest:
        return bool(text) and text[0] == rest[0] and like(rest[1:], text[1:], escapes=escapes)
    if first == "*":
        return any(like(rest, text[n:], escapes=escapes) for n in range(len(text) + 1))
    if not text or (first not in ("?", text[0])):
        return False
    return like(rest, text[1:], escapes=escapes)


def without_port(host: str) -> str:
    return re.sub(r":[0-9]+\Z", "", host)


def has(pair: QueryPair, query: str | None) -> bool:
    if query is None:
        return False
    for part in query.lower().split("&"):
        key, equals, value = part.partition("=")
        if pair.key is None:
            if like(pair.value.lower(), value if equals else part, escapes=True):
                return True
        elif (
            equals
            and like(pair.key.lower(), key, escapes=True)
            and like(pair.value.lower(), value, escapes=True)
        ):
            return True
    return False


def holds(condition: Condition, asked: Asked) -> bool:
    match condition:
        case HostIs(patterns=patterns, regexes=regexes):
            host = without_port(asked.host).lower()
            return any(like(p.lower(), host) for p in patterns) or any(re.search(r, host) for r in regexes)
        case PathIs(patterns=patterns, regexes=regexes):
            return any(like(p, asked.path) for p in patterns) or any(
                re.search(r, asked.path) for r in regexes
            )
        case HeaderIs(name=name, patterns=patterns, regexes=regexes):
            values = [value for key, value in asked.headers if key.lower() == name.lower()]
            one = values[0].lower() if values else None
            if one is None:
                return False
            return any(like(p.lower(), one) for p in patterns) or any(re.search(r, one) for r in regexes)
        case MethodIs(methods=methods):
            return asked.method in methods
        case QueryHas(pairs=pairs):
            return any(has(pair, asked.query) for pair in pairs)
        case SourceIs(cidrs=cidrs):
            return any(ipaddress.ip_address(asked.source) in ipaddress.ip_network(c) for c in cidrs)


def decides(rules: tuple[Rule, ...], asked: Asked) -> str:
    """The id of the rule that decides."""
    for rule in sorted(rules, key=lambda rule: rule.priority if rule.priority is not None else 10**9):
        if all(holds(condition, asked) for condition in rule.conditions):
            return rule.id
    raise AssertionError("no default rule")
