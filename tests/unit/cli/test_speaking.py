"""What people and programs see: help, usage errors, tables, progress."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from homeport.app.connection import served
from homeport.cli.help import entry_lines
from homeport.cli.main import COMMANDS, main
from homeport.cli.output import print_json, print_table, since
from homeport.cli.progress import ProgressView, amount, sentence

ARN = "arn:aws:ecs:us-east-1:000000000000:container-instance/default/0123456789abcdef"


def status_of(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_does_and_how_it_exits(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [command, "add"] if command == "node" else [command]
    assert status_of(*words, "--help") == 0
    told = capsys.readouterr().out
    assert told.startswith(f"Usage: homeport {' '.join(words)}")
    assert "Exit status: 0" in told
    assert not any(line != line.rstrip() for line in told.splitlines())
    assert "─" not in told


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    told = capsys.readouterr().out
    assert all(f"\n  {name} " in told for name in COMMANDS)


@pytest.mark.parametrize(
    ("words", "about"),
    [
        (["nonsense"], '"nonsense"'),
        (["up", "--nonsense"], "--nonsense"),
        (["up", "--port", "x"], "--port"),
        (["up", "--auth", "maybe"], "--auth"),
        (["logs"], "TASK"),
    ],
)
def test_wrong_usage_is_one_line_with_a_remedy(
    words: list[str], about: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(*words) == 2
    told = capsys.readouterr()
    first, remedy = told.err.splitlines()
    assert first.startswith("homeport: error: ")
    assert about in first
    assert remedy.startswith("  See: homeport ")
    assert told.out == ""


def test_a_setting_that_cannot_be_is_wrong_usage_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "data"
    assert status_of("up", "--port", "99999", "--data-dir", str(place)) == 2
    assert "99999" in capsys.readouterr().err
    assert not place.exists()


def test_commands_find_no_server_where_none_ever_ran(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("ps", "status", "events", "env"):
        assert status_of(command, "--data-dir", str(tmp_path)) == 3
        assert "never ran" in capsys.readouterr().err


def test_down_has_nothing_to_do_where_nothing_ever_ran(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of("down", "--data-dir", str(tmp_path)) == 0
    assert "nothing to do" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["main", "ps", "env", "logs", "doctor", "down", "up"])
def test_no_command_waits_for_the_servers_libraries(module: str) -> None:
    heavy = ("sqlalchemy", "aiohttp", "uvicorn", "botocore", "numpy", "structlog")
    code = f"import sys, homeport.cli.{module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_table_is_aligned_and_has_no_colours_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "STATUS"), [("a", "RUNNING"), ("longer", "STOPPED")], empty="none")
    assert capsys.readouterr().out.splitlines() == ["NAME    STATUS", "a       RUNNING", "longer  STOPPED"]
    print_table(("NAME",), [], empty="none")
    assert capsys.readouterr().out == "none\n"


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"at": datetime(2030, 1, 1, tzinfo=UTC), "n": [1]})
    assert json.loads(capsys.readouterr().out) == {"at": "2030-01-01 00:00:00+00:00", "n": [1]}


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "0s"), (59, "59s"), (60, "1m"), (7199, "1h"), (172800, "2d")]
)
def test_ages_are_short(seconds: int, told: str) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    assert since(now.timestamp() - seconds, now) == told


def test_progress_without_a_terminal_is_one_line_each_and_never_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ProgressView(live=False) as view:
        for done in (1, 2, 3):
            view("image.pulling", {"image": "web:1", "done_bytes": done, "total_bytes": 3})
        view("node.registered", {"instance": ARN})
        view("something.new", {"n": 1})
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "homeport: pulling web:1",
        "homeport: container instance 0123456789abcdef has registered",
        "homeport: something.new n=1",
    ]


def test_live_progress_takes_brackets_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressView(live=True) as view:
        view("image.pulling", {"image": "web:1", "done_bytes": 0, "total_bytes": 0})
        view("image.pulled", {"image": "[red]web[/nothing]:1"})
    assert "[red]web[/nothing]:1" in capsys.readouterr().err


def test_an_event_without_a_sentence_is_shown_as_it_is() -> None:
    assert sentence("image.ready", {"wrong": 1}) == "image.ready wrong=1"


def test_amounts_are_words() -> None:
    assert amount(1, 2, in_bytes=False) == "1 of 2"
    assert amount(1572864, 3145728, in_bytes=True) == "1.5 of 3.0 MiB"
    assert amount(0, 0, in_bytes=True) == ""


def test_help_wraps_on_the_right_and_gives_long_names_a_line() -> None:
    assert list(entry_lines("--a", "one two", 31)) == ["  --a                   one two"]
    long = list(entry_lines("--a-very-long-option NUMBER", "text", 80))
    assert long == ["  --a-very-long-option NUMBER", " " * 24 + "text"]


def test_a_data_directory_that_cannot_be_made_is_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert status_of("up", "--data-dir", str(tmp_path / "file" / "data")) == 1
    told = capsys.readouterr().err
    assert "cannot write to" in told
    assert "--data-dir" in told


@pytest.mark.parametrize("words", [["up"], ["agent", "--endpoint", "http://127.0.0.1:1"]])
def test_a_data_directory_has_one_owner(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    with served(tmp_path):
        assert status_of(*words, "--data-dir", str(tmp_path)) == 1
    assert f"process {os.getpid()} serves {tmp_path} already" in capsys.readouterr().err


def test_a_taken_port_is_refused_before_anything_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        assert status_of("up", "--port", port, "--data-dir", str(tmp_path)) == 1
    told = capsys.readouterr().err
    assert f"port {port} of 127.0.0.1 is taken" in told
    assert "Docker" not in told
