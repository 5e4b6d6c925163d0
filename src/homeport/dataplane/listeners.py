"""A balancer's listeners on each of its addresses."""

from __future__ import annotations

from homeport.dataplane import access_logs, answers, logins, scripts, tokens, versions
from homeport.dataplane.clusters import ADS, HEADERS_MAX, cluster_name, zone_of
from homeport.dataplane.counters import request_counters
from homeport.dataplane.errors import UntranslatableError
from homeport.dataplane.matches import CLIENT_ADDRESS, needs_client_address
from homeport.dataplane.model import (
    Alpn,
    Balancer,
    BalancerKind,
    BindAddress,
    Listener,
    Protocol,
    StickinessKind,
)
from homeport.dataplane.routes import HOST_FILTER, SESSION_FILTER, rewrites_host
from homeport.dataplane.rules import Forward, Redirect
from homeport.dataplane.types import Body, seconds, typed

REQUEST_HEADERS_KIB = 64
DEFAULT_PORTS = (80, 443)
UDP_IDLE_SECONDS = 120
"""Source: Network Load Balancer guide, UDP flows idle timeout 120 seconds."""
ALPN = {
    Alpn.NONE: [],
    Alpn.HTTP1_ONLY: ["http/1.1", "http/1.0"],
    Alpn.HTTP2_ONLY: ["h2"],
    Alpn.HTTP2_OPTIONAL: ["http/1.1", "http/1.0", "h2"],
    Alpn.HTTP2_PREFERRED: ["h2", "http/1.1", "http/1.0"],
}
_VERSIONS = {"TLSv1": "TLSv1_0", "TLSv1.1": "TLSv1_1", "TLSv1.2": "TLSv1_2", "TLSv1.3": "TLSv1_3"}
CIPHERS = frozenset(
    {
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA",
        "ECDHE-RSA-AES256-SHA",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "AES128-SHA",
        "AES256-SHA",
    }
)
"""What the proxy's TLS library has; a policy's others (CBC with SHA-256, DES) are not offered."""


def listener_name(balancer: Balancer, listener: Listener, address: BindAddress, transport: str = "") -> str:
    """A listener on one address: what a rejection names."""
    suffix = f"/{transport}" if transport else ""
    return f"{balancer.id}|{listener.port}|{address.address}{suffix}"


def routes_name(balancer: Balancer, listener: Listener, zone: str) -> str:
    """The rules of a listener, of one zone where zones are kept apart."""
    return f"{balancer.id}|{listener.port}" + (f"@{zone}" if zone else "")


def routing_zone(balancer: Balancer, address: BindAddress) -> str:
    """The zone of the rules' routes for what comes in at `address`: "" if no group keeps zones apart."""
    apart = any(zone_of(balancer, group, address.zone) for group in balancer.groups)
    return address.zone if apart else ""


def listeners(balancer: Balancer, listener: Listener, address: BindAddress) -> list[Body]:
    """The listener at one address; two where it takes connections and datagrams."""
    match listener.protocol:
        case Protocol.HTTP | Protocol.HTTPS:
            return [_stream(balancer, listener, address, _http_filters(balancer, listener, address))]
        case Protocol.TCP | Protocol.TLS:
            return [_stream(balancer, listener, address, [_tcp_filter(balancer, listener, address)])]
        case Protocol.UDP:
            return [_datagram(balancer, listener, address)]
        case Protocol.TCP_UDP:
            tcp = _stream(balancer, listener, address, [_tcp_filter(balancer, listener, address)])
            return [tcp, _datagram(balancer, listener, address)]


def _stream(balancer: Balancer, listener: Listener, address: BindAddress, filters: list[Body]) -> Body:
    place = {"address": address.address, "port_value": listener.port}
    body: Body = {
        "name": listener_name(balancer, listener, address),
        "stat_prefix": f"{balancer.id}|{listener.port}",
        "address": {"socket_address": place},
        "filter_chains": [{"name": "all", "filters": filters}],
        **access_logs.accepted(balancer, listener, address),
    }
    if listener.protocol in (Protocol.HTTPS, Protocol.TLS):
        inspector = typed("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector")
        named = {"name": "envoy.filters.listener.tls_inspector", "typed_config": inspector}
        body["listener_filters"] = [named]
        body["filter_chains"] = _tls_chains(balancer, listener, filters)
    return body


def _tls_chains(balancer: Balancer, listener: Listener, filters: list[Body]) -> list[Body]:
    """A chain for each certificate's names, the first certificate for whoever asks for none of them."""
    if not listener.certificates:
        raise UntranslatableError(f"listener {listener.id} has no certificate")
    default, *others = listener.certificates
    chains: list[Body] = []
    taken: set[str] = set()
    for certificate in others:
        names = [name for name in certificate.names if name not in taken]
        taken.update(names)
        if names:
            chain = _tls_chain(balancer, listener, certificate.id, filters)
            chains.append({"name": certificate.id, "filter_chain_match": {"server_names": names}, **chain})
    return [*chains, {"name": default.id, **_tls_chain(balancer, listener, default.id, filters)}]


