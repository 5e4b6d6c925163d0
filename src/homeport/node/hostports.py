"""Host ports that the node chooses for `hostPort: 0` and for container port ranges.

Chosen moving forward from the last one, so that a port is not reused at once.
Source: ECS API Reference, PortMapping.hostPort and containerPortRange; default range 49153-65535.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable

from homeport.agentproto.messages import Container
from homeport.node.ports import DriverError
from homeport.node.report import port_range

HostPort = tuple[int, str, int]
"""(container port, protocol, host port)."""
IsFree = Callable[[int, str], bool]


def free_on(host_ip: str) -> IsFree:
    """Whether nothing on this machine holds a port of `host_ip`, asked of the kernel."""

    def is_free(port: int, protocol: str) -> bool:
        kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
        family = socket.AF_INET6 if ":" in host_ip else socket.AF_INET
        with contextlib.closing(socket.socket(family, kind)) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host_ip, port))
            except OSError:
                return False
            return True

    return is_free


class HostPorts:
    """Dynamic ports of one instance."""

    def __init__(self, first: int, last: int, *, taken: Iterable[tuple[int, str]], is_free: IsFree) -> None:
        self._first = first
        self._last = last
        self._reserved = frozenset(taken)
        self._next = first
        self._is_free = is_free
        self._held: dict[tuple[int, str], str] = {}

    def hold(self, owner: str, ports: Iterable[tuple[int, str]]) -> None:
        """(host port, protocol) pairs that `owner` has: static ones, and dynamic ones of before a restart."""
        for pair in ports:
            self._held[pair] = owner

    def release(self, owner: str) -> None:
        """`owner` is over."""
        self._held = {pair: holder for pair, holder in self._held.items() if holder != owner}

    def assign(self, owner: str, container: Container) -> tuple[HostPort, ...]:
        """A host port for each port of the container that has none. Raise `DriverError`."""
        chosen: list[HostPort] = []
        for mapping in container.port_mappings:
            if mapping.container_port_range is not None:
                first, last = port_range(mapping.container_port_range)
                start = self._block(last - first + 1, mapping.protocol)
                chosen += [(first + i, mapping.protocol, start + i) for i in range(last - first + 1)]
            elif mapping.host_port == 0:
                chosen.append((mapping.container_port, mapping.protocol, self._block(1, mapping.protocol)))
            else:
                chosen.append((mapping.container_port, mapping.protocol, mapping.host_port))
            self.hold(owner, ((host, protocol) for _, protocol, host in chosen))
        return tuple(chosen)

    def _block(self, count: int, protocol: str) -> int:
        """The first of `count` free ports in a row."""
        size = self._last - self._first + 1
        run = 0
        for offset in range(size + count):
            port = self._first + (self._next - self._first + offset) % size
            if port == self._first:
                run = 0  # a block does not wrap around
            pair = (port, protocol)
            usable = pair not in self._held and pair not in self._reserved and self._is_free(port, protocol)
            run = run + 1 if usable else 0
            if run == count:
                self._next = self._first + (port + 1 - self._first) % size
                return port - count + 1
        raise DriverError(
            "CannotCreateContainerError",
            f"no {count} free {protocol} host port(s) in a row between {self._first} and {self._last}",
        )
