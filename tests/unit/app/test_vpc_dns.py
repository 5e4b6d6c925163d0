"""Where the VPCs' DNS servers listen, and what they know, follows the rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import pytest

from homeport.app.networks.dns import VpcDns
from homeport.app.networks.names import NameKeeper
from homeport.core.clock import SystemClock
from homeport.core.ids import SeededIds
from homeport.gateway.dns_names import NameBook
from homeport.services.ec2.manifest import (
    NetworkInterface,
    Ranges,
    Shelf,
    Subnet,
    Vpc,
    add_interface,
    open_account,
)
from homeport.services.ec2.repo.networks import add_subnet, add_vpc
from homeport.store import Store, open_memory_store
from homeport.store.tx import Tx

HERE = ("000000000000", "us-east-1")
IDS = SeededIds(4)


class Fakes:
    """A link and a server that remember what they were told."""

    def __init__(self) -> None:
        self.held: Collection[str] = ()
        self.places: Collection[tuple[str, int]] = ()
        self.problems: Mapping[tuple[str, int], str] = {}

    async def hold(self, addresses: Collection[str]) -> None:
        self.held = addresses

    async def listen(self, places: Collection[tuple[str, int]]) -> Mapping[tuple[str, int], str]:
        self.places = places
        return self.problems


def dns(store: Store, fakes: Any) -> VpcDns:
    keeper = NameKeeper(store, NameBook())
    return VpcDns(store=store, clock=SystemClock(), keeper=keeper, server=fakes, link=fakes)


async def look(one: VpcDns) -> None:
    for key in [*await one.keeper.keys(), "listen"]:
        await one.reconcile(key)


async def opened() -> Store:
    store = open_memory_store()
    await store.write(lambda tx: open_account(Shelf(tx, *HERE), IDS, Ranges()))
    return store


async def test_a_vpc_is_served_at_its_base_address_plus_two_while_it_wants_to_be() -> None:
    store, fakes = await opened(), Fakes()
    one = dns(store, fakes)
    await look(one)
    assert (list(fakes.held), list(fakes.places)) == (["172.31.0.2"], [("172.31.0.2", 53)])

    def silent(tx: Tx) -> None:
        shelf = Shelf(tx, *HERE)
        (vpc,) = shelf.all(Vpc)
        shelf.save(msgspec.structs.replace(vpc, dns_support=False))

    await store.write(silent)
    await look(one)
    assert (list(fakes.held), list(fakes.places)) == ([], [])
    await store.close()


async def test_an_address_that_cannot_be_had_is_tried_again() -> None:
    store, fakes = await opened(), Fakes()
    fakes.problems = {("172.31.0.2", 53): "Address already in use"}
    with pytest.raises(OSError, match="already in use"):
        await look(dns(store, fakes))
    await store.close()


async def test_what_is_gone_is_not_known_any_more() -> None:
    store, fakes = await opened(), Fakes()
    one = dns(store, fakes)

    def plug(tx: Tx) -> NetworkInterface:
        shelf = Shelf(tx, *HERE)
        return add_interface(shelf, IDS, shelf.all(Subnet)[0])

    made = await store.write(plug)
    await look(one)
    name = f"ip-{made.address.replace('.', '-')}.ec2.internal"
    (records,) = one.keeper.book.find(made.vpc_id, name).records
    assert records.values == (made.address,)

    def unplug(tx: Tx) -> None:
        Shelf(tx, *HERE).delete(made)

    await store.write(unplug)
    await look(one)
    assert one.keeper.book.find(made.vpc_id, name).records == ()
    assert one.keeper.book.find(made.vpc_id, name).zone is not None, "nobody else is asked"
    await store.close()


async def test_of_two_vpcs_that_overlap_the_one_with_addresses_in_use_asks_and_is_answered() -> None:
    store, fakes = await opened(), Fakes()
    one = dns(store, fakes)

    def more(tx: Tx) -> tuple[str, NetworkInterface]:
        shelf = Shelf(tx, *HERE)
        older, younger = (
            add_vpc(shelf, IDS, cidr=cidr, is_default=False, tags={}) for cidr in ("10.9.0.0/16",) * 2
        )
        zone = f"{HERE[1]}a"
        subnet = add_subnet(shelf, IDS, younger, cidr="10.9.1.0/24", zone=zone, is_default=False, tags={})
        return older.resource_id, add_interface(shelf, IDS, subnet)

    older, made = await store.write(more)
    await look(one)
    assert one.keeper.book.scope_of(made.address) == made.vpc_id != older
    assert sorted(fakes.held) == ["10.9.0.2", "172.31.0.2"]

    def gone(tx: Tx) -> None:
        shelf = Shelf(tx, *HERE)
        shelf.delete(made)
        shelf.delete(shelf.get(Vpc, made.vpc_id))

    await store.write(gone)
    await one.reconcile(f"vpc/{made.vpc_id}")
    assert one.keeper.book.scope_of(made.address) == older
    await store.close()
