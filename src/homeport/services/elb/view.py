"""Classic Load Balancers as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeport.core.hosted_zones import HOSTED_ZONES
from homeport.services.elb.model import (
    APP_COOKIE,
    COOKIE_NAME,
    COOKIES,
    EXPIRATION,
    LB_COOKIE,
    Attributes,
    HealthCheck,
    Listener,
    LoadBalancer,
    Policy,
)

Answer = dict[str, Any]


def listener_view(one: Listener) -> Answer:
    """A listener."""
    view: Answer = {
        "Protocol": one.protocol,
        "LoadBalancerPort": one.port,
        "InstanceProtocol": one.instance_protocol,
        "InstancePort": one.instance_port,
    }
    return view | ({"SSLCertificateId": one.certificate} if one.certificate else {})


def check_view(check: HealthCheck) -> Answer:
    """A health check."""
    return {
        "Target": check.target,
        "Interval": check.interval_seconds,
        "Timeout": check.timeout_seconds,
        "UnhealthyThreshold": check.unhealthy_threshold,
        "HealthyThreshold": check.healthy_threshold,
    }


def _cookie_view(one: Policy) -> Answer:
    if one.type == APP_COOKIE:
        return {"PolicyName": one.name, "CookieName": one.attributes[COOKIE_NAME]}
    view: Answer = {"PolicyName": one.name}
    return view | ({EXPIRATION: int(one.attributes[EXPIRATION])} if EXPIRATION in one.attributes else {})


def balancer_view(one: LoadBalancer, group_name: str = "") -> Answer:
    """A load balancer; `group_name` is its first security group's."""
    zones = HOSTED_ZONES.get(one.region)
    view: Answer = {
        "LoadBalancerName": one.name,
        "DNSName": one.dns_name,
        "CanonicalHostedZoneName": one.dns_name,
        "ListenerDescriptions": [
            {"Listener": listener_view(listener), "PolicyNames": list(listener.policies)}
            for listener in one.listeners
        ],
        "Policies": {
            "AppCookieStickinessPolicies": [_cookie_view(p) for p in one.policies if p.type == APP_COOKIE],
            "LBCookieStickinessPolicies": [_cookie_view(p) for p in one.policies if p.type == LB_COOKIE],
            "OtherPolicies": [p.name for p in one.policies if p.type not in COOKIES],
        },
        "BackendServerDescriptions": [
            {"InstancePort": int(port), "PolicyNames": list(names)}
            for port, names in one.backend_policies.items()
        ],
        "AvailabilityZones": [zone.name for zone in one.zones],
        "Subnets": [zone.subnet_id for zone in one.zones],
        "VPCId": one.vpc_id,
        "Instances": [{"InstanceId": held.instance_id} for held in one.registered],
        "HealthCheck": check_view(one.health_check),
        "SecurityGroups": list(one.security_groups),
        "CreatedTime": one.created_at,
        "Scheme": one.scheme,
    }
    if zones:
        view["CanonicalHostedZoneNameID"] = zones[0]
    if group_name:
        view["SourceSecurityGroup"] = {"OwnerAlias": one.account_id, "GroupName": group_name}
    return view


def attributes_view(attributes: Attributes) -> Answer:
    """A load balancer's attributes."""
    draining: Answer = {"Enabled": attributes.draining, "Timeout": attributes.draining_seconds}
    desync = {"Key": "elb.http.desyncmitigationmode", "Value": attributes.desync}
    return {
        "CrossZoneLoadBalancing": {"Enabled": attributes.cross_zone},
        "AccessLog": _log_view(attributes),
        "ConnectionDraining": draining,
        "ConnectionSettings": {"IdleTimeout": attributes.idle_seconds},
        "AdditionalAttributes": [desync],
    }


def _log_view(attributes: Attributes) -> Answer:
    log = attributes.access_log
    view: Answer = {"Enabled": log.enabled}
    if log.bucket:
        view |= {"S3BucketName": log.bucket, "EmitInterval": log.minutes, "S3BucketPrefix": log.prefix}
    return view


def tags_view(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
