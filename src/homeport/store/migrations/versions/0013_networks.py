"""VPCs and what is in them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0012 to 0013."""
    op.create_table(
        "ec2_address",
        sa.Column("subnet_id", sa.String(length=64), nullable=False),
        sa.Column("address", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("interface_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("subnet_id", "address", name=op.f("pk_ec2_address")),
    )
    op.create_table(
        "ec2_client_token",
        sa.Column("account_id", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("token", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "region", "token", name=op.f("pk_ec2_client_token")),
    )
    op.create_index("ix_ec2_client_token_resource_id", "ec2_client_token", ["resource_id"])

    op.create_table(
        "ec2_resource",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("vpc_id", sa.String(length=64), nullable=False),
        sa.Column("parent_id", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ec2_resource")),
        sa.UniqueConstraint("account_id", "region", "resource_id", name="uq_ec2_resource_id"),
    )
    op.create_index("ix_ec2_resource_kind", "ec2_resource", ["account_id", "region", "kind", "vpc_id"])
    op.create_index("ix_ec2_resource_parent", "ec2_resource", ["parent_id", "kind"])


def downgrade() -> None:
    """There is no way back: restore a backup."""
    raise NotImplementedError
