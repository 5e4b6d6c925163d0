"""`homeport down`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import shutil
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from homeport.app.connection import known_installation_id, serving_pid
from homeport.app.docker.client import DockerAwayError, DockerClient
from homeport.app.docker.setup import DOCKER_DIRECTORY, docker_host_of, started_pid, stop_started
from homeport.app.sample import REPOSITORY
from homeport.app.settings import INSTALLATION_LABEL, environment
from homeport.cli.common import DataDir, data_dir_for
from homeport.cli.output import CliError

if TYPE_CHECKING:
    from homeport.app.teardown import Removed

STOP_TIMEOUT_SECONDS = 60.0
OURS = (
    "homeport.db*", "connection.json", ".connection.json.*", "installation", "up.lock", "nodes", "sample",
    "audit", "master.key", "network", DOCKER_DIRECTORY,
)  # fmt: skip
"""What Homeport writes into a data directory."""


def down(
    *,
    data_dir: DataDir = None,
    grace_seconds: Annotated[int, Parameter(help="Time containers get between SIGTERM and SIGKILL.")] = 10,
    purge: Annotated[bool, Parameter(negative="", help="Delete the data directory's content, too.")] = False,
) -> int:
    """Stop Homeport and remove the containers, volumes and images that it made.

    What was registered and the keys stay, and the next `up` carries on; `--purge` deletes them. A Docker
    Engine that Homeport started ends, too, unless others use it.

    Exit status: 0 nothing is left, 1 something could not be stopped.
    """
    place = data_dir_for(data_dir)
    installation = known_installation_id(place) or ""
    if not installation and not started_pid(place):
        _say(f"Homeport never ran with {place}: nothing to do")
        return 0
    stop_server(place)
    docker = DockerClient(docker_host_of(environment()))
    try:
        if installation:  # an earlier purge left only a Docker Engine that others used
            remove_containers(docker, installation, grace_seconds=grace_seconds)
        removed = _remove_traces(docker.docker_host, installation, place)
        is_alone = removed.is_alone and not docker.containers(labels={INSTALLATION_LABEL: ""})
        if is_alone:
            remove_images(docker)  # another Homeport would need them
        _end_engine(docker, place, is_alone=is_alone)
    except DockerAwayError:
        _say("no Docker Engine answers, so no container runs")
    if purge:
        _purge(place)
    else:
        _say(f"down. {place} keeps what was registered")
    return 0


def _end_engine(docker: DockerClient, place: Path, *, is_alone: bool) -> None:
    if not started_pid(place):
        return
    if docker.containers(labels={}, running_only=True):
        _say("Docker Engine stays: containers of others run on it")
    elif not is_alone:
        _say("Docker Engine stays: another Homeport uses it")
    else:
        stop_started(place)
        _say("stopped the Docker Engine that Homeport had started")


def _purge(place: Path) -> None:
    """Delete what Homeport wrote there: somebody's own files may lie beside it."""
    # A running engine of ours starts containers with the wrapper that lies there.
    kept = {DOCKER_DIRECTORY} if started_pid(place) else set()
    for path in (path for pattern in OURS for path in place.glob(pattern) if path.name not in kept):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    with contextlib.suppress(OSError):
        place.rmdir()  # unless something is left, or mounted there
    if kept:
        _say(f"deleted what is in {place}, except for what the running Docker Engine needs")
    else:
        _say(f"deleted {place}" if not place.exists() else f"deleted what Homeport had written to {place}")


def stop_server(place: Path) -> None:
    """Stop the process that serves `place`, if any, and wait for its end."""
    pid = serving_pid(place)
    if pid is None:
        return
    try:
        ended = os.pidfd_open(pid)
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise CliError(f"process {pid} belongs to another user", "Run this with sudo.") from None
    try:
        if not select.select([ended], [], [], STOP_TIMEOUT_SECONDS)[0]:
            raise CliError(f"process {pid} does not stop", f"Look at what it does, or end it: kill -9 {pid}")
    finally:
        os.close(ended)
    _say("stopped Homeport")


def remove_containers(docker: DockerClient, installation: str, *, grace_seconds: int) -> None:
    """Stop and remove the containers and volumes that carry the installation's label."""
    from homeport.node.sandbox.holder import SANDBOX_LABEL

    label = {INSTALLATION_LABEL: installation}
    listed = docker.containers(labels=label)
    found = [str(container["Id"]) for container in listed]
    count = sum(SANDBOX_LABEL not in (container.get("Labels") or {}) for container in listed)

    def end(container_id: str) -> None:
        docker.stop(container_id, grace_seconds=grace_seconds)
        docker.remove(container_id)

    if found:
        with ThreadPoolExecutor(max_workers=16) as pool:
            list(pool.map(end, found))
    volumes = docker.volumes(label=f"{INSTALLATION_LABEL}={installation}")
    for volume in volumes:
        docker.remove_volume(volume)
    if found or volumes:
        _say(f"removed {count} containers and {len(volumes)} volumes")


def remove_images(docker: DockerClient) -> None:
    """Remove the images that Homeport builds itself."""
    from homeport.node.drivers.pause_image import PAUSE_IMAGE

    for image in (*docker.image_names(REPOSITORY), PAUSE_IMAGE):
        docker.remove_image(image)


def _remove_traces(docker_host: str, installation: str, place: Path) -> Removed:
    from homeport.app.teardown import remove_traces

    instances = sorted(path.name for path in place.glob("nodes/*") if path.is_dir())
    removed = asyncio.run(
        remove_traces(docker_host=docker_host, installation_id=installation, instances=instances)
    )
    for problem in removed.problems:
        first_line = problem.partition("\n")[0]
        _say(f"left behind: {first_line}")
    return removed


def _say(text: str) -> None:
    print(f"homeport: {text}", file=sys.stderr)
