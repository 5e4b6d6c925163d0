"""Secrets and their versions."""

from __future__ import annotations

from sqlalchemy import delete, select, update

from homeport.services.secretsmanager.model import Secret, SecretVersion
from homeport.services.secretsmanager.repo.tables import secrets, versions
from homeport.store.rows import all_nouns, first_noun, insert_row, nouns, write_row
from homeport.store.tx import Tx

_S, _V = secrets.c, versions.c


class SecretRepo:
    """One account's secrets in one region, deleted ones included until they are purged."""

    def __init__(self, tx: Tx, account_id: str, region: str) -> None:
        self._tx = tx
        self._here = (_S.account_id == account_id, _S.region == region)

    def find(self, name: str) -> Secret | None:
        """The secret of that name."""
        return first_noun(self._tx, nouns(secrets).where(*self._here, _S.name == name))

    def add(self, secret: Secret) -> Secret:
        """Insert. Raise `DuplicateKeyError` when the name is taken."""
        return insert_row(
            self._tx, secrets, secret, account_id=secret.account_id, region=secret.region, name=secret.name
        )

    def save(self, secret: Secret) -> Secret:
        """Raise `StaleWriteError` when someone else wrote first."""
        return write_row(self._tx, secrets, secret, secret.arn)

    def delete(self, secret: Secret) -> None:
        """Remove the secret with all its versions."""
        self._tx.execute(delete(versions).where(_V.secret_id == secret.id))
        self._tx.execute(delete(secrets).where(_S.id == secret.id))

    def all(self) -> tuple[Secret, ...]:
        """Every secret, by name."""
        return tuple(all_nouns(self._tx, nouns(secrets).where(*self._here).order_by(_S.name)))

    def add_version(self, secret: Secret, version: SecretVersion) -> None:
        """Insert a version."""
        self._tx.execute(
            versions.insert().values(
                secret_id=secret.id,
                version_id=version.version_id,
                created_at=version.created_at.timestamp(),
                body=version,
            )
        )

    def save_version(self, secret: Secret, version: SecretVersion) -> None:
        """Write a version's last use."""
        self._tx.execute(
            update(versions)
            .where(_V.secret_id == secret.id, _V.version_id == version.version_id)
            .values(body=version)
        )

    def drop_version(self, secret: Secret, version_id: str) -> None:
        """Remove a version."""
        self._tx.execute(delete(versions).where(_V.secret_id == secret.id, _V.version_id == version_id))

    def version(self, secret: Secret, version_id: str) -> SecretVersion | None:
        """One version."""
        return self._tx.execute(
            select(_V.body).where(_V.secret_id == secret.id, _V.version_id == version_id)
        ).scalar()

    def versions(self, secret: Secret) -> tuple[SecretVersion, ...]:
        """All versions that are kept, newest first."""
        rows = self._tx.execute(
            select(_V.body).where(_V.secret_id == secret.id).order_by(_V.created_at.desc(), _V.version_id)
        )
        return tuple(row[0] for row in rows)
