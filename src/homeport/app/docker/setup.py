"""Getting Docker Engine to answer on this machine, where there is none.

`plan` decides from facts; `ensure_docker` gathers them, says what is
going to happen, and does it. A Docker that somebody else started is used and
never touched. One that we start is a process of its own, with its log and pid
in the data directory, and outlives us: containers outlive the control plane.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homeport.app.docker.client import (
    DEFAULT_DOCKER_HOST,
    DockerAwayError,
    DockerClient,
    DockerError,
    socket_path,
)
from homeport.app.docker.plan import (
    DockerFacts,
    InstallPackage,
    Refuse,
    RestoreRuntime,
    StartDaemon,
    StartService,
    UseRunning,
    lost_runtime,
    may_exceed_limits,
    plan_docker,
)
from homeport.app.docker.runtime_wrapper import RUNTIME_NAME, SYSTEM_PATH, write_runtime_wrapper
from homeport.app.settings import environment

Report = Callable[[str, Mapping[str, Any]], None]

DOCKER_DIRECTORY = "docker"
"""Where in the data directory everything about an engine of ours lies."""
START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 60.0


class DockerSetupError(Exception):
    """Docker Engine cannot be had; `remedy` says how to get it."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonPlace:
    """Where a dockerd of our own keeps things. The default is where Docker itself does."""

    docker_host: str = DEFAULT_DOCKER_HOST
    data_root: Path | None = None
    exec_root: Path | None = None
    extra_arguments: tuple[str, ...] = ()


def docker_host_of(environ: Mapping[str, str]) -> str:
    """The Docker address that the environment names, or the default one."""
    return environ.get("DOCKER_HOST") or DEFAULT_DOCKER_HOST


def ensure_docker(
    *,
    data_dir: Path,
    environ: Mapping[str, str],
    report: Report,
    place: DaemonPlace | None = None,
    confirm: Callable[[str], bool] = lambda _question: True,
) -> str:
    """Make Docker Engine answer; its address. Raise `DockerSetupError`.

    `report` hears `docker.installing`, `docker.starting` and `docker.ready`.
    `confirm` is asked before anything is installed.
    """
    data_dir = data_dir.absolute()  # a daemon runs elsewhere
    host = place.docker_host if place else docker_host_of(environ)
    tried: set[type] = set()
    while True:
        facts = gather(host, environ, chosen=place is None and "DOCKER_HOST" in environ)
        step = plan_docker(facts)
        if type(step) in tried:
            why = facts.away_because or f"{facts.lost_runtime} is not there"
            place_of_logs = data_dir / DOCKER_DIRECTORY
            raise DockerSetupError(f"Docker Engine still does not work: {why}", f"See {place_of_logs}.")
        tried.add(type(step))
        match step:
            case UseRunning():
                report("docker.ready", {"docker_host": host})
                return host
            case Refuse(message, remedy):
                raise DockerSetupError(message, remedy)
            case RestoreRuntime(path):
                report("runtime.restoring", {"path": str(path)})
                path.parent.mkdir(parents=True, exist_ok=True)
                write_runtime_wrapper(path.parent)
            case InstallPackage():
                _install(data_dir, report, confirm)
            case StartService(command):
                report("docker.starting", {"command": " ".join(command)})
                _run(command, "start Docker Engine", "See: journalctl -u docker")
                _await_answer(host, START_TIMEOUT_SECONDS, lambda: None)
            case StartDaemon(dockerd, wrap_runtime):
                _start_daemon(dockerd, wrap_runtime, data_dir, place or DaemonPlace(docker_host=host), report)


def _lost_runtime(host: str) -> str:
    """An engine with much to do takes its time to tell about itself: then nothing is known to be wrong."""
    try:
        return lost_runtime(DockerClient(host).info())
    except DockerAwayError:
        return ""


def gather(host: str, environ: Mapping[str, str], *, chosen: bool) -> DockerFacts:
    """Look at the machine."""
    answers, because, refused = _probe(host)
    path = os.pathsep.join([environ.get("PATH", ""), SYSTEM_PATH])
    init, unit_exists = _init_system()
    if host != DEFAULT_DOCKER_HOST:
        unit_exists = False  # the machine's own unit would answer somewhere else
    return DockerFacts(
        answers=answers,
        lost_runtime=_lost_runtime(host) if answers and socket_path(host) else "",
        away_because=because,
        refused_by_permissions=refused,
        address_was_chosen=chosen,
        is_root=os.geteuid() == 0,
        dockerd=shutil.which("dockerd", path=path),
        apt_get=shutil.which("apt-get", path=path),
        init=init,
        unit_exists=unit_exists,
        may_exceed_limits=may_exceed_limits(Path("/proc/self/status").read_text()),
    )


def _probe(host: str) -> tuple[bool, str, bool]:
    try:
        DockerClient(host).version()
    except DockerAwayError as error:
        return False, str(error), isinstance(error.__cause__, PermissionError)
    except DockerError as error:
        return False, str(error), False
    return True, "", False


