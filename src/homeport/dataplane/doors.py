"""The machine's own way to balancers: one listener a port on loopback, for all balancers that listen on it.

Who asks for a balancer by its name there is handed on to the balancer's own address, as a client that is
the machine itself: the balancer's rules, limits and security groups decide as for everybody. Requests are
told apart by their Host header, encrypted connections by the name that they ask for (SNI): those are
handed on as they are, with the balancer's certificate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from homeport.dataplane.clusters import ADS, HEADERS_MAX, UNLIMITED
from homeport.dataplane.model import Balancer, Protocol
from homeport.dataplane.types import Body, seconds, typed

LOOPBACK = "127.0.0.1"
_CONNECT_SECONDS = 10
_HEADERS_KIB = 96
_ENCRYPTED = frozenset({Protocol.HTTPS, Protocol.TLS})
_NOBODY = "No load balancer with a listener on this port has the name that the Host header says.\n"
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_CASE = {
    "stateful_formatter": {
        "name": "envoy.http.stateful_header_formatters.preserve_case",
        "typed_config": typed(
            "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig"
        ),
    }
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Who is behind a port."""

    port: int
    plain: tuple[Balancer, ...]
    encrypted: tuple[Balancer, ...]

    @property
    def name(self) -> str:
        """What a rejection names."""
        return door_name(self.port)


def door_name(port: int) -> str:
    """The listener and the routes of a port."""
    return f"loopback|{port}"


def port_of(name: str) -> int | None:
    """The port of a door's listener; `None`: it is another one."""
    head, _, port = name.partition("|")
    return int(port) if head == "loopback" and port.isdigit() else None


def doors(balancers: Iterable[Balancer]) -> tuple[Door, ...]:
    """One for each port that can be told apart by names."""
    plain: dict[int, list[Balancer]] = {}
    encrypted: dict[int, list[Balancer]] = {}
    for balancer in balancers:
        for listener in balancer.listeners if balancer.hosts and balancer.addresses else ():
            if listener.protocol is Protocol.HTTP:
                plain.setdefault(listener.port, []).append(balancer)
            elif listener.protocol in _ENCRYPTED:
                encrypted.setdefault(listener.port, []).append(balancer)
    return tuple(
        Door(port=port, plain=tuple(plain.get(port, ())), encrypted=tuple(encrypted.get(port, ())))
        for port in sorted(plain.keys() | encrypted.keys())
    )


def door_clusters(door: Door) -> Iterator[tuple[Body, Body]]:
    """Each balancer's own addresses at the port: the group, and who is in it."""
    for balancer in (*door.plain, *door.encrypted):
        name = _cluster(balancer, door.port)
        limit = {"priority": "DEFAULT"} | dict.fromkeys(
            ("max_connections", "max_pending_requests", "max_requests", "max_retries"), UNLIMITED
        )
        options = typed(
            _HTTP,
            explicit_http_config={"http_protocol_options": {"header_key_format": _CASE}},
            common_http_protocol_options={"max_headers_count": HEADERS_MAX},
        )
        cluster: Body = {
            "name": name,
            "type": "EDS",
            "eds_cluster_config": {"eds_config": ADS},
            "connect_timeout": seconds(_CONNECT_SECONDS),
            "circuit_breakers": {"thresholds": [limit]},
            "upstream_bind_config": {"source_address": {"address": LOOPBACK, "port_value": 0}},
            "typed_extension_protocol_options": {_HTTP: options},
        }
        found = [
            {"endpoint": {"address": {"socket_address": {"address": one.address, "port_value": door.port}}}}
            for one in balancer.addresses
        ]
        yield cluster, {"cluster_name": name, "endpoints": [{"lb_endpoints": found}]}


def door_routes(door: Door) -> Body:
    """By the Host header, with the port or without."""
    hosts: list[Body] = []
    for balancer in door.plain:
        action = {"cluster": _cluster(balancer, door.port), "timeout": "0s"}
        # The balancer ends a connection that lies idle, perhaps just when it is used again.
        retry = {"retry_on": "reset-before-request", "num_retries": 2}
        route = {"match": {"prefix": "/"}, "route": {**action, "retry_policy": retry}}
        domains = [name for host in balancer.hosts for name in (host, f"{host}:{door.port}")]
        hosts.append({"name": balancer.id, "domains": domains, "routes": [route]})
    answer = {"status": 404, "body": {"inline_string": _NOBODY}}
    nobody = {"match": {"prefix": "/"}, "direct_response": answer}
    hosts.append({"name": "nobody", "domains": ["*"], "routes": [nobody]})
    return {"name": door.name, "virtual_hosts": hosts}


def door_listener(door: Door) -> Body:
    """On loopback, if nobody else has the port: it is never shared with another program."""
    chains = [_encrypted_chain(one, door.port) for one in door.encrypted]
    if door.plain:
        match = {"filter_chain_match": {"transport_protocol": "raw_buffer"}} if chains else {}
        manager = {
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": _manager(door),
        }
        chains.append({"name": "plain", **match, "filters": [manager]})
    body: Body = {
        "name": door.name,
        "stat_prefix": door.name,
        "address": {"socket_address": {"address": LOOPBACK, "port_value": door.port}},
        "enable_reuse_port": False,
        "filter_chains": chains,
    }
    if door.encrypted:
        inspector = typed("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector")
        named = {"name": "envoy.filters.listener.tls_inspector", "typed_config": inspector}
        body["listener_filters"] = [named]
    return body


def _cluster(balancer: Balancer, port: int) -> str:
    return f"loopback|{port}|{balancer.id}"


def _encrypted_chain(balancer: Balancer, port: int) -> Body:
    config = typed(
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        stat_prefix=door_name(port),
        cluster=_cluster(balancer, port),
        idle_timeout="0s",
    )
    match = {"server_names": [host.lower() for host in balancer.hosts], "transport_protocol": "tls"}
    proxy = {"name": "envoy.filters.network.tcp_proxy", "typed_config": config}
    return {"name": balancer.id, "filter_chain_match": match, "filters": [proxy]}


def _manager(door: Door) -> Body:
    router = typed("envoy.extensions.filters.http.router.v3.Router", suppress_envoy_headers=True)
    return typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=door.name,
        codec_type="HTTP1",
        rds={"config_source": ADS, "route_config_name": door.name},
        use_remote_address=True,
        internal_address_config={"unix_sockets": False},
        skip_xff_append=True,
        server_header_transformation="PASS_THROUGH",
        generate_request_id=False,
        stream_idle_timeout="0s",
        common_http_protocol_options={"max_headers_count": HEADERS_MAX},
        http_protocol_options={
            "accept_http_10": True,
            "allow_custom_methods": True,
            "default_host_for_http_10": LOOPBACK,
            "header_key_format": _CASE,
        },
        max_request_headers_kb=_HEADERS_KIB,
        upgrade_configs=[{"upgrade_type": "websocket"}],
        http_filters=[{"name": "envoy.filters.http.router", "typed_config": router}],
    )