def _tls_chain(balancer: Balancer, listener: Listener, certificate_id: str, filters: list[Body]) -> Body:
    policy = listener.tls_policy
    ordered = [version for version in _VERSIONS if version in policy.versions]
    if not ordered:
        raise UntranslatableError(f"no TLS version of {policy.versions} is known")
    parameters: Body = {
        "tls_minimum_protocol_version": _VERSIONS[ordered[0]],
        "tls_maximum_protocol_version": _VERSIONS[ordered[-1]],
    }
    ciphers = [cipher for cipher in policy.ciphers if cipher in CIPHERS]
    if ciphers:
        parameters["cipher_suites"] = ciphers
    elif policy.ciphers and ordered != ["TLSv1.3"]:
        raise UntranslatableError(f"none of the ciphers {', '.join(policy.ciphers)} is available")
    if listener.protocol is Protocol.HTTPS:
        alpn = ["h2", "http/1.1"] if balancer.traffic.http2 else ["http/1.1"]
    else:
        alpn = ALPN[listener.alpn]
    common: Body = {
        "tls_params": parameters,
        "tls_certificate_sds_secret_configs": [{"name": certificate_id, "sds_config": ADS}],
    }
    if alpn:
        common["alpn_protocols"] = alpn
    config = typed(
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", common_tls_context=common
    )
    socket = {"name": "envoy.transport_sockets.tls", "typed_config": config}
    return {"filters": filters, "transport_socket": socket}


def _http_filters(balancer: Balancer, listener: Listener, address: BindAddress) -> list[Body]:
    filters: list[Body] = []
    if any(needs_client_address(rule.conditions) for rule in listener.rules):
        filters.append(_client_address())
    manager = _manager(balancer, listener, address)
    filters.append({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager})
    return filters


def _client_address() -> Body:
    source = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"
    value = {
        "object_key": CLIENT_ADDRESS,
        "factory_key": "envoy.network.ip",
        "format_string": {"text_format_source": {"inline_string": source}},
    }
    config = typed("envoy.extensions.filters.network.set_filter_state.v3.Config", on_new_connection=[value])
    return {"name": "envoy.filters.network.set_filter_state", "typed_config": config}


def _manager(balancer: Balancer, listener: Listener, address: BindAddress) -> Body:
    traffic = balancer.traffic
    idle = seconds(traffic.idle_timeout_seconds)
    zone = routing_zone(balancer, address)
    return typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=f"{balancer.id}|{listener.port}",
        codec_type=_codec(balancer, listener),
        rds={"config_source": ADS, "route_config_name": routes_name(balancer, listener, zone)},
        use_remote_address=True,
        internal_address_config={"unix_sockets": False},
        skip_xff_append=True,
        server_header_transformation="PASS_THROUGH",
        generate_request_id=False,
        stream_idle_timeout=idle,
        request_headers_timeout=idle,
        common_http_protocol_options={
            "idle_timeout": idle,
            "max_connection_duration": seconds(traffic.client_keep_alive_seconds),
            "max_headers_count": HEADERS_MAX,
            "headers_with_underscores_action": "DROP_HEADER" if traffic.drop_invalid_headers else "ALLOW",
        },
        http_protocol_options=_http1(address),
        max_request_headers_kb=REQUEST_HEADERS_KIB,
        **_host(balancer, listener),
        upgrade_configs=[{"upgrade_type": "websocket"}],
        local_reply_config=answers.local_replies(server=listener.server_header),
        access_log=[
            *request_counters(balancer.id, grpc=versions.speak_http2(listener, balancer.traffic)),
            *access_logs.requests(balancer, listener, address),
        ],
        http_filters=_request_filters(balancer, listener),
    )


def _codec(balancer: Balancer, listener: Listener) -> str:
    if listener.prior_knowledge:
        return "HTTP2"
    return "AUTO" if listener.protocol is Protocol.HTTPS and balancer.traffic.http2 else "HTTP1"


def _host(balancer: Balancer, listener: Listener) -> Body:
    """On a default port a port in the Host header goes, unless the header is to be preserved.

    Source: Application Load Balancer guide, "Host header preservation". A port that a client left out is not
    added on other ports.
    """
    strips = balancer.kind is BalancerKind.APPLICATION and not balancer.traffic.preserve_host
    return {"strip_any_host_port": True} if strips and listener.port in DEFAULT_PORTS else {}


