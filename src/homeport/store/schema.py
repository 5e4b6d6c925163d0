"""The shared `MetaData`, and the tables that belong to the store itself.

Services define their tables on `metadata` in their `repo/`; the migrations in
`migrations/versions` make them. A test proves that both say the same.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Identity, Integer, MetaData, Table, Text

from homeport.store.types import Instant

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

change = Table(
    "change",
    metadata,
    # The writing transaction on PostgreSQL, 0 on SQLite, where transactions
    # commit in the order of `seq`. See `feed.py` for why it is needed.
    Column("xid", BigInteger, primary_key=True, autoincrement=False),
    Column(
        "seq",
        BigInteger().with_variant(Integer, "sqlite"),
        Identity(),
        primary_key=True,
    ),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""The change feed: which keys each commit touched, in (`xid`, `seq`) order."""

lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_at", Instant, nullable=False),
)
"""Who may act on what. Rows stay when released, so that `epoch` only grows."""
