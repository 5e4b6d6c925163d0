"""`homeport up`."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from homeport.app.connection import installation_id, read_connection
from homeport.app.docker.client import DockerAwayError, DockerClient
from homeport.app.docker.setup import ensure_docker
from homeport.app.settings import (
    AUDIT_FILE_MEBIBYTES,
    AUDIT_FILES,
    DEFAULT_ACCOUNT_ID,
    DEFAULT_CLUSTER,
    DEFAULT_PORT,
    DEFAULT_REGION,
    INSTALLATION_LABEL,
    INSTANCE_PROFILE,
    TASKS_PER_SERVICE,
    AuthMode,
    UpSettings,
    environment,
    parse_issuers,
)
from homeport.cli.common import DataDir, data_dir_for, owned
from homeport.cli.output import CliError, explain_failure
from homeport.cli.progress import ProgressView
from homeport.core.ids import SystemIds

Serve = Callable[[UpSettings, Callable[[str, Mapping[str, Any]], None]], Any]


class StoppingError(Exception):
    """Homeport is being stopped: what waits for something gives up."""


def up(  # noqa: PLR0913 - each is an option
    *,
    demo: Annotated[bool, Parameter(negative="", help="Add a sample service and print its address.")] = False,
    host: Annotated[str, Parameter(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Port to listen on.")] = DEFAULT_PORT,
    data_dir: DataDir = None,
    instances: Annotated[int, Parameter(help="Container instances to be on this machine.")] = 1,
    auto_scaling_group: Annotated[
        list[str] | None,
        Parameter(negative="", help="A group that instances belong to; of several, each in turn."),
    ] = None,
    fargate: Annotated[bool, Parameter(help="Run Fargate's tasks on this machine, too.")] = True,
    auth: Annotated[
        AuthMode, Parameter(help="off: believe every caller. For throwaway CI only.")
    ] = AuthMode.ON,
    region: Annotated[str, Parameter(help="The region to be.")] = DEFAULT_REGION,
    account_id: Annotated[str, Parameter(help="The account to be, 12 digits.")] = DEFAULT_ACCOUNT_ID,
    tasks_per_service: Annotated[
        int, Parameter(env_var="HOMEPORT_TASKS_PER_SERVICE", help="The most tasks of a service: a quota.")
    ] = TASKS_PER_SERVICE,
    audit_file_mebibytes: Annotated[
        int, Parameter(env_var="HOMEPORT_AUDIT_FILE_MEBIBYTES", help="Size of an audit log's file, in MiB.")
    ] = AUDIT_FILE_MEBIBYTES,
    audit_files: Annotated[
        int, Parameter(env_var="HOMEPORT_AUDIT_FILES", help="How many of them are kept.")
    ] = AUDIT_FILES,
    oidc_issuer: Annotated[
        list[str] | None,
        Parameter(negative="", help="URL=FILE: an issuer of web identities, and its JSON Web Key Set."),
    ] = None,
    instance_profile: Annotated[
        str, Parameter(help="Instance profile of the instances on this machine.")
    ] = INSTANCE_PROFILE,
    instance_metadata: Annotated[
        bool, Parameter(help="Let containers reach the instance metadata service.")
    ] = True,
    yes: Annotated[
        bool, Parameter(name=("--yes", "-y"), negative="", help="Install without asking.")
    ] = False,
) -> int:
    """Run everything on this machine, until Ctrl-C or SIGTERM; containers are left running then.

    Prints `Ready.` on stdout once it serves.

    Exit status: 0 stopped as asked, 1 cannot start or had to end.
    """
    place = data_dir_for(data_dir)
    environ = environment()
    # What can be refused is refused before anything is started.
    options = {
        "host": host, "port": port, "instances": instances, "auth": auth, "region": region,
        "fargate": fargate,
        "auto_scaling_groups": tuple(auto_scaling_group or ()),
        "account_id": account_id, "tasks_per_service": tasks_per_service,
        "log_level": environ.get("HOMEPORT_LOG_LEVEL", "warning"),
        "audit_file_mebibytes": audit_file_mebibytes, "audit_files": audit_files,
        "oidc_issuers": parse_issuers(oidc_issuer or ()),
        "instance_profile": instance_profile, "instance_metadata": instance_metadata,
    }  # fmt: skip
    UpSettings(data_dir=place, installation_id="", **options)  # type: ignore[arg-type]
    with owned(place), ProgressView() as view:
        _warn(auth)
        _refuse_taken_port(host, port)
        # A control plane alone needs no Docker Engine: its nodes are elsewhere.
        if instances or demo:
            options["docker_host"] = ensure_docker(
                data_dir=place, environ=environ, report=view, confirm=lambda question: yes or _ask(question)
            )
        settings = UpSettings(
            data_dir=place,
            installation_id=installation_id(place, SystemIds()),
            **options,  # type: ignore[arg-type]
        )
        run(settings, view, demo=demo)
    _tell_what_is_left(settings)
    return 0


def _warn(auth: AuthMode) -> None:
    if auth is AuthMode.OFF:
        warning = "--auth=off: everybody on this machine may do everything here"
        print(f"homeport: WARNING: {warning}", file=sys.stderr)


def run(settings: UpSettings, view: ProgressView, *, demo: bool) -> None:
    """Serve until a signal ends it."""
    new_event_loop, run_up = _load_server()
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(supervise(settings, view, run_up, demo=demo))
    except BaseExceptionGroup as group:
        raise _explained(group, settings) from None  # its traceback holds the way here


def _load_server() -> tuple[Callable[[], asyncio.AbstractEventLoop], Serve]:
    # All that importing makes stays: the collector would look through it in vain, for a fifth of the time.
    gc.disable()
    try:
        import uvloop

        from homeport.app.server import run_up
    finally:
        gc.enable()
    return uvloop.new_event_loop, run_up


async def supervise(settings: UpSettings, view: ProgressView, serve: Serve, *, demo: bool) -> None:
    """Serve, say when it does, and bring the sample up. Signals cancel it."""
    loop, stopping = asyncio.get_running_loop(), threading.Event()
    ready = Readiness(settings.instances, fargate=settings.fargate)

    def report(event: str, fields: Mapping[str, Any]) -> None:
        view(event, fields)
        if ready.heard(event) and not demo:
            view.close()  # `Ready.` stands below a finished block

    async with asyncio.TaskGroup() as group:
        serving = group.create_task(serve(settings, report))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, _stop, serving, stopping)
        attending = group.create_task(_attend(settings, view, ready, stopping, demo=demo))
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait((serving,))
        stopping.set()
        attending.cancel()


def _stop(serving: asyncio.Task[None], stopping: threading.Event) -> None:
    if stopping.is_set():
        os._exit(130)  # asked a second time: nothing that matters is in memory only
    print("homeport: stopping (once more ends it at once)", file=sys.stderr)
    stopping.set()
    serving.cancel()


_IN = frozenset({"node.registered", "fargate.registered", "fargate.unavailable"})


class Readiness:
    """Knows from events whether callers can be served: the API answers and all instances are in."""

    def __init__(self, instances: int, *, fargate: bool = False) -> None:
        """`fargate`: a machine for Fargate's tasks comes with the instances, or says that it cannot."""
        self._missing = instances + (fargate and instances > 0)
        self._listening = False
        self._event = asyncio.Event()

    def heard(self, event: str) -> bool:
        """Take an event; whether it was the one that was missing."""
        if self._event.is_set():
            return False
        self._listening |= event == "gateway.ready"
        self._missing -= event in _IN
        if self._listening and self._missing <= 0:
            self._event.set()
        return self._event.is_set()

    async def wait(self) -> None:
        """Return once it is ready."""
        await self._event.wait()


