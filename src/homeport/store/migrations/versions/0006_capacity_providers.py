"""Capacity providers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0005 to 0006."""
    op.create_table(
        "ecs_capacity_provider",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("group_name", sa.String(length=255), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ecs_capacity_provider")),
        sa.UniqueConstraint("account_id", "region", "name", name="uq_ecs_capacity_provider_name"),
    )
    op.create_index(
        "ix_ecs_capacity_provider_group",
        "ecs_capacity_provider",
        ["account_id", "region", "group_name"],
        unique=True,
        sqlite_where=sa.text("status != 'INACTIVE'"),
        postgresql_where=sa.text("status != 'INACTIVE'"),
    )


def downgrade() -> None:
    """There is no way back: restore a backup."""
    raise NotImplementedError
