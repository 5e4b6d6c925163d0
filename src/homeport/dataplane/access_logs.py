"""What the proxy writes of requests and connections for access logs: one JSON record each, in a file.

A record says all that its line needs (see `access_lines`), so that it can be made whenever, and whatever
the balancer has become meanwhile. Balancers that log nothing have none of this in their configuration.
"""

from __future__ import annotations

from typing import Any

from homeport.dataplane.model import AccessLog, Balancer, BalancerKind, BindAddress, Listener, Protocol
from homeport.dataplane.rules import AuthenticateOidc, FixedResponse, Forward, Redirect, Rule, ValidateJwt
from homeport.dataplane.types import Body, typed

LIVE = "live"
"""The file that is written to now."""
METADATA = "homeport.log"
"""Where a route says what its rule is."""
PATH_SENT, HOST_SENT = "homeport.path_sent", "homeport.host_sent"
"""Where the path and the host are kept that the client sent, if a rule rewrites them."""
_AGENT_BYTES = 8192
"""Source: Application Load Balancer guide, "Access log entries": longer ones are truncated at 8 KB."""


def folder_name(balancer_id: str, address: str, *, connections: bool = False) -> str:
    """Where the records of one address of a balancer lie, below all records' folder.

    `connections`: those for its connection log.
    """
    return f"{balancer_id.replace('/', '.')}_{address}" + ("_connections" if connections else "")


def writes(balancer: Balancer) -> AccessLog | None:
    """The balancer's access log, if it has one that can be written."""
    return _writable(balancer.access_log)


def _writable(log: AccessLog | None) -> AccessLog | None:
    return log if log is not None and log.folder else None


def requests(balancer: Balancer, listener: Listener, address: BindAddress) -> list[Body]:
    """What writes a record of each request."""
    log = writes(balancer)
    if log is None:
        return []
    counted = "" if balancer.kind is BalancerKind.CLASSIC else "DOWNSTREAM_WIRE_"
    record = _connection(listener) | {
        "to_target_us": "%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:us)%",
        "target_us": "%COMMON_DURATION(US_TX_BEG:US_RX_BEG:us)%",
        "to_client_us": "%COMMON_DURATION(US_RX_BEG:DS_TX_BEG:us)%",
        "answered_us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_BEG:us)%",
        "status": "%RESPONSE_CODE%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "flags": "%RESPONSE_FLAGS%",
        "received": f"%{counted}BYTES_RECEIVED%",
        "sent": f"%{counted}BYTES_SENT%",
        "method": "%REQ(:METHOD)%",
        "host": "%REQ(:AUTHORITY)%",
        "path": "%REQ(:PATH)%",
        "protocol": "%PROTOCOL%",
        "agent": f"%REQ(USER-AGENT):{_AGENT_BYTES}%",
        "trace": "%REQ(X-AMZN-TRACE-ID)%",
        "upgrade": "%REQ(UPGRADE)%",
        "content_type": "%REQ(CONTENT-TYPE)%",
        "location": "%RESP(LOCATION)%",
        "rule": f"%METADATA(ROUTE:{METADATA})%",
    }
    if _rewrites(listener):
        record["path_sent"] = f"%FILTER_STATE({PATH_SENT}:PLAIN)%"
        record["host_sent"] = f"%FILTER_STATE({HOST_SENT}:PLAIN)%"
    return [_file(log, folder_name(balancer.id, address.address), record)]


def connections(balancer: Balancer, listener: Listener, address: BindAddress) -> Body:
    """What writes a record of each connection: those with TLS only, for network balancers.

    Source: Network Load Balancer guide, "Access logs": the logs are about TLS requests only.
    """
    log = writes(balancer)
    spoken = balancer.kind is BalancerKind.CLASSIC or listener.protocol is Protocol.TLS
    if log is None or not spoken:
        return {}
    record = _connection(listener) | {
        "listener": listener.id,
        "connect_us": "%COMMON_DURATION(US_CX_BEG:US_CX_END:us)%",
        "connected_us": "%COMMON_DURATION(DS_CX_BEG:US_CX_END:us)%",
        "received": "%BYTES_RECEIVED%",
        "sent": "%BYTES_SENT%",
        "failure": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
    }
    return {"access_log": [_file(log, folder_name(balancer.id, address.address), record)]}


