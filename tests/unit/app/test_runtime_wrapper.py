"""The runtime wrapper, around a runtime that only tells what it was given."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from homeport.app.docker.runtime_wrapper import write_runtime_wrapper

PRIVILEGED = {
    "ociVersion": "1.0.2",
    "process": {
        "args": ["echo", "CAP_SYS_RESOURCE", '"oomScoreAdj":-5'],
        "oomScoreAdj": -500,
        "capabilities": {
            "bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_KILL"],
            "effective": ["CAP_SYS_RESOURCE"],
            "ambient": [],
        },
    },
    "linux": {"seccomp": {"names": ["x"]}},
}
ORDINARY = {"process": {"args": ["true"], "oomScoreAdj": 100, "capabilities": {"bounding": ["CAP_CHOWN"]}}}


@pytest.fixture
def wrapper(tmp_path: Path) -> Path:
    runc = tmp_path / "real runc"
    runc.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 7\n')
    runc.chmod(0o755)
    made = write_runtime_wrapper(tmp_path, runc=str(runc))
    assert made is not None
    return made


def call(wrapper: Path, *arguments: str, cwd: Path | None = None) -> list[str]:
    done = subprocess.run([wrapper, *arguments], capture_output=True, text=True, check=False, cwd=cwd)
    assert done.stderr == ""
    assert done.returncode == 7, "the runtime's own exit status"
    return done.stdout.splitlines()


def bundle(path: Path, config: dict[str, Any]) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config, separators=(",", ":")))
    return path


def read(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((path / "config.json").read_text())
    return loaded


@pytest.mark.parametrize("spelling", [["--bundle", "{}"], ["-b", "{}"], ["--bundle={}"], []])
@pytest.mark.parametrize("command", ["create", "run"])
def test_what_cannot_be_granted_is_not_asked_for(
    wrapper: Path, tmp_path: Path, command: str, spelling: list[str]
) -> None:
    place = bundle(tmp_path / "my bundle", PRIVILEGED)
    arguments = ["--root", "/r", command, *(word.format(place) for word in spelling), "id"]
    assert call(wrapper, *arguments, cwd=place) == arguments
    expected = json.loads(json.dumps(PRIVILEGED))
    expected["process"]["oomScoreAdj"] = 0
    expected["process"]["capabilities"] = {
        "bounding": ["CAP_CHOWN", "CAP_KILL"],
        "effective": [],
        "ambient": [],
    }
    assert read(place) == expected, "and nothing else is changed"


def test_an_ordinary_container_is_left_alone(wrapper: Path, tmp_path: Path) -> None:
    place = bundle(tmp_path / "b", ORDINARY)
    before = (place / "config.json").read_bytes()
    call(wrapper, "create", "--bundle", str(place), "id")
    assert (place / "config.json").read_bytes() == before


@pytest.mark.parametrize("spelling", [["--process", "{}"], ["-p", "{}"], ["--process={}"]])
def test_a_privileged_exec_is_treated_alike(wrapper: Path, tmp_path: Path, spelling: list[str]) -> None:
    process = tmp_path / "process.json"
    process.write_text(json.dumps(PRIVILEGED["process"]))
    arguments = ["exec", *(word.format(process) for word in spelling), "id"]
    assert call(wrapper, *arguments) == arguments
    assert json.loads(process.read_text())["capabilities"]["effective"] == []


def test_other_commands_read_nothing(wrapper: Path, tmp_path: Path) -> None:
    place = bundle(tmp_path / "b", PRIVILEGED)
    for command in ("state", "kill", "delete", "--version"):
        call(wrapper, command, "id", cwd=place)
    assert read(place) == PRIVILEGED


def test_a_relative_folder_is_no_obstacle_to_a_daemon_that_runs_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runc = tmp_path / "runc"
    runc.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 7\n')
    runc.chmod(0o755)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "config.json").write_text(json.dumps(PRIVILEGED))
    monkeypatch.chdir(tmp_path)
    made = write_runtime_wrapper(Path(), runc=str(runc))
    assert made is not None
    assert made.is_absolute()
    assert call(made, "create", "--bundle", str(bundle), cwd=Path("/")) == ["create", "--bundle", str(bundle)]
    assert json.loads((bundle / "config.json").read_text())["process"]["oomScoreAdj"] == 0
