"""EC2's rows: guarded writes, addresses with one owner, hints for those who obey the rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
import pytest

from homeport.core.errors import StaleWriteError
from homeport.core.ids import SeededIds
from homeport.services.ec2.errors import Ec2Error
from homeport.services.ec2.model import Rule, SecurityGroup, Subnet, Vpc
from homeport.services.ec2.plan.cidrs import usable
from homeport.services.ec2.repo.addresses import AddressBook
from homeport.services.ec2.repo.interfaces import add_interface, remove_interface
from homeport.services.ec2.repo.networks import Ranges, add_group, open_account
from homeport.services.ec2.repo.shelf import Shelf
from homeport.services.ec2.repo.tables import addresses
from homeport.store import Store
from homeport.store.errors import DuplicateKeyError
from homeport.store.tx import Tx

T = TypeVar("T")
IDS = SeededIds(4)
HERE = ("000000000000", "us-east-1")


async def on_shelf(store: Store, work: Callable[[Shelf], T]) -> T:
    def run(tx: Tx) -> T:
        shelf = Shelf(tx, *HERE)
        open_account(shelf, IDS, Ranges())
        return work(shelf)

    return await store.write(run)


async def test_an_account_is_opened_once(store: Store) -> None:
    for _ in range(2):
        found = await on_shelf(store, lambda shelf: shelf.all(Vpc))
        assert [one.cidr for one in found] == ["172.31.0.0/16"]
    other = await store.read(lambda tx: Shelf(tx, "111111111111", "us-east-1").is_open())
    assert not other


async def test_who_read_an_older_version_writes_and_deletes_nothing(store: Store) -> None:
    (vpc,) = await on_shelf(store, lambda shelf: shelf.all(Vpc))
    changed = msgspec.structs.replace(vpc, dns_hostnames=False)
    assert (await on_shelf(store, lambda shelf: shelf.save(changed))).version == vpc.version + 1
    with pytest.raises(StaleWriteError):
        await on_shelf(store, lambda shelf: shelf.save(changed))
    with pytest.raises(StaleWriteError):
        await on_shelf(store, lambda shelf: shelf.delete(vpc))
    (kept,) = await on_shelf(store, lambda shelf: shelf.all(Vpc))
    assert not kept.dns_hostnames


async def test_an_id_is_somebodys_once(store: Store) -> None:
    (vpc,) = await on_shelf(store, lambda shelf: shelf.all(Vpc))
    with pytest.raises(DuplicateKeyError):
        await on_shelf(store, lambda shelf: shelf.add(vpc))


async def test_a_claim_on_an_older_subnet_gets_no_address(store: Store) -> None:
    subnet, *_ = await on_shelf(store, lambda shelf: shelf.all(Subnet))
    first = await on_shelf(store, lambda shelf: AddressBook(shelf).claim(subnet, "eni-1"))
    assert first == "172.31.0.4"
    with pytest.raises(StaleWriteError):
        await on_shelf(store, lambda shelf: AddressBook(shelf).claim(subnet, "eni-2"))
    assert await on_shelf(store, lambda shelf: AddressBook(shelf).taken([subnet.resource_id])) == {
        subnet.resource_id: 1
    }


async def test_an_address_is_free_again_when_its_interface_is_gone(store: Store) -> None:
    def fill(shelf: Shelf) -> str:
        subnet = shelf.all(Subnet)[0]
        one = add_interface(shelf, IDS, subnet, address="172.31.0.100")
        with pytest.raises(Ec2Error):
            AddressBook(shelf).claim(shelf.get(Subnet, subnet.resource_id), "eni-2", "172.31.0.100")
        remove_interface(shelf, one)
        return AddressBook(shelf).claim(shelf.get(Subnet, subnet.resource_id), "eni-2", "172.31.0.100")

    assert await on_shelf(store, fill) == "172.31.0.100"


async def test_a_full_window_of_taken_addresses_is_searched_on(store: Store) -> None:
    """More than one read of what is taken: the search goes on behind its last address."""

    def fill(shelf: Shelf) -> str:
        subnet = shelf.all(Subnet)[1]
        first, _ = usable(subnet.cidr)
        taken = range(first, first + 1100)
        rows = [{"subnet_id": subnet.resource_id, "address": one, "interface_id": "eni-1"} for one in taken]
        shelf.tx.execute(addresses.insert(), rows)
        return AddressBook(shelf).claim(subnet, "eni-last")

    assert await on_shelf(store, fill) == "172.31.20.80"


async def test_what_changes_a_groups_rules_leaves_a_hint(store: Store) -> None:
    await on_shelf(store, lambda shelf: shelf.all(Vpc))

    def add(tx: Tx) -> set[tuple[str, str]]:
        shelf = Shelf(tx, *HERE)
        (vpc,) = shelf.all(Vpc)
        add_group(shelf, IDS, vpc_id=vpc.resource_id, name="web", description="web", tags={})
        return set(tx.touched)

    touched = await store.write(add)
    group = next(one for one in await on_shelf(store, lambda s: s.all(SecurityGroup)) if one.name == "web")
    (rule,) = await on_shelf(store, lambda shelf: shelf.rules(group.resource_id))
    assert isinstance(rule, Rule)
    assert touched == {
        ("ec2.security-group", group.resource_id),
        ("ec2.security-group-rule", rule.resource_id),
    }
