"""A sandbox's wire: a veth pair with one address, routed on the host, nobody else on it.

Both ends know each other's hardware address for ever, so nobody asks for it (ARP), and the gateway inside is
any address that looks right: packets reach the host's end whatever it says. All that is made here goes with
the link, and the link with the namespace. The host's end tells in its alias what it was made for, written
last: a link without the right one is half made.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from homeport.node.ports import Counters
from homeport.node.sandbox import netlink as nl

INSIDE = "eth0"
HOST_MAC = "0e:00:00:00:00:01"
"""Of every host's end: each is alone with its sandbox."""
_SYSCTLS = (
    ("ipv6/conf/default/disable_ipv6", "1"),
    ("ipv4/ip_unprivileged_port_start", "0"),
    ("ipv4/ping_group_range", "0 2147483647"),
)
"""As Docker sets up the namespaces that it makes: no IPv6 but on loopback, and low ports for everyone."""


class NoNamespaceError(Exception):
    """A holder's process holds no namespace of its own (yet, or any more)."""


class HolderEndedError(NoNamespaceError):
    """There is no such process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """What a sandbox's interface is to be. `prefix`: the length of its subnet's, which it only shows."""

    address: str
    mac: str
    gateway: str
    prefix: int = 32

    @property
    def mark(self) -> str:
        """What the link's alias says once it is so."""
        return f"{self.address}/{self.prefix} {self.mac} {self.gateway}"


def inner_mac(address: str) -> str:
    """A locally administered address that follows from the IP address, so that neither is given twice."""
    return f"0a:58:{IPv4Address(address).packed.hex(':')}"


def wire_of(mark: str) -> Wire | None:
    """What an alias says; `None`: it is no whole link of ours."""
    try:
        cidr, mac, gateway = mark.split(" ")
        address, _, prefix = cidr.partition("/")
        return Wire(address=address, mac=mac, gateway=gateway, prefix=int(prefix))
    except ValueError:
        return None


@contextlib.contextmanager
def namespace_of(pid: int, program: str) -> Iterator[int]:
    """A descriptor of the network namespace of a holder's process. Raise `NoNamespaceError`.

    A process of another program has the number by chance, and the host's own namespace is nobody's sandbox.
    """
    try:
        if os.readlink(f"/proc/{pid}/exe") != program:
            raise NoNamespaceError(f"process {pid} is no holder")
        descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise HolderEndedError(f"process {pid} has ended") from error
    try:
        # The engine's host is another one than ours where the engine has a network namespace of its own.
        if os.fstat(descriptor).st_ino in {_namespace("self"), _namespace(_parent(pid))}:
            raise NoNamespaceError(f"process {pid} is in the host's network namespace")
        yield descriptor
    finally:
        os.close(descriptor)


def _namespace(process: str) -> int:
    """The number of a process's network namespace; 0: it has ended."""
    try:
        return os.stat(f"/proc/{process}/ns/net").st_ino
    except FileNotFoundError:
        return 0


def _parent(pid: int) -> str:
    """Of a holder: what the engine runs it with, which stays in the engine's own namespace."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
    except (FileNotFoundError, ProcessLookupError) as error:
        raise HolderEndedError(f"process {pid} has ended") from error


def lay(name: str, wire: Wire, namespace: int) -> None:
    """Make the link whole, from whatever there is of it. Raise `OSError`. Blocks."""
    with nl.netlink() as host:
        link = host.link(name)
        with nl.netlink_in(namespace, _SYSCTLS) as inside:
            end = inside.link(INSIDE)
            if link is not None and (end is None or end.peer != link.index):
                host.apply([nl.delete_link(name)])  # of a namespace that is gone
                link = None
            if link is not None and link.alias == wire.mark:
                return
            if link is None:
                pair = nl.add_veth(name, inside=INSIDE, mac=wire.mac, namespace=namespace, host_mac=HOST_MAC)
                host.apply([pair])
                link, end = host.link(name), inside.link(INSIDE)
            if link is None or end is None:
                raise OSError(f"the link {name} went away while it was made")
            _without_ipv6(name)
            before = wire_of(link.alias)
            host.apply([nl.set_link(link.index, up=True, alias="")])
            _furnish(inside, end, wire)
        changes = [
            nl.add_route(wire.address, link.index),
            nl.add_neighbour(wire.address, wire.mac, link.index),
        ]
        if before is not None and before.address != wire.address:
            changes.append(nl.delete_route(before.address, link.index))
        host.apply([*changes, nl.set_link(link.index, alias=wire.mark)])


def _furnish(inside: nl.Netlink, end: nl.Link, wire: Wire) -> None:
    """The namespace's own side."""
    loopback = inside.link("lo")
    changes = [] if loopback is None or loopback.is_up else [nl.set_link(loopback.index, up=True)]
    changes.append(nl.set_link(end.index, up=True, mac="" if end.mac == wire.mac else wire.mac))
    wanted = (wire.address, wire.prefix)
    changes += [nl.delete_address(end.index, *had) for had in inside.addresses(end.index) if had != wanted]
    changes += [
        nl.add_address(end.index, *wanted),
        nl.add_neighbour(wire.gateway, HOST_MAC, end.index),
        nl.add_default(wire.gateway, end.index),
    ]
    inside.apply(changes)


def _without_ipv6(name: str) -> None:
    """On the host's end, which would otherwise be reached by link-local addresses that no rule knows."""
    with contextlib.suppress(FileNotFoundError):
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")


def look(name: str) -> Wire | None:
    """What a link is; `None`: it is not there, or half made. Blocks."""
    with nl.netlink() as host:
        link = host.link(name)
    return None if link is None else wire_of(link.alias)


def names(prefix: str) -> list[str]:
    """All links that begin so. Blocks."""
    with nl.netlink() as host:
        return [link.name for link in host.links() if link.name.startswith(prefix)]


def name_at(prefix: str, address: str) -> str | None:
    """The link, of those that begin so, whose sandbox has that address. Blocks."""
    with nl.netlink() as host:
        for link in host.links():
            if link.name.startswith(prefix) and link.alias.startswith(f"{address}/"):
                return link.name
    return None


def cut(link_names: list[str]) -> None:
    """Delete links; missing ones are fine. Raise `OSError`. Blocks."""
    with nl.netlink() as host:
        host.apply([nl.delete_link(name) for name in link_names])


def traffic(name: str) -> Counters | None:
    """What went through, as the sandbox sees it: what the host's end received, it sent. Blocks."""
    with nl.netlink() as host:
        link = host.link(name)
    if link is None or len(link.stats) < 8:
        return None
    rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped = link.stats[:8]
    return Counters(
        rx_bytes=tx_bytes,
        rx_packets=tx_packets,
        rx_errors=tx_errors,
        rx_dropped=tx_dropped,
        tx_bytes=rx_bytes,
        tx_packets=rx_packets,
        tx_errors=rx_errors,
        tx_dropped=rx_dropped,
    )
