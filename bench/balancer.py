"""Requests/s and p99 through an application balancer against the same Envoy configured by hand, in turns.

Run as `python -m bench.balancer [--json] [--seconds 3] [--rounds 5] [--connections 32]`. Both have one
worker and the same upstream (a third Envoy that answers by itself); the client is one process with kept
connections. Also: how long until a change of a target is live, from the call to the first answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import uvloop

from bench.kit import Figure, arguments, free_port, tell
from homeport.app.balancers.envoy import DataPlane
from homeport.app.balancers.envoy_process import envoy_path
from homeport.dataplane.model import (
    Balancer,
    BalancerKind,
    BindAddress,
    HealthCheck,
    Listener,
    Protocol,
    Target,
    TargetGroup,
)
from homeport.dataplane.rules import Forward, PathIs, Rule, WeightedGroup

T = "type.googleapis.com/envoy.extensions.filters."
HOME = "127.0.0.1"
CHANGES = 40
BODY = b"x" * 128


def manager(routes: list[dict[str, Any]]) -> dict[str, Any]:
    """What somebody would write who needs one listener and nothing else."""
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{T}http.router.v3.Router"}}
    config = {
        "@type": f"{T}network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "use_remote_address": True,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [router],
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def listener(port: int, routes: list[dict[str, Any]]) -> dict[str, Any]:
    place = {"socket_address": {"address": HOME, "port_value": port}}
    return {"name": f"{port}", "address": place, "filter_chains": [{"filters": [manager(routes)]}]}


def by_hand(port: int, upstream: int) -> dict[str, Any]:
    place = {"endpoint": {"address": {"socket_address": {"address": HOME, "port_value": upstream}}}}
    assignment = {"cluster_name": "up", "endpoints": [{"lb_endpoints": [place]}]}
    cluster = {"name": "up", "type": "STATIC", "connect_timeout": "5s", "load_assignment": assignment}
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "up", "timeout": "0s"}}]
    return {"static_resources": {"listeners": [listener(port, routes)], "clusters": [cluster]}}


def answering(*ports: int) -> dict[str, Any]:
    listeners = []
    for port in ports:
        body = {"inline_string": f"{port}".ljust(len(BODY))}
        direct = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": body}}
        listeners.append(listener(port, [direct]))
    return {"static_resources": {"listeners": listeners}}


@contextmanager
def envoy(folder: Path, name: str, config: dict[str, Any]) -> Iterator[int]:
    """A proxy of one worker with this configuration; its process id."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(config))
    command = [str(envoy_path()), "--config-path", str(path), "--concurrency", "1", "--disable-hot-restart"]
    # In a session of its own as ours: the kernel shares CPU out by sessions.
    running = subprocess.Popen([*command, "--log-level", "error"], start_new_session=True)
    try:
        yield running.pid
    finally:
        running.terminate()
        running.wait()


def balancer(port: int, *upstreams: int) -> Balancer:
    """Ours: with everything that an application balancer does, a rule and health checks included."""
    group = TargetGroup(
        id="targetgroup/bench/1",
        targets=tuple(Target(address=HOME, port=one) for one in upstreams),
        health_check=HealthCheck(interval_seconds=5),
    )
    action = Forward(groups=(WeightedGroup(group_id=group.id),))
    other = Rule(id="other", priority=1, conditions=(PathIs(patterns=("/other/*",)),), action=action)
    rules = (other, Rule(id="default", action=action))
    return Balancer(
        id="app/bench/1",
        kind=BalancerKind.APPLICATION,
        addresses=(BindAddress(address=HOME),),
        listeners=(Listener(id="l", protocol=Protocol.HTTP, port=port, rules=rules),),
        groups=(group,),
    )


class Asking(asyncio.Protocol):
    """A kept connection that asks again as soon as it is answered; when each answer came."""

    REQUEST = b"GET /path?x=1 HTTP/1.1\r\nHost: bench.example.com\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"

    def __init__(self, times: list[float], until: float) -> None:
        self.times, self.until = times, until
        self.rest = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.since = time.perf_counter()
        self.transport.write(self.REQUEST)

    def data_received(self, data: bytes) -> None:
        self.rest += data
        head, found, body = self.rest.partition(b"\r\n\r\n")
        if not found or len(body) < len(BODY):
            return
        assert head.startswith(b"HTTP/1.1 200"), head
        self.rest = b""
        now = time.perf_counter()
        self.times.append(now - self.since)
        if now < self.until:
            self.ask()
        elif not self.done.done():
            self.transport.close()
            self.done.set_result(None)


