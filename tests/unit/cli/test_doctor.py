"""What `homeport doctor` makes of a machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from homeport.cli.doctor import GIB, Finding, Machine, Verdict, examine

GOOD = Machine(
    system="Linux", python=(3, 11, 2), is_root=True, docker_answers=True, docker_because="",
    docker_version="24.0.5", docker_api=(1, 43), lost_runtime="", dockerd=True, apt_get=True,
    tools=frozenset({"aws", "ip", "nft"}), may_exceed_limits=True, port_taken=False, serving_pid=None,
    disk_free_bytes=50 * GIB, memory_bytes=8 * GIB, cgroup_controllers=frozenset({"cpu", "memory", "pids"}),
    ip_forward=True,
)  # fmt: skip
NO_DOCKER: dict[str, Any] = {"docker_answers": False, "docker_version": "", "docker_api": (0, 0)}


def finding(check: str, **facts: Any) -> Finding:
    return next(f for f in examine(replace(GOOD, **facts)) if f.check == check)


def test_a_good_machine_lacks_nothing() -> None:
    assert {f.verdict for f in examine(GOOD)} == {Verdict.OK}


@pytest.mark.parametrize(
    ("check", "facts", "verdict", "remedy"),
    [
        ("system", {"system": "Darwin"}, Verdict.MISSING, "virtual machine"),
        ("python", {"python": (3, 9, 1)}, Verdict.MISSING, "python3-venv"),
        ("docker", {"docker_api": (1, 39)}, Verdict.MISSING, "20.10"),
        ("docker", {"lost_runtime": "/x/runc"}, Verdict.MISSING, "default runtime"),
        ("docker", NO_DOCKER, Verdict.ADVICE, "start it"),
        ("docker", NO_DOCKER | {"dockerd": False}, Verdict.ADVICE, "install and start it"),
        ("docker", NO_DOCKER | {"is_root": False}, Verdict.MISSING, "sudo"),
        ("docker", NO_DOCKER | {"dockerd": False, "apt_get": False}, Verdict.MISSING, "package manager"),
        ("docker", NO_DOCKER | {"docker_because": "Permission denied"}, Verdict.MISSING, "usermod"),
        ("homeport", {"port_taken": True}, Verdict.ADVICE, "--port"),
        ("privileges", {"is_root": False}, Verdict.ADVICE, "sudo"),
        ("privileges", {"may_exceed_limits": False}, Verdict.ADVICE, "runc"),
        ("cgroups", {"cgroup_controllers": frozenset({"cpu"})}, Verdict.MISSING, "cgroup_enable=memory"),
        ("disk", {"disk_free_bytes": GIB}, Verdict.ADVICE, "space"),
        ("forwarding", {"ip_forward": False}, Verdict.ADVICE, "sysctl"),
        ("network", {"tools": frozenset({"ip"})}, Verdict.ADVICE, "nftables"),
        ("aws cli", {"tools": frozenset()}, Verdict.ADVICE, "awscli"),
    ],
)
def test_what_is_lacking_comes_with_a_remedy(
    check: str, facts: dict[str, Any], verdict: Verdict, remedy: str
) -> None:
    found = finding(check, **facts)
    assert found.verdict is verdict
    assert remedy in found.remedy


def test_a_running_homeport_is_not_a_taken_port() -> None:
    assert finding("homeport", serving_pid=7, port_taken=True).verdict is Verdict.OK
