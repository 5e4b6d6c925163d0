"""Load balancers and their listeners."""

from __future__ import annotations

from datetime import datetime

import msgspec

APPLICATION, NETWORK = "application", "network"
INTERNAL, INTERNET_FACING = "internal", "internet-facing"


class Zone(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A subnet that the balancer stands in. `private_address`: the one that was asked for (network)."""

    name: str
    subnet_id: str
    private_address: str = ""


class LoadBalancer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A load balancer. `attributes` are those that were set; the others have their defaults.

    `suffix` ends its ARN, `dns_digits` its DNS name (application).
    """

    id: int = 0
    version: int = 1
    account_id: str
    region: str
    name: str
    suffix: str
    dns_digits: str
    type: str
    scheme: str
    vpc_id: str
    zones: tuple[Zone, ...]
    security_groups: tuple[str, ...] = ()
    ip_address_type: str = "ipv4"
    enforce_on_private_link: str = ""
    attributes: dict[str, str] = {}
    tags: dict[str, str] = {}
    created_at: datetime

    @property
    def tail(self) -> str:
        """`app/NAME/ID` or `net/NAME/ID`: what names it in metrics and in its listeners' ARNs."""
        return f"{'app' if self.type == APPLICATION else 'net'}/{self.name}/{self.suffix}"

    @property
    def arn(self) -> str:
        """Its ARN."""
        place = f"arn:aws:elasticloadbalancing:{self.region}:{self.account_id}"
        return f"{place}:loadbalancer/{self.tail}"

    @property
    def dns_name(self) -> str:
        """Its DNS name. Source: guides, "DNS name"; the two kinds' forms differ."""
        if self.type == NETWORK:
            return f"{self.name}-{self.suffix}.elb.{self.region}.amazonaws.com"
        prefix = "internal-" if self.scheme == INTERNAL else ""
        return f"{prefix}{self.name}-{self.dns_digits}.{self.region}.elb.amazonaws.com"

    @property
    def local_name(self) -> str:
        """By which this machine reaches it on loopback [our choice]: `*.localhost` leads there."""
        return f"{self.dns_name.partition('.')[0]}.elb.localhost"


class Listener(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A port of a balancer. `certificate` is the default one, `certificates` the others."""

    id: int = 0
    version: int = 1
    balancer_id: int = 0
    arn: str
    balancer_arn: str
    protocol: str
    port: int
    ssl_policy: str = ""
    certificate: str = ""
    certificates: tuple[str, ...] = ()
    alpn: str = ""
    attributes: dict[str, str] = {}
    tags: dict[str, str] = {}

    @property
    def is_secure(self) -> bool:
        """Whether it has certificates."""
        return self.protocol in {"HTTPS", "TLS"}

    def rule_arn(self, suffix: str) -> str:
        """The ARN of one of its rules."""
        return f"{self.arn.replace(':listener/', ':listener-rule/', 1)}/{suffix}"
