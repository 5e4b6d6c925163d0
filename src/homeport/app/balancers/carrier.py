"""What carries the load balancers' traffic on a machine: a proxy, and links with their addresses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from homeport.app.balancers.envoy_process import proxy_folder
from homeport.app.balancers.network import Link
from homeport.app.balancers.plane import LocalPlane
from homeport.dataplane.model import TlsMaterial
from homeport.gateway.logins.gate import Gate
from homeport.node.address_link import AddressLink, balancer_link, connect_link
from homeport.node.commands import run_command
from homeport.runtime.queue import WorkQueue
from homeport.services.elbv2.manifest import DataPlane


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """`news` gets the ids of groups of which a target is in another health. `run` keeps it going.

    `trust` hears what the ids of certificates stand for. `doors` tells the ports on loopback that lead to
    balancers by their names, and why one does not.
    """

    plane: DataPlane
    trust: Callable[[Iterable[TlsMaterial]], None]
    link: Link
    connect_link: Link
    news: WorkQueue[str]
    run: Callable[[], Awaitable[None]]
    doors: Callable[[], Mapping[int, str]]


def local_carrier(installation_id: str, gate: Gate | None = None) -> Carrier:
    """The machine's own. It needs root. `gate` lets clients log in."""
    news = WorkQueue[str]()
    plane = LocalPlane(proxy_folder(installation_id), told=news.add, gate=gate)
    link = AddressLink(run_command, balancer_link(installation_id))
    return Carrier(
        plane=plane,
        trust=plane.trust,
        link=link,
        connect_link=AddressLink(run_command, connect_link(installation_id)),
        news=news,
        run=plane.run,
        doors=plane.doors,
    )
