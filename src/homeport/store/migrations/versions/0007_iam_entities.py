"""Everything that IAM names in one table, and its relations; users move there with their policies."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0006 to 0007."""
    row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "iam_entity",
        sa.Column("id", row_id, autoincrement=True, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.String(length=12), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("unique_id", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_iam_entity")),
        sa.UniqueConstraint("account_id", "kind", "key", name="uq_iam_entity_key"),
    )
    op.create_index("ix_iam_entity_unique_id", "iam_entity", ["unique_id"])
    op.create_table(
        "iam_attachment",
        sa.Column("holder_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("usage", sa.String(length=24), nullable=False),
        sa.Column("policy_arn", sa.String(length=2048), nullable=False),
        sa.Column("account_id", sa.String(length=12), nullable=False),
        sa.Column("policy_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("holder_id", "usage", "policy_arn", name=op.f("pk_iam_attachment")),
    )
    op.create_index("ix_iam_attachment_policy", "iam_attachment", ["account_id", "policy_arn"])
    op.create_table(
        "iam_member",
        sa.Column("holder_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("member_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("holder_id", "member_id", name=op.f("pk_iam_member")),
    )
    op.create_index("ix_iam_member_member", "iam_member", ["member_id"])
    op.create_table(
        "iam_last_use",
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("service", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_iam_last_use")),
    )
    _move_users()
    op.drop_table("iam_user")


def _move_users() -> None:
    """Names may differ by more than case only: the younger of two gets its number behind its name."""
    db = op.get_bind()
    taken: set[tuple[str, str]] = set()
    for row in db.execute(sa.text("SELECT id, account_id, name, body FROM iam_user ORDER BY id")).all():
        old = json.loads(row.body)
        name = old["name"]
        if (row.account_id, name.lower()) in taken:
            name = f"{name[:50]}-{row.id}"
            db.execute(
                sa.text(
                    "UPDATE iam_access_key SET user_name = :name, body = replace(body, :before, :after)"
                    " WHERE account_id = :account AND user_name = :old"
                ),
                {
                    "name": name,
                    "old": row.name,
                    "account": row.account_id,
                    "before": f'"user_name":"{row.name}"',
                    "after": f'"user_name":"{name}"',
                },
            )
        taken.add((row.account_id, name.lower()))
        body = {
            "type": "user",
            "account_id": row.account_id,
            "name": name,
            "unique_id": old["user_id"],
            "created_at": old["created_at"],
        }
        db.execute(
            sa.text(
                "INSERT INTO iam_entity (id, version, account_id, kind, key, path, unique_id, body)"
                " VALUES (:id, 1, :account, 'user', :key, '/', :unique_id, :body)"
            ),
            {
                "id": row.id,
                "account": row.account_id,
                "key": name.lower(),
                "unique_id": old["user_id"],
                "body": json.dumps(body, ensure_ascii=False, separators=(",", ":")),
            },
        )
        for arn in old.get("policies", ()):
            db.execute(
                sa.text(
                    "INSERT INTO iam_attachment (holder_id, usage, policy_arn, account_id)"
                    " VALUES (:id, 'PermissionsPolicy', :arn, :account)"
                ),
                {"id": row.id, "arn": arn, "account": row.account_id},
            )
    if db.dialect.name == "postgresql" and taken:
        db.execute(
            sa.text(
                "SELECT setval(pg_get_serial_sequence('iam_entity', 'id'), (SELECT max(id) FROM iam_entity))"
            )
        )


def downgrade() -> None:
    """There is no way back: restore a backup."""
    raise NotImplementedError
