"""What carries the load balancers' traffic on a machine: a proxy, and links with their addresses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from homeport.app.balancers.access_log_files import LogFiles
from homeport.app.balancers.access_logs import AccessLogKeeper, LocalProxy
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
    balancers by their names, and why one does not. `keep_logs` brings access logs to their buckets.
    """

    plane: DataPlane
    trust: Callable[[Iterable[TlsMaterial]], None]
    link: Link
    connect_link: Link
    news: WorkQueue[str]
    run: Callable[[], Awaitable[None]]
    doors: Callable[[], Mapping[int, str]]
    keep_logs: Callable[[], Awaitable[None]]


def local_carrier(installation_id: str, data_dir: Path, gate: Gate | None = None) -> Carrier:
    """The machine's own. It needs root. `gate` lets clients log in, `data_dir` gets access logs."""
    news = WorkQueue[str]()
    folder = proxy_folder(installation_id)
    logs = AccessLogKeeper(LogFiles(data_dir.absolute()), LocalProxy(folder))
    plane = LocalPlane(folder, told=news.add, gate=gate, logs=logs)
    link = AddressLink(run_command, balancer_link(installation_id))
    return Carrier(
        plane=plane,
        trust=plane.trust,
        link=link,
        connect_link=AddressLink(run_command, connect_link(installation_id)),
        news=news,
        run=plane.run,
        doors=plane.doors,
        keep_logs=lambda: logs.run(plane.again),
    )
