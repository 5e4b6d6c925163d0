"""What a session may be asked to be. Pure.

Source: STS API Reference; IAM User Guide, session policies and session tags.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from homeport.policy.document import MalformedPolicyError
from homeport.policy.parse import parse_policy
from homeport.services.sts.errors import (
    MalformedPolicyDocumentException,
    PackedPolicyTooLargeException,
    ValidationError,
)

POLICY_CHARS = 2048
POLICY_ARNS_MAX = 10
CHAINED_SECONDS_MAX = 3600
_ROLE = re.compile(r"arn:aws:iam::(\d{12}):role/(?:[!-~]+/)?([\w+=,.@-]{1,64})")
_TAG = re.compile(r"[\w\s_.:/=+\-@]*", re.UNICODE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Session policies, and what they take of the packed size, in percent."""

    policies: tuple[str, ...]
    policy_arns: tuple[str, ...]
    packed_percent: int


def role_of(arn: str) -> tuple[str, str]:
    """The account and name in a role's ARN. Raise `ValidationError`."""
    found = _ROLE.fullmatch(arn)
    if found is None:
        raise ValidationError(f"{arn} is invalid")
    return found[1], found[2]


def session_tags(request: Mapping[str, Any], inherited: Mapping[str, str]) -> dict[str, str]:
    """The session's own tags over those that its issuer's session hands on. Raise for what may not be."""
    own: dict[str, str] = {}
    for tag in request.get("Tags") or ():
        key, value = tag["Key"], tag["Value"]
        if key.lower().startswith("aws:") or not (_TAG.fullmatch(key) and _TAG.fullmatch(value)):
            raise ValidationError(f"The tag {key!r} is not allowed.")
        if key.lower() in {one.lower() for one in own}:
            raise ValidationError("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
        if any(key.lower() == one.lower() for one in inherited):
            raise ValidationError(
                f"One of the specified transitive tag keys can't be set because it conflicts with a "
                f"transitive tag key from the calling session: {key}"
            )
        own[key] = value
    absent = [key for key in request.get("TransitiveTagKeys") or () if key not in own]
    if absent:
        raise ValidationError(f"TransitiveTagKeys names tags that are not there: {', '.join(absent)}.")
    return {**inherited, **own}


def limits(request: Mapping[str, Any], tags: Mapping[str, str]) -> Limits:
    """The request's session policies. Raise for what is none, or too much."""
    policy, arns = request.get("Policy"), [one.get("arn", "") for one in request.get("PolicyArns") or ()]
    if policy is not None:
        if len(policy) > POLICY_CHARS:
            raise ValidationError(f"Policy must have length less than or equal to {POLICY_CHARS}")
        try:
            parse_policy(policy)
        except MalformedPolicyError as error:
            raise MalformedPolicyDocumentException(str(error)) from None
    if len(arns) > POLICY_ARNS_MAX:
        raise ValidationError(f"At most {POLICY_ARNS_MAX} PolicyArns can be given.")
    size = len(policy or "") + sum(map(len, arns)) + sum(len(key) + len(value) for key, value in tags.items())
    percent = -(-size * 100 // (2 * POLICY_CHARS))
    if percent > 100:
        raise PackedPolicyTooLargeException(
            f"Packed size of session tags and session policies is {percent}% of what is allowed."
        )
    return Limits(
        policies=(policy,) if policy is not None else (), policy_arns=tuple(arns), packed_percent=percent
    )


def duration(request: Mapping[str, Any], most: int, *, chained: bool) -> int:
    """How long the session lasts, in seconds. Raise when the role does not allow as much."""
    seconds = int(request.get("DurationSeconds", 3600))
    if chained and seconds > CHAINED_SECONDS_MAX:
        raise ValidationError(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by "
            "role chaining"
        )
    if seconds > most:
        raise ValidationError(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )
    return seconds


def refuse_unsupported(request: Mapping[str, Any], members: Sequence[str]) -> None:
    """Raise for what Homeport does not have."""
    for member in members:
        if request.get(member):
            raise ValidationError(f"{member} is not supported by Homeport.")