def _init_system() -> tuple[str, bool]:
    # Source: sd_booted(3): this directory exists if and only if systemd is the init system.
    if Path("/run/systemd/system").is_dir():
        units = ("/lib/systemd/system", "/usr/lib/systemd/system", "/etc/systemd/system")
        return "systemd", any((Path(unit) / "docker.service").exists() for unit in units)
    if Path("/proc/1/comm").read_text().strip() == "init" and shutil.which("service"):
        return "service", Path("/etc/init.d/docker").exists()
    return "", False


def _install(data_dir: Path, report: Report, confirm: Callable[[str], bool]) -> None:
    question = "Docker Engine is not installed. Install Debian's docker.io with apt-get now?"
    if not confirm(question):
        raise DockerSetupError("Docker Engine is not installed", "Run: sudo apt-get install docker.io")
    report("docker.installing", {"package": "docker.io"})
    log = data_dir / DOCKER_DIRECTORY / "apt.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environ = {"PATH": SYSTEM_PATH, "DEBIAN_FRONTEND": "noninteractive"}
    install = ("apt-get", "install", "-y", "--no-install-recommends", "docker.io")
    with log.open("ab") as output:
        for command in (install, ("apt-get", "update"), install):
            done = subprocess.run(
                command, env=environ, stdout=output, stderr=output, stdin=subprocess.DEVNULL, check=False
            )
            if command is install and done.returncode == 0:
                return
    raise DockerSetupError(
        "apt-get could not install docker.io",
        f"Its output is in {log}. Install Docker Engine yourself and run again.",
    )


def _run(command: tuple[str, ...], purpose: str, remedy: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise DockerSetupError(f"could not {purpose}: {done.stderr.strip()}", remedy)


def _start_daemon(
    dockerd: str, wrap_runtime: bool, data_dir: Path, place: DaemonPlace, report: Report
) -> None:
    # The daemon runs in another directory: a relative path in its arguments would lead nowhere.
    home = data_dir.absolute() / DOCKER_DIRECTORY
    home.mkdir(parents=True, exist_ok=True)
    arguments = [dockerd, "--host", place.docker_host, *place.extra_arguments]
    if place.data_root:
        arguments += ["--data-root", str(place.data_root)]
    if place.exec_root:
        arguments += ["--exec-root", str(place.exec_root), "--pidfile", str(home / "engine.pid")]
    if wrap_runtime:
        wrapper = write_runtime_wrapper(home)
        if wrapper is None:
            raise DockerSetupError("runc is not installed", "Run: sudo apt-get install runc")
        arguments += ["--add-runtime", f"{RUNTIME_NAME}={wrapper}", "--default-runtime", RUNTIME_NAME]
    log = home / "dockerd.log"
    report("docker.starting", {"command": dockerd, "log": str(log)})
    with log.open("ab") as output:
        daemon = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
            env={"PATH": SYSTEM_PATH} | _proxies(),
        )
    pid_file = home / "dockerd.pid"
    pid_file.write_text(f"{daemon.pid} {_started_at(daemon.pid)}\n")

    def check() -> None:
        if daemon.poll() is not None:
            pid_file.unlink(missing_ok=True)
            raise DockerSetupError(
                f"dockerd ended at once: {_last_error(log)}", f"Its whole output is in {log}."
            )

    _await_answer(place.docker_host, START_TIMEOUT_SECONDS, check)


def _proxies() -> dict[str, str]:
    names = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
    environ = environment()
    return {name: environ[name] for name in names if name in environ}


def _last_error(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    wrong = [
        line for line in lines[-50:] if "level=error" in line or "level=fatal" in line or "failed" in line
    ]
    return (wrong or lines or ["it said nothing"])[-1][-400:]


def _await_answer(host: str, timeout_seconds: float, check: Callable[[], None]) -> None:
    """Wait until it answers. Nobody tells us when a daemon is up, so ask, ever less often."""
    deadline = time.monotonic() + timeout_seconds
    pause = 0.02
    while True:
        answers, because, _ = _probe(host)
        if answers:
            return
        check()
        if time.monotonic() > deadline:
            raise DockerSetupError(
                f"Docker Engine did not answer within {timeout_seconds:.0f} s: {because}",
                "Look at its log, or start it yourself and run again.",
            )
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)


def started_pid(data_dir: Path) -> int | None:
    """The dockerd that we started for `data_dir` and that still runs."""
    try:
        pid_text, started_at = (data_dir / DOCKER_DIRECTORY / "dockerd.pid").read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    pid = int(pid_text)
    return pid if _started_at(pid) == started_at else None


def stop_started(data_dir: Path) -> bool:
    """Stop the dockerd that we started, if it still runs; whether it did."""
    pid = started_pid(data_dir)
    if pid is None:
        return False
    # A pid file descriptor tells the end of a process that is not our child.
    descriptor = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGTERM)
        if not select.select([descriptor], [], [], STOP_TIMEOUT_SECONDS)[0]:
            raise DockerSetupError(
                f"dockerd (process {pid}) does not stop", "Wait, or stop it yourself with kill."
            )
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    finally:
        os.close(descriptor)
    (data_dir / DOCKER_DIRECTORY / "dockerd.pid").unlink(missing_ok=True)
    return True


def _started_at(pid: int) -> str:
    """When a process started, in clock ticks since boot: with the pid, its identity."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    # Source: proc(5): field 22, counted after the parenthesised name. State Z is dead.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
