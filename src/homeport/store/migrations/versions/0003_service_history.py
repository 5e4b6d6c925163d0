"""Service deployments and service revisions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0002 to 0003."""
    row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "ecs_service_deployment",
        sa.Column("id", row_id, autoincrement=True, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ecs_service_deployment")),
        sa.UniqueConstraint("uid", name=op.f("uq_ecs_service_deployment_uid")),
    )
    op.create_index("ix_ecs_service_deployment_created", "ecs_service_deployment", ["created_at"])
    op.create_index("ix_ecs_service_deployment_service", "ecs_service_deployment", ["service_id", "id"])
    op.create_index(
        "ix_ecs_service_deployment_open",
        "ecs_service_deployment",
        ["service_id"],
        sqlite_where=sa.text("is_open"),
        postgresql_where=sa.text("is_open"),
    )
    op.create_table(
        "ecs_service_revision",
        sa.Column("id", row_id, autoincrement=True, nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ecs_service_revision")),
        sa.UniqueConstraint("uid", name=op.f("uq_ecs_service_revision_uid")),
    )


def downgrade() -> None:
    """There is no way back: restore a backup."""
    raise NotImplementedError
