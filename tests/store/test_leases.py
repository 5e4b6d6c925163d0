"""Leases: one holder at a time, and a token that says which."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from homeport.core.clock import FixedClock
from homeport.runtime import Lease
from homeport.store import LeaseLostError, Leases, Store, Tx, check_lease
from tests.store.conftest import add_thing, names

TTL = timedelta(seconds=10)
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture
def leases(store: Store, clock: FixedClock) -> Leases:
    return Leases(store, clock)


async def take(leases: Leases, holder: str) -> Lease:
    lease = await leases.acquire("ecs.placement", holder, TTL)
    assert lease is not None
    return lease


async def test_a_free_lease_is_taken_and_others_wait(leases: Leases) -> None:
    lease = await take(leases, "a")
    assert lease == Lease(name="ecs.placement", holder="a", epoch=1, expires_at=NOON + TTL)
    assert await leases.acquire("ecs.placement", "b", TTL) is None
    assert await leases.acquire("another", "b", TTL) is not None


async def test_an_expired_lease_is_taken_under_a_new_epoch(leases: Leases, clock: FixedClock) -> None:
    await take(leases, "a")
    clock.instant = NOON + TTL - timedelta(microseconds=1)
    assert await leases.acquire("ecs.placement", "b", TTL) is None
    clock.instant = NOON + TTL
    assert (await take(leases, "b")).epoch == 2


async def test_a_renewed_lease_keeps_its_epoch_and_lasts_longer(leases: Leases, clock: FixedClock) -> None:
    lease = await take(leases, "a")
    clock.instant = NOON + timedelta(seconds=8)
    renewed = await leases.renew(lease, TTL)
    assert renewed == replace(lease, expires_at=NOON + timedelta(seconds=18))
    clock.instant = NOON + timedelta(seconds=15)
    assert await leases.acquire("ecs.placement", "b", TTL) is None


async def test_an_expired_lease_that_nobody_took_can_be_renewed(leases: Leases, clock: FixedClock) -> None:
    lease = await take(leases, "a")
    clock.instant = NOON + 3 * TTL
    assert await leases.renew(lease, TTL) is not None
    assert await leases.acquire("ecs.placement", "b", TTL) is None


async def test_a_lease_that_was_taken_cannot_be_renewed_or_released(
    leases: Leases, clock: FixedClock
) -> None:
    old = await take(leases, "a")
    clock.instant = NOON + TTL
    new = await take(leases, "b")
    assert await leases.renew(old, TTL) is None
    await leases.release(old)
    assert await leases.acquire("ecs.placement", "c", TTL) is None
    assert await leases.renew(new, TTL) is not None


async def test_a_released_lease_is_free_at_once_and_its_epoch_never_returns(leases: Leases) -> None:
    lease = await take(leases, "a")
    await leases.release(lease)
    assert (await take(leases, "b")).epoch == 2
    assert await leases.renew(lease, TTL) is None


async def test_a_holder_that_comes_back_is_not_taken_for_its_former_self(leases: Leases) -> None:
    former = await take(leases, "a")
    assert (await take(leases, "a")).epoch == 2
    assert await leases.renew(former, TTL) is None


async def test_a_write_under_a_lease_that_passed_on_is_refused(
    store: Store, leases: Leases, clock: FixedClock
) -> None:
    def write_under(lease: Lease, name: str) -> None:
        def work(tx: Tx) -> None:
            check_lease(tx, lease)
            add_thing(tx, name)

        return work  # type: ignore[return-value]

    old = await take(leases, "a")
    await store.write(write_under(old, "mine"))  # type: ignore[arg-type]
    clock.instant = NOON + TTL
    new = await take(leases, "b")
    with pytest.raises(LeaseLostError):
        await store.write(write_under(old, "too late"))  # type: ignore[arg-type]
    await store.write(write_under(new, "theirs"))  # type: ignore[arg-type]
    assert await store.read(names) == ["mine", "theirs"]


async def test_of_many_that_ask_at_once_one_gets_it(leases: Leases) -> None:
    answers = await asyncio.gather(*(leases.acquire("ecs.placement", f"h{n}", TTL) for n in range(12)))
    assert sum(answer is not None for answer in answers) == 1
