"""Images that nobody needs any more go, oldest first; what is in use, or is not ours, stays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from homeport.core.clock import LoopClock
from homeport.node.images import ImageCleaner, TrackedImage, plan_image_gc
from homeport.node.ports import ImageInfo
from homeport.node.settings import ImageGcSettings
from tests.kit.machine import FakeMachine

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = 3600.0


def image(name: str, *, hours: float = 2, bytes_: int = 100) -> TrackedImage:
    """An image that was pulled and last used so many hours ago."""
    at = NOW - timedelta(hours=hours)
    info = ImageInfo(
        id=f"sha256:{name}", digest=None, env=(), size_bytes=bytes_, names=(name,), created_at=at
    )
    return TrackedImage(info=info, pulled_at=at, last_used_at=at)


def gone(images: list[TrackedImage], in_use: tuple[str, ...] = (), **settings: object) -> list[str]:
    plan = plan_image_gc(images, in_use, NOW, ImageGcSettings(**settings))
    return [one.info.names[0] for one in plan]


def test_old_images_go_the_least_recently_used_first_and_so_many_a_cycle() -> None:
    images = [image("b", hours=3), image("young", hours=0.5), image("a", hours=9), image("c", hours=2)]
    assert gone(images) == ["a", "b", "c"]
    assert gone(images, images_per_cycle=2) == ["a", "b"]


def test_what_is_in_use_stays_whether_it_is_named_by_name_or_by_id() -> None:
    assert gone([image("a"), image("b"), image("c")], ("a", "sha256:b")) == ["c"]


def test_above_the_disk_s_limit_young_ones_go_too_until_it_fits() -> None:
    images = [image("a", hours=0.3), image("b", hours=0.2), image("c", hours=0.1)]
    assert gone(images, disk_bytes_max=300) == []
    assert gone(images, disk_bytes_max=150) == ["a", "b"]


def test_a_node_that_cleans_nothing_removes_nothing() -> None:
    assert gone([image("a")], enabled=False, disk_bytes_max=0) == []


@given(
    st.lists(st.tuples(st.floats(0, 10), st.integers(0, 500), st.booleans()), max_size=12),
    st.integers(0, 2000),
    st.integers(0, 6),
)
def test_nothing_in_use_goes_and_what_stays_fits_unless_it_is_in_use(
    drawn: list[tuple[float, int, bool]], limit: int, most: int
) -> None:
    images = [image(f"i{n}", hours=hours, bytes_=size) for n, (hours, size, _) in enumerate(drawn)]
    used = tuple(f"i{n}" for n, (_, _, busy) in enumerate(drawn) if busy)
    names = gone(images, used, disk_bytes_max=limit, images_per_cycle=most)
    assert not set(names) & set(used)
    left = [one for one in images if one.info.names[0] not in names]
    fits = sum(one.info.size_bytes for one in left) <= limit
    assert fits or all(one.info.names[0] in used for one in left)


async def cleaned(clock: LoopClock, machine: FakeMachine, in_use: Callable[[], frozenset[str]]) -> None:
    """Four hours of a cleaner's life."""
    cleaner = ImageCleaner(
        machine.drivers.images, settings=ImageGcSettings(), clock=clock, in_use=in_use, brought={"task:1"}
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(cleaner.run())
        await asyncio.sleep(4 * HOUR)
        running.cancel()


async def test_the_image_of_a_task_that_ran_for_minutes_goes_and_a_stranger_s_stays(
    virtual_clock: LoopClock,
) -> None:
    machine = FakeMachine(virtual_clock)
    for name in ("task:1", "built-here:1", "stranger:1"):
        machine.add_image(name)
    start = virtual_clock.now() + timedelta(minutes=7)

    def in_use() -> frozenset[str]:
        runs = start <= virtual_clock.now() <= start + timedelta(minutes=3)
        return frozenset({"task:1", "built-here:1"} if runs else ())

    await cleaned(virtual_clock, machine, in_use)
    assert "task:1" not in machine.images
    assert {"built-here:1", "stranger:1"} <= set(machine.images)


async def test_an_image_in_use_is_never_removed(virtual_clock: LoopClock) -> None:
    machine = FakeMachine(virtual_clock)
    machine.add_image("task:1")
    await cleaned(virtual_clock, machine, lambda: frozenset({"task:1"}))
    assert "task:1" in machine.images
