"""What the README's first screen says, done as it says, on a machine where no Docker runs."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.docker import cgroups
from tests.kit.fresh_machine import ROOT, FreshMachine, environment, fresh_machine, line_of
from tests.kit.up import TASK_LABEL

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]

BLOCKS = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
UP, USE, DOWN = BLOCKS


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[FreshMachine]:
    # The environment is made where the package index is reachable: the fresh machine has no network.
    subprocess.run(["bin/homeport", "--version"], cwd=ROOT, env=environment(), check=True)
    with fresh_machine(tmp_path / "machine") as made:
        yield made


def told(machine: FreshMachine, command: str) -> Any:
    return json.loads(machine.run(command).stdout)


def tasks(machine: FreshMachine) -> dict[str, str]:
    """Group by task ARN."""
    return {task["taskArn"]: task["group"] for task in told(machine, "bin/homeport ps --json")}


def containers(machine: FreshMachine) -> set[str]:
    """Those of tasks: what holds networks is kept in stock, and comes and goes."""
    return set(machine.run(f"docker ps -q --no-trunc --filter label={TASK_LABEL}").stdout.split())


def interrupt(machine: FreshMachine, signal: str = "INT") -> None:
    machine.run(f"kill -{signal} $(cat /var/lib/homeport/up.lock)")


def test_the_readmes_first_screen_does_what_it_says(machine: FreshMachine, tmp_path: Path) -> None:
    log = tmp_path / "up"
    with machine.running(UP.strip(), log) as up:
        assert line_of(up, log) == "Ready."
        curls = [line_of(up, log), line_of(up, log)]
        assert all("Hello from Homeport." in machine.run(curl).stdout for curl in curls)
        assert "starting it" in log.read_text()

        used = machine.run(f"set -eu\n{USE}").stdout
        assert re.search(r"\[\s*4,\s*4\s*\]", used), "the service runs as many tasks as were asked for"
        running = tasks(machine)
        assert sorted(running.values()) == ["mine"] * 3 + ["service:hello"] * 4
        some_task = next(iter(running)).rpartition("/")[2]
        assert machine.run(f"bin/homeport logs {some_task[:12]}").stdout == "listening on port 8080\n"

        before = containers(machine)
        interrupt(machine)
        assert up.wait(30) == 0
    assert "7 containers run on" in log.read_text()
    assert "Hello from Homeport." in machine.run(curls[0]).stdout

    with machine.running("bin/homeport up", log) as up:
        assert line_of(up, log) == "Ready."
        assert tasks(machine) == running
        assert containers(machine) == before, "none was restarted"
        installation = machine.run("cat /var/lib/homeport/installation").stdout.strip()
        said = machine.run(DOWN).stderr
        assert "removed 7 containers" in said
        assert "stopped the Docker Engine that Homeport had started" in said
        assert up.wait(30) == 0
    assert_nothing_is_left(machine, installation)


def assert_nothing_is_left(machine: FreshMachine, installation: str) -> None:
    listed = [line.split(maxsplit=1) for line in machine.run("ps -e -o stat=,comm=").stdout.splitlines()]
    alive = {name for state, name in listed if not state.startswith("Z")}  # nobody buries the dead there
    assert alive - {"bash"} == {"sleep", "ps"}
    assert "homeport" not in machine.run("nft list tables").stdout
    links = {link["ifname"] for link in told(machine, "ip -j link")}
    assert not {name for name in links if name.startswith("hp-")}
    assert cgroups(f"homeport-{installation[:12]}*") == []
    machine.run("bin/homeport down --purge")
    assert machine.run("ls /var/lib/homeport", check=False).stdout == ""


def test_what_cannot_start_says_why_and_what_to_do(machine: FreshMachine, tmp_path: Path) -> None:
    log = tmp_path / "up"
    with machine.running("bin/homeport up --instances 2", log) as up:
        assert line_of(up, log) == "Ready."

        again = machine.run("bin/homeport up --port 4999", check=False)
        assert again.returncode == 1
        assert "serves /var/lib/homeport already" in again.stderr
        taken = machine.run("bin/homeport up --data-dir /run/other", check=False)
        assert taken.returncode == 1
        assert "port 4566 of 127.0.0.1 is taken" in taken.stderr
        assert "--port" in taken.stderr
        assert again.stdout == taken.stdout == ""
        assert told(machine, "bin/homeport doctor --json")[3]["found"].startswith("runs as process")

        seen = told(machine, "bin/homeport status --json")["containerInstances"]
        assert len(seen) == 2
        interrupt(machine, "TERM")
        assert up.wait(30) == 0
    assert machine.run("bin/homeport status", check=False).returncode == 3
    machine.run("bin/homeport down --purge")


def block(page: str, language: str, holding: str) -> str:
    """The one block of a page of the guide that holds a text."""
    text = (ROOT / "docs" / "guide" / page).read_text()
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (one,) = [each for each in found if holding in each]
    return str(one)


def test_the_guides_examples_work_as_they_are_written(machine: FreshMachine, tmp_path: Path) -> None:
    log = tmp_path / "up"
    desk = f'set -eu; mkdir -p /run/desk; cd /run/desk; ln -sfn {ROOT}/bin bin; eval "$(bin/homeport env)"\n'
    with machine.running("bin/homeport up --demo", log) as up:
        assert line_of(up, log) == "Ready."
        line_of(up, log)  # the demo is there

        assert ":root" in machine.run(desk + block("getting-started.md", "sh", "create-cluster")).stdout
        script = f"cat > run.py <<'END'\n{block('getting-started.md', 'python', 'boto3')}END\npython run.py"
        assert machine.run(desk + script).stdout.count("RUNNING") == 2
        assert '"ok"' in machine.run(desk + block("getting-started.md", "sh", "/_homeport/health")).stdout
        machine.run(desk + block("getting-started.md", "sh", "ps --all"))

        document = block("task-definitions.md", "json", '"family": "web"')
        example = block("task-definitions.md", "sh", "register-task-definition")
        told_there = machine.run(f"{desk}cat > web.json <<'END'\n{document}END\n{example}").stdout
        assert "setup\tSTOPPED\t0" in told_there
        assert "it works" in told_there
        assert told_there.endswith("STOPPED\tUserInitiated\tenough\n")

        assert ":root" in machine.run(desk + block("auth.md", "sh", "get-session-token")).stdout
        key, secret = machine.run(desk + block("auth.md", "sh", "create-user")).stdout.split()[-2:]
        who = f"AWS_ACCESS_KEY_ID={key} AWS_SECRET_ACCESS_KEY={secret} aws sts get-caller-identity"
        assert ":user/ci" in machine.run(desk + who).stdout
        machine.run("bin/homeport down --purge")
