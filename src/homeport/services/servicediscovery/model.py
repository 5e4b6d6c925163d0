"""Cloud Map's nouns."""

from __future__ import annotations

from datetime import datetime

import msgspec

PRIVATE, PUBLIC, HTTP = "DNS_PRIVATE", "DNS_PUBLIC", "HTTP"
HEALTHY, UNHEALTHY, UNKNOWN = "HEALTHY", "UNHEALTHY", "UNKNOWN"
MULTIVALUE, WEIGHTED = "MULTIVALUE", "WEIGHTED"


class Namespace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A domain of names: of one VPC, of all VPCs of its account (public), or for API calls only.

    DiscoverInstances asks for its `http_name`.
    """

    id: int = 0
    version: int = 1
    account_id: str
    region: str
    namespace_id: str
    type: str
    name: str
    http_name: str
    vpc_id: str = ""
    hosted_zone_id: str = ""
    soa_ttl: int = 15
    description: str = ""
    creator_request_id: str = ""
    operation_id: str = ""
    """The operation that made it, for those who ask for it again."""
    created_at: datetime
    tags: dict[str, str] = {}

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:servicediscovery:{self.region}:{self.account_id}:namespace/{self.namespace_id}"

    @property
    def is_public(self) -> bool:
        """Whether its names are not one VPC's."""
        return self.type == PUBLIC

    @property
    def has_names(self) -> bool:
        """Whether DNS servers know it."""
        return self.type != HTTP


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A DNS record that each of a service's instances gets. `ttl` in seconds."""

    type: str
    ttl: int


class Shift(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What becomes of the traffic while an owner goes from one deployment to the next.

    Instances of the deployment `fresh` get `percent` of it, all others the rest; tests go to
    the fresh ones once `tests`.
    """

    fresh: str
    percent: float = 0.0
    tests: bool = False


class Entrance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """By which name and port others reach a service's instances, without asking for them (Service Connect).

    `owner`: the ARN of the ECS service whose tasks they are. `protocol`: http, http2, grpc or tcp. No timeout
    is 0. `subnets`: where in `vpc_id` the entrance's address may be; none: in the VPC's own. `test_header`:
    what tests are known by, with any value or with `test_value`. Without a `shift` all instances are alike.
    """

    owner: str
    name: str
    port: int
    protocol: str
    vpc_id: str
    subnets: tuple[str, ...] = ()
    idle_seconds: int = 0
    request_seconds: int = 0
    test_header: str = ""
    test_value: str = ""
    shift: Shift | None = None


class Service(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A service. `instances_revision` grows with every change of its instances.

    `by_dns`: DNS finds it as well as API calls; `custom_health`: somebody reports its instances' health.
    """

    id: int = 0
    version: int = 1
    account_id: str
    region: str
    service_id: str
    namespace_id: str
    name: str
    description: str = ""
    by_dns: bool = False
    routing_policy: str = MULTIVALUE
    records: tuple[Record, ...] = ()
    custom_health: bool = False
    instance_count: int = 0
    instances_revision: int = 1
    creator_request_id: str = ""
    created_at: datetime
    attributes: dict[str, str] = {}
    tags: dict[str, str] = {}
    entrance: Entrance | None = None

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:servicediscovery:{self.region}:{self.account_id}:service/{self.service_id}"


class Instance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a service is. `healthy`: as it was last reported; `left_healthy_at`: when it ceased to be."""

    id: int = 0
    version: int = 1
    service_id: str
    instance_id: str
    attributes: dict[str, str] = {}
    creator_request_id: str = ""
    operation_id: str = ""
    healthy: bool = True
    left_healthy_at: datetime | None = None


class Operation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that was asked for and is done: here nothing is pending."""

    id: int = 0
    version: int = 1
    account_id: str
    region: str
    operation_id: str
    type: str
    targets: dict[str, str] = {}
    created_at: datetime
