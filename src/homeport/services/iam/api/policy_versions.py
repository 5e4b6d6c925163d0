"""Versions of managed policies: up to five texts, one of which counts."""

from __future__ import annotations

from msgspec.structs import replace

from homeport.core.call import Call
from homeport.services.iam.api.context import (
    Answer,
    Iam,
    Request,
    behind,
    find_policy,
    ops,
    page_of,
    policy_in,
    require_local,
)
from homeport.services.iam.errors import (
    DeleteConflictException,
    LimitExceededException,
    NoSuchEntityException,
)
from homeport.services.iam.model import Policy, PolicyVersion
from homeport.services.iam.plan.documents import check_managed
from homeport.services.iam.plan.quotas import VERSIONS
from homeport.services.iam.repo.entities import EntityRepo
from homeport.services.iam.view import version_view
from homeport.store.tx import Tx

_MARK_DIGITS = 9


def _version(policy: Policy, version_id: str) -> PolicyVersion:
    for one in policy.versions:
        if one.id == version_id:
            return one
    raise NoSuchEntityException((_MISSING % version_id).format(policy.arn))


_MISSING = "Policy {} version %s does not exist or is not attachable."


def _versioned(tx: Tx, call: Call, req: Request) -> Policy:
    """The policy whose version is asked for."""
    return find_policy(tx, call, req["PolicyArn"], missing=_MISSING % req["VersionId"])


def _own(policy: Policy) -> Policy:
    require_local(policy)
    return policy


@ops.operation("CreatePolicyVersion", resources=policy_in)
async def create_policy_version(call: Call, iam: Iam, req: Request) -> Answer:
    """Add a text, which counts at once when it is made the default."""
    check_managed(req["PolicyDocument"])

    def work(tx: Tx) -> Answer:
        policy = _own(find_policy(tx, call, req["PolicyArn"]))
        if len(policy.versions) >= VERSIONS:
            raise LimitExceededException(
                f"A managed policy can have up to {VERSIONS} versions. Before you create a new version, "
                "you must delete an existing version."
            )
        now = iam.clock.now()
        fresh = PolicyVersion(number=policy.next_number, document=req["PolicyDocument"], created_at=now)
        changed = replace(
            policy,
            versions=(*policy.versions, fresh),
            next_number=fresh.number + 1,
            default_number=fresh.number if req.get("SetAsDefault") else policy.default_number,
            updated_at=now,
        )
        EntityRepo(tx).save(changed)
        return version_view(changed, fresh)

    return {"PolicyVersion": await iam.store.write(work)}


@ops.operation("GetPolicyVersion", resources=policy_in)
async def get_policy_version(call: Call, iam: Iam, req: Request) -> Answer:
    """One text of a policy."""
    policy = await iam.store.read(lambda tx: _versioned(tx, call, req))
    return {"PolicyVersion": version_view(policy, _version(policy, req["VersionId"]), document=True)}


@ops.operation("ListPolicyVersions", resources=policy_in)
async def list_policy_versions(call: Call, iam: Iam, req: Request) -> Answer:
    """The versions of a policy, the newest first."""
    policy = await iam.store.read(lambda tx: find_policy(tx, call, req["PolicyArn"]))
    newest = policy.versions[-1].number

    def age(version: PolicyVersion) -> str:
        return f"{newest - version.number + 1:0{_MARK_DIGITS}}"

    rows = behind(policy.versions, req, key=age)
    return page_of("Versions", rows, req, key=age, view=lambda version: version_view(policy, version))


@ops.operation("SetDefaultPolicyVersion", resources=policy_in)
async def set_default_policy_version(call: Call, iam: Iam, req: Request) -> Answer:
    """Choose the version that counts, for everybody on whom the policy hangs."""

    def work(tx: Tx) -> None:
        policy = _own(_versioned(tx, call, req))
        chosen = _version(policy, req["VersionId"])
        EntityRepo(tx).save(replace(policy, default_number=chosen.number, updated_at=iam.clock.now()))

    await iam.store.write(work)
    return {}


@ops.operation("DeletePolicyVersion", resources=policy_in)
async def delete_policy_version(call: Call, iam: Iam, req: Request) -> Answer:
    """Delete a version that does not count."""

    def work(tx: Tx) -> None:
        policy = _own(_versioned(tx, call, req))
        gone = _version(policy, req["VersionId"])
        if gone.number == policy.default_number:
            raise DeleteConflictException("Cannot delete the default version of a policy.")
        kept = tuple(one for one in policy.versions if one is not gone)
        EntityRepo(tx).save(replace(policy, versions=kept))

    await iam.store.write(work)
    return {}
