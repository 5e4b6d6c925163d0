"""Cloud Map: namespaces, services, instances, operations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0015 to 0016."""
    op.create_table(
        "servicediscovery_instance",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("service_id", sa.String(length=64), nullable=False),
        sa.Column("instance_id", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_servicediscovery_instance")),
        sa.UniqueConstraint("service_id", "instance_id", name="uq_servicediscovery_instance_id"),
    )
    op.create_table(
        "servicediscovery_namespace",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("namespace_id", sa.String(length=64), nullable=False),
        sa.Column("http_name", sa.String(length=1100), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_servicediscovery_namespace")),
        sa.UniqueConstraint(
            "account_id", "region", "http_name", name="uq_servicediscovery_namespace_http_name"
        ),
        sa.UniqueConstraint("namespace_id", name="uq_servicediscovery_namespace_id"),
    )
    op.create_table(
        "servicediscovery_operation",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("operation_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_servicediscovery_operation")),
        sa.UniqueConstraint("account_id", "region", "operation_id", name="uq_servicediscovery_operation_id"),
    )
    op.create_index(
        "ix_servicediscovery_operation_age",
        "servicediscovery_operation",
        ["account_id", "region", "created_at"],
    )

    op.create_table(
        "servicediscovery_service",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("service_id", sa.String(length=64), nullable=False),
        sa.Column("namespace_id", sa.String(length=64), nullable=False),
        sa.Column("unique_name", sa.String(length=127), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_servicediscovery_service")),
        sa.UniqueConstraint("namespace_id", "unique_name", name="uq_servicediscovery_service_name"),
        sa.UniqueConstraint("service_id", name="uq_servicediscovery_service_id"),
    )
    op.create_index("ix_ec2_resource_resource_id", "ec2_resource", ["resource_id"])


def downgrade() -> None:
    """There is no way back: restore a backup."""
    raise NotImplementedError
