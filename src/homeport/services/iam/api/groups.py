"""Groups: users who share policies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from msgspec.structs import replace

from homeport.core.call import Call
from homeport.core.ids import unique_id
from homeport.services.iam.api.access import GROUP, USER, guarded
from homeport.services.iam.api.context import (
    Answer,
    Iam,
    Request,
    behind,
    find,
    limit_of,
    ops,
    page_of,
    position,
    require_new,
)
from homeport.services.iam.api.holders import require_free
from homeport.services.iam.errors import (
    DeleteConflictException,
    EntityAlreadyExistsException,
    LimitExceededException,
    NoSuchEntityException,
)
from homeport.services.iam.model import Group, User
from homeport.services.iam.plan.quotas import GROUPS_PER_USER
from homeport.services.iam.repo.entities import EntityRepo
from homeport.services.iam.view import group_view, user_view
from homeport.store.tx import Tx


@guarded("CreateGroup", GROUP, makes=True)
async def create_group(call: Call, iam: Iam, req: Request) -> Answer:
    """Create a group of nobody."""

    def work(tx: Tx) -> Group:
        require_new(tx, call, Group, req["GroupName"])
        return EntityRepo(tx).add(
            Group(
                account_id=call.account_id,
                name=req["GroupName"],
                path=req.get("Path", "/"),
                unique_id=unique_id(iam.ids, "AGPA"),
                created_at=iam.clock.now(),
            )
        )

    return {"Group": group_view(await iam.store.write(work))}


@guarded("GetGroup", GROUP)
async def get_group(call: Call, iam: Iam, req: Request) -> Answer:
    """A group and its users."""

    def work(tx: Tx) -> tuple[Group, Sequence[User]]:
        group = find(tx, call, Group, req["GroupName"])
        return group, cast(Sequence[User], EntityRepo(tx).members_of(group))

    group, users = await iam.store.read(work)
    rows = behind(users, req, key=lambda user: user.key)
    return {
        "Group": group_view(group),
        **page_of("Users", rows, req, key=lambda user: user.key, view=user_view),
    }


@ops.operation("ListGroups")
async def list_groups(call: Call, iam: Iam, req: Request) -> Answer:
    """Groups below a path, by name."""
    after, prefix = position(req), req.get("PathPrefix", "/")
    found = await iam.store.read(
        lambda tx: EntityRepo(tx).page(
            Group, call.account_id, prefix=prefix, after=after, limit=limit_of(req)
        )
    )
    return page_of("Groups", found, req, key=lambda group: group.key, view=group_view)


@guarded("ListGroupsForUser", USER)
async def list_groups_for_user(call: Call, iam: Iam, req: Request) -> Answer:
    """The groups that a user is in."""
    holders = await iam.store.read(
        lambda tx: EntityRepo(tx).holders_of(find(tx, call, User, req["UserName"]))
    )
    rows = behind(cast(Sequence[Group], holders), req, key=lambda group: group.key)
    return page_of("Groups", rows, req, key=lambda group: group.key, view=group_view)


@guarded("UpdateGroup", GROUP)
async def update_group(call: Call, iam: Iam, req: Request) -> Answer:
    """Rename or move a group; its users and policies stay."""
    fresh = req.get("NewGroupName")

    def work(tx: Tx) -> None:
        group, repo = find(tx, call, Group, req["GroupName"]), EntityRepo(tx)
        other = repo.find(Group, call.account_id, fresh) if fresh else None
        if other is not None and other.id != group.id:
            raise EntityAlreadyExistsException(f"Group with name {fresh} already exists.")
        repo.save(replace(group, name=fresh or group.name, path=req.get("NewPath", group.path)))

    await iam.store.write(work)
    return {}


@guarded("DeleteGroup", GROUP)
async def delete_group(call: Call, iam: Iam, req: Request) -> Answer:
    """Delete a group of nobody that has no policies."""

    def work(tx: Tx) -> None:
        group = find(tx, call, Group, req["GroupName"])
        if EntityRepo(tx).members_of(group):
            raise DeleteConflictException("Cannot delete entity, must remove users from group first.")
        require_free(tx, group)
        EntityRepo(tx).delete(group)

    await iam.store.write(work)
    return {}


@guarded("AddUserToGroup", GROUP)
async def add_user_to_group(call: Call, iam: Iam, req: Request) -> Answer:
    """Put a user into a group; again is nothing new."""

    def work(tx: Tx) -> None:
        user, group = find(tx, call, User, req["UserName"]), find(tx, call, Group, req["GroupName"])
        joined = EntityRepo(tx).holders_of(user)
        if any(one.id == group.id for one in joined):
            return
        if len(joined) >= GROUPS_PER_USER:
            raise LimitExceededException(f"Cannot exceed quota for GroupsPerUser: {GROUPS_PER_USER}")
        EntityRepo(tx).join(group, user)

    await iam.store.write(work)
    return {}


@guarded("RemoveUserFromGroup", GROUP)
async def remove_user_from_group(call: Call, iam: Iam, req: Request) -> Answer:
    """Take a user out of a group."""

    def work(tx: Tx) -> None:
        user, group = find(tx, call, User, req["UserName"]), find(tx, call, Group, req["GroupName"])
        if not EntityRepo(tx).leave(group, user):
            raise NoSuchEntityException(f"The user {user.name} is not in the group {group.name}.")

    await iam.store.write(work)
    return {}
