"""Secrets without their values: described, listed, deleted, restored, tagged, staged."""

from __future__ import annotations

import msgspec

from homeport.core.call import Call
from homeport.services.secretsmanager.api.context import (
    Answer,
    Request,
    SecretsManager,
    find,
    is_gone,
    on_secret,
    ops,
    paged,
    repo_of,
    secret_view,
)
from homeport.services.secretsmanager.errors import (
    InvalidParameterException,
    InvalidRequestException,
    ResourceNotFoundException,
)
from homeport.services.secretsmanager.model import Secret
from homeport.services.secretsmanager.plan.filters import SORT_KEYS, check_filters, matches, ordered
from homeport.services.secretsmanager.plan.passwords import random_password
from homeport.services.secretsmanager.plan.requests import recovery_window, tags_of
from homeport.services.secretsmanager.plan.stages import moved
from homeport.store.tx import Tx


@on_secret("DescribeSecret")
async def describe_secret(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """A secret without its value; one that waits for its deletion, too."""

    def work(tx: Tx) -> Answer:
        return secret_view(tx, call, find(tx, call, sm.clock.now(), req["SecretId"], deleted=True))

    return await sm.store.read(work)


@ops.operation("ListSecrets")
async def list_secrets(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """Secrets without their values, a hundred a page."""
    filters = req.get("Filters") or ()
    check_filters(filters)
    by, order = req.get("SortBy", "created-date"), req.get("SortOrder", "desc")
    if by not in SORT_KEYS:
        raise InvalidParameterException(f"SortBy is one of {', '.join(SORT_KEYS)}.")

    def work(tx: Tx) -> Answer:
        now = sm.clock.now()
        shown = [
            secret
            for secret in repo_of(tx, call).all()
            if not is_gone(secret, now)
            and (secret.deleted_at is None or req.get("IncludePlannedDeletion"))
            and matches(secret, filters)
        ]
        rows = [secret_view(tx, call, s, "SecretVersionsToStages") for s in ordered(shown, by, order)]
        return paged(sm, call, req, "SecretList", rows)

    return await sm.store.read(work)


@on_secret("ListSecretVersionIds")
async def list_secret_version_ids(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """A secret's versions; those without a staging label only on request."""

    def work(tx: Tx) -> Answer:
        secret = find(tx, call, sm.clock.now(), req["SecretId"], deleted=True)
        rows = []
        for version in repo_of(tx, call).versions(secret):
            labels = secret.stages_of(version.version_id)
            if labels or req.get("IncludeDeprecated"):
                row: Answer = {"VersionId": version.version_id, "CreatedDate": version.created_at}
                row |= {"VersionStages": list(labels)} if labels else {}
                row |= {"LastAccessedDate": version.accessed_on} if version.accessed_on else {}
                rows.append(row)
        return paged(sm, call, req, "Versions", rows) | {"ARN": secret.arn, "Name": secret.name}

    return await sm.store.read(work)


@on_secret("DeleteSecret")
async def delete_secret(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """Mark a secret for deletion in 7 to 30 days, or delete it now."""
    window, now = recovery_window(req), sm.clock.now()

    def work(tx: Tx) -> Answer:
        try:
            secret = find(tx, call, now, req["SecretId"], deleted=bool(req.get("ForceDeleteWithoutRecovery")))
        except ResourceNotFoundException:
            if not req.get("ForceDeleteWithoutRecovery") or req["SecretId"].startswith("arn:"):
                raise
            return {"Name": req["SecretId"], "DeletionDate": now}
        if not window:
            repo_of(tx, call).delete(secret)
        else:
            marked = msgspec.structs.replace(secret, deleted_at=now, purge_at=now + window)
            repo_of(tx, call).save(marked)
        return {"ARN": secret.arn, "Name": secret.name, "DeletionDate": now + window}

    return await sm.store.write(work)


def _changed(tx: Tx, call: Call, secret: Secret) -> Answer:
    repo_of(tx, call).save(secret)
    return {"ARN": secret.arn, "Name": secret.name}


@on_secret("RestoreSecret")
async def restore_secret(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """Take back a deletion that is still to come."""

    def work(tx: Tx) -> Answer:
        secret = find(tx, call, sm.clock.now(), req["SecretId"], deleted=True)
        return _changed(tx, call, msgspec.structs.replace(secret, deleted_at=None, purge_at=None))

    return await sm.store.write(work)


@on_secret("TagResource")
async def tag_resource(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """Add tags, or give them other values."""

    def work(tx: Tx) -> None:
        secret = find(tx, call, sm.clock.now(), req["SecretId"])
        _changed(tx, call, msgspec.structs.replace(secret, tags=tags_of(req["Tags"], secret.tags)))

    await sm.store.write(work)
    return {}


@on_secret("UntagResource")
async def untag_resource(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """Remove tags; keys that are not there do not matter."""

    def work(tx: Tx) -> None:
        secret = find(tx, call, sm.clock.now(), req["SecretId"])
        kept = {key: value for key, value in secret.tags.items() if key not in req["TagKeys"]}
        _changed(tx, call, msgspec.structs.replace(secret, tags=kept))

    await sm.store.write(work)
    return {}


@on_secret("UpdateSecretVersionStage")
async def update_secret_version_stage(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """Move a staging label between versions, or remove it."""

    def work(tx: Tx) -> Answer:
        secret, repo = find(tx, call, sm.clock.now(), req["SecretId"]), repo_of(tx, call)
        for member in ("MoveToVersionId", "RemoveFromVersionId"):
            if req.get(member) and repo.version(secret, req[member]) is None:
                raise InvalidParameterException(f"{member}: the secret has no version {req[member]}.")
        stages = moved(
            secret.stages,
            req["VersionStage"],
            remove_from=req.get("RemoveFromVersionId"),
            move_to=req.get("MoveToVersionId"),
        )
        changed = msgspec.structs.replace(secret, stages=stages, changed_at=sm.clock.now())
        return _changed(tx, call, changed)

    return await sm.store.write(work)


@on_secret("CancelRotateSecret")
async def cancel_rotate_secret(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """Nothing rotates here, and afterwards nothing does."""

    def work(tx: Tx) -> Answer:
        secret = find(tx, call, sm.clock.now(), req["SecretId"])
        return {"ARN": secret.arn, "Name": secret.name}

    return await sm.store.read(work)


@on_secret("RotateSecret")
async def rotate_secret(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """Refused: a rotation is a Lambda function's work, and there is no Lambda."""

    def work(tx: Tx) -> None:
        find(tx, call, sm.clock.now(), req["SecretId"])

    await sm.store.read(work)
    if req.get("RotationLambdaARN"):
        raise InvalidRequestException(
            "RotationLambdaARN is not supported by Homeport: there is no Lambda that could rotate the secret."
        )
    raise InvalidRequestException("No Lambda rotation function ARN is associated with this secret.")


@ops.operation("GetRandomPassword")
async def get_random_password(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """A random password; nothing is stored."""
    del call

    def below(count: int) -> int:
        return int.from_bytes(sm.ids.token(16), "big") % count

    return {"RandomPassword": random_password(req, below)}
