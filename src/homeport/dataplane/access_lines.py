"""A record that the proxy wrote of a request or a connection as a line of an access log.

Sources: guides of Application, Network and Classic Load Balancers, "Access log entries". Where the guides
leave something open, what we chose is said beside it.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import msgspec

from homeport.dataplane.clusters import group_of

NOTHING = "-"
_QUOTED_NOTHING = '"-"'
_VERSIONS = {"HTTP/2": "HTTP/2.0"}
_UNSAFE = re.compile(r'["\\]|[^ -~]')
_PORT = re.compile(r":\d+$")
_ALERTS_FROM = 1000
"""Codes from here on are alerts of the other end. Source: BoringSSL, SSL_AD_REASON_OFFSET."""
_TLS_ERROR = re.compile(r"\|(\d+):SSL routines")
_CLASSES = {
    "http1.content_length_and_chunked_not_allowed": ("Ambiguous", "BothTeClPresent"),
    "http1.invalid_transfer_encoding": ("Severe", "BadTransferEncoding"),
}
"""Why two servers could read a request in two ways. Source: guide, "Classification reasons"."""
_REFUSED = ("ext_authz_denied", "ext_authz_error", "jwt_authn_access_denied", "rbac_access_denied")
"""A rule's guard answered, or what keeps versions of HTTP apart."""
_LEFT = ("DC", "DR")
"""The client was gone before there was an answer: 460. Source: guide, "Troubleshoot", HTTP 460."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Whose records they are: one address of a balancer, and where its lines go."""

    balancer_id: str
    address: str
    account_id: str
    region: str
    dns_name: str = ""
    bucket: str
    prefix: str = ""
    minutes: int = 5
    connections: bool = False
    """They are of connections, for an application balancer's connection log."""


class Matched(msgspec.Struct, frozen=True):
    """What the route of a request says of its rule."""

    priority: str = NOTHING
    actions: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What the proxy wrote (see `access_logs`): spans in microseconds; `None` for what did not happen."""

    kind: str
    port: str
    start: str
    took_ms: int | None = None
    client: str | None = None
    target: str | None = None
    cluster: str | None = None
    connection: int | str | None = None
    cipher: str | None = None
    tls: str | None = None
    asked_name: str | None = None
    certificate: str | None = None
    own_certificate: str | None = None
    own_names: str | None = None
    received: int | None = None
    sent: int | None = None
    # Requests
    to_target_us: int | None = None
    target_us: int | None = None
    to_client_us: int | None = None
    answered_us: int | None = None
    status: int | None = None
    details: str | None = None
    flags: str | None = None
    method: str | None = None
    host: str | None = None
    path: str | None = None
    protocol: str | None = None
    agent: str | None = None
    trace: str | None = None
    upgrade: str | None = None
    content_type: str | None = None
    location: str | None = None
    rule: Matched | None = None
    path_sent: str | None = None
    host_sent: str | None = None
    # Connections
    listener: str | None = None
    connect_us: int | None = None
    connected_us: int | None = None
    secured_us: int | None = None
    exchange: str | None = None
    failure: str | None = None

    @property
    def is_secure(self) -> bool:
        """Whether the listener speaks TLS."""
        return self.kind in ("HTTPS", "TLS")

    @property
    def began(self) -> datetime:
        """When the balancer heard of it."""
        seconds, _, rest = self.start.partition(".")
        micros = timedelta(microseconds=int((rest + "000000")[:6]))
        return datetime.fromtimestamp(int(seconds), UTC) + micros

    @property
    def ended(self) -> datetime:
        """When all of it was over: then the proxy wrote it down."""
        return self.began + timedelta(milliseconds=self.took_ms or 0)


_decode = msgspec.json.Decoder(Record).decode


def read_record(line: bytes) -> Record | None:
    """What the proxy wrote in one line; `None`: it is not whole, the proxy died over it."""
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def line_of(source: Source, record: Record) -> str:
    """The line, without its end."""
    if source.connections:
        return _accepted(source, record)
    if source.balancer_id.startswith("net/"):
        return _network(source, record)
    if source.balancer_id.startswith("clb/"):
        return _classic(source, record)
    return _application(source, record)


def _quoted(text: str | None) -> str:
    """In double quotes; what would end them, and what is no ASCII text, as `\\xNN` [ours]."""
    if not text:
        return _QUOTED_NOTHING
    return f'"{_UNSAFE.sub(_escaped, text) if _UNSAFE.search(text) else text}"'


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02X}" for byte in found[0].encode())


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


# What requests and connections have in common


def _asked_name(record: Record) -> str | None:
    """The name asked for (SNI), unless the certificate shown is not for it."""
    name = (record.asked_name or "").lower()
    if record.certificate != record.own_certificate:
        return name or None
    own = (record.own_names or "").lower().split()
    parent = f"*.{name.partition('.')[2]}"
    return name if name and (name in own or parent in own) else None


def _is_answered(record: Record) -> bool:
    """Whether a target's answer began: without it the guides have no times at all, but -1."""
    return record.target_us is not None


