"""Secrets that all replicas of an installation share, made when first asked for and kept sealed."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, String, Table, select, update

from homeport.core.ids import Ids
from homeport.store.schema import metadata
from homeport.store.tx import Tx
from homeport.store.vault import Vault

SECRET_BYTES = 32

secrets = Table(
    "installation_secret",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)


def installation_secret(tx: Tx, name: str, ids: Ids, vault: Vault) -> bytes:
    """32 bytes, the same for every caller from the first call on. Raise `VaultError`.

    One that an earlier version kept as it is (an envelope is longer) is sealed now.
    """
    about = f"installation/{name}"
    found = tx.execute(select(secrets.c.value).where(secrets.c.name == name)).scalar()
    if found is not None and len(found) > SECRET_BYTES:
        return vault.open(bytes(found), about=about)
    value = ids.token(SECRET_BYTES) if found is None else bytes(found)
    sealed = vault.seal(value, about=about)
    if found is None:
        tx.execute(secrets.insert().values(name=name, value=sealed))
    else:
        tx.execute(update(secrets).where(secrets.c.name == name).values(value=sealed))
    return value
