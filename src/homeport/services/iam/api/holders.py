"""Policies on users, groups and roles: inline, attached, and as a boundary. The same, three times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from msgspec.structs import replace

from homeport.core.call import Call
from homeport.services.iam.api.access import GROUP, ROLE, USER, Target, guarded
from homeport.services.iam.api.context import (
    Answer,
    Iam,
    Request,
    behind,
    find,
    find_policy,
    page_of,
    require_modifiable,
)
from homeport.services.iam.errors import (
    DeleteConflictException,
    LimitExceededException,
    NoSuchEntityException,
    PolicyNotAttachableException,
)
from homeport.services.iam.model import Group, Holder, Role, Usage, User
from homeport.services.iam.plan.documents import check_identity
from homeport.services.iam.plan.quotas import ATTACHED, INLINE_CHARS, chars
from homeport.services.iam.repo.attachments import AttachmentRepo
from homeport.services.iam.repo.entities import EntityRepo
from homeport.services.iam.view import attached_view, document_view
from homeport.store.tx import Tx

UNATTACHABLE = "Policy {} does not exist or is not attachable."
_SERVICES_OWN = "/aws-service-role/"

_Of: TypeAlias = type[User] | type[Group] | type[Role]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """How the operations of one kind of holder are spelled: `AttachUserPolicy`, `UserName`."""

    of: _Of
    title: str
    target: Target

    @property
    def member(self) -> str:
        """The member that names the holder."""
        return f"{self.title}Name"


HOLDERS = (
    _Words(of=User, title="User", target=USER),
    _Words(of=Group, title="Group", target=GROUP),
    _Words(of=Role, title="Role", target=ROLE),
)


def attach(tx: Tx, call: Call, holder: Holder, arn: str) -> None:
    """Attach a managed policy; again is nothing new."""
    policy = find_policy(tx, call, arn, missing=UNATTACHABLE)
    if policy.path.startswith(_SERVICES_OWN) and not (isinstance(holder, Role) and holder.linked_service):
        raise PolicyNotAttachableException(
            f"Cannot attach a Service Role Policy to a Customer {holder.kind.title()}."
        )
    attached = AttachmentRepo(tx).arns(holder.id)
    if policy.arn in attached:
        return
    most = ATTACHED[holder.kind]
    if len(attached) >= most:
        raise LimitExceededException(f"Cannot exceed quota for PoliciesPer{holder.kind.title()}: {most}")
    AttachmentRepo(tx).attach(holder, Usage.PERMISSIONS, policy.arn, policy.id or None)


def set_boundary(tx: Tx, call: Call, holder: User | Role, arn: str) -> None:
    """Make a managed policy the holder's boundary, in place of another."""
    policy = find_policy(tx, call, arn, missing=UNATTACHABLE)
    AttachmentRepo(tx).detach(holder, Usage.BOUNDARY)
    AttachmentRepo(tx).attach(holder, Usage.BOUNDARY, policy.arn, policy.id or None)


def require_free(tx: Tx, holder: Holder) -> None:
    """Refuse to delete what still has policies; a boundary goes with its holder."""
    if AttachmentRepo(tx).arns(holder.id):
        raise DeleteConflictException("Cannot delete entity, must detach all policies first.")
    if holder.inline:
        raise DeleteConflictException("Cannot delete entity, must delete policies first.")
    AttachmentRepo(tx).detach(holder, Usage.BOUNDARY)


