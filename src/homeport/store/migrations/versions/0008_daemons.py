"""Daemons, their task definitions, and tasks that belong to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def _id() -> sa.Column[int]:
    return sa.Column(
        "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
    )


def _with_kind(table: str, unique: str, columns: list[str]) -> None:
    with op.batch_alter_table(table) as batch:
        batch.add_column(
            sa.Column("kind", sa.String(length=32), nullable=False, server_default="task-definition")
        )
        batch.drop_constraint(unique, type_="unique")
        batch.create_unique_constraint(unique, ["account_id", "region", "kind", *columns])


def upgrade() -> None:
    """Go from 0007 to 0008."""
    _with_kind("ecs_task_family", "uq_ecs_task_family", ["family"])
    _with_kind("ecs_task_definition", "uq_ecs_task_definition", ["family", "revision"])
    op.add_column("ecs_task", sa.Column("daemon_id", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_ecs_task_daemon",
        "ecs_task",
        ["daemon_id", "stopped_at"],
        sqlite_where=sa.text("daemon_id IS NOT NULL"),
        postgresql_where=sa.text("daemon_id IS NOT NULL"),
    )
    op.create_table(
        "ecs_daemon",
        _id(),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("cluster_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ecs_daemon")),
    )
    op.create_index(
        "ix_ecs_daemon_name",
        "ecs_daemon",
        ["cluster_id", "name"],
        unique=True,
        sqlite_where=sa.text("status != 'DELETED'"),
        postgresql_where=sa.text("status != 'DELETED'"),
    )
    op.create_table(
        "ecs_daemon_revision",
        _id(),
        sa.Column("daemon_id", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ecs_daemon_revision")),
        sa.UniqueConstraint("uid", name=op.f("uq_ecs_daemon_revision_uid")),
    )
    op.create_table(
        "ecs_daemon_deployment",
        _id(),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("daemon_id", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ecs_daemon_deployment")),
        sa.UniqueConstraint("uid", name=op.f("uq_ecs_daemon_deployment_uid")),
    )
    op.create_index("ix_ecs_daemon_deployment_daemon", "ecs_daemon_deployment", ["daemon_id", "id"])
    op.create_index("ix_ecs_daemon_deployment_created", "ecs_daemon_deployment", ["created_at"])


def downgrade() -> None:
    """There is no way back: restore a backup."""
    raise NotImplementedError
