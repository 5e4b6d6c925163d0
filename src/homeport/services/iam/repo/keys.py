"""Access keys, and when something was last used."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace
from sqlalchemy import Text, delete, select, update

from homeport.services.iam.model import AccessKey, LastUse
from homeport.services.iam.repo.tables import access_keys, last_uses
from homeport.store.tx import Tx
from homeport.store.vault import Vault

_OPEN = '%"secret_access_key":"%'
"""In the bodies of earlier versions, which kept secrets as they are."""


def sealed(key: AccessKey, vault: Vault) -> AccessKey:
    """The key as a row holds it: its secret is in an envelope."""
    envelope = vault.seal(key.secret_access_key.encode(), about=_about(key))
    return replace(key, secret_access_key="", sealed=envelope)


def opened(key: AccessKey, vault: Vault) -> AccessKey:
    """The key with its secret. Raise `VaultError`."""
    if key.secret_access_key:
        return key
    return replace(key, secret_access_key=vault.open(key.sealed, about=_about(key)).decode(), sealed=b"")


def _about(key: AccessKey) -> str:
    return f"iam/access-key/{key.account_id}/{key.access_key_id}"


class KeyRepo:
    """Access keys of all accounts. Every write tells the feed, which empties key caches."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def find(self, access_key_id: str) -> AccessKey | None:
        """The access key of that id."""
        return self._tx.execute(
            select(access_keys.c.body).where(access_keys.c.access_key_id == access_key_id)
        ).scalar()

    def of(self, account_id: str, user_name: str) -> tuple[AccessKey, ...]:
        """The keys of a user, or of the root when the name is empty; oldest first."""
        rows = self._tx.execute(
            select(access_keys.c.body).where(
                access_keys.c.account_id == account_id, access_keys.c.user_name == user_name
            )
        )
        return tuple(sorted((row[0] for row in rows), key=lambda key: (key.created_at, key.access_key_id)))

    def of_account(self, account_id: str) -> tuple[AccessKey, ...]:
        """All keys of an account; oldest first."""
        rows = self._tx.execute(select(access_keys.c.body).where(access_keys.c.account_id == account_id))
        return tuple(sorted((row[0] for row in rows), key=lambda key: (key.created_at, key.access_key_id)))

    def add(self, key: AccessKey) -> None:
        """Insert a `sealed` access key."""
        if key.secret_access_key:
            raise ValueError("an access key is sealed before it is kept")
        self._tx.execute(
            access_keys.insert().values(
                access_key_id=key.access_key_id,
                account_id=key.account_id,
                user_name=key.user_name,
                body=key,
            )
        )
        self._tx.touch("iam.key", key.access_key_id)

    def save(self, key: AccessKey) -> None:
        """Write a key's owner and status."""
        self._tx.execute(
            update(access_keys)
            .where(access_keys.c.access_key_id == key.access_key_id)
            .values(user_name=key.user_name, body=key)
        )
        self._tx.touch("iam.key", key.access_key_id)

    def seal_open(self, vault: Vault) -> None:
        """Seal what an earlier version kept as it is. Who uses the keys need not hear of it."""
        rows = self._tx.execute(select(access_keys.c.body).where(access_keys.c.body.cast(Text).like(_OPEN)))
        for (key,) in rows.all():
            self._tx.execute(
                update(access_keys)
                .where(access_keys.c.access_key_id == key.access_key_id)
                .values(body=sealed(key, vault))
            )

    def give(self, account_id: str, before: str, after: str) -> None:
        """A user has another name: its keys stay its own."""
        for key in self.of(account_id, before):
            self.save(replace(key, user_name=after))

    def delete(self, access_key_id: str) -> None:
        """Remove an access key: it proves nobody from now on."""
        self._tx.execute(delete(access_keys).where(access_keys.c.access_key_id == access_key_id))
        LastUseRepo(self._tx).forget(access_key_id)
        self._tx.touch("iam.key", access_key_id)


class LastUseRepo:
    """When access keys (by key id) and roles (by unique id) were last used. Nobody hears of a write."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def find(self, *user_ids: str) -> dict[str, LastUse]:
        """The last uses there are, by id."""
        rows = self._tx.execute(
            select(last_uses.c.user_id, last_uses.c.at, last_uses.c.region, last_uses.c.service).where(
                last_uses.c.user_id.in_(user_ids)
            )
        )
        return {row[0]: LastUse(at=row[1], region=row[2], service=row[3]) for row in rows}

    def record(self, uses: Mapping[str, LastUse]) -> None:
        """Keep the later of what is known and what is said, for each id."""
        known = self.find(*uses)
        for user_id, use in uses.items():
            before = known.get(user_id)
            values = {"at": use.at, "region": use.region, "service": use.service}
            if before is None:
                self._tx.execute(last_uses.insert().values(user_id=user_id, **values))
            elif before.at < use.at:
                self._tx.execute(update(last_uses).where(last_uses.c.user_id == user_id).values(**values))

    def forget(self, user_id: str) -> None:
        """What was used is no more."""
        self._tx.execute(delete(last_uses).where(last_uses.c.user_id == user_id))
