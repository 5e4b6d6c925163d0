"""Task sets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0003 to 0004."""
    op.create_table(
        "ecs_task_set",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ecs_task_set")),
        sa.UniqueConstraint("uid", name=op.f("uq_ecs_task_set_uid")),
    )
    op.create_index("ix_ecs_task_set_service", "ecs_task_set", ["service_id", "id"])


def downgrade() -> None:
    """There is no way back: restore a backup."""
    raise NotImplementedError
