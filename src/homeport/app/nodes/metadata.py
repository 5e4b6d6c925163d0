"""Where local containers find metadata and credentials: two endpoints, and the rules that lead to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homeport.app.nodes.ports import RememberedPorts
from homeport.app.nodes.sandboxes import LocalSandboxes
from homeport.app.settings import INSTALLATION_LABEL
from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.node.agent import NodeAgent
from homeport.node.commands import CommandError, run_command
from homeport.node.drivers.engine_client import EngineClient, EngineError
from homeport.node.imds.endpoint import ImdsEndpoint
from homeport.node.imds.instance import InstanceFacts, InstanceProfiles
from homeport.node.metadata.callers import DockerCallers
from homeport.node.metadata.endpoint import MetadataEndpoint
from homeport.node.metadata.redirect import BLOCKED, METADATA_IP, Bridge, MetadataRedirect, find_bridge
from homeport.node.metadata.server import IMDS_PORT, METADATA_PORT, imds_server, metadata_server
from homeport.node.metadata.source import MetadataSource
from homeport.node.sandbox.rules import Endpoints

Report = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Where this Homeport's containers find the metadata endpoint."""

    slot: int | None
    host_url: str
    bridge_url: str
    imds_host_url: str = ""
    imds_bridge_url: str = ""
    """Where SDKs must be told it; they look at 169.254.169.254 by themselves."""


class LocalMetadata:
    """The endpoints of all nodes of one installation on one Docker Engine."""

    def __init__(
        self,
        client: EngineClient,
        *,
        installation_id: str,
        clock: Clock,
        ids: Ids,
        report: Report,
        profiles: InstanceProfiles | None = None,
        block_imds: bool = False,
        data_dir: Path | None = None,
    ) -> None:
        """As `NodeHost`."""
        self._client = client
        self._ports = RememberedPorts(data_dir)
        self._report = report
        self.installation_id = installation_id
        self._clock = clock
        self._block_imds = block_imds
        self._callers = DockerCallers(client, {INSTALLATION_LABEL: installation_id})
        self.endpoint = MetadataEndpoint(callers=self._callers, vpcs=profiles)
        self.imds = None if profiles is None else ImdsEndpoint(self._callers, profiles, clock, ids)
        self._sources: dict[str, MetadataSource] = {}

    def add(self, node: NodeAgent, architecture: str) -> None:
        """Answer the node's containers."""
        if node.source is not None:
            self._sources[node.instance_arn] = node.source
            self.endpoint.add(node.source)
        if self.imds is not None and not node.settings.fargate:
            self.imds.add(node.instance_arn, self._facts(node, architecture))

    def remove(self, node: NodeAgent) -> None:
        """Answer them no more."""
        if (source := self._sources.pop(node.instance_arn, None)) is not None:
            self.endpoint.remove(source)
        if self.imds is not None:
            self.imds.remove(node.instance_arn)

    async def serve(self, stack: AsyncExitStack, sandboxes: LocalSandboxes | None) -> Metadata:
        """Listen on loopback, on Docker's bridge and for sandboxes, and send 169.254.170.2 there."""
        bridge = await self._bridge()
        addresses = ("127.0.0.1",) if bridge is None else ("127.0.0.1", bridge.gateway)
        if sandboxes is not None:
            addresses = (*addresses, sandboxes.ground.host)
            self._callers.sandbox_at = sandboxes.holds
        server = metadata_server(self.endpoint)
        port = await server.start(addresses, port=self._ports.wanted("metadata", METADATA_PORT))
        self._ports.note("metadata", port)
        stack.push_async_callback(server.stop)
        imds_port = BLOCKED if self._block_imds else None
        if self.imds is not None:
            imds = imds_server(self.imds)
            imds_port = await imds.start(addresses, port=self._ports.wanted("imds", IMDS_PORT))
            self._ports.note("imds", imds_port)
            stack.push_async_callback(imds.stop)
        host_url, imds_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{imds_port}" if imds_port else ""
        if sandboxes is not None:
            await sandboxes.ground.point(Endpoints(metadata=port, imds=imds_port))
        if bridge is None:
            found = f"http://{METADATA_IP}" if sandboxes is not None else ""
            return Metadata(slot=None, host_url=host_url, bridge_url=found, imds_host_url=imds_url)
        redirect = MetadataRedirect(run_command, self.installation_id)
        try:
            slot = await redirect.claim()
            await redirect.point(slot, bridge, port, imds_port)
        except CommandError as error:
            # Without nftables containers still find the endpoint by its own address.
            self._report("metadata.direct", {"error": str(error)})
            return Metadata(
                slot=None,
                host_url=host_url,
                bridge_url=f"http://{bridge.gateway}:{port}",
                imds_host_url=imds_url,
                imds_bridge_url=f"http://{bridge.gateway}:{imds_port}" if imds_port else "",
            )
        return Metadata(
            slot=slot, host_url=host_url, bridge_url=f"http://{METADATA_IP}", imds_host_url=imds_url
        )

    async def _bridge(self) -> Bridge | None:
        """Docker's default bridge; `None`: this daemon has none."""
        try:
            network = await self._client.get("/networks/bridge")
        except EngineError as error:
            if error.status == 404:
                return None
            raise
        return await find_bridge(network, run_command)

    def _facts(self, node: NodeAgent, architecture: str) -> InstanceFacts:
        settings = node.settings
        return InstanceFacts(
            instance_id=settings.ec2_instance_id,
            instance_type=settings.instance_type,
            region=settings.region,
            availability_zone=settings.availability_zone,
            local_ipv4=settings.host_ip,
            account_id=node.instance_arn.split(":")[4],
            architecture=architecture,
            started_at=self._clock.now(),
        )