def _inline(words: _Words) -> None:
    title = words.title

    @guarded(f"Put{title}Policy", words.target)
    async def put(call: Call, iam: Iam, req: Request) -> Answer:
        """Add an inline policy, or write it anew."""
        check_identity(req["PolicyDocument"])

        def work(tx: Tx) -> None:
            holder: Holder = find(tx, call, words.of, req[words.member])
            require_modifiable(holder)
            inline = {**holder.inline, req["PolicyName"]: req["PolicyDocument"]}
            most = INLINE_CHARS[holder.kind]
            if sum(map(chars, inline.values())) > most:
                raise LimitExceededException(
                    f"Maximum policy size of {most} bytes exceeded for {holder.kind} {holder.name}"
                )
            EntityRepo(tx).save(replace(holder, inline=inline))

        await iam.store.write(work)
        return {}

    @guarded(f"Get{title}Policy", words.target)
    async def get(call: Call, iam: Iam, req: Request) -> Answer:
        """An inline policy."""
        holder = await iam.store.read(lambda tx: find(tx, call, words.of, req[words.member]))
        return {
            words.member: holder.name,
            "PolicyName": req["PolicyName"],
            "PolicyDocument": document_view(_inline_of(holder, req["PolicyName"])),
        }

    @guarded(f"List{title}Policies", words.target)
    async def list_(call: Call, iam: Iam, req: Request) -> Answer:
        """The names of the inline policies."""
        holder = await iam.store.read(lambda tx: find(tx, call, words.of, req[words.member]))
        rows = behind(holder.inline, req, key=str)
        return page_of("PolicyNames", rows, req, key=str, view=str)

    @guarded(f"Delete{title}Policy", words.target)
    async def delete(call: Call, iam: Iam, req: Request) -> Answer:
        """Delete an inline policy."""

        def work(tx: Tx) -> None:
            holder: Holder = find(tx, call, words.of, req[words.member])
            require_modifiable(holder)
            _inline_of(holder, req["PolicyName"])
            kept = {name: text for name, text in holder.inline.items() if name != req["PolicyName"]}
            EntityRepo(tx).save(replace(holder, inline=kept))

        await iam.store.write(work)
        return {}


def _inline_of(holder: Holder, name: str) -> str:
    if name not in holder.inline:
        raise NoSuchEntityException(f"The {holder.kind} policy with name {name} cannot be found.")
    return holder.inline[name]


def _attached(words: _Words) -> None:
    title = words.title

    @guarded(f"Attach{title}Policy", words.target)
    async def attach_policy(call: Call, iam: Iam, req: Request) -> Answer:
        """Attach a managed policy."""

        def work(tx: Tx) -> None:
            holder: Holder = find(tx, call, words.of, req[words.member])
            require_modifiable(holder)
            attach(tx, call, holder, req["PolicyArn"])

        await iam.store.write(work)
        return {}

    @guarded(f"Detach{title}Policy", words.target)
    async def detach_policy(call: Call, iam: Iam, req: Request) -> Answer:
        """Take a managed policy off."""

        def work(tx: Tx) -> None:
            holder: Holder = find(tx, call, words.of, req[words.member])
            require_modifiable(holder)
            if not AttachmentRepo(tx).detach(holder, Usage.PERMISSIONS, req["PolicyArn"]):
                raise NoSuchEntityException(f"Policy {req['PolicyArn']} was not found.")

        await iam.store.write(work)
        return {}

    @guarded(f"ListAttached{title}Policies", words.target)
    async def list_attached(call: Call, iam: Iam, req: Request) -> Answer:
        """The managed policies that are attached."""
        prefix = req.get("PathPrefix", "/")

        def work(tx: Tx) -> tuple[str, ...]:
            return AttachmentRepo(tx).arns(find(tx, call, words.of, req[words.member]).id)

        arns = [arn for arn in await iam.store.read(work) if _path(arn).startswith(prefix)]
        return page_of("AttachedPolicies", behind(arns, req, key=str), req, key=str, view=attached_view)


def _path(arn: str) -> str:
    """A policy's path, from its ARN."""
    return arn.partition(":policy")[2].rpartition("/")[0] + "/"


def _boundary(words: _Words) -> None:
    title = words.title

    @guarded(f"Put{title}PermissionsBoundary", words.target)
    async def put(call: Call, iam: Iam, req: Request) -> Answer:
        """Limit what other policies may allow."""

        def work(tx: Tx) -> None:
            holder = find(tx, call, words.of, req[words.member])
            require_modifiable(holder)
            assert not isinstance(holder, Group)
            set_boundary(tx, call, holder, req["PermissionsBoundary"])

        await iam.store.write(work)
        return {}

    @guarded(f"Delete{title}PermissionsBoundary", words.target)
    async def delete(call: Call, iam: Iam, req: Request) -> Answer:
        """Take the limit away."""

        def work(tx: Tx) -> None:
            holder = find(tx, call, words.of, req[words.member])
            require_modifiable(holder)
            if not AttachmentRepo(tx).detach(holder, Usage.BOUNDARY):
                raise NoSuchEntityException(f"{title} {holder.name} does not have a permissions boundary.")

        await iam.store.write(work)
        return {}


for _words in HOLDERS:
    _inline(_words)
    _attached(_words)
    if _words.of is not Group:
        _boundary(_words)
