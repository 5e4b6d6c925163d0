"""Policies of Classic Load Balancers: which instance a client stays with, and what it may speak. Pure.

Source: User Guide for Classic Load Balancers, "Configure sticky sessions", "SSL negotiation configurations".
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
    COOKIES,
    EXPIRATION,
    LB_COOKIE,
    PROXY,
    PROXY_PROTOCOL,
    SSL_NEGOTIATION,
    Listener,
    LoadBalancer,
    Policy,
)
from homeport.services.elb.plan.policy_types import TYPES
from homeport.services.elb.plan.requests import SECURE
from homeport.services.elb.plan.tls import (
    DEFAULT_POLICY,
    PREDEFINED,
    REFERENCE,
    Terms,
    negotiated,
    spelled,
    terms_of,
)

POLICIES_MAX = 100
_NOT_HERE = {
    "PublicKeyPolicyType": "instances' certificates are not verified",
    "BackendServerAuthenticationPolicyType": "instances' certificates are not verified",
}
SAMPLES = tuple(Policy(name=name, type=SSL_NEGOTIATION, attributes={REFERENCE: name}) for name in PREDEFINED)
"""What there is without a balancer: the predefined security policies."""


def policy_of(name: str, kind: str, attributes: Mapping[str, str]) -> Policy:
    """The policy. Raise when it is none that Homeport has."""
    if kind in _NOT_HERE:
        raise InvalidConfigurationRequest(f"{kind} is not supported by Homeport: {_NOT_HERE[kind]}.")
    if kind not in TYPES:
        raise PolicyTypeNotFound(f"There is no policy type '{kind}'")
    if unknown := sorted(attributes.keys() - {one.name for one in TYPES[kind].attributes}):
        raise InvalidConfigurationRequest(f"A policy of type {kind} has no attribute '{unknown[0]}'")
    if kind in (SSL_NEGOTIATION, PROXY_PROTOCOL):
        attributes = {name: _switch(value) for name, value in attributes.items()}
    if kind == SSL_NEGOTIATION:
        attributes = negotiated(attributes)
    if kind == PROXY_PROTOCOL and attributes.get(PROXY) not in ("true", "false"):
        raise ValidationError(f"{PROXY} must be specified: true or false")
    if kind == APP_COOKIE and not attributes.get(COOKIE_NAME):
        raise ValidationError("CookieName must be specified")
    if kind == LB_COOKIE:
        seconds = attributes.get(EXPIRATION) or "0"
        if not seconds.isdecimal():
            raise ValidationError("CookieExpirationPeriod must be a number of seconds")
        attributes = {EXPIRATION: seconds} if int(seconds) else {}
    return Policy(name=name, type=kind, attributes=dict(attributes))


def _switch(value: str) -> str:
    """Some clients write `True`."""
    return value.lower() if value.lower() in ("true", "false") else value


def with_policy(balancer: LoadBalancer, policy: Policy) -> LoadBalancer:
    """The balancer that has the policy, too."""
    if any(one.name == policy.name for one in balancer.policies):
        raise DuplicatePolicyName(f"Policy name '{policy.name}' already exists")
    if len(balancer.policies) >= POLICIES_MAX:
        raise TooManyPolicies(f"A load balancer has at most {POLICIES_MAX} policies")
    return replace(balancer, policies=(*balancer.policies, policy))


def without_policy(balancer: LoadBalancer, name: str) -> LoadBalancer:
    """The balancer without it. Raise while a listener or an instance port has it."""
    if any(name in one.policies for one in balancer.listeners):
        raise InvalidConfigurationRequest(f"Policy '{name}' is enabled for a listener")
    if port := next((port for port, names in balancer.backend_policies.items() if name in names), None):
        raise InvalidConfigurationRequest(f"Policy '{name}' is enabled for the instance port {port}")
    return replace(balancer, policies=tuple(one for one in balancer.policies if one.name != name))


def chosen(balancer: LoadBalancer, listener: Listener, names: Sequence[str]) -> Listener:
    """The listener with these policies in place of those that it had."""
    known = {one.name: one for one in balancer.policies}
    for name in names:
        if name not in known:
            raise PolicyNotFound(f"There is no policy '{name}' of load balancer '{balancer.name}'")
    kinds = [known[name].type for name in dict.fromkeys(names)]
    cookies = [kind for kind in kinds if kind in COOKIES]
    if len(cookies) > 1 or kinds.count(SSL_NEGOTIATION) > 1:
        raise InvalidConfigurationRequest(
            "Only one stickiness policy and one SSL negotiation policy can be set for a listener"
        )
    if cookies and listener.protocol not in ("HTTP", "HTTPS"):
        raise InvalidConfigurationRequest("Stickiness policies are for listeners of HTTP and HTTPS")
    if PROXY_PROTOCOL in kinds:
        raise InvalidConfigurationRequest(f"Policies of type {PROXY_PROTOCOL} are for instance ports")
    if SSL_NEGOTIATION in kinds and listener.protocol not in SECURE:
        raise InvalidConfigurationRequest("SSL negotiation policies are for listeners of HTTPS and SSL")
    return replace(listener, policies=tuple(dict.fromkeys(names)))


def with_default_policy(balancer: LoadBalancer, before: Sequence[Listener]) -> LoadBalancer:
    """The balancer whose new secure listeners have the default policy. `before`: those that are not new.

    Source: User Guide, "Create a Classic Load Balancer with an HTTPS listener".
    """
    old = {one.port for one in before}
    fresh = {one.port for one in balancer.listeners if one.port not in old and one.protocol in SECURE}
    if not fresh:
        return balancer
    held = next((one for one in balancer.policies if one.name == DEFAULT_POLICY), None)
    if held is None:
        default = Policy(name=DEFAULT_POLICY, type=SSL_NEGOTIATION, attributes={REFERENCE: DEFAULT_POLICY})
        balancer = replace(balancer, policies=(*balancer.policies, default))
    elif held.type != SSL_NEGOTIATION:
        return balancer
    listeners = (
        replace(one, policies=(DEFAULT_POLICY,)) if one.port in fresh else one for one in balancer.listeners
    )
    return replace(balancer, listeners=tuple(listeners))


def with_backend_policies(balancer: LoadBalancer, port: int, names: Sequence[str]) -> LoadBalancer:
    """The balancer whose instance port has these policies in place of those that it had."""
    known = {one.name: one for one in balancer.policies}
    for name in names:
        if name not in known:
            raise PolicyNotFound(f"There is no policy '{name}' of load balancer '{balancer.name}'")
        if known[name].type != PROXY_PROTOCOL:
            raise InvalidConfigurationRequest(f"Policy '{name}' is not one for instances")
    users = [one for one in balancer.listeners if one.instance_port == port]
    if not users and (names or str(port) not in balancer.backend_policies):
        raise InvalidConfigurationRequest(f"No listener uses the instance port {port}")
    if names and not all(one.instance_protocol in ("TCP", "SSL") for one in users):
        raise InvalidConfigurationRequest(f"Policies of type {PROXY_PROTOCOL} are for ports of TCP and SSL")
    kept = {key: held for key, held in balancer.backend_policies.items() if key != str(port)}
    fresh = {str(port): tuple(dict.fromkeys(names))} if names else {}
    return replace(balancer, backend_policies=kept | fresh)


def speaks_proxy(balancer: LoadBalancer, listener: Listener) -> bool:
    """Whether instances behind a listener are told the clients' addresses."""
    known = {one.name: one for one in balancer.policies}
    names = balancer.backend_policies.get(str(listener.instance_port), ())
    return listener.instance_protocol in ("TCP", "SSL") and any(
        known[name].attributes.get(PROXY) == "true" for name in names
    )


def tls_of(balancer: LoadBalancer, listener: Listener) -> Terms:
    """What a listener's clients may speak; without a policy as the default one says."""
    known = {one.name: one for one in balancer.policies}
    chosen_ones = (known[name] for name in listener.policies)
    policy = next((one for one in chosen_ones if one.type == SSL_NEGOTIATION), None)
    return PREDEFINED[DEFAULT_POLICY] if policy is None else terms_of(policy.attributes)


def policy_view(policy: Policy) -> dict[str, Any]:
    """A policy as DescribeLoadBalancerPolicies shows it."""
    shown = policy.attributes
    if policy.type == LB_COOKIE:
        shown = {EXPIRATION: policy.attributes.get(EXPIRATION, "0")}
    elif policy.type == SSL_NEGOTIATION:
        shown = spelled(policy.attributes)
    return {
        "PolicyName": policy.name,
        "PolicyTypeName": policy.type,
        "PolicyAttributeDescriptions": [
            {"AttributeName": name, "AttributeValue": value} for name, value in shown.items()
        ],
    }
