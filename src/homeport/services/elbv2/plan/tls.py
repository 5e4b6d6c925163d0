"""AWS's security policies: which versions of TLS and which ciphers a listener may speak. Pure data.

Source: Application Load Balancer guide, "Security policies", tables of protocols and ciphers by policy. The
policies of 2025-09 (`PQ`) add post-quantum key exchange and the FIPS ones another library: both are left out,
and refused as unknown, because what makes them another policy could not be kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_POLICY = "ELBSecurityPolicy-2016-08"

_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_ORDER = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES128-SHA256",
    "AES128-SHA",
    "AES256-GCM-SHA384",
    "AES256-SHA256",
    "AES256-SHA",
)
"""Every cipher below TLS 1.3, in the order in which a policy prefers them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`versions` newest first, `ciphers` in order of preference."""

    name: str
    versions: tuple[str, ...]
    ciphers: tuple[str, ...]


def _is_gcm(cipher: str) -> bool:
    return "GCM" in cipher


def _is_forward_secret(cipher: str) -> bool:
    return cipher.startswith("ECDHE")


def _is_sha1(cipher: str) -> bool:
    return cipher.endswith("-SHA")


_ALL = _ORDER
_FS = tuple(c for c in _ORDER if _is_forward_secret(c))
_FS_NO_SHA1 = tuple(c for c in _FS if not _is_sha1(c))
_FS_GCM = tuple(c for c in _FS if _is_gcm(c))
_NO_SHA1 = tuple(c for c in _ORDER if not _is_sha1(c))

_POLICIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "TLS13-1-3-2021-06": ("1.3", ()),
    "TLS13-1-2-2021-06": ("1.3 1.2", _FS_NO_SHA1),
    "TLS13-1-2-Res-2021-06": ("1.3 1.2", _FS_GCM),
    "TLS13-1-2-Ext2-2021-06": ("1.3 1.2", _ALL),
    "TLS13-1-2-Ext1-2021-06": ("1.3 1.2", _NO_SHA1),
    "TLS13-1-1-2021-06": ("1.3 1.2 1.1", _ALL),
    "TLS13-1-0-2021-06": ("1.3 1.2 1.1 1.0", _ALL),
    "TLS-1-2-Ext-2018-06": ("1.2", _ALL),
    "TLS-1-2-2017-01": ("1.2", _NO_SHA1),
    "TLS-1-1-2017-01": ("1.2 1.1", _ALL),
    "2016-08": ("1.2 1.1 1.0", _ALL),
    "2015-05": ("1.2 1.1 1.0", _ALL),
    "FS-1-2-Res-2020-10": ("1.2", _FS_GCM),
    "FS-1-2-Res-2019-08": ("1.2", _FS_NO_SHA1),
    "FS-1-2-2019-08": ("1.2", _FS),
    "FS-1-1-2019-08": ("1.2 1.1", _FS),
    "FS-2018-06": ("1.2 1.1 1.0", _FS),
}


def _policy(name: str, versions: str, ciphers: tuple[str, ...]) -> Policy:
    spoken = tuple("TLSv1" if v == "1.0" else f"TLSv{v}" for v in versions.split())
    return Policy(
        name=f"ELBSecurityPolicy-{name}",
        versions=spoken,
        ciphers=(*(_TLS13 if "TLSv1.3" in spoken else ()), *ciphers),
    )


POLICIES: Mapping[str, Policy] = {
    policy.name: policy for policy in (_policy(name, *rest) for name, rest in _POLICIES.items())
}
"""By name."""
