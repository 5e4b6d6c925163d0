"""A full disk, or no database: callers get a modelled error that says why, and service as soon as can be."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.node.state import VolatileDisk
from homeport.store import open_store
from homeport.store.migrations import upgrade
from homeport.store.sqlite import SqliteStore
from tests.api.test_tasks import described, register, run, waiter
from tests.kit import postgres
from tests.kit import server as server_module
from tests.kit.server import Live, live_server


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    def open_store() -> SqliteStore:
        store = SqliteStore(tmp_path / "homeport.db")
        store.prepare(upgrade)
        return store

    with live_server(open_store) as server:
        yield server


def let_it_grow_by(live: Live, pages: int) -> None:
    """As on a full disk: SQLITE_FULL for every page beyond."""
    store = live.plane.store
    assert isinstance(store, SqliteStore)
    connection = store._writer.raw

    async def limit() -> None:
        (count,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={count + pages}").fetchone()

    live.run(limit())


def refusal_of(call: Callable[[int], Any]) -> ClientError:
    """Repeat `call` with growing numbers until it is refused."""
    for number in range(1000):
        try:
            call(number)
        except ClientError as error:
            return error
    raise AssertionError("it was never refused")


def fill(live: Live, ecs: Any) -> ClientError:
    """Register task definitions until there is no room; the refusal."""
    let_it_grow_by(live, 40)
    container = {"name": "main", "image": "app:1", "memory": 16, "command": ["x" * 20_000]}
    return refusal_of(
        lambda n: ecs.register_task_definition(family=f"filler-{n}", containerDefinitions=[container])
    )


def test_a_full_disk_is_a_modelled_error_and_service_goes_on_when_there_is_room(live: Live) -> None:
    ecs = live.client("ecs")
    live.add_node()
    register(ecs, "stay", "stay")
    before = run(ecs, "stay")
    waiter(ecs, "tasks_running").wait(tasks=[before["taskArn"]])
    refusal = fill(live, ecs)
    assert refusal.response["Error"]["Code"] == "ServerException"
    assert "disk that holds Homeport's state is full" in refusal.response["Error"]["Message"]
    assert refusal.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    let_it_grow_by(live, 0)
    tags = [{"key": "fill", "value": "x" * 256}]
    assert "full" in str(refusal_of(lambda _: ecs.run_task(taskDefinition="stay", count=10, tags=tags)))
    sts = live.client("sts")
    assert "full" in str(refusal_of(lambda _: sts.get_session_token()))
    shown = ecs.describe_tasks(tasks=[before["taskArn"]])["tasks"][0]
    assert shown["lastStatus"] == "RUNNING", "reading goes on"

    let_it_grow_by(live, 10_000)
    after = run(ecs, "stay")
    waiter(ecs, "tasks_running").wait(tasks=[after["taskArn"]])
    ecs.stop_task(task=before["taskArn"])
    waiter(ecs, "tasks_stopped").wait(tasks=[before["taskArn"]])


def test_callers_of_one_token_who_met_a_full_disk_get_their_task_later(live: Live) -> None:
    ecs = live.client("ecs")
    live.add_node()
    register(ecs, "stay", "stay")
    fill(live, ecs)
    let_it_grow_by(live, 0)
    refused: list[str] = []

    def run_under_a_token(number: int) -> None:
        refused[:] = [f"token-{number}"]
        ecs.run_task(taskDefinition="stay", clientToken=refused[0], startedBy=refused[0])

    assert "full" in str(refusal_of(run_under_a_token))
    let_it_grow_by(live, 10_000)
    for token in refused:
        assert ecs.list_tasks(startedBy=token)["taskArns"] == [], "refused is not half made"
        made = ecs.run_task(taskDefinition="stay", clientToken=token, startedBy=token)["tasks"]
        again = ecs.run_task(taskDefinition="stay", clientToken=token, startedBy=token)["tasks"]
        assert [task["taskArn"] for task in made] == [task["taskArn"] for task in again]
        assert len(ecs.list_tasks(startedBy=token)["taskArns"]) == 1


def test_controllers_are_well_again_when_there_is_room(live: Live) -> None:
    ecs = live.client("ecs")
    live.add_node()
    register(ecs, "stay", "stay")
    fill(live, ecs)
    let_it_grow_by(live, 10_000)
    ecs.create_service(serviceName="web", taskDefinition="stay", desiredCount=2)
    waiter(ecs, "services_stable").wait(services=["web"])

    async def well() -> bool:
        await asyncio.sleep(0)
        return all(runner.report().failing == 0 for runner in live.plane.runners)

    live.wait_until(well)


class FullDisk(VolatileDisk):
    """An agent's journal on a disk that is full now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.full = False
        self.refused = threading.Event()

    def append(self, data: bytes) -> None:
        if self.full:
            self.refused.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(data)


def test_an_agent_whose_disk_was_full_takes_its_tasks_when_there_is_room(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "VolatileDisk", FullDisk)
    node = live.add_node()
    ecs = live.client("ecs")
    register(ecs, "stay", "stay")
    before = run(ecs, "stay")
    waiter(ecs, "tasks_running").wait(tasks=[before["taskArn"]])
    disk: Any = node.disk
    disk.full = True
    unlucky = run(ecs, "stay")
    assert disk.refused.wait(20)
    disk.full = False
    waiter(ecs, "tasks_running").wait(tasks=[unlucky["taskArn"]])
    assert [c.starts for c in node.machine.containers.values()] == [1, 1]


@pytest.mark.postgres
def test_a_database_that_goes_away_is_said_and_everything_goes_on_when_it_is_back() -> None:
    with postgres.stoppable() as database:
        url = asyncio.run(postgres.create_database(database.url, "plane"))
        with live_server(lambda: open_store(url)) as live:
            ecs = live.client("ecs")
            live.add_node()
            register(ecs, "stay", "stay")
            before = run(ecs, "stay")
            waiter(ecs, "tasks_running").wait(tasks=[before["taskArn"]])
            with pytest.raises(ClientError, match=r"InvalidParameterException.*cannot be stored"):
                ecs.list_tasks(startedBy="a\0b")  # PostgreSQL's text has no room for a NUL
            database.stop()
            for call in (lambda: run(ecs, "stay"), lambda: described(ecs, before)):
                with pytest.raises(ClientError, match="The database does not answer") as caught:
                    call()
                assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
            database.start()
            after = run(ecs, "stay")
            waiter(ecs, "tasks_running").wait(tasks=[before["taskArn"], after["taskArn"]])
            ecs.create_service(serviceName="web", taskDefinition="stay", desiredCount=2)
            waiter(ecs, "services_stable").wait(services=["web"])
            ecs.stop_task(task=before["taskArn"])
            waiter(ecs, "tasks_stopped").wait(tasks=[before["taskArn"]])
