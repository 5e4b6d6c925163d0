"""The options that commands share, and how a command finds its server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from homeport.app.connection import Connection, read_connection
from homeport.app.settings import (
    DEFAULT_CLUSTER,
    SYSTEM_DATA_DIR,
    default_data_dir,
    environment,
    refuse_unknown,
)
from homeport.cli.client import AwsClient
from homeport.cli.output import UNREACHABLE, CliError

DataDir = Annotated[
    Path | None,
    Parameter(help="State and logs. Default: /var/lib/homeport; not root: ~/.local/share/homeport."),
]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="One JSON document, for programs.")]
Cluster = Annotated[str, Parameter(help="The cluster's name.")]

__all__ = ["DEFAULT_CLUSTER", "AsJson", "Cluster", "DataDir", "client_for", "connection_for", "data_dir_for"]


def data_dir_for(chosen: Path | None) -> Path:
    """The data directory that was named, or the default one."""
    environ = environment()
    refuse_unknown(environ)
    return chosen.absolute() if chosen else default_data_dir(environ, is_root=os.geteuid() == 0)


def connection_for(chosen: Path | None) -> Connection:
    """How to reach the server of a data directory.

    A person who started it with sudo need not repeat that: root's default directory is looked at, too.
    """
    data_dir = data_dir_for(chosen)
    named = chosen is not None or "HOMEPORT_DATA_DIR" in environment()
    for place in (data_dir,) if named else dict.fromkeys((data_dir, SYSTEM_DATA_DIR)):
        try:
            return read_connection(place)
        except FileNotFoundError:
            continue
        except PermissionError:
            raise CliError(
                f"{place} belongs to another user, and the key in it is theirs",
                "Run this as the user who started Homeport, or with sudo.",
            ) from None
        except ValueError as error:
            raise CliError(str(error), "Start Homeport again: it writes the file anew.") from None
    raise CliError(
        f"Homeport never ran with {data_dir}",
        "Start it: bin/homeport up (or name its --data-dir).",
        status=UNREACHABLE,
    )


def client_for(chosen: Path | None) -> AwsClient:
    """A client of the server of a data directory."""
    return AwsClient(connection_for(chosen))
