"""What a data directory holds for clients and for the next start."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from homeport.app.connection import (
    CONNECTION_FILE,
    AlreadyRunningError,
    Connection,
    installation_id,
    known_installation_id,
    read_connection,
    served,
    serving_pid,
    write_connection,
)
from homeport.core.ids import SeededIds

ONE = Connection(
    endpoint="http://127.0.0.1:4566", access_key_id="AKIA", secret_access_key="s", region="us-east-1",
    account_id="000000000000",
)  # fmt: skip


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_connection(tmp_path, ONE)
    assert read_connection(tmp_path) == ONE


def test_only_its_owner_may_read_the_key(tmp_path: Path) -> None:
    (tmp_path / CONNECTION_FILE).write_text("{}")
    (tmp_path / CONNECTION_FILE).chmod(0o644)
    write_connection(tmp_path, ONE)
    assert stat.S_IMODE((tmp_path / CONNECTION_FILE).stat().st_mode) == 0o600


def test_nothing_else_is_left_beside_it(tmp_path: Path) -> None:
    write_connection(tmp_path, ONE)
    assert [path.name for path in tmp_path.iterdir()] == [CONNECTION_FILE]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_started_through_sudo_the_key_is_the_callers(tmp_path: Path) -> None:
    write_connection(tmp_path, ONE, environ={"SUDO_UID": "1234", "SUDO_GID": "2345"})
    found = (tmp_path / CONNECTION_FILE).stat()
    assert (found.st_uid, found.st_gid) == (1234, 2345)


@pytest.mark.parametrize("text", ["{}", "[]", "nonsense", '{"endpoint": "x"}'])
def test_a_file_that_we_did_not_write_is_said_to_be_so(tmp_path: Path, text: str) -> None:
    (tmp_path / CONNECTION_FILE).write_text(text)
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's error is one, too
        read_connection(tmp_path)


def test_members_of_a_later_version_do_not_disturb(tmp_path: Path) -> None:
    write_connection(tmp_path, ONE)
    path = tmp_path / CONNECTION_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "new": 1}))
    assert read_connection(tmp_path) == ONE


def test_an_installation_keeps_its_name(tmp_path: Path) -> None:
    assert known_installation_id(tmp_path) is None
    first = installation_id(tmp_path, SeededIds(1))
    assert installation_id(tmp_path, SeededIds(2)) == first == known_installation_id(tmp_path)


def test_one_process_serves_a_data_directory(tmp_path: Path) -> None:
    assert serving_pid(tmp_path) is None
    with served(tmp_path):
        assert serving_pid(tmp_path) == os.getpid()
        with pytest.raises(AlreadyRunningError) as caught, served(tmp_path):
            pass
        assert caught.value.pid == os.getpid()
        assert serving_pid(tmp_path) == os.getpid(), "the refused one leaves the first one's mark"
    assert serving_pid(tmp_path) is None
    with served(tmp_path):
        assert serving_pid(tmp_path) == os.getpid()


def test_a_server_that_died_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "up.lock").write_text("4242\n")  # what `kill -9` leaves
    assert serving_pid(tmp_path) is None
    with served(tmp_path):
        assert serving_pid(tmp_path) == os.getpid()
