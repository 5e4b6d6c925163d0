"""Secrets' values: created, put, read. Source: Secrets Manager API Reference."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from homeport.core.access import Access
from homeport.core.call import Call
from homeport.core.ids import token, uuid
from homeport.services.secretsmanager.api.context import (
    Answer,
    Request,
    SecretsManager,
    about,
    chosen_version,
    find,
    is_gone,
    meant_resource,
    on_secret,
    opened,
    ops,
    paged,
    repo_of,
    secret_resource,
)
from homeport.services.secretsmanager.errors import (
    DecryptionFailure,
    InvalidParameterException,
    InvalidRequestException,
    ResourceExistsException,
    ResourceNotFoundException,
)
from homeport.services.secretsmanager.model import CURRENT, Secret, SecretVersion
from homeport.services.secretsmanager.plan.filters import check_filters, matches
from homeport.services.secretsmanager.plan.requests import check_name, check_request, tags_of, value_of
from homeport.services.secretsmanager.plan.stages import staged
from homeport.store.tx import Tx

VERSIONS_MAX = 100
BATCH_MOST = 20


def _written(
    tx: Tx, call: Call, sm: SecretsManager, secret: Secret, req: Request, stages: Sequence[str]
) -> tuple[Secret, str]:
    """The secret with the request's value as a version; the same request again changes nothing."""
    value = value_of(req)
    if value is None:
        raise InvalidParameterException("You must provide either SecretString or SecretBinary.")
    repo, version_id = repo_of(tx, call), req.get("ClientRequestToken") or uuid(sm.ids)
    old = repo.version(secret, version_id)
    if old is not None:
        if (opened(sm, secret, old), old.binary) != value:
            raise ResourceExistsException(
                f"You can't use ClientRequestToken {version_id} because that value is already in use for a "
                f"version of secret {secret.arn}."
            )
        return secret, version_id
    repo.add_version(
        secret,
        SecretVersion(
            version_id=version_id,
            sealed=sm.vault.seal(value[0], about=about(secret, version_id)),
            binary=value[1],
            created_at=sm.clock.now(),
        ),
    )
    labels = stages if CURRENT in secret.stages else (*stages, CURRENT)
    secret = msgspec.structs.replace(
        secret, stages=staged(secret.stages, version_id, dict.fromkeys(labels)), changed_at=sm.clock.now()
    )
    unstaged = [v for v in repo.versions(secret) if not secret.stages_of(v.version_id)]
    for version in unstaged[VERSIONS_MAX:]:
        repo.drop_version(secret, version.version_id)
    return secret, version_id


