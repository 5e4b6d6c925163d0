"""What Certificate Manager's handlers are given, and what most of them begin with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from homeport.core.call import Call
from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.core.operations import Operations
from homeport.core.pages import Pages
from homeport.services.acm.errors import InvalidArnException, ResourceNotFoundException
from homeport.services.acm.model import Certificate
from homeport.services.acm.ports import NobodyUses, Users
from homeport.services.acm.repo.certificates import CertificateRepo
from homeport.store.base import Store
from homeport.store.tx import Tx
from homeport.store.vault import Vault

Request = Mapping[str, Any]
Answer = dict[str, Any]

ops = Operations("acm")
ADD_TAGS = "acm:AddTagsToCertificate"
CERTIFICATES_MAX = 2500
"""Source: User Guide, "Quotas": ACM certificates, and imported ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acm:
    """The service's parts, built by `app`."""

    store: Store
    clock: Clock
    ids: Ids
    pages: Pages
    vault: Vault
    users: Users = field(default_factory=NobodyUses)


def certificate_resource(call: Call, request: Request) -> tuple[str, ...]:
    """IAM: the certificate that a request names, or makes."""
    arn = request.get("CertificateArn") or request.get("ResourceArn")
    return (arn or f"arn:aws:acm:{call.region}:{call.account_id}:certificate/*",)


def repo_of(tx: Tx, call: Call) -> CertificateRepo:
    """The certificates of the caller's account and region."""
    return CertificateRepo(tx, call.account_id, call.region)


def find(tx: Tx, call: Call, arn: str) -> Certificate:
    """The certificate. Raise `InvalidArnException`, `ResourceNotFoundException`."""
    parts = arn.split(":", 5)
    if len(parts) < 6 or parts[2] != "acm" or not parts[5].startswith("certificate/"):
        raise InvalidArnException(f"'{arn}' is not the ARN of a certificate.")
    found = None
    if parts[3:5] == [call.region, call.account_id]:
        found = repo_of(tx, call).find(parts[5].removeprefix("certificate/"))
    if found is None or found.arn != arn:
        raise ResourceNotFoundException(f"Could not find certificate {arn}.")
    return found


def about(arn: str) -> str:
    """What a sealed key belongs to."""
    return f"acm/{arn}"
