"""What a load balancer is to do, in words of its own: no API's members, no proxy's.

Whoever owns the balancers makes these values (a `Balancer` holds everything that its traffic depends
on), `translate` turns them into a configuration. They are values: two that are equal make the same
configuration, and anything that does not matter to traffic (names, tags, owners) is not here.

Rules are in `rules`. Defaults are those of Elastic Load Balancing.
Source: Application and Network Load Balancer guides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from homeport.dataplane.rules import Rule


class BalancerKind(StrEnum):
    """What a balancer understands of its traffic: requests, connections, or (classic) both."""

    APPLICATION = "application"
    NETWORK = "network"
    CLASSIC = "classic"


class Protocol(StrEnum):
    """What is spoken on a listener, with a target, or in a health check."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"
    TCP = "TCP"
    TLS = "TLS"
    UDP = "UDP"
    TCP_UDP = "TCP_UDP"


class ProtocolVersion(StrEnum):
    """How requests are sent to the targets of an application balancer."""

    HTTP1 = "HTTP1"
    HTTP2 = "HTTP2"
    GRPC = "GRPC"


class ForwardedFor(StrEnum):
    """What becomes of the X-Forwarded-For header."""

    APPEND = "append"
    PRESERVE = "preserve"
    REMOVE = "remove"


class Desync(StrEnum):
    """How requests are treated that two servers could read in two ways."""

    MONITOR = "monitor"
    DEFENSIVE = "defensive"
    STRICTEST = "strictest"


class Algorithm(StrEnum):
    """How a target is chosen among those that may be."""

    ROUND_ROBIN = "round_robin"
    LEAST_OUTSTANDING_REQUESTS = "least_outstanding_requests"
    WEIGHTED_RANDOM = "weighted_random"


class StickinessKind(StrEnum):
    """What a client is recognised by."""

    LB_COOKIE = "lb_cookie"
    APP_COOKIE = "app_cookie"
    SOURCE_IP = "source_ip"


# Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Somewhere requests may go. `zone` is the availability zone that it is in ("" for any).

    A `draining` target gets nothing new; what it has begun goes on.
    """

    address: str
    port: int
    zone: str = ""
    draining: bool = False

    @property
    def key(self) -> str:
        """The target within its group: `address:port`, an IPv6 address in brackets."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """How a target's health is found out.

    `port` None is the port that the target gets its traffic on. `codes` are the answers that count as
    healthy, as ranges with both ends in them: HTTP statuses, or gRPC statuses in a group of GRPC.
    """

    protocol: Protocol = Protocol.HTTP
    port: int | None = None
    path: str = "/"
    codes: tuple[tuple[int, int], ...] = ((200, 200),)
    interval_seconds: int = 30
    timeout_seconds: int = 5
    healthy_threshold: int = 5
    unhealthy_threshold: int = 2
    trusts_first_pass: bool = True
    """One passing check makes a new target healthy; else it is `healthy_threshold` from the beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stickiness:
    """Requests of one client go to one target. `cookie_name` is the application's (APP_COOKIE).

    `classic`: the balancer's cookie is AWSELB, given once. `duration_seconds` 0: until the browser ends.
    """

    kind: StickinessKind
    duration_seconds: int = 86400
    cookie_name: str = ""
    classic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resilience:
    """What is done about targets that cannot be connected to; what they answer does not count.

    `connect_seconds` are waited for one; up to `retries` others are tried. A target that failed `failures`
    times in a row is left out for `eject_seconds`, longer each time, up to `eject_seconds_max`; where all
    fail, all are used.
    """

    connect_seconds: int
    retries: int
    failures: int
    eject_seconds: int
    eject_seconds_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGroup:
    """Targets that are alike, and how they are used.

    `id` is unique among all groups and its counters' name: the tail of its ARN, `targetgroup/NAME/ID`.
    Below `minimum_healthy_count` or `minimum_healthy_percent` of healthy targets all registered ones
    get requests (fail open). `cross_zone` None is as the balancer has it. `target_tls` is not there
    because it is the protocol: HTTPS and TLS are encrypted, and targets' certificates are not verified.
    """

    id: str
    protocol: Protocol = Protocol.HTTP
    version: ProtocolVersion = ProtocolVersion.HTTP1
    targets: tuple[Target, ...] = ()
    health_check: HealthCheck | None = field(default_factory=HealthCheck)
    deregistration_delay_seconds: int = 300
    slow_start_seconds: int = 0
    stickiness: Stickiness | None = None
    algorithm: Algorithm = Algorithm.ROUND_ROBIN
    anomaly_mitigation: bool = False
    cross_zone: bool | None = None
    minimum_healthy_count: int = 1
    minimum_healthy_percent: int = 0
    proxy_protocol: bool = False
    """PROXY protocol before the first byte: version 2 (network balancers), unless it is to be version 1."""
    proxy_protocol_v1: bool = False
    """With `proxy_protocol`: version 1, a line of text (classic balancers)."""
    resilience: Resilience | None = None
    """With it connections go to the targets in turn, a network balancer's as well."""


