"""Instance profiles: how an instance is given a role."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from homeport.core.call import Call
from homeport.core.ids import unique_id
from homeport.services.iam.api.access import PROFILE, ROLE, guarded
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
    require_modifiable,
    require_new,
)
from homeport.services.iam.errors import (
    DeleteConflictException,
    LimitExceededException,
    NoSuchEntityException,
)
from homeport.services.iam.model import InstanceProfile, Kind, Role
from homeport.services.iam.plan.tagging import tagged
from homeport.services.iam.repo.entities import EntityRepo
from homeport.services.iam.view import profile_view, tags_view
from homeport.store.tx import Tx

ROLES_PER_PROFILE = 1


def _find(tx: Tx, call: Call, req: Request) -> InstanceProfile:
    return find(tx, call, InstanceProfile, req["InstanceProfileName"])


@guarded("CreateInstanceProfile", PROFILE, makes=True)
async def create_instance_profile(call: Call, iam: Iam, req: Request) -> Answer:
    """Create a profile, which has no role yet."""

    def work(tx: Tx) -> InstanceProfile:
        require_new(tx, call, InstanceProfile, req["InstanceProfileName"])
        return EntityRepo(tx).add(
            InstanceProfile(
                account_id=call.account_id,
                name=req["InstanceProfileName"],
                path=req.get("Path", "/"),
                unique_id=unique_id(iam.ids, "AIPA"),
                created_at=iam.clock.now(),
                tags=tagged(Kind.INSTANCE_PROFILE, {}, req.get("Tags", [])),
            )
        )

    made = await iam.store.write(work)
    tags = {"Tags": tags_view(made.tags)} if made.tags else {}
    return {"InstanceProfile": {**profile_view(made, ()), **tags}}


@guarded("GetInstanceProfile", PROFILE)
async def get_instance_profile(call: Call, iam: Iam, req: Request) -> Answer:
    """A profile and its role."""

    def work(tx: Tx) -> Answer:
        profile = _find(tx, call, req)
        return profile_view(profile, EntityRepo(tx).roles_of([profile]).get(profile.id, ()), whole=True)

    return {"InstanceProfile": await iam.store.read(work)}


def _page(req: Request, found: tuple[Sequence[InstanceProfile], dict[int, tuple[Role, ...]]]) -> Answer:
    profiles, roles = found
    return page_of(
        "InstanceProfiles",
        profiles,
        req,
        key=lambda profile: profile.key,
        view=lambda profile: profile_view(profile, roles.get(profile.id, ())),
    )


@ops.operation("ListInstanceProfiles")
async def list_instance_profiles(call: Call, iam: Iam, req: Request) -> Answer:
    """Profiles below a path, by name."""
    after, prefix = position(req), req.get("PathPrefix", "/")

    def work(tx: Tx) -> tuple[Sequence[InstanceProfile], dict[int, tuple[Role, ...]]]:
        found = EntityRepo(tx).page(
            InstanceProfile, call.account_id, prefix=prefix, after=after, limit=limit_of(req)
        )
        return found, EntityRepo(tx).roles_of(found)

    return _page(req, await iam.store.read(work))


@guarded("ListInstanceProfilesForRole", ROLE)
async def list_instance_profiles_for_role(call: Call, iam: Iam, req: Request) -> Answer:
    """The profiles that have a role."""

    def work(tx: Tx) -> tuple[Sequence[InstanceProfile], dict[int, tuple[Role, ...]]]:
        holders = EntityRepo(tx).holders_of(find(tx, call, Role, req["RoleName"]))
        found = behind(cast(Sequence[InstanceProfile], holders), req, key=lambda profile: profile.key)
        return found, EntityRepo(tx).roles_of(found)

    return _page(req, await iam.store.read(work))


@guarded("AddRoleToInstanceProfile", PROFILE)
async def add_role_to_instance_profile(call: Call, iam: Iam, req: Request) -> Answer:
    """Give a profile its role; it can have one."""

    def work(tx: Tx) -> None:
        profile, role, repo = _find(tx, call, req), find(tx, call, Role, req["RoleName"]), EntityRepo(tx)
        require_modifiable(role)
        if repo.members_of(profile):
            raise LimitExceededException(
                f"Cannot exceed quota for InstanceSessionsPerInstanceProfile: {ROLES_PER_PROFILE}"
            )
        repo.join(profile, role)

    await iam.store.write(work)
    return {}


@guarded("RemoveRoleFromInstanceProfile", PROFILE)
async def remove_role_from_instance_profile(call: Call, iam: Iam, req: Request) -> Answer:
    """Take a role out of a profile."""

    def work(tx: Tx) -> None:
        profile, role = _find(tx, call, req), find(tx, call, Role, req["RoleName"])
        if not EntityRepo(tx).leave(profile, role):
            raise NoSuchEntityException(
                f"Role {role.name} in Instance Profile {profile.name} cannot be found."
            )

    await iam.store.write(work)
    return {}


@guarded("DeleteInstanceProfile", PROFILE)
async def delete_instance_profile(call: Call, iam: Iam, req: Request) -> Answer:
    """Delete a profile that has no role."""

    def work(tx: Tx) -> None:
        profile = _find(tx, call, req)
        if EntityRepo(tx).members_of(profile):
            raise DeleteConflictException(
                "Cannot delete entity, must remove roles from instance profile first."
            )
        EntityRepo(tx).delete(profile)

    await iam.store.write(work)
    return {}
