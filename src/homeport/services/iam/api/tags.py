"""Tags of users, roles, policies, instance profiles and OIDC providers: the same three operations each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from homeport.core.call import Call
from homeport.core.operations import ResourcesOf
from homeport.services.iam.api.access import PROFILE, ROLE, USER, H, Target, guarded
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
    require_local,
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
    on: Target | ResourcesOf
    find: Callable[[Tx, Call, str], Named]


TAGGABLE = (
    _Taggable(
        title="User",
        member="UserName",
        on=USER,
        find=lambda tx, call, name: find(tx, call, User, name),
    ),
    _Taggable(
        title="Role",
        member="RoleName",
        on=ROLE,
        find=lambda tx, call, name: find(tx, call, Role, name),
    ),
    _Taggable(
        title="InstanceProfile",
        member="InstanceProfileName",
        on=PROFILE,
        find=lambda tx, call, name: find(tx, call, InstanceProfile, name),
    ),
    _Taggable(title="Policy", member="PolicyArn", on=policy_in, find=find_policy),
    _Taggable(
        title="OpenIDConnectProvider",
        member="OpenIDConnectProviderArn",
        on=arn_in("OpenIDConnectProviderArn"),
        find=find_provider,
    ),
)


def _operation(name: str, on: Target | ResourcesOf) -> Callable[[H], H]:
    return guarded(name, on) if isinstance(on, Target) else ops.operation(name, resources=on)


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

    @_operation(f"Tag{words.title}", words.on)
    async def tag(call: Call, iam: Iam, req: Request) -> Answer:
        """Add tags, or give them new values."""
        return await change(call, iam, req, lambda thing: tagged(thing.kind, thing.tags, req["Tags"]))

    @_operation(f"Untag{words.title}", words.on)
    async def untag(call: Call, iam: Iam, req: Request) -> Answer:
        """Remove tags by key."""
        return await change(call, iam, req, lambda thing: untagged(thing.kind, thing.tags, req["TagKeys"]))

    @_operation(f"List{words.title}Tags", words.on)
    async def list_(call: Call, iam: Iam, req: Request) -> Answer:
        """The tags, by key."""
        thing = await iam.store.read(lambda tx: words.find(tx, call, req[words.member]))
        rows = behind(thing.tags.items(), req, key=lambda tag: tag[0])
        return page_of("Tags", rows, req, key=lambda tag: tag[0], view=lambda tag: tags_view(dict([tag]))[0])


for _words in TAGGABLE:
    _register(_words)
