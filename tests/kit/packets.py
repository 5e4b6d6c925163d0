"""A small machine made of network namespaces, on which a flow is begun and it shows whether it may.

Nothing waits for what does not come: behind each probe the same sender sends a packet that always passes,
the same way. Once that has arrived, what was to be dropped is.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from homeport.core.ids import SystemIds
from homeport.node.commands import CommandError

T = TypeVar("T")
CLONE_NEWNET = 0x40000000
WAIT_SECONDS = 5.0
"""For what must come. It comes within a millisecond."""
GATEWAY = "169.254.1.1"
_LIBC = ctypes.CDLL(None, use_errno=True)


def inside(namespace: str, work: Callable[[], T]) -> T:
    """Do something in a network namespace, by its name or its file; sockets made there stay there."""
    found: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        descriptor = os.open(Path("/run/netns") / namespace, os.O_RDONLY)
        try:
            assert _LIBC.setns(descriptor, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            found.append(work())
        except BaseException as error:  # noqa: BLE001 - handed on below
            failed.append(error)
        finally:
            os.close(descriptor)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


def ip(*command: str) -> None:
    subprocess.run(["ip", *command], check=True, capture_output=True, text=True)


def _send(sent: socket.socket, packet: bytes, target: tuple[str, int]) -> None:
    """Whose packet is dropped on its way out of the machine itself is told so at once, but for TCP."""
    with contextlib.suppress(PermissionError):
        sent.sendto(packet, target)


@dataclass(slots=True)
class Machine:
    """`host` is a namespace in which packets are forwarded; the others hang on it by a link each."""

    host: str
    stations: dict[str, str]

    def add(self, name: str, address: str, *, control: str) -> None:
        """A namespace with an address. `control`: another one, which no rule is about."""
        space, link = f"{self.host}-{name}", f"v{len(self.stations)}"
        ip("netns", "add", space)
        self.stations[name] = space
        ip("link", "add", link, "netns", self.host, "type", "veth", "peer", "name", "eth0", "netns", space)
        for here, command in (
            (space, "link set lo up"),
            (space, f"address add {address}/32 dev eth0"),
            (space, f"address add {control}/32 dev eth0"),
            (space, "link set eth0 up"),
            (space, f"route add {GATEWAY} dev eth0 scope link"),
            (space, f"route add default via {GATEWAY} src {address}"),
            (self.host, f"address add {GATEWAY}/32 dev {link}"),
            (self.host, f"link set {link} up"),
            (self.host, f"route add {address}/32 dev {link}"),
            (self.host, f"route add {control}/32 dev {link}"),
        ):
            ip("-n", here, *command.split())

    def own(self, address: str) -> None:
        """An address of the machine itself."""
        ip("-n", self.host, "address", "add", f"{address}/32", "dev", "lo")

    def nft(self, commands: str) -> None:
        """Rules of the machine."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.host, "nft", "-f", "-"],
            input=commands, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (done.stderr, commands)

    async def nft_later(self, commands: str) -> None:
        """The same as the driver takes it."""
        try:
            self.nft(commands)
        except AssertionError as error:
            raise CommandError(str(error)) from None

    def space(self, name: str) -> str:
        """The namespace of a station; of the machine itself for an empty name."""
        return self.stations[name] if name else self.host


