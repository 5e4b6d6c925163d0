"""The whole account at once: who there is, and what hangs on whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from homeport.core.call import Call
from homeport.services.iam.api.context import Answer, Iam, Request, behind, ops, page_of
from homeport.services.iam.model import (
    AWS,
    Attachment,
    Entity,
    Group,
    InstanceProfile,
    LastUse,
    Policy,
    Role,
    Usage,
    User,
)
from homeport.services.iam.repo.attachments import AttachmentRepo
from homeport.services.iam.repo.entities import EntityRepo
from homeport.services.iam.repo.keys import LastUseRepo
from homeport.services.iam.repo.managed import aws_policies
from homeport.services.iam.view import (
    attached_view,
    boundary_view,
    document_view,
    group_view,
    policy_view,
    profile_view,
    tags_view,
    user_view,
    version_view,
    whole_role_view,
)
from homeport.store.tx import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class _Whole:
    """One snapshot of an account, by row ids."""

    entities: tuple[Entity, ...]
    attached: tuple[Attachment, ...]
    counts: Mapping[tuple[str, str], int]
    holders: Mapping[int, tuple[int, ...]]
    used: Mapping[str, LastUse]

    def arns(self, holder: Entity, usage: Usage) -> list[str]:
        """What hangs on a holder."""
        return [one.policy_arn for one in self.attached if (one.holder_id, one.usage) == (holder.id, usage)]

    def held_by(self, member: Entity) -> list[Entity]:
        """The groups or profiles that something is in."""
        ids = self.holders.get(member.id, ())
        return [one for one in self.entities if one.id in ids]


def _read(tx: Tx, account_id: str) -> _Whole:
    repo, attached = EntityRepo(tx), AttachmentRepo(tx).of_account(account_id)
    own: list[Entity] = [
        *repo.page(User, account_id),
        *repo.page(Group, account_id),
        *repo.page(Role, account_id),
        *repo.page(Policy, account_id),
        *repo.page(InstanceProfile, account_id),
    ]
    in_use = {one.policy_arn for one in attached}
    return _Whole(
        entities=(*own, *(one for arn, one in aws_policies().items() if arn in in_use)),
        attached=attached,
        counts=AttachmentRepo(tx).counts(account_id),
        holders=repo.memberships(account_id),
        used=LastUseRepo(tx).find(*(one.unique_id for one in own if isinstance(one, Role))),
    )


def _inline(holder: User | Group | Role) -> list[dict[str, str]]:
    return [
        {"PolicyName": name, "PolicyDocument": document_view(document)}
        for name, document in sorted(holder.inline.items())
    ]


def _hanging(whole: _Whole, holder: Entity) -> list[dict[str, str]]:
    return [attached_view(arn) for arn in whole.arns(holder, Usage.PERMISSIONS)]


def _boundary(whole: _Whole, holder: Entity) -> str | None:
    return next(iter(whole.arns(holder, Usage.BOUNDARY)), None)


def _user(user: User, whole: _Whole) -> Answer:
    return {
        **user_view(user),
        **boundary_view(_boundary(whole, user)),
        "UserPolicyList": _inline(user),
        "GroupList": [group.name for group in whole.held_by(user)],
        "AttachedManagedPolicies": _hanging(whole, user),
        "Tags": tags_view(user.tags),
    }


def _group(group: Group, whole: _Whole) -> Answer:
    return {
        **group_view(group),
        "GroupPolicyList": _inline(group),
        "AttachedManagedPolicies": _hanging(whole, group),
    }


def _role(role: Role, whole: _Whole) -> Answer:
    shown = whole_role_view(role, _boundary(whole, role), whole.used.get(role.unique_id))
    for member in ("MaxSessionDuration", "Description"):
        shown.pop(member, None)
    return {
        **shown,
        "Tags": tags_view(role.tags),
        "InstanceProfileList": [
            profile_view(profile, [role])
            for profile in whole.held_by(role)
            if isinstance(profile, InstanceProfile)
        ],
        "RolePolicyList": _inline(role),
        "AttachedManagedPolicies": _hanging(whole, role),
    }


def _policy(policy: Policy, whole: _Whole) -> Answer:
    shown = policy_view(policy, whole.counts, whole=True)
    shown.pop("Tags", None)
    newest_first = reversed(policy.versions)
    return {
        **shown,
        "PolicyVersionList": [version_view(policy, one, document=True) for one in newest_first],
    }


_Shown = tuple[str, str, Callable[[Any, _Whole], Answer]]


def _as_shown(entity: Entity) -> _Shown | None:
    """The filter's word, the member and the view of an entity."""
    match entity:
        case User():
            return "User", "UserDetailList", _user
        case Group():
            return "Group", "GroupDetailList", _group
        case Role():
            return "Role", "RoleDetailList", _role
        case Policy(account_id=owner):
            return ("AWSManagedPolicy" if owner == AWS else "LocalManagedPolicy"), "Policies", _policy
        case _:
            return None


@ops.operation("GetAccountAuthorizationDetails")
async def get_account_authorization_details(call: Call, iam: Iam, req: Request) -> Answer:
    """Users, groups, roles and policies with their relations; of AWS's policies those that are in use."""
    wanted = frozenset(req.get("Filter", []))
    whole = await iam.store.read(lambda tx: _read(tx, call.account_id), bulk=True)
    rows = [
        (f"{shown[0]}/{entity.arn}", entity, shown)
        for entity in whole.entities
        if (shown := _as_shown(entity)) is not None and (not wanted or shown[0] in wanted)
    ]
    answer: Answer = {"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [], "Policies": []}
    listed = behind(rows, req, key=lambda row: row[0])
    page = page_of("Rows", listed, req, key=lambda row: row[0], view=lambda row: row[1:])
    for entity, (_, member, view) in page.pop("Rows"):
        answer[member].append(view(entity, whole))
    return {**answer, **page}
