"""IAM's tables."""

from __future__ import annotations

import sqlalchemy as sa

from homeport.services.iam import model
from homeport.store.schema import metadata
from homeport.store.types import Document, RowId

users = sa.Table(
    "iam_user",
    metadata,
    sa.Column("id", RowId, primary_key=True, autoincrement=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("account_id", sa.String(12), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("body", Document(model.User), nullable=False),
    sa.UniqueConstraint("account_id", "name", name="uq_iam_user_name"),
)

access_keys = sa.Table(
    "iam_access_key",
    metadata,
    sa.Column("access_key_id", sa.String(32), primary_key=True),
    sa.Column("account_id", sa.String(12), nullable=False),
    sa.Column("user_name", sa.String(64), nullable=False),
    sa.Column("body", Document(model.AccessKey), nullable=False),
    sa.Index("ix_iam_access_key_user", "account_id", "user_name"),
)
