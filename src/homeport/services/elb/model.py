"""Classic Load Balancers' nouns: a balancer is one document, with all that belongs to it."""

from __future__ import annotations

from datetime import datetime

import msgspec

INTERNAL, INTERNET_FACING = "internal", "internet-facing"
LB_COOKIE, APP_COOKIE = "LBCookieStickinessPolicyType", "AppCookieStickinessPolicyType"
SSL_NEGOTIATION, PROXY_PROTOCOL = "SSLNegotiationPolicyType", "ProxyProtocolPolicyType"
PROXY = "ProxyProtocol"
COOKIES = frozenset({LB_COOKIE, APP_COOKIE})
EXPIRATION, COOKIE_NAME = "CookieExpirationPeriod", "CookieName"


class Zone(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A subnet that the balancer stands in."""

    name: str
    subnet_id: str
    private_address: str = ""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy by its type, with its attributes as the API has them."""

    name: str
    type: str
    attributes: dict[str, str]


class Listener(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A port, and the port of every instance behind it."""

    protocol: str
    port: int
    instance_protocol: str
    instance_port: int
    certificate: str = ""
    policies: tuple[str, ...] = ()


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True):
    """How instances are checked. `target` as the API has it: `HTTP:80/path`, `TCP:80`."""

    target: str
    interval_seconds: int = 30
    timeout_seconds: int = 5
    unhealthy_threshold: int = 2
    healthy_threshold: int = 10


class AccessLog(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The bucket that requests are logged to, and how much time an object is about."""

    enabled: bool = False
    bucket: str = ""
    prefix: str = ""
    minutes: int = 60


class Attributes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What ModifyLoadBalancerAttributes sets. The defaults are those of the API, not of the console."""

    cross_zone: bool = False
    draining: bool = False
    draining_seconds: int = 300
    idle_seconds: int = 60
    desync: str = "defensive"
    access_log: AccessLog = AccessLog()


class Registered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An instance. `drained_at`: it was deregistered and is gone then."""

    instance_id: str
    registered_at: datetime
    drained_at: datetime | None = None


class LoadBalancer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Classic Load Balancer. `suffix` tells its traffic from that of one of the same name.

    `backend_policies`: by instance port (in digits) the policies for what is sent there.
    """

    id: int = 0
    version: int = 1
    account_id: str
    region: str
    name: str
    suffix: str
    dns_digits: str
    scheme: str
    vpc_id: str
    zones: tuple[Zone, ...]
    security_groups: tuple[str, ...]
    listeners: tuple[Listener, ...]
    health_check: HealthCheck
    policies: tuple[Policy, ...] = ()
    backend_policies: dict[str, tuple[str, ...]] = {}
    attributes: Attributes = Attributes()
    instances: tuple[Registered, ...] = ()
    tags: dict[str, str] = {}
    created_at: datetime

    @property
    def arn(self) -> str:
        """What IAM calls it; the API knows only names."""
        place = f"arn:aws:elasticloadbalancing:{self.region}:{self.account_id}"
        return f"{place}:loadbalancer/{self.name}"

    @property
    def dns_name(self) -> str:
        """Its DNS name."""
        prefix = "internal-" if self.scheme == INTERNAL else ""
        return f"{prefix}{self.name}-{self.dns_digits}.{self.region}.elb.amazonaws.com"

    @property
    def traffic_id(self) -> str:
        """What the data plane calls it."""
        return f"clb/{self.name}/{self.suffix}"

    def group_id(self, port: int) -> str:
        """What the data plane calls the instances behind a listener."""
        return f"{self.traffic_id}/{port}"

    @property
    def registered(self) -> tuple[Registered, ...]:
        """The instances that are not being deregistered."""
        return tuple(one for one in self.instances if one.drained_at is None)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An instance's state in the API's words."""

    state: str
    reason: str = "N/A"
    description: str = "N/A"
