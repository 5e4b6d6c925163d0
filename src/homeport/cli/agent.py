"""`homeport agent`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

from cyclopts import Parameter

from homeport.app.connection import Connection, installation_id
from homeport.app.docker.setup import ensure_docker
from homeport.app.settings import (
    DEFAULT_CLUSTER,
    DEFAULT_REGION,
    AgentSettings,
    environment,
    is_loopback,
    parse_attributes,
)
from homeport.cli.client import STS_VERSION, ApiError, AwsClient, UnreachableError
from homeport.cli.common import Cluster, DataDir, data_dir_for, owned
from homeport.cli.output import CliError
from homeport.cli.progress import ProgressView
from homeport.core.ids import SystemIds

INTRODUCTION_SECONDS = 5.0


def agent(
    *,
    endpoint: Annotated[str, Parameter(help="Where Homeport answers. Default: AWS_ENDPOINT_URL.")] = "",
    cluster: Cluster = DEFAULT_CLUSTER,
    region: Annotated[str, Parameter(help="Default: AWS_REGION or AWS_DEFAULT_REGION.")] = "",
    attribute: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            help="NAME=VALUE, may be given several times; homeport.auto-scaling-group=GROUP makes it an "
            "instance of the capacity provider on that group.",
        ),
    ] = None,
    fargate: Annotated[
        bool,
        Parameter(negative="", help="Run Fargate's tasks, unseen, on the machine where Homeport runs."),
    ] = False,
    data_dir: DataDir = None,
) -> int:
    """Make this machine a container instance of a Homeport elsewhere, until Ctrl-C or SIGTERM.

    The key comes from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (`homeport node add` makes one).
    Containers are left running when it stops.

    Exit status: 0 stopped as asked, 1 cannot start or had to end.
    """
    place, attributes = data_dir_for(data_dir), parse_attributes(attribute or ())
    environ = environment()
    where, key, secret = _told(endpoint, environ)
    if fargate:
        check_fargate(where, attributes, is_root=os.geteuid() == 0)
    there = region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
    token = environ.get("AWS_SESSION_TOKEN")
    with owned(place), ProgressView() as view:
        if not token:
            introduce(
                Connection(
                    endpoint=where, access_key_id=key, secret_access_key=secret, region=there, account_id=""
                )
            )
        settings = AgentSettings(
            data_dir=place,
            installation_id=installation_id(place, SystemIds()),
            endpoint=where,
            access_key_id=key,
            secret_access_key=secret,
            session_token=token,
            region=there,
            cluster=cluster,
            attributes=attributes,
            fargate=fargate,
            docker_host=ensure_docker(data_dir=place, environ=environ, report=view),
            log_level=environ.get("HOMEPORT_LOG_LEVEL", "warning"),
        )
        _run(settings, view)
    print("homeport: the agent has stopped; its containers run on", file=sys.stderr)
    return 0


def _told(endpoint: str, environ: Mapping[str, str]) -> tuple[str, str, str]:
    """The endpoint, and the key's id and secret. Raise `CliError` where one is missing."""
    where = endpoint or environ.get("AWS_ENDPOINT_URL", "")
    key, secret = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
    if not where:
        raise CliError("no endpoint given", "Name it: --endpoint http://HOST:4566 (or AWS_ENDPOINT_URL).")
    if not key or not secret:
        raise CliError(
            "no credentials: AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is not set",
            "Run `homeport node add NAME` where Homeport runs: it prints the line to run here.",
        )
    return where.rstrip("/"), key, secret


def check_fargate(endpoint: str, attributes: Mapping[str, str], *, is_root: bool) -> None:
    """Raise `CliError` where Fargate's tasks could not have addresses in the VPC."""
    if not is_loopback(urlsplit(endpoint).hostname or ""):
        raise CliError(
            f"Fargate's tasks have addresses in the VPC, which is not on this machine but at {endpoint}",
            "Run this where Homeport runs, with --endpoint http://127.0.0.1:4566; other machines can be "
            "container instances.",
        )
    if not is_root:
        raise CliError("Fargate's tasks need networks and limits of their own", "Run this with sudo.")
    if attributes:
        raise CliError("nobody sees the attributes of a machine of Fargate's", "Leave --attribute out.")


def introduce(connection: Connection) -> None:
    """Ask who we are there, so that a mistyped address or key is told at once.

    The agent itself is patient: where nothing answers yet, it goes on trying.
    """
    try:
        with AwsClient(connection, timeout_seconds=INTRODUCTION_SECONDS) as api:
            api.query("sts", "GetCallerIdentity", version=STS_VERSION)
    except UnreachableError as error:
        print(f"homeport: {error}: trying on until something does", file=sys.stderr)
    except ApiError as error:
        if error.status not in (401, 403):
            return  # it answers, if not to this
        raise CliError(
            f"{connection.endpoint} does not take this key: {error.message} ({error.code})",
            "Make one where Homeport runs: homeport node add NAME (or is this machine's clock wrong?).",
        ) from None


def _run(settings: AgentSettings, view: ProgressView) -> None:
    import uvloop

    from homeport.app.server import run_agent

    async def serve() -> None:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(run_agent(settings, view))
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, running.cancel)

    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        contextlib.suppress(asyncio.CancelledError),
    ):
        runner.run(serve())
