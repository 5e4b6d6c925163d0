"""What a request for a Classic Load Balancer may say. Pure.

Source: API Reference 2012-06-01; User Guide for Classic Load Balancers, "Listeners", "Health checks",
"Quotas".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from homeport.dataplane.buckets import bucket_fault, prefix_fault
from homeport.services.elb.errors import (
    CertificateNotFound,
    DuplicateListener,
    DuplicateTagKeys,
    InvalidConfigurationRequest,
    InvalidScheme,
    InvalidSecurityGroup,
    InvalidSubnet,
    SubnetNotFound,
    TooManyTags,
    UnsupportedProtocol,
    ValidationError,
)
from homeport.services.elb.model import (
    INTERNAL,
    INTERNET_FACING,
    AccessLog,
    Attributes,
    HealthCheck,
    Listener,
    LoadBalancer,
    Zone,
)
from homeport.services.elb.ports import SecurityGroup, Subnet

Given = Mapping[str, Any]
TAGS_MAX = 50
LISTENERS_MAX = 100
BALANCERS_MAX = 20
INSTANCES_MAX = 1000
LIMITS = {
    "classic-load-balancers": BALANCERS_MAX,
    "classic-listeners": LISTENERS_MAX,
    "classic-registered-instances": INSTANCES_MAX,
}
"""Default quotas by the names of DescribeAccountLimits. They are kept, not only told."""
LAYERS = {"HTTP": "application", "HTTPS": "application", "TCP": "transport", "SSL": "transport"}
SECURE = frozenset({"HTTPS", "SSL"})
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?")
_PLAIN = re.compile(r"(TCP|SSL):(\d{1,5})")
_PAGE = re.compile(r"(HTTPS?):(\d{1,5})(/[!-~]*)")
_DESYNC = "elb.http.desyncmitigationmode"


def check_name(name: str) -> None:
    """Raise unless a load balancer may be called so."""
    if not _NAME.fullmatch(name):
        raise ValidationError(
            "LoadBalancer name must have at most 32 characters, only alphanumeric ones or hyphens, and "
            f"cannot begin or end with a hyphen: '{name}'"
        )


def scheme_of(given: Given) -> str:
    """Internal, or for everybody."""
    scheme: str = given.get("Scheme") or INTERNET_FACING
    if scheme not in (INTERNAL, INTERNET_FACING):
        raise InvalidScheme(f"'{scheme}' is not a valid scheme: use internal")
    return scheme


def listener_of(given: Given) -> Listener:
    """The listener that a request describes."""
    protocol = given["Protocol"].upper()
    if protocol not in LAYERS:
        raise UnsupportedProtocol(f"The protocol '{given['Protocol']}' must be one of HTTP, HTTPS, TCP, SSL")
    default = {"application": "HTTP", "transport": "TCP"}[LAYERS[protocol]]
    inner = (given.get("InstanceProtocol") or default).upper()
    if inner not in LAYERS:
        raise UnsupportedProtocol(
            f"The protocol '{given['InstanceProtocol']}' must be one of HTTP, HTTPS, TCP, SSL"
        )
    if LAYERS[inner] != LAYERS[protocol]:
        raise ValidationError(
            f"The instance protocol '{inner}' is not of the same layer as the listener's '{protocol}'"
        )
    for member in ("LoadBalancerPort", "InstancePort"):
        if not 1 <= given[member] <= 65535:
            raise ValidationError(f"{member} must be between 1 and 65535")
    certificate = given.get("SSLCertificateId") or ""
    if bool(certificate) != (protocol in SECURE):
        raise (ValidationError if certificate else CertificateNotFound)(
            f"An SSL certificate is for listeners of HTTPS and SSL, and must be given for them: {protocol}"
        )
    return Listener(
        protocol=protocol,
        port=given["LoadBalancerPort"],
        instance_protocol=inner,
        instance_port=given["InstancePort"],
        certificate=certificate,
    )


def with_listeners(held: Sequence[Listener], given: Iterable[Given], name: str) -> tuple[Listener, ...]:
    """The listeners of a balancer with those of a request; one that is there already must be the same."""
    found = {one.port: one for one in held}
    for wanted in map(listener_of, given):
        old = found.setdefault(wanted.port, wanted)
        if replace(old, policies=()) != wanted:
            raise DuplicateListener(
                f"A listener already exists for {name} with LoadBalancerPort {wanted.port}, but with a "
                "different InstancePort, Protocol, or SSLCertificateId"
            )
    for one in found.values():
        kinds = {
            other.instance_protocol in SECURE
            for other in found.values()
            if other.instance_port == one.instance_port
        }
        if len(kinds) > 1:
            raise InvalidConfigurationRequest(
                f"Listeners of the instance port {one.instance_port} must all have a secure "
                "instance protocol, or none"
            )
    if len(found) > LISTENERS_MAX:
        raise InvalidConfigurationRequest(f"A load balancer has at most {LISTENERS_MAX} listeners")
    return tuple(found.values())


def check_of(given: Given) -> HealthCheck:
    """The health check that a request describes."""
    target: str = given["Target"]
    found = _PLAIN.fullmatch(target) or _PAGE.fullmatch(target)
    if found is None or not 1 <= int(found[2]) <= 65535 or len(target) > 1024:
        raise ValidationError(
            f"HealthCheck target '{target}' must be TCP:port, SSL:port, or HTTP:port/path, HTTPS:port/path"
        )
    if given["Timeout"] >= given["Interval"]:
        raise ValidationError("HealthCheck timeout must be less than interval")
    return HealthCheck(
        target=target,
        interval_seconds=given["Interval"],
        timeout_seconds=given["Timeout"],
        unhealthy_threshold=given["UnhealthyThreshold"],
        healthy_threshold=given["HealthyThreshold"],
    )


def changed_attributes(held: Attributes, given: Given) -> Attributes:
    """The attributes with those of a request laid over them."""
    fields: dict[str, Any] = {}
    if cross_zone := given.get("CrossZoneLoadBalancing"):
        fields["cross_zone"] = cross_zone["Enabled"]
    if draining := given.get("ConnectionDraining"):
        fields["draining"] = draining["Enabled"]
        if draining.get("Timeout") is not None:
            fields["draining_seconds"] = draining["Timeout"]
    if settings := given.get("ConnectionSettings"):
        fields["idle_seconds"] = settings["IdleTimeout"]
    for one in given.get("AdditionalAttributes") or ():
        if one.get("Key") != _DESYNC:
            raise ValidationError(f"The attribute '{one.get('Key')}' is not one of a load balancer")
        fields["desync"] = one.get("Value", "")
    if log := given.get("AccessLog"):
        fields["access_log"] = _log_of(log)
    found = replace(held, **fields)
    if not 1 <= found.draining_seconds <= 3600:
        raise ValidationError("ConnectionDraining.Timeout must be between 1 and 3600")
    if not 1 <= found.idle_seconds <= 3600:
        raise ValidationError("ConnectionSettings.IdleTimeout must be between 1 and 3600")
    if found.desync not in ("monitor", "defensive", "strictest"):
        raise ValidationError(f"{_DESYNC} must be one of monitor, defensive, strictest")
    return found


def _log_of(given: Given) -> AccessLog:
    """The access log that a request describes. Source: API Reference, AccessLog: 5 or 60 minutes."""
    minutes = given.get("EmitInterval")
    found = AccessLog(
        enabled=given["Enabled"],
        bucket=given.get("S3BucketName") or "",
        prefix=given.get("S3BucketPrefix") or "",
        minutes=60 if minutes is None else minutes,
    )
    if found.enabled and not found.bucket:
        raise InvalidConfigurationRequest("AccessLog.S3BucketName must be given when the log is enabled")
    if found.bucket and (fault := bucket_fault(found.bucket)):
        raise InvalidConfigurationRequest(f"AccessLog.S3BucketName cannot be '{found.bucket}': {fault}")
    if fault := prefix_fault(found.prefix):
        raise InvalidConfigurationRequest(f"AccessLog.S3BucketPrefix cannot be '{found.prefix}': {fault}")
    if found.minutes not in (5, 60):
        raise InvalidConfigurationRequest("AccessLog.EmitInterval must be 5 or 60")
    return found


def zones_of(subnets: Iterable[Subnet]) -> tuple[Zone, ...]:
    """Where a balancer stands. Raise unless the subnets are in one VPC and each in a zone of its own."""
    found = list(subnets)
    if len({one.vpc_id for one in found}) > 1:
        raise InvalidConfigurationRequest("All subnets must belong to the same VPC")
    if closed := next((one.closed for one in found if one.closed), ""):
        raise InvalidSubnet(closed)
    if len({one.zone for one in found}) != len(found):
        raise InvalidConfigurationRequest("Only one subnet can be attached in each Availability Zone")
    zones = (Zone(name=one.zone, subnet_id=one.subnet_id) for one in found)
    return tuple(sorted(zones, key=lambda zone: zone.name))


def named_subnets(ids: Iterable[str], known: Mapping[str, Subnet]) -> list[Subnet]:
    """The subnets, which must exist."""
    wanted = list(dict.fromkeys(ids))
    if missing := [one for one in wanted if one not in known]:
        raise SubnetNotFound(f"The subnet ID '{missing[0]}' does not exist")
    return [known[one] for one in wanted]


def checked_groups(ids: Iterable[str], vpc_id: str, known: Mapping[str, SecurityGroup]) -> tuple[str, ...]:
    """The security groups, which must be in the balancer's VPC."""
    wanted = tuple(dict.fromkeys(ids))
    for one in wanted:
        if one not in known or known[one].vpc_id != vpc_id:
            raise InvalidSecurityGroup(f"The security group '{one}' does not exist in the VPC '{vpc_id}'")
    return wanted


