"""Where local instances publish their tasks' ports, and which range the installation's own network has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from homeport.app.networks.ground import NetworkGround
from homeport.node.commands import CommandError, Run
from homeport.node.instance_net import (
    ZONES,
    InstanceAddress,
    InstanceNet,
    NoFreeRangeError,
    address_of,
    routed_ranges,
)

Report = Callable[[str, Mapping[str, Any]], None]
LOOPBACK = InstanceAddress(index=0, zone=ZONES[0], ip="127.0.0.1", subnet="127.0.0.0/8")
RANGE_FILE = "network"
"""In the data directory: the range that the installation's own network has for good."""


class NoAddressesError(Exception):
    """Instances cannot have addresses of their own; `remedy` says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


async def settle_ground(
    run: Run, homeport: str, data_dir: Path, *, account_id: str, region: str
) -> NetworkGround:
    """The installation's range: the one it had, or the first that is free; routed, and remembered.

    Its VPC keeps it, so that another is no help when somebody else has taken it meanwhile. Raise
    `NoAddressesError` then, and `CommandError` for a machine that lets nobody make links.
    """
    file = data_dir / RANGE_FILE
    known = file.read_text().strip() if file.exists() else ""
    try:
        found = str(await InstanceNet(run, homeport).settle(preferred=known or None))
    except NoFreeRangeError as error:
        raise NoAddressesError(str(error), "Free one of them: see ip route.") from error
    if known and found != known:
        await InstanceNet(run, homeport).down()
        raise NoAddressesError(
            f"the network of this installation is {known}, and something else has a part of it now",
            f"See `ip route show table all`, and end what has it (another Homeport?), or begin anew: "
            f"homeport down --purge --data-dir {data_dir}",
        )
    file.write_text(f"{found}\n")

    async def routes() -> Collection[str]:
        return tuple(sorted(map(str, await routed_ranges(run))))

    return NetworkGround(account_id=account_id, region=region, home_range=found, routes=routes)


def planned_addresses(ground: NetworkGround, count: int) -> tuple[InstanceAddress, ...]:
    """Where instances would like to be."""
    return tuple(address_of(ground.network, index) for index in range(count))


async def hold_addresses(run: Run, homeport: str, addresses: Sequence[InstanceAddress]) -> None:
    """Make them this machine's. Raise `CommandError`."""
    await InstanceNet(run, homeport).hold(addresses)


async def local_addresses(run: Run, homeport: str, count: int, report: Report) -> tuple[InstanceAddress, ...]:
    """An address of its own for each instance, where there is no network of the installation's own.

    Who may not make any, for want of root or of iproute2, can still run one
    instance, on loopback: `network.loopback` is reported. Raise
    `NoAddressesError` for more than one.
    """
    try:
        return await InstanceNet(run, homeport).up(count)
    except NoFreeRangeError as error:
        raise NoAddressesError(str(error), "Free one of them: see ip route.") from error
    except CommandError as error:
        if count > 1:
            raise NoAddressesError(
                f"{count} instances need addresses of their own, which cannot be made: {_first_line(error)}",
                "Run with sudo (and sudo apt-get install iproute2), or leave out --instances.",
            ) from error
        report("network.loopback", {"error": str(error)})
        return (LOOPBACK,)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
