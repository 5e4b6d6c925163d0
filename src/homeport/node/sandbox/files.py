"""What a sandbox's containers read about names: hosts and resolv.conf of its holder. Texts are pure.

Docker gives a container that joins another one's network these files of the other one, so they are written to
the holder's before anybody joins it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

_LOCALHOST = (
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "ff00::0\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
)
"""As Docker writes them."""
_PUBLIC_RESOLVERS = ("8.8.8.8", "8.8.4.4")
"""Docker's own last resort."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolver:
    """What resolv.conf says."""

    servers: tuple[str, ...]
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def hosts_text(address: str, names: Iterable[str], extra: Iterable[tuple[str, str]] = ()) -> str:
    """/etc/hosts. `extra`: (name, address)."""
    own = " ".join(dict.fromkeys(name for name in names if name))
    lines = [*_LOCALHOST, *(f"{where}\t{name}" for name, where in extra)]
    if own:
        lines.append(f"{address}\t{own}")
    return "\n".join(lines) + "\n"


def resolv_text(resolver: Resolver) -> str:
    """/etc/resolv.conf."""
    lines = [f"nameserver {server}" for server in resolver.servers]
    if resolver.search:
        lines.insert(0, f"search {' '.join(resolver.search)}")
    if resolver.options:
        lines.append(f"options {' '.join(resolver.options)}")
    return "\n".join(lines) + "\n"


def machine_resolver(texts: Iterable[str]) -> Resolver:
    """The machine's own, as containers can use it: the first text that names a server beyond loopback.

    As Docker does it. `texts`: of resolv.conf, and of the one behind a local stub.
    """
    for text in texts:
        words = [line.split() for line in text.splitlines()]
        servers = tuple(line[1] for line in words if line[:1] == ["nameserver"] and len(line) > 1)
        usable = tuple(server for server in servers if not _is_loopback(server))
        if usable:
            search = next((tuple(line[1:]) for line in reversed(words) if line[:1] == ["search"]), ())
            options = tuple(option for line in words if line[:1] == ["options"] for option in line[1:])
            return Resolver(servers=usable, search=search, options=options)
    return Resolver(servers=_PUBLIC_RESOLVERS)


def write_in_place(path: str, text: str) -> None:
    """Replace a file's content, not the file: it is mounted. Blocks."""
    file = Path(path)
    if file.read_text() != text:
        file.write_text(text)


def _is_loopback(server: str) -> bool:
    try:
        return ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return True
