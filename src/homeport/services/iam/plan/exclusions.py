"""Policies that a simulation leaves out. Source: botocore iam, PolicyIdentifier."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from homeport.services.iam.errors import InvalidInputException
from homeport.services.iam.model import AppliedPolicy, PolicySource

_POLICY = re.compile(r"arn:aws:iam::(aws|\d{12}):policy/[\w+=,.@/*?-]+", re.ASCII)


def kept(
    policies: Iterable[AppliedPolicy], excluded: Sequence[Mapping[str, Any]]
) -> tuple[AppliedPolicy, ...]:
    """What is not excluded. An identifier that nothing fits is ignored."""
    for one in excluded:
        if len(one) != 1:
            raise InvalidInputException("A policy identifier is a type, an ARN or an inline policy.")
        _glob(one.get("PolicyArn", ""))
        if "PolicyArn" in one and not _POLICY.fullmatch(one["PolicyArn"]):
            raise InvalidInputException(f"ARN {one['PolicyArn']} is not valid.")
    return tuple(policy for policy in policies if not any(_is(policy, one) for one in excluded))


def _is(policy: AppliedPolicy, identifier: Mapping[str, Any]) -> bool:
    if "PolicyType" in identifier:
        return bool(identifier["PolicyType"] == policy.source)
    if "PolicyArn" in identifier:
        return bool(policy.arn) and bool(_glob(identifier["PolicyArn"]).fullmatch(policy.arn))
    inline = identifier.get("InlinePolicyIdentifier", {})
    return (
        policy.source == PolicySource.INLINE
        and inline.get("PolicyName", policy.name) == policy.name
        and inline.get("AttachmentType", policy.holder_kind) == policy.holder_kind
        and bool(_glob(inline.get("AttachmentName", "*")).fullmatch(policy.holder))
    )


def _glob(text: str) -> re.Pattern[str]:
    """At most one `*`, and any number of `?`."""
    if text.count("*") > 1:
        raise InvalidInputException(f"At most one * is allowed in {text}.")
    return re.compile(re.escape(text).replace(r"\*", ".*").replace(r"\?", "."))
