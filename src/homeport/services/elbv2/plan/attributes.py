"""Attributes: which there are, for what, within what range, and what Homeport can do of them. Pure.

Sources: API Reference, LoadBalancerAttribute, TargetGroupAttribute, ListenerAttribute; guides, "attributes".
An attribute that Homeport cannot honour keeps its default: another value is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from homeport.dataplane.buckets import bucket_fault, prefix_fault
from homeport.services.elbv2.errors import InvalidConfigurationRequest, ValidationError

Check = Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """`values` says in words what `check` lets through. `only_default`: why no other is supported."""

    check: Check
    default: str
    values: str
    only_default: str = ""


def _words(*words: str) -> tuple[Check, str]:
    return frozenset(words).__contains__, f"one of {', '.join(words)}"


def _numbers(low: int, high: int, *also: int | str) -> tuple[Check, str]:
    words = frozenset(map(str, also))

    def check(value: str) -> bool:
        return value in words or (bool(re.fullmatch(r"[0-9]{1,9}", value)) and low <= int(value) <= high)

    return check, " or ".join([*sorted(words), f"a number from {low} to {high}"])


def _one_of(words: Sequence[str], default: str, only: str = "") -> Attribute:
    check, values = _words(*words)
    return Attribute(check=check, default=default, values=values, only_default=only)


def _flag(default: str = "false", only: str = "") -> Attribute:
    return _one_of(("true", "false"), default, only)


def _number(low: int, high: int, default: int, *also: int | str, only: str = "") -> Attribute:
    check, values = _numbers(low, high, *also)
    return Attribute(check=check, default=str(default), values=values, only_default=only)


def _text(default: str = "", longest: int = 1024, only: str = "") -> Attribute:
    return Attribute(
        check=lambda value: len(value) <= longest and value.isprintable(),
        default=default,
        values=f"a text of at most {longest} characters",
        only_default=only,
    )


def _fault(fault: Callable[[str], str], values: str) -> Attribute:
    """A text with which nothing is wrong, or none."""
    return Attribute(check=lambda value: not value or not fault(value), default="", values=values)


def _log(kind: str) -> dict[str, Attribute]:
    return {
        f"{kind}{ENABLED}": _flag(),
        f"{kind}{BUCKET}": _fault(bucket_fault, "the name of a bucket"),
        f"{kind}{PREFIX}": _fault(prefix_fault, "a prefix without a slash at its ends and without AWSLogs"),
    }


_NO_LOGS = "of a load balancer's logs there are access logs and connection logs only"
ACCESS_LOGS, CONNECTION_LOGS = "access_logs.s3.", "connection_logs.s3."
ENABLED, BUCKET, PREFIX = "enabled", "bucket", "prefix"
"""What follows these two."""
_NO_SHIFT = "there is no zonal shift"
_NO_IPV6 = "there is no internet gateway that IPv6 traffic comes from"

_ALL_BALANCERS: Mapping[str, Attribute] = {
    **_log(ACCESS_LOGS),
    "deletion_protection.enabled": _flag(),
    "ipv6.deny_all_igw_traffic": _flag(only=_NO_IPV6),
    "zonal_shift.config.enabled": _flag(only=_NO_SHIFT),
}

BALANCER: Mapping[str, Mapping[str, Attribute]] = {
    "application": {
        **_ALL_BALANCERS,
        "load_balancing.cross_zone.enabled": _flag("true", "an application load balancer always has it"),
        "idle_timeout.timeout_seconds": _number(1, 4000, 60),
        "client_keep_alive.seconds": _number(60, 604800, 3600),
        **_log(CONNECTION_LOGS),
        "health_check_logs.s3.enabled": _flag(only=_NO_LOGS),
        "health_check_logs.s3.bucket": _text(only=_NO_LOGS),
        "health_check_logs.s3.prefix": _text(only=_NO_LOGS),
        "routing.http.desync_mitigation_mode": _one_of(
            ("monitor", "defensive", "strictest"),
            "defensive",
            "requests that two servers could read in two ways are always refused",
        ),
        "routing.http.drop_invalid_header_fields.enabled": _flag(),
        "routing.http.preserve_host_header.enabled": _flag(),
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": _flag(),
        "routing.http.xff_client_port.enabled": _flag(),
        "routing.http.xff_header_processing.mode": _one_of(("append", "preserve", "remove"), "append"),
        "routing.http2.enabled": _flag("true"),
        "waf.fail_open.enabled": _flag(only="there is no web application firewall"),
    },
    "network": {
        **_ALL_BALANCERS,
        "load_balancing.cross_zone.enabled": _flag("false"),
        "dns_record.client_routing_policy": _one_of(
            (
                "any_availability_zone",
                "availability_zone_affinity",
                "partial_availability_zone_affinity",
            ),
            "any_availability_zone",
            "names are answered the same in every zone",
        ),
        "secondary_ips.auto_assigned.per_subnet": _number(
            0, 7, 0, only="a balancer has one address in each subnet"
        ),
    },
}
"""By a load balancer's type, in the order in which they are shown."""

