"""ECS's repositories: what is saved is found, stale writes are refused, and the feed hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from homeport.core.errors import StaleWriteError
from homeport.runtime import Change
from homeport.runtime.retry import decide_again
from homeport.services.ecs.model import GROUP_ATTRIBUTE, Attribute, Cluster
from homeport.services.ecs.repo.capacity_providers import CapacityProviderRepo
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.daemons import DaemonRepo
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.memberships import providers_of
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.settings import SettingRepo, TokenRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.repo.task_sets import TaskSetRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store import DuplicateKeyError, Store, Tx
from tests.repo import nouns
from tests.repo.nouns import ACCOUNT, NOON, REGION


def _repos() -> list[Any]:
    """A repository, a noun of its own, and what can change of it."""

    def case(name: str, repo: Callable[[Tx], Any], make: Callable[[], Any], change: dict[str, Any]) -> Any:
        return pytest.param(repo, make, change, id=name)

    return [
        case("capacity provider", CapacityProviderRepo, nouns.capacity_provider, {"status": "INACTIVE"}),
        case("cluster", ClusterRepo, nouns.cluster, {"status": "INACTIVE"}),
        case("daemon", DaemonRepo, lambda: nouns.daemon(1, "agent"), {"status": "DELETE_IN_PROGRESS"}),
        case("instance", InstanceRepo, lambda: nouns.instance(1, 1), {"status": "DRAINING"}),
        case("service", ServiceRepo, lambda: nouns.service(1, "web"), {"desired_count": 7}),
        case("task set", TaskSetRepo, lambda: nouns.task_set(1, 1), {"scale": 12.5}),
        case("task", TaskRepo, lambda: nouns.task(1, 1), {"last_status": "RUNNING"}),
    ]


def add(tx: Tx, repo: Any, noun: Any) -> Any:
    if repo is not ClusterRepo:
        ClusterRepo(tx).add(nouns.cluster("of its own"))
    return repo(tx).add_all([noun])[0] if repo is TaskRepo else repo(tx).add(noun)


@pytest.mark.parametrize(("repo", "make", "change"), _repos())
class TestNoun:
    async def test_what_is_added_is_found_with_its_row(
        self, store: Store, repo: Any, make: Any, change: Any
    ) -> None:
        added = await store.write(lambda tx: add(tx, repo, make()))
        assert added.id > 0
        assert await store.read(lambda tx: repo(tx).get(added.id)) == added
        assert await store.read(lambda tx: repo(tx).get(added.id + 1000)) is None

    async def test_a_save_counts_the_version_up_and_a_stale_one_is_refused(
        self, store: Store, repo: Any, make: Any, change: Any
    ) -> None:
        added = await store.write(lambda tx: add(tx, repo, make()))
        saved = await store.write(lambda tx: repo(tx).save(replace(added, **change)))
        assert saved.version == added.version + 1
        with pytest.raises(StaleWriteError):
            await store.write(lambda tx: repo(tx).save(replace(added, tags=({"key": "late"},))))
        found = await store.read(lambda tx: repo(tx).get(added.id))
        assert found.version == saved.version
        assert {name: getattr(found, name) for name in change} == change
        assert found.tags == ()

    async def test_of_many_that_save_at_once_each_gets_through_by_deciding_again(
        self, store: Store, repo: Any, make: Any, change: Any
    ) -> None:
        added = await store.write(lambda tx: add(tx, repo, make()))

        def one_more(tx: Tx) -> None:
            current = repo(tx).get(added.id)
            repo(tx).save(replace(current, tags=(*current.tags, {"key": "x"})))

        await asyncio.gather(*(decide_again(lambda: store.write(one_more)) for _ in range(8)))
        found = await store.read(lambda tx: repo(tx).get(added.id))
        assert len(found.tags) == 8
        assert found.version == added.version + 8

    async def test_the_feed_hears_of_it(self, store: Store, repo: Any, make: Any, change: Any) -> None:
        feed = store.feed.subscribe()
        assert (await anext(feed)).resync
        added = await store.write(lambda tx: add(tx, repo, make()))
        told = (await anext(feed)).changes
        kind, key = {
            CapacityProviderRepo: ("ecs.capacity-provider", str(added.id)),
            ClusterRepo: ("ecs.cluster", str(added.id)),
            DaemonRepo: ("ecs.daemon", str(added.id)),
            InstanceRepo: ("ecs.instance", str(added.id)),
            ServiceRepo: ("ecs.service", str(added.id)),
            TaskSetRepo: ("ecs.service", "1"),
            TaskRepo: ("ecs.task", f"1/{nouns.uid(1)}"),
        }[repo]
        assert Change(kind, key) in told
        await store.write(lambda tx: repo(tx).save(replace(added, **change)))
        assert Change(kind, key) in (await anext(feed)).changes


async def test_of_many_that_create_one_cluster_one_does(store: Store) -> None:
    def ensure(tx: Tx) -> int:
        found = ClusterRepo(tx).find(ACCOUNT, REGION, "default")
        return (found or ClusterRepo(tx).add(nouns.cluster())).id

    ids = await asyncio.gather(*(decide_again(lambda: store.write(ensure)) for _ in range(10)))
    assert len(set(ids)) == 1


async def test_a_group_belongs_to_one_provider_until_that_is_deleted(store: Store) -> None:
    def of_group(tx: Tx) -> str | None:
        found = CapacityProviderRepo(tx).of_group(ACCOUNT, REGION, "g")
        return None if found is None else found.name

    first = await store.write(
        lambda tx: CapacityProviderRepo(tx).add(nouns.capacity_provider("a", group="g"))
    )
    assert await store.read(of_group) == "a"
    second = nouns.capacity_provider("b", group="g")
    with pytest.raises(DuplicateKeyError):
        await store.write(lambda tx: CapacityProviderRepo(tx).add(second))
    await store.write(lambda tx: CapacityProviderRepo(tx).save(replace(first, status="INACTIVE")))
    await store.write(lambda tx: CapacityProviderRepo(tx).add(second))
    assert await store.read(of_group) == "b"
    listed = await store.read(lambda tx: CapacityProviderRepo(tx).listed(ACCOUNT, REGION))
    assert [provider.name for provider in listed] == ["b"]


async def test_what_uses_a_capacity_provider_is_found(store: Store) -> None:
    """Underscores in names are no wildcards; what has stopped or ended uses nothing."""
    strategy = ({"capacityProvider": "a_b", "weight": 1, "base": 0},)

    def fill(tx: Tx) -> int:
        cluster = ClusterRepo(tx).add(nouns.cluster(capacity_providers=("a_b",)))
        ClusterRepo(tx).add(nouns.cluster("gone", status="INACTIVE", capacity_providers=("a_b",)))
        tasks = [nouns.task(cluster.id, n, capacity_provider=p) for n, p in ((1, "a_b"), (2, "done"))]
        _, done = TaskRepo(tx).add_all(tasks)
        TaskRepo(tx).save(replace(done, stopped_at=NOON))
        deployment = replace(nouns.deployment(), strategy=strategy)
        ServiceRepo(tx).add(nouns.service(cluster.id, "web", deployments=(deployment,)))
        ended = replace(deployment, strategy=({**strategy[0], "capacityProvider": "done"},))
        ServiceRepo(tx).add(nouns.service(cluster.id, "old", deployments=(ended,), status="INACTIVE"))
        CapacityProviderRepo(tx).add(nouns.capacity_provider("a_b", group="g"))
        CapacityProviderRepo(tx).add(nouns.capacity_provider("done", group="h", status="INACTIVE"))
        return cluster.id

    cluster_id = await store.write(fill)

    def look(tx: Tx) -> tuple[Any, ...]:
        tasks, clusters = TaskRepo(tx), ClusterRepo(tx).of_provider(ACCOUNT, REGION, "a_b")
        uses = [tasks.any_of_provider(cluster_id, name) for name in ("a_b", "axb", "a", "done")]
        groups = CapacityProviderRepo(tx).groups(ACCOUNT, REGION, ["a_b", "done", "ghost"])
        return uses, [one.id for one in clusters], ServiceRepo(tx).providers_in_use(cluster_id), groups

    assert await store.read(look) == ([True, False, False, False], [cluster_id], {"a_b"}, {"a_b": "g"})


async def test_an_instance_belongs_to_the_provider_of_its_group(store: Store) -> None:
    def work(tx: Tx) -> dict[int, str]:
        cluster = ClusterRepo(tx).add(nouns.cluster(capacity_providers=("mine",)))
        CapacityProviderRepo(tx).add(nouns.capacity_provider("mine", group="g"))
        CapacityProviderRepo(tx).add(nouns.capacity_provider("others", group="h"))
        groups = (("g",), ("h",), ())
        return providers_of(
            tx,
            [
                InstanceRepo(tx).add(
                    nouns.instance(
                        cluster.id,
                        number,
                        attributes=tuple(Attribute(name=GROUP_ATTRIBUTE, value=name) for name in names),
                    )
                )
                for number, names in enumerate(groups, 1)
            ],
        )

    assert list((await store.write(work)).values()) == ["mine"]


async def test_a_cluster_or_a_token_that_is_there_already_is_a_stale_write(store: Store) -> None:
    def token(tx: Tx) -> None:
        TokenRepo(tx).add("RunTask/1", "t", digest="d", result="r", created_at=1.0)

    await store.write(lambda tx: ClusterRepo(tx).add(nouns.cluster()))
    await store.write(token)
    for again in (lambda tx: ClusterRepo(tx).add(nouns.cluster()), token):
        with pytest.raises(DuplicateKeyError):
            await store.write(again)
    assert await store.read(lambda tx: TokenRepo(tx).find("RunTask/1", "t")) == ("d", "r")


async def test_revisions_are_handed_out_once_each_among_many(store: Store) -> None:
    def register(tx: Tx) -> int:
        repo = TaskDefinitionRepo(tx)
        number = repo.next_revision(ACCOUNT, REGION, "web")
        repo.add(nouns.definition("web", number))
        return number

    numbers = await asyncio.gather(*(decide_again(lambda: store.write(register)) for _ in range(12)))
    assert sorted(numbers) == list(range(1, 13))
    latest = await store.read(lambda tx: TaskDefinitionRepo(tx).latest_active(ACCOUNT, REGION, "web"))
    assert latest is not None
    assert latest.revision == 12


async def test_one_of_two_placements_decided_on_the_same_fleet_is_stale(store: Store) -> None:
    made = await store.write(lambda tx: ClusterRepo(tx).add(nouns.cluster()))

    def read() -> Any:
        return store.read(lambda tx: ClusterRepo(tx).get(made.id))

    before: Cluster = await read()
    await store.write(lambda tx: ClusterRepo(tx).guard_placement(before))
    with pytest.raises(StaleWriteError):
        await store.write(lambda tx: ClusterRepo(tx).guard_placement(before))
    current: Cluster = await read()
    await store.write(lambda tx: InstanceRepo(tx).add(nouns.instance(made.id, 1)))
    with pytest.raises(StaleWriteError):
        await store.write(lambda tx: ClusterRepo(tx).guard_placement(current))
    both = [await read()] * 2
    results = await asyncio.gather(
        *(store.write(lambda tx, c=c: ClusterRepo(tx).guard_placement(c)) for c in both),  # type: ignore[misc]
        return_exceptions=True,
    )
    assert sorted(type(r).__name__ for r in results) == ["NoneType", "StaleWriteError"]


async def test_pages_of_tasks_go_on_where_they_ended_and_filters_hold(store: Store) -> None:
    def make(tx: Tx) -> None:
        TaskRepo(tx).add_all([nouns.task(1, n, started_by="me" if n % 2 else None) for n in range(1, 31)])
        TaskRepo(tx).add_all([nouns.task(2, 99)])

    await store.write(make)

    def page(after: int, **filters: Any) -> Any:
        return store.read(
            lambda tx: TaskRepo(tx).page(
                1, desired_status="RUNNING", after_id=after, limit=7, filters={"service_id": None, **filters}
            )
        )

    seen: list[str] = []
    rows = await page(0)
    while rows:
        seen += [row[1] for row in rows]
        rows = await page(rows[-1][0])
    assert seen == [nouns.uid(n) for n in range(1, 31)]
    assert [row[1] for row in await page(0, started_by="me")] == [nouns.uid(n) for n in range(1, 15, 2)]
    assert await page(0, family="other") == ()


async def test_stopped_tasks_are_forgotten_in_time_and_no_others(store: Store) -> None:
    def make(tx: Tx) -> None:
        for task in TaskRepo(tx).add_all([nouns.task(1, n) for n in range(1, 5)]):
            hours = int(task.uid, 16)
            if hours > 1:
                stopped = NOON + timedelta(hours=hours)
                TaskRepo(tx).save(replace(task, last_status="STOPPED", stopped_at=stopped))

    await store.write(make)
    oldest = await store.read(lambda tx: TaskRepo(tx).oldest_stop())
    assert oldest == (NOON + timedelta(hours=2)).timestamp()
    purged = await store.write(lambda tx: TaskRepo(tx).purge(NOON + timedelta(hours=3, minutes=1), limit=10))
    assert purged == 2
    left = await store.read(lambda tx: TaskRepo(tx).find_many(1, [nouns.uid(n) for n in range(1, 5)]))
    assert sorted(left) == [nouns.uid(1), nouns.uid(4)]


async def test_more_ids_than_a_statement_takes_are_found_all_the_same(store: Store) -> None:
    count = 1_300
    await store.write(
        lambda tx: TaskRepo(tx).add_all([nouns.task(1, n) for n in range(count)]) and None, bulk=True
    )
    found = await store.read(
        lambda tx: TaskRepo(tx).find_many(1, [nouns.uid(n) for n in range(count + 50)]), bulk=True
    )
    assert len(found) == count
    assert await store.read(lambda tx: TaskRepo(tx).find_many(1, [])) == {}


async def test_settings_and_tokens_are_put_replaced_and_purged(store: Store) -> None:
    def put(value: str) -> Callable[[Tx], None]:
        return lambda tx: SettingRepo(tx, ACCOUNT, REGION).put("arn:me", "containerInsights", value)

    await asyncio.gather(*(decide_again(lambda v=v: store.write(put(v))) for v in ("on", "off", "on")))  # type: ignore[misc]
    found = await store.read(lambda tx: SettingRepo(tx, ACCOUNT, REGION).explicit(("arn:me", "arn:you")))
    assert list(found) == [("arn:me", "containerInsights")]

    def tokens(tx: Tx) -> None:
        for at in (1.0, 2.0, 3.0):
            TokenRepo(tx).add("RunTask/1", f"t{at}", digest="d", result="r", created_at=at)

    await store.write(tokens)
    await store.write(lambda tx: TokenRepo(tx).purge(2.0))
    kept = [
        await store.read(lambda tx, at=at: TokenRepo(tx).find("RunTask/1", f"t{at}"))
        for at in (1.0, 2.0, 3.0)
    ]  # type: ignore[misc]
    assert [found is not None for found in kept] == [False, True, True]


async def test_task_sets_are_their_services_and_go_when_nobody_wrote_them_meanwhile(store: Store) -> None:
    def make(tx: Tx) -> Any:
        return [TaskSetRepo(tx).add(nouns.task_set(n % 2, n)) for n in range(1, 5)]

    first, second, third, fourth = await store.write(make)

    def of(service_id: int) -> Any:
        return store.read(lambda tx: TaskSetRepo(tx).of_service(service_id))

    assert await of(1) == (first, third)
    assert await store.read(lambda tx: TaskSetRepo(tx).definition_ids()) == {1, 2, 3, 4}
    await store.write(lambda tx: TaskSetRepo(tx).save(replace(second, status="DRAINING")))
    with pytest.raises(StaleWriteError):
        await store.write(lambda tx: TaskSetRepo(tx).remove(second))
    await store.write(lambda tx: TaskSetRepo(tx).remove(fourth))
    assert [found.id for found in await of(0)] == [second.id]
