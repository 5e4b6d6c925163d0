"""Sessions of earlier versions did not tell when they were issued: their holders ask for new ones."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0010 to 0011."""
    op.execute("DELETE FROM sts_session")


def downgrade() -> None:
    """There is no way back: restore a backup."""
    raise NotImplementedError
