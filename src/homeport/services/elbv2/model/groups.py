"""Target groups and their targets."""

from __future__ import annotations

from datetime import datetime

import msgspec

TRAFFIC_PORT = "traffic-port"
INSTANCE, IP = "instance", "ip"
ANY_ZONE = "all"

TargetKey = tuple[str, int]
"""An instance's id or an IP address, and a port."""


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a target's health is found out; `http_codes` or `grpc_codes` as they were given."""

    protocol: str
    port: str = TRAFFIC_PORT
    path: str = ""
    interval_seconds: int
    timeout_seconds: int
    healthy_threshold: int
    unhealthy_threshold: int
    http_codes: str = ""
    grpc_codes: str = ""


class TargetGroup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Targets that are alike. `attributes` are those that were set; the others have their defaults."""

    id: int = 0
    version: int = 1
    account_id: str
    region: str
    name: str
    suffix: str
    protocol: str
    protocol_version: str = ""
    port: int
    vpc_id: str
    target_type: str
    ip_address_type: str = "ipv4"
    health_check: HealthCheck
    attributes: dict[str, str] = {}
    tags: dict[str, str] = {}

    @property
    def tail(self) -> str:
        """`targetgroup/NAME/ID`: what names it in metrics."""
        return f"targetgroup/{self.name}/{self.suffix}"

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:elasticloadbalancing:{self.region}:{self.account_id}:{self.tail}"

    @property
    def is_http(self) -> bool:
        """Whether it is an application balancer's."""
        return self.protocol in {"HTTP", "HTTPS"}


class Target(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A registered target. `zone`: the one it was registered with or lies in, `all`: of every zone.

    `drained_at`: it was deregistered and is gone then.
    """

    target_id: str
    port: int
    zone: str = ""
    registered_at: datetime
    drained_at: datetime | None = None

    @property
    def key(self) -> TargetKey:
        """What it is known by within its group."""
        return self.target_id, self.port

    def is_gone(self, now: datetime) -> bool:
        """Whether its draining is over, whatever the table says."""
        return self.drained_at is not None and self.drained_at <= now


class TargetHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A target's health in the API's words."""

    state: str
    reason: str = ""
    description: str = ""
