"""The audit log keeps what it was given, in order, whatever happens to the process or the disk."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.app.audit.files import AuditFiles, numbers, path_of
from homeport.app.audit.reader import AuditReader, Position, Wanted
from homeport.core.clock import FixedClock

CLOCK = FixedClock(datetime(2030, 1, 1, tzinfo=UTC))
ACCOUNT = "000000000000"
ALL = Wanted(account_id=ACCOUNT)


def entry(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "eventTime": f"2030-01-01T00:{number // 60 % 60:02}:{number % 60:02}.000000Z",
        "requestID": f"{number:08x}-0000",
        "eventSource": "ecs.amazonaws.com",
        "eventName": "ListClusters",
        "outcome": "allowed",
        "userIdentity": {"arn": f"arn:aws:iam::{ACCOUNT}:user/team/ann", "accessKeyId": "AKIA1"},
        "recipientAccountId": ACCOUNT,
        **changes,
    }


def read(directory: Path, wanted: Wanted = ALL, limit: int = 100_000) -> list[int]:
    return [number(one) for one in AuditReader(directory).newest(wanted, limit).entries]


def number(told: dict[str, Any]) -> int:
    return int(told["requestID"][:8], 16)


@given(
    sizes=st.lists(st.integers(0, 400), max_size=60),
    file_bytes=st.integers(300, 3000),
    restarts=st.sets(st.integers(0, 60)),
    limit=st.integers(1, 70),
)
def test_what_was_written_is_read_in_its_order_over_files_and_restarts(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    file_bytes: int,
    restarts: set[int],
    limit: int,
) -> None:
    folder = tmp_path_factory.mktemp("audit")
    trail = AuditFiles(folder, CLOCK, file_bytes=file_bytes, files_kept=1000)
    for index, size in enumerate(sizes):
        if index in restarts:
            trail.close()
            trail = AuditFiles(folder, CLOCK, file_bytes=file_bytes, files_kept=1000)
        trail.write(entry(index, userAgent="x" * size))
    trail.close()
    assert read(folder) == list(range(len(sizes)))
    assert read(folder, limit=limit) == list(range(len(sizes)))[-limit:]
    position, followed = Position(number=1, offset=0), []
    reader = AuditReader(folder)
    while (page := reader.after(position, ALL, limit)).entries:
        assert len(page.entries) <= limit
        assert not page.gap
        followed += [number(one) for one in page.entries]
        position = Position.parse(str(page.end))
    assert followed == list(range(len(sizes)))
    for file in folder.iterdir():
        assert file.stat().st_size <= max(file_bytes, 900)


def test_files_belong_to_their_owner_alone(tmp_path: Path) -> None:
    AuditFiles(tmp_path / "audit", CLOCK).close()
    assert stat.S_IMODE((tmp_path / "audit").stat().st_mode) == 0o700
    assert stat.S_IMODE(path_of(tmp_path / "audit", 1).stat().st_mode) == 0o600


def test_old_files_are_forgotten_and_who_follows_is_told_so(tmp_path: Path) -> None:
    trail = AuditFiles(tmp_path, CLOCK, file_bytes=600, files_kept=3)
    for index in range(20):
        trail.write(entry(index))
    trail.close()
    kept = numbers(tmp_path)
    assert len(kept) == 3
    assert read(tmp_path) == list(range(20))[-len(read(tmp_path)) :]
    page = AuditReader(tmp_path).after(Position(number=1, offset=0), ALL, 100)
    assert page.gap
    assert [number(one) for one in page.entries] == read(tmp_path)


def full(fd: int, data: bytes) -> int:
    del fd, data
    raise OSError(errno.ENOSPC, "full")


def test_a_full_disk_is_told_and_what_is_missing_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trail = AuditFiles(tmp_path, CLOCK)
    trail.write(entry(0))
    assert list(trail.failing()) == []
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        for index in range(1, 4):
            trail.write(entry(index))
        assert list(trail.failing()) == ["audit log: No space left on device; 3 entries lost"]
    trail.write(entry(4))
    assert list(trail.failing()) == []
    trail.close()
    told = AuditReader(tmp_path).newest(Wanted(account_id=ACCOUNT, nobodys=True), 9).entries
    assert [one["eventName"] for one in told] == ["ListClusters", "EntriesLost", "ListClusters"]
    assert (told[1]["lost"], told[1]["since"]) == (3, "2030-01-01T00:00:00+00:00")


@pytest.mark.parametrize("can_cut", [True, False])
def test_half_a_line_does_not_spoil_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_cut: bool
) -> None:
    trail, write = AuditFiles(tmp_path, CLOCK), os.write
    trail.write(entry(0))
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda fd, data: write(fd, data[:20]))
        if not can_cut:
            patched.setattr(os, "ftruncate", lambda fd, size: full(fd, b""))
        trail.write(entry(1))
    trail.write(entry(2))
    trail.close()
    assert read(tmp_path) == [0, 2]


def test_half_a_line_of_an_earlier_process_does_not_spoil_the_next(tmp_path: Path) -> None:
    trail = AuditFiles(tmp_path, CLOCK)
    trail.write(entry(0))
    trail.close()
    with path_of(tmp_path, 1).open("ab") as file:
        file.write(b'{"eventTime":"20')
    trail = AuditFiles(tmp_path, CLOCK)
    trail.write(entry(1))
    trail.close()
    assert read(tmp_path) == [0, 1]


def test_a_directory_that_cannot_be_made_does_not_keep_the_server_from_starting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    trail = AuditFiles(tmp_path / "file" / "audit", CLOCK)
    trail.write(entry(0))
    assert list(trail.failing()) == ["audit log: Not a directory; 1 entries lost"]
    (tmp_path / "file").unlink()
    trail.write(entry(1))
    assert list(trail.failing()) == []
    trail.close()
    assert read(tmp_path / "file" / "audit") == [1]


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from homeport.app.audit.files import AuditFiles
from homeport.core.clock import SystemClock
from tests.unit.app.test_audit_files import entry
trail = AuditFiles(Path(sys.argv[1]), SystemClock(), file_bytes=50_000, files_kept=10_000)
for number in range(10_000_000):
    trail.write(entry(number))
    print(number, flush=True)
"""