async def load(port: int, *, connections: int, seconds: float) -> tuple[float, float]:
    """Requests/s and p99 in milliseconds."""
    times: list[float] = []
    loop = asyncio.get_running_loop()
    begun = time.perf_counter()
    made = [
        await loop.create_connection(lambda: Asking(times, begun + seconds), HOME, port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.done for _, protocol in made))
    rate = len(times) / (time.perf_counter() - begun)
    return rate, statistics.quantiles(times, n=100)[98] * 1000


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def until_answers(port: int) -> None:
    while True:
        try:
            reader, writer = await asyncio.open_connection(HOME, port)
            writer.write(Asking.REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            writer.close()
        except (OSError, asyncio.IncompleteReadError):
            head = b""
        if b" 200 " in head:
            return
        await asyncio.sleep(0.05)


@asynccontextmanager
async def ours(folder: Path) -> AsyncIterator[DataPlane]:
    async with DataPlane(folder / "ours", told=lambda _: None, workers=1) as plane:
        yield plane


async def change_seconds(plane: DataPlane, port: int, first: int, second: int) -> list[float]:
    """From the call that changes a target to the first answer of the new one, on a kept connection."""
    reader, writer = await asyncio.open_connection(HOME, port)
    found = []
    for number in range(CHANGES):
        wanted = (second, first)[number % 2]
        since = time.perf_counter()
        plane.serve([balancer(port, wanted)])
        while True:
            writer.write(Asking.REQUEST)
            await reader.readuntil(b"\r\n\r\n")
            if (await reader.readexactly(len(BODY))).startswith(f"{wanted}".encode()):
                break
        found.append(time.perf_counter() - since)
        await asyncio.sleep(0.05)
    writer.close()
    return found


async def main() -> None:
    options = arguments(__doc__ or "", seconds=3.0, rounds=5, connections=32)
    port, hand, first, second = (free_port() for _ in range(4))
    with tempfile.TemporaryDirectory(prefix="hp-") as made:
        folder = Path(made)
        with (
            envoy(folder, "upstream", answering(first, second)),
            envoy(folder, "by-hand", by_hand(hand, first)) as theirs_pid,
        ):
            async with ours(folder) as plane:
                plane.serve([balancer(port, first)])
                assert await plane.until_live() == ()
                assert plane.process.running is not None
                pids = {port: plane.process.running.pid, hand: theirs_pid}
                rates: dict[int, list[float]] = {port: [], hand: []}
                tails: dict[int, list[float]] = {port: [], hand: []}
                work: dict[int, list[float]] = {port: [], hand: []}
                for one in (port, hand):
                    await until_answers(one)
                    await load(one, connections=options.connections, seconds=1)
                for number in range(options.rounds):
                    for one in (port, hand) if number % 2 else (hand, port):
                        before = cpu_seconds(pids[one])
                        rate, tail = await load(one, connections=options.connections, seconds=options.seconds)
                        rates[one].append(rate)
                        tails[one].append(tail)
                        work[one].append((cpu_seconds(pids[one]) - before) / (rate * options.seconds) * 1e6)
                changes = await change_seconds(plane, port, first, second)
    pick = statistics.median
    peer = "Envoy by hand"
    tell(
        [
            Figure(
                name="requests through an ALB",
                ours=pick(rates[port]),
                unit="requests/s",
                peer=peer,
                theirs=pick(rates[hand]),
                target=">= 0.95x",
            ),
            Figure(
                name="p99 through an ALB",
                ours=pick(tails[port]),
                unit="ms",
                peer=peer,
                theirs=pick(tails[hand]),
                target="<= 1.05x",
            ),
            Figure(
                name="the proxy's work",
                ours=pick(work[port]),
                unit="us CPU/request",
                peer=peer,
                theirs=pick(work[hand]),
            ),
            Figure(
                name="a changed target is live, median of 40",
                ours=pick(changes) * 1000,
                unit="ms",
                target="< 100 ms",
            ),
        ],
        as_json=options.json,
    )


if __name__ == "__main__":
    uvloop.run(main())
