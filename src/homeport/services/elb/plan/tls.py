"""What clients of a secure listener may speak: SSL negotiation policies. Pure.

Source: User Guide for Classic Load Balancers, "SSL negotiation configurations", "Predefined SSL security
policies". Of a predefined policy's ciphers those are offered that the proxy has; what a custom policy enables
by name is offered, or refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from homeport.services.elb.errors import InvalidConfigurationRequest, ValidationError

REFERENCE = "Reference-Security-Policy"
ORDER = "Server-Defined-Cipher-Order"
DEFAULT_POLICY = "ELBSecurityPolicy-2016-08"
VERSIONS: Mapping[str, str] = {
    "Protocol-TLSv1": "TLSv1",
    "Protocol-TLSv1.1": "TLSv1.1",
    "Protocol-TLSv1.2": "TLSv1.2",
}
"""Attributes that enable a version, oldest first."""
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES128-SHA",
    "AES256-GCM-SHA384",
    "AES256-SHA",
)
"""Those that can be enabled, in the order in which they are preferred."""
ABSENT = (
    "Protocol-SSLv2",
    "Protocol-SSLv3",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
    "AES128-SHA256",
    "AES256-SHA256",
    "DHE-RSA-AES128-GCM-SHA256",
    "DHE-RSA-AES128-SHA256",
    "DHE-RSA-AES128-SHA",
    "DHE-RSA-AES256-GCM-SHA384",
    "DHE-RSA-AES256-SHA256",
    "DHE-RSA-AES256-SHA",
    "DHE-DSS-AES128-GCM-SHA256",
    "DHE-DSS-AES128-SHA256",
    "DHE-DSS-AES128-SHA",
    "DHE-DSS-AES256-GCM-SHA384",
    "DHE-DSS-AES256-SHA256",
    "DHE-DSS-AES256-SHA",
    "DHE-RSA-CAMELLIA128-SHA",
    "DHE-RSA-CAMELLIA256-SHA",
    "DHE-DSS-CAMELLIA128-SHA",
    "DHE-DSS-CAMELLIA256-SHA",
    "CAMELLIA128-SHA",
    "CAMELLIA256-SHA",
    "EDH-RSA-DES-CBC3-SHA",
    "EDH-DSS-DES-CBC3-SHA",
    "DES-CBC3-SHA",
    "ECDHE-RSA-RC4-SHA",
    "ECDHE-ECDSA-RC4-SHA",
    "RC4-SHA",
    "RC4-MD5",
    "SEED-SHA",
)
"""What the proxy's TLS library does not have: it can only be disabled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """`versions` oldest first, `ciphers` in order of preference."""

    versions: tuple[str, ...]
    ciphers: tuple[str, ...]


_NO_SHA1 = tuple(cipher for cipher in CIPHERS if not cipher.endswith("-SHA"))
PREDEFINED: Mapping[str, Terms] = {
    "ELBSecurityPolicy-TLS-1-2-2017-01": Terms(versions=("TLSv1.2",), ciphers=_NO_SHA1),
    "ELBSecurityPolicy-TLS-1-1-2017-01": Terms(versions=("TLSv1.1", "TLSv1.2"), ciphers=CIPHERS),
    DEFAULT_POLICY: Terms(versions=("TLSv1", "TLSv1.1", "TLSv1.2"), ciphers=CIPHERS),
}
"""Older ones have ciphers for clients that know no others, which the proxy does not have either."""


def negotiated(attributes: Mapping[str, str]) -> dict[str, str]:
    """The attributes of an SSL negotiation policy as they are kept. Raise when they cannot be."""
    if reference := attributes.get(REFERENCE):
        if len(attributes) > 1:
            raise InvalidConfigurationRequest(f"{REFERENCE} cannot be specified with other attributes")
        if reference not in PREDEFINED:
            raise InvalidConfigurationRequest(
                f"There is no security policy '{reference}' in Homeport: it has {', '.join(PREDEFINED)}"
            )
        return dict(attributes)
    if not attributes:
        return {REFERENCE: DEFAULT_POLICY}
    for name, value in attributes.items():
        if value not in ("true", "false"):
            raise ValidationError(f"The attribute '{name}' must be true or false, not '{value}'")
        if name in ABSENT and value == "true":
            raise InvalidConfigurationRequest(f"{name} is not supported by Homeport: its proxy has it not.")
    if attributes.get(ORDER) == "false":
        raise InvalidConfigurationRequest(
            f"{ORDER}=false is not supported by Homeport: the load balancer chooses the cipher."
        )
    found = terms_of(attributes)
    wanted = [attribute for attribute, version in VERSIONS.items() if version in found.versions]
    if not wanted or not found.ciphers:
        raise InvalidConfigurationRequest("At least one protocol and one cipher must be enabled")
    if wanted == [min(VERSIONS), max(VERSIONS)]:
        raise InvalidConfigurationRequest("Protocols must be enabled without a gap between them")
    return dict(attributes)


def terms_of(attributes: Mapping[str, str]) -> Terms:
    """What a policy with these attributes lets clients speak."""
    if reference := attributes.get(REFERENCE):
        return PREDEFINED[reference]
    return Terms(
        versions=tuple(version for name, version in VERSIONS.items() if attributes.get(name) == "true"),
        ciphers=tuple(cipher for cipher in CIPHERS if attributes.get(cipher) == "true"),
    )


def spelled(attributes: Mapping[str, str]) -> dict[str, str]:
    """All attributes of a policy, those that follow from a predefined one among them."""
    found, shown = terms_of(attributes), dict[str, str]()
    if reference := attributes.get(REFERENCE):
        shown[REFERENCE] = reference
    enabled = {name for name, version in VERSIONS.items() if version in found.versions} | {*found.ciphers}
    for name in (*VERSIONS, *CIPHERS, *ABSENT):
        shown[name] = "true" if name in enabled else "false"
    return shown | {ORDER: "true"}
