"""How Docker Engine is had on this machine: the decision, from facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homeport.app.docker.runtime_wrapper import RUNTIME_NAME

CAP_SYS_RESOURCE = 24
"""Bit of the capability sets. Source: linux/capability.h."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerFacts:
    """What decides how Docker Engine is had."""

    answers: bool
    lost_runtime: str = ""
    """Where the engine that answers looks for the program that starts containers, when that is gone."""
    away_because: str = ""
    refused_by_permissions: bool = False
    address_was_chosen: bool = False
    """Somebody set `DOCKER_HOST`, so starting another Docker would not be what they meant."""
    is_root: bool = True
    dockerd: str | None = None
    apt_get: str | None = None
    init: str = ""
    """What manages services: `systemd`, `service`, or nothing."""
    unit_exists: bool = False
    may_exceed_limits: bool = True
    """Whether CAP_SYS_RESOURCE is in the bounding set, without which plain runc refuses some containers."""


@dataclass(frozen=True, slots=True)
class UseRunning:
    """It answers: nothing to do."""


@dataclass(frozen=True, slots=True)
class RestoreRuntime:
    """Write our wrapper of runc anew, where the engine that answers looks for it."""

    path: Path


@dataclass(frozen=True, slots=True)
class InstallPackage:
    """Install Debian's `docker.io`, then look again."""


@dataclass(frozen=True, slots=True)
class StartService:
    """Let the machine's own init start it, as it would at boot."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StartDaemon:
    """Start dockerd ourselves, detached."""

    dockerd: str
    wrap_runtime: bool


@dataclass(frozen=True, slots=True)
class Refuse:
    """It cannot be had here."""

    message: str
    remedy: str


Step = UseRunning | RestoreRuntime | InstallPackage | StartService | StartDaemon | Refuse


def plan_docker(facts: DockerFacts) -> Step:
    """The next step towards a Docker Engine that answers."""
    if facts.answers:
        return _repair(Path(facts.lost_runtime), facts) if facts.lost_runtime else UseRunning()
    if refusal := _why_not(facts):
        return refusal
    if facts.dockerd is None:
        return InstallPackage()
    if facts.init == "systemd" and facts.unit_exists:
        return StartService(("systemctl", "start", "docker.service"))
    if facts.init == "service" and facts.unit_exists:
        return StartService(("service", "docker", "start"))
    return StartDaemon(facts.dockerd, wrap_runtime=not facts.may_exceed_limits)


def _repair(runtime: Path, facts: DockerFacts) -> Step:
    if runtime.name == RUNTIME_NAME and runtime.is_absolute() and facts.is_root:
        return RestoreRuntime(runtime)
    return Refuse(
        f"Docker Engine answers, but what it starts containers with is not there: {runtime}",
        "Put it back, or restart Docker Engine with another default runtime.",
    )


def lost_runtime(info: Mapping[str, Any]) -> str:
    """The path of the default runtime of the engine that told `info`, when no such file is on this machine.

    Source: Docker Engine API v1.41, SystemInfo: `DefaultRuntime`, `Runtimes`. A bare name is looked for in
    the engine's own PATH.
    """
    runtimes = info.get("Runtimes") or {}
    path = str((runtimes.get(info.get("DefaultRuntime")) or {}).get("path") or "")
    if "/" not in path or (path.startswith("/") and Path(path).exists()):
        return ""
    return path


def _why_not(facts: DockerFacts) -> Refuse | None:
    if facts.refused_by_permissions:
        return Refuse(
            "Docker Engine runs, but this user may not use it",
            "Run with sudo, or join its group: sudo usermod -aG docker $USER, then log in again.",
        )
    if facts.address_was_chosen:
        return Refuse(
            f"no Docker Engine answers at DOCKER_HOST: {facts.away_because}",
            "Start that Docker Engine, or unset DOCKER_HOST to let Homeport start one.",
        )
    if not facts.is_root:
        how = "start it" if facts.dockerd else "install and start it"
        return Refuse(
            "no Docker Engine answers, and only root may " + how,
            "Run again with sudo"
            + (", or: sudo systemctl start docker" if facts.init == "systemd" and facts.dockerd else "")
            + ".",
        )
    if facts.dockerd is None and facts.apt_get is None:
        return Refuse(
            "Docker Engine is not installed, and this machine has no apt-get to install it with",
            "Install Docker Engine with this system's package manager and run again.",
        )
    return None


def may_exceed_limits(proc_status: str) -> bool:
    """Whether CAP_SYS_RESOURCE is in the bounding set that `/proc/self/status` shows."""
    for line in proc_status.splitlines():
        if line.startswith("CapBnd:"):
            return bool(int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1)
    return True