_HEALTH: Mapping[str, Attribute] = {
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": _number(1, 1000, 1),
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": Attribute(
        check=_numbers(1, 100, "off")[0], default="off", values=_numbers(1, 100, "off")[1]
    ),
    "target_group_health.dns_failover.minimum_healthy_targets.count": _number(
        1, 1000, 1, "off", only="names are answered the same whatever the targets' health"
    ),
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": Attribute(
        check=_numbers(1, 100, "off")[0],
        default="off",
        values=_numbers(1, 100, "off")[1],
        only_default="names are answered the same whatever the targets' health",
    ),
}
_STICKINESS_TYPES = frozenset(
    {"lb_cookie", "app_cookie", "source_ip", "source_ip_dest_ip", "source_ip_dest_ip_proto"}
)
_CROSS_ZONE = _one_of(("true", "false", "use_load_balancer_configuration"), "use_load_balancer_configuration")

_HTTP_GROUP: Mapping[str, Attribute] = {
    "deregistration_delay.timeout_seconds": _number(0, 3600, 300),
    "stickiness.enabled": _flag(),
    "stickiness.type": _one_of(("lb_cookie", "app_cookie"), "lb_cookie"),
    "stickiness.lb_cookie.duration_seconds": _number(1, 604800, 86400),
    "stickiness.app_cookie.cookie_name": _text(longest=256),
    "stickiness.app_cookie.duration_seconds": _number(1, 604800, 86400),
    "slow_start.duration_seconds": _number(30, 900, 0, 0),
    "load_balancing.algorithm.type": _one_of(
        ("round_robin", "least_outstanding_requests", "weighted_random"), "round_robin"
    ),
    "load_balancing.algorithm.anomaly_mitigation": _one_of(("on", "off"), "off"),
    "load_balancing.cross_zone.enabled": _CROSS_ZONE,
    **_HEALTH,
}

_NOT_LATER = "what becomes of a connection when its target leaves cannot be chosen"


def _stream_group(protocol: str) -> dict[str, Attribute]:
    is_udp = "UDP" in protocol
    return {
        "deregistration_delay.timeout_seconds": _number(0, 3600, 300),
        "deregistration_delay.connection_termination.enabled": _flag(
            "true" if is_udp else "false", _NOT_LATER
        ),
        "preserve_client_ip.enabled": _flag(
            only="targets see the load balancer's address; proxy_protocol_v2.enabled tells them the client's"
        ),
        "proxy_protocol_v2.enabled": _flag(),
        "stickiness.enabled": _flag(),
        "stickiness.type": _one_of(("source_ip",), "source_ip"),
        "load_balancing.cross_zone.enabled": _CROSS_ZONE,
        "target_health_state.unhealthy.connection_termination.enabled": _flag(
            "false" if is_udp else "true", _NOT_LATER
        ),
        "target_health_state.unhealthy.draining_interval_seconds": _number(0, 360000, 0, only=_NOT_LATER),
        **_HEALTH,
    }


def group_attributes(protocol: str) -> Mapping[str, Attribute]:
    """Those of a target group, in the order in which they are shown."""
    return _HTTP_GROUP if protocol in {"HTTP", "HTTPS"} else _stream_group(protocol)


_RESPONSE = "routing.http.response."
_CORS = (
    "access_control_allow_origin",
    "access_control_allow_methods",
    "access_control_allow_headers",
    "access_control_allow_credentials",
    "access_control_expose_headers",
    "access_control_max_age",
)
_SECURITY = (
    "content_security_policy",
    "x_content_type_options",
    "x_frame_options",
    "strict_transport_security",
)
_MUTUAL = (
    "x_amzn_mtls_clientcert_serial_number",
    "x_amzn_mtls_clientcert_issuer",
    "x_amzn_mtls_clientcert_subject",
    "x_amzn_mtls_clientcert_validity",
    "x_amzn_mtls_clientcert_leaf",
    "x_amzn_mtls_clientcert",
)
_TLS_NAMES = ("x_amzn_tls_version", "x_amzn_tls_cipher_suite")

