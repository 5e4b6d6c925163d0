"""What Secrets Manager's handlers are given, and what most of them begin with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from homeport.core.access import Access
from homeport.core.call import Call
from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.core.operations import Handler, Operations, request_tags
from homeport.core.pages import Pages, paging_of
from homeport.services.secretsmanager.errors import (
    DecryptionFailure,
    InvalidNextTokenException,
    InvalidParameterException,
    ResourceNotFoundException,
)
from homeport.services.secretsmanager.model import CURRENT, Secret, SecretVersion
from homeport.services.secretsmanager.plan.requests import check_usable
from homeport.services.secretsmanager.repo.secrets import SecretRepo
from homeport.store.base import Store
from homeport.store.tx import Tx
from homeport.store.vault import Vault, VaultError

ops = Operations("secretsmanager")
H = TypeVar("H", bound=Handler)

Request = Mapping[str, Any]
Answer = dict[str, Any]

_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}\Z")
NOT_FOUND = "Secrets Manager can't find the specified secret."


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretsManager:
    """The service's parts, built by `app`."""

    store: Store
    clock: Clock
    ids: Ids
    pages: Pages
    vault: Vault


def repo_of(tx: Tx, call: Call) -> SecretRepo:
    """The secrets of the caller's account and region."""
    return SecretRepo(tx, call.account_id, call.region)


def secret_resource(call: Call, request: Request) -> tuple[str, ...]:
    """IAM: the secret that a request makes. A name stands for the ARN with whatever suffix."""
    given = request.get("SecretId") or request.get("Name") or "*"
    if given.startswith("arn:"):
        return (given,)
    return (f"arn:aws:secretsmanager:{call.region}:{call.account_id}:secret:{given}-??????",)


def meant_resource(tx: Tx, call: Call, now: datetime, request: Request) -> str:
    """IAM: the secret that a request means, however it spells it; as it spells it when there is none."""
    try:
        return find(tx, call, now, request["SecretId"], deleted=True).arn
    except (KeyError, ResourceNotFoundException):
        return secret_resource(call, request)[0]


def resolved_later(call: Call, request: Request) -> tuple[str, ...]:
    """Nothing by itself: a name or half an ARN leads to the ARN that policies name only in the store."""
    del call, request
    return ()


def on_secret(name: str) -> Callable[[H], H]:
    """Register an operation on the secret that its `SecretId` means."""

    async def needs(call: Call, sm: SecretsManager, request: Request) -> Sequence[Access]:
        arn = await sm.store.read(lambda tx: meant_resource(tx, call, sm.clock.now(), request))
        return [Access(action=f"secretsmanager:{name}", resource=arn, keys=request_tags(call, request))]

    return ops.operation(name, resources=resolved_later, about=secret_resource, needs=needs)


def is_gone(secret: Secret, now: datetime) -> bool:
    """Whether a deleted secret's recovery window is over: it exists no more, whatever the table says."""
    return secret.purge_at is not None and secret.purge_at <= now


def find(tx: Tx, call: Call, now: datetime, given: str, *, deleted: bool = False) -> Secret:
    """The secret of that name, ARN, or ARN without its last seven characters.

    Raise `ResourceNotFoundException`, and `InvalidRequestException` for a deleted one unless `deleted`.
    """
    name, arn = given, ""
    if given.startswith("arn:"):
        parts = given.split(":", 6)
        if len(parts) < 7 or parts[3:5] != [call.region, call.account_id]:
            raise ResourceNotFoundException(NOT_FOUND)
        name, arn = parts[6], given
    repo = repo_of(tx, call)
    secret = repo.find(name)
    if secret is None and arn and _SUFFIX.search(name):
        secret = repo.find(_SUFFIX.sub("", name))
        if secret is not None and secret.arn != arn:
            secret = None
    if secret is None or is_gone(secret, now):
        raise ResourceNotFoundException(NOT_FOUND)
    if not deleted:
        check_usable(secret.deleted_at is not None)
    return secret


def about(secret: Secret, version_id: str) -> str:
    """What a sealed value belongs to."""
    return f"secretsmanager/{secret.arn}/{version_id}"


def opened(sm: SecretsManager, secret: Secret, version: SecretVersion) -> bytes:
    """A version's value. Raise `DecryptionFailure`."""
    try:
        return sm.vault.open(version.sealed, about=about(secret, version.version_id))
    except VaultError as error:
        raise DecryptionFailure(f"{secret.name} cannot be decrypted: {error}.") from None


def chosen_version(tx: Tx, call: Call, secret: Secret, request: Request) -> SecretVersion:
    """The version that a request means by id, staging label or neither. Raise when it is not there."""
    asked, stage = request.get("VersionId"), request.get("VersionStage")
    version_id = asked or secret.stages.get(stage or CURRENT)
    if asked and stage and secret.stages.get(stage) != asked:
        raise InvalidParameterException(
            f"You provided a VersionStage that is not associated to the provided VersionId: {stage}."
        )
    found = repo_of(tx, call).version(secret, version_id) if version_id else None
    if found is None:
        what = f"VersionId: {asked}" if asked else f"staging label: {stage or CURRENT}"
        raise ResourceNotFoundException(f"Secrets Manager can't find the specified secret value for {what}")
    return found


def paged(sm: SecretsManager, call: Call, request: Request, member: str, rows: list[Answer]) -> Answer:
    """One page of `rows`, and the token of the next. Raise `InvalidNextTokenException`."""
    refusal = InvalidNextTokenException("The NextToken is not valid for this request.")
    paging = paging_of(sm.pages, call, request, ("NextToken", "MaxResults"), refusal)
    shown, more = paging.cut(rows, request.get("MaxResults", 100))
    return {member: shown, **({"NextToken": more} if more else {})}


def secret_view(tx: Tx, call: Call, secret: Secret, member: str = "VersionIdsToStages") -> Answer:
    """A secret without its values."""
    view: Answer = {
        "ARN": secret.arn,
        "Name": secret.name,
        "CreatedDate": secret.created_at,
        "LastChangedDate": secret.changed_at,
    }
    staged: dict[str, list[str]] = {}
    for version in repo_of(tx, call).versions(secret):
        if labels := secret.stages_of(version.version_id):
            staged[version.version_id] = list(labels)
    for name, value in (
        ("Description", secret.description),
        ("KmsKeyId", secret.kms_key_id),
        ("LastAccessedDate", secret.accessed_on),
        ("DeletedDate", secret.deleted_at),
        (member, staged),
        ("Tags", [{"Key": key, "Value": value} for key, value in secret.tags.items()]),
    ):
        if value:
            view[name] = value
    return view