# Application balancers


def _application(source: Source, record: Record) -> str:
    answered = _is_answered(record)
    target = record.target or NOTHING
    target_status = str(record.status) if answered else NOTHING
    priority, actions = _matched(record)
    host, path = _transformed(record)
    kind, reason = _CLASSES.get(record.details or "", (NOTHING, NOTHING))
    fields = (
        _type(record),
        _instant(_time(record)),
        source.balancer_id,
        record.client or NOTHING,
        target,
        *(_seconds(span if answered else None, 3) for span in _spans(record)),
        _status(record),
        target_status,
        str(record.received or 0),
        str(record.sent or 0),
        _quoted(_request(source, record)),
        _quoted(record.agent),
        record.cipher or NOTHING,
        record.tls or NOTHING,
        _group_arn(source, record),
        _quoted(record.trace),
        _quoted(_asked_name(record)),
        _quoted(record.certificate),
        priority,
        _instant(record.began),
        _quoted(actions),
        _quoted(record.location if actions.endswith("redirect") else None),
        _quoted(None),  # the reasons are of Lambda functions and of failed logins
        _quoted(target),
        _quoted(target_status),
        _quoted(kind),
        _quoted(reason),
        _connection_id(source, record),
        _quoted(host),
        _quoted(path),
        _quoted("TransformSuccess" if host or path else None),
    )
    return " ".join(fields)


def _is_socket(record: Record) -> bool:
    return record.status == 101 and (record.upgrade or "").lower() == "websocket"


def _type(record: Record) -> str:
    if _is_socket(record):
        return "wss" if record.is_secure else "ws"
    if not record.is_secure:
        return "http"
    if record.protocol != "HTTP/2":
        return "https"
    return "grpcs" if (record.content_type or "").startswith("application/grpc") else "h2"


def _time(record: Record) -> datetime:
    """When the answer began; for what had none, and for WebSockets, when it was over."""
    if record.answered_us is None or _is_socket(record):
        return record.ended
    return record.began + timedelta(microseconds=record.answered_us)


def _spans(record: Record) -> tuple[int | None, int | None, int | None]:
    return record.to_target_us, record.target_us, record.to_client_us


def _seconds(span: int | None, digits: int) -> str:
    """Microseconds as seconds; -1: it was not dispatched, or nobody answered."""
    return "-1" if span is None else f"{span / 1_000_000:.{digits}f}"


def _status(record: Record) -> str:
    if record.status:
        return str(record.status)
    flags = (record.flags or "").split(",")
    return "460" if any(flag in flags for flag in _LEFT) else NOTHING


def _request(source: Source, record: Record) -> str:
    """Method, URL with its port, version. Of what was no HTTP only the balancer's name is known."""
    scheme = "https" if record.is_secure else "http"
    host = record.host_sent or record.host or source.dns_name or source.address
    if not _PORT.search(host):
        host = f"{host}:{record.port}"
    if record.method is None:
        return f"- {scheme}://{host}- -"
    protocol = record.protocol or NOTHING
    path = record.path_sent or record.path or ""
    return f"{record.method} {scheme}://{host}{path} {_VERSIONS.get(protocol, protocol)}"


def _group_arn(source: Source, record: Record) -> str:
    group = group_of(record.cluster or "")
    if not group.startswith("targetgroup/"):
        return NOTHING
    return f"arn:aws:elasticloadbalancing:{source.region}:{source.account_id}:{group}"


