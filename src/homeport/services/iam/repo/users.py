"""Users and their access keys."""

from __future__ import annotations

import msgspec
from sqlalchemy import delete, select, update

from homeport.core.errors import StaleWriteError
from homeport.services.iam.model import AccessKey, User
from homeport.services.iam.repo.tables import access_keys, users
from homeport.store.tx import Tx


class UserRepo:
    """Users and keys of all accounts. Every write tells the feed, which empties key caches."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def find(self, account_id: str, name: str) -> User | None:
        """The user of that name."""
        row = self._tx.execute(
            select(users.c.id, users.c.version, users.c.body).where(
                users.c.account_id == account_id, users.c.name == name
            )
        ).first()
        return None if row is None else msgspec.structs.replace(row[2], id=row[0], version=row[1])

    def add(self, user: User) -> User:
        """Insert; the row's id is filled in."""
        result = self._tx.execute(
            users.insert().values(version=1, account_id=user.account_id, name=user.name, body=user)
        )
        assert result.inserted_primary_key is not None
        return msgspec.structs.replace(user, id=int(result.inserted_primary_key[0]))

    def save(self, user: User) -> User:
        """Raise `StaleWriteError` when someone else wrote first."""
        result = self._tx.execute(
            update(users)
            .where(users.c.id == user.id, users.c.version == user.version)
            .values(version=user.version + 1, body=user)
        )
        if result.rowcount != 1:
            raise StaleWriteError(user.arn)
        self._tx.touch("iam.user", f"{user.account_id}/{user.name}")
        return msgspec.structs.replace(user, version=user.version + 1)

    def delete(self, user: User) -> None:
        """Remove the user; its keys go first."""
        self._tx.execute(delete(users).where(users.c.id == user.id))
        self._tx.touch("iam.user", f"{user.account_id}/{user.name}")

    def page(self, account_id: str, *, after: str, limit: int) -> tuple[User, ...]:
        """Users by name."""
        rows = self._tx.execute(
            select(users.c.id, users.c.version, users.c.body)
            .where(users.c.account_id == account_id, users.c.name > after)
            .order_by(users.c.name)
            .limit(limit)
        )
        return tuple(msgspec.structs.replace(row[2], id=row[0], version=row[1]) for row in rows)

    def key(self, access_key_id: str) -> AccessKey | None:
        """The access key of that id."""
        return self._tx.execute(
            select(access_keys.c.body).where(access_keys.c.access_key_id == access_key_id)
        ).scalar()

    def keys_of(self, account_id: str, user_name: str) -> tuple[AccessKey, ...]:
        """The keys of a user, or of the root when the name is empty; oldest first."""
        rows = self._tx.execute(
            select(access_keys.c.body).where(
                access_keys.c.account_id == account_id, access_keys.c.user_name == user_name
            )
        )
        return tuple(sorted((row[0] for row in rows), key=lambda key: key.created_at))

    def add_key(self, key: AccessKey) -> None:
        """Insert an access key."""
        self._tx.execute(
            access_keys.insert().values(
                access_key_id=key.access_key_id,
                account_id=key.account_id,
                user_name=key.user_name,
                body=key,
            )
        )
        self._tx.touch("iam.key", key.access_key_id)

    def delete_key(self, access_key_id: str) -> None:
        """Remove an access key: it proves nobody from now on."""
        self._tx.execute(delete(access_keys).where(access_keys.c.access_key_id == access_key_id))
        self._tx.touch("iam.key", access_key_id)
