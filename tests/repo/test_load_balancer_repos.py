"""Load balancers, listeners, rules, target groups and targets, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from homeport.core.errors import StaleWriteError
from homeport.services.elbv2.model.balancers import Listener, LoadBalancer
from homeport.services.elbv2.model.groups import Target
from homeport.services.elbv2.model.rules import FixedResponse, Rule
from homeport.services.elbv2.ports import BALANCERS_CHANGED, TARGETS_CHANGED
from homeport.services.elbv2.repo.balancers import BalancerRepo
from homeport.services.elbv2.repo.groups import GroupRepo
from homeport.services.elbv2.repo.whole import every_balancer, find_whole
from homeport.store import DuplicateKeyError, Store, Tx
from tests.kit.elbv2_nouns import NOW, balancer, group, rule, to

HERE = ("000000000000", "us-east-1")


def made(tx: Tx) -> tuple[LoadBalancer, Listener, Rule]:
    """A balancer with a listener that forwards to a group."""
    repo = BalancerRepo(tx, *HERE)
    one = repo.add(balancer())
    target = GroupRepo(tx, *HERE).add(group())
    listener = repo.add_listener(
        Listener(
            arn=f"{one.arn}/l".replace(":loadbalancer/", ":listener/"),
            balancer_id=one.id,
            balancer_arn=one.arn,
            protocol="HTTP",
            port=80,
        )
    )
    default = replace(rule(0, to(target)), listener_id=listener.id, arn=listener.rule_arn("r"))
    return one, listener, repo.add_rule(default, listener)


async def test_a_name_and_a_port_are_taken_once(store: Store) -> None:
    _, listener, _ = await store.write(made)
    with pytest.raises(DuplicateKeyError):
        await store.write(lambda tx: BalancerRepo(tx, *HERE).add(balancer(suffix="f" * 16)))
    with pytest.raises(DuplicateKeyError):
        await store.write(lambda tx: GroupRepo(tx, *HERE).add(replace(group(), suffix="f" * 16)))
    with pytest.raises(DuplicateKeyError):
        await store.write(
            lambda tx: BalancerRepo(tx, *HERE).add_listener(replace(listener, arn=f"{listener.arn}2"))
        )


async def test_what_was_written_meanwhile_is_stale(store: Store) -> None:
    one, listener, default = await store.write(made)
    await store.write(lambda tx: BalancerRepo(tx, *HERE).save(one))
    await store.write(lambda tx: BalancerRepo(tx, *HERE).save_listener(listener))
    await store.write(lambda tx: BalancerRepo(tx, *HERE).save_rule(default, listener))
    held = await store.read(lambda tx: GroupRepo(tx, *HERE).named("app"))
    assert held is not None
    await store.write(lambda tx: GroupRepo(tx, *HERE).save(held))
    for work in (
        lambda tx: BalancerRepo(tx, *HERE).save(one),
        lambda tx: BalancerRepo(tx, *HERE).save_listener(listener),
        lambda tx: BalancerRepo(tx, *HERE).save_rule(default, listener),
        lambda tx: GroupRepo(tx, *HERE).save(held),
    ):
        with pytest.raises(StaleWriteError):
            await store.write(work)


async def test_nobody_finds_what_is_another_accounts(store: Store) -> None:
    one, listener, default = await store.write(made)
    target = default.groups[0]

    def look(tx: Tx) -> list[object]:
        repo, known = (
            BalancerRepo(tx, "111111111111", "us-east-1"),
            GroupRepo(tx, "111111111111", "us-east-1"),
        )
        return [
            repo.find(one.arn),
            repo.listener(listener.arn),
            repo.rule(default.arn),
            repo.users([target]).get(target),
            known.find(target),
        ]

    assert await store.read(look) == [None] * 5


async def test_uses_follow_the_rules(store: Store) -> None:
    one, listener, default = await store.write(made)
    target = default.groups[0]

    def users(tx: Tx) -> list[str]:
        return [user.arn for user in BalancerRepo(tx, *HERE).users([target]).values()]

    assert await store.read(users) == [one.arn]
    other = replace(default, actions=(FixedResponse(status=404),))
    saved = await store.write(lambda tx: BalancerRepo(tx, *HERE).save_rule(other, listener))
    assert await store.read(users) == []
    again = replace(saved, actions=default.actions)
    await store.write(lambda tx: BalancerRepo(tx, *HERE).save_rule(again, listener))
    assert await store.read(users) == [one.arn]
    await store.write(lambda tx: BalancerRepo(tx, *HERE).delete(one))
    assert await store.read(users) == []
    assert await store.read(every_balancer) == ()
    assert await store.read(lambda tx: find_whole(tx, one.arn)) is None


async def test_whoever_serves_and_whoever_waits_hears_of_targets(store: Store) -> None:
    one, _, default = await store.write(made)
    touched: dict[tuple[str, str], None] = {}

    def register(tx: Tx) -> None:
        repo = GroupRepo(tx, *HERE)
        held = repo.named("app")
        assert held is not None
        repo.put(held, [Target(target_id="i-0", port=80, registered_at=NOW)])
        touched.update(tx.touched)

    await store.write(register)
    assert set(touched) == {(TARGETS_CHANGED, default.groups[0]), (BALANCERS_CHANGED, one.arn)}


async def test_only_drained_targets_are_swept(store: Store) -> None:
    await store.write(made)
    ends = {80: None, 81: NOW, 82: NOW + timedelta(seconds=1)}

    def work(tx: Tx) -> list[int]:
        repo = GroupRepo(tx, *HERE)
        held = repo.named("app")
        assert held is not None
        repo.put(
            held,
            [
                Target(target_id="i-0", port=port, registered_at=NOW, drained_at=end)
                for port, end in ends.items()
            ],
        )
        repo.sweep(held, NOW)
        return [target.port for target in repo.targets(held)]

    assert await store.write(work) == [80, 82]
