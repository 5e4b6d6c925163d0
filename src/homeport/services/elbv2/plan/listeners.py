"""What a listener may speak, and which groups its rules may forward to. Pure.

Source: API Reference, CreateListener, ModifyListener; guides, "Listener configuration", "Quotas".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from homeport.services.elbv2.errors import (
    ALPNPolicyNotFound,
    CertificateNotFound,
    IncompatibleProtocols,
    InvalidConfigurationRequest,
    SSLPolicyNotFound,
    TargetGroupAssociationLimit,
    TargetGroupNotFound,
    TooManyUniqueTargetGroupsPerLoadBalancer,
    UnsupportedProtocol,
    ValidationError,
)
from homeport.services.elbv2.model.balancers import APPLICATION, Listener, LoadBalancer
from homeport.services.elbv2.model.groups import TargetGroup
from homeport.services.elbv2.plan.requests import limit
from homeport.services.elbv2.plan.tls import DEFAULT_POLICY, POLICIES

Given = Mapping[str, Any]
PROTOCOLS: Mapping[str, tuple[str, ...]] = {
    "application": ("HTTP", "HTTPS"),
    "network": ("TCP", "TLS", "UDP", "TCP_UDP"),
}
_OF_VERIFY = (
    "TrustStoreArn",
    "IgnoreClientCertificateExpiry",
    "AdvertiseTrustStoreCaNames",
    "TrustStoreAssociationStatus",
)
ALPN = ("None", "HTTP1Only", "HTTP2Only", "HTTP2Optional", "HTTP2Preferred")
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "HTTP": ("HTTP", "HTTPS"),
    "HTTPS": ("HTTP", "HTTPS"),
    "TCP": ("TCP", "TCP_UDP"),
    "TLS": ("TCP", "TLS"),
    "UDP": ("UDP", "TCP_UDP"),
    "TCP_UDP": ("TCP_UDP",),
}
"""Protocols of the groups that a listener may forward to. Source: guides, "Listener configuration"."""


def listener_of(balancer: LoadBalancer, given: Given, arn: str, tags: dict[str, str]) -> Listener:
    """The listener that a request describes. Raise when it is not one."""
    for member in ("Protocol", "Port"):
        if not given.get(member):
            raise ValidationError(f"A listener {member.lower()} must be specified")
    return changed(
        Listener(
            arn=arn,
            balancer_id=balancer.id,
            balancer_arn=balancer.arn,
            protocol=given["Protocol"],
            port=given["Port"],
            tags=tags,
        ),
        balancer,
        given,
    )


def changed(listener: Listener, balancer: LoadBalancer, given: Given) -> Listener:
    """The listener with what a request says laid over it. Raise when it cannot be."""
    protocol = given.get("Protocol", listener.protocol)
    if protocol not in PROTOCOLS[balancer.type]:
        raise UnsupportedProtocol(
            f"Listener protocol '{protocol}' must be one of '{', '.join(PROTOCOLS[balancer.type])}'"
        )
    _check_mutual(given.get("MutualAuthentication") or {}, protocol)
    certificates = given.get("Certificates")
    policy, alpn = given.get("SslPolicy"), given.get("AlpnPolicy")
    secure = protocol in {"HTTPS", "TLS"}
    if not secure and (certificates or policy):
        raise ValidationError(
            f"Certificates and a security policy cannot be specified for {protocol} listeners"
        )
    if alpn and protocol != "TLS":
        raise ValidationError(f"An ALPN policy cannot be specified for {protocol} listeners")
    fields: dict[str, Any] = {"protocol": protocol, "port": given.get("Port", listener.port)}
    if not secure:
        fields |= {"certificate": "", "certificates": (), "ssl_policy": "", "alpn": ""}
    else:
        fields["certificate"] = _certificate(certificates, listener.certificate, protocol)
        fields["ssl_policy"] = _policy(policy or listener.ssl_policy or DEFAULT_POLICY)
        fields["alpn"] = _alpn(listener.alpn if alpn is None else alpn, protocol)
    return Listener(**{name: getattr(listener, name) for name in listener.__struct_fields__} | fields)


def _check_mutual(given: Given, protocol: str) -> None:
    if given and protocol != "HTTPS":
        raise ValidationError(f"Mutual authentication cannot be specified for {protocol} listeners")
    mode = given.get("Mode", "off")
    if mode not in {"off", "passthrough", "verify"}:
        raise ValidationError(
            f"Mutual authentication mode '{mode}' must be one of 'off, passthrough, verify'"
        )
    if mode != "off":
        raise InvalidConfigurationRequest(
            f"Mutual authentication mode '{mode}' is not supported by Homeport: use 'off'."
        )
    if any(given.get(member) not in (None, "", False, "off") for member in _OF_VERIFY):
        raise ValidationError(
            "A trust store can only be specified when the mutual authentication mode is verify"
        )


def _certificate(given: Sequence[Given] | None, held: str, protocol: str) -> str:
    if given is None:
        arns = [held] if held else []
    else:
        if any(one.get("IsDefault") is not None for one in given):
            raise ValidationError("You cannot set IsDefault when specifying a certificate for a listener")
        arns = [one.get("CertificateArn", "") for one in given]
    if not arns or not arns[0]:
        raise ValidationError(f"A certificate must be specified for {protocol} listeners")
    if len(arns) > 1:
        raise ValidationError(
            "You can specify exactly one certificate: add others with AddListenerCertificates"
        )
    return arns[0]


def _policy(name: str) -> str:
    if name not in POLICIES:
        raise SSLPolicyNotFound(f"SSL policy '{name}' not found")
    return name


def _alpn(given: str | Sequence[str], protocol: str) -> str:
    if protocol != "TLS":
        return ""
    names = [given] if isinstance(given, str) else list(given)
    if not names or not names[0]:
        return ""
    if len(names) > 1 or names[0] not in ALPN:
        raise ALPNPolicyNotFound(f"ALPN policy '{', '.join(names)}' not found: one of {', '.join(ALPN)}")
    return names[0]


def check_certificates(arns: Collection[str], unusable: Mapping[str, str]) -> None:
    """Raise unless all certificates are there and can be shown. `unusable`: why not, of those there are."""
    if missing := [arn for arn in arns if arn not in unusable]:
        raise CertificateNotFound(f"Certificate '{missing[0]}' not found")
    for arn in arns:
        if why := unusable[arn]:
            raise InvalidConfigurationRequest(f"Certificate '{arn}' cannot be used by a load balancer: {why}")


def check_forwarding(
    balancer: LoadBalancer,
    protocol: str,
    wanted: Sequence[str],
    groups: Mapping[str, TargetGroup],
    users: Mapping[str, str],
    in_use: Collection[str],
) -> None:
    """Raise unless a rule of the balancer may forward to these groups.

    `users`: which balancer's rules forward to a group already; `in_use`: all groups that this balancer's do.
    """
    for arn in wanted:
        group = groups.get(arn)
        if group is None:
            raise TargetGroupNotFound(f"Target group '{arn}' not found")
        if group.protocol not in _GROUPS[protocol]:
            raise IncompatibleProtocols(
                f"The {protocol} protocol of the listener is not compatible with the "
                f"{group.protocol} protocol of the target group '{arn}'"
            )
        if users.get(arn, balancer.arn) != balancer.arn:
            raise TargetGroupAssociationLimit(
                f"Target group '{arn}' cannot be associated with more than one load balancer"
            )
        if group.vpc_id != balancer.vpc_id:
            raise InvalidConfigurationRequest(
                f"Target group '{arn}' is not in the VPC '{balancer.vpc_id}' of the load balancer"
            )
        if group.protocol_version == "GRPC" and protocol != "HTTPS":
            raise InvalidConfigurationRequest(
                f"Target group '{arn}' has the protocol version GRPC, which needs an HTTPS listener"
            )
    most = limit("target-groups-per-application-load-balancer", APPLICATION)
    if len({*in_use, *wanted}) > most:
        raise TooManyUniqueTargetGroupsPerLoadBalancer(
            f"The rules of a load balancer forward to at most {most} target groups"
        )
