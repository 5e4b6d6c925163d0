"""Nothing is left in the kernel: of many sandboxes, and of processes that were killed at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from homeport.node.ports import Publication, SandboxDriver, SandboxSpec, TaskInterface
from tests.kit.sandbox_stage import Stage

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow]

MANY, AT_ONCE = 200, 8
KILLS = 12
WORKING = Path(__file__).parent.parent / "kit" / "sandbox_worker.py"


def spec_of(here: Stage, number: int) -> SandboxSpec:
    """In turns: an interface of the VPC, and an inner address with two published ports."""
    name = here.named(str(number))
    if number % 2:
        base = here.addresses[0].ip.rsplit(".", 2)[0]
        return SandboxSpec(
            name=name,
            interface=TaskInterface(
                attachment_id=f"eni-attach-{number}",
                mac=f"02:ab:00:00:{number >> 8:02x}:{number & 255:02x}",
                address=f"{base}.{8 + (number >> 8)}.{number & 255}",
                subnet=here.addresses[0].subnet,
                gateway=f"{base}.0.1",
            ),
        )
    ports = tuple(
        Publication(container_port=80, protocol=protocol, host_port=50_000 + number)
        for protocol in ("tcp", "udp")
    )
    return SandboxSpec(name=name, published=ports)


@pytest.mark.timeout(600)
async def test_two_hundred_sandboxes_leave_nothing(here: Stage) -> None:
    driver = here.driver(warm=3)
    assert await here.traces() == []
    numbers = asyncio.Queue[int]()
    for number in range(MANY):
        numbers.put_nowait(number)
    most = 0

    async def work() -> None:
        nonlocal most
        while not numbers.empty():
            spec = spec_of(here, numbers.get_nowait())
            made = await driver.ensure(spec)
            here.pid(made.name)
            most = max(most, len(here.published()))
            await driver.remove(made.name)

    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(driver.run())
        async with asyncio.TaskGroup() as workers:
            for _ in range(AT_ONCE):
                workers.create_task(work())
        keeping.cancel()
    assert most > 0
    assert AT_ONCE < len(here.seen) < MANY, "holders held one sandbox after the other"
    assert await driver.names() == ()
    await _without_warm(here)
    assert await here.traces() == []


@pytest.mark.timeout(600)
async def test_a_process_that_is_killed_at_any_moment_leaves_nothing(here: Stage) -> None:
    """Each time the next one goes on with what it finds, and the last one removes it all."""
    dice = random.Random(4)
    seen = 0
    for life in range(KILLS):
        worker = await asyncio.to_thread(_begin, here, life)
        await asyncio.sleep(0.05 + dice.random() * 0.8)
        worker.send_signal(signal.SIGKILL)
        await asyncio.to_thread(worker.communicate)
        for each in await here.holders.all():
            with contextlib.suppress(subprocess.CalledProcessError):  # it was being removed
                here.pid(each.docker_id)
        seen = max(seen, len(await here.traces()))
        if life % 4 == 3:
            await _begin_again(here)
    assert seen > 0, "some died at work"
    await _begin_again(here)
    await _without_warm(here)
    assert await here.traces() == []


@pytest.mark.parametrize("cut_at", range(9))
async def test_a_start_that_is_cancelled_at_any_step_leaves_nothing(here: Stage, cut_at: int) -> None:
    """The engine asks for the removal of what it gave up; a warm one goes back or away."""
    driver = here.driver(warm=1)
    await driver.adopt()
    await driver.refill()
    spec = spec_of(here, 2 * cut_at)
    async with asyncio.TaskGroup() as group:
        making = group.create_task(driver.ensure(spec))
        for _ in range(cut_at * 3):
            await asyncio.sleep(0.001)
        making.cancel()
    await driver.remove(spec.name)
    assert await driver.names() == ()
    await driver.refill()
    assert len(await here.holders.all()) == 1, "one is warm again"
    assert len(here.veths()) == 1
    assert here.published() == []
    await _without_warm(here)
    assert await here.traces() == []


def _begin(here: Stage, life: int) -> subprocess.Popen[str]:
    """A process that makes and removes; it is at work when this returns."""
    first, second = (one.ip for one in here.addresses)
    command = [sys.executable, str(WORKING), here.homeport, here.engine.run_id, first, second, str(life)]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "at work\n"
    return worker


async def _begin_again(here: Stage) -> None:
    """As the next process, once Docker has done what it was asked: adopt, remove what no task of it owns."""
    driver: SandboxDriver = here.driver()
    for name in await driver.names():
        await driver.remove(name)


async def _without_warm(here: Stage) -> None:
    """The stock is no leak; what follows must not find it."""
    for each in await here.holders.all():
        assert each.name.startswith("homeport-warm-")
        await here.holders.remove(each.docker_id)
    # A link goes with its namespace, a moment after the last process in it.
    async with asyncio.timeout(20):
        while here.veths():  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.02)
