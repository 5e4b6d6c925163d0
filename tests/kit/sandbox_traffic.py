"""What tests of sandboxes ask for, and who reaches whom in them."""

from __future__ import annotations

import asyncio
import socket

from homeport.node.ports import Publication, SandboxSpec, TaskInterface
from tests.kit.sandbox_stage import Stage

PORT, PUBLISHED = 8080, 49_321
PATIENCE = 10.0
UNHEARD = 0.4
"""Seconds of silence that count as dropped."""


def web(here: Stage, short: str = "web") -> SandboxSpec:
    publication = Publication(container_port=PORT, protocol="tcp", host_port=PUBLISHED)
    return SandboxSpec(name=here.named(short), published=(publication,))


def eni(here: Stage, number: int = 77) -> TaskInterface:
    """In the subnet of the first instance."""
    subnet = here.addresses[0].subnet
    base = here.addresses[0].ip.rpartition(".")[0]
    return TaskInterface(
        attachment_id="eni-attach-1",
        mac=f"02:ab:00:00:01:{number:02x}",
        address=f"{base}.{number}",
        subnet=subnet,
        gateway=f"{base}.1",
        dns=("192.0.2.2",),
        search=("ec2.internal",),
        private_dns_name="ip-of-the-task.ec2.internal",
    )


def listening(here: Stage, name: str, port: int = PORT) -> socket.socket:
    """A server in a sandbox."""
    made = here.socket_in(name)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("0.0.0.0", port))
    made.listen()
    made.settimeout(PATIENCE)
    return made


async def reaches(
    client: socket.socket, server: socket.socket, address: str, port: int, *, within: float = PATIENCE
) -> str | None:
    """The address that the server sees; `None`: nothing comes through."""

    def connect() -> str | None:
        client.settimeout(within)
        with client:
            try:
                client.connect((address, port))
            except TimeoutError:
                return None
            accepted, (seen, _) = server.accept()
            accepted.close()
            return str(seen)

    return await asyncio.to_thread(connect)
