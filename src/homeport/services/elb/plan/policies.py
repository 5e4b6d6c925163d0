"""Policies of Classic Load Balancers: cookies that let a client stay with its instance. Pure.

Source: User Guide for Classic Load Balancers, "Configure sticky sessions".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from homeport.services.elb.errors import (
    DuplicatePolicyName,
    InvalidConfigurationRequest,
    PolicyNotFound,
    PolicyTypeNotFound,
    TooManyPolicies,
    ValidationError,
)
from homeport.services.elb.model import (
    APP_COOKIE,
    COOKIE_NAME,
    EXPIRATION,
    LB_COOKIE,
    Listener,
    LoadBalancer,
    Policy,
)

POLICIES_MAX = 100
_NOT_HERE = {
    "SSLNegotiationPolicyType": "listeners have the default policy, ELBSecurityPolicy-2016-08",
    "PublicKeyPolicyType": "instances' certificates are not verified",
    "BackendServerAuthenticationPolicyType": "instances' certificates are not verified",
    "ProxyProtocolPolicyType": "the PROXY protocol of version 1 is not spoken",
}
_MEMBERS = {LB_COOKIE: EXPIRATION, APP_COOKIE: COOKIE_NAME}


def policy_of(name: str, kind: str, attributes: Mapping[str, str]) -> Policy:
    """The policy. Raise when it is none that Homeport has."""
    if kind in _NOT_HERE:
        raise InvalidConfigurationRequest(f"{kind} is not supported by Homeport: {_NOT_HERE[kind]}.")
    if kind not in _MEMBERS:
        raise PolicyTypeNotFound(f"There is no policy type '{kind}'")
    if unknown := sorted(attributes.keys() - {_MEMBERS[kind]}):
        raise InvalidConfigurationRequest(f"A policy of type {kind} has no attribute '{unknown[0]}'")
    if kind == APP_COOKIE and not attributes.get(COOKIE_NAME):
        raise ValidationError("CookieName must be specified")
    if kind == LB_COOKIE:
        seconds = attributes.get(EXPIRATION) or "0"
        if not seconds.isdecimal():
            raise ValidationError("CookieExpirationPeriod must be a number of seconds")
        attributes = {EXPIRATION: seconds} if int(seconds) else {}
    return Policy(name=name, type=kind, attributes=dict(attributes))


def with_policy(balancer: LoadBalancer, policy: Policy) -> LoadBalancer:
    """The balancer that has the policy, too."""
    if any(one.name == policy.name for one in balancer.policies):
        raise DuplicatePolicyName(f"Policy name '{policy.name}' already exists")
    if len(balancer.policies) >= POLICIES_MAX:
        raise TooManyPolicies(f"A load balancer has at most {POLICIES_MAX} policies")
    return replace(balancer, policies=(*balancer.policies, policy))


def without_policy(balancer: LoadBalancer, name: str) -> LoadBalancer:
    """The balancer without it. Raise while a listener has it."""
    if any(name in one.policies for one in balancer.listeners):
        raise InvalidConfigurationRequest(f"Policy '{name}' is enabled for a listener")
    return replace(balancer, policies=tuple(one for one in balancer.policies if one.name != name))


def chosen(balancer: LoadBalancer, listener: Listener, names: Sequence[str]) -> Listener:
    """The listener with these policies in place of those that it had."""
    known = {one.name: one for one in balancer.policies}
    for name in names:
        if name not in known:
            raise PolicyNotFound(f"There is no policy '{name}' of load balancer '{balancer.name}'")
    if len(set(names)) > 1:
        raise InvalidConfigurationRequest("Only one stickiness policy can be set for a listener")
    if names and listener.protocol not in ("HTTP", "HTTPS"):
        raise InvalidConfigurationRequest("Stickiness policies are for listeners of HTTP and HTTPS")
    return replace(listener, policies=tuple(dict.fromkeys(names)))


def policy_view(policy: Policy) -> dict[str, Any]:
    """A policy as DescribeLoadBalancerPolicies shows it."""
    shown = (
        {EXPIRATION: policy.attributes.get(EXPIRATION, "0")}
        if policy.type == LB_COOKIE
        else policy.attributes
    )
    return {
        "PolicyName": policy.name,
        "PolicyTypeName": policy.type,
        "PolicyAttributeDescriptions": [
            {"AttributeName": name, "AttributeValue": value} for name, value in shown.items()
        ],
    }
