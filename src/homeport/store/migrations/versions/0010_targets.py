"""Registrations of services' tasks with load balancers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0009 to 0010."""
    op.create_table(
        "ecs_target",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("target_group", sa.String(length=512), nullable=False),
        sa.Column("target", sa.String(length=64), nullable=False),
        sa.Column("container_port", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ecs_target")),
        sa.UniqueConstraint("task_id", "target_group", "container_port", name="uq_ecs_target_task"),
    )
    op.create_index("ix_ecs_target_service", "ecs_target", ["service_id", "id"])
    op.create_index("ix_ecs_target_target", "ecs_target", ["target"])


def downgrade() -> None:
    """There is no way back: restore a backup."""
    raise NotImplementedError
