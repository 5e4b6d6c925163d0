"""Certificates as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from homeport.services.acm.model import IMPORTED, Certificate, authority_arn

Answer = dict[str, Any]
NAMES_SHOWN = 100
"""Source: API Reference, CertificateSummary: up to 100 alternative names."""


def _common(one: Certificate, now: datetime) -> Answer:
    view: Answer = {
        "CertificateArn": one.arn,
        "DomainName": one.facts.domain,
        "Status": one.status(now),
        "Type": one.type,
        "KeyAlgorithm": one.facts.key_algorithm,
        "RenewalEligibility": "INELIGIBLE" if one.type == IMPORTED else "ELIGIBLE",
        "NotBefore": one.facts.not_before,
        "NotAfter": one.facts.not_after,
        "CreatedAt": one.created_at,
        "CertificateKeyPairOrigin": one.origin,
    }
    view["ImportedAt" if one.type == IMPORTED else "IssuedAt"] = one.provided_at
    return view


def options_view(one: Certificate) -> Answer:
    """A certificate's options."""
    return {"CertificateTransparencyLoggingPreference": "DISABLED", "Export": one.export_option}


def detail(one: Certificate, used_by: Sequence[str], now: datetime) -> Answer:
    """A certificate, whole."""
    facts = one.facts
    view = _common(one, now) | {
        "SubjectAlternativeNames": list(facts.names),
        "Serial": facts.serial,
        "Subject": facts.subject,
        "Issuer": facts.issuer,
        "SignatureAlgorithm": facts.signature_algorithm,
        "InUseBy": list(used_by),
        "KeyUsages": [{"Name": name} for name in facts.key_usages],
        "ExtendedKeyUsages": [{"Name": usage.name, "OID": usage.oid} for usage in facts.extended_usages],
        "Options": options_view(one),
    }
    if one.type != IMPORTED:
        view["CertificateAuthorityArn"] = authority_arn(one.account_id, one.region)
    return view


def summary(one: Certificate, used_by: Sequence[str], now: datetime) -> Answer:
    """A certificate in a list."""
    facts = one.facts
    return _common(one, now) | {
        "SubjectAlternativeNameSummaries": list(facts.names[:NAMES_SHOWN]),
        "HasAdditionalSubjectAlternativeNames": len(facts.names) > NAMES_SHOWN,
        "KeyUsages": list(facts.key_usages),
        "ExtendedKeyUsages": [usage.name for usage in facts.extended_usages],
        "ExportOption": one.export_option,
        "InUse": bool(used_by),
        "Exported": one.exported,
    }


def tags_view(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
