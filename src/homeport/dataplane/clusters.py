"""Target groups as the proxy knows them: how to choose and reach targets, how to check them, who they are.

A group's name holds a digest of its settings: other settings are another group, that takes over when it
is ready, while targets come and go within one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from homeport.dataplane.errors import UntranslatableError
from homeport.dataplane.model import (
    Algorithm,
    Balancer,
    BalancerKind,
    HealthCheck,
    Protocol,
    ProtocolVersion,
    Resilience,
    StickinessKind,
    Target,
    TargetGroup,
)
from homeport.dataplane.types import Body, digest, seconds, typed

CONNECT_SECONDS = 10
"""Source: Application Load Balancer guide, HTTP 504: connection timeout 10 seconds."""
UNLIMITED = 1_000_000_000
ENCRYPTED = frozenset({Protocol.HTTPS, Protocol.TLS})
RESPONSE_HEADERS_KIB = 32
HEADERS_MAX = 16_384
"""No limit: more than fit into 64 KiB. The proxy's own is 100, the guide has limits of their size only."""
ADS: Body = {"ads": {}, "resource_api_version": "V3"}
HEALTH_EVENTS = "homeport.health"
GRPC_HEALTH = "/grpc.health.v1.Health/Check"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What targets' checks have led to, by cluster and key.

    `rounds`: how many times a target was made known anew. The proxy keeps no health of a target whose
    place is another, and checks it at once, as for the first time; what it has begun goes on.
    `withheld`: who gets no traffic, whatever the proxy finds.
    """

    rounds: Mapping[tuple[str, str], int] = field(default_factory=dict)
    withheld: frozenset[tuple[str, str]] = frozenset()


NO_STANDING = Standing()


def in_service(group: TargetGroup, zone: str | None) -> tuple[Target, ...]:
    """Who may get something new, of `zone` (None for all), in an order that does not matter to anybody."""
    found = {t.key: t for t in group.targets if not t.draining and (not zone or t.zone in ("", zone))}
    return tuple(found[key] for key in sorted(found))


def zone_of(balancer: Balancer, group: TargetGroup, zone: str) -> str:
    """The zone whose targets a listening address of `zone` uses; "" for all."""
    crosses = balancer.traffic.cross_zone if group.cross_zone is None else group.cross_zone
    return "" if crosses else zone


def cluster_name(balancer: Balancer, group: TargetGroup, zone: str) -> str:
    """`group#settings`, and `@zone` where zones are kept apart."""
    of = zone_of(balancer, group, zone)
    settings = _settings(balancer, group, of)
    return f"{group.id}#{digest(settings)}" + (f"@{of}" if of else "")


def group_of(name: str) -> str:
    """The group's id in a cluster's name."""
    return name.partition("#")[0]


def cluster(balancer: Balancer, group: TargetGroup, zone: str, events_path: str) -> Body:
    """The group's settings under its name."""
    of = zone_of(balancer, group, zone)
    settings = _settings(balancer, group, of)
    checks = [{**check, **_told_at(events_path)} for check in settings.get("health_checks", [])]
    name = cluster_name(balancer, group, zone)
    named: Body = {**settings, "name": name, "alt_stat_name": group.id}
    if checks:
        named["health_checks"] = checks
    return named


def endpoints(balancer: Balancer, group: TargetGroup, zone: str, standing: Standing = NO_STANDING) -> Body:
    """The targets that may get something new."""
    name = cluster_name(balancer, group, zone)
    places: dict[int, list[Body]] = {}
    for target in in_service(group, zone_of(balancer, group, zone)):
        at = (name, target.key)
        body = _endpoint(target, group.health_check)
        if at in standing.withheld:
            body["health_status"] = "UNHEALTHY"
        places.setdefault(standing.rounds.get(at, 0), []).append(body)
    found: list[Body] = [
        {"lb_endpoints": places[count]} | ({"locality": {"sub_zone": f"{count}"}} if count else {})
        for count in sorted(places)
    ]
    return {"cluster_name": name} | ({"endpoints": found} if found else {})


