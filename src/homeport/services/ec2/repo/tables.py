"""EC2's tables: one for everything with an id, and two for what must be unique."""

from __future__ import annotations

import sqlalchemy as sa

from homeport.services.ec2 import model
from homeport.store.rows import row_table
from homeport.store.schema import metadata
from homeport.store.types import Instant

resources = row_table(
    "ec2_resource",
    model.AnyResource,
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("resource_id", sa.String(64), nullable=False),
    sa.Column("vpc_id", sa.String(64), nullable=False),
    sa.Column("parent_id", sa.String(64), nullable=False),
    sa.UniqueConstraint("account_id", "region", "resource_id", name="uq_ec2_resource_id"),
    sa.Index("ix_ec2_resource_kind", "account_id", "region", "kind", "vpc_id"),
    sa.Index("ix_ec2_resource_parent", "parent_id", "kind"),
    sa.Index("ix_ec2_resource_resource_id", "resource_id"),
)

addresses = sa.Table(
    "ec2_address",
    metadata,
    sa.Column("subnet_id", sa.String(64), primary_key=True),
    sa.Column("address", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("interface_id", sa.String(64), nullable=False),
)
"""Which addresses are taken, as numbers: the key refuses a second owner."""

tokens = sa.Table(
    "ec2_client_token",
    metadata,
    sa.Column("account_id", sa.String(12), primary_key=True),
    sa.Column("region", sa.String(32), primary_key=True),
    sa.Column("token", sa.String(128), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("resource_id", sa.String(64), nullable=False, index=True),
    sa.Column("made_at", Instant, nullable=False),
)
"""What a request with this token made."""