def _matched(record: Record) -> tuple[str, str]:
    """The rule's priority, and what was done of it: a guard that lets nobody in is all that was."""
    if record.rule is None:
        return NOTHING, NOTHING
    actions = record.rule.actions.split(",")
    details = record.details or ""
    is_refused = details.startswith(_REFUSED)
    if is_refused or record.status == 464:
        actions = actions[:-1]
    return record.rule.priority, ",".join(actions) or NOTHING


def _transformed(record: Record) -> tuple[str | None, str | None]:
    """The host and the path that the target was told, where a rule made them others."""

    def other(sent: str | None, told: str | None) -> str | None:
        return told if sent is not None and told != sent else None

    return other(record.host_sent, record.host), other(record.path_sent, record.path)


def _connection_id(source: Source, record: Record) -> str:
    """The same for all requests of a connection, and for no other's."""
    words = (source.balancer_id, source.address, record.client, record.connection)
    return "TID_" + hashlib.sha256(repr(words).encode()).hexdigest()[:32]


def _accepted(source: Source, record: Record) -> str:
    """Of a connection log. Clients show no certificates here. Source: guide, "Connection log entries"."""
    address, _, port = (record.client or NOTHING).rpartition(":")
    secured = timedelta(microseconds=record.secured_us or 0)
    failed = record.failure is not None or record.secured_us is None
    fields = (
        _instant(record.began + secured),
        address.strip("[]"),
        port,
        record.port,
        record.tls or NOTHING,
        record.cipher or NOTHING,
        NOTHING if record.secured_us is None else f"{record.secured_us / 1_000_000:.3f}",
        NOTHING,
        NOTHING,
        NOTHING,
        NOTHING if not record.is_secure else "Failed:UnmappedConnectionError" if failed else "Success",
        _connection_id(source, record),
        record.exchange or NOTHING,
    )
    return " ".join(fields)


# Network balancers


def _network(source: Source, record: Record) -> str:
    done = record.tls is not None
    fields = (
        "tls",
        "2.0",
        f"{record.ended:%Y-%m-%dT%H:%M:%S}",
        source.balancer_id,
        record.listener or NOTHING,
        record.client or NOTHING,
        f"{source.address}:{record.port}",
        str(record.took_ms or 0),
        NOTHING,  # the proxy does not tell how long the handshake took
        str(record.received or 0),
        str(record.sent or 0),
        _alert(record),
        (record.certificate or NOTHING) if done else NOTHING,
        NOTHING,
        record.cipher or NOTHING,
        (record.tls or NOTHING).lower().replace("tlsv1.", "tlsv1"),
        NOTHING,
        quote(record.asked_name or "", safe="") or NOTHING,
        # The proxy does not tell what ALPN came to.
        NOTHING,
        NOTHING,
        NOTHING,
        f"{record.began:%Y-%m-%dT%H:%M:%S}",
    )
    return " ".join(fields)


def _alert(record: Record) -> str:
    """The number of the alert that the client sent, out of the TLS library's error."""
    found = _TLS_ERROR.search(record.failure or "")
    alert = (int(found[1]) & 0xFFF) - _ALERTS_FROM if found else -1
    return str(alert) if 0 <= alert <= 255 else NOTHING


# Classic balancers


def _classic(source: Source, record: Record) -> str:
    is_http = record.kind in ("HTTP", "HTTPS")
    answered = _is_answered(record) if is_http else record.connect_us is not None
    # Of a connection the proxy does not tell when the instance's first byte went on to the client.
    spans = _spans(record) if is_http else (record.connected_us, record.connect_us, None)
    fields = (
        _instant(record.began),
        source.balancer_id.split("/")[1],
        record.client or NOTHING,
        (record.target or NOTHING) if answered else NOTHING,
        *(_seconds(span if answered else None, 6) for span in spans),
        _status(record) if is_http else NOTHING,
        str(record.status) if is_http and answered else NOTHING,
        str(record.received or 0),
        str(record.sent or 0),
        _quoted(_request(source, record) if is_http else "- - - "),
        _quoted(record.agent),
        record.cipher or NOTHING,
        record.tls or NOTHING,
    )
    return " ".join(fields)