def accepted(balancer: Balancer, listener: Listener, address: BindAddress) -> Body:
    """What writes a record of each connection of a balancer's clients, for its connection log.

    A listener writes it, because it knows of connections that never became a request.
    """
    log = _writable(balancer.connection_log)
    if log is None:
        return {}
    record = _connection(listener)
    if listener.certificates:
        record |= {
            "secured_us": "%COMMON_DURATION(DS_CX_BEG:DS_HS_END:us)%",
            "exchange": "%DOWNSTREAM_TLS_GROUP%",
            "failure": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
        }
    return {"access_log": [_file(log, folder_name(balancer.id, address.address, connections=True), record)]}


def _connection(listener: Listener) -> Body:
    """What is known of any connection. `own_names`: of the certificate for whoever asks for none."""
    record = {
        "kind": listener.protocol.value,
        "port": str(listener.port),
        "start": "%START_TIME(%s.%6f)%",
        "took_ms": "%DURATION%",
        "client": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
        "target": "%UPSTREAM_HOST%",
        "cluster": "%UPSTREAM_CLUSTER_RAW%",
        "connection": "%CONNECTION_ID%",
    }
    if listener.certificates:
        own = listener.certificates[0]
        record |= {
            "cipher": "%DOWNSTREAM_TLS_CIPHER%",
            "tls": "%DOWNSTREAM_TLS_VERSION%",
            "asked_name": "%REQUESTED_SERVER_NAME%",
            "certificate": "%FILTER_CHAIN_NAME%",
            "own_certificate": own.id,
            "own_names": " ".join(own.names),
        }
    return record


def _file(log: AccessLog, folder: str, record: Body) -> Body:
    config = typed(
        "envoy.extensions.access_loggers.file.v3.FileAccessLog",
        path=f"{log.folder}/{folder}/{LIVE}",
        log_format={"json_format": record},
    )
    return {"name": "envoy.access_loggers.file", "typed_config": config}


# Rules


def marked(routes: list[Body], known: Body) -> list[Body]:
    """The routes with what is to be known of them when their requests are logged."""
    return [_marked(route, known) for route in routes]


def _marked(route: Body, known: Body) -> Body:
    held = route.get("metadata", {}).get("filter_metadata", {})
    return {**route, "metadata": {"filter_metadata": {**held, METADATA: known}}}


def of_rule(rule: Rule) -> Body:
    """What a line tells of a rule: its priority (0: the default), and what it does."""
    return {"priority": str(rule.priority or 0), "actions": ",".join([*_guard(rule), _action(rule)])}


def _guard(rule: Rule) -> list[str]:
    match rule.guard:
        case AuthenticateOidc():
            return ["authenticate"]
        case ValidateJwt():
            return ["jwt-validation"]
        case None:
            return []


def _action(rule: Rule) -> str:
    match rule.action:
        case Forward():
            return "forward"
        case Redirect():
            return "redirect"
        case FixedResponse():
            return "fixed-response"


def _rewrites(listener: Listener) -> bool:
    return any(rule.rewrites for rule in listener.rules)


def as_sent(balancer: Balancer, listener: Listener) -> list[Body]:
    """The filter that keeps what the client sent, where requests are logged and a rule rewrites them."""
    if writes(balancer) is None or not _rewrites(listener):
        return []
    kept: dict[str, Any] = {PATH_SENT: "%REQ(:PATH)%", HOST_SENT: "%REQ(:AUTHORITY)%"}
    config = typed(
        "envoy.extensions.filters.http.set_filter_state.v3.Config",
        on_request_headers=[
            {
                "object_key": name,
                "factory_key": "envoy.string",
                "format_string": {"text_format_source": {"inline_string": value}},
            }
            for name, value in kept.items()
        ],
    )
    return [{"name": "homeport.as_sent", "typed_config": config}]
