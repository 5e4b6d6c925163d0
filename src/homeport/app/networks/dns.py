"""The DNS servers of this installation's VPCs: each at its VPC's base address plus two, port 53.

Source: VPC user guide, "Amazon DNS server".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import IPv4Network

from homeport.app.networks.names import VPC, NameKeeper
from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.gateway.dns import PORT, DnsServer, Upstream
from homeport.gateway.dns_names import NameBook
from homeport.node.address_link import AddressLink
from homeport.node.commands import run_command
from homeport.runtime.pump import FeedPump, Route
from homeport.runtime.queue import WorkQueue
from homeport.runtime.runner import Next, Runner
from homeport.runtime.supervisor import Supervisor
from homeport.store.base import Store

OFFSET = 2
"""Of a VPC's DNS server in its range."""
_LISTEN = "listen"


def dns_link(homeport: str) -> str:
    """The name of the link with the addresses of an installation's DNS servers, at most 15 characters."""
    return f"hpn-{sha256(homeport.encode()).hexdigest()[:10]}"


def dns_address(cidr: str) -> str:
    """Where a VPC's DNS server is."""
    return str(IPv4Network(cidr)[OFFSET])


@dataclass(frozen=True, slots=True, kw_only=True)
class VpcDns:
    """A controller: what is known follows the change feed, and what is listened on follows the VPCs."""

    store: Store
    clock: Clock
    keeper: NameKeeper
    server: DnsServer
    link: AddressLink
    port: int = PORT
    _queue: WorkQueue[str] = field(default_factory=WorkQueue)

    name = "vpc.dns"

    def start(self, supervisor: Supervisor) -> None:
        """Answer from now on."""
        route = Route(
            kinds=self.keeper.kinds, queue=self._queue, list_keys=self._keys, keys_of=self.keeper.keys_of
        )
        supervisor.start("dns-server", self._serve)
        supervisor.start("dns-feed", FeedPump(self.store.feed.subscribe, [route]).run)
        supervisor.start("dns", Runner(self, self._queue, self.clock).run)

    async def _serve(self) -> None:
        self._queue.add(_LISTEN)
        await self.server.run()

    async def _keys(self) -> Iterable[str]:
        return [*await self.keeper.keys(), _LISTEN]

    async def reconcile(self, key: str) -> Next:
        """One thing that has names; then, if it is a VPC, where to listen. Raise `OSError` to try again."""
        if key != _LISTEN:
            await self.keeper.reconcile(key)
            if not key.startswith(f"{VPC}/"):
                return Next()
        served = [str(one.cidr) for one in self.keeper.book.networks() if one.is_served]
        places = [(dns_address(cidr), self.port) for cidr in served]
        await self.link.hold([host for host, _ in places])
        problems = await self.server.listen(places)
        if problems:
            told = "; ".join(f"{host} port {port}: {why}" for (host, port), why in problems.items())
            raise OSError(f"the VPC's DNS server cannot listen on {told}")
        return Next()


def local_dns(store: Store, clock: Clock, ids: Ids, installation_id: str, *, home_range: str) -> VpcDns:
    """The machine's own. It needs root. Askers of no VPC are the home's, whichever VPC has its range."""
    book = NameBook(home=IPv4Network(home_range))
    return VpcDns(
        store=store,
        clock=clock,
        keeper=NameKeeper(store, book),
        server=DnsServer(book, Upstream(ids), ids),
        link=AddressLink(run_command, dns_link(installation_id)),
    )
