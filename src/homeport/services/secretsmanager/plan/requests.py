"""What a secret may be called, hold and carry. Pure. Source: Secrets Manager API Reference, quotas."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from homeport.services.secretsmanager.errors import InvalidParameterException, InvalidRequestException

DEFAULT_KEY = "alias/aws/secretsmanager"
TAGS_MAX = 50
RECOVERY_DAYS = 30
_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
_UNSUPPORTED = {
    "AddReplicaRegions": "replication to other regions",
    "ForceOverwriteReplicaSecret": "replication to other regions",
    "CrossAccountPrimaryARN": "replication across accounts",
    "Type": "managed external secrets",
    "RotationToken": "rotation by another account's role",
}


def check_request(request: Mapping[str, Any]) -> None:
    """Raise for what Homeport does not have."""
    for member, what in _UNSUPPORTED.items():
        if request.get(member):
            raise InvalidParameterException(f"{member} is not supported by Homeport: there is no {what}.")
    key = request.get("KmsKeyId")
    if key and key != DEFAULT_KEY and not key.endswith(f":{DEFAULT_KEY}"):
        raise InvalidParameterException(
            f"Homeport has no KMS keys of yours: leave KmsKeyId out or use {DEFAULT_KEY}."
        )


def check_name(name: str) -> None:
    """Raise unless a secret may be called so."""
    if not _NAME.fullmatch(name):
        raise InvalidParameterException(
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: "
            "-/_+=.@!"
        )


def value_of(request: Mapping[str, Any]) -> tuple[bytes, bool] | None:
    """The value that a request brings and whether it came as bytes; `None`: it brings none."""
    text, binary = request.get("SecretString"), request.get("SecretBinary")
    if text is not None and binary is not None:
        raise InvalidParameterException(
            "You can't specify both a binary secret value and a string secret value in the same secret."
        )
    if text is not None:
        return text.encode(), False
    return None if binary is None else (bytes(binary), True)


def tags_of(given: list[Mapping[str, str]] | None, old: Mapping[str, str] | None = None) -> dict[str, str]:
    """`old` with these tags laid over it. Raise when one may not be."""
    tags = dict(old or {})
    for tag in given or ():
        key, value = tag.get("Key", ""), tag.get("Value", "")
        if not 1 <= len(key) <= 128 or len(value) > 256 or key.lower().startswith("aws:"):
            raise InvalidParameterException(f"The tag {key!r} is not allowed.")
        tags[key] = value
    if len(tags) > TAGS_MAX:
        raise InvalidParameterException(f"A secret has at most {TAGS_MAX} tags.")
    return tags


def recovery_window(request: Mapping[str, Any]) -> timedelta:
    """How long a deleted secret can be restored; zero: not at all."""
    days, force = request.get("RecoveryWindowInDays"), request.get("ForceDeleteWithoutRecovery")
    if force and days is not None:
        raise InvalidParameterException(
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."
        )
    if days is not None and not 7 <= days <= 30:
        raise InvalidParameterException(
            "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."
        )
    return timedelta() if force else timedelta(days=RECOVERY_DAYS if days is None else days)


def check_usable(deleted: bool) -> None:
    """Raise for a secret that is marked for deletion."""
    if deleted:
        raise InvalidRequestException(
            "You can't perform this operation on the secret because it was marked for deletion."
        )
