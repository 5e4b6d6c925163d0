"""169.254.170.2 for containers on Docker's default bridge: one nftables table per Homeport.

Every Homeport on a machine shares that bridge, so its containers are told
apart by the second byte of their MAC address, the *slot*: `render.mac_address`
puts it there, and a rule redirects what comes from such addresses to this
Homeport's endpoint. A network of our own would tell them apart too, but
Docker starts containers a third slower there (docs/adr/0009).

The table is the claim to its slot (`create table` fails when it exists) and
names its owner; it outlives the process, as the containers do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from homeport.node.commands import CommandError, Run

METADATA_IP = "169.254.170.2"
IMDS_IP = "169.254.169.254"
TABLE = "homeport-metadata-"
_DOCKERS_OWN = 0x42
"""Docker's own addresses begin with 02:42."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """Docker's default bridge: the link's name and the host's address on it."""

    link: str
    gateway: str


def bridge_of(network: dict[str, Any]) -> Bridge | None:
    """From Docker's answer about the network `bridge`; `None`: it has no IPv4."""
    link = (network.get("Options") or {}).get("com.docker.network.bridge.name", "docker0")
    for config in (network.get("IPAM") or {}).get("Config") or ():
        gateway = config.get("Gateway", "")
        if "." in gateway:
            return Bridge(link=link, gateway=gateway.partition("/")[0])
    return None


async def find_bridge(network: dict[str, Any], run: Run) -> Bridge | None:
    """As `bridge_of`. A daemon that chose the address itself does not tell it: then the link does."""
    found = bridge_of(network)
    if found is not None:
        return found
    link = (network.get("Options") or {}).get("com.docker.network.bridge.name", "docker0")
    try:
        shown = json.loads(await run("ip", "-j", "-4", "address", "show", "dev", link) or "[]")
    except CommandError:
        return None
    addresses = [info["local"] for entry in shown for info in entry.get("addr_info", ())]
    return Bridge(link=link, gateway=addresses[0]) if addresses else None


def slots_of(homeport: str) -> tuple[int, ...]:
    """All slots in the order in which this Homeport would take them."""
    first = sha256(homeport.encode()).digest()[0]
    return tuple(slot for i in range(256) if (slot := (first + i) % 256) != _DOCKERS_OWN)


def owner_chain(homeport: str) -> str:
    """The name of an empty chain that says whose table it is."""
    return f"owner-{sha256(homeport.encode()).hexdigest()[:16]}"


BLOCKED = 0
"""In the place of the instance metadata service's port: its address is out of reach."""


def ruleset(slot: int, bridge: Bridge, port: int, imds_port: int | None = None) -> str:
    """The rules of a table that exists, replacing what it had.

    From elsewhere than the bridge and this machine the endpoints are out of reach. With `imds_port` what
    this Homeport's containers ask of 169.254.169.254 goes there, or nowhere (`BLOCKED`); what others on this
    machine ask, and the machine itself, goes where it always went.
    """
    table = f"ip {TABLE}{slot:02x}"
    ours = f'iifname "{bridge.link}" ether saddr & 03:ff:00:00:00:00 == 02:{slot:02x}:00:00:00:00'
    return f"""
add chain {table} prerouting {{ type nat hook prerouting priority dstnat - 5; policy accept; }}
flush chain {table} prerouting
add rule {table} prerouting {ours} ip daddr {METADATA_IP} tcp dport 80 dnat to {bridge.gateway}:{port}
add chain {table} input {{ type filter hook input priority filter; policy accept; }}
flush chain {table} input
add rule {table} input iifname != {{ "{bridge.link}", "lo" }} ip daddr {bridge.gateway} tcp dport {port} drop
""" + _imds_rules(table, ours, bridge, imds_port)


def _imds_rules(table: str, ours: str, bridge: Bridge, imds_port: int | None) -> str:
    if imds_port is None:
        return ""
    asked = f"add rule {table} prerouting {ours} ip daddr {IMDS_IP}"
    if imds_port == BLOCKED:
        return f"{asked} drop\n"
    elsewhere = f'iifname != {{ "{bridge.link}", "lo" }} ip daddr {bridge.gateway} tcp dport {imds_port}'
    return f"""{asked} tcp dport 80 dnat to {bridge.gateway}:{imds_port}
{asked} drop
add rule {table} input {elsewhere} drop
"""


class MetadataRedirect:
    """One Homeport's table. `homeport` is its id on this machine."""

    def __init__(self, run: Run, homeport: str) -> None:
        self._run = run
        self._homeport = homeport

    async def claim(self) -> int:
        """This Homeport's slot: the one it has, or a free one that it takes. Raise `CommandError`."""
        taken = await self._tables()
        mine = owner_chain(self._homeport)
        if (slot := next((slot for slot, owner in taken.items() if owner == mine), None)) is not None:
            return slot
        for slot in slots_of(self._homeport):
            if slot in taken:
                continue
            table = f"ip {TABLE}{slot:02x}"
            try:
                await self._run("nft", "-f", "-", stdin=f"create table {table}\nadd chain {table} {mine}\n")
            except CommandError:
                if slot in await self._tables():
                    continue  # somebody was faster
                raise
            return slot
        raise CommandError("nft: all 255 slots for metadata redirections are taken")

    async def point(self, slot: int, bridge: Bridge, port: int, imds_port: int | None = None) -> None:
        """Send what the slot's containers ask to `port` on the bridge's address, and see `ruleset`."""
        await self._run("nft", "-f", "-", stdin=ruleset(slot, bridge, port, imds_port))

    async def release(self) -> None:
        """Remove the table, if there is one."""
        mine = owner_chain(self._homeport)
        for slot, owner in (await self._tables()).items():
            if owner == mine:
                await self._run("nft", "delete", "table", "ip", f"{TABLE}{slot:02x}")

    async def others(self) -> int:
        """How many other Homeports have a table on this machine."""
        mine = owner_chain(self._homeport)
        return sum(owner != mine for owner in (await self._tables()).values())

    async def _tables(self) -> dict[int, str]:
        """Slots that are taken, and their owners' chains."""
        found: dict[int, str] = {}
        for item in json.loads(await self._run("nft", "-j", "list", "chains", "ip"))["nftables"]:
            chain = item.get("chain")
            if chain and chain["table"].startswith(TABLE) and chain["name"].startswith("owner-"):
                found[int(chain["table"].removeprefix(TABLE), 16)] = chain["name"]
        return found
