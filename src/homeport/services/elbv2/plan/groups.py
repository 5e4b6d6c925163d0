"""A target group's settings, with their defaults. Pure.

Source: API Reference, CreateTargetGroup and ModifyTargetGroup; guides, "Health check settings".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from homeport.services.elbv2.errors import InvalidConfigurationRequest, UnsupportedProtocol, ValidationError
from homeport.services.elbv2.model.groups import INSTANCE, TRAFFIC_PORT, HealthCheck, TargetGroup
from homeport.services.elbv2.plan.requests import check_name, unsupported

Given = Mapping[str, Any]
HTTP = ("HTTP", "HTTPS")
STREAMS = ("TCP", "TLS", "UDP", "TCP_UDP")
GRPC_PATH = "/AWS.ALB/healthcheck"
_UNSUPPORTED = {
    "TargetControlPort": "there is no target optimizer",
}
_CODES = re.compile(r"[0-9]{1,3}(-[0-9]{1,3})?(,[0-9]{1,3}(-[0-9]{1,3})?)*\Z")
_HEALTH_MEMBERS: Mapping[str, str] = {
    "HealthCheckProtocol": "protocol",
    "HealthCheckPort": "port",
    "HealthCheckPath": "path",
    "HealthCheckIntervalSeconds": "interval_seconds",
    "HealthCheckTimeoutSeconds": "timeout_seconds",
    "HealthyThresholdCount": "healthy_threshold",
    "UnhealthyThresholdCount": "unhealthy_threshold",
}


def check_group(given: Given) -> None:
    """Raise for a target group that Homeport does not have, or that lacks something."""
    check_name(given["Name"], "Target group")
    unsupported(given, _UNSUPPORTED)
    kind = given.get("TargetType", INSTANCE)
    if kind in {"lambda", "alb"}:
        why = (
            "there is no Lambda" if kind == "lambda" else "register the balancer's addresses as 'ip' instead"
        )
        raise ValidationError(f"Target type '{kind}' is not supported by Homeport: {why}.")
    for member, noun in (("Protocol", "protocol"), ("Port", "port"), ("VpcId", "VPC ID")):
        if not given.get(member):
            raise ValidationError(f"A {noun} must be specified")
    if given["Protocol"] not in (*HTTP, *STREAMS):
        raise UnsupportedProtocol(f"Protocol '{given['Protocol']}' is not supported by Homeport.")
    if given.get("IpAddressType", "ipv4") != "ipv4":
        raise ValidationError(
            "Target group IP address type 'ipv6' is not supported by Homeport: VPCs have IPv4."
        )
    version = given.get("ProtocolVersion")
    if version and (given["Protocol"] not in HTTP or version not in {"HTTP1", "HTTP2", "GRPC"}):
        raise ValidationError(
            f"Protocol version '{version}' is not valid for the protocol '{given['Protocol']}': "
            "HTTP1, HTTP2 or GRPC with HTTP or HTTPS"
        )


def group_of(given: Given, *, account_id: str, region: str, suffix: str, tags: dict[str, str]) -> TargetGroup:
    """The target group that a request describes. Raise when it is not one."""
    check_group(given)
    protocol = given["Protocol"]
    version = given.get("ProtocolVersion", "HTTP1") if protocol in HTTP else ""
    return TargetGroup(
        account_id=account_id,
        region=region,
        name=given["Name"],
        suffix=suffix,
        protocol=protocol,
        protocol_version=version,
        port=given["Port"],
        vpc_id=given["VpcId"],
        target_type=given.get("TargetType", INSTANCE),
        health_check=_health_check(given, protocol, version),
        tags=tags,
    )


def _health_check(given: Given, protocol: str, version: str) -> HealthCheck:
    is_http = protocol in HTTP
    check = given.get("HealthCheckProtocol", "HTTP" if is_http else "TCP")
    base = HealthCheck(
        protocol=check,
        path="" if check == "TCP" else GRPC_PATH if version == "GRPC" else "/",
        interval_seconds=30,
        timeout_seconds=_timeout(protocol, check),
        healthy_threshold=5,
        unhealthy_threshold=2,
        http_codes="" if check == "TCP" or version == "GRPC" else "200" if is_http else "200-399",
        grpc_codes="12" if version == "GRPC" else "",
    )
    return _changed(base, given, protocol=protocol, version=version)


def _timeout(protocol: str, check: str) -> int:
    """The default in seconds: 5 for groups of HTTP; 6 for checks over HTTP of others, 10 for the rest.

    Source: Application Load Balancer guide, "Health check settings" (5); Network Load Balancer guide.
    """
    if protocol in HTTP:
        return 5
    return 6 if check == "HTTP" else 10


def modified(group: TargetGroup, given: Given) -> TargetGroup:
    """The group with other health checks. Raise when they cannot be."""
    check = group.health_check
    wanted = given.get("HealthCheckProtocol", check.protocol)
    if wanted != check.protocol and (wanted == "TCP") != (check.protocol == "TCP"):
        is_tcp = wanted == "TCP"
        check = msgspec.structs.replace(
            check, path="" if is_tcp else "/", http_codes="" if is_tcp else "200-399"
        )
    changed = _changed(check, given, protocol=group.protocol, version=group.protocol_version)
    return msgspec.structs.replace(group, health_check=changed)


def _changed(base: HealthCheck, given: Given, *, protocol: str, version: str) -> HealthCheck:
    if given.get("HealthCheckEnabled") is False:
        raise InvalidConfigurationRequest(
            "Health check enabled must be true for target groups with target type 'instance' or 'ip'"
        )
    members = {ours: given[theirs] for theirs, ours in _HEALTH_MEMBERS.items() if theirs in given}
    matcher = given.get("Matcher") or {}
    for theirs, ours in (("HttpCode", "http_codes"), ("GrpcCode", "grpc_codes")):
        if matcher.get(theirs):
            members[ours] = matcher[theirs]
    check = msgspec.structs.replace(base, **members)
    _check_health(check, protocol, version)
    return check


def _check_health(check: HealthCheck, protocol: str, version: str) -> None:
    if check.protocol not in {"HTTP", "HTTPS", "TCP"}:
        raise ValidationError(f"Health check protocol '{check.protocol}' must be one of 'HTTP, HTTPS, TCP'")
    if protocol in HTTP and check.protocol == "TCP":
        raise ValidationError(
            "Health check protocol 'TCP' is not supported for target groups of HTTP and HTTPS"
        )
    _check_times(check, protocol)
    if check.port != TRAFFIC_PORT and not (check.port.isdecimal() and 1 <= int(check.port) <= 65535):
        raise ValidationError(
            f"Health check port '{check.port}' must be '{TRAFFIC_PORT}' or in the range 1-65535"
        )
    if check.protocol == "TCP":
        if check.path or check.http_codes or check.grpc_codes:
            raise InvalidConfigurationRequest("A health check over TCP has no path and no matcher")
        return
    if not check.path.startswith("/"):
        raise ValidationError(f"Health check path '{check.path}' must start with '/'")
    if version == "GRPC":
        _check_codes("gRPC", check.grpc_codes, 0, 99)
        if check.http_codes:
            raise InvalidConfigurationRequest("The matcher of a target group of GRPC is GrpcCode")
        return
    if check.grpc_codes:
        raise InvalidConfigurationRequest("GrpcCode is for target groups of the protocol version GRPC")
    _check_codes("HTTP", check.http_codes, 200, 499 if protocol in HTTP else 599)


def _check_times(check: HealthCheck, protocol: str) -> None:
    """Groups of application balancers need the longer interval; for others both may be the same.

    Observed: a group of TCP, whose timeout is 10 seconds by default, can have an interval of 10.
    """
    timeout, interval = check.timeout_seconds, check.interval_seconds
    if timeout > interval or (timeout == interval and protocol in HTTP):
        words = "smaller than" if protocol in HTTP else "smaller than or equal to"
        raise ValidationError(f"Health check timeout '{timeout}' must be {words} the interval '{interval}'")


def _check_codes(noun: str, codes: str, low: int, high: int) -> None:
    good = bool(_CODES.match(codes)) and all(low <= a <= b <= high for a, b in code_ranges(codes))
    if not good:
        raise ValidationError(
            f"Health check {noun} code '{codes}' must be within '{low}-{high}' inclusive: values as "
            f"'{low},{low + 2}' or ranges such as '{low}-{high}'"
        )


def code_ranges(codes: str) -> tuple[tuple[int, int], ...]:
    """`200,300-399` as ranges with both ends in them."""
    parts = [part.partition("-") for part in codes.split(",")]
    return tuple((int(first), int(last or first)) for first, _, last in parts)
