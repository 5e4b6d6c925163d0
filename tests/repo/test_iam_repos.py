"""IAM's and STS's repositories on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from homeport.core.errors import StaleWriteError
from homeport.core.ids import SeededIds
from homeport.runtime import Change
from homeport.services.iam.model import AccessKey, User
from homeport.services.iam.repo.users import UserRepo
from homeport.services.sts.model import Session
from homeport.services.sts.repo.sessions import SessionRepo
from homeport.store import DuplicateKeyError, Store, Tx
from homeport.store.secrets import installation_secret
from tests.repo.nouns import ACCOUNT, NOON


def user(name: str) -> User:
    return User(account_id=ACCOUNT, name=name, user_id=f"AIDA{name}", created_at=NOON)


def key(number: int, owner: str = "") -> AccessKey:
    return AccessKey(
        access_key_id=f"AKIA{number:016}",
        secret_access_key="s" * 40,
        account_id=ACCOUNT,
        user_name=owner,
        created_at=NOON + timedelta(seconds=number),
    )


async def test_users_are_found_saved_guarded_and_deleted(store: Store) -> None:
    added = await store.write(lambda tx: UserRepo(tx).add(user("ann")))
    assert await store.read(lambda tx: UserRepo(tx).find(ACCOUNT, "ann")) == added
    saved = await store.write(lambda tx: UserRepo(tx).save(replace(added, policies=("arn:p",))))
    assert saved.version == 2
    with pytest.raises(StaleWriteError):
        await store.write(lambda tx: UserRepo(tx).save(replace(added, policies=())))
    with pytest.raises(DuplicateKeyError):
        await store.write(lambda tx: UserRepo(tx).add(user("ann")))
    await store.write(lambda tx: UserRepo(tx).delete(saved))
    assert await store.read(lambda tx: UserRepo(tx).find(ACCOUNT, "ann")) is None


async def test_pages_of_users_go_on_where_they_ended(store: Store) -> None:
    names = ["Zoe", "ann", "bob", "carl-1", "carl.2", "dora", "émile"]

    def make(tx: Tx) -> None:
        for name in names:
            UserRepo(tx).add(user(name))

    await store.write(make)

    async def page_after(name: str) -> list[str]:
        users = await store.read(lambda tx: UserRepo(tx).page(ACCOUNT, after=name, limit=2))
        return [found.name for found in users]

    seen = await page_after("")
    while page := await page_after(seen[-1]):
        seen += page
    assert sorted(seen) == sorted(names)
    assert len(seen) == len(names)


async def test_keys_are_listed_by_age_and_the_feed_hears_when_one_goes(store: Store) -> None:
    def make(tx: Tx) -> None:
        for number, owner in ((3, "ann"), (1, "ann"), (2, "")):
            UserRepo(tx).add_key(key(number, owner))

    await store.write(make)
    of_ann = await store.read(lambda tx: UserRepo(tx).keys_of(ACCOUNT, "ann"))
    assert of_ann == (key(1, "ann"), key(3, "ann"))
    feed = store.feed.subscribe()
    assert (await anext(feed)).resync
    await store.write(lambda tx: UserRepo(tx).delete_key(key(1).access_key_id))
    assert (await anext(feed)).changes == (Change("iam.key", key(1).access_key_id),)
    assert await store.read(lambda tx: UserRepo(tx).key(key(1).access_key_id)) is None


async def test_sessions_are_found_until_they_are_purged(store: Store) -> None:
    def session(number: int) -> Session:
        return Session(
            access_key_id=f"ASIA{number:016}",
            secret_access_key="s" * 40,
            session_token="t" * 400,
            account_id=ACCOUNT,
            principal_arn=f"arn:aws:iam::{ACCOUNT}:root",
            user_id=ACCOUNT,
            expires_at=NOON + timedelta(hours=number),
        )

    await store.write(lambda tx: [SessionRepo(tx).add(session(n)) for n in range(3)] and None)
    await store.write(lambda tx: SessionRepo(tx).purge((NOON + timedelta(hours=1)).timestamp()))
    found = [await store.read(lambda tx, n=n: SessionRepo(tx).find(f"ASIA{n:016}")) for n in range(3)]  # type: ignore[misc]
    assert found == [None, session(1), session(2)]


async def test_a_secret_is_made_once_and_is_the_same_for_all(store: Store) -> None:
    ids = SeededIds(1)
    first = await store.write(lambda tx: installation_secret(tx, "pages", ids))
    again = await store.write(lambda tx: installation_secret(tx, "pages", ids))
    other = await store.write(lambda tx: installation_secret(tx, "other", ids))
    assert first == again != other
    assert len(first) == 32