def _told_at(events_path: str) -> Body:
    sink = typed(
        "envoy.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink",
        event_log_path=events_path,
    )
    return {
        "event_logger": [{"name": HEALTH_EVENTS, "typed_config": sink}],
        "always_log_health_check_failures": True,
    }


def _settings(balancer: Balancer, group: TargetGroup, zone: str) -> Body:
    limit = {"priority": "DEFAULT"} | dict.fromkeys(
        ("max_connections", "max_pending_requests", "max_requests", "max_retries"), UNLIMITED
    )
    body: Body = {
        "type": "EDS",
        "eds_cluster_config": {"eds_config": ADS},
        "connect_timeout": seconds(
            CONNECT_SECONDS if group.resilience is None else group.resilience.connect_seconds
        ),
        "circuit_breakers": {"thresholds": [limit]},
        "common_lb_config": {"healthy_panic_threshold": {"value": panic_percent(group, zone)}},
        "ignore_health_on_host_removal": True,
        **_source(balancer, zone),
        **_choice(balancer, group),
    }
    if group.resilience is not None:
        body["outlier_detection"] = _ejection(group.resilience)
    if group.health_check is not None:
        body["health_checks"] = [_check(group, group.health_check)]
        if (matches := _check_transport(group, group.health_check)) is not None:
            body["transport_socket_matches"] = matches
    if group.protocol in (Protocol.HTTP, Protocol.HTTPS):
        body["typed_extension_protocol_options"] = _http(balancer, group)
    if (transport := _transport(group)) is not None:
        body["transport_socket"] = transport
    return body


def _ejection(how: Resilience) -> Body:
    """Only what the proxy itself meets counts: targets may answer what they like."""
    answers = ("consecutive_5xx", "consecutive_gateway_failure", "success_rate", "local_origin_success_rate")
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": how.failures,
        "base_ejection_time": seconds(how.eject_seconds),
        "max_ejection_time": seconds(how.eject_seconds_max),
        "max_ejection_percent": 100,
        **{f"enforcing_{one}": 0 for one in answers},
    }


def source_address(balancer: Balancer, zone: str) -> str:
    """Where connections to targets come from (of `zone`, "" for all): groups may let the balancer in."""
    found = [one.address for one in balancer.addresses if zone in ("", one.zone)]
    return found[0] if found else ""


def _source(balancer: Balancer, zone: str) -> Body:
    address = source_address(balancer, zone)
    return (
        {"upstream_bind_config": {"source_address": {"address": address, "port_value": 0}}} if address else {}
    )


