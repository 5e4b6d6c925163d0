"""Secrets Manager's tables."""

from __future__ import annotations

import sqlalchemy as sa

from homeport.services.secretsmanager import model
from homeport.store.rows import row_table
from homeport.store.schema import metadata
from homeport.store.types import Document

secrets = row_table(
    "secretsmanager_secret",
    model.Secret,
    sa.Column("name", sa.String(512), nullable=False),
    sa.UniqueConstraint("account_id", "region", "name", name="uq_secretsmanager_secret_name"),
)

versions = sa.Table(
    "secretsmanager_version",
    metadata,
    sa.Column("secret_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("version_id", sa.String(64), primary_key=True),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("body", Document(model.SecretVersion), nullable=False),
)
