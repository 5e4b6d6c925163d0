"""A listener's rules as routes, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from homeport.dataplane import access_logs, answers, logins, scripts, tokens, versions
from homeport.dataplane.matches import header, route_match
from homeport.dataplane.model import (
    ForwardedFor,
    Listener,
    ProtocolVersion,
    Stickiness,
    StickinessKind,
    TargetGroup,
    Traffic,
)
from homeport.dataplane.rules import AuthenticateOidc, FixedResponse, Forward, Redirect, RewriteOf, Rule
from homeport.dataplane.types import Body, digest, seconds, typed

FORWARDED_FOR_MAX = 30
"""Addresses in X-Forwarded-For; with more a request is answered with 463."""
WEIGHT_MAX = 999
OURS, HOST = "homeport", "host"
"""Where a rewritten Host header lies on its way."""
HOST_FILTER = "envoy.filters.http.header_to_metadata"
SESSION_FILTER = "envoy.filters.http.stateful_session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where rules are asked: a listener, how its balancer treats requests, and what groups are called.

    `logs_in`: a rule of the balancer lets clients log in. `logged`: what becomes of requests is written down.
    """

    listener: Listener
    traffic: Traffic
    groups: dict[str, TargetGroup]
    cluster_of: Callable[[TargetGroup], str]
    balancer_id: str = ""
    logs_in: bool = False
    logged: bool = False


def in_order(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """By priority, the default last."""
    return tuple(sorted(rules, key=lambda rule: (rule.priority is None, rule.priority or 0)))


def route_configuration(name: str, place: Place) -> Body:
    """All of a listener's rules."""
    traffic = place.traffic
    routes = _refusals(server=place.listener.server_header)
    routes += logins.callback(place.balancer_id, place.listener)
    for rule in in_order(place.listener.rules):
        routes += _routes(rule, place)
    body: Body = {
        "name": name,
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}],
        "request_headers_to_add": _request_headers(place),
        "request_headers_to_remove": _removed(traffic),
    }
    if place.listener.response_headers:
        body["response_headers_to_add"] = [_set(key, value) for key, value in place.listener.response_headers]
        body["most_specific_header_mutations_wins"] = True
    return body


def _set(name: str, value: str, action: str = "OVERWRITE_IF_EXISTS_OR_ADD") -> Body:
    return {"header": {"key": name, "value": value}, "append_action": action}


def _removed(traffic: Traffic) -> list[str]:
    ours = ["x-envoy-external-address", "x-envoy-internal"]
    return [*ours, "x-forwarded-for"] if traffic.forwarded_for is ForwardedFor.REMOVE else ours


def _request_headers(place: Place) -> list[Body]:
    traffic, listener = place.traffic, place.listener
    found = [_set("x-forwarded-port", str(listener.port))]
    if traffic.forwarded_for is ForwardedFor.APPEND:
        port = "" if traffic.forwarded_for_port else "_WITHOUT_PORT"
        client = f"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS{port}%"
        found.append(_set("x-forwarded-for", client, "APPEND_IF_EXISTS_OR_ADD"))
    if traffic.tls_version_headers and listener.certificates:
        found.append(_set("x-amzn-tls-version", "%DOWNSTREAM_TLS_VERSION%"))
        found.append(_set("x-amzn-tls-cipher-suite", "%DOWNSTREAM_TLS_CIPHER%"))
    return found


def _refusals(*, server: bool) -> list[Body]:
    many = header("x-forwarded-for", f"(?:[^,]*,){{{FORWARDED_FOR_MAX},}}[^,]*")
    return [
        {
            "name": "trace",
            "match": {"prefix": "", "headers": [{"name": ":method", "string_match": {"exact": "TRACE"}}]},
            **answers.direct(405, server=server),
        },
        {
            "name": "forwarded-for",
            "match": {"prefix": "", "headers": [many]},
            **answers.direct(463, server=server),
        },
    ]


def _routes(rule: Rule, place: Place) -> list[Body]:
    guard = tokens.of_rule(rule) | logins.of_rule(rule, place.balancer_id, place.listener)
    routes = [_guarded(route, guard) for route in _unguarded(rule, place)]
    if place.logged:
        routes = access_logs.marked(routes, access_logs.of_rule(rule))
    if place.logs_in and not isinstance(rule.guard, AuthenticateOidc):
        return [{**route, "request_headers_to_remove": list(logins.HEADERS)} for route in routes]
    return routes