async def _attend(
    settings: UpSettings, view: ProgressView, ready: Readiness, stopping: threading.Event, *, demo: bool
) -> None:
    await ready.wait()
    print("Ready.", flush=True)
    if not demo:
        return
    try:
        addresses = await asyncio.to_thread(show_sample, settings, view, stopping)
    except StoppingError:
        return
    except Exception as error:
        view.close()
        if explain_failure(error) is None:
            raise
        print("homeport: Homeport itself runs on; Ctrl-C stops it", file=sys.stderr)
        return
    view.close()
    for address in addresses:
        print(f"curl http://{address}/", flush=True)


def show_sample(settings: UpSettings, view: ProgressView, stopping: threading.Event) -> tuple[str, ...]:
    """Bring the sample up; the addresses that answer."""
    from homeport.app import sample
    from homeport.cli.client import AwsClient

    def sleep(seconds: float) -> None:
        if stopping.wait(seconds):
            raise StoppingError

    image = sample.ensure_image(DockerClient(settings.docker_host), settings.data_dir, view)
    with AwsClient(read_connection(settings.data_dir)) as api:
        sample.deploy(api, image, cluster=DEFAULT_CLUSTER)
        view("sample.deployed", {"service": sample.SERVICE})
        return sample.wait_until_up(api, view, cluster=DEFAULT_CLUSTER, sleep=sleep).reachable


def _refuse_taken_port(host: str, port: int) -> None:
    """Raise `OSError` before anything is started, for the port that will be needed in the end."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise _cannot_listen(host, port, error) from None


def _cannot_listen(host: str, port: int, error: OSError) -> CliError:
    if error.errno == errno.EADDRINUSE:
        return CliError(
            f"port {port} of {host} is taken: something else listens there",
            "Choose another port: bin/homeport up --port 4567 (see what listens: ss -ltnp).",
        )
    if error.errno == errno.EACCES:
        return CliError(f"port {port} needs root", "Choose one from 1024 on, or run with sudo.")
    return CliError(
        f"cannot listen on {host}: {os.strerror(error.errno or 0)}",
        "Name an address of this machine with --host, or leave it out.",
    )


def _ask(question: str) -> bool:
    """Ask on a terminal; without one nobody is asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    print(f"homeport: {question} [Y/n] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("", "y", "yes")


def _explained(group: BaseExceptionGroup[BaseException], settings: UpSettings) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES):
        return _cannot_listen(settings.host, settings.port, error)
    return error


def _tell_what_is_left(settings: UpSettings) -> None:
    from homeport.node.sandbox.holder import SANDBOX_LABEL

    labels = {INSTALLATION_LABEL: settings.installation_id}
    try:
        found = DockerClient(settings.docker_host).containers(labels=labels, running_only=True)
    except DockerAwayError:
        print("homeport: stopped", file=sys.stderr)
        return
    count = sum(SANDBOX_LABEL not in (each.get("Labels") or {}) for each in found)
    if count:
        print(
            f"homeport: stopped. {count} containers run on: `homeport up` takes them over again, "
            "`homeport down` removes them.",
            file=sys.stderr,
        )
    elif found:
        print(
            "homeport: stopped. No task's containers are left; `homeport down` removes the networks that are "
            "kept for the next ones.",
            file=sys.stderr,
        )
    else:
        print("homeport: stopped. No containers are left.", file=sys.stderr)
