"""STS's tables."""

from __future__ import annotations

import sqlalchemy as sa

from homeport.services.sts import model
from homeport.store.schema import metadata
from homeport.store.types import Document

sessions = sa.Table(
    "sts_session",
    metadata,
    sa.Column("access_key_id", sa.String(32), primary_key=True),
    sa.Column("expires_at", sa.Float, nullable=False),
    sa.Column("holder", sa.String(128)),
    sa.Column("body", Document(model.Session), nullable=False),
    sa.Index("ix_sts_session_holder", "holder"),
    sa.Index("ix_sts_session_expires_at", "expires_at"),
)