def _guarded(route: Body, guard: Body) -> Body:
    if not guard:
        return route
    return {**route, "typed_per_filter_config": {**route.get("typed_per_filter_config", {}), **guard}}


def _unguarded(rule: Rule, place: Place) -> list[Body]:
    match = route_match(rule.conditions)
    server = place.listener.server_header
    match rule.action:
        case FixedResponse(status=status, content_type=kind, body=body):
            return [{"name": rule.id, "match": match, **answers.fixed(status, kind, body, server=server)}]
        case Redirect():
            return [{"name": rule.id, "match": match, **_redirect(rule.action, place)}]
        case Forward():
            return _forwards(rule, rule.action, match, place)


def _redirect(to: Redirect, place: Place) -> Body:
    plain = place.listener.protocol.value
    context = {
        "status": str(to.status),
        "protocol": to.protocol,
        "host": to.host,
        "port": to.port,
        "path": to.path,
        "query": to.query,
        "from_protocol": plain.lower(),
        "from_port": str(place.listener.port),
        "server": answers.SERVER if place.listener.server_header else "",
    }
    unseen = {"direct_response": {"status": to.status}}
    return {**unseen, "typed_per_filter_config": scripts.run(scripts.REDIRECT, context)}


def _forwards(rule: Rule, action: Forward, match: Body, place: Place) -> list[Body]:
    groups = [place.groups[one.group_id] for one in action.groups]
    takes = {group.version for group in groups}
    if ProtocolVersion.HTTP1 not in takes or not versions.speak_http2(place.listener, place.traffic):
        return _to_groups(rule, action, match, place)
    # Only requests that say that they are gRPC's are asked what they are.
    of_grpc = _to_groups(rule, action, {**match, "grpc": {}}, place, grpc=True)
    return [*of_grpc, *_to_groups(rule, action, match, place)]


def _to_groups(rule: Rule, action: Forward, match: Body, place: Place, *, grpc: bool = False) -> list[Body]:
    routes: list[Body] = []
    if action.sticky_seconds is not None:
        for one in action.groups:
            group = place.groups[one.group_id]
            token = group_token(rule, group)
            known = header("cookie", rf"(?:\C*;\s*)?AWSALBTG(?:CORS)?={token}(?:\s*;\C*)?")
            stays = {**match, "headers": [*match.get("headers", []), known]}
            routes.append(_route(rule, stays, [(group, 1)], place, action.sticky_seconds, grpc=grpc))
    weights = [(place.groups[one.group_id], one.weight) for one in action.groups if one.weight]
    if weights:
        return [*routes, _route(rule, match, weights, place, action.sticky_seconds, grpc=grpc)]
    refusal = answers.direct(503, server=place.listener.server_header)
    return [*routes, {"name": rule.id, "match": match, **refusal}]


def group_token(rule: Rule, group: TargetGroup) -> str:
    """What a client's cookie calls its group, per rule."""
    return digest([rule.id, group.id])


def _route(
    rule: Rule,
    match: Body,
    weights: Sequence[tuple[TargetGroup, int]],
    place: Place,
    sticky: int | None,
    *,
    grpc: bool,
) -> Body:
    action: Body = {
        "timeout": seconds(place.traffic.request_timeout_seconds),
        "idle_timeout": seconds(place.traffic.idle_timeout_seconds),
        **_rewrites(rule),
        **_hash(weights),
        **_retries(weights),
    }
    filters: Body = {}
    if len(weights) == 1:
        group = weights[0][0]
        action["cluster"] = place.cluster_of(group)
        filters = _session(rule, group, sticky) | versions.of_group(group, grpc=grpc)
    else:
        parts = []
        for group, weight in weights:
            part: Body = {"name": place.cluster_of(group), "weight": weight}
            if per_group := _session(rule, group, sticky) | versions.of_group(group, grpc=grpc):
                part["typed_per_filter_config"] = per_group
            parts.append(part)
        action["weighted_clusters"] = {"clusters": parts}
    filters |= _host(rule)
    body: Body = {"name": rule.id, "match": match, "route": action}
    return {**body, "typed_per_filter_config": filters} if filters else body


