"""The options that commands share, and how a command finds its server."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from homeport.app.connection import (
    AlreadyRunningError,
    Connection,
    make_data_dir,
    read_connection,
    served,
)
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

__all__ = [
    "DEFAULT_CLUSTER",
    "AsJson",
    "Cluster",
    "DataDir",
    "client_for",
    "connection_for",
    "data_dir_for",
    "owned",
]


def data_dir_for(chosen: Path | None) -> Path:
    """The data directory that was named, or the default one."""
    environ = environment()
    refuse_unknown(environ)
    return chosen.absolute() if chosen else default_data_dir(environ, is_root=os.geteuid() == 0)


@contextlib.contextmanager
def owned(data_dir: Path) -> Iterator[None]:
    """Make the data directory and be the only process that serves it."""
    try:
        make_data_dir(data_dir)
        with served(data_dir):
            yield
    except AlreadyRunningError as error:
        raise CliError(
            f"process {error.pid} serves {data_dir} already",
            "Use it (bin/homeport status), stop it (bin/homeport down), or choose another --data-dir.",
        ) from None
    except OSError as error:
        place = Path(str(error.filename or ""))
        if not (data_dir.is_relative_to(place) or place.is_relative_to(data_dir)):
            raise  # about something else
        raise CliError(
            f"cannot write to {place}: {os.strerror(error.errno or 0)}",
            "Run with sudo, or choose another --data-dir.",
        ) from None


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