def _http1(address: BindAddress) -> Body:
    case = typed("envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig")
    formatter = {"name": "envoy.http.stateful_header_formatters.preserve_case", "typed_config": case}
    return {
        "accept_http_10": True,
        "allow_custom_methods": True,
        "default_host_for_http_10": address.address,
        "header_key_format": {"stateful_formatter": formatter},
    }


def _request_filters(balancer: Balancer, listener: Listener) -> list[Body]:
    actions = [rule.action for rule in listener.rules]
    forwards = [action for action in actions if isinstance(action, Forward)]
    used = {one.group_id for action in forwards for one in action.groups}
    sticky = any(
        group.id in used
        and group.stickiness is not None
        and group.stickiness.kind is not StickinessKind.SOURCE_IP
        for group in balancer.groups
    )
    filters = access_logs.as_sent(balancer, listener)
    filters += [*tokens.filters(balancer, listener), *logins.filters(listener)]
    filters += versions.filters(listener, balancer.traffic, {one.id: one for one in balancer.groups})
    if any(rewrites_host(rule) for rule in listener.rules):
        config = typed("envoy.extensions.filters.http.header_to_metadata.v3.Config")
        filters.append({"name": HOST_FILTER, "typed_config": config})
    redirects = any(isinstance(action, Redirect) for action in actions)
    if sticky or redirects or any(action.sticky_seconds is not None for action in forwards):
        filters.append(scripts.lua_filter())
    if sticky:
        config = typed("envoy.extensions.filters.http.stateful_session.v3.StatefulSession")
        filters.append({"name": SESSION_FILTER, "typed_config": config, "disabled": True})
    router = typed("envoy.extensions.filters.http.router.v3.Router", suppress_envoy_headers=True)
    filters.append({"name": "envoy.filters.http.router", "typed_config": router})
    return filters


# Network balancers


def _forward(listener: Listener) -> Forward:
    for rule in listener.rules:
        if isinstance(rule.action, Forward):
            return rule.action
    raise UntranslatableError(f"listener {listener.id} forwards to no group")


def _weights(balancer: Balancer, listener: Listener, address: BindAddress) -> list[Body]:
    groups = {group.id: group for group in balancer.groups}
    return [
        {"name": cluster_name(balancer, groups[one.group_id], address.zone), "weight": one.weight}
        for one in _forward(listener).groups
        if one.weight
    ]


def _tcp_filter(balancer: Balancer, listener: Listener, address: BindAddress) -> Body:
    weights = _weights(balancer, listener, address)
    if not weights:
        raise UntranslatableError(f"listener {listener.id} gives all its groups the weight 0")
    to = (
        {"cluster": weights[0]["name"]} if len(weights) == 1 else {"weighted_clusters": {"clusters": weights}}
    )
    config = typed(
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        stat_prefix=f"{balancer.id}|{listener.port}",
        idle_timeout=seconds(listener.tcp_idle_timeout_seconds),
        max_connect_attempts=1 + _retries(balancer, listener),
        **to,
        **_flow_hash(balancer, listener),
        **access_logs.connections(balancer, listener, address),
    )
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": config}


def _retries(balancer: Balancer, listener: Listener) -> int:
    used = {one.group_id for one in _forward(listener).groups}
    asked = (group.resilience for group in balancer.groups if group.id in used)
    return max((one.retries for one in asked if one is not None), default=0)


def _flow_hash(balancer: Balancer, listener: Listener) -> Body:
    used = {one.group_id for one in _forward(listener).groups}
    sticky = [group for group in balancer.groups if group.id in used and group.stickiness is not None]
    return {"hash_policy": [{"source_ip": {}}]} if sticky else {}


def _datagram(balancer: Balancer, listener: Listener, address: BindAddress) -> Body:
    weights = _weights(balancer, listener, address)
    if len(weights) != 1:
        raise UntranslatableError("datagrams go to one group; several with weights are not supported")
    route = typed("envoy.extensions.filters.udp.udp_proxy.v3.Route", cluster=weights[0]["name"])
    hashes = _flow_hash(balancer, listener)
    if hashes:
        hashes = {"hash_policies": [{"source_ip": True}]}
    config = typed(
        "envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig",
        stat_prefix=f"{balancer.id}|{listener.port}",
        matcher={"on_no_match": {"action": {"name": "to", "typed_config": route}}},
        idle_timeout=seconds(UDP_IDLE_SECONDS),
        **hashes,
    )
    place = {"protocol": "UDP", "address": address.address, "port_value": listener.port}
    return {
        "name": listener_name(balancer, listener, address, "udp"),
        "stat_prefix": f"{balancer.id}|{listener.port}",
        "address": {"socket_address": place},
        "listener_filters": [{"name": "envoy.filters.udp_listener.udp_proxy", "typed_config": config}],
    }
