"""The outbox: what changed, in the transaction that changed it.

`kind` says what `body` is: `task`, one version of a task; `born`, the rows of tasks that were made
together; or `told`, a document's own part. `xid` orders rows by when they could first be seen
(see `store.feed`).
"""

from __future__ import annotations

import sqlalchemy as sa

from homeport.store.schema import metadata
from homeport.store.types import RowId

events = sa.Table(
    "ecs_event",
    metadata,
    sa.Column("id", RowId, primary_key=True, autoincrement=True),
    sa.Column("xid", sa.BigInteger, nullable=False),
    sa.Column("account_id", sa.String(12), nullable=False),
    sa.Column("region", sa.String(32), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("ix_ecs_event_order", "xid", "id"),
)

consumers = sa.Table(
    "ecs_event_consumer",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("position", sa.String(64), nullable=False),
)
