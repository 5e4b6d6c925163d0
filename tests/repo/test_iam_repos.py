"""IAM's and STS's repositories on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from homeport.core.errors import StaleWriteError
from homeport.core.ids import SeededIds
from homeport.runtime import Change
from homeport.services.iam.model import (
    AccessKey,
    Account,
    Group,
    InstanceProfile,
    LastUse,
    OidcProvider,
    PasswordPolicy,
    Policy,
    PolicyVersion,
    Role,
    RoleDeletion,
    Usage,
    User,
)
from homeport.services.iam.repo.applied import policies_of_id, policies_of_role, policies_of_user
from homeport.services.iam.repo.attachments import AttachmentRepo
from homeport.services.iam.repo.entities import EntityRepo
from homeport.services.iam.repo.keys import KeyRepo, LastUseRepo
from homeport.services.sts.model import Session
from homeport.services.sts.repo.sessions import SessionRepo
from homeport.store import DuplicateKeyError, Store, Tx
from homeport.store.secrets import installation_secret
from homeport.store.vault import Vault
from tests.repo.nouns import ACCOUNT, NOON

LOCAL = f"arn:aws:iam::{ACCOUNT}:policy/team/Local"
AWS_ONE = "arn:aws:iam::aws:policy/AdministratorAccess"


def user(name: str, **changes: Any) -> User:
    members = {"name": name, "unique_id": f"AIDA{name}", "created_at": NOON}
    return User(account_id=ACCOUNT, **{**members, **changes})


def role(name: str, **changes: Any) -> Role:
    members = {"name": name, "unique_id": f"AROA{name}", "created_at": NOON, "trust": "{}"}
    return Role(account_id=ACCOUNT, **{**members, **changes})


def group(name: str, **changes: Any) -> Group:
    members = {"name": name, "unique_id": f"AGPA{name}", "created_at": NOON}
    return Group(account_id=ACCOUNT, **{**members, **changes})


def policy(name: str = "Local", **changes: Any) -> Policy:
    versions = tuple(PolicyVersion(number=n, document=f"text {n}", created_at=NOON) for n in (1, 2))
    members = {"name": name, "path": "/team/", "unique_id": f"ANPA{name}", "created_at": NOON}
    given = {"updated_at": NOON, "versions": versions, "default_number": 2, "next_number": 3}
    return Policy(account_id=ACCOUNT, **{**members, **given, **changes})


def key(number: int, owner: str = "") -> AccessKey:
    return AccessKey(
        access_key_id=f"AKIA{number:016}",
        sealed=b"s" * 40,
        account_id=ACCOUNT,
        user_name=owner,
        created_at=NOON + timedelta(seconds=number),
    )


@pytest.mark.parametrize(
    "entity",
    [
        user("Ann", path="/a/", tags={"k": "v"}, inline={"p": "{}"}),
        role("Runs", description="", session_seconds_max=7200, linked_service="ecs.amazonaws.com"),
        group("Team"),
        policy(description="d"),
        InstanceProfile(account_id=ACCOUNT, name="Box", unique_id="AIPA1", created_at=NOON),
        OidcProvider(
            account_id=ACCOUNT, name="id.example/x", created_at=NOON, client_ids=("a",), thumbprints=("b",)
        ),
        Account(
            account_id=ACCOUNT,
            name=ACCOUNT,
            created_at=NOON,
            alias="home",
            passwords=PasswordPolicy(numbers=True),
        ),
        RoleDeletion(account_id=ACCOUNT, name="task/x", created_at=NOON),
    ],
    ids=lambda entity: str(entity.kind),
)
async def test_an_entity_is_found_in_any_case_saved_guarded_and_deleted(store: Store, entity: Any) -> None:
    kind = type(entity)
    added = await store.write(lambda tx: EntityRepo(tx).add(entity))
    assert replace(added, id=0) == entity
    assert await store.read(lambda tx: EntityRepo(tx).find(kind, ACCOUNT, entity.name.upper())) == added
    assert await store.read(lambda tx: EntityRepo(tx).find(kind, "111111111111", entity.name)) is None
    with pytest.raises(DuplicateKeyError):
        await store.write(lambda tx: EntityRepo(tx).add(entity))
    renamed = await store.write(lambda tx: EntityRepo(tx).save(replace(added, name="Other", path="/b/")))
    assert renamed.version == 2
    assert await store.read(lambda tx: EntityRepo(tx).find(kind, ACCOUNT, entity.name)) is None
    assert await store.read(lambda tx: EntityRepo(tx).page(kind, ACCOUNT, prefix="/b/")) == (renamed,)
    assert await store.read(lambda tx: EntityRepo(tx).counts(ACCOUNT)) == {entity.kind: 1}
    for stale in (EntityRepo.save, EntityRepo.delete):
        with pytest.raises(StaleWriteError):
            await store.write(lambda tx, stale=stale: stale(EntityRepo(tx), added) and None)  # type: ignore[misc]
    await store.write(lambda tx: EntityRepo(tx).delete(renamed))
    assert await store.read(lambda tx: EntityRepo(tx).find(kind, ACCOUNT, "other")) is None


async def test_pages_of_users_go_on_where_they_ended(store: Store) -> None:
    names = ["Zoe", "ann", "bob", "carl-1", "carl.2", "dora", "émile"]

    def make(tx: Tx) -> None:
        for name in names:
            EntityRepo(tx).add(user(name, path="/odd/" if name in ("bob", "dora") else "/o/"))
        EntityRepo(tx).add(group("bob"))

    await store.write(make)

    async def page_after(key: str, prefix: str) -> list[User]:
        return list(
            await store.read(lambda tx: EntityRepo(tx).page(User, ACCOUNT, prefix=prefix, after=key, limit=2))
        )

    for prefix, expected in (("/", names), ("/odd/", ["bob", "dora"]), ("/o", names), ("/none/", [])):
        seen = page = await page_after("", prefix)
        while page := await page_after(page[-1].key, prefix) if page else []:
            seen = [*seen, *page]
        assert sorted(one.name for one in seen) == sorted(expected)


async def test_what_counts_for_a_user_is_its_own_and_its_groups(store: Store) -> None:
    def make(tx: Tx) -> None:
        repo, hang = EntityRepo(tx), AttachmentRepo(tx)
        local = repo.add(policy())
        ann = repo.add(user("Ann", inline={"b": "{2}", "a": "{1}"}))
        team, other = (repo.add(group(name, inline={"g": name})) for name in ("Team", "Other"))
        profile = InstanceProfile(account_id=ACCOUNT, name="p", unique_id="AIPA", created_at=NOON)
        repo.join(team, ann)
        repo.join(repo.add(profile), repo.add(role("r")))
        for holder, usage, arn, number in (
            (ann, Usage.PERMISSIONS, AWS_ONE, None),
            (ann, Usage.BOUNDARY, LOCAL, local.id),
            (team, Usage.PERMISSIONS, LOCAL, local.id),
            (other, Usage.PERMISSIONS, AWS_ONE, None),
        ):
            hang.attach(holder, usage, arn, number)

    await store.write(make)
    found = await store.read(lambda tx: policies_of_user(tx, ACCOUNT, "ANN"))
    assert found is not None
    told = [(one.source, one.holder, one.name, one.arn, one.version) for one in found.identity]
    assert told == [
        ("inline", "Ann", "a", "", ""),
        ("inline", "Ann", "b", "", ""),
        ("aws-managed", "Ann", "AdministratorAccess", AWS_ONE, found.identity[2].version),
        ("inline", "Team", "g", "", ""),
        ("user-managed", "Team", "Local", LOCAL, "v2"),
    ]
    assert [one.document for one in found.identity if one.source != "aws-managed"] == [
        "{1}",
        "{2}",
        "Team",
        "text 2",
    ]
    assert found.boundary is not None
    assert (found.boundary.source, found.boundary.document) == ("permission-boundary", "text 2")
    assert await store.read(lambda tx: policies_of_id(tx, "AIDAAnn")) == found
    assert await store.read(lambda tx: policies_of_user(tx, ACCOUNT, "nobody")) is None
    assert await store.read(lambda tx: policies_of_role(tx, ACCOUNT, "Ann")) is None
    bare = await store.read(lambda tx: policies_of_role(tx, ACCOUNT, "R"))
    assert bare is not None
    assert (bare.principal.name, bare.identity, bare.boundary) == ("r", (), None)


async def test_what_counts_is_read_in_two_queries(store: Store) -> None:
    def make(tx: Tx) -> None:
        ann = EntityRepo(tx).add(user("ann"))
        for number in range(5):
            EntityRepo(tx).join(EntityRepo(tx).add(group(f"g{number}")), ann)

    await store.write(make)

    def count(tx: Tx) -> int:
        run: list[object] = []
        whole = tx.execute
        watched = SimpleNamespace(execute=lambda *given: run.append(given) or whole(*given))
        policies_of_user(watched, ACCOUNT, "ann")  # type: ignore[arg-type]
        return len(run)

    assert await store.read(count) == 2


async def test_attachments_are_counted_and_taken_off(store: Store) -> None:
    def make(tx: Tx) -> User:
        ann = EntityRepo(tx).add(user("ann"))
        bob = EntityRepo(tx).add(user("bob"))
        for usage in Usage:
            AttachmentRepo(tx).attach(ann, usage, AWS_ONE, None)
        AttachmentRepo(tx).attach(bob, Usage.PERMISSIONS, AWS_ONE, None)
        return ann

    ann = await store.write(make)
    counts = await store.read(lambda tx: AttachmentRepo(tx).counts(ACCOUNT))
    assert counts == {(AWS_ONE, "PermissionsPolicy"): 2, (AWS_ONE, "PermissionsBoundary"): 1}
    assert await store.read(lambda tx: AttachmentRepo(tx).counts(ACCOUNT, [LOCAL])) == {}
    assert await store.read(lambda tx: AttachmentRepo(tx).boundary(ann.id)) == AWS_ONE
    assert await store.write(lambda tx: AttachmentRepo(tx).detach(ann, Usage.PERMISSIONS, AWS_ONE))
    assert not await store.write(lambda tx: AttachmentRepo(tx).detach(ann, Usage.PERMISSIONS, AWS_ONE))
    assert await store.read(lambda tx: AttachmentRepo(tx).arns(ann.id)) == ()
    left = await store.read(lambda tx: AttachmentRepo(tx).of_policy(ACCOUNT, AWS_ONE))
    assert [one.usage for one in left if one.holder_id == ann.id] == [Usage.BOUNDARY]
    assert len(left) == len(await store.read(lambda tx: AttachmentRepo(tx).of_account(ACCOUNT))) == 2


@pytest.mark.parametrize("change", ["inline", "attach", "detach", "join", "leave", "version"])
async def test_whatever_changes_a_decision_tells_the_feed(store: Store, change: str) -> None:
    def make(tx: Tx) -> tuple[User, Group, Policy]:
        repo = EntityRepo(tx)
        return repo.add(user("ann")), repo.add(group("team")), repo.add(policy())

    ann, team, local = await store.write(make)
    feed = store.feed.subscribe(frozenset({"iam.policies"}))
    assert (await anext(feed)).resync
    changes: dict[str, Callable[[Tx], object]] = {
        "inline": lambda tx: EntityRepo(tx).save(replace(ann, inline={"p": "{}"})),
        "attach": lambda tx: AttachmentRepo(tx).attach(ann, Usage.PERMISSIONS, AWS_ONE, None),
        "detach": lambda tx: AttachmentRepo(tx).detach(ann, Usage.PERMISSIONS),
        "join": lambda tx: EntityRepo(tx).join(team, ann),
        "leave": lambda tx: EntityRepo(tx).leave(team, ann),
        "version": lambda tx: EntityRepo(tx).save(replace(local, default_number=1)),
    }
    await store.write(changes[change])
    assert (await anext(feed)).changes == (Change("iam.policies", ACCOUNT),)


async def test_accounts_do_not_see_each_other(store: Store) -> None:
    other = "111111111111"

    def make(tx: Tx) -> None:
        for account, alias in ((ACCOUNT, "home"), (other, "")):
            mine = {"account_id": account}
            EntityRepo(tx).add(replace(user("ann"), **mine, unique_id=f"AIDA{account}"))
            EntityRepo(tx).add(Account(**mine, name=account, created_at=NOON, alias=alias))

    await store.write(make)
    for account in (ACCOUNT, other):
        found = await store.read(lambda tx, account=account: EntityRepo(tx).find(User, account, "ann"))  # type: ignore[misc]
        assert found is not None
        assert found.arn == f"arn:aws:iam::{account}:user/ann"
        assert await store.read(lambda tx, found=found: EntityRepo(tx).by_unique_id(found.unique_id)) == found  # type: ignore[misc]
        counts = await store.read(lambda tx, account=account: EntityRepo(tx).counts(account))  # type: ignore[misc]
        assert counts == {"user": 1, "account": 1}
    assert await store.read(lambda tx: EntityRepo(tx).alias_is_taken("home"))
    assert not await store.read(lambda tx: EntityRepo(tx).alias_is_taken("away"))


async def test_profiles_and_groups_tell_who_is_in_them(store: Store) -> None:
    def make(tx: Tx) -> tuple[InstanceProfile, Role, Group, User]:
        repo = EntityRepo(tx)
        profile = repo.add(InstanceProfile(account_id=ACCOUNT, name="p", unique_id="AIPA", created_at=NOON))
        empty = InstanceProfile(account_id=ACCOUNT, name="q", unique_id="AIPB", created_at=NOON)
        repo.add(empty)
        runs, team, ann = repo.add(role("r")), repo.add(group("team")), repo.add(user("ann"))
        repo.join(profile, runs)
        repo.join(team, ann)
        return profile, runs, team, ann

    profile, runs, team, ann = await store.write(make)
    assert await store.read(lambda tx: EntityRepo(tx).members_of(profile)) == (runs,)
    assert await store.read(lambda tx: EntityRepo(tx).holders_of(ann)) == (team,)
    everywhere = await store.read(
        lambda tx: EntityRepo(tx).roles_of(EntityRepo(tx).page(InstanceProfile, ACCOUNT))
    )
    assert everywhere == {profile.id: (runs,)}
    assert await store.read(lambda tx: EntityRepo(tx).roles_of([])) == {}
    whole = await store.read(lambda tx: EntityRepo(tx).memberships(ACCOUNT))
    assert whole == {runs.id: (profile.id,), ann.id: (team.id,)}
    assert await store.write(lambda tx: EntityRepo(tx).leave(team, ann))
    assert not await store.write(lambda tx: EntityRepo(tx).leave(team, ann))


async def test_keys_are_listed_by_age_and_the_feed_hears_when_one_goes(store: Store) -> None:
    def make(tx: Tx) -> None:
        for number, owner in ((3, "ann"), (1, "ann"), (2, "")):
            KeyRepo(tx).add(key(number, owner))

    await store.write(make)
    of_ann = await store.read(lambda tx: KeyRepo(tx).of(ACCOUNT, "ann"))
    assert of_ann == (key(1, "ann"), key(3, "ann"))
    feed = store.feed.subscribe()
    assert (await anext(feed)).resync
    await store.write(lambda tx: KeyRepo(tx).delete(key(1).access_key_id))
    assert (await anext(feed)).changes == (Change("iam.key", key(1).access_key_id),)
    assert await store.read(lambda tx: KeyRepo(tx).find(key(1).access_key_id)) is None


async def test_keys_go_along_with_a_users_new_name(store: Store) -> None:
    await store.write(lambda tx: KeyRepo(tx).add(key(1, "ann")))
    await store.write(lambda tx: KeyRepo(tx).give(ACCOUNT, "ann", "anna"))
    assert await store.read(lambda tx: KeyRepo(tx).of(ACCOUNT, "ann")) == ()
    assert await store.read(lambda tx: KeyRepo(tx).of(ACCOUNT, "anna")) == (key(1, "anna"),)


async def test_the_later_of_two_uses_is_the_last(store: Store) -> None:
    first = LastUse(at=NOON, region="us-east-1", service="ecs")
    later = LastUse(at=NOON + timedelta(hours=1), region="eu-west-1", service="iam")
    for use in (first, later, first):
        await store.write(lambda tx, use=use: LastUseRepo(tx).record({"AKIA1": use, "AROA1": use}))  # type: ignore[misc]
    found = await store.read(lambda tx: LastUseRepo(tx).find("AKIA1", "AROA1", "AKIA2"))
    assert found == {"AKIA1": later, "AROA1": later}


async def test_sessions_are_found_until_they_are_purged(store: Store) -> None:
    def session(number: int) -> Session:
        return Session(
            access_key_id=f"ASIA{number:016}",
            sealed=b"s" * 400,
            account_id=ACCOUNT,
            principal_arn=f"arn:aws:iam::{ACCOUNT}:root",
            user_id=ACCOUNT,
            issued_at=NOON,
            expires_at=NOON + timedelta(hours=number),
        )

    await store.write(lambda tx: [SessionRepo(tx).add(session(n)) for n in range(3)] and None)
    await store.write(lambda tx: SessionRepo(tx).purge((NOON + timedelta(hours=1)).timestamp()))
    found = [await store.read(lambda tx, n=n: SessionRepo(tx).find(f"ASIA{n:016}")) for n in range(3)]  # type: ignore[misc]
    assert found == [None, session(1), session(2)]


async def test_a_secret_is_made_once_and_is_the_same_for_all(store: Store) -> None:
    ids = SeededIds(1)
    vault = Vault(bytes(32), ids)
    first = await store.write(lambda tx: installation_secret(tx, "pages", ids, vault))
    again = await store.write(lambda tx: installation_secret(tx, "pages", ids, vault))
    other = await store.write(lambda tx: installation_secret(tx, "other", ids, vault))
    assert first == again != other
    assert len(first) == 32