def test_a_killed_process_loses_nothing_that_somebody_heard_of(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    ) as writer:
        assert writer.stdout is not None
        heard = [int(writer.stdout.readline()) for _ in range(2000)]
        writer.send_signal(signal.SIGKILL)
        heard += [int(line) for line in writer.stdout if line.endswith("\n")]
    kept = read(tmp_path)
    assert kept[: len(heard)] == heard
    assert len(kept) - len(heard) <= 1


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(account_id=ACCOUNT), [0, 1, 2]),
        (Wanted(account_id=ACCOUNT, nobodys=True), [0, 1, 2, 4]),
        (Wanted(account_id="111122223333"), [5]),
        (Wanted(account_id=ACCOUNT, nobodys=True, denied=True), [1, 4]),
        (Wanted(account_id=ACCOUNT, user="ann"), [0, 1]),
        (Wanted(account_id=ACCOUNT, user="role"), [2]),
        (Wanted(account_id=ACCOUNT, user="session"), [2]),
        (Wanted(account_id=ACCOUNT, user="AKIA1"), [0, 1]),
        (Wanted(account_id=ACCOUNT, user="an"), []),
        (Wanted(account_id=ACCOUNT, event="listclusters"), [0, 1, 2]),
        (Wanted(account_id=ACCOUNT, event="ecs:ListClusters"), [0, 1, 2]),
        (Wanted(account_id=ACCOUNT, event="iam:ListClusters"), []),
        (Wanted(account_id=ACCOUNT, event="ReadAudit"), [3]),
        (Wanted(account_id=ACCOUNT, event="ReadAudit", follows=True), []),
        (Wanted(account_id=ACCOUNT, since="2030-01-01T00:00:02.000000Z"), [2]),
        (Wanted(account_id=ACCOUNT, request_id="00000001"), [1]),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, list) else None,
)
def test_filters_pick_what_is_meant(tmp_path: Path, wanted: Wanted, expected: list[int]) -> None:
    trail = AuditFiles(tmp_path, CLOCK)
    role = {"arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/role/session", "accessKeyId": "ASIA1"}
    nobody: dict[str, Any] = {"type": "Unknown"}
    trail.write(entry(0))
    trail.write(entry(1, outcome="denied"))
    trail.write(entry(2, userIdentity=role))
    trail.write(entry(3, eventSource="homeport", eventName="ReadAudit"))
    unproven = entry(4, outcome="unproven", userIdentity=nobody, eventSource="-", eventName="-")
    del unproven["recipientAccountId"]
    trail.write(unproven)
    trail.write(entry(5, recipientAccountId="111122223333"))
    trail.close()
    assert read(tmp_path, wanted) == expected


def test_looking_back_stops_where_nothing_can_be_meant_any_more(tmp_path: Path) -> None:
    trail = AuditFiles(tmp_path, CLOCK)
    trail.write(entry(5, eventTime="2029-12-31T00:00:00.000000Z"))
    trail.write(entry(0))
    trail.write(entry(30))
    trail.close()
    wanted = Wanted(account_id=ACCOUNT, since="2030-01-01T00:00:00.000000Z")
    assert read(tmp_path, wanted) == [0, 30]


async def test_who_waits_hears_of_the_next_entry(tmp_path: Path) -> None:
    trail = AuditFiles(tmp_path, CLOCK)
    seen = trail.count
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(trail.wait(seen, 60))
        await asyncio.sleep(0)
        assert not waiting.done()
        trail.write(entry(0))
    await trail.wait(seen, 60)  # what came before counts
    trail.close()


@pytest.mark.parametrize("text", ["", "1", "1:", ":1", "-1:0", "1:0x", "1:0 ", "\u0969:0", "1:1:1"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no position"):
        Position.parse(text)
