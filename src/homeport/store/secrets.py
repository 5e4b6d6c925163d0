"""Secrets that all replicas of an installation share, made when first asked for."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, String, Table, select

from homeport.core.ids import Ids
from homeport.store.schema import metadata
from homeport.store.tx import Tx

SECRET_BYTES = 32

secrets = Table(
    "installation_secret",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)


def installation_secret(tx: Tx, name: str, ids: Ids) -> bytes:
    """32 bytes, the same for every caller from the first call on."""
    found = tx.execute(select(secrets.c.value).where(secrets.c.name == name)).scalar()
    if found is not None:
        return bytes(found)
    fresh = ids.token(SECRET_BYTES)
    tx.execute(secrets.insert().values(name=name, value=fresh))
    return fresh