def panic_percent(group: TargetGroup, zone: str) -> int:
    """Below how many percent of healthy targets all registered ones are used.

    The proxy compares `100 * healthy / all < percent` in whole percents: one healthy target of up to 100
    is exact, and so is every count as long as there are not more than 100.
    """
    count = group.minimum_healthy_count
    everyone = len(in_service(group, zone))
    by_count = 1 if count <= 1 or not everyone else min(100, 100 * (count - 1) // everyone + 1)
    return max(by_count if count > 0 else 0, group.minimum_healthy_percent)


def _choice(balancer: Balancer, group: TargetGroup) -> Body:
    if group.anomaly_mitigation:
        raise UntranslatableError("anomaly mitigation of weighted_random is not supported")
    if group.stickiness is not None and group.stickiness.kind is StickinessKind.SOURCE_IP:
        return {"lb_policy": "MAGLEV"}
    if balancer.kind is BalancerKind.NETWORK and group.resilience is None:
        return {"lb_policy": "RANDOM"}
    slow = {"slow_start_config": {"slow_start_window": seconds(group.slow_start_seconds)}}
    slow = slow if group.slow_start_seconds else {}
    match group.algorithm:
        case Algorithm.ROUND_ROBIN:
            return {"lb_policy": "ROUND_ROBIN"} | ({"round_robin_lb_config": slow} if slow else {})
        case Algorithm.LEAST_OUTSTANDING_REQUESTS:
            return {"lb_policy": "LEAST_REQUEST"} | ({"least_request_lb_config": slow} if slow else {})
        case Algorithm.WEIGHTED_RANDOM:
            return {"lb_policy": "RANDOM"}


def _http(balancer: Balancer, group: TargetGroup) -> Body:
    if group.version is ProtocolVersion.HTTP1:
        case = typed("envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig")
        formatter = {"name": "envoy.http.stateful_header_formatters.preserve_case", "typed_config": case}
        how: Body = {"http_protocol_options": {"header_key_format": {"stateful_formatter": formatter}}}
    else:
        how = {"http2_protocol_options": {}}
    kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    options = typed(
        kind,
        explicit_http_config=how,
        common_http_protocol_options={
            "idle_timeout": seconds(balancer.traffic.idle_timeout_seconds),
            "max_response_headers_kb": RESPONSE_HEADERS_KIB,
            "max_headers_count": HEADERS_MAX,
        },
    )
    return {kind: options}


def _tls(alpn: Iterable[str] = ()) -> Body:
    protocols = list(alpn)
    context = {"common_tls_context": {"alpn_protocols": protocols}} if protocols else {}
    config = typed("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", **context)
    return {"name": "envoy.transport_sockets.tls", "typed_config": config}


def _plain() -> Body:
    config = typed("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer")
    return {"name": "envoy.transport_sockets.raw_buffer", "typed_config": config}


def _transport(group: TargetGroup) -> Body | None:
    inner = None
    if group.protocol in ENCRYPTED:
        inner = _tls(("h2",) if group.version is not ProtocolVersion.HTTP1 else ())
    if not group.proxy_protocol:
        return inner
    config = typed(
        "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
        config={"version": "V1" if group.proxy_protocol_v1 else "V2"},
        transport_socket=inner or _plain(),
    )
    return {"name": "envoy.transport_sockets.upstream_proxy_protocol", "typed_config": config}


def _differs(group: TargetGroup, check: HealthCheck) -> bool:
    return (check.protocol in ENCRYPTED) != (group.protocol in ENCRYPTED) or group.proxy_protocol


def _check_transport(group: TargetGroup, check: HealthCheck) -> list[Body] | None:
    if not _differs(group, check):
        return None
    socket = _tls() if check.protocol in ENCRYPTED else _plain()
    return [{"name": "check", "match": {"check": True}, "transport_socket": socket}]


def _check(group: TargetGroup, check: HealthCheck) -> Body:
    body: Body = {
        "timeout": seconds(check.timeout_seconds),
        "interval": seconds(check.interval_seconds),
        "no_traffic_interval": seconds(check.interval_seconds),
        "unhealthy_threshold": check.unhealthy_threshold,
        "healthy_threshold": check.healthy_threshold,
        "reuse_connection": False,
    }
    if not check.trusts_first_pass:
        body["always_log_health_check_success"] = True
    if _differs(group, check):
        body["transport_socket_match_criteria"] = {"check": True}
    if check.protocol not in (Protocol.HTTP, Protocol.HTTPS):
        return {**body, "tcp_health_check": {}}
    if group.version is ProtocolVersion.GRPC:
        if check.path != GRPC_HEALTH or check.codes != ((0, 0),):
            raise UntranslatableError(
                f"a gRPC health check of {check.path} is not supported: use {GRPC_HEALTH} with matcher 0"
            )
        return {**body, "grpc_health_check": {}}
    agent = {"header": {"key": "user-agent", "value": "ELB-HealthChecker/2.0"}}
    http: Body = {
        "path": check.path,
        "expected_statuses": [{"start": low, "end": high + 1} for low, high in check.codes],
        "retriable_statuses": [{"start": 100, "end": 600}],
        "request_headers_to_add": [{**agent, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
    }
    if group.version is not ProtocolVersion.HTTP1:
        http["codec_client_type"] = "HTTP2"
    return {**body, "http_health_check": http}


def _endpoint(target: Target, check: HealthCheck | None) -> Body:
    place = {"address": target.address, "port_value": target.port}
    endpoint: Body = {"address": {"socket_address": place}}
    if check is not None:
        port = check.port or target.port
        endpoint["health_check_config"] = {"hostname": f"{target.key.rpartition(':')[0]}:{port}"}
        if port != target.port:
            endpoint["health_check_config"]["port_value"] = port
    return {"endpoint": endpoint}
