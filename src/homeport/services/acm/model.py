"""Certificate Manager's nouns."""

from __future__ import annotations

from datetime import datetime

import msgspec

IMPORTED, PRIVATE = "IMPORTED", "PRIVATE"
ISSUED, EXPIRED = "ISSUED", "EXPIRED"
AUTHORITY = "certificate-authority/homeport"
"""How the ARN of the installation's own authority ends."""


def authority_arn(account_id: str, region: str) -> str:
    """What the installation's own authority is called in an account and region."""
    return f"arn:aws:acm-pca:{region}:{account_id}:{AUTHORITY}"


class Usage(msgspec.Struct, frozen=True):
    """An extended key usage, in the API's words."""

    name: str
    oid: str


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a certificate says of itself. `names`: DNS names in lower case, and addresses."""

    domain: str
    names: tuple[str, ...]
    serial: str
    subject: str
    issuer: str
    key_algorithm: str
    signature_algorithm: str
    not_before: datetime
    not_after: datetime
    key_usages: tuple[str, ...] = ()
    extended_usages: tuple[Usage, ...] = ()


class Certificate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A certificate with its chain (PEM) and its key (PKCS #8 in PEM, sealed).

    `requested`: what made it and the token that came with it, to know the same request again.
    """

    id: int = 0
    version: int = 1
    account_id: str
    region: str
    uid: str
    type: str
    facts: Facts
    leaf: str
    chain: str = ""
    sealed_key: bytes
    tags: dict[str, str] = {}
    created_at: datetime
    provided_at: datetime
    requested: str = ""
    exported: bool = False

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:acm:{self.region}:{self.account_id}:certificate/{self.uid}"

    @property
    def origin(self) -> str:
        """Who made its key."""
        return "CUSTOMER_PROVIDED" if self.type == IMPORTED else "AWS_MANAGED"

    @property
    def export_option(self) -> str:
        """Whether its key may be had."""
        return "DISABLED" if self.type == IMPORTED else "ENABLED"

    def status(self, now: datetime) -> str:
        """`ISSUED` until its time is over."""
        return EXPIRED if self.facts.not_after <= now else ISSUED


class Authority(msgspec.Struct, frozen=True, kw_only=True):
    """The installation's own certificate authority: its root (PEM) and the root's key, sealed."""

    root: str
    sealed_key: bytes


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """What a server shows to clients: PEM, the leaf first."""

    arn: str
    chain: bytes
    private_key: bytes
    version: int

    def __repr__(self) -> str:
        """Without the key."""
        return f"Material({self.arn}, {self.version})"
