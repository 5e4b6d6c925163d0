"""Amazon Resource Names."""

from __future__ import annotations

from dataclasses import dataclass


class MalformedArnError(ValueError):
    """The text is not an ARN."""


@dataclass(frozen=True, slots=True)
class Arn:
    """`arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE`; `resource` keeps its slashes and colons."""

    service: str
    region: str
    account_id: str
    resource: str
    partition: str = "aws"

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account_id}:{self.resource}"


def parse_arn(text: str) -> Arn:
    """Raise `MalformedArnError` when `text` is not an ARN."""
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or not parts[2] or not parts[5]:
        raise MalformedArnError(text)
    return Arn(parts[2], parts[3], parts[4], parts[5], parts[1])


def is_arn(text: str) -> bool:
    """Whether `text` claims to be an ARN."""
    return text.startswith("arn:")
