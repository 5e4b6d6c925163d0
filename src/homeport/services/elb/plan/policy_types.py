"""The types of policies that there are, and their attributes. Pure.

Source: API Reference, DescribeLoadBalancerPolicyTypes and PolicyAttributeTypeDescription.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeport.services.elb.model import (
    APP_COOKIE,
    COOKIE_NAME,
    EXPIRATION,
    LB_COOKIE,
    PROXY,
    PROXY_PROTOCOL,
    SSL_NEGOTIATION,
)
from homeport.services.elb.plan.tls import (
    ABSENT,
    CIPHERS,
    DEFAULT_POLICY,
    ORDER,
    REFERENCE,
    VERSIONS,
    spelled,
)

ONE, ZERO_OR_ONE = "ONE", "ZERO_OR_ONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """An attribute that policies of a type have. `cardinality` as the API says it."""

    name: str
    type: str
    cardinality: str = ZERO_OR_ONE
    default: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyType:
    """A type of policies."""

    name: str
    description: str
    attributes: tuple[Attribute, ...]


def _switches() -> tuple[Attribute, ...]:
    defaults = spelled({REFERENCE: DEFAULT_POLICY})
    return tuple(
        Attribute(name=name, type="Boolean", default=defaults[name])
        for name in (*VERSIONS, ORDER, *CIPHERS, *ABSENT)
    )


_ALL = (
    PolicyType(
        name=PROXY_PROTOCOL,
        description="Instances behind TCP and SSL listeners are told the client's address and port, in a "
        "line before the first byte (PROXY protocol, version 1).",
        attributes=(Attribute(name=PROXY, type="Boolean", cardinality=ONE),),
    ),
    PolicyType(
        name=APP_COOKIE,
        description="Clients of an HTTP or HTTPS listener stay with their instance as long as they have a "
        "cookie of the application's.",
        attributes=(Attribute(name=COOKIE_NAME, type="String", cardinality=ONE),),
    ),
    PolicyType(
        name=LB_COOKIE,
        description="Clients of an HTTP or HTTPS listener stay with their instance by a cookie of the load "
        "balancer's, for a time or as long as their browser runs.",
        attributes=(
            Attribute(
                name=EXPIRATION,
                type="Long",
                default="0",
                description="In seconds; 0: as long as the browser runs.",
            ),
        ),
    ),
    PolicyType(
        name=SSL_NEGOTIATION,
        description="Which protocols and ciphers clients of an HTTPS or SSL listener may use.",
        attributes=(
            Attribute(
                name=REFERENCE,
                type="String",
                description="A predefined security policy, in place of all other attributes.",
            ),
            *_switches(),
        ),
    ),
)
TYPES: Mapping[str, PolicyType] = {one.name: one for one in _ALL}
"""By name."""


def type_view(one: PolicyType) -> dict[str, Any]:
    """A type as DescribeLoadBalancerPolicyTypes shows it."""
    return {
        "PolicyTypeName": one.name,
        "Description": one.description,
        "PolicyAttributeTypeDescriptions": [
            {"AttributeName": each.name, "AttributeType": each.type, "Cardinality": each.cardinality}
            | ({"DefaultValue": each.default} if each.default else {})
            | ({"Description": each.description} if each.description else {})
            for each in one.attributes
        ],
    }
