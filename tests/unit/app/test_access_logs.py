"""Access logs come to their buckets at their times, each line once, whoever dies or is in the way."""

from __future__ import annotations

import asyncio
import errno
import gzip
import io
import os
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from homeport.app.balancers import access_log_files, access_logs
from homeport.app.balancers.access_log_files import LogFiles
from homeport.app.balancers.access_logs import RETRY_SECONDS, AccessLogKeeper
from homeport.core.clock import FixedClock, LoopClock
from homeport.core.ids import SeededIds
from homeport.dataplane.access_logs import LIVE, folder_name
from homeport.dataplane.model import AccessLog, Balancer, BalancerKind, BindAddress

START = datetime(2030, 1, 1, 10, 1, tzinfo=UTC)
LOG = AccessLog(bucket="logs", prefix="team", account_id="123456789012", region="us-east-1")
WEB = Balancer(
    id="app/web/1",
    kind=BalancerKind.APPLICATION,
    addresses=(BindAddress(address="10.0.0.5"),),
    access_log=LOG,
)
DAY = "logs/team/AWSLogs/123456789012/elasticloadbalancing/us-east-1/2030/01/01"


class Machine:
    """A data directory, and a proxy that writes records as the real one does: it keeps its file open."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FixedClock(START)
        self.ids = SeededIds(1)
        self.opened: dict[Path, io.FileIO] = {}
        self.count = 0
        self.reopened = 0
        self.deaf = False
        """It is asked to begin anew, and does not."""

    def keeper(self, **changes: Any) -> AccessLogKeeper:
        clock = changes.pop("clock", self.clock)
        return AccessLogKeeper(
            LogFiles(self.folder, **changes), self, clock=clock, ids=self.ids, offload=at_once
        )

    def live(self, balancer: Balancer = WEB) -> Path:
        name = folder_name(balancer.id, balancer.addresses[0].address)
        return self.folder / access_log_files.RECORDS / name / LIVE

    def writes(self, balancer: Balancer = WEB, at: datetime | None = None) -> str:
        """The proxy handles a request: what tells it from others."""
        self.count += 1
        path = f"/{self.count}"
        when = (at or self.clock.now()).timestamp()
        record = {"kind": "HTTP", "port": "80", "start": f"{when:.6f}", "method": "GET", "host": "x"}
        self.begin(self.live(balancer)).write(msgspec.json.encode({**record, "path": path}) + b"\n")
        return path

    def begin(self, live: Path) -> io.FileIO:
        if live not in self.opened:
            self.opened[live] = io.FileIO(live, "a")
        return self.opened[live]

    async def holds(self, paths: Collection[Path]) -> frozenset[Path]:
        held = {os.fstat(one.fileno()).st_ino for one in self.opened.values()}
        return frozenset(path for path in paths if inode(path) in held)

    async def reopen(self) -> None:
        self.reopened += 1
        for live in () if self.deaf else list(self.opened):
            self.opened.pop(live).close()
            self.begin(live)

    def ends(self) -> None:
        """The proxy is gone."""
        while self.opened:
            self.opened.popitem()[1].close()

    def objects(self) -> dict[str, list[str]]:
        """The paths of requests in every object, by its name without what is random."""
        place = self.folder / access_log_files.BUCKETS
        found: dict[str, list[str]] = {}
        for one in sorted(path for path in place.rglob("*") if path.is_file()):
            data = one.read_bytes()
            text = gzip.decompress(data) if one.suffix == ".gz" else data
            name = str(one.relative_to(place)).rpartition("_")[0]
            found.setdefault(name, []).extend(paths(text.decode()))
        return found

    def lines(self) -> list[str]:
        return sorted(
            (line for held in self.objects().values() for line in held), key=lambda one: int(one[1:])
        )


def inode(path: Path) -> int:
    return path.stat().st_ino if path.exists() else 0


def paths(text: str) -> Iterable[str]:
    for line in text.splitlines():
        yield "/" + line.partition('"GET http://x:80/')[2].partition(" ")[0]


async def at_once(work: Callable[..., Any], *given: Any) -> Any:
    return work(*given)


@pytest.fixture
def machine(tmp_path: Path) -> Iterable[Machine]:
    made = Machine(tmp_path / "data")
    yield made
    made.ends()


async def test_a_balancer_without_a_log_leaves_nothing_and_wants_no_time(machine: Machine) -> None:
    keeper = machine.keeper()
    quiet = replace(WEB, access_log=None)
    assert keeper.ready([quiet]) == (quiet,)
    assert await keeper.round() is None
    assert not machine.folder.exists()


async def test_a_period_s_requests_are_one_object_once_it_is_over(machine: Machine) -> None:
    keeper = machine.keeper()
    (served,) = keeper.ready([WEB])
    assert served.access_log is not None
    assert Path(served.access_log.folder) == machine.live().parent.parent
    wrote = [machine.writes(), machine.writes()]
    assert await keeper.round() == 4 * 60
    assert machine.objects() == {}
    machine.clock.instant = START + timedelta(minutes=4)
    assert await keeper.round() == 5 * 60
    name = f"{DAY}/123456789012_elasticloadbalancing_us-east-1_app.web.1_20300101T1005Z_10.0.0.5"
    assert machine.objects() == {name: wrote}
    assert machine.reopened == 1
    assert [one.name for one in sorted(machine.live().parent.iterdir())] == ["about", LIVE]
    machine.clock.instant += timedelta(minutes=5)
    await keeper.round()
    assert list(machine.objects()) == [name], "there is no object for a time without requests"


@pytest.mark.looptime
async def test_objects_come_every_five_minutes_of_the_clock_and_classic_ones_every_hour(
    tmp_path: Path,
) -> None:
    machine = Machine(tmp_path)
    clock = LoopClock(START)
    clock.now()
    keeper = machine.keeper(clock=clock)
    hourly = replace(WEB, id="clb/old/1", access_log=replace(LOG, minutes=60, prefix=""))
    keeper.ready([WEB, hourly])
    async with asyncio.TaskGroup() as tasks:
        loop = tasks.create_task(keeper.run())
        for _ in range(70):
            machine.writes(WEB, clock.now())
            machine.writes(hourly, clock.now())
            await asyncio.sleep(60)
        loop.cancel()
    found = {name.rpartition("/")[2]: len(held) for name, held in machine.objects().items()}
    web = {name.split("_")[4]: held for name, held in found.items() if "app.web" in name}
    assert list(web) == [f"20300101T{10 + m // 60}{m % 60:02}Z" for m in range(5, 71, 5)]
    assert set(web.values()) <= {4, 5, 6}
    assert {name.split("_")[4] for name in found if "_old_" in name} == {"20300101T1100Z"}
    machine.ends()


class Killed(BaseException):
    """As by `kill -9`: nobody catches it."""


class Tracer:
    """Sees every line of the two modules that handle logs before it is run."""

    MODULES = (access_log_files.__file__, access_logs.__file__)

    def __init__(self, before_line: Callable[[], None]) -> None:
        self._before_line = before_line

    def __enter__(self) -> None:
        sys.settrace(self._call)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _call(self, frame: FrameType, event: str, arg: object) -> Any:
        return self._line if frame.f_code.co_filename in self.MODULES else None

    def _line(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "line":
            self._before_line()
        return self._line


async def day(machine: Machine, before_line: Callable[[], None]) -> bool:
    """A period, a keeper that dies at its end, its successor, and another period. Whether it died."""
    died = False
    keeper = machine.keeper()
    keeper.ready([WEB])
    machine.writes()
    machine.writes()
    machine.clock.instant = START + timedelta(minutes=4)
    try:
        with Tracer(before_line):
            await keeper.round()
    except Killed:
        died = True
    machine.writes()
    after = machine.keeper()
    after.ready([WEB])
    await after.round()
    machine.writes()
    machine.clock.instant += timedelta(minutes=5)
    await after.round()
    return died


async def states(machine: Machine) -> list[int]:
    """The numbers of the lines before which the disk is another than before the line before."""
    numbers, seen, count = [], None, 0

    def look() -> None:
        nonlocal seen, count
        now = sorted((str(one), one.stat().st_size) for one in machine.folder.rglob("*"))
        if now != seen:
            numbers.append(count)
        seen, count = now, count + 1

    assert not await day(machine, look)
    return [*numbers, count - 1]


def killed_at(number: int) -> Callable[[], None]:
    left = number

    def before_line() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            sys.settrace(None)
            raise Killed

    return before_line


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files of who was killed
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_who_is_killed_between_two_steps_loses_and_doubles_no_line(tmp_path: Path) -> None:
    whole = Machine(tmp_path / "whole")
    numbers = await states(whole)
    whole.ends()
    assert len(numbers) > 10
    for number in numbers:
        machine = Machine(tmp_path / str(number))
        assert await day(machine, killed_at(number))
        assert machine.lines() == ["/1", "/2", "/3", "/4"], f"killed before line {number}"
        left = [one.name for one in sorted(machine.live().parent.iterdir())]
        assert left == ["about", LIVE], f"killed before line {number}"
        assert not list(machine.folder.rglob("*.part")), f"killed before line {number}"
        machine.ends()


async def test_records_wait_while_the_proxy_still_writes_to_them(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_logs, "MOMENT_SECONDS", 0.0)
    keeper = machine.keeper()
    keeper.ready([WEB])
    machine.writes()
    machine.clock.instant = START + timedelta(minutes=4)
    machine.deaf = True
    assert await keeper.round() == RETRY_SECONDS
    assert machine.lines() == []
    machine.writes()
    machine.deaf = False
    await keeper.round()
    assert machine.lines() == ["/1", "/2"]


async def test_what_a_dead_proxy_left_is_delivered_without_its_last_torn_record(machine: Machine) -> None:
    keeper = machine.keeper()
    keeper.ready([WEB])
    machine.writes()
    machine.begin(machine.live()).write(b'{"kind":"HTTP","po')
    machine.ends()
    machine.clock.instant = START + timedelta(minutes=9)
    await keeper.round()
    (name,) = machine.objects()
    assert "20300101T1010Z" in name
    assert machine.lines() == ["/1"]


async def test_a_log_that_is_turned_off_is_delivered_and_its_folder_goes_with_the_proxy(
    machine: Machine,
) -> None:
    keeper = machine.keeper()
    keeper.ready([WEB])
    machine.writes()
    keeper.ready([replace(WEB, access_log=None)])
    assert await keeper.round() == 4 * 60
    machine.clock.instant = START + timedelta(minutes=4)
    await keeper.round()
    assert machine.lines() == ["/1"]
    assert machine.live().exists(), "the proxy has it open, and would write to it if it were turned on again"
    machine.ends()
    await keeper.round()
    assert not machine.live().parent.exists()
    assert await keeper.round() is None


async def test_what_was_left_waits_until_it_is_known_which_balancers_there_are(machine: Machine) -> None:
    before = machine.keeper()
    before.ready([WEB])
    machine.ends()
    after = machine.keeper()
    await after.round()
    assert machine.live().exists()
    after.ready([])
    await after.round()
    assert not machine.live().exists()


async def test_a_bucket_that_cannot_be_written_keeps_the_records_and_says_so(
    machine: Machine,
) -> None:
    keeper = machine.keeper()
    keeper.ready([WEB])
    machine.writes()
    machine.clock.instant = START + timedelta(minutes=4)
    (machine.folder / access_log_files.BUCKETS).mkdir()
    wall = machine.folder / access_log_files.BUCKETS / "logs"
    wall.write_text("a file where the bucket should be")
    with capture_logs() as said:
        assert await keeper.round() == RETRY_SECONDS
        assert await keeper.round() == RETRY_SECONDS
    (warning,) = said
    assert (warning["event"], warning["log_level"]) == ("access_log.undelivered", "warning")
    assert "make room" in warning["remedy"]
    wall.unlink()
    await keeper.round()
    assert machine.lines() == ["/1"]


async def test_a_full_disk_keeps_the_records_and_no_half_object(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = machine.keeper()
    keeper.ready([WEB])
    machine.writes()
    machine.clock.instant = START + timedelta(minutes=4)
    with monkeypatch.context() as patch:
        real = os.fsync

        def no_room(descriptor: int) -> None:
            if "part" in os.readlink(f"/proc/self/fd/{descriptor}"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(descriptor)

        patch.setattr(access_log_files.os, "fsync", no_room)
        assert await keeper.round() == RETRY_SECONDS
        assert not list(machine.folder.rglob("*.part"))
    await keeper.round()
    assert machine.lines() == ["/1"]


async def test_what_waits_too_long_is_bounded_the_oldest_goes(machine: Machine) -> None:
    keeper = machine.keeper(raw_bytes_max=150)
    keeper.ready([WEB])
    (machine.folder / access_log_files.BUCKETS).write_text("in the way")
    for _ in range(3):
        machine.writes()
        machine.clock.instant += timedelta(minutes=5)
        await keeper.round()
    (machine.folder / access_log_files.BUCKETS).unlink()
    await keeper.round()
    assert machine.lines() == ["/3"]


async def test_a_balancer_whose_folder_cannot_be_made_is_served_without_a_log_until_it_can(
    machine: Machine,
) -> None:
    machine.folder.mkdir()
    (machine.folder / access_log_files.RECORDS).write_text("in the way")
    keeper = machine.keeper()
    (served,) = keeper.ready([WEB])
    assert served.access_log is None
    assert await keeper.round() == RETRY_SECONDS
    (machine.folder / access_log_files.RECORDS).unlink()
    (again,) = keeper.ready([WEB])
    assert again.access_log is not None
    assert machine.live().exists()


async def test_a_log_goes_where_its_balancer_says_when_the_period_is_over(machine: Machine) -> None:
    keeper = machine.keeper()
    keeper.ready([WEB])
    machine.writes()
    keeper.ready([replace(WEB, access_log=replace(LOG, bucket="other", prefix=""))])
    machine.clock.instant = START + timedelta(minutes=4)
    await keeper.round()
    (name,) = machine.objects()
    assert name.startswith("other/AWSLogs/123456789012/")
