"""Users: what signs for people and machines."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from homeport.core.call import Call
from homeport.core.ids import unique_id
from homeport.services.iam.api.access import USER, guarded
from homeport.services.iam.api.context import (
    Answer,
    Iam,
    Request,
    find,
    limit_of,
    ops,
    own_user_name,
    page_of,
    position,
    require_new,
)
from homeport.services.iam.api.holders import require_free, set_boundary
from homeport.services.iam.api.trust import principal_is_now
from homeport.services.iam.errors import DeleteConflictException, EntityAlreadyExistsException
from homeport.services.iam.model import Kind, User
from homeport.services.iam.plan.tagging import tagged
from homeport.services.iam.repo.attachments import AttachmentRepo
from homeport.services.iam.repo.entities import EntityRepo
from homeport.services.iam.repo.keys import KeyRepo
from homeport.services.iam.view import user_view, whole_user_view
from homeport.store.tx import Tx


@guarded("CreateUser", USER, makes=True)
async def create_user(call: Call, iam: Iam, req: Request) -> Answer:
    """Create a user, who may do nothing yet."""
    name, boundary = req["UserName"], req.get("PermissionsBoundary")

    def work(tx: Tx) -> User:
        require_new(tx, call, User, name)
        user = EntityRepo(tx).add(
            User(
                account_id=call.account_id,
                name=name,
                path=req.get("Path", "/"),
                unique_id=unique_id(iam.ids, "AIDA"),
                created_at=iam.clock.now(),
                tags=tagged(Kind.USER, {}, req.get("Tags", [])),
            )
        )
        if boundary:
            set_boundary(tx, call, user, boundary)
        return user

    return {"User": whole_user_view(await iam.store.write(work), boundary)}


@guarded("GetUser", USER)
async def get_user(call: Call, iam: Iam, req: Request) -> Answer:
    """A user by name; the caller's own when no name is given."""

    def work(tx: Tx) -> Answer:
        name = req.get("UserName") or own_user_name(tx, call)
        if not name:
            return _root(call, min(key.created_at for key in KeyRepo(tx).of(call.account_id, "")))
        user = find(tx, call, User, name)
        return whole_user_view(user, AttachmentRepo(tx).boundary(user.id))

    return {"User": await iam.store.read(work)}


def _root(call: Call, since: datetime) -> Answer:
    """The root as GetUser shows it: the account is its id."""
    return {
        "Path": "/",
        "UserName": "root",
        "UserId": call.account_id,
        "Arn": call.principal.arn,
        "CreateDate": since,
    }


@ops.operation("ListUsers")
async def list_users(call: Call, iam: Iam, req: Request) -> Answer:
    """Users below a path, by name."""
    after, prefix = position(req), req.get("PathPrefix", "/")
    found = await iam.store.read(
        lambda tx: EntityRepo(tx).page(User, call.account_id, prefix=prefix, after=after, limit=limit_of(req))
    )
    return page_of("Users", found, req, key=lambda user: user.key, view=user_view)


@guarded("UpdateUser", USER)
async def update_user(call: Call, iam: Iam, req: Request) -> Answer:
    """Rename or move a user, who stays the same: keys, groups and policies go along."""
    fresh = req.get("NewUserName")

    def work(tx: Tx) -> None:
        user, repo = find(tx, call, User, req["UserName"]), EntityRepo(tx)
        other = repo.find(User, call.account_id, fresh) if fresh else None
        if other is not None and other.id != user.id:
            raise EntityAlreadyExistsException(f"User with name {fresh} already exists.")
        changed = repo.save(replace(user, name=fresh or user.name, path=req.get("NewPath", user.path)))
        if changed.name != user.name:
            KeyRepo(tx).give(call.account_id, user.name, changed.name)
        if changed.arn != user.arn:
            principal_is_now(tx, user, changed.arn)

    await iam.store.write(work)
    return {}


@guarded("DeleteUser", USER)
async def delete_user(call: Call, iam: Iam, req: Request) -> Answer:
    """Delete a user that has neither keys, policies nor groups."""

    def work(tx: Tx) -> None:
        user, repo = find(tx, call, User, req["UserName"]), EntityRepo(tx)
        if KeyRepo(tx).of(call.account_id, user.name):
            raise DeleteConflictException("Cannot delete entity, must delete access keys first.")
        require_free(tx, user)
        if repo.holders_of(user):
            raise DeleteConflictException("Cannot delete entity, must remove users from group first.")
        repo.delete(user)
        principal_is_now(tx, user, user.unique_id)

    await iam.store.write(work)
    return {}
