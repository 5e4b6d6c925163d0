"""Which certificates a listing shows, and in which order. Pure.

Source: API Reference, ListCertificates, Filters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from homeport.services.acm.errors import InvalidArgsException
from homeport.services.acm.model import Certificate

DEFAULT_KEYS = ("RSA_1024", "RSA_2048")
"""Source: API Reference, Filters, keyTypes: default filtering returns only these."""


def listed(found: Iterable[Certificate], request: Mapping[str, Any], now: datetime) -> list[Certificate]:
    """Those that a request asks for, in its order."""
    if bool(request.get("SortBy")) != bool(request.get("SortOrder")):
        raise InvalidArgsException("SortBy and SortOrder must be specified together.")
    includes = request.get("Includes") or {}
    statuses = request.get("CertificateStatuses") or ()
    origins = request.get("CertificateKeyPairOrigins") or ()
    shown = [
        one
        for one in found
        if (not statuses or one.status(now) in statuses)
        and (not origins or one.origin in origins)
        and _fits(one, includes)
    ]
    return sorted(shown, key=lambda one: one.created_at, reverse=request.get("SortOrder") == "DESCENDING")


def _fits(one: Certificate, includes: Mapping[str, Any]) -> bool:
    facts = one.facts
    if includes.get("managedBy") or includes.get("exportOption", one.export_option) != one.export_option:
        return False
    return (
        facts.key_algorithm in (includes.get("keyTypes") or DEFAULT_KEYS)
        and _has(facts.key_usages, includes.get("keyUsage"))
        and _has([usage.name for usage in facts.extended_usages], includes.get("extendedKeyUsage"))
    )


def _has(usages: Sequence[str], wanted: Sequence[str] | None) -> bool:
    """Whether one of the wanted usages is there; without any wish, always."""
    if not wanted:
        return True
    return "ANY" in wanted or bool(set(usages) & set(wanted)) or ("NONE" in wanted and not usages)
