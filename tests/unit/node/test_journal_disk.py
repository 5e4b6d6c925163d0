"""The journal's file: private, and whole lines only, even when the disk runs full in the middle of one."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from homeport.node.state import FileDisk, Instance, Journal


def test_a_line_that_found_no_room_does_not_spoil_those_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "agent.journal"
    journal = Journal(FileDisk(path))
    journal.save_instance(Instance(arn="first"))
    real = os.write

    def nearly_full(fd: int, data: memoryview) -> int:
        if len(data) > 10:
            return real(fd, data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    def half(fd: int, data: memoryview) -> int:
        monkeypatch.setattr(os, "write", lambda fd, data: nearly_full(fd, data[:1]))
        return real(fd, data[:10])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        journal.save_instance(Instance(arn="second"))
    monkeypatch.undo()
    journal.save_instance(Instance(arn="third"))
    journal.close()

    again = Journal(FileDisk(path))
    assert again.saved.instance.arn == "third"
    again.close()


def test_a_rewritten_journal_is_as_private_as_the_first(tmp_path: Path) -> None:
    path = tmp_path / "agent.journal"
    disk = FileDisk(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    disk.replace(b"")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    disk.close()
