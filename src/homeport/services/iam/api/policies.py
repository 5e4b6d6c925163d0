"""Managed policies: the account's own, and AWS's for everybody."""

from __future__ import annotations

from collections.abc import Mapping

from homeport.core.call import Call
from homeport.core.ids import unique_id
from homeport.services.iam.api.access import POLICY, guarded
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
    require_new,
)
from homeport.services.iam.errors import DeleteConflictException
from homeport.services.iam.model import (
    Entity,
    Group,
    Kind,
    Policy,
    PolicyVersion,
    Role,
    Usage,
    User,
)
from homeport.services.iam.plan.documents import check_managed
from homeport.services.iam.plan.tagging import tagged
from homeport.services.iam.repo.attachments import AttachmentRepo
from homeport.services.iam.repo.entities import EntityRepo
from homeport.services.iam.repo.managed import aws_policies
from homeport.services.iam.view import created_policy_view, policy_view
from homeport.store.tx import Tx

_LISTED: Mapping[type[Entity], tuple[str, str, str]] = {
    Group: ("PolicyGroups", "GroupName", "GroupId"),
    User: ("PolicyUsers", "UserName", "UserId"),
    Role: ("PolicyRoles", "RoleName", "RoleId"),
}


@guarded("CreatePolicy", POLICY, makes=True)
async def create_policy(call: Call, iam: Iam, req: Request) -> Answer:
    """Create a managed policy; its text is version `v1`."""
    check_managed(req["PolicyDocument"])
    now = iam.clock.now()

    def work(tx: Tx) -> Policy:
        require_new(tx, call, Policy, req["PolicyName"])
        return EntityRepo(tx).add(
            Policy(
                account_id=call.account_id,
                name=req["PolicyName"],
                path=req.get("Path", "/"),
                unique_id=unique_id(iam.ids, "ANPA"),
                created_at=now,
                updated_at=now,
                description=req.get("Description"),
                versions=(PolicyVersion(number=1, document=req["PolicyDocument"], created_at=now),),
                tags=tagged(Kind.POLICY, {}, req.get("Tags", [])),
            )
        )

    return {"Policy": created_policy_view(await iam.store.write(work))}


@ops.operation("GetPolicy", resources=policy_in)
async def get_policy(call: Call, iam: Iam, req: Request) -> Answer:
    """A managed policy, without its text."""

    def work(tx: Tx) -> Answer:
        policy = find_policy(tx, call, req["PolicyArn"])
        return policy_view(policy, AttachmentRepo(tx).counts(call.account_id, [policy.arn]), whole=True)

    return {"Policy": await iam.store.read(work)}


@ops.operation("ListPolicies")
async def list_policies(call: Call, iam: Iam, req: Request) -> Answer:
    """Managed policies: the account's, AWS's or both; all, or those that hang on somebody."""
    scope, prefix = req.get("Scope", "All"), req.get("PathPrefix", "/")
    usages = [req["PolicyUsageFilter"]] if "PolicyUsageFilter" in req else []
    if req.get("OnlyAttached") and not usages:
        usages = [Usage.PERMISSIONS]

    def work(tx: Tx) -> tuple[list[Policy], dict[tuple[str, str], int]]:
        local = EntityRepo(tx).page(Policy, call.account_id, prefix=prefix) if scope != "AWS" else ()
        aws = (
            [one for one in aws_policies().values() if one.path.startswith(prefix)]
            if scope != "Local"
            else []
        )
        return [*local, *aws], AttachmentRepo(tx).counts(call.account_id)

    found, counts = await iam.store.read(work, bulk=True)
    listed = [one for one in found if all(counts.get((one.arn, usage)) for usage in usages)]
    rows = behind(listed, req, key=lambda policy: policy.arn)
    return page_of(
        "Policies", rows, req, key=lambda policy: policy.arn, view=lambda policy: policy_view(policy, counts)
    )


@ops.operation("DeletePolicy", resources=policy_in)
async def delete_policy(call: Call, iam: Iam, req: Request) -> Answer:
    """Delete a policy that hangs on nobody and has one version."""

    def work(tx: Tx) -> None:
        policy = find_policy(tx, call, req["PolicyArn"])
        require_local(policy)
        if AttachmentRepo(tx).of_policy(call.account_id, policy.arn):
            raise DeleteConflictException("Cannot delete a policy attached to entities.")
        if len(policy.versions) > 1:
            raise DeleteConflictException(
                "This policy has more than one version. Before you delete a policy, you must delete the "
                "policy's versions. The default version is deleted with the policy."
            )
        EntityRepo(tx).delete(policy)

    await iam.store.write(work)
    return {}


@ops.operation("ListEntitiesForPolicy", resources=policy_in)
async def list_entities_for_policy(call: Call, iam: Iam, req: Request) -> Answer:
    """On whom a policy hangs: groups, users and roles."""
    wanted, prefix = req.get("EntityFilter"), req.get("PathPrefix", "/")
    usages = [req["PolicyUsageFilter"]] if "PolicyUsageFilter" in req else list(Usage)

    def work(tx: Tx) -> list[Entity]:
        policy = find_policy(tx, call, req["PolicyArn"])
        attached = AttachmentRepo(tx).of_policy(call.account_id, policy.arn)
        ids = {one.holder_id for one in attached if one.usage in usages}
        return list(EntityRepo(tx).by_ids(ids).values())

    holders = [
        one
        for one in await iam.store.read(work, bulk=True)
        if one.path.startswith(prefix) and (wanted is None or one.kind.title() == wanted)
    ]
    answer: Answer = {member: [] for member, _, _ in _LISTED.values()}
    if wanted in ("LocalManagedPolicy", "AWSManagedPolicy"):
        return {**answer, "IsTruncated": False}
    rows = behind(holders, req, key=_holder_key)
    page = page_of("Holders", rows, req, key=_holder_key, view=lambda holder: holder)
    for holder in page.pop("Holders"):
        member, name, unique = _LISTED[type(holder)]
        answer[member].append({name: holder.name, unique: holder.unique_id})
    return {**answer, **page}


def _holder_key(holder: Entity) -> str:
    return f"{holder.kind}/{holder.key}"