@contextlib.contextmanager
def machine() -> Iterator[Machine]:
    """One that is gone afterwards."""
    found = Machine(f"hpt{SystemIds().token(3).hex()}", {})
    ip("netns", "add", found.host)
    try:
        ip("-n", found.host, "link", "set", "lo", "up")

        def forward() -> None:
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            Path("/proc/sys/net/ipv4/conf/all/rp_filter").write_text("0")
            Path("/proc/sys/net/ipv4/conf/default/rp_filter").write_text("0")

        inside(found.host, forward)
        yield found
    finally:
        for space in (*found.stations.values(), found.host):
            subprocess.run(["ip", "netns", "delete", space], check=False, capture_output=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Who begins a flow with whom. `bound`: the sender's address, where it has several."""

    protocol: str
    port: int
    target: str
    bound: str = ""


class Wire:
    """A sender's and a receiver's sockets. Their `controls` are addresses that no rule is about."""

    def __init__(self, sender: str, receiver: str, controls: tuple[str, str]) -> None:
        self._sender, self._receiver = sender, receiver
        self._own, control = controls
        self._heard = self._open(receiver, socket.SOCK_DGRAM)
        self._heard.bind((control, 7))
        self._control = control
        self._listening: dict[tuple[str, int], socket.socket] = {}
        self._kept: list[socket.socket] = []

    def close(self) -> None:
        """All of them."""
        for one in (self._heard, *self._kept, *self._listening.values()):
            one.close()

    def passes(self, flow: Flow, *, expected: bool) -> bool:
        """Whether the flow begins and is answered. `expected`: then an answer is waited for."""
        probe = {"tcp": self._tcp, "udp": self._udp, "icmp": self._icmp}[flow.protocol]
        with contextlib.ExitStack() as stack:
            sent = stack.enter_context(contextlib.closing(self._open_for(flow)))
            answered = probe(flow, sent)
            if expected and answered(WAIT_SECONDS):
                return True
            self._pass_by()
            return answered(0.0)

    def talk(self, flow: Flow) -> Callable[[str], bool]:
        """A TCP connection that stays: whether a word gets through and comes back."""
        listening = self._listener(flow)
        sent = self._open_for(flow)
        assert self._tcp(flow, sent)(WAIT_SECONDS), "the connection did not begin"
        assert select.select([listening], [], [], WAIT_SECONDS)[0]
        accepted, _ = listening.accept()
        self._kept += [sent, accepted]

        def says(word: str) -> bool:
            for one, other in ((sent, accepted), (accepted, sent)):
                one.send(word.encode())
                if not select.select([other], [], [], WAIT_SECONDS)[0] or other.recv(64) != word.encode():
                    return False
            return True

        return says

    def _pass_by(self) -> None:
        """Return once what was sent before has arrived, if it ever will."""
        mark = os.urandom(8)
        with contextlib.closing(self._open(self._sender, socket.SOCK_DGRAM)) as control:
            control.bind((self._own, 0))
            control.sendto(mark, (self._control, 7))
        while True:
            assert select.select([self._heard], [], [], WAIT_SECONDS)[0], "what always passes did not"
            if self._heard.recv(64) == mark:
                return

    def _tcp(self, flow: Flow, sent: socket.socket) -> Callable[[float], bool]:
        self._listener(flow)
        with contextlib.suppress(BlockingIOError):
            sent.connect((flow.target, flow.port))

        def answered(seconds: float) -> bool:
            if not select.select([], [sent], [], seconds)[1]:
                return False
            return not sent.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

        return answered

    def _udp(self, flow: Flow, sent: socket.socket) -> Callable[[float], bool]:
        listening = self._listener(flow)
        mark = os.urandom(8)
        _send(sent, mark, (flow.target, flow.port))

        def answered(seconds: float) -> bool:
            while select.select([listening], [], [], seconds)[0]:
                text, back = listening.recvfrom(64)
                if text == mark:
                    listening.sendto(mark, back)
                    assert select.select([sent], [], [], WAIT_SECONDS)[0], "let in, and its answer not"
                    return True
            return False

        return answered

    def _icmp(self, flow: Flow, sent: socket.socket) -> Callable[[float], bool]:
        mark = os.urandom(2)
        packet = struct.pack("!BBH2sH", flow.port, 0, 0, mark, 1)
        checksum = 0xFFFF & ~(sum(struct.unpack("!4H", packet)) % 0xFFFF)
        _send(sent, struct.pack("!BBH2sH", flow.port, 0, checksum, mark, 1), (flow.target, 0))

        def answered(seconds: float) -> bool:
            while select.select([sent], [], [], seconds)[0]:
                header = sent.recv(256)[20:28]
                if header[0] == 0 and header[4:6] == mark:
                    return True
            return False

        return answered

    def _listener(self, flow: Flow) -> socket.socket:
        key = flow.protocol, flow.port
        if key not in self._listening:
            kind = socket.SOCK_STREAM if flow.protocol == "tcp" else socket.SOCK_DGRAM
            found = self._open(self._receiver, kind)
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(("0.0.0.0", flow.port))
            if flow.protocol == "tcp":
                found.listen(64)
            self._listening[key] = found
        return self._listening[key]

    def _open_for(self, flow: Flow) -> socket.socket:
        if flow.protocol == "icmp":
            found = self._open(self._sender, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        else:
            kind = socket.SOCK_STREAM if flow.protocol == "tcp" else socket.SOCK_DGRAM
            found = self._open(self._sender, kind)
        if flow.bound:
            found.bind((flow.bound, 0))
        return found

    @staticmethod
    def _open(space: str, kind: int, protocol: int = 0) -> socket.socket:
        found = inside(space, lambda: socket.socket(socket.AF_INET, kind, protocol))
        found.setblocking(False)
        return found
