"""IAM's nouns. What has a name is an `Entity`; what ties two of them together are relations by row id."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, TypeAlias

import msgspec

AWS = "aws"
"""In the place of an account in the ARNs of AWS's own policies."""


class Kind(StrEnum):
    """What an entity is; as its ARN spells it, where it has one."""

    USER = "user"
    GROUP = "group"
    ROLE = "role"
    POLICY = "policy"
    INSTANCE_PROFILE = "instance-profile"
    OIDC_PROVIDER = "oidc-provider"
    ACCOUNT = "account"
    ROLE_DELETION = "role-deletion"


class Usage(StrEnum):
    """What a managed policy is attached as."""

    PERMISSIONS = "PermissionsPolicy"
    BOUNDARY = "PermissionsBoundary"


class Named(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What all entities have. `unique_id` is never given twice (AIDA..., AROA...)."""

    kind: ClassVar[Kind]

    id: int = 0
    version: int = 1
    account_id: str
    name: str
    path: str = "/"
    unique_id: str = ""
    created_at: datetime
    tags: dict[str, str] = {}

    @property
    def key(self) -> str:
        """Its name as names are compared: without regard to case. Source: CreateRole, RoleName."""
        return self.name.lower()

    @property
    def arn(self) -> str:
        """Its ARN; IAM is not regional."""
        return f"arn:aws:iam::{self.account_id}:{self.kind}{self.path}{self.name}"


class User(Named, frozen=True, kw_only=True, omit_defaults=True, tag="user"):
    """A user. `inline` are its own policies' documents by name."""

    kind: ClassVar[Kind] = Kind.USER

    inline: dict[str, str] = {}


class Group(Named, frozen=True, kw_only=True, omit_defaults=True, tag="group"):
    """Users who share policies. It is no principal."""

    kind: ClassVar[Kind] = Kind.GROUP

    inline: dict[str, str] = {}


class Role(Named, frozen=True, kw_only=True, omit_defaults=True, tag="role"):
    """What may be taken on by whom its trust policy names, for `session_seconds_max` at once.

    `linked_service` is the service whose own role it is, which nobody else changes.
    """

    kind: ClassVar[Kind] = Kind.ROLE

    trust: str
    inline: dict[str, str] = {}
    description: str | None = None
    session_seconds_max: int = 3600
    linked_service: str = ""


class PolicyVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One text of a managed policy; its id is `v` and a number that is never given twice."""

    number: int
    document: str
    created_at: datetime

    @property
    def id(self) -> str:
        """`v1`, `v2`..."""
        return f"v{self.number}"


class Policy(Named, frozen=True, kw_only=True, omit_defaults=True, tag="policy"):
    """A managed policy with its versions, newest last. AWS's own have `account_id` "aws" and no row."""

    kind: ClassVar[Kind] = Kind.POLICY

    description: str | None = None
    versions: tuple[PolicyVersion, ...]
    default_number: int = 1
    next_number: int = 2
    updated_at: datetime

    @property
    def default(self) -> PolicyVersion:
        """The version that counts."""
        return next(one for one in self.versions if one.number == self.default_number)


class InstanceProfile(Named, frozen=True, kw_only=True, omit_defaults=True, tag="instance-profile"):
    """How an instance gets a role: at most one, by relation."""

    kind: ClassVar[Kind] = Kind.INSTANCE_PROFILE


class OidcProvider(Named, frozen=True, kw_only=True, omit_defaults=True, tag="oidc-provider"):
    """An issuer of web identities; its name is its URL without the scheme."""

    kind: ClassVar[Kind] = Kind.OIDC_PROVIDER

    client_ids: tuple[str, ...] = ()
    thumbprints: tuple[str, ...] = ()


class PasswordPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What passwords must be like. Defaults: UpdateAccountPasswordPolicy."""

    minimum_length: int = 6
    symbols: bool = False
    numbers: bool = False
    uppercase: bool = False
    lowercase: bool = False
    users_may_change: bool = False
    age_days_max: int = 0
    remembered: int = 0
    hard_expiry: bool | None = None


class Account(Named, frozen=True, kw_only=True, omit_defaults=True, tag="account"):
    """What an account has but once: its alias, its password policy, its last credential report."""

    kind: ClassVar[Kind] = Kind.ACCOUNT

    alias: str = ""
    passwords: PasswordPolicy | None = None
    report: str = ""
    reported_at: datetime | None = None


class RoleDeletion(Named, frozen=True, kw_only=True, omit_defaults=True, tag="role-deletion"):
    """A service-linked role that was deleted; `name` is the task's id."""

    kind: ClassVar[Kind] = Kind.ROLE_DELETION


Entity: TypeAlias = User | Group | Role | Policy | InstanceProfile | OidcProvider | Account | RoleDeletion
Holder: TypeAlias = User | Group | Role
"""Whom policies are attached to."""
Principal: TypeAlias = User | Role
"""Who can be proven to be somebody."""


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A managed policy on a user, group or role, by the holder's row id."""

    holder_id: int
    usage: Usage
    policy_arn: str
    policy_id: int | None = None


class AccessKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A long-term key: of a user, or of the account's root when `user_name` is empty.

    A row holds the secret `sealed`; `secret_access_key` is there only while somebody has to know it, and in
    rows of earlier versions.
    """

    access_key_id: str
    secret_access_key: str = ""
    sealed: bytes = b""
    account_id: str
    user_name: str = ""
    status: str = "Active"
    created_at: datetime


class LastUse(msgspec.Struct, frozen=True, kw_only=True):
    """When, where and for which service something last proved itself."""

    at: datetime
    region: str
    service: str


class PolicySource(StrEnum):
    """Where an applying policy comes from; as botocore's PolicyIdentifierPolicyType."""

    INLINE = "inline"
    AWS_MANAGED = "aws-managed"
    USER_MANAGED = "user-managed"
    BOUNDARY = "permission-boundary"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedPolicy:
    """One document that counts for a principal, and how people call it.

    `holder` is whom it hangs on: the principal itself, or a user's group.
    `arn` and `version` (`v1`) are empty for an inline policy.
    """

    source: PolicySource
    holder_kind: Kind
    holder: str
    name: str
    document: str
    arn: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipalPolicies:
    """Everything that decides what a principal may do, of one snapshot.

    An action needs an allow among `identity` and, when there is one, in `boundary`;
    a deny in either decides.
    """

    principal: Principal
    identity: tuple[AppliedPolicy, ...]
    boundary: AppliedPolicy | None = None
