"""IAM's tables: entities by name, and relations between them by row id: a new name changes one row."""

from __future__ import annotations

import sqlalchemy as sa

from homeport.services.iam import model
from homeport.store.rows import row_table
from homeport.store.schema import metadata
from homeport.store.types import Document, Instant

entities = row_table(
    "iam_entity",
    model.Entity,
    sa.Column("account_id", sa.String(12), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("key", sa.String(255), nullable=False),
    sa.Column("path", sa.String(512), nullable=False),
    sa.Column("unique_id", sa.String(32), nullable=False),
    sa.UniqueConstraint("account_id", "kind", "key", name="uq_iam_entity_key"),
    sa.Index("ix_iam_entity_unique_id", "unique_id"),
    has_home=False,
)

attachments = sa.Table(
    "iam_attachment",
    metadata,
    sa.Column("holder_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("usage", sa.String(24), primary_key=True),
    sa.Column("policy_arn", sa.String(2048), primary_key=True),
    sa.Column("account_id", sa.String(12), nullable=False),
    sa.Column("policy_id", sa.BigInteger, nullable=True),
    sa.Index("ix_iam_attachment_policy", "account_id", "policy_arn"),
)
"""Managed policies on users, groups and roles. `policy_id` is NULL for AWS's own, which have no row."""

members = sa.Table(
    "iam_member",
    metadata,
    sa.Column("holder_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("member_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Index("ix_iam_member_member", "member_id"),
)
"""Users in groups, and roles in instance profiles."""

access_keys = sa.Table(
    "iam_access_key",
    metadata,
    sa.Column("access_key_id", sa.String(32), primary_key=True),
    sa.Column("account_id", sa.String(12), nullable=False),
    sa.Column("user_name", sa.String(64), nullable=False),
    sa.Column("body", Document(model.AccessKey), nullable=False),
    sa.Index("ix_iam_access_key_user", "account_id", "user_name"),
)

last_uses = sa.Table(
    "iam_last_use",
    metadata,
    sa.Column("user_id", sa.String(32), primary_key=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("region", sa.String(32), nullable=False),
    sa.Column("service", sa.String(64), nullable=False),
)
"""Of access keys (by key id) and roles (by unique id). Nobody is told when it changes."""
