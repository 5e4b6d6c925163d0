"""`homeport up` on a database that it cannot use: why, what to do about it, exit status 1."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from homeport.app.settings import UpSettings
from homeport.cli.output import explain_failure
from homeport.cli.progress import ProgressView
from homeport.cli.up import run
from homeport.core.errors import UnavailableError
from homeport.store import open_store
from homeport.store import sqlite as sqlite_module


def made(path: Path) -> None:
    async def make() -> None:
        await (await open_store(f"sqlite:///{path}")).close()

    asyncio.run(make())


def damaged(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 9000)


def newer(path: Path) -> None:
    made(path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.close()


def locked(path: Path) -> sqlite3.Connection:
    made(path)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    return db


@pytest.mark.parametrize(
    ("spoil", "why", "remedy"),
    [
        (damaged, "Homeport's database is damaged", "backup"),
        (newer, "The database is at version 9999", "Upgrade Homeport"),
        (locked, "Another program keeps Homeport's database locked.", "fuser"),
    ],
)
def test_it_says_why_and_what_to_do(
    spoil: Callable[[Path], sqlite3.Connection | None],
    why: str,
    remedy: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sqlite_module, "LOCK_WAIT_MS", 50)
    rival = spoil(tmp_path / "homeport.db")
    settings = UpSettings(data_dir=tmp_path, installation_id="test", instances=0)
    with ProgressView() as view, pytest.raises(UnavailableError) as caught:
        run(settings, view, demo=False)
    assert explain_failure(caught.value) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert why in said[0]
    assert remedy in said[1]
    if rival is not None:
        rival.close()
