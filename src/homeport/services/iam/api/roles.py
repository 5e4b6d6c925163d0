"""Roles: what tasks, instances and services act as."""

from __future__ import annotations

from msgspec.structs import replace

from homeport.core.call import Call
from homeport.core.ids import unique_id
from homeport.services.iam.api.access import ROLE, guarded
from homeport.services.iam.api.context import (
    Answer,
    Iam,
    Request,
    find,
    limit_of,
    ops,
    page_of,
    position,
    require_modifiable,
    require_new,
)
from homeport.services.iam.api.holders import require_free, set_boundary
from homeport.services.iam.api.trust import principal_is_now, require_principals
from homeport.services.iam.errors import DeleteConflictException, InvalidInputException
from homeport.services.iam.model import Kind, Role
from homeport.services.iam.plan.documents import check_trust
from homeport.services.iam.plan.tagging import tagged
from homeport.services.iam.repo.attachments import AttachmentRepo
from homeport.services.iam.repo.entities import EntityRepo
from homeport.services.iam.repo.keys import LastUseRepo
from homeport.services.iam.view import created_role_view, plain_role_view, role_view, whole_role_view
from homeport.store.tx import Tx

SESSION_SECONDS = 3600
SERVICES_PATH = "/aws-service-role/"


@guarded("CreateRole", ROLE, makes=True)
async def create_role(call: Call, iam: Iam, req: Request) -> Answer:
    """Create a role that those may take on whom its trust policy names."""
    check_trust(req["AssumeRolePolicyDocument"])
    boundary, path = req.get("PermissionsBoundary"), req.get("Path", "/")
    if path.startswith(SERVICES_PATH):
        raise InvalidInputException(f"Roles below {SERVICES_PATH} are made by CreateServiceLinkedRole.")

    def work(tx: Tx) -> Role:
        require_new(tx, call, Role, req["RoleName"])
        require_principals(tx, call, req["AssumeRolePolicyDocument"])
        role = EntityRepo(tx).add(
            Role(
                account_id=call.account_id,
                name=req["RoleName"],
                path=path,
                unique_id=unique_id(iam.ids, "AROA"),
                created_at=iam.clock.now(),
                trust=req["AssumeRolePolicyDocument"],
                description=req.get("Description"),
                session_seconds_max=req.get("MaxSessionDuration", SESSION_SECONDS),
                tags=tagged(Kind.ROLE, {}, req.get("Tags", [])),
            )
        )
        if boundary:
            set_boundary(tx, call, role, boundary)
        return role

    return {"Role": created_role_view(await iam.store.write(work), boundary)}


def shown(tx: Tx, role: Role) -> Answer:
    """A role with everything that hangs on it."""
    used = LastUseRepo(tx).find(role.unique_id).get(role.unique_id)
    return whole_role_view(role, AttachmentRepo(tx).boundary(role.id), used)


@guarded("GetRole", ROLE)
async def get_role(call: Call, iam: Iam, req: Request) -> Answer:
    """A role by name."""
    return {"Role": await iam.store.read(lambda tx: shown(tx, find(tx, call, Role, req["RoleName"])))}


@ops.operation("ListRoles")
async def list_roles(call: Call, iam: Iam, req: Request) -> Answer:
    """Roles below a path, by name."""
    after, prefix = position(req), req.get("PathPrefix", "/")
    found = await iam.store.read(
        lambda tx: EntityRepo(tx).page(Role, call.account_id, prefix=prefix, after=after, limit=limit_of(req))
    )
    return page_of("Roles", found, req, key=lambda role: role.key, view=role_view)


@guarded("UpdateRole", ROLE)
async def update_role(call: Call, iam: Iam, req: Request) -> Answer:
    """Change the description and the longest session; what is not said stays, though IAM's reference
    says otherwise (source: answers recorded by LocalStack).

    Of a service's own role only the description may be changed.
    """

    def work(tx: Tx) -> None:
        role = find(tx, call, Role, req["RoleName"])
        if "MaxSessionDuration" in req:
            require_modifiable(role)
        EntityRepo(tx).save(
            replace(
                role,
                description=req.get("Description", role.description),
                session_seconds_max=req.get("MaxSessionDuration", role.session_seconds_max),
            )
        )

    await iam.store.write(work)
    return {}


@guarded("UpdateRoleDescription", ROLE)
async def update_role_description(call: Call, iam: Iam, req: Request) -> Answer:
    """Change the description alone."""

    def work(tx: Tx) -> Role:
        role = find(tx, call, Role, req["RoleName"])
        return EntityRepo(tx).save(replace(role, description=req["Description"]))

    return {"Role": {**plain_role_view(await iam.store.write(work)), "Description": req["Description"]}}


@guarded("UpdateAssumeRolePolicy", ROLE)
async def update_assume_role_policy(call: Call, iam: Iam, req: Request) -> Answer:
    """Change who may take the role on."""
    check_trust(req["PolicyDocument"])

    def work(tx: Tx) -> None:
        role = find(tx, call, Role, req["RoleName"])
        require_modifiable(role)
        require_principals(tx, call, req["PolicyDocument"])
        EntityRepo(tx).save(replace(role, trust=req["PolicyDocument"]))

    await iam.store.write(work)
    return {}


@guarded("DeleteRole", ROLE)
async def delete_role(call: Call, iam: Iam, req: Request) -> Answer:
    """Delete a role that has no policies and is in no instance profile."""

    def work(tx: Tx) -> None:
        role = find(tx, call, Role, req["RoleName"])
        require_modifiable(role)
        if EntityRepo(tx).holders_of(role):
            raise DeleteConflictException(
                "Cannot delete entity, must remove roles from instance profile first."
            )
        require_free(tx, role)
        remove(tx, role)

    await iam.store.write(work)
    return {}


def remove(tx: Tx, role: Role) -> None:
    """Remove the row and what is remembered of it."""
    EntityRepo(tx).delete(role)
    principal_is_now(tx, role, role.unique_id)
    LastUseRepo(tx).forget(role.unique_id)
