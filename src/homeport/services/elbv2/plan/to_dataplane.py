"""A load balancer as the data plane's neutral model has it, and whether the data plane can do it. Pure.

Whatever the API accepts must have an effect: `refusal` asks the data plane's own translation, before a
change is committed, so that there is one place that knows what it can do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from homeport.dataplane import model as dp
from homeport.dataplane import rules as dpr
from homeport.dataplane.translate import translate
from homeport.services.elbv2.model.balancers import APPLICATION, Listener, LoadBalancer
from homeport.services.elbv2.model.groups import ANY_ZONE, INSTANCE, TRAFFIC_PORT, Target, TargetGroup
from homeport.services.elbv2.model.rules import (
    Action,
    Condition,
    FixedResponse,
    Forward,
    Jwt,
    Oidc,
    Redirect,
    Rule,
)
from homeport.services.elbv2.plan.attributes import (
    ACCESS_LOGS,
    BALANCER,
    BUCKET,
    CONNECTION_LOGS,
    ENABLED,
    PREFIX,
    RESPONSE_HEADERS,
    SERVER_HEADER,
    TCP_IDLE,
    effective,
    group_attributes,
    listener_attributes,
)
from homeport.services.elbv2.plan.groups import code_ranges
from homeport.services.elbv2.plan.tls import POLICIES

_HEALTHY = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"
_NOBODY = "192.0.2.1"
"""An address that is nobody's (RFC 5737): to ask whether a balancer can be done at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A balancer with everything that its traffic depends on. Groups and targets by the group's ARN."""

    balancer: LoadBalancer
    listeners: tuple[tuple[Listener, tuple[Rule, ...]], ...] = ()
    groups: Mapping[str, TargetGroup] = field(default_factory=dict)
    targets: Mapping[str, tuple[Target, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where things are: the balancer's address in each subnet, and the instances' own, by their ids.

    `certificates` says what names each is good for, by ARN.
    """

    addresses: Mapping[str, str]
    instances: Mapping[str, str] = field(default_factory=dict)
    certificates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def to_dataplane(whole: Whole, places: Places, now: datetime) -> dp.Balancer:
    """The balancer as it is to be at `now`.

    Left out are zones that have no address yet and instances that are not known.
    """
    balancer = whole.balancer
    values = effective(BALANCER[balancer.type], balancer.attributes)
    named = dict.fromkeys(arn for _, rules in whole.listeners for rule in rules for arn in rule.groups)
    return dp.Balancer(
        id=balancer.tail,
        kind=dp.BalancerKind(balancer.type),
        addresses=tuple(
            dp.BindAddress(address=places.addresses[zone.subnet_id], zone=zone.name)
            for zone in balancer.zones
            if zone.subnet_id in places.addresses
        ),
        listeners=tuple(_listener(one, rules, whole, places) for one, rules in whole.listeners),
        groups=tuple(
            _group(whole.groups[arn], whole.targets.get(arn, ()), places, now) for arn in sorted(named)
        ),
        traffic=_traffic(balancer, values),
        hosts=(balancer.local_name, balancer.dns_name),
        access_log=_log(balancer, values, ACCESS_LOGS),
        connection_log=_log(balancer, values, CONNECTION_LOGS),
    )


def next_change(whole: Whole, now: datetime) -> datetime | None:
    """When time alone changes the balancer: the next draining target is gone then."""
    ends = [t.drained_at for held in whole.targets.values() for t in held if t.drained_at is not None]
    return min((end for end in ends if end > now), default=None)


def refusal(whole: Whole, now: datetime) -> str | None:
    """Why the data plane cannot do this balancer; `None`: it can."""
    places = Places(addresses={zone.subnet_id: _NOBODY for zone in whole.balancer.zones[:1]})
    made = to_dataplane(whole, places, now)
    return translate([made], health_events_path="/").refused.get(made.id)


def _log(balancer: LoadBalancer, values: Mapping[str, str], kind: str) -> dp.AccessLog | None:
    if values.get(f"{kind}{ENABLED}") != "true":
        return None
    return dp.AccessLog(
        bucket=values[f"{kind}{BUCKET}"],
        prefix=values[f"{kind}{PREFIX}"],
        account_id=balancer.account_id,
        region=balancer.region,
        dns_name=balancer.dns_name,
    )


