"""Access keys' secrets and sessions' credentials lie in the database in envelopes only, on both databases."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import Text, cast, select

from homeport.app.identity.bootstrap import ensure_keys
from homeport.core.clock import SystemClock
from homeport.core.ids import SeededIds
from homeport.services.iam.model import AccessKey
from homeport.services.iam.repo import keys
from homeport.services.iam.repo.tables import access_keys
from homeport.services.sts.model import Session
from homeport.services.sts.repo import sessions
from homeport.store import Store, Tx
from homeport.store.secrets import installation_secret, secrets
from homeport.store.vault import Vault, VaultError
from tests.repo.nouns import ACCOUNT, NOON

SECRET, TOKEN = "SECRET/" * 6, "TOKEN+/=" * 20


def vault(seed: int = 1, master: bytes = bytes(32)) -> Vault:
    return Vault(master, SeededIds(seed))


def a_key(number: int) -> AccessKey:
    return AccessKey(
        access_key_id=f"AKIA{number:016}", secret_access_key=SECRET, account_id=ACCOUNT, created_at=NOON
    )


def a_session(number: int) -> Session:
    return Session(
        access_key_id=f"ASIA{number:016}",
        secret_access_key=SECRET,
        session_token=TOKEN,
        account_id=ACCOUNT,
        principal_arn=f"arn:aws:iam::{ACCOUNT}:root",
        user_id=ACCOUNT,
        issued_at=NOON,
        expires_at=NOON + timedelta(days=400),
    )


def _texts(tx: Tx) -> str:
    rows = [
        *tx.execute(select(cast(access_keys.c.body, Text))),
        *tx.execute(select(cast(sessions.sessions.c.body, Text))),
    ]
    return "\n".join(row[0] for row in rows)


def _keep_as_it_is(tx: Tx) -> None:
    """As versions before the envelopes did."""
    for number in (1, 2):
        key, session = a_key(number), a_session(number)
        tx.execute(
            access_keys.insert().values(
                access_key_id=key.access_key_id, account_id=ACCOUNT, user_name="ann", body=key
            )
        )
        tx.execute(
            sessions.sessions.insert().values(
                access_key_id=session.access_key_id, expires_at=session.expires_at.timestamp(), body=session
            )
        )


async def test_what_is_sealed_opens_again_and_tells_nothing_until_then(store: Store) -> None:
    safe = vault()
    await store.write(lambda tx: keys.KeyRepo(tx).add(keys.sealed(a_key(1), safe)))
    await store.write(lambda tx: sessions.SessionRepo(tx).add(sessions.sealed(a_session(1), safe)))
    text = await store.read(_texts)
    assert SECRET not in text
    assert TOKEN not in text
    key = await store.read(lambda tx: keys.KeyRepo(tx).find(a_key(1).access_key_id))
    session = await store.read(lambda tx: sessions.SessionRepo(tx).find(a_session(1).access_key_id))
    assert key is not None
    assert session is not None
    assert keys.opened(key, safe) == a_key(1)
    assert sessions.opened(session, safe) == a_session(1)


async def test_what_is_not_sealed_is_not_kept(store: Store) -> None:
    with pytest.raises(ValueError, match="sealed"):
        await store.write(lambda tx: keys.KeyRepo(tx).add(a_key(1)))
    with pytest.raises(ValueError, match="sealed"):
        await store.write(lambda tx: sessions.SessionRepo(tx).add(a_session(1)))
    with pytest.raises(ValueError, match="sealed"):
        await store.write(
            lambda tx: sessions.SessionRepo(tx).add(replace(a_session(1), secret_access_key=""))
        )


def test_an_envelope_opens_for_its_own_key_only() -> None:
    safe = vault()
    moved = replace(keys.sealed(a_key(1), safe), access_key_id=a_key(2).access_key_id)
    with pytest.raises(VaultError):
        keys.opened(moved, safe)
    stolen = replace(sessions.sealed(a_session(1), safe), account_id="111111111111")
    with pytest.raises(VaultError):
        sessions.opened(stolen, safe)


async def test_a_start_seals_what_an_earlier_version_kept(store: Store) -> None:
    await store.write(_keep_as_it_is)
    assert SECRET in await store.read(_texts)
    safe = vault()
    made = await ensure_keys(store, SystemClock(), SeededIds(2), safe, account_id=ACCOUNT)
    text = await store.read(_texts)
    assert SECRET not in text
    assert TOKEN not in text
    assert made.root.secret_access_key not in text
    assert made.nodes.secret_access_key not in text
    found = await store.read(lambda tx: keys.KeyRepo(tx).of(ACCOUNT, "ann"))
    assert [keys.opened(key, safe) for key in found] == [a_key(1), a_key(2)]
    session = await store.read(lambda tx: sessions.SessionRepo(tx).find(a_session(2).access_key_id))
    assert session is not None
    assert sessions.opened(session, safe) == a_session(2)
    assert await ensure_keys(store, SystemClock(), SeededIds(3), safe, account_id=ACCOUNT) == made
    assert await store.read(_texts) == text, "what is sealed is sealed once"


async def test_the_installations_own_secret_is_sealed_when_it_is_next_asked_for(store: Store) -> None:
    safe, ids, old = vault(), SeededIds(4), b"p" * 32
    await store.write(lambda tx: tx.execute(secrets.insert().values(name="pages", value=old)) and None)
    for _ in range(2):
        assert await store.write(lambda tx: installation_secret(tx, "pages", ids, safe)) == old
        kept = await store.read(lambda tx: tx.execute(select(secrets.c.value)).scalar())
        assert old not in kept
        assert safe.open(kept, about="installation/pages") == old


async def test_another_master_key_stops_the_start(store: Store) -> None:
    await ensure_keys(store, SystemClock(), SeededIds(2), vault(), account_id=ACCOUNT)
    other = vault(master=b"k" * 32)
    with pytest.raises(VaultError, match="another master key"):
        await ensure_keys(store, SystemClock(), SeededIds(3), other, account_id=ACCOUNT)


def test_a_body_of_an_earlier_version_is_read_as_it_is() -> None:
    body = (
        b'{"access_key_id":"AKIA1","secret_access_key":"s","account_id":"000000000000",'
        b'"created_at":"2026-01-01T00:00:00Z"}'
    )
    key = msgspec.json.decode(body, type=AccessKey)
    assert keys.opened(key, vault()).secret_access_key == "s"