RESPONSE_HEADERS: Mapping[str, str] = {
    f"{_RESPONSE}{name}.header_value": "-".join(word.capitalize() for word in name.split("_"))
    for name in (*_CORS, *_SECURITY)
}
"""Attributes that set a header of every answer, and the header."""
SERVER_HEADER = f"{_RESPONSE}server.enabled"
TCP_IDLE = "tcp.idle_timeout.seconds"


def listener_attributes(protocol: str) -> Mapping[str, Attribute]:
    """Those of a listener, in the order in which they are shown."""
    if protocol == "TCP":
        return {TCP_IDLE: _number(60, 6000, 350)}
    if protocol not in {"HTTP", "HTTPS"}:
        return {}
    found: dict[str, Attribute] = {SERVER_HEADER: _flag("true")}
    for name in RESPONSE_HEADERS:
        if protocol == "HTTPS" or "strict_transport_security" not in name:
            found[name] = _text()
    if protocol == "HTTPS":
        for name in _MUTUAL:
            found[f"routing.http.request.{name}.header_name"] = _text(only="there is no mutual TLS")
        for name in _TLS_NAMES:
            found[f"routing.http.request.{name}.header_name"] = _text(
                only="the headers keep their names: x-amzn-tls-version and x-amzn-tls-cipher-suite"
            )
    return found


def effective(known: Mapping[str, Attribute], held: Mapping[str, str]) -> dict[str, str]:
    """All attributes with their values, those that were not set with their defaults."""
    return {name: held.get(name, one.default) for name, one in known.items()}


def changed(
    known: Mapping[str, Attribute],
    held: Mapping[str, str],
    given: Sequence[Mapping[str, str]],
    noun: str,
    *,
    protocol: str = "",
) -> dict[str, str]:
    """`held` with these attributes laid over it. Raise for one that is unknown or may not be so.

    `protocol` is a target group's.
    """
    after = dict(held)
    names = [one.get("Key", "") for one in given]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InvalidConfigurationRequest(f"Attribute key '{twice}' is specified more than once")
    for one in given:
        name, value = one.get("Key", ""), one.get("Value", "")
        attribute = known.get(name)
        if attribute is None:
            raise InvalidConfigurationRequest(f"{noun} attribute key '{name}' is not recognized")
        if name == "stickiness.type":
            _check_stickiness(value, attribute, protocol)
        if value != attribute.default and not attribute.check(value):
            raise ValidationError(f"{noun} attribute '{name}' must be {attribute.values}, not '{value}'")
        if attribute.only_default and value != attribute.default:
            raise InvalidConfigurationRequest(
                f"{noun} attribute '{name}' can only be '{attribute.default}': {attribute.only_default}."
            )
        after[name] = value
    return after


def check_attributes(values: Mapping[str, str]) -> None:
    """Raise for values of a balancer that do not go together. `values` are all of them."""
    for kind in (ACCESS_LOGS, CONNECTION_LOGS):
        if values.get(f"{kind}{ENABLED}") == "true" and not values[f"{kind}{BUCKET}"]:
            raise InvalidConfigurationRequest(f"You must specify {kind}{BUCKET} when {kind}{ENABLED} is true")


def _check_stickiness(value: str, attribute: Attribute, protocol: str) -> None:
    """Source: the text as clients of AWS have met it, with a type of another kind of balancer."""
    if value in _STICKINESS_TYPES and not attribute.check(value):
        raise InvalidConfigurationRequest(
            f"Stickiness type '{value}' is not supported for target groups with the {protocol} protocol"
        )


def check_group(values: Mapping[str, str]) -> None:
    """Raise for values of a target group that do not go together. `values` are all of them."""
    algorithm = values.get("load_balancing.algorithm.type", "round_robin")
    if values.get("slow_start.duration_seconds", "0") != "0" and algorithm != "round_robin":
        raise InvalidConfigurationRequest(
            f"Slow start mode is not supported with the load balancing algorithm '{algorithm}'"
        )
    if values.get("load_balancing.algorithm.anomaly_mitigation") == "on" and algorithm != "weighted_random":
        raise InvalidConfigurationRequest(
            "Anomaly mitigation is only supported with the load balancing algorithm 'weighted_random'"
        )
    cookie = values.get("stickiness.app_cookie.cookie_name", "")
    if cookie.startswith("AWSALB"):
        raise InvalidConfigurationRequest(f"The cookie name '{cookie}' is reserved for the load balancer")
    if cookie and not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", cookie):
        raise InvalidConfigurationRequest(f"The cookie name '{cookie}' is not valid")
    if (
        values.get("stickiness.enabled") == "true"
        and values.get("stickiness.type") == "app_cookie"
        and not cookie
    ):
        raise InvalidConfigurationRequest(
            "You must specify stickiness.app_cookie.cookie_name when stickiness.type is app_cookie"
        )
