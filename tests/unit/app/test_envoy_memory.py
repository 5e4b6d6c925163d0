"""What is known of targets is about one process of the proxy."""

from __future__ import annotations

from pathlib import Path

from homeport.app.balancers.envoy_memory import HealthMemory
from homeport.app.balancers.envoy_process import Files, Running
from homeport.dataplane.health import CHECKING
from homeport.dataplane.health_book import Remembered, Seen

ONE = Running(pid=7, started=70, configuration="c")
KEPT = (
    Remembered(group_id="g", key="10.0.0.1:80", health=CHECKING, seen={"g#1": Seen(failures=1, round=1)}),
)


def test_the_next_control_plane_of_the_same_proxy_reads_what_was_kept(tmp_path: Path) -> None:
    files = Files(folder=tmp_path)
    HealthMemory(files).keep(ONE, KEPT)
    assert HealthMemory(files).read(ONE) == KEPT
    HealthMemory(files).keep(ONE, ())
    assert HealthMemory(files).read(ONE) == ()


def test_another_proxy_has_no_memory_and_neither_has_none(tmp_path: Path) -> None:
    files = Files(folder=tmp_path)
    assert HealthMemory(files).read(ONE) == ()
    HealthMemory(files).keep(None, KEPT)
    assert not files.targets.exists()
    HealthMemory(files).keep(ONE, KEPT)
    again = Running(pid=7, started=71, configuration="c")
    assert (HealthMemory(files).read(again), HealthMemory(files).read(None)) == ((), ())


def test_a_file_that_cannot_be_read_is_no_memory(tmp_path: Path) -> None:
    files = Files(folder=tmp_path)
    files.targets.write_bytes(b"{")
    assert HealthMemory(files).read(ONE) == ()
