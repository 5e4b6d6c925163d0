"""Uses of keys and roles are collected, and written together a while after the first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from homeport.app.identity import last_uses
from homeport.app.identity.last_uses import WRITE_AFTER_SECONDS, LastUses
from homeport.core.call import Call, Principal
from homeport.core.clock import LoopClock
from homeport.core.errors import UnavailableError
from homeport.services.iam.manifest import LastUse
from homeport.store.base import Store

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)


class FakeStore:
    """Keeps what is recorded, each time with the second in which it was; it can be away."""

    def __init__(self) -> None:
        self.away = False
        self.written: list[tuple[float, dict[str, LastUse]]] = []

    async def write(self, fn: Callable[[Any], None]) -> None:
        if self.away:
            raise UnavailableError("away")
        fn(self)

    def record(self, uses: dict[str, LastUse]) -> None:
        self.written.append((asyncio.get_running_loop().time(), dict(uses)))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    monkeypatch.setattr(last_uses, "LastUseRepo", lambda store: store)
    return FakeStore()


def call(key: str, user_id: str = "AIDA1", service: str = "ecs") -> Call:
    who = Principal(arn="arn:aws:iam::000000000000:user/a", account_id="000000000000", user_id=user_id)
    return Call(
        request_id="r",
        service=service,
        operation="o",
        account_id="000000000000",
        region="us-east-1",
        principal=who,
        access_key_id=key,
    )


@pytest.mark.looptime
async def test_uses_are_written_once_for_all_and_the_last_counts(store: FakeStore) -> None:
    uses = LastUses(cast(Store, store), LoopClock(EPOCH))
    running = asyncio.get_running_loop().create_task(uses.run())
    await asyncio.sleep(1000)
    assert store.written == []
    for service in ("ecs", "iam", "sts"):
        uses.note(call("AKIA1", service=service))
        await asyncio.sleep(1)
    uses.note(call("ASIA1", user_id="AROA1:session"))
    uses.note(call("ASIA2"))
    await asyncio.sleep(1000)
    ((at, noted),) = store.written
    assert at == 1000 + WRITE_AFTER_SECONDS
    assert {key: use.service for key, use in noted.items()} == {"AKIA1": "sts", "AROA1": "ecs"}
    running.cancel()


@pytest.mark.looptime
async def test_a_store_that_is_away_stops_nothing(store: FakeStore) -> None:
    uses = LastUses(cast(Store, store), LoopClock(EPOCH))
    running = asyncio.get_running_loop().create_task(uses.run())
    store.away = True
    uses.note(call("AKIA1"))
    await asyncio.sleep(100)
    store.away = False
    uses.note(call("AKIA2"))
    await asyncio.sleep(100)
    assert [sorted(noted) for _, noted in store.written] == [["AKIA2"]]
    running.cancel()
