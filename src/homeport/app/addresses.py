"""Where local instances publish their tasks' ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from homeport.node.commands import CommandError, Run
from homeport.node.instance_net import ZONES, InstanceAddress, InstanceNet, NoFreeRangeError

Report = Callable[[str, Mapping[str, Any]], None]
LOOPBACK = InstanceAddress(index=0, zone=ZONES[0], ip="127.0.0.1", subnet="127.0.0.0/8")


class NoAddressesError(Exception):
    """Instances cannot have addresses of their own; `remedy` says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


async def local_addresses(run: Run, homeport: str, count: int, report: Report) -> tuple[InstanceAddress, ...]:
    """An address of its own for each instance.

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
