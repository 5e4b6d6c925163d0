"""State in, neutral model out: what a balancer's traffic depends on, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from homeport.dataplane import model as dp
from homeport.dataplane import rules as dpr
from homeport.services.elbv2.model.balancers import Listener
from homeport.services.elbv2.model.groups import Target, TargetGroup
from homeport.services.elbv2.model.rules import (
    Condition,
    FixedResponse,
    Forward,
    Jwt,
    Pair,
    Redirect,
    Rewrite,
    Rule,
    Weighted,
)
from homeport.services.elbv2.plan.attributes import BALANCER, group_attributes, listener_attributes
from homeport.services.elbv2.plan.to_dataplane import Places, Whole, next_change, refusal, to_dataplane
from tests.kit.elbv2_nouns import NOW, balancer, group, rule, to

PLACES = Places(
    addresses={"subnet-0a": "172.31.0.4", "subnet-0b": "172.31.16.4"},
    instances={"i-0": "172.31.0.10"},
    certificates={"cert": ("example.com",)},
)


def whole(*rules: Rule, group: TargetGroup, targets: tuple[Target, ...] = (), **listener: Any) -> Whole:
    made = Listener(arn="arn:listener/l1", balancer_arn="b", **{"protocol": "HTTP", "port": 80, **listener})
    kind = "application" if made.protocol.startswith("HTTP") else "network"
    return Whole(
        balancer=balancer(type=kind),
        listeners=((made, rules),),
        groups={group.arn: group},
        targets={group.arn: targets},
    )


def test_a_balancer_with_one_listener_and_its_targets() -> None:
    one = group()
    targets = (
        Target(target_id="i-0", port=8080, zone="us-east-1a", registered_at=NOW),
        Target(target_id="i-unknown", port=80, zone="us-east-1a", registered_at=NOW),
        Target(target_id="i-0", port=81, registered_at=NOW, drained_at=NOW + timedelta(seconds=1)),
        Target(target_id="i-0", port=82, registered_at=NOW, drained_at=NOW),
    )
    assert to_dataplane(whole(rule(0, to(one)), group=one, targets=targets), PLACES, NOW) == dp.Balancer(
        id="app/web/0123456789abcdef",
        kind=dp.BalancerKind.APPLICATION,
        hosts=("internal-web-1.elb.localhost", "internal-web-1.us-east-1.elb.amazonaws.com"),
        addresses=(
            dp.BindAddress(address="172.31.0.4", zone="us-east-1a"),
            dp.BindAddress(address="172.31.16.4", zone="us-east-1b"),
        ),
        listeners=(
            dp.Listener(
                id="l1",
                protocol=dp.Protocol.HTTP,
                port=80,
                rules=(
                    dpr.Rule(
                        id="0",
                        action=dpr.Forward(
                            groups=(dpr.WeightedGroup(group_id="targetgroup/app/0000000000000000"),)
                        ),
                    ),
                ),
            ),
        ),
        groups=(
            dp.TargetGroup(
                id="targetgroup/app/0000000000000000",
                targets=(
                    dp.Target(address="172.31.0.10", port=8080, zone="us-east-1a"),
                    dp.Target(address="172.31.0.10", port=81, draining=True),
                ),
            ),
        ),
    )


def test_every_condition_and_action_has_its_word() -> None:
    one = group()
    conditions = (
        Condition(field="host-header", values=("*.example.com",)),
        Condition(field="path-pattern", regexes=("^/a",)),
        Condition(field="http-header", header="x-a", values=("b",)),
        Condition(field="http-request-method", values=("GET",)),
        Condition(field="query-string", pairs=(Pair(key="k", value="v"), Pair(value="w"))),
        Condition(field="source-ip", values=("10.0.0.0/8",)),
    )
    weighted = Forward(groups=(Weighted(group_arn=one.arn, weight=5),), sticky=True, sticky_seconds=60)
    rewrite = Rewrite(type="url-rewrite", regex="^/a", replace="/b")
    jwt = Jwt(jwks_endpoint="https://id.example.com/keys", issuer="me")
    rules = (
        rule(3, weighted, conditions=conditions, transforms=(rewrite,)),
        rule(4, jwt, Redirect(status=301, port="443")),
        rule(0, FixedResponse(status=404, body="no")),
    )
    (listener,) = to_dataplane(whole(*rules, group=one), PLACES, NOW).listeners
    first, second, default = listener.rules
    assert first.conditions == (
        dpr.HostIs(patterns=("*.example.com",)),
        dpr.PathIs(regexes=("^/a",)),
        dpr.HeaderIs(name="x-a", patterns=("b",)),
        dpr.MethodIs(methods=("GET",)),
        dpr.QueryHas(pairs=(dpr.QueryPair(key="k", value="v"), dpr.QueryPair(value="w"))),
        dpr.SourceIs(cidrs=("10.0.0.0/8",)),
    )
    assert first.action == dpr.Forward(
        groups=(dpr.WeightedGroup(group_id=one.tail, weight=5),), sticky_seconds=60
    )
    assert first.rewrites == (dpr.Rewrite(of=dpr.RewriteOf.URL, regex="^/a", replacement="/b"),)
    assert second.guard == dpr.ValidateJwt(jwks_endpoint="https://id.example.com/keys", issuer="me")
    assert second.action == dpr.Redirect(status=301, port="443")
    assert (default.priority, default.action) == (None, dpr.FixedResponse(status=404, body="no"))


def test_a_secure_listener_has_its_policy_and_certificates_by_name() -> None:
    one = group()
    (made,) = to_dataplane(
        whole(
            rule(0, to(one)),
            group=one,
            protocol="HTTPS",
            certificate="cert",
            certificates=("other",),
            ssl_policy="ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
            attributes={
                "routing.http.response.x_frame_options.header_value": "DENY",
                "routing.http.response.server.enabled": "false",
            },
        ),
        PLACES,
        NOW,
    ).listeners
    assert made.certificates == (
        dp.Certificate(id="cert", names=("example.com",)),
        dp.Certificate(id="other"),
    )
    assert made.tls_policy.versions == ("TLSv1.3", "TLSv1.2")
    assert made.response_headers == (("X-Frame-Options", "DENY"),)
    assert made.server_header is False


def test_attributes_reach_the_traffic() -> None:
    values = {
        "idle_timeout.timeout_seconds": "7",
        "client_keep_alive.seconds": "61",
        "routing.http2.enabled": "false",
        "routing.http.drop_invalid_header_fields.enabled": "true",
        "routing.http.preserve_host_header.enabled": "true",
        "routing.http.xff_header_processing.mode": "remove",
        "routing.http.xff_client_port.enabled": "true",
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "true",
    }
    made = to_dataplane(Whole(balancer=balancer(attributes=values)), PLACES, NOW)
    assert made.traffic == dp.Traffic(
        idle_timeout_seconds=7,
        client_keep_alive_seconds=61,
        http2=False,
        drop_invalid_headers=True,
        preserve_host=True,
        forwarded_for=dp.ForwardedFor.REMOVE,
        forwarded_for_port=True,
        tls_version_headers=True,
    )


def test_attributes_reach_the_group() -> None:
    values = {
        "deregistration_delay.timeout_seconds": "1",
        "stickiness.enabled": "true",
        "stickiness.type": "app_cookie",
        "stickiness.app_cookie.cookie_name": "mine",
        "stickiness.app_cookie.duration_seconds": "9",
        "load_balancing.algorithm.type": "least_outstanding_requests",
        "load_balancing.cross_zone.enabled": "false",
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "2",
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "50",
    }
    check = {
        "HealthCheckPath": "/up",
        "HealthCheckPort": "9000",
        "HealthCheckIntervalSeconds": 10,
        "HealthCheckTimeoutSeconds": 3,
        "HealthyThresholdCount": 2,
        "UnhealthyThresholdCount": 4,
        "Matcher": {"HttpCode": "200,300-399"},
    }
    one = msgspec.structs.replace(group(ProtocolVersion="HTTP2", **check), attributes=values)
    (made,) = to_dataplane(whole(rule(0, to(one)), group=one), PLACES, NOW).groups
    assert made == dp.TargetGroup(
        id=one.tail,
        version=dp.ProtocolVersion.HTTP2,
        health_check=dp.HealthCheck(
            port=9000,
            path="/up",
            codes=((200, 200), (300, 399)),
            interval_seconds=10,
            timeout_seconds=3,
            healthy_threshold=2,
            unhealthy_threshold=4,
        ),
        deregistration_delay_seconds=1,
        stickiness=dp.Stickiness(kind=dp.StickinessKind.APP_COOKIE, duration_seconds=9, cookie_name="mine"),
        algorithm=dp.Algorithm.LEAST_OUTSTANDING_REQUESTS,
        cross_zone=False,
        minimum_healthy_count=2,
        minimum_healthy_percent=50,
    )


@pytest.mark.parametrize("protocol", ["TCP", "UDP", "TLS", "TCP_UDP"])
def test_network_balancers_forward_what_they_get(protocol: str) -> None:
    one = group(Protocol=protocol, TargetType="ip")
    target = Target(target_id="172.31.0.9", port=53, zone="all", registered_at=NOW)
    secure = {"certificate": "cert", "alpn": "HTTP2Only"} if protocol == "TLS" else {}
    state = whole(rule(0, to(one)), group=one, targets=(target,), protocol=protocol, port=53, **secure)
    made = to_dataplane(state, PLACES, NOW)
    assert made.kind is dp.BalancerKind.NETWORK
    assert made.traffic == dp.Traffic(cross_zone=False)
    assert made.groups[0].targets == (dp.Target(address="172.31.0.9", port=53),)
    assert made.groups[0].health_check == dp.HealthCheck(
        protocol=dp.Protocol.TCP, codes=(), timeout_seconds=10
    )
    assert refusal(state, NOW) is None


def test_the_next_change_by_time_alone_is_the_next_end_of_a_draining() -> None:
    one = group()
    ends = [NOW + timedelta(seconds=n) for n in (-1, 5, 3)]
    targets = tuple(
        Target(target_id="i-0", port=port, registered_at=NOW, drained_at=end)
        for port, end in enumerate([*ends, None], 1)
    )
    assert next_change(whole(rule(0, to(one)), group=one, targets=targets), NOW) == ends[2]
    assert next_change(whole(rule(0, to(one)), group=one), NOW) is None


def test_what_the_data_plane_cannot_do_is_said() -> None:
    one = group()
    good = whole(rule(0, to(one)), group=one)
    assert refusal(good, NOW) is None
    mixed = msgspec.structs.replace(one, attributes={"load_balancing.algorithm.anomaly_mitigation": "on"})
    assert "anomaly" in (refusal(whole(rule(0, to(mixed)), group=mixed), NOW) or "")


@pytest.mark.parametrize("kind", ["application", "network"])
def test_defaults_are_among_the_values_that_are_honoured(kind: str) -> None:
    tables = [BALANCER[kind]]
    tables += [group_attributes(protocol) for protocol in ("HTTP", "TCP", "UDP")]
    tables += [listener_attributes(protocol) for protocol in ("HTTP", "HTTPS", "TCP", "TLS")]
    for table in tables:
        for name, attribute in table.items():
            assert attribute.check(attribute.default), name