def _traffic(balancer: LoadBalancer, values: Mapping[str, str]) -> dp.Traffic:
    cross_zone = values["load_balancing.cross_zone.enabled"] == "true"
    if balancer.type != APPLICATION:
        return dp.Traffic(cross_zone=cross_zone)

    def is_on(name: str) -> bool:
        return values[f"routing.http.{name}.enabled"] == "true"

    return dp.Traffic(
        idle_timeout_seconds=int(values["idle_timeout.timeout_seconds"]),
        client_keep_alive_seconds=int(values["client_keep_alive.seconds"]),
        http2=values["routing.http2.enabled"] == "true",
        drop_invalid_headers=is_on("drop_invalid_header_fields"),
        preserve_host=is_on("preserve_host_header"),
        forwarded_for=dp.ForwardedFor(values["routing.http.xff_header_processing.mode"]),
        forwarded_for_port=is_on("xff_client_port"),
        desync=dp.Desync(values["routing.http.desync_mitigation_mode"]),
        tls_version_headers=is_on("x_amzn_tls_version_and_cipher_suite"),
        cross_zone=cross_zone,
    )


# Listeners


def _listener(listener: Listener, rules: tuple[Rule, ...], whole: Whole, places: Places) -> dp.Listener:
    values = effective(listener_attributes(listener.protocol), listener.attributes)
    arns = (listener.certificate, *listener.certificates) if listener.is_secure else ()
    policy = POLICIES.get(listener.ssl_policy)
    tls = dp.TlsPolicy() if policy is None else dp.TlsPolicy(versions=policy.versions, ciphers=policy.ciphers)
    return dp.Listener(
        id=listener.arn.rpartition("/")[2],
        protocol=dp.Protocol(listener.protocol),
        port=listener.port,
        rules=tuple(_rule(rule, whole) for rule in rules),
        certificates=tuple(dp.Certificate(id=arn, names=places.certificates.get(arn, ())) for arn in arns),
        tls_policy=tls,
        alpn=dp.Alpn(listener.alpn or "None"),
        tcp_idle_timeout_seconds=int(values.get(TCP_IDLE, "350")),
        server_header=values.get(SERVER_HEADER, "true") == "true",
        response_headers=tuple(
            (header, values[name]) for name, header in RESPONSE_HEADERS.items() if values.get(name)
        ),
    )


def _rule(rule: Rule, whole: Whole) -> dpr.Rule:
    *guards, last = rule.actions
    return dpr.Rule(
        id=rule.arn.rpartition("/")[2],
        priority=None if rule.is_default else rule.priority,
        conditions=tuple(map(_condition, rule.conditions)),
        guard=_guard(guards[0], rule) if guards else None,
        action=_action(last, whole),
        rewrites=tuple(
            dpr.Rewrite(
                of=dpr.RewriteOf.HOST if one.type == "host-header-rewrite" else dpr.RewriteOf.URL,
                regex=one.regex,
                replacement=one.replace,
            )
            for one in rule.transforms
        ),
    )


def _condition(one: Condition) -> dpr.Condition:
    match one.field:
        case "host-header":
            return dpr.HostIs(patterns=one.values, regexes=one.regexes)
        case "path-pattern":
            return dpr.PathIs(patterns=one.values, regexes=one.regexes)
        case "http-header":
            return dpr.HeaderIs(name=one.header, patterns=one.values, regexes=one.regexes)
        case "http-request-method":
            return dpr.MethodIs(methods=one.values)
        case "query-string":
            return dpr.QueryHas(pairs=tuple(dpr.QueryPair(key=p.key, value=p.value) for p in one.pairs))
        case _:
            return dpr.SourceIs(cidrs=one.values)


def _action(action: Action, whole: Whole) -> dpr.Action:
    match action:
        case Forward():
            groups = tuple(
                dpr.WeightedGroup(group_id=whole.groups[one.group_arn].tail, weight=one.weight)
                for one in action.groups
            )
            return dpr.Forward(groups=groups, sticky_seconds=action.sticky_seconds if action.sticky else None)
        case Redirect():
            return dpr.Redirect(
                status=action.status,
                protocol=action.protocol,
                host=action.host,
                port=action.port,
                path=action.path,
                query=action.query,
            )
        case FixedResponse():
            return dpr.FixedResponse(
                status=action.status, content_type=action.content_type or "text/plain", body=action.body
            )
        case _:
            raise TypeError(f"a rule does not end with {type(action).__name__}")


