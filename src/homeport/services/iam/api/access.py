"""What IAM's operations need: actions on the ARNs that are meant, however a request spells a name.

Names are found without regard to case and without their path, policies name ARNs with both: so an ARN is read
from the store before the question is asked. Source: Service Authorization Reference, actions, resources and
condition keys of IAM.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from homeport.core.access import Access, KeyValue
from homeport.core.call import Call
from homeport.core.operations import Handler, request_tags
from homeport.policy.resource import ResourcePolicy
from homeport.services.iam.api.context import Iam, Request, ops
from homeport.services.iam.model import Group, InstanceProfile, Named, OidcProvider, Policy, Role, User
from homeport.services.iam.repo.attachments import AttachmentRepo
from homeport.services.iam.repo.entities import EntityRepo
from homeport.services.iam.repo.keys import KeyRepo
from homeport.store.tx import Tx

H = TypeVar("H", bound=Handler)
KINDS: dict[str, type[Named]] = {
    one.kind: one for one in (User, Group, Role, Policy, InstanceProfile, OidcProvider)
}
_ARN = re.compile(r"arn:aws:iam::(\d{12}):([a-z-]+)/(.+)", re.DOTALL)
_BOUNDED = re.compile(r"(Attach|Detach|Put|Delete)(User|Role)(Policy|PermissionsBoundary)")
INSTANCES = "ec2.amazonaws.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a request is about: the entity of a kind that `member` names."""

    of: type[Named]
    member: str


USER = Target(of=User, member="UserName")
GROUP = Target(of=Group, member="GroupName")
ROLE = Target(of=Role, member="RoleName")
PROFILE = Target(of=InstanceProfile, member="InstanceProfileName")
POLICY = Target(of=Policy, member="PolicyName")


def _later(call: Call, request: Request) -> tuple[str, ...]:
    """The request does not tell the ARN: the store does."""
    del call, request
    return ()


def guarded(name: str, target: Target, *, makes: bool = False) -> Callable[[H], H]:
    """Register an operation on what `target` finds, or on what it makes."""

    async def needs(call: Call, iam: Iam, request: Request) -> Sequence[Access]:
        return await iam.store.read(lambda tx: _accesses(tx, call, request, name, target, makes=makes))

    def about(call: Call, request: Request) -> tuple[str, ...]:
        return (_spelled(call, request, target),)

    return ops.operation(name, resources=_later, needs=needs, about=about)


def _spelled(call: Call, request: Request, target: Target) -> str:
    path, name = request.get("Path") or "/", request.get(target.member) or "*"
    return f"arn:aws:iam::{call.account_id}:{target.of.kind}{path}{name}"


def _accesses(
    tx: Tx, call: Call, request: Request, name: str, target: Target, *, makes: bool
) -> list[Access]:
    found = None if makes else _meant(tx, call, request, target)
    arn = _spelled(call, request, target) if found is None else found.arn
    keys = {**request_tags(call, request), **_keys(tx, request, name, found)}
    accesses = [Access(action=f"iam:{name}", resource=arn, keys=keys)]
    if makes and request.get("Tags"):
        accesses.append(Access(action=name.replace("Create", "iam:Tag", 1), resource=arn, keys=keys))
    if found is not None and ("NewPath" in request or f"New{target.member}" in request):
        renamed = request.get(f"New{target.member}") or found.name
        moved = f"arn:aws:iam::{call.account_id}:{found.kind}{request.get('NewPath') or found.path}{renamed}"
        accesses.append(Access(action=f"iam:{name}", resource=moved, keys=keys))
    if name == "AddRoleToInstanceProfile":
        accesses.append(_passed(tx, call, request))
    return accesses


def _meant(tx: Tx, call: Call, request: Request, target: Target) -> Named | None:
    """The entity that is named; a user who names nobody means itself."""
    name = request.get(target.member)
    if name:
        return EntityRepo(tx).find(target.of, call.account_id, name)
    return EntityRepo(tx).by_unique_id(call.principal.user_id)


def _keys(tx: Tx, request: Request, name: str, found: Named | None) -> dict[str, KeyValue]:
    """IAM's own keys. Which boundary counts: the one that is put, otherwise the one that is there."""
    keys: dict[str, KeyValue] = {}
    if "PolicyArn" in request:
        keys["iam:PolicyARN"] = request["PolicyArn"]
    if request.get("PermissionsBoundary"):
        keys["iam:PermissionsBoundary"] = request["PermissionsBoundary"]
    elif found is not None and _BOUNDED.fullmatch(name):
        boundary = AttachmentRepo(tx).boundary(found.id)
        if boundary is not None:
            keys["iam:PermissionsBoundary"] = boundary
    return keys


def _passed(tx: Tx, call: Call, request: Request) -> Access:
    """A role in an instance profile is handed to instances. Source: AddRoleToInstanceProfile."""
    found = EntityRepo(tx).find(Role, call.account_id, request["RoleName"])
    arn = found.arn if found else f"arn:aws:iam::{call.account_id}:role/{request['RoleName']}"
    return Access(action="iam:PassRole", resource=arn, keys={"iam:PassedToService": INSTANCES})


async def of_key(call: Call, iam: Iam, request: Request) -> Sequence[Access]:
    """GetAccessKeyLastUsed is about the key's user."""

    def work(tx: Tx) -> str:
        key = KeyRepo(tx).find(request["AccessKeyId"])
        if key is None or key.account_id != call.account_id:
            return f"arn:aws:iam::{call.account_id}:user/*"
        user = EntityRepo(tx).find(User, call.account_id, key.user_name)
        return f"arn:aws:iam::{call.account_id}:root" if user is None else user.arn

    return [Access(action="iam:GetAccessKeyLastUsed", resource=await iam.store.read(work))]


def key_resource(name: str) -> Callable[[H], H]:
    """Register an operation about whoever has the access key that is named."""
    return ops.operation(name, resources=_later, needs=of_key)


class Facts:
    """What policies may depend on: tags of IAM's own things. Whom a role trusts is STS's affair."""

    async def tags(self, call: Call, iam: Any, arn: str) -> dict[str, str]:
        """The tags of what an ARN names; none when there is no such thing."""
        del call
        parts = _ARN.fullmatch(arn)
        of = KINDS.get(parts[2]) if parts else None
        if parts is None or of is None:
            return {}
        name = parts[3] if of is OidcProvider else parts[3].rpartition("/")[2]
        found = await iam.store.read(lambda tx: EntityRepo(tx).find(of, parts[1], name))
        return dict(found.tags) if found is not None and found.arn == arn else {}

    async def policy(self, call: Call, iam: Any, arn: str) -> ResourcePolicy | None:
        """None."""
        del call, iam, arn
        return None
