"""Resource policies of secrets. Source: Secrets Manager API Reference, PutResourcePolicy."""

from __future__ import annotations

import msgspec

from homeport.core.call import Call
from homeport.services.secretsmanager.api.context import (
    Answer,
    Request,
    SecretsManager,
    find,
    on_secret,
    repo_of,
)
from homeport.services.secretsmanager.errors import (
    InvalidParameterException,
    MalformedPolicyDocumentException,
    PublicPolicyException,
)
from homeport.services.secretsmanager.plan.policies import is_public, parsed
from homeport.store.tx import Tx


def _refuse_names(request: Request) -> None:
    if request.get("PolicyName"):
        raise InvalidParameterException("PolicyName is not supported by Homeport: a secret has one policy.")


@on_secret("PutResourcePolicy")
async def put_resource_policy(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """Give a secret a resource policy, in place of the one that it has."""
    _refuse_names(req)
    if is_public(parsed(req["ResourcePolicy"])) and req.get("BlockPublicPolicy"):
        raise PublicPolicyException("The resource policy lets everybody in, and BlockPublicPolicy is on.")

    def work(tx: Tx) -> Answer:
        secret = find(tx, call, sm.clock.now(), req["SecretId"])
        repo_of(tx, call).save(msgspec.structs.replace(secret, resource_policy=req["ResourcePolicy"]))
        return {"ARN": secret.arn, "Name": secret.name}

    return await sm.store.write(work)


@on_secret("GetResourcePolicy")
async def get_resource_policy(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """A secret's resource policy; no member when it has none."""
    _refuse_names(req)

    def work(tx: Tx) -> Answer:
        secret = find(tx, call, sm.clock.now(), req["SecretId"], deleted=True)
        policy = {"ResourcePolicy": secret.resource_policy} if secret.resource_policy else {}
        return {"ARN": secret.arn, "Name": secret.name} | policy

    return await sm.store.read(work)


@on_secret("DeleteResourcePolicy")
async def delete_resource_policy(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """Take a secret's resource policy away; fine when it has none."""
    _refuse_names(req)

    def work(tx: Tx) -> Answer:
        secret = find(tx, call, sm.clock.now(), req["SecretId"])
        repo_of(tx, call).save(msgspec.structs.replace(secret, resource_policy=""))
        return {"ARN": secret.arn, "Name": secret.name}

    return await sm.store.write(work)


@on_secret("ValidateResourcePolicy")
async def validate_resource_policy(call: Call, sm: SecretsManager, req: Request) -> Answer:
    """Whether a document may be a secret's policy, and what is wrong with it."""
    if secret_id := req.get("SecretId"):
        await sm.store.read(lambda tx: find(tx, call, sm.clock.now(), secret_id))
    try:
        public = is_public(parsed(req["ResourcePolicy"]))
    except MalformedPolicyDocumentException as error:
        wrong = {"CheckName": "VALID_POLICY", "ErrorMessage": error.message}
        return {"PolicyValidationPassed": False, "ValidationErrors": [wrong]}
    found = (
        [{"CheckName": "PUBLIC_POLICY", "ErrorMessage": "The policy lets everybody in."}] if public else []
    )
    return {"PolicyValidationPassed": not public, "ValidationErrors": found}
