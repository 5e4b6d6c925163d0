"""A machine that is a container instance of a Homeport elsewhere."""

from __future__ import annotations

from homeport.app.local_nodes import SYSTEM_RESERVED_MIB, NodeHost, Report, directory
from homeport.app.settings import DEFAULT_CLUSTER, AgentSettings
from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.core.sigv4 import Credentials
from homeport.node.agent import NodeAgent
from homeport.node.drivers.cgroups import Limits
from homeport.node.settings import NodeSettings


async def run_agent_node(settings: AgentSettings, clock: Clock, ids: Ids, report: Report) -> None:
    """`homeport agent`: this whole machine as one instance of a Homeport elsewhere."""
    host = NodeHost(
        docker_host=settings.docker_host,
        installation_id=settings.installation_id,
        clock=clock,
        ids=ids,
        report=report,
        data_dir=settings.data_dir / "nodes",
    )
    async with host:
        node_settings = NodeSettings(
            cluster=settings.cluster,
            cluster_configured=settings.cluster != DEFAULT_CLUSTER,
            endpoint_url=settings.endpoint,
            region=settings.region,
            credentials=Credentials(
                access_key_id=settings.access_key_id,
                secret_access_key=settings.secret_access_key,
                session_token=settings.session_token,
            ),
            data_dir=directory(settings.data_dir / "nodes" / "self"),
            instance_name="self",
            reserved_memory_mib=SYSTEM_RESERVED_MIB,
            attributes=settings.attributes,
            external=True,
        )
        drivers = host.drivers(await host.cgroups("self", Limits()))
        await host.keep_node(
            lambda: NodeAgent(
                host.settings(node_settings),
                drivers,
                clock=clock,
                ids=ids,
                dice=host.dice,
                starts=host.starts,
                session=host.session,
            )
        )
