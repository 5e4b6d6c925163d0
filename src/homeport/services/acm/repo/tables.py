"""Certificate Manager's tables."""

from __future__ import annotations

import sqlalchemy as sa

from homeport.services.acm import model
from homeport.store.schema import metadata
from homeport.store.types import Document, RowId

certificates = sa.Table(
    "acm_certificate",
    metadata,
    sa.Column("id", RowId, primary_key=True, autoincrement=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("account_id", sa.String(12), nullable=False),
    sa.Column("region", sa.String(32), nullable=False),
    sa.Column("uid", sa.String(36), nullable=False),
    sa.Column("body", Document(model.Certificate), nullable=False),
    sa.UniqueConstraint("account_id", "region", "uid", name="uq_acm_certificate_uid"),
)

authorities = sa.Table(
    "acm_authority",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("body", Document(model.Authority), nullable=False),
)
"""The installation's own: one row."""