def check_certificates(listeners: Iterable[Listener], unusable: Mapping[str, str]) -> None:
    """Raise unless the certificates are there and can be shown."""
    for arn in (one.certificate for one in listeners if one.certificate):
        if arn not in unusable:
            raise CertificateNotFound(f"Server Certificate not found for the key: {arn}")
        if why := unusable[arn]:
            raise InvalidConfigurationRequest(f"Certificate '{arn}' cannot be used by a load balancer: {why}")


def tags_of(
    given: Sequence[Mapping[str, str]] | None, old: Mapping[str, str] | None = None
) -> dict[str, str]:
    """`old` with these tags laid over it. Raise when one may not be."""
    keys = [tag["Key"] for tag in given or ()]
    if len(set(keys)) != len(keys):
        raise DuplicateTagKeys("A tag key was specified more than once")
    if any(key.lower().startswith("aws:") for key in keys):
        raise ValidationError("Tag keys cannot begin with 'aws:'")
    tags = {**(old or {}), **{tag["Key"]: tag.get("Value") or "" for tag in given or ()}}
    if len(tags) > TAGS_MAX:
        raise TooManyTags(f"A load balancer has at most {TAGS_MAX} tags")
    return tags


def port_of(balancer: LoadBalancer, port: int, missing: type[Exception]) -> Listener:
    """The listener of a port."""
    found = next((one for one in balancer.listeners if one.port == port), None)
    if found is None:
        raise missing(f"There is no listener on port {port} of load balancer '{balancer.name}'")
    return found


def without_ports(listeners: Iterable[Listener], ports: Collection[int]) -> tuple[Listener, ...]:
    """Those on other ports."""
    return tuple(one for one in listeners if one.port not in ports)
