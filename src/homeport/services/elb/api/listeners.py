"""Listeners of Classic Load Balancers, their certificates and policies."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from homeport.core.call import Call
from homeport.services.elb.api.context import (
    Answer,
    Elb,
    Request,
    changed,
    check_known,
    find,
    named,
    ops,
)
from homeport.services.elb.errors import (
    InvalidConfigurationRequest,
    ListenerNotFound,
    PolicyNotFound,
    PolicyTypeNotFound,
)
from homeport.services.elb.model import APP_COOKIE, COOKIE_NAME, EXPIRATION, LB_COOKIE, Listener, LoadBalancer
from homeport.services.elb.plan.policies import (
    SAMPLES,
    chosen,
    policy_of,
    policy_view,
    with_backend_policies,
    with_default_policy,
    with_policy,
    without_policy,
)
from homeport.services.elb.plan.policy_types import TYPES, type_view
from homeport.services.elb.plan.requests import SECURE, port_of, with_listeners, without_ports


@ops.operation("CreateLoadBalancerListeners", resources=named)
async def create_listeners(call: Call, elb: Elb, req: Request) -> Answer:
    """Open ports; one that is open with the same settings stays."""
    given, name = req["Listeners"], req["LoadBalancerName"]
    await check_known(call, elb, with_listeners((), given, name))

    def change(held: LoadBalancer) -> LoadBalancer:
        more = replace(held, listeners=with_listeners(held.listeners, given, name))
        return with_default_policy(more, held.listeners)

    await changed(call, elb, req, change)
    return {}


@ops.operation("DeleteLoadBalancerListeners", resources=named)
async def delete_listeners(call: Call, elb: Elb, req: Request) -> Answer:
    """Close ports; one that is not open does not matter."""
    ports = set(req["LoadBalancerPorts"])
    await changed(call, elb, req, lambda one: replace(one, listeners=without_ports(one.listeners, ports)))
    return {}


def _with(balancer: LoadBalancer, changed_one: Listener) -> LoadBalancer:
    found = tuple(changed_one if one.port == changed_one.port else one for one in balancer.listeners)
    return replace(balancer, listeners=found)


@ops.operation("SetLoadBalancerListenerSSLCertificate", resources=named)
async def set_certificate(call: Call, elb: Elb, req: Request) -> Answer:
    """Show another certificate on a port."""
    probe = Listener(
        protocol="SSL", port=1, instance_protocol="TCP", instance_port=1, certificate=req["SSLCertificateId"]
    )
    await check_known(call, elb, (probe,))

    def change(held: LoadBalancer) -> LoadBalancer:
        listener = port_of(held, req["LoadBalancerPort"], ListenerNotFound)
        if listener.protocol not in SECURE:
            raise InvalidConfigurationRequest(f"A listener of {listener.protocol} has no certificate")
        return _with(held, replace(listener, certificate=req["SSLCertificateId"]))

    await changed(call, elb, req, change)
    return {}


# Policies


async def _add(call: Call, elb: Elb, req: Request, kind: str, attributes: Mapping[str, str]) -> Answer:
    policy = policy_of(req["PolicyName"], kind, attributes)
    await changed(call, elb, req, lambda one: with_policy(one, policy))
    return {}


@ops.operation("CreateLBCookieStickinessPolicy", resources=named)
async def create_lb_cookie_policy(call: Call, elb: Elb, req: Request) -> Answer:
    """A policy by which a cookie of the balancer's own keeps clients with their instance."""
    seconds = req.get(EXPIRATION)
    return await _add(call, elb, req, LB_COOKIE, {} if seconds is None else {EXPIRATION: str(seconds)})


@ops.operation("CreateAppCookieStickinessPolicy", resources=named)
async def create_app_cookie_policy(call: Call, elb: Elb, req: Request) -> Answer:
    """A policy by which clients stay with their instance as long as they have the application's cookie."""
    return await _add(call, elb, req, APP_COOKIE, {COOKIE_NAME: req[COOKIE_NAME]})


@ops.operation("CreateLoadBalancerPolicy", resources=named)
async def create_policy(call: Call, elb: Elb, req: Request) -> Answer:
    """A policy of whatever type."""
    attributes = {
        one.get("AttributeName", ""): one.get("AttributeValue", "")
        for one in req.get("PolicyAttributes") or ()
    }
    return await _add(call, elb, req, req["PolicyTypeName"], attributes)


@ops.operation("DeleteLoadBalancerPolicy", resources=named)
async def delete_policy(call: Call, elb: Elb, req: Request) -> Answer:
    """Remove a policy that no listener has."""
    await changed(call, elb, req, lambda one: without_policy(one, req["PolicyName"]))
    return {}


@ops.operation("SetLoadBalancerPoliciesOfListener", resources=named)
async def set_policies(call: Call, elb: Elb, req: Request) -> Answer:
    """Let a listener have these policies, and no others."""

    def change(held: LoadBalancer) -> LoadBalancer:
        listener = port_of(held, req["LoadBalancerPort"], ListenerNotFound)
        return _with(held, chosen(held, listener, req["PolicyNames"]))

    await changed(call, elb, req, change)
    return {}


@ops.operation("SetLoadBalancerPoliciesForBackendServer", resources=named)
async def set_backend_policies(call: Call, elb: Elb, req: Request) -> Answer:
    """Let what is sent to a port of the instances have these policies, and no others."""
    port, names = req["InstancePort"], req["PolicyNames"]
    await changed(call, elb, req, lambda held: with_backend_policies(held, port, names))
    return {}


@ops.operation("DescribeLoadBalancerPolicies")
async def describe_policies(call: Call, elb: Elb, req: Request) -> Answer:
    """A balancer's policies. Without a balancer the predefined ones; of AWS's samples there are no others."""
    name, asked = req.get("LoadBalancerName"), req.get("PolicyNames") or ()
    policies = {one.name: one for one in SAMPLES}
    if name:
        held = await elb.store.read(lambda tx: find(tx, call, name))
        policies = {one.name: one for one in held.policies}
    if missing := [one for one in asked if one not in policies]:
        raise PolicyNotFound(f"There is no policy '{missing[0]}'")
    shown = [policies[one] for one in asked] if asked else list(policies.values())
    return {"PolicyDescriptions": list(map(policy_view, shown))}


@ops.operation("DescribeLoadBalancerPolicyTypes")
async def describe_policy_types(call: Call, elb: Elb, req: Request) -> Answer:
    """The types that CreateLoadBalancerPolicy knows, or these of them."""
    del call, elb
    asked = list(dict.fromkeys(req.get("PolicyTypeNames") or TYPES))
    if missing := [one for one in asked if one not in TYPES]:
        raise PolicyTypeNotFound(f"There is no policy type '{missing[0]}'")
    return {"PolicyTypeDescriptions": [type_view(TYPES[one]) for one in asked]}
