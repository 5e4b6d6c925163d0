"""Cloud Map's rows: guarded writes, names with one owner, hints for those who answer for names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
import pytest

from homeport.core.errors import StaleWriteError
from homeport.services.servicediscovery.model import Instance, Namespace, Operation, Service
from homeport.services.servicediscovery.repo.registry import (
    NAMESPACE_CHANGED,
    SERVICE_CHANGED,
    Registry,
    all_instances,
    ids_of_all,
)
from homeport.store import Store
from homeport.store.errors import DuplicateKeyError
from homeport.store.tx import Tx

T = TypeVar("T")
HERE: dict[str, Any] = {"account_id": "000000000000", "region": "us-east-1"}
THEN = datetime(2030, 1, 1, tzinfo=UTC)
APPS = Namespace(**HERE, namespace_id="ns-1", type="HTTP", name="apps", http_name="apps", created_at=THEN)
API = Service(**HERE, service_id="srv-1", namespace_id="ns-1", name="api", created_at=THEN)
ONE = Instance(service_id="srv-1", instance_id="i1", attributes={"a": "b"})


async def on(store: Store, work: Callable[[Registry], T]) -> T:
    return await store.write(lambda tx: work(Registry(tx, *HERE.values())))


async def test_who_read_an_older_version_writes_and_removes_nothing(store: Store) -> None:
    namespace = await on(store, lambda r: r.add_namespace(APPS))
    service = await on(store, lambda r: r.add_service(API, "api"))
    instance = await on(store, lambda r: r.add_instance(ONE))
    await on(store, lambda r: r.save_namespace(msgspec.structs.replace(namespace, description="x")))
    await on(store, lambda r: r.save_service(msgspec.structs.replace(service, description="x")))
    await on(store, lambda r: r.save_instance(msgspec.structs.replace(instance, healthy=False)))
    stale: tuple[Callable[[Registry], Any], ...] = (
        lambda r: r.save_namespace(namespace),
        lambda r: r.remove_namespace(namespace),
        lambda r: r.save_service(service),
        lambda r: r.remove_service(service),
        lambda r: r.save_instance(instance),
        lambda r: r.remove_instance(instance),
    )
    for late in stale:
        with pytest.raises(StaleWriteError):
            await on(store, late)
    assert await store.read(lambda tx: [one.healthy for _, one in all_instances(tx)]) == [False]


async def test_names_and_ids_are_somebodys_once(store: Store) -> None:
    await on(store, lambda r: (r.add_namespace(APPS), r.add_service(API, "api"), r.add_instance(ONE)))
    again: tuple[Callable[[Registry], Any], ...] = (
        lambda r: r.add_namespace(msgspec.structs.replace(APPS, namespace_id="ns-2")),
        lambda r: r.add_service(msgspec.structs.replace(API, service_id="srv-2"), "api"),
        lambda r: r.add_instance(ONE),
    )
    for twice in again:
        with pytest.raises(DuplicateKeyError):
            await on(store, twice)


async def test_another_account_sees_nothing(store: Store) -> None:
    await on(store, lambda r: (r.add_namespace(APPS), r.add_service(API, "api")))

    def theirs(tx: Tx) -> tuple[Any, ...]:
        other = Registry(tx, "111111111111", "us-east-1")
        return other.namespace("ns-1"), other.service("srv-1"), other.namespaces(), other.services()

    assert await store.read(theirs) == (None, None, [], [])
    assert await store.read(ids_of_all) == (["ns-1"], ["srv-1"])


async def test_every_write_tells_what_it_touched(store: Store) -> None:
    def told(work: Callable[[Registry], Any]) -> Callable[[Tx], set[tuple[str, str]]]:
        def run(tx: Tx) -> set[tuple[str, str]]:
            work(Registry(tx, *HERE.values()))
            return set(tx.touched)

        return run

    assert await store.write(told(lambda r: r.add_namespace(APPS))) == {(NAMESPACE_CHANGED, "ns-1")}
    assert await store.write(told(lambda r: r.add_service(API, "api"))) == {(SERVICE_CHANGED, "srv-1")}
    gone = await store.write(told(lambda r: r.remove_service(r.services()[0])))
    assert gone == {(SERVICE_CHANGED, "srv-1")}


async def test_operations_are_kept_for_thirty_days(store: Store) -> None:
    def add(number: int, days: int) -> Callable[[Registry], Any]:
        at = THEN + timedelta(days=days)
        made = Operation(**HERE, operation_id=f"o{number}", type="CREATE_NAMESPACE", created_at=at)
        return lambda r: r.add_operation(made)

    for number, days in enumerate((0, 29, 31)):
        await on(store, add(number, days))
    kept = await on(store, lambda r: [one.operation_id for one in r.operations()])
    assert kept == ["o2", "o1"]
