"""What every store promises of a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from homeport.core.errors import StaleWriteError, UnstorableError
from homeport.runtime.retry import decide_again
from homeport.store import DuplicateKeyError, Store, StoreClosedError, Tx
from tests.store.conftest import add_thing, names, thing


class Refused(Exception):
    pass


async def test_what_is_written_is_read(store: Store) -> None:
    row_id = await store.write(lambda tx: add_thing(tx, "a", body={"n": 1}))
    row = await store.read(lambda tx: tx.execute(sa.select(thing).where(thing.c.id == row_id)).one())
    assert (row.name, row.body, row.version) == ("a", {"n": 1}, 1)


async def test_an_exception_undoes_the_write_and_reaches_the_caller(store: Store) -> None:
    def refuse(tx: Tx) -> None:
        add_thing(tx, "a")
        raise Refused

    with pytest.raises(Refused):
        await store.write(refuse)
    assert await store.read(names) == []


async def test_a_stray_stop_iteration_reaches_the_caller_too(store: Store) -> None:
    """An asyncio future refuses to carry it, so it needs care."""

    def stray(tx: Tx) -> None:
        add_thing(tx, "bad")
        next(iter(()))

    with pytest.raises((StopIteration, RuntimeError)):
        await store.write(stray)
    await store.write(lambda tx: add_thing(tx, "good"))
    assert await store.read(names) == ["good"]


async def test_a_statement_that_fails_reaches_the_caller_and_the_store_goes_on(store: Store) -> None:
    await store.write(lambda tx: add_thing(tx, "a"))
    with pytest.raises(sa.exc.DBAPIError):
        await store.write(lambda tx: tx.execute(sa.text("SELECT 1 FROM nowhere")))
    await store.write(lambda tx: add_thing(tx, "b"))
    assert await store.read(names) == ["a", "b"]


async def test_a_row_that_somebody_made_first_is_a_stale_write(store: Store) -> None:
    """Whoever created it blindly looks again and finds it."""
    await store.write(lambda tx: add_thing(tx, "a"))
    with pytest.raises(DuplicateKeyError, match="name") as caught:
        await store.write(lambda tx: add_thing(tx, "a"))
    assert isinstance(caught.value, StaleWriteError)
    assert isinstance(caught.value.__cause__, sa.exc.IntegrityError)
    await store.write(lambda tx: add_thing(tx, "b"))
    assert await store.read(names) == ["a", "b"]


async def test_of_many_that_find_or_create_at_once_one_creates(store: Store) -> None:
    made: list[int] = []

    def find_or_create(number: int) -> Callable[[Tx], int]:
        def work(tx: Tx) -> int:
            found = tx.execute(sa.select(thing.c.id).where(thing.c.name == "one")).scalar()
            if found is None:
                found = add_thing(tx, "one")
                made.append(number)
            return int(found)

        return work

    ids = await asyncio.gather(
        *(decide_again(lambda n=n: store.write(find_or_create(n))) for n in range(12))  # type: ignore[misc]
    )
    assert len(set(ids)) == 1
    assert made
    assert await store.read(names) == ["one"]


async def test_each_of_many_simultaneous_writes_fails_alone(store: Store) -> None:
    def write(number: int) -> int:
        def work(tx: Tx) -> int:
            add_thing(tx, f"n{number:03}")
            if number % 3 == 0:
                raise Refused(number)
            return number

        return work  # type: ignore[return-value]

    results = await asyncio.gather(
        *(store.write(write(n)) for n in range(60)),  # type: ignore[arg-type]
        return_exceptions=True,
    )
    assert [r for r in results if isinstance(r, int)] == [n for n in range(60) if n % 3]
    assert [r.args[0] for r in results if isinstance(r, Refused)] == [n for n in range(60) if not n % 3]
    assert sorted(await store.read(names)) == [f"n{n:03}" for n in range(60) if n % 3]


async def test_look_then_act_is_safe_among_simultaneous_writers(store: Store) -> None:
    """No version and no constraint guards this: the transactions themselves must be serial."""

    def take_a_number(tx: Tx) -> int:
        highest = tx.execute(sa.select(sa.func.max(thing.c.version))).scalar_one_or_none() or 0
        tx.execute(thing.insert(), {"version": highest + 1})
        return int(highest) + 1

    taken = await asyncio.gather(*(store.write(take_a_number) for _ in range(24)))
    assert sorted(taken) == list(range(1, 25))


async def test_a_read_sees_one_snapshot_however_long_it_takes(store: Store) -> None:
    await store.write(lambda tx: add_thing(tx, "a"))

    def look_twice(tx: Tx) -> tuple[list[str], list[str]]:
        return names(tx), names(tx)

    async def keep_writing() -> None:
        for n in range(20):
            await store.write(lambda tx, n=n: add_thing(tx, f"w{n}"))  # type: ignore[misc]

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(keep_writing())
        while not writing.done():
            first, second = await store.read(look_twice, bulk=True)
            assert first == second
            await asyncio.sleep(0)


async def test_a_read_cannot_write(store: Store) -> None:
    with pytest.raises(sa.exc.DBAPIError):
        await store.read(lambda tx: tx.execute(thing.insert(), {"name": "a"}))
    with pytest.raises(RuntimeError):
        await store.read(lambda tx: tx.touch("thing", "a"))
    await store.write(lambda tx: add_thing(tx, "b"))
    assert await store.read(names) == ["b"]


async def test_a_result_left_half_read_does_not_freeze_later_reads(store: Store) -> None:
    for name in "abc":
        await store.write(lambda tx, name=name: add_thing(tx, name))  # type: ignore[misc]

    def begin_to_read(tx: Tx) -> object:
        result = tx.execute(sa.select(thing.c.name))
        next(iter(result))
        return result

    kept = [await store.read(begin_to_read), await store.write(begin_to_read)]
    await store.write(lambda tx: add_thing(tx, "d"))
    assert await store.read(names) == ["a", "b", "c", "d"]
    del kept


async def test_a_transaction_ends_with_its_function(store: Store) -> None:
    leaked = await store.write(lambda tx: tx)
    with pytest.raises(RuntimeError):
        leaked.execute(sa.select(1))


@pytest.mark.parametrize("bulk", [False, True])
async def test_many_rows_are_written_by_one_statement(store: Store, bulk: bool) -> None:
    rows = [{"name": f"n{n:05}"} for n in range(12_000)]
    await store.write(lambda tx: tx.execute(thing.insert(), rows) and None, bulk=bulk)
    assert len(await store.read(names, bulk=bulk)) == 12_000


async def test_no_rows_is_a_mistake_not_one_row_of_defaults(store: Store) -> None:
    with pytest.raises(ValueError, match="no rows"):
        await store.write(lambda tx: tx.execute(thing.insert(), []))
    assert await store.read(names) == []


async def test_a_function_may_run_as_many_statements_as_it_likes(store: Store) -> None:
    def add_many(tx: Tx) -> int:
        for n in range(700):
            add_thing(tx, f"n{n}")
        return len(names(tx))

    assert await store.write(add_many) == 700
    assert await store.read(lambda tx: [names(tx) for _ in range(300)][-1]) == [f"n{n}" for n in range(700)]


async def test_a_cancelled_write_leaves_the_others_alone(store: Store) -> None:
    async with asyncio.TaskGroup() as group:
        doomed = [group.create_task(store.write(lambda tx, n=n: add_thing(tx, f"d{n}"))) for n in range(5)]  # type: ignore[misc]
        others = [group.create_task(store.write(lambda tx, n=n: add_thing(tx, f"k{n}"))) for n in range(5)]  # type: ignore[misc]
        await asyncio.sleep(0)
        for task in doomed:
            task.cancel()
        await asyncio.wait(others)
    kept = [name for name in await store.read(names) if name.startswith("k")]
    assert sorted(kept) == [f"k{n}" for n in range(5)]


async def test_close_finishes_what_was_begun_and_refuses_the_rest(store: Store) -> None:
    async with asyncio.TaskGroup() as group:
        begun = [group.create_task(store.write(lambda tx, n=n: add_thing(tx, f"n{n}"))) for n in range(20)]  # type: ignore[misc]
        await begun[0]
        for task in begun:
            await task
    await store.close()
    await store.close()
    with pytest.raises(StoreClosedError):
        await store.write(lambda tx: add_thing(tx, "late"))
    with pytest.raises(StoreClosedError):
        await store.read(names)


async def test_a_number_that_no_column_holds_is_the_callers_mistake(store: Store) -> None:
    with pytest.raises(UnstorableError):
        await store.read(lambda tx: tx.execute(sa.select(thing).where(thing.c.version == 2**80)).all())
    with pytest.raises(UnstorableError):
        await store.write(lambda tx: tx.execute(thing.insert(), {"name": "a", "version": 2**80}))
    assert await store.read(names) == []
