"""The proxy's configuration from the JSON form that `dataplane` writes to the bytes that it reads.

A member that the types do not have is an error here: the proxy itself would only warn.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from google.protobuf import any_pb2, json_format, symbol_database
from google.protobuf.message import Message

_PREFIX = "type.googleapis.com/"
_MODULES = (
    "envoy.config.cluster.v3.cluster",
    "envoy.config.endpoint.v3.endpoint",
    "envoy.config.listener.v3.listener",
    "envoy.config.route.v3.route",
    "envoy.extensions.access_loggers.file.v3.file",
    "envoy.extensions.access_loggers.filters.cel.v3.cel",
    "envoy.extensions.access_loggers.stats.v3.stats",
    "envoy.extensions.filters.http.ext_authz.v3.ext_authz",
    "envoy.extensions.filters.http.header_to_metadata.v3.header_to_metadata",
    "envoy.extensions.filters.http.jwt_authn.v3.config",
    "envoy.extensions.filters.http.lua.v3.lua",
    "envoy.extensions.filters.http.rbac.v3.rbac",
    "envoy.extensions.filters.http.router.v3.router",
    "envoy.extensions.filters.http.set_filter_state.v3.set_filter_state",
    "envoy.extensions.filters.http.stateful_session.v3.stateful_session",
    "envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector",
    "envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager",
    "envoy.extensions.filters.network.set_filter_state.v3.set_filter_state",
    "envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy",
    "envoy.extensions.filters.udp.udp_proxy.v3.route",
    "envoy.extensions.filters.udp.udp_proxy.v3.udp_proxy",
    "envoy.extensions.health_check.event_sinks.file.v3.file",
    "envoy.extensions.http.header_formatters.preserve_case.v3.preserve_case",
    "envoy.extensions.http.stateful_session.cookie.v3.cookie",
    "envoy.extensions.retry.host.previous_hosts.v3.previous_hosts",
    "envoy.extensions.transport_sockets.proxy_protocol.v3.upstream_proxy_protocol",
    "envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer",
    "envoy.extensions.transport_sockets.tls.v3.tls",
    "envoy.extensions.upstreams.http.v3.http_protocol_options",
)


def load_types() -> None:
    """Make the types known that configurations are made of: needed once, before anything is packed."""
    for module in _MODULES:
        importlib.import_module(f"{module}_pb2")


def pack(kind: str, body: Mapping[str, Any]) -> any_pb2.Any:
    """A resource of the type `kind`."""
    symbol: type[Message] = symbol_database.Default().GetSymbol(kind)
    packed = any_pb2.Any()
    packed.Pack(json_format.ParseDict(dict(body), symbol()), type_url_prefix=_PREFIX)
    return packed
