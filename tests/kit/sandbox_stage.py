"""Real sandboxes for a test: an installation of its own here, and a count of what is left of it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from homeport.core.ids import SystemIds
from homeport.node.commands import run_command
from homeport.node.drivers.engine_client import DEFAULT_SOCKET, EngineClient
from homeport.node.drivers.pause_image import ensure_pause_image
from homeport.node.instance_net import InstanceAddress, InstanceNet, bridge_name
from homeport.node.nft import nft_of
from homeport.node.sandbox import layout
from homeport.node.sandbox.driver import DockerSandboxes, SandboxSettings
from homeport.node.sandbox.files import Resolver
from homeport.node.sandbox.ground import SandboxGround
from homeport.node.sandbox.holder import Holders
from tests.kit.docker import LABEL, Engine, links, machine

RESOLVER = Resolver(servers=("192.0.2.53",), search=("example.internal",), options=("ndots:2",))
_CLONE_NEWNET = 0x40000000


def ground_of(homeport: str) -> SandboxGround:
    """Its rules and its range."""
    return SandboxGround(run_command, nft_of(run_command), homeport, links=[bridge_name(homeport)])


async def holders_of(client: EngineClient, engine: Engine, *, can_leave: bool = True) -> Holders:
    """Holders that carry the test's label."""
    info = await engine.containers.info()
    image = await ensure_pause_image(engine.images, info.architecture)
    return Holders(client, image=image, labels={LABEL: engine.run_id}, can_leave=can_leave)


@dataclass(slots=True, kw_only=True)
class Stage:
    """One installation with two instances. `engine` drives the containers that join."""

    engine: Engine
    homeport: str
    addresses: tuple[InstanceAddress, ...]
    ground: SandboxGround
    holders: Holders
    seen: set[tuple[int, str]] = field(default_factory=set)
    """Holders' processes that were seen, and when they began: numbers of namespaces are given again."""

    def driver(self, index: int = 0, *, warm: int = 0) -> DockerSandboxes:
        """An instance's sandboxes, as of a process that has just begun."""
        settings = SandboxSettings(index=index, resolver=RESOLVER, warm=warm, quiet_seconds=0.0)
        return DockerSandboxes(self.ground, self.holders, settings, ids=SystemIds())

    def named(self, short: str) -> str:
        """A holder's name of this test alone."""
        return f"hpt-{self.engine.run_id}-{short}"

    def pid(self, name: str) -> int:
        """Of a holder's process."""
        found = int(machine("docker", "inspect", "-f", "{{.State.Pid}}", name))
        if found:
            self.seen.add((found, _began(found)))
        return found

    def socket_in(self, name: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A socket of a sandbox's network, as a program in it would have."""
        return _in_namespace(self.pid(name), lambda: socket.socket(socket.AF_INET, kind))

    def run_in(self, name: str, *command: str) -> str:
        """A program of this machine in a sandbox's network."""
        return machine("nsenter", f"--net=/proc/{self.pid(name)}/ns/net", *command)

    def published(self) -> list[str]:
        """Elements of the map of published ports."""
        return re.findall(r"[\d.]+ \. (?:tcp|udp) \. \d+ : [\d.]+ \. \d+", self._table())

    def veths(self) -> set[str]:
        """Host ends."""
        return links(layout.veth_prefix(self.homeport))

    async def traces(self) -> list[str]:
        """What there is of sandboxes: holders, their processes, links, routes, elements, open namespaces."""
        held = [str(pid) for pid, began in sorted(self.seen) if _began(pid) == began]
        entered = _open_files()
        routes = machine("ip", "-4", "route", "show", "table", "all").splitlines()
        prefix = layout.veth_prefix(self.homeport)
        return [
            *(each.name for each in await self.holders.all()),
            *sorted(self.veths()),
            *(route for route in routes if prefix in route),
            *self.published(),
            *(f"process {pid}" for pid in held),
            *(f"descriptor of {path}" for path in entered if path.startswith("net:")),
        ]

    def foundations(self) -> list[str]:
        """What all of them stand on."""
        firewall = machine("iptables", "-w", "-S").splitlines()
        return [
            *sorted(links(layout.link_name(self.homeport))),
            *(["table"] if layout.table_name(self.homeport) in machine("nft", "list", "tables") else []),
            *(rule for rule in firewall if layout.veth_prefix(self.homeport) in rule),
        ]

    def _table(self) -> str:
        return machine("nft", "list", "map", "inet", layout.table_name(self.homeport), "published")


@asynccontextmanager
async def stage(engine: Engine) -> AsyncIterator[Stage]:
    """Fails when anything is left at its end; removes it nevertheless."""
    homeport = f"test-{engine.run_id}"
    net = InstanceNet(run_command, homeport)
    client = EngineClient(DEFAULT_SOCKET)
    try:
        addresses = await net.up(2)
        made = Stage(
            engine=engine,
            homeport=homeport,
            addresses=addresses,
            ground=ground_of(homeport),
            holders=await holders_of(client, engine),
        )
        await made.ground.up({one.index: one.ip for one in addresses})
        yield made
        for index in (0, 1):
            driver = made.driver(index)
            for name in await driver.names():
                await driver.remove(name)
        warm = [each for each in await made.holders.all() if each.name.startswith("homeport-warm-")]
        await asyncio.gather(*(made.holders.remove(each.docker_id) for each in warm))
        await made.ground.down()
        assert made.foundations() == []
        assert not made.veths()
        assert await made.holders.all() == []
    finally:
        await _remove_holders(engine)
        await ground_of(homeport).down()
        await net.down()
        await client.close()


async def _remove_holders(engine: Engine) -> None:
    own = await engine.containers.names(label=LABEL, value=engine.run_id)
    await asyncio.gather(*(engine.containers.remove(name) for name in own if name not in engine.made))


def _in_namespace(pid: int, make: Callable[[], socket.socket]) -> socket.socket:
    """What a thread makes that has entered a process's network."""
    made: list[socket.socket] = []
    with Path(f"/proc/{pid}/ns/net").open() as namespace:

        def enter() -> None:
            assert ctypes.CDLL(None).setns(namespace.fileno(), _CLONE_NEWNET) == 0
            made.append(make())

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
    return made[0]


def _open_files() -> list[str]:
    """What this process has open."""
    return [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]


def _began(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty: there is none of that number."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