def _guard(action: Action, rule: Rule) -> dpr.AuthenticateOidc | dpr.ValidateJwt:
    match action:
        case Oidc():
            return dpr.AuthenticateOidc(
                issuer=action.issuer,
                authorization_endpoint=action.authorization_endpoint,
                token_endpoint=action.token_endpoint,
                user_info_endpoint=action.user_info_endpoint,
                client_id=action.client_id,
                secret_id=rule.arn,
                scope=action.scope,
                session_cookie_name=action.cookie,
                session_timeout_seconds=action.timeout_seconds,
                extra_parameters=action.parameters,
                unauthenticated=dpr.UnauthenticatedRequest(action.unauthenticated),
            )
        case Jwt():
            claims = tuple(
                dpr.Claim(name=one.name, values=one.values, format=dpr.ClaimFormat(one.format))
                for one in action.claims
            )
            return dpr.ValidateJwt(jwks_endpoint=action.jwks_endpoint, issuer=action.issuer, claims=claims)
        case _:
            raise TypeError(f"a rule does not begin with {type(action).__name__}")


# Target groups


def _group(group: TargetGroup, targets: tuple[Target, ...], places: Places, now: datetime) -> dp.TargetGroup:
    values = effective(group_attributes(group.protocol), group.attributes)
    percent = values[f"{_HEALTHY}.percentage"]
    cross_zone = values["load_balancing.cross_zone.enabled"]
    return dp.TargetGroup(
        id=group.tail,
        protocol=dp.Protocol(group.protocol),
        version=dp.ProtocolVersion(group.protocol_version or "HTTP1"),
        targets=_targets(group, targets, places, now),
        health_check=_health_check(group),
        deregistration_delay_seconds=int(values["deregistration_delay.timeout_seconds"]),
        slow_start_seconds=int(values.get("slow_start.duration_seconds", "0")),
        stickiness=_stickiness(values),
        algorithm=dp.Algorithm(values.get("load_balancing.algorithm.type", "round_robin")),
        anomaly_mitigation=values.get("load_balancing.algorithm.anomaly_mitigation") == "on",
        cross_zone=None if cross_zone.startswith("use_") else cross_zone == "true",
        minimum_healthy_count=int(values[f"{_HEALTHY}.count"]),
        minimum_healthy_percent=0 if percent == "off" else int(percent),
        proxy_protocol=values.get("proxy_protocol_v2.enabled") == "true",
    )


def _targets(
    group: TargetGroup, targets: tuple[Target, ...], places: Places, now: datetime
) -> tuple[dp.Target, ...]:
    found: list[dp.Target] = []
    for target in targets:
        address: str | None = target.target_id
        if group.target_type == INSTANCE:
            address = places.instances.get(target.target_id)
        if address and not target.is_gone(now):
            zone = "" if target.zone == ANY_ZONE else target.zone
            draining = target.drained_at is not None
            found.append(dp.Target(address=address, port=target.port, zone=zone, draining=draining))
    return tuple(found)


def _health_check(group: TargetGroup) -> dp.HealthCheck:
    check = group.health_check
    codes = check.grpc_codes or check.http_codes
    return dp.HealthCheck(
        protocol=dp.Protocol(check.protocol),
        port=None if check.port == TRAFFIC_PORT else int(check.port),
        path=check.path or "/",
        codes=code_ranges(codes) if codes else (),
        interval_seconds=check.interval_seconds,
        timeout_seconds=check.timeout_seconds,
        healthy_threshold=check.healthy_threshold,
        unhealthy_threshold=check.unhealthy_threshold,
    )


def _stickiness(values: Mapping[str, str]) -> dp.Stickiness | None:
    if values["stickiness.enabled"] != "true":
        return None
    kind = dp.StickinessKind(values["stickiness.type"])
    if kind is dp.StickinessKind.SOURCE_IP:
        return dp.Stickiness(kind=kind)
    return dp.Stickiness(
        kind=kind,
        duration_seconds=int(values[f"stickiness.{kind.value}.duration_seconds"]),
        cookie_name=values["stickiness.app_cookie.cookie_name"] if kind.value == "app_cookie" else "",
    )