# Listeners


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate by reference: the driver is given its material under `id` (see `TlsMaterial`).

    `names` are what clients ask for (SNI): exact names or `*.example.com`.
    """

    id: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsMaterial:
    """What a certificate's `id` stands for: PEM, the chain with the leaf first. Never in a `Balancer`."""

    id: str
    chain: bytes
    private_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsPolicy:
    """What a listener's clients may speak: `TLSv1`..`TLSv1.3`, and ciphers by OpenSSL's names in order."""

    versions: tuple[str, ...] = ("TLSv1.2", "TLSv1.3")
    ciphers: tuple[str, ...] = ()
    """All that are good with (): else those of the policy. Those of TLS 1.3 cannot be chosen."""


class Alpn(StrEnum):
    """What a TLS listener of a network balancer offers."""

    NONE = "None"
    HTTP1_ONLY = "HTTP1Only"
    HTTP2_ONLY = "HTTP2Only"
    HTTP2_OPTIONAL = "HTTP2Optional"
    HTTP2_PREFERRED = "HTTP2Preferred"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A port of a balancer. `certificates` of HTTPS and TLS: the default one first.

    `rules` in any order, with exactly one default. Those of a network balancer's listener are the
    default alone, with a `Forward`.
    """

    id: str
    protocol: Protocol
    port: int
    rules: tuple[Rule, ...]
    certificates: tuple[Certificate, ...] = ()
    tls_policy: TlsPolicy = field(default_factory=TlsPolicy)
    alpn: Alpn = Alpn.NONE
    tcp_idle_timeout_seconds: int = 350
    server_header: bool = True
    """The balancer's own answers say `Server: awselb/2.0`."""
    response_headers: tuple[tuple[str, str], ...] = ()
    """Set in every answer, whatever the target said."""
    prior_knowledge: bool = False
    """Clients of HTTP begin with HTTP/2 at once, without TLS."""


# Balancers


@dataclass(frozen=True, slots=True, kw_only=True)
class BindAddress:
    """An address of the balancer's own that it listens on, and the zone that it stands for."""

    address: str
    zone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """The attributes of a balancer that its traffic feels."""

    idle_timeout_seconds: int = 60
    request_timeout_seconds: int = 0
    """Until an answer must be complete; 0: whenever."""
    client_keep_alive_seconds: int = 3600
    http2: bool = True
    drop_invalid_headers: bool = False
    preserve_host: bool = False
    forwarded_for: ForwardedFor = ForwardedFor.APPEND
    forwarded_for_port: bool = False
    desync: Desync = Desync.DEFENSIVE
    tls_version_headers: bool = False
    """x-amzn-tls-version and x-amzn-tls-cipher-suite go to the target."""
    cross_zone: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLog:
    """A balancer's requests (or connections) are logged: in which bucket, and what its objects' names tell.

    `folder` is where the proxy writes what it knows of them until then (see `access_logs`); without it
    nothing is written.
    """

    bucket: str
    account_id: str
    region: str
    prefix: str = ""
    minutes: int = 5
    """How much time one object is about."""
    dns_name: str = ""
    """Whom a request asked that does not say it."""
    folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancer:
    """One load balancer, whole. `id` is the tail of its ARN: `app/NAME/ID` or `net/NAME/ID` (`clb/NAME/ID`).

    `groups` are those that a rule of it names, each once: groups that no rule names have no place here
    (they get no traffic and no health checks). `hosts` are names by which the machine itself reaches it on
    loopback (see `doors`).
    """

    id: str
    kind: BalancerKind
    addresses: tuple[BindAddress, ...]
    listeners: tuple[Listener, ...] = ()
    groups: tuple[TargetGroup, ...] = ()
    traffic: Traffic = field(default_factory=Traffic)
    hosts: tuple[str, ...] = ()
    access_log: AccessLog | None = None
    connection_log: AccessLog | None = None
