"""`homeport logs`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from homeport.app.docker.client import DockerAwayError, DockerClient, LogChunk
from homeport.app.docker.setup import docker_host_of
from homeport.app.settings import environment
from homeport.cli.client import ApiError, UnreachableError
from homeport.cli.common import DEFAULT_CLUSTER, Cluster, DataDir, client_for
from homeport.cli.output import CliError, resource_name, short_id
from homeport.cli.ps import tasks_of

TASK_LABEL = "com.amazonaws.ecs.task-arn"
NAME_LABEL = "com.amazonaws.ecs.container-name"
"""Labels that every ECS agent puts on a task's containers. Source: amazon-ecs-agent, README."""


def containers_of(
    containers: Sequence[Mapping[str, Any]], task: str, *, name: str = ""
) -> list[tuple[str, str]]:
    """(ECS name, Docker id) of a task's containers; `task` is an ARN, an id, or enough of an id's beginning.

    Raise `CliError` when it could be several tasks.
    """
    wanted = resource_name(task)
    found = [c for c in containers if resource_name(c["Labels"].get(TASK_LABEL, "")).startswith(wanted)]
    tasks = sorted({c["Labels"][TASK_LABEL] for c in found})
    if len(tasks) > 1:
        raise CliError(
            f"{task} could be {len(tasks)} tasks: {', '.join(map(short_id, tasks))}", "Give more of its id."
        )
    named = [(c["Labels"].get(NAME_LABEL, ""), c["Id"]) for c in found]
    return sorted((label, docker_id) for label, docker_id in named if label and name in ("", label))


def explain_missing(task: str, known: Sequence[Mapping[str, Any]], *, container: str = "") -> CliError:
    """Why a task's output is not on this machine, from what the API tells of all tasks."""
    matching = [t for t in known if resource_name(t["taskArn"]).startswith(resource_name(task))]
    if not matching:
        return CliError(f"no task {task}", "See: homeport ps --all")
    one = matching[0]
    if container and container not in [c["name"] for c in one.get("containers", ())]:
        names = ", ".join(c["name"] for c in one.get("containers", ()))
        return CliError(f"task {task} has no container {container}", f"It has: {names}.")
    instance = one.get("containerInstanceArn")
    if one["lastStatus"] == "STOPPED":
        reason = one.get("stoppedReason", "no reason given")
        return CliError(
            f"task {task} has stopped ({reason}) and its containers are removed", "See: homeport ps --all"
        )
    if not instance or one["lastStatus"] in ("PROVISIONING", "PENDING"):
        return CliError(
            f"task {task} is {one['lastStatus']}: no container of it exists yet", "Try again soon."
        )
    return CliError(
        f"task {task} runs on container instance {short_id(instance)}, which is another machine",
        f"Run there: homeport logs {task}",
    )


def logs(
    task: str,
    /,
    *,
    follow: Annotated[
        bool, Parameter(name=("--follow", "-f"), negative="", help="Go on until it ends.")
    ] = False,
    container: Annotated[str, Parameter(help="Only this one of the task's containers.")] = "",
    tail: Annotated[int | None, Parameter(help="Only the last so many lines of each container.")] = None,
    timestamps: Annotated[bool, Parameter(negative="", help="When each line was written.")] = False,
    cluster: Cluster = DEFAULT_CLUSTER,
    data_dir: DataDir = None,
) -> int:
    """Print what a TASK's containers wrote: stdout to stdout, stderr to stderr.

    It comes from this machine's Docker Engine; a task on another machine is read there.

    Exit status: 0 printed, 1 no such task, or not on this machine.
    """
    docker = DockerClient(docker_host_of(environment()))
    try:
        found = containers_of(docker.containers(labels={TASK_LABEL: ""}), task, name=container)
    except DockerAwayError as error:
        if isinstance(error.__cause__, PermissionError):
            raise CliError("this user may not use Docker Engine", "Run with sudo.") from None
        raise CliError(str(error), "Nothing runs on this machine without it: bin/homeport up") from None
    if not found:
        try:
            with client_for(data_dir) as api:
                known = list(tasks_of(api, cluster, stopped=True))
        except (ApiError, UnreachableError):
            raise CliError(f"no container of a task {task} is on this machine", "See: docker ps -a") from None
        raise explain_missing(task, known, container=container)
    width = max(len(name) for name, _ in found) if len(found) > 1 else 0
    lock = threading.Lock()

    def copy(name: str, docker_id: str) -> None:
        label = f"{name.ljust(width)} | ".encode() if width else b""
        write = prefixing(label, lock)
        for chunk in docker.logs(
            docker_id, follow=follow, tail="all" if tail is None else str(tail), timestamps=timestamps
        ):
            write(chunk)
        write(None)

    threads = [threading.Thread(target=copy, args=pair, daemon=True) for pair in found]
    if len(threads) == 1:
        copy(*found[0])
        return 0
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 0


def prefixing(label: bytes, lock: threading.Lock) -> Callable[[LogChunk | None], None]:
    """A writer that puts `label` before every line and never mixes two containers in one line.

    `None` says that there is no more.
    """
    kept: dict[str, bytes] = {"stdout": b"", "stderr": b""}

    def put(stream: str, data: bytes) -> None:
        target = (sys.stdout if stream == "stdout" else sys.stderr).buffer
        with lock:
            target.write(data)
            target.flush()

    def write(chunk: LogChunk | None) -> None:
        if chunk is None:
            for stream, rest in kept.items():
                if rest:
                    put(stream, label + rest + b"\n")
        elif not label:
            put(chunk.stream, chunk.data)
        else:
            lines = (kept[chunk.stream] + chunk.data).split(b"\n")
            kept[chunk.stream] = lines.pop()
            if lines:
                put(chunk.stream, b"".join(label + line + b"\n" for line in lines))

    return write
