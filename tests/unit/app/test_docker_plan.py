"""How Docker Engine is had: the decision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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

BARE = DockerFacts(answers=False, apt_get="/usr/bin/apt-get", is_root=True)
INSTALLED = replace(BARE, dockerd="/usr/sbin/dockerd")


@st.composite
def facts(draw: st.DrawFn) -> DockerFacts:
    return DockerFacts(
        answers=draw(st.booleans()),
        refused_by_permissions=draw(st.booleans()),
        address_was_chosen=draw(st.booleans()),
        is_root=draw(st.booleans()),
        dockerd=draw(st.sampled_from([None, "/usr/sbin/dockerd"])),
        apt_get=draw(st.sampled_from([None, "/usr/bin/apt-get"])),
        init=draw(st.sampled_from(["", "systemd", "service"])),
        unit_exists=draw(st.booleans()),
        may_exceed_limits=draw(st.booleans()),
    )


@given(facts())
def test_a_docker_that_answers_is_never_touched(given_facts: DockerFacts) -> None:
    assert plan_docker(replace(given_facts, answers=True)) == UseRunning()


@given(facts())
def test_nothing_is_started_or_installed_without_root_or_beside_a_chosen_address(
    given_facts: DockerFacts,
) -> None:
    step = plan_docker(replace(given_facts, answers=False))
    if not given_facts.is_root or given_facts.address_was_chosen or given_facts.refused_by_permissions:
        assert isinstance(step, Refuse)


@given(facts())
def test_every_refusal_says_what_to_do(given_facts: DockerFacts) -> None:
    step = plan_docker(given_facts)
    if isinstance(step, Refuse):
        assert step.message
        assert step.remedy.endswith(".")


def test_our_own_runtime_is_written_anew_for_an_engine_that_lost_it() -> None:
    facts = DockerFacts(answers=True, lost_runtime="/var/lib/homeport/docker/homeport-runc")
    assert plan_docker(facts) == RestoreRuntime(Path("/var/lib/homeport/docker/homeport-runc"))
    assert isinstance(plan_docker(replace(facts, is_root=False)), Refuse)


@pytest.mark.parametrize("path", ["/opt/nvidia-container-runtime", "data/docker/homeport-runc"])
def test_a_lost_runtime_of_others_is_refused_before_any_container_fails(path: str) -> None:
    step = plan_docker(DockerFacts(answers=True, lost_runtime=path))
    assert isinstance(step, Refuse)
    assert path in step.message


def test_a_runtime_is_lost_when_its_path_leads_nowhere(tmp_path: Path) -> None:
    there, relative = tmp_path / "runc", "data/runc"
    there.write_text("")

    def told(path: str) -> str:
        return lost_runtime({"DefaultRuntime": "r", "Runtimes": {"r": {"path": path}, "runc": {}}})

    assert [told(p) for p in (str(there), "runc", "")] == ["", "", ""]
    assert [told(p) for p in (str(tmp_path / "gone"), relative)] == [str(tmp_path / "gone"), relative]
    assert lost_runtime({}) == ""


def test_what_is_missing_is_installed() -> None:
    assert plan_docker(BARE) == InstallPackage()


def test_without_apt_get_it_is_refused() -> None:
    assert isinstance(plan_docker(replace(BARE, apt_get=None)), Refuse)


@pytest.mark.parametrize(
    ("init", "command"),
    [
        ("systemd", ("systemctl", "start", "docker.service")),
        ("service", ("service", "docker", "start")),
    ],
)
def test_a_machine_with_an_init_starts_it_as_at_boot(init: str, command: tuple[str, ...]) -> None:
    assert plan_docker(replace(INSTALLED, init=init, unit_exists=True)) == StartService(command)


@pytest.mark.parametrize("init", ["systemd", "service", ""])
def test_without_a_unit_we_start_it_ourselves(init: str) -> None:
    assert plan_docker(replace(INSTALLED, init=init)) == StartDaemon("/usr/sbin/dockerd", wrap_runtime=False)


def test_the_runtime_is_wrapped_only_where_it_must_be() -> None:
    step = plan_docker(replace(INSTALLED, may_exceed_limits=False))
    assert step == StartDaemon("/usr/sbin/dockerd", wrap_runtime=True)


@pytest.mark.parametrize(
    ("bounding", "expected"),
    [
        ("000001ffffffffff", True),
        ("000001fffeffffff", False),
        ("0000000000000000", False),
        ("0000000001000000", True),
    ],
)
def test_the_bounding_set_tells_whether_limits_may_be_exceeded(bounding: str, expected: bool) -> None:
    # Source: proc(5); CAP_SYS_RESOURCE is bit 24 (linux/capability.h).
    status = f"CapPrm:\t000001ffffffffff\nCapBnd:\t{bounding}\nCapAmb:\t0000000000000000\n"
    assert may_exceed_limits(status) is expected
