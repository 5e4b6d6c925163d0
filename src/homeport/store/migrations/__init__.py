"""The schema's history, one line of numbered versions, and how a database is brought to its end.

Alembic takes longer to import than an up-to-date database takes to open, so it
is imported only when there is something to do. The newest version is read off
the file names: `versions/NNNN_what_changed.py` is revision `NNNN`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from homeport.store.errors import StoreVersionError

if TYPE_CHECKING:
    from alembic.config import Config

HERE = Path(__file__).parent


def revisions() -> tuple[str, ...]:
    """Every version, oldest first."""
    return tuple(sorted(path.name[:4] for path in (HERE / "versions").glob("[0-9][0-9][0-9][0-9]_*.py")))


def current(connection: Connection) -> str | None:
    """The database's version; `None` for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def config(connection: Connection) -> Config:
    """Alembic's configuration for `connection`, whose transaction is the caller's."""
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(HERE))
    settings.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    settings.set_main_option("path_separator", "os")
    settings.attributes["connection"] = connection
    return settings


def upgrade(connection: Connection) -> None:
    """Bring the database to the newest version, in the caller's transaction."""
    known, found = revisions(), current(connection)
    if found == known[-1]:
        return
    if found is not None and found not in known:
        raise StoreVersionError(
            f"The database is at version {found}, this Homeport knows versions up to {known[-1]}.",
            "Upgrade Homeport to the version that made it, or choose another data directory.",
        )
    from alembic import command

    command.upgrade(config(connection), "head")
