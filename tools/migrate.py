"""Write the next version of the database schema.

`tools/migrate.py new "what changed"` compares what the migrations make with what the
code says and writes the difference as `store/migrations/versions/NNNN_what_changed.py`.
Read what it wrote: a renamed column looks to it like one lost and one new.
`tools/migrate.py check` only says whether they differ (exit status 1: they do).
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import homeport.services
import homeport.store
from homeport.store import metadata
from homeport.store.migrations import config, revisions, upgrade


def load_every_table() -> None:
    """Tables are defined in the store and in the services' `repo` packages."""
    for module in pkgutil.iter_modules(homeport.store.__path__, "homeport.store."):
        importlib.import_module(module.name)
    for module in pkgutil.walk_packages(homeport.services.__path__, "homeport.services."):
        if ".repo" in module.name:
            importlib.import_module(module.name)


def differences(connection: sa.Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="write the next version")
    new.add_argument("message", help="what changes, in a few words")
    commands.add_parser("check", help="say whether a version is missing")
    options = parser.parse_args(arguments)

    load_every_table()
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        upgrade(connection)
        found = differences(connection)
        for difference in found:
            print(difference)
        if options.command == "check" or not found:
            print("the migrations and the code differ" if found else "nothing to do")
            return 1 if found else 0
        number = f"{int(revisions()[-1]) + 1:04}"
        script = command.revision(config(connection), options.message, autogenerate=True, rev_id=number)
        assert script is not None
        assert not isinstance(script, list)
        print(f"wrote {script.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
