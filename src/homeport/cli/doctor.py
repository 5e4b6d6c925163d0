"""`homeport doctor`: what this machine lacks and how to get it.

`look` gathers facts; each row of the report is a pure function of them.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from homeport.app.connection import serving_pid
from homeport.app.docker.client import DockerAwayError, DockerClient, DockerError, socket_path
from homeport.app.docker.plan import lost_runtime, may_exceed_limits
from homeport.app.docker.runtime_wrapper import SYSTEM_PATH
from homeport.app.docker.setup import docker_host_of
from homeport.app.networks.ground import TOOLS
from homeport.app.settings import DEFAULT_PORT, environment
from homeport.cli.common import AsJson, DataDir, data_dir_for
from homeport.cli.output import print_json, print_table

GIB = 2**30
DISK_FREE_MIN_BYTES = 2 * GIB
DOCKER_API_MIN = (1, 41)
"""The oldest Docker API that Homeport is tested with (Docker Engine 20.10)."""


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    ADVICE = "advice"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What was found. Sizes in bytes."""

    system: str
    python: tuple[int, int, int]
    is_root: bool
    docker_answers: bool
    docker_because: str
    docker_version: str
    docker_api: tuple[int, int]
    lost_runtime: str
    dockerd: bool
    apt_get: bool
    tools: frozenset[str]
    may_exceed_limits: bool
    port_taken: bool
    serving_pid: int | None
    disk_free_bytes: int
    memory_bytes: int
    cgroup_controllers: frozenset[str]
    ip_forward: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One row of the report."""

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


def check_system(machine: Machine) -> Finding:
    """Homeport drives Linux containers."""
    good = machine.system == "Linux"
    return Finding(
        check="system",
        verdict=Verdict.OK if good else Verdict.MISSING,
        found=machine.system,
        remedy="" if good else "Run Homeport on Linux (a virtual machine will do).",
    )


def check_python(machine: Machine) -> Finding:
    """`bin/homeport` needs 3.11."""
    good = machine.python >= (3, 11)
    return Finding(
        check="python",
        verdict=Verdict.OK if good else Verdict.MISSING,
        found=".".join(map(str, machine.python)),
        remedy="" if good else "Run: sudo apt-get install python3 python3-venv",
    )


def check_docker(machine: Machine) -> Finding:
    """An engine that answers, or one that `up` may start."""
    if machine.docker_answers:
        if machine.docker_api < DOCKER_API_MIN:
            wanted = ".".join(map(str, DOCKER_API_MIN))
            return Finding(
                check="docker",
                verdict=Verdict.MISSING,
                found=f"Docker Engine {machine.docker_version}, whose API is older than {wanted}",
                remedy="Install Docker Engine 20.10 or newer.",
            )
        if machine.lost_runtime:
            return Finding(
                check="docker",
                verdict=Verdict.MISSING,
                found=f"Docker Engine {machine.docker_version}, whose runtime {machine.lost_runtime} is gone",
                remedy="Put it back, or restart Docker Engine with another default runtime.",
            )
        return Finding(check="docker", verdict=Verdict.OK, found=f"Docker Engine {machine.docker_version}")
    if "ermission denied" in machine.docker_because:
        remedy = "Run with sudo, or: sudo usermod -aG docker $USER (then log in again)."
        return Finding(
            check="docker", verdict=Verdict.MISSING, found="may not be used by this user", remedy=remedy
        )
    if machine.dockerd or machine.apt_get:
        doing = "start it" if machine.dockerd else "install and start it"
        found = "installed, not running" if machine.dockerd else "not installed"
        if machine.is_root:
            return Finding(
                check="docker", verdict=Verdict.ADVICE, found=found, remedy=f"`homeport up` will {doing}."
            )
        return Finding(
            check="docker",
            verdict=Verdict.MISSING,
            found=found,
            remedy=f"With sudo, `homeport up` will {doing}.",
        )
    remedy = "Install Docker Engine with this system's package manager."
    return Finding(check="docker", verdict=Verdict.MISSING, found="not installed", remedy=remedy)


def check_port(machine: Machine) -> Finding:
    """The default port."""
    if machine.serving_pid is not None:
        return Finding(check="homeport", verdict=Verdict.OK, found=f"runs as process {machine.serving_pid}")
    if machine.port_taken:
        return Finding(
            check="homeport",
            verdict=Verdict.ADVICE,
            found=f"not running; something else listens on port {DEFAULT_PORT}",
            remedy="Choose another port: homeport up --port 4567",
        )
    return Finding(check="homeport", verdict=Verdict.OK, found=f"not running; port {DEFAULT_PORT} is free")


def check_privileges(machine: Machine) -> Finding:
    """Cgroups and container limits need root; CAP_SYS_RESOURCE is worked around."""
    if not machine.is_root:
        return Finding(
            check="privileges",
            verdict=Verdict.ADVICE,
            found="not root: task-level limits, instances' own addresses and starting Docker need it",
            remedy="Run homeport up with sudo.",
        )
    if not machine.may_exceed_limits:
        return Finding(
            check="privileges",
            verdict=Verdict.ADVICE,
            found="root without CAP_SYS_RESOURCE",
            remedy="Ulimits end at the machine's; a Docker Engine that `up` starts wraps runc for the rest.",
        )
    return Finding(check="privileges", verdict=Verdict.OK, found="root")


def check_network(machine: Machine) -> Finding:
    """VPCs, tasks' own addresses, security groups and load balancers are made of iproute2 and nftables."""
    lost = [tool for tool in TOOLS if tool not in machine.tools]
    if lost:
        packages = " ".join(TOOLS[tool] for tool in lost)
        return Finding(
            check="network",
            verdict=Verdict.ADVICE,
            found=f"no {' and no '.join(lost)}: no awsvpc, no security groups, no load balancers",
            remedy=f"Run: sudo apt-get install {packages}",
        )
    found = "ip, nft" if machine.is_root else "ip, nft; root is needed to use them"
    return Finding(check="network", verdict=Verdict.OK, found=found)


