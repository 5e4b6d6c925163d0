"""What all sandboxes of an installation stand on: a range of inner addresses, rules, a way past Docker's.

The range is a route on a link of ours: that keeps Docker and a second Homeport from taking it, and a restart
finds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from ipaddress import IPv4Network
from pathlib import Path

from homeport.core.log import get_logger
from homeport.node.commands import CommandError, Run
from homeport.node.firewall.watch import watch
from homeport.node.instance_net import bridge_exists, claim_range, range_of
from homeport.node.nft import Nft, NftLibrary
from homeport.node.sandbox import layout, wire
from homeport.node.sandbox.layout import Block
from homeport.node.sandbox.published import PublishedPorts
from homeport.node.sandbox.rules import Endpoints, Table, ruleset

log = get_logger("node.sandbox")

AGAIN_SECONDS = 1.0
PAUSE_SECONDS = 0.5
"""Between two looks at Docker's tables: Docker changes them with each container of its own networks."""
_FILTERS = "filter"
"""The table that iptables keeps Docker's chains in."""
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def _forward_packets() -> None:
    if _FORWARDING.read_text().strip() == "0":
        _FORWARDING.write_text("1")
        log.info("forwarding.enabled")


async def left_behind(run: Run, homeport: str, instances: Mapping[int, str]) -> tuple[Block, ...]:
    """Which inner addresses sandboxes of an earlier process have.

    Nothing, where there is no range: then there are no such sandboxes either. Raise `CommandError`.
    """
    network = await range_of(run, layout.link_name(homeport))
    return () if network is None else layout.blocks_of(network, instances)


class SandboxGround:
    """One installation's. Every call may be repeated."""

    def __init__(self, run: Run, nft: Nft, homeport: str, *, links: Collection[str] = ()) -> None:
        """`links`: the installation's own links besides, towards which nothing leaves the machine."""
        self._run = run
        self._nft = nft
        self.homeport = homeport
        self._link = layout.link_name(homeport)
        self._links = (self._link, *sorted(links))
        self._instances: dict[int, str] = {}
        self._deaf: frozenset[int] = frozenset()
        self._others: frozenset[str] = frozenset()
        self._endpoints: Endpoints | None = None
        self.network: IPv4Network
        """The range of inner addresses, once it is settled."""
        self.published = PublishedPorts(run, nft, layout.table_name(homeport))

    @property
    def host(self) -> str:
        """The host's inner address: where metadata is served."""
        return layout.host_address(self.network)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Which inner addresses are which instance's."""
        return layout.blocks_of(self.network, self._instances)

    def instance_address(self, index: int) -> str:
        """Where its ports are published; empty: it publishes none."""
        return self._instances.get(index, "")

    async def settle(self) -> IPv4Network:
        """The range, routed to our link, and the host's address. Raise `CommandError`, `NoFreeRangeError`."""
        self.network = await claim_range(self._run, self._link, layout.pick_range)
        await self._run("ip", "address", "replace", f"{self.host}/32", "dev", self._link)
        return self.network

    async def up(
        self, instances: Mapping[int, str], *, deaf: Collection[int] = (), others: Collection[str] = ()
    ) -> None:
        """Rules for these instances (by number: their addresses). Raise as `settle`.

        `deaf`: instances whose sandboxes must not reach the instance metadata service. `others`: as `part`.
        """
        await self.settle()
        self._instances, self._deaf, self._others = dict(instances), frozenset(deaf), frozenset(others)
        await asyncio.to_thread(_forward_packets)
        await self._apply()
        # Instances that are not run any more: somebody else may have their addresses by then.
        blocks = [block.network for block in self.blocks]
        await self.published.keep(lambda inner: not any(layout.is_in(inner, block) for block in blocks))
        await self._past_docker()

    async def point(self, endpoints: Endpoints) -> None:
        """Where metadata is served. Raise `CommandError`."""
        self._endpoints = endpoints
        await self._apply()

    async def part(self, others: Collection[str]) -> None:
        """Into networks behind these links nothing leads but what they publish. Raise `CommandError`."""
        before, self._others = self._others, frozenset(others)
        if self._others == before:
            return
        try:
            await self._apply()
        except CommandError:
            self._others = before
            raise

    async def restore(self) -> None:
        """All rules and published ports, as they are meant to be. Raise `CommandError`."""
        await self._apply()
        await self.published.restore()
        await self._past_docker()
        log.info("rules.restored")

    async def watch(self) -> None:
        """Restore them whenever somebody else touched them, until cancelled."""
        if not isinstance(self._nft, NftLibrary):
            return  # a program's changes cannot be told from those of others
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(layout.table_name(self.homeport), self.restore))
            group.create_task(self._watch(_FILTERS, self._past_docker, seconds=PAUSE_SECONDS))

    async def _watch(
        self, table: str, restore: Callable[[], Awaitable[None]], *, seconds: float = 0.0
    ) -> None:
        touched = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(watch(table, touched.set))
            while True:
                await touched.wait()
                touched.clear()
                try:
                    await restore()
                except CommandError as error:
                    log.warning("rules.not_restored", table=table, error=str(error))
                    await asyncio.sleep(AGAIN_SECONDS)
                    touched.set()
                else:
                    await asyncio.sleep(seconds)

    async def down(self) -> None:
        """Remove everything. Call it when no holder is left. Raise `CommandError`, `OSError`."""
        if not await bridge_exists(self._run, self._link):  # the link is made first, and goes last
            return
        strays = await asyncio.to_thread(wire.names, layout.veth_prefix(self.homeport))
        await asyncio.to_thread(wire.cut, strays)
        for rule in self._docker_rules():
            try:
                await self._run("iptables", "-w", "-D", *rule)
            except CommandError as error:
                log.debug("docker_rule.missing", error=str(error))
        # Adding it first makes deleting a missing one fine.
        table = f"table inet {layout.table_name(self.homeport)}"
        await self._nft(f"add {table}\ndelete {table}\n")
        await self._run("ip", "link", "delete", self._link)

    async def _apply(self) -> None:
        table = Table(
            name=layout.table_name(self.homeport),
            veths=layout.veth_prefix(self.homeport),
            links=self._links,
            host=self.host,
            blocks=self.blocks,
            endpoints=self._endpoints,
            others=tuple(sorted(self._others)),
            deaf=tuple(layout.veth_prefix(self.homeport, index) for index in sorted(self._deaf)),
        )
        await self._nft(ruleset(table))

    async def _past_docker(self) -> None:
        """Docker drops what it does not forward itself, except for what its users' chain accepts."""
        for rule in self._docker_rules():
            try:
                await self._run("iptables", "-w", "-C", *rule)
            except CommandError:
                chain, *match = rule
                try:
                    await self._run("iptables", "-w", "-I", chain, "1", *match)
                except CommandError as error:  # without that chain Docker drops nothing
                    log.info("docker_rule.unwanted", error=str(error))

    def _docker_rules(self) -> list[tuple[str, ...]]:
        veths = f"{layout.veth_prefix(self.homeport)}+"
        return [("DOCKER-USER", side, veths, "-j", "ACCEPT") for side in ("-i", "-o")]