@ops.operation("CreateSecret", resources=secret_resource, tagging="secretsmanager:TagResource")
async def create_secret(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """Create a secret, with its first value or without; the same request again returns it."""
    check_request(req)
    check_name(req["Name"])
    tags = tags_of(req.get("Tags"))
    now = sm.clock.now()

    def work(tx: Tx) -> Answer:
        repo = repo_of(tx, call)
        old = repo.find(req["Name"])
        if old is not None and is_gone(old, now):
            repo.delete(old)
            old = None
        if old is not None:
            return _repeated(tx, call, sm, old, req)
        secret = repo.add(
            Secret(
                account_id=call.account_id,
                region=call.region,
                name=req["Name"],
                suffix=token(sm.ids, 6),
                description=req.get("Description", ""),
                kms_key_id=req.get("KmsKeyId", ""),
                tags=tags,
                created_at=now,
                changed_at=now,
            )
        )
        answer: Answer = {"ARN": secret.arn, "Name": secret.name}
        if value_of(req) is not None:
            secret, version_id = _written(tx, call, sm, secret, req, (CURRENT,))
            repo.save(secret)
            answer["VersionId"] = version_id
        return answer

    return await sm.store.write(work)


def _repeated(tx: Tx, call: Call, sm: SecretsManager, old: Secret, req: Request) -> Answer:
    """CreateSecret for a name that is taken: fine only as a repeat of the request that took it."""
    if old.deleted_at is not None:
        raise InvalidRequestException(
            "You can't create this secret because a secret with this name is already scheduled for deletion."
        )
    value, version_id = value_of(req), req.get("ClientRequestToken") or ""
    version = repo_of(tx, call).version(old, version_id)
    if value is None or version is None or (opened(sm, old, version), version.binary) != value:
        raise ResourceExistsException(
            f"The operation failed because the secret {req['Name']} already exists."
        )
    return {"ARN": old.arn, "Name": old.name, "VersionId": version_id}


@on_secret("PutSecretValue")
async def put_secret_value(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """Give a secret another value; it becomes the current one unless other staging labels are named."""
    check_request(req)

    def work(tx: Tx) -> Answer:
        secret = find(tx, call, sm.clock.now(), req["SecretId"])
        stages = req.get("VersionStages") or (CURRENT,)
        after, version_id = _written(tx, call, sm, secret, req, stages)
        if after is not secret:
            repo_of(tx, call).save(after)
        return {
            "ARN": after.arn,
            "Name": after.name,
            "VersionId": version_id,
            "VersionStages": list(after.stages_of(version_id)),
        }

    return await sm.store.write(work)


@on_secret("UpdateSecret")
async def update_secret(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """Change a secret's description, or give it another current value, or both."""
    check_request(req)

    def work(tx: Tx) -> Answer:
        secret = find(tx, call, sm.clock.now(), req["SecretId"])
        secret = msgspec.structs.replace(
            secret,
            description=req.get("Description", secret.description),
            kms_key_id=req.get("KmsKeyId", secret.kms_key_id),
            changed_at=sm.clock.now(),
        )
        answer: Answer = {"ARN": secret.arn, "Name": secret.name}
        if value_of(req) is not None:
            secret, answer["VersionId"] = _written(tx, call, sm, secret, req, (CURRENT,))
        repo_of(tx, call).save(secret)
        return answer

    return await sm.store.write(work)


def _value(tx: Tx, call: Call, sm: SecretsManager, secret: Secret, version: SecretVersion) -> Answer:
    """The value as it is answered; the day of its use is noted, once a day."""
    today = sm.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    repo = repo_of(tx, call)
    if version.accessed_on != today:
        repo.save_version(secret, msgspec.structs.replace(version, accessed_on=today))
    if secret.accessed_on != today:
        repo.save(msgspec.structs.replace(secret, accessed_on=today))
    value = opened(sm, secret, version)
    return {
        "ARN": secret.arn,
        "Name": secret.name,
        "VersionId": version.version_id,
        "VersionStages": list(secret.stages_of(version.version_id)),
        "CreatedDate": version.created_at,
    } | ({"SecretBinary": value} if version.binary else {"SecretString": value.decode()})


@on_secret("GetSecretValue")
async def get_secret_value(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """A secret's value: the current one, or that of a version or staging label."""

    def work(tx: Tx) -> Answer:
        secret = find(tx, call, sm.clock.now(), req["SecretId"])
        return _value(tx, call, sm, secret, chosen_version(tx, call, secret, req))

    return await sm.store.write(work)


async def _batch_needs(call: Call, sm: SecretsManager, request: Request) -> Sequence[Access]:
    """The values are those that GetSecretValue gives. Source: API Reference, BatchGetSecretValue.

    AWS tells denied secrets of a filter one by one; here all that the filters find must be allowed.
    """
    named, filters, now = request.get("SecretIdList"), request.get("Filters"), sm.clock.now()

    def work(tx: Tx) -> list[str]:
        if named:
            return [meant_resource(tx, call, now, {"SecretId": one}) for one in named]
        return [one.arn for one in repo_of(tx, call).all() if matches(one, filters or ())]

    check_filters(filters or ())
    arns = await sm.store.read(work)
    listing = [] if named else [Access(action="secretsmanager:ListSecrets")]
    values = [Access(action="secretsmanager:GetSecretValue", resource=arn) for arn in dict.fromkeys(arns)]
    return [*listing, *values]


@ops.operation("BatchGetSecretValue", needs=_batch_needs)
async def batch_get_secret_value(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """The current values of up to twenty secrets; those that cannot be had are told one by one."""
    named, filters = req.get("SecretIdList"), req.get("Filters")
    if bool(named) == bool(filters):
        raise InvalidParameterException("Give either SecretIdList or Filters.")
    if named and req.get("MaxResults"):
        raise InvalidParameterException("MaxResults is only for Filters.")
    check_filters(filters or ())

    def work(tx: Tx) -> Answer:
        now = sm.clock.now()
        wanted = list(dict.fromkeys(named or ()))
        if not named:
            usable = [s for s in repo_of(tx, call).all() if s.deleted_at is None]
            page = paged(
                sm,
                call,
                {"MaxResults": BATCH_MOST, **req},
                "rows",
                [{"ARN": secret.arn} for secret in usable if matches(secret, filters or ())],
            )
            wanted = [row["ARN"] for row in page.pop("rows")]
        else:
            page = {}
        values, errors = [], []
        for one in wanted:
            try:
                secret = find(tx, call, now, one)
                values.append(_value(tx, call, sm, secret, chosen_version(tx, call, secret, {})))
            except (ResourceNotFoundException, InvalidRequestException, DecryptionFailure) as error:
                errors.append({"SecretId": one, "ErrorCode": error.code, "Message": error.message})
        return {"SecretValues": values, "Errors": errors} | page

    return await sm.store.write(work)