def check_cgroups(machine: Machine) -> Finding:
    """Task-level CPU and memory limits."""
    lacking = sorted({"cpu", "memory"} - machine.cgroup_controllers)
    return Finding(
        check="cgroups",
        verdict=Verdict.MISSING if lacking else Verdict.OK,
        found=f"no {' and '.join(lacking)} controller" if lacking else "cpu and memory controllers",
        remedy="Mount them (Debian: sudo apt-get install cgroupfs-mount) or boot with cgroup_enable=memory."
        if lacking
        else "",
    )


def check_disk(machine: Machine) -> Finding:
    """Images and the store need room."""
    good = machine.disk_free_bytes >= DISK_FREE_MIN_BYTES
    return Finding(
        check="disk",
        verdict=Verdict.OK if good else Verdict.ADVICE,
        found=f"{machine.disk_free_bytes / GIB:.1f} GiB free",
        remedy="" if good else "Free some space: images are stored there.",
    )


def check_memory(machine: Machine) -> Finding:
    """An instance's memory is what tasks are placed into."""
    return Finding(check="memory", verdict=Verdict.OK, found=f"{machine.memory_bytes / GIB:.1f} GiB")


def check_forwarding(machine: Machine) -> Finding:
    """Published ports of bridge tasks pass through the host's forwarding."""
    good = machine.ip_forward or not machine.docker_answers  # Docker Engine turns it on when it starts
    return Finding(
        check="forwarding",
        verdict=Verdict.OK if good else Verdict.ADVICE,
        found="IPv4 forwarding is on" if machine.ip_forward else "IPv4 forwarding is off",
        remedy="" if good else "Run: sudo sysctl -w net.ipv4.ip_forward=1",
    )


def check_aws_cli(machine: Machine) -> Finding:
    """Nice to have: the client most people use."""
    good = "aws" in machine.tools
    return Finding(
        check="aws cli",
        verdict=Verdict.OK if good else Verdict.ADVICE,
        found="found" if good else "not found",
        remedy="" if good else "To use the aws commands of the guide: sudo apt-get install awscli",
    )


CHECKS: tuple[Callable[[Machine], Finding], ...] = (
    check_system, check_python, check_docker, check_port, check_privileges, check_cgroups,
    check_network, check_forwarding, check_disk, check_memory, check_aws_cli,
)  # fmt: skip


def examine(machine: Machine) -> tuple[Finding, ...]:
    """The whole report."""
    return tuple(check(machine) for check in CHECKS)


def look(data_dir: Path, environ: Mapping[str, str]) -> Machine:
    """Gather the facts."""
    path = os.pathsep.join([environ.get("PATH", ""), SYSTEM_PATH])
    answers, because, version, runtime = _docker(docker_host_of(environ))
    existing = next(place for place in (data_dir, *data_dir.parents) if place.exists())
    api = tuple(int(part) for part in str(version.get("ApiVersion", "0.0")).split("."))
    return Machine(
        system=platform.system(),
        python=sys.version_info[:3],
        is_root=os.geteuid() == 0,
        docker_answers=answers,
        docker_because=because,
        docker_version=str(version.get("Version", "")),
        docker_api=(api[0], api[1]),
        lost_runtime=runtime,
        dockerd=shutil.which("dockerd", path=path) is not None,
        apt_get=shutil.which("apt-get", path=path) is not None,
        tools=frozenset(tool for tool in ("aws", *TOOLS) if shutil.which(tool, path=path)),
        may_exceed_limits=may_exceed_limits(Path("/proc/self/status").read_text()),
        port_taken=_answers("127.0.0.1", DEFAULT_PORT),
        serving_pid=serving_pid(data_dir),
        disk_free_bytes=shutil.disk_usage(existing).free,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        cgroup_controllers=_controllers(),
        ip_forward=_first_line(Path("/proc/sys/net/ipv4/ip_forward")) == "1",
    )


def _docker(host: str) -> tuple[bool, str, Mapping[str, Any], str]:
    client = DockerClient(host)
    try:
        return True, "", client.version(), lost_runtime(client.info()) if socket_path(host) else ""
    except (DockerAwayError, DockerError) as error:
        return False, str(error), {}, ""


def _answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def _controllers() -> frozenset[str]:
    root = Path("/sys/fs/cgroup")
    unified = _first_line(root / "cgroup.controllers")
    if unified:
        return frozenset(unified.split())
    return frozenset(path.name for path in root.iterdir()) if root.is_dir() else frozenset()


def _first_line(path: Path) -> str:
    try:
        return path.read_text().partition("\n")[0]
    except OSError:
        return ""


def doctor(*, data_dir: DataDir = None, json: AsJson = False) -> int:
    """Say what this machine lacks for Homeport and how to get it.

    Exit status: 0 nothing that is needed is missing, 1 something is.
    """
    findings = examine(look(data_dir_for(data_dir), environment()))
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table(
            ("CHECK", "VERDICT", "FOUND", "WHAT TO DO"),
            [(f.check, f.verdict, f.found, f.remedy) for f in findings],
            empty="",
        )
    return int(any(f.verdict is Verdict.MISSING for f in findings))
