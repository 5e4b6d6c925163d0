"""A Classic Load Balancer as the data plane's neutral model has it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from homeport.dataplane import model as dp
from homeport.dataplane.rules import Forward, Rule, WeightedGroup
from homeport.dataplane.translate import translate
from homeport.services.elb.model import (
    APP_COOKIE,
    COOKIE_NAME,
    COOKIES,
    EXPIRATION,
    HealthCheck,
    Listener,
    LoadBalancer,
)
from homeport.services.elb.plan.policies import speaks_proxy, tls_of
from homeport.services.elb.ports import Instance

_PROTOCOLS = {
    "HTTP": dp.Protocol.HTTP,
    "HTTPS": dp.Protocol.HTTPS,
    "TCP": dp.Protocol.TCP,
    "SSL": dp.Protocol.TLS,
}
_NOBODY = "192.0.2.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where things are: the balancer's address in each subnet, the instances, the certificates' names."""

    addresses: Mapping[str, str]
    instances: Mapping[str, Instance] = field(default_factory=dict)
    certificates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def to_dataplane(balancer: LoadBalancer, places: Places) -> dp.Balancer:
    """The balancer as it is to be now. Instances that drain, are not known or in other zones get nothing."""
    attributes = balancer.attributes
    return dp.Balancer(
        id=balancer.traffic_id,
        kind=dp.BalancerKind.CLASSIC,
        addresses=tuple(
            dp.BindAddress(address=places.addresses[zone.subnet_id], zone=zone.name)
            for zone in balancer.zones
            if zone.subnet_id in places.addresses
        ),
        listeners=tuple(_listener(balancer, one, places) for one in balancer.listeners),
        groups=tuple(_group(balancer, one, places) for one in balancer.listeners),
        traffic=dp.Traffic(
            idle_timeout_seconds=attributes.idle_seconds,
            http2=False,
            desync=dp.Desync(attributes.desync),
            cross_zone=attributes.cross_zone,
        ),
        access_log=_access_log(balancer),
    )


def _access_log(balancer: LoadBalancer) -> dp.AccessLog | None:
    log = balancer.attributes.access_log
    if not log.enabled:
        return None
    return dp.AccessLog(
        bucket=log.bucket,
        prefix=log.prefix,
        minutes=log.minutes,
        account_id=balancer.account_id,
        region=balancer.region,
        dns_name=balancer.dns_name,
    )


def refusal(balancer: LoadBalancer) -> str | None:
    """Why the data plane cannot do this balancer; `None`: it can."""
    places = Places(addresses={zone.subnet_id: _NOBODY for zone in balancer.zones[:1]})
    made = to_dataplane(balancer, places)
    return translate([made], health_events_path="/").refused.get(made.id)


def _listener(balancer: LoadBalancer, one: Listener, places: Places) -> dp.Listener:
    forward = Forward(groups=(WeightedGroup(group_id=balancer.group_id(one.port)),))
    names, terms = places.certificates.get(one.certificate, ()), tls_of(balancer, one)
    return dp.Listener(
        id=str(one.port),
        protocol=_PROTOCOLS[one.protocol],
        port=one.port,
        rules=(Rule(id="default", action=forward),),
        certificates=(dp.Certificate(id=one.certificate, names=names),) if one.certificate else (),
        tls_policy=dp.TlsPolicy(versions=terms.versions, ciphers=terms.ciphers),
        tcp_idle_timeout_seconds=balancer.attributes.idle_seconds,
        server_header=False,
    )


def _group(balancer: LoadBalancer, one: Listener, places: Places) -> dp.TargetGroup:
    zones = {zone.name for zone in balancer.zones}
    known = [
        places.instances[held.instance_id]
        for held in balancer.registered
        if held.instance_id in places.instances
    ]
    is_http, is_told = one.protocol in ("HTTP", "HTTPS"), speaks_proxy(balancer, one)
    return dp.TargetGroup(
        id=balancer.group_id(one.port),
        protocol=_PROTOCOLS[one.instance_protocol],
        targets=tuple(
            dp.Target(address=place.address, port=one.instance_port, zone=place.zone)
            for place in known
            if place.address and place.zone in zones and place.state == "running"
        ),
        health_check=_check(balancer.health_check),
        stickiness=_stickiness(balancer, one),
        algorithm=dp.Algorithm.LEAST_OUTSTANDING_REQUESTS if is_http else dp.Algorithm.ROUND_ROBIN,
        minimum_healthy_count=0,
        proxy_protocol=is_told,
        proxy_protocol_v1=is_told,
    )


def _check(check: HealthCheck) -> dp.HealthCheck:
    protocol, _, rest = check.target.partition(":")
    port, slash, path = rest.partition("/")
    return dp.HealthCheck(
        protocol=_PROTOCOLS[protocol],
        port=int(port),
        path=f"{slash}{path}" or "/",
        interval_seconds=check.interval_seconds,
        timeout_seconds=check.timeout_seconds,
        healthy_threshold=check.healthy_threshold,
        unhealthy_threshold=check.unhealthy_threshold,
        trusts_first_pass=False,
    )


def _stickiness(balancer: LoadBalancer, listener: Listener) -> dp.Stickiness | None:
    known = {one.name: one for one in balancer.policies}
    for name in listener.policies:
        policy = known[name]
        if policy.type not in COOKIES:
            continue
        if policy.type == APP_COOKIE:
            return dp.Stickiness(
                kind=dp.StickinessKind.APP_COOKIE,
                cookie_name=policy.attributes[COOKIE_NAME],
                duration_seconds=0,
                classic=True,
            )
        seconds = int(policy.attributes.get(EXPIRATION, "0"))
        return dp.Stickiness(kind=dp.StickinessKind.LB_COOKIE, duration_seconds=seconds, classic=True)
    return None
