"""The first services' tables: ECS, IAM's users and keys, STS's sessions, the installation's secrets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "ecs_account_setting",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("account_id", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("principal_arn", sa.String(length=512), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ecs_account_setting")),
        sa.UniqueConstraint("account_id", "region", "principal_arn", "name", name="uq_ecs_account_setting"),
    )
    op.create_table(
        "ecs_client_token",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("scope", sa.String(length=128), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ecs_client_token")),
        sa.UniqueConstraint("scope", "token", name="uq_ecs_client_token"),
    )
    op.create_table(
        "ecs_cluster",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("placement_epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("fleet_epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ecs_cluster")),
        sa.UniqueConstraint("account_id", "region", "name", name="uq_ecs_cluster_name"),
    )
    op.create_table(
        "ecs_container_instance",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("cluster_id", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("changed_epoch", sa.BigInteger(), nullable=False),
        sa.Column("payloads", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ecs_container_instance")),
        sa.UniqueConstraint("uid", name=op.f("uq_ecs_container_instance_uid")),
    )
    op.create_index(
        "ix_ecs_container_instance_changed",
        "ecs_container_instance",
        ["cluster_id", "changed_epoch"],
        unique=False,
    )
    op.create_index(
        "ix_ecs_container_instance_cluster", "ecs_container_instance", ["cluster_id", "id"], unique=False
    )
    op.create_table(
        "ecs_service",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("cluster_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("launch_type", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ecs_service")),
    )
    op.create_index("ix_ecs_service_name", "ecs_service", ["cluster_id", "name"], unique=False)
    op.create_table(
        "ecs_task",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("cluster_id", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("instance_id", sa.BigInteger(), nullable=True),
        sa.Column("service_id", sa.BigInteger(), nullable=True),
        sa.Column("family", sa.String(length=255), nullable=False),
        sa.Column("started_by", sa.String(length=128), nullable=True),
        sa.Column("launch_type", sa.String(length=32), nullable=False),
        sa.Column("desired_status", sa.String(length=16), nullable=False),
        sa.Column("last_status", sa.String(length=16), nullable=False),
        sa.Column("stopped_at", sa.Float(), nullable=True),
        sa.Column("agent_due", sa.Boolean(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ecs_task")),
        sa.UniqueConstraint("uid", name=op.f("uq_ecs_task_uid")),
    )
    op.create_index(
        "ix_ecs_task_live",
        "ecs_task",
        ["cluster_id", "last_status", "launch_type"],
        unique=False,
        sqlite_where=sa.text("stopped_at IS NULL"),
        postgresql_where=sa.text("stopped_at IS NULL"),
    )
    op.create_index(
        "ix_ecs_task_agent_due",
        "ecs_task",
        ["instance_id", "desired_status", "id"],
        unique=False,
        sqlite_where=sa.text("agent_due"),
        postgresql_where=sa.text("agent_due"),
    )
    op.create_index(
        "ix_ecs_task_live_cluster",
        "ecs_task",
        ["cluster_id", "id"],
        unique=False,
        sqlite_where=sa.text("stopped_at IS NULL"),
        postgresql_where=sa.text("stopped_at IS NULL"),
    )
    op.create_index(
        "ix_ecs_task_live_instance",
        "ecs_task",
        ["instance_id"],
        unique=False,
        sqlite_where=sa.text("stopped_at IS NULL"),
        postgresql_where=sa.text("stopped_at IS NULL"),
    )
    op.create_index(
        "ix_ecs_task_service",
        "ecs_task",
        ["service_id", "stopped_at"],
        unique=False,
        sqlite_where=sa.text("service_id IS NOT NULL"),
        postgresql_where=sa.text("service_id IS NOT NULL"),
    )
    op.create_index(
        "ix_ecs_task_stopped",
        "ecs_task",
        ["stopped_at"],
        unique=False,
        sqlite_where=sa.text("stopped_at IS NOT NULL"),
        postgresql_where=sa.text("stopped_at IS NOT NULL"),
    )
    op.create_table(
        "ecs_task_definition",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("family", sa.String(length=255), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ecs_task_definition")),
        sa.UniqueConstraint("account_id", "region", "family", "revision", name="uq_ecs_task_definition"),
    )
    op.create_table(
        "ecs_task_family",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("account_id", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("family", sa.String(length=255), nullable=False),
        sa.Column("last_revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ecs_task_family")),
        sa.UniqueConstraint("account_id", "region", "family", name="uq_ecs_task_family"),
    )
    op.create_table(
        "iam_access_key",
        sa.Column("access_key_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=12), nullable=False),
        sa.Column("user_name", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("access_key_id", name=op.f("pk_iam_access_key")),
    )
    op.create_index("ix_iam_access_key_user", "iam_access_key", ["account_id", "user_name"], unique=False)
    op.create_table(
        "iam_user",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_iam_user")),
        sa.UniqueConstraint("account_id", "name", name="uq_iam_user_name"),
    )
    op.create_table(
        "installation_secret",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_installation_secret")),
    )
    op.create_table(
        "sts_session",
        sa.Column("access_key_id", sa.String(length=32), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("access_key_id", name=op.f("pk_sts_session")),
    )
    op.create_index("ix_sts_session_expires_at", "sts_session", ["expires_at"], unique=False)


def downgrade() -> None:
    """There is no way back: restore a backup."""
    raise NotImplementedError
