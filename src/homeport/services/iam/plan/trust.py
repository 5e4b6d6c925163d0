"""Whom a trust policy names. Who goes leaves a unique id behind, so that a namesake is not trusted.

Source: IAM User Guide, AWS JSON policy elements: Principal, "the principal ARN is transformed to a unique
principal ID".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_OWN = re.compile(r"arn:aws:iam::(\d{12}):(user|role)/(.+)")


def named_principals(document: str, account_id: str) -> tuple[tuple[str, str, str], ...]:
    """The account's own users and roles in a valid trust policy: (ARN, kind, name)."""
    found = []
    for arn in _arns(json.loads(document)):
        parts = _OWN.fullmatch(arn)
        if parts is not None and parts[1] == account_id:
            found.append((arn, parts[2], parts[3].rpartition("/")[2]))
    return tuple(found)


def with_principal(document: str, before: str, after: str) -> str | None:
    """The trust policy with another principal in one's place; `None`: it does not name it."""
    policy = json.loads(document)
    if before not in _arns(policy):
        return None
    for principal in _principals(policy):
        aws = principal["AWS"]
        listed = aws if isinstance(aws, list) else [aws]
        changed = [after if one == before else one for one in listed]
        principal["AWS"] = changed if isinstance(aws, list) else changed[0]
    return json.dumps(policy, separators=(",", ":"), ensure_ascii=False)


def _principals(policy: dict[str, Any]) -> Iterator[dict[str, Any]]:
    statements = policy["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal")
        if isinstance(principal, dict) and "AWS" in principal:
            yield principal


def _arns(policy: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for principal in _principals(policy):
        aws = principal["AWS"]
        found += aws if isinstance(aws, list) else [aws]
    return found