def _hash(weights: Sequence[tuple[TargetGroup, int]]) -> Body:
    kinds = {group.stickiness.kind for group, _ in weights if group.stickiness is not None}
    if StickinessKind.SOURCE_IP in kinds:
        return {"hash_policy": [{"connection_properties": {"source_ip": True}}]}
    return {}


def _retries(weights: Sequence[tuple[TargetGroup, int]]) -> Body:
    """Requests that no target has seen are tried with another one."""
    most = max((group.resilience.retries for group, _ in weights if group.resilience is not None), default=0)
    if not most:
        return {}
    elsewhere = typed("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate")
    policy = {
        "retry_on": "connect-failure,refused-stream,reset-before-request",
        "num_retries": most,
        "retry_host_predicate": [
            {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": elsewhere}
        ],
        "host_selection_retry_max_attempts": 5,
    }
    return {"retry_policy": policy}


def _rewrites(rule: Rule) -> Body:
    found: Body = {}
    for rewrite in rule.rewrites:
        to = _groups_of(rewrite.replacement)
        change = {"pattern": {"regex": rewrite.regex}, "substitution": to}
        match rewrite.of:
            case RewriteOf.URL:
                found["regex_rewrite"] = change
            case RewriteOf.HOST:
                found["host_rewrite"] = f"%DYNAMIC_METADATA({OURS}:{HOST})%"
    return found


def rewrites_host(rule: Rule) -> bool:
    """Whether the rule's targets are told another Host."""
    return any(rewrite.of is RewriteOf.HOST for rewrite in rule.rewrites)


def _host(rule: Rule) -> Body:
    """What a filter is to read of the Host header, for the route to write: routes have no expressions."""
    for rewrite in rule.rewrites:
        if rewrite.of is RewriteOf.HOST:
            change = {"pattern": {"regex": rewrite.regex}, "substitution": _groups_of(rewrite.replacement)}
            kept = {"metadata_namespace": OURS, "key": HOST, "regex_value_rewrite": change}
            rules = [{"header": ":authority", "on_header_present": kept}]
            kind = "envoy.extensions.filters.http.header_to_metadata.v3.Config"
            return {HOST_FILTER: typed(kind, request_rules=rules)}
    return {}


def _groups_of(replacement: str) -> str:
    out = replacement.replace("\\", "\\\\")
    for number in range(10):
        out = out.replace(f"${number}", f"\\{number}")
    return out


def session_of(stickiness: Stickiness | None) -> Body:
    """What the session script is to know of a group's stickiness."""
    if stickiness is None or stickiness.kind is StickinessKind.SOURCE_IP:
        return {}
    own = {"cookie": "AWSALB", "cors": "AWSALBCORS"}
    if stickiness.classic:
        own = {"cookie": "AWSELB", "cors": "AWSELBCORS", "once": "yes"}
    elif stickiness.kind is StickinessKind.APP_COOKIE:
        own = {"cookie": "AWSALBAPP-0"}
    app = {"app": stickiness.cookie_name} if stickiness.kind is StickinessKind.APP_COOKIE else {}
    return {**own, **app, "seconds": stickiness.duration_seconds}


def _session(rule: Rule, group: TargetGroup, sticky: int | None) -> Body:
    context = session_of(group.stickiness)
    found: Body = {}
    if context:
        cookie = typed(
            "envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState",
            cookie={"name": context["cookie"], "path": "/"},
        )
        state = typed(
            "envoy.extensions.filters.http.stateful_session.v3.StatefulSession",
            session_state={"name": "envoy.http.stateful_session.cookie", "typed_config": cookie},
        )
        state.pop("@type")
        per_route = typed(
            "envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute",
            stateful_session=state,
        )
        found[SESSION_FILTER] = typed("envoy.config.route.v3.FilterConfig", config=per_route)
    if sticky is not None:
        context |= {"group": group_token(rule, group), "group_seconds": sticky}
    return {**found, **scripts.run(scripts.SESSION, context)} if context else {}
