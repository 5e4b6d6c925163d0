"""Entities as IAM shows them. A listing shows less than what asks for one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from homeport.services.iam.model import (
    AccessKey,
    Group,
    InstanceProfile,
    LastUse,
    Policy,
    PolicyVersion,
    Role,
    Usage,
    User,
)

View = dict[str, Any]


def document_view(document: str) -> str:
    """A policy document, URL-encoded. Source: GetRole, "compliant with RFC 3986"."""
    return quote(document, safe="")


def tags_view(tags: Mapping[str, str]) -> list[View]:
    """Tags in the order in which they came."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def boundary_view(arn: str | None) -> View:
    """The member that tells of a boundary, when there is one.

    Its type is "Policy", whatever the model's enum says. Source: UserGuide; answers recorded by LocalStack.
    """
    if arn is None:
        return {}
    return {
        "PermissionsBoundary": {
            "PermissionsBoundaryType": "Policy",
            "PermissionsBoundaryArn": arn,
        }
    }


def _tags_member(tags: Mapping[str, str]) -> View:
    return {"Tags": tags_view(tags)} if tags else {}


def user_view(user: User) -> View:
    """A user as a listing shows it."""
    return {
        "Path": user.path,
        "UserName": user.name,
        "UserId": user.unique_id,
        "Arn": user.arn,
        "CreateDate": user.created_at,
    }


def whole_user_view(user: User, boundary: str | None) -> View:
    """A user with tags and boundary."""
    return {**user_view(user), **boundary_view(boundary), **_tags_member(user.tags)}


def group_view(group: Group) -> View:
    """A group."""
    return {
        "Path": group.path,
        "GroupName": group.name,
        "GroupId": group.unique_id,
        "Arn": group.arn,
        "CreateDate": group.created_at,
    }


def plain_role_view(role: Role) -> View:
    """A role as it is shown in an instance profile."""
    return {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.unique_id,
        "Arn": role.arn,
        "CreateDate": role.created_at,
        "AssumeRolePolicyDocument": document_view(role.trust),
    }


def created_role_view(role: Role, boundary: str | None) -> View:
    """A role as it is shown when it is made: without its description. Source: recorded by LocalStack."""
    return {**plain_role_view(role), **boundary_view(boundary), **_tags_member(role.tags)}


def role_view(role: Role) -> View:
    """A role as a listing shows it."""
    described = {} if role.description is None else {"Description": role.description}
    return {**plain_role_view(role), **described, "MaxSessionDuration": role.session_seconds_max}


def whole_role_view(role: Role, boundary: str | None, used: LastUse | None) -> View:
    """A role with tags, boundary and when it was last used."""
    last: View = {} if used is None else {"LastUsedDate": used.at, "Region": used.region}
    return {
        **role_view(role),
        **boundary_view(boundary),
        **_tags_member(role.tags),
        "RoleLastUsed": last,
    }


def profile_view(profile: InstanceProfile, roles: Iterable[Role], *, whole: bool = False) -> View:
    """An instance profile and its role."""
    return {
        "Path": profile.path,
        "InstanceProfileName": profile.name,
        "InstanceProfileId": profile.unique_id,
        "Arn": profile.arn,
        "CreateDate": profile.created_at,
        "Roles": [plain_role_view(role) for role in roles],
        **({"Tags": tags_view(profile.tags)} if whole else {}),
    }


def policy_view(policy: Policy, counts: Mapping[tuple[str, str], int], *, whole: bool = False) -> View:
    """A managed policy; `counts` are of holders by ARN and usage."""
    shown: View = {
        "PolicyName": policy.name,
        **({"PolicyId": policy.unique_id} if policy.unique_id else {}),
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": policy.default.id,
        "AttachmentCount": counts.get((policy.arn, Usage.PERMISSIONS), 0),
        "PermissionsBoundaryUsageCount": counts.get((policy.arn, Usage.BOUNDARY), 0),
        "IsAttachable": True,
        "CreateDate": policy.created_at,
        "UpdateDate": policy.updated_at,
    }
    if whole:
        if policy.description is not None:
            shown["Description"] = policy.description
        shown["Tags"] = tags_view(policy.tags)
    return shown


def created_policy_view(policy: Policy) -> View:
    """A policy as it is shown when it is made: without its description. Source: recorded by LocalStack."""
    return {**policy_view(policy, {}), **_tags_member(policy.tags)}


def version_view(policy: Policy, version: PolicyVersion, *, document: bool = False) -> View:
    """One version of a policy; listings leave its document out."""
    return {
        **({"Document": document_view(version.document)} if document else {}),
        "VersionId": version.id,
        "IsDefaultVersion": version.number == policy.default_number,
        "CreateDate": version.created_at,
    }


def attached_view(arn: str) -> View:
    """An attached policy by name and ARN."""
    return {"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn}


def key_view(key: AccessKey) -> View:
    """A key without its secret."""
    return {
        "UserName": key.user_name or "root",
        "AccessKeyId": key.access_key_id,
        "Status": key.status,
        "CreateDate": key.created_at,
    }
