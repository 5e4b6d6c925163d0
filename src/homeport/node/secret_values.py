"""References to secrets, values taken out of answers, and values kept out of texts. Pure.

Sources: ECS developer guide, "Pass Secrets Manager secrets through Amazon ECS environment variables" and
"Pass environment variables to an Amazon ECS container"; amazon-ecs-agent 1.105 (asmsecret, ssmsecret).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from homeport.agentproto.messages import Container
from homeport.core.arn import MalformedArnError, parse_arn
from homeport.core.redact import without_values
from homeport.node.ports import ContainerStatus

_WHOLE, _WITH_PARTS = 2, 5
"""Colon-separated parts of `secret:ID` and of `secret:ID:json-key:version-stage:version-id`."""


class BadReferenceError(Exception):
    """A `valueFrom` that means nothing, or an answer that lacks what it means. Never tells a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretReference:
    """What a container's `valueFrom` means in Secrets Manager."""

    secret_id: str
    json_key: str = ""
    version_stage: str = ""
    version_id: str = ""

    @property
    def request(self) -> dict[str, str]:
        """GetSecretValue's; references that differ in the key alone ask the same."""
        asked = {
            "SecretId": self.secret_id,
            "VersionStage": self.version_stage,
            "VersionId": self.version_id,
        }
        return {member: value for member, value in asked.items() if value}


def parse_secret(value_from: str) -> SecretReference:
    """An ARN, alone or with key, stage and id, each of which may be empty. Raise `BadReferenceError`."""
    try:
        arn = parse_arn(value_from)
    except MalformedArnError:
        raise BadReferenceError(
            f"trying to retrieve secret with value {value_from} resulted in error: it is not an ARN"
        ) from None
    parts = arn.resource.split(":")
    if len(parts) == _WHOLE:
        return SecretReference(secret_id=value_from)
    if len(parts) != _WITH_PARTS:
        raise BadReferenceError(
            f"trying to retrieve secret with value {value_from} resulted in error: an invalid ARN format for "
            "the AWS Secrets Manager secret was specified. Specify a valid ARN and try again."
        )
    tail = sum(len(part) + 1 for part in parts[_WHOLE:])
    return SecretReference(
        secret_id=value_from[:-tail], json_key=parts[2], version_stage=parts[3], version_id=parts[4]
    )


def picked(text: str, json_key: str) -> str:
    """A secret's text, or a member of it. Raise `BadReferenceError`.

    A member that is no string comes as the secret's JSON spells it (the real agent writes big numbers as
    `1.2e+07`).
    """
    if not json_key:
        return text
    try:
        members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, ValueError):
        raise BadReferenceError(
            f"retrieved secret from Secrets Manager is not a JSON object: it has no json key {json_key}"
        ) from None
    if json_key not in members:
        raise BadReferenceError(f"retrieved secret from Secrets Manager did not contain json key {json_key}")
    raw = bytes(members[json_key])
    return str(json.loads(raw)) if raw.startswith(b'"') else raw.decode()


def parameter_values(names: Iterable[str], answer: Mapping[str, Any]) -> dict[str, str]:
    """By the names that were asked for, of GetParameters' answer. Raise `BadReferenceError`."""
    values: dict[str, str] = {}
    for parameter in answer.get("Parameters") or ():
        for spelling in ("Name", "ARN"):
            if spelling in parameter:
                values[parameter[spelling] + parameter.get("Selector", "")] = parameter["Value"]
    if missing := [name for name in names if name not in values]:
        raise BadReferenceError(f"invalid parameters: {','.join(missing)}")
    return values


def parse_environment_file(text: str) -> dict[str, str]:
    """`NAME=VALUE` lines; lines that begin with `#` and lines without `=` are skipped. No quoting."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and name.strip() and not line.lstrip().startswith("#"):
            found.setdefault(name.strip(), value)
    return found


def secret_options(status: ContainerStatus, container: Container) -> tuple[str, ...]:
    """The values of log options that are secrets, which Docker knows."""
    names = _secret_option_names(container)
    return tuple(value for name, value in status.log_options.items() if name in names)


def discreet(status: ContainerStatus, container: Container, fetched: Iterable[str]) -> ContainerStatus:
    """What Docker says of a container, without what was fetched for it."""
    names = _secret_option_names(container)
    return replace(
        status,
        error=without_values(status.error, fetched),
        log_options={name: value for name, value in status.log_options.items() if name not in names},
    )


def _secret_option_names(container: Container) -> set[str]:
    return {secret.name for secret in container.secrets if secret.target == "LOG_DRIVER"}
