"""Tags of users, roles, policies, instance profiles and OIDC providers: the same three operations each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from homeport.core.call import Call
from homeport.core.operations import ResourcesOf
from homeport.services.iam.api.context import (
    Answer,
    Iam,
    Request,
    arn_in,
    behind,
    find,
    find_policy,
    find_provider,
    ops,
    page_of,
    policy_in,
    profile_in,
    require_local,
    role_in,
    user_in,
)
from homeport.services.iam.model import InstanceProfile, Named, Policy, Role, User
from homeport.services.iam.plan.tagging import tagged, untagged
from homeport.services.iam.repo.entities import EntityRepo
from homeport.services.iam.view import tags_view
from homeport.store.tx import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taggable:
    """How the operations of one kind are spelled, and how its thing is found."""

    title: str
    member: str
    resources: ResourcesOf
    find: Callable[[Tx, Call, str], Named]


TAGGABLE = (
    _Taggable(
        title="User",
        member="UserName",
        resources=user_in,
        find=lambda tx, call, name: find(tx, call, User, name),
    ),
    _Taggable(
        title="Role",
        member="RoleName",
        resources=role_in,
        find=lambda tx, call, name: find(tx, call, Role, name),
    ),
    _Taggable(
        title="InstanceProfile",
        member="InstanceProfileName",
        resources=profile_in,
        find=lambda tx, call, name: find(tx, call, InstanceProfile, name),
    ),
    _Taggable(title="Policy", member="PolicyArn", resources=policy_in, find=find_policy),
    _Taggable(
        title="OpenIDConnectProvider",
        member="OpenIDConnectProviderArn",
        resources=arn_in("OpenIDConnectProviderArn"),
        find=find_provider,
    ),
)


def _register(words: _Taggable) -> None:
    async def change(
        call: Call, iam: Iam, req: Request, tags_of: Callable[[Named], dict[str, str]]
    ) -> Answer:
        def work(tx: Tx) -> None:
            thing = words.find(tx, call, req[words.member])
            if isinstance(thing, Policy):
                require_local(thing)
            EntityRepo(tx).save(replace(thing, tags=tags_of(thing)))

        await iam.store.write(work)
        return {}

    @ops.operation(f"Tag{words.title}", resources=words.resources)
    async def tag(call: Call, iam: Iam, req: Request) -> Answer:
        """Add tags, or give them new values."""
        return await change(call, iam, req, lambda thing: tagged(thing.kind, thing.tags, req["Tags"]))

    @ops.operation(f"Untag{words.title}", resources=words.resources)
    async def untag(call: Call, iam: Iam, req: Request) -> Answer:
        """Remove tags by key."""
        return await change(call, iam, req, lambda thing: untagged(thing.kind, thing.tags, req["TagKeys"]))

    @ops.operation(f"List{words.title}Tags", resources=words.resources)
    async def list_(call: Call, iam: Iam, req: Request) -> Answer:
        """The tags, by key."""
        thing = await iam.store.read(lambda tx: words.find(tx, call, req[words.member]))
        rows = behind(thing.tags.items(), req, key=lambda tag: tag[0])
        return page_of("Tags", rows, req, key=lambda tag: tag[0], view=lambda tag: tags_view(dict([tag]))[0])


for _words in TAGGABLE:
    _register(_words)
