"""Addresses for local instances, with and without the right to make them."""

from __future__ import annotations

import json

import pytest

from homeport.app.networks.addresses import LOOPBACK, NoAddressesError, local_addresses
from homeport.node.commands import CommandError


async def allowed(*command: str, stdin: str = "") -> str:
    """A machine with nothing but a default route, where everything may be done."""
    del stdin
    return json.dumps([{"dst": "default"}]) if "route" in command else "[]"


async def denied(*command: str, stdin: str = "") -> str:
    if stdin:
        raise CommandError("ip -batch -: RTNETLINK answers: Operation not permitted")
    return "[]"


async def missing(*command: str, stdin: str = "") -> str:
    del stdin
    raise CommandError(f"{command[0]}: No such file or directory")


async def full(*command: str, stdin: str = "") -> str:
    del stdin
    everywhere = [{"dst": "10.0.0.0/8"}, {"dst": "172.16.0.0/12"}]
    return json.dumps(everywhere) if "route" in command else "[]"


async def test_each_instance_has_an_address_of_its_own() -> None:
    told: list[str] = []
    found = await local_addresses(allowed, "h", 3, lambda event, _: told.append(event))
    assert [address.ip for address in found] == ["172.31.0.4", "172.31.16.4", "172.31.32.4"]
    assert told == []


@pytest.mark.parametrize("machine", [denied, missing])
async def test_one_instance_runs_on_loopback_where_no_address_can_be_made(machine: object) -> None:
    told: list[str] = []
    found = await local_addresses(machine, "h", 1, lambda event, _: told.append(event))  # type: ignore[arg-type]
    assert found == (LOOPBACK,)
    assert told == ["network.loopback"]


@pytest.mark.parametrize("machine", [denied, missing])
async def test_several_are_refused_there_with_a_remedy(machine: object) -> None:
    with pytest.raises(NoAddressesError) as refused:
        await local_addresses(machine, "h", 2, lambda *_: None)  # type: ignore[arg-type]
    assert "sudo" in refused.value.remedy


async def test_a_machine_whose_every_range_is_taken_is_told_so() -> None:
    with pytest.raises(NoAddressesError, match="routed"):
        await local_addresses(full, "h", 1, lambda *_: None)
