"""Certificate Manager's tables."""

from __future__ import annotations

import sqlalchemy as sa

from homeport.services.acm import model
from homeport.store.rows import row_table
from homeport.store.schema import metadata
from homeport.store.types import Document

certificates = row_table(
    "acm_certificate",
    model.Certificate,
    sa.Column("uid", sa.String(36), nullable=False),
    sa.UniqueConstraint("account_id", "region", "uid", name="uq_acm_certificate_uid"),
)

authorities = sa.Table(
    "acm_authority",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("body", Document(model.Authority), nullable=False),
)
"""The installation's own: one row."""
