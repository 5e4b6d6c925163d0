"""A machine that is a container instance of a Homeport elsewhere, or runs Fargate's tasks for one here."""

from __future__ import annotations

from homeport.app.nodes.fargate import FARGATE_INDEX, FARGATE_NAME, fargate_settings
from homeport.app.nodes.local import SYSTEM_RESERVED_MIB, NodeHost, Report, directory
from homeport.app.nodes.sandboxes import kept_warm
from homeport.app.settings import DEFAULT_CLUSTER, AgentSettings, SettingsError
from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.core.sigv4 import Credentials
from homeport.node.agent import NodeAgent
from homeport.node.drivers.cgroups import Limits
from homeport.node.ports import Drivers
from homeport.node.settings import NodeSettings


async def run_agent_node(settings: AgentSettings, clock: Clock, ids: Ids, report: Report) -> None:
    """`homeport agent`: this whole machine as one instance."""
    host = NodeHost(
        docker_host=settings.docker_host,
        installation_id=settings.installation_id,
        clock=clock,
        ids=ids,
        report=report,
        data_dir=settings.data_dir / "nodes",
        instances={} if settings.fargate else None,
    )
    async with host:
        if settings.fargate:
            await _run_fargate(host, settings)
            return
        node_settings = NodeSettings(
            cluster=settings.cluster,
            cluster_configured=settings.cluster != DEFAULT_CLUSTER,
            endpoint_url=settings.endpoint,
            region=settings.region,
            credentials=_credentials(settings),
            data_dir=directory(settings.data_dir / "nodes" / "self"),
            instance_name="self",
            reserved_memory_mib=SYSTEM_RESERVED_MIB,
            attributes=settings.attributes,
            external=True,
        )
        await _keep(host, node_settings, host.drivers(await host.cgroups("self", Limits())))


async def _run_fargate(host: NodeHost, settings: AgentSettings) -> None:
    """Raise `SettingsError` where tasks cannot have what Fargate's have."""
    sandboxes, cgroups = await host.sandboxes(FARGATE_INDEX), await host.cgroups(FARGATE_NAME, Limits())
    if sandboxes is None or cgroups is None:
        what = "networks of their own" if sandboxes is None else "limits of their own"
        raise SettingsError(f"tasks cannot have {what} on this machine", "See what it lacks: homeport doctor")
    node_settings = fargate_settings(
        host.info,
        installation_id=host.installation_id,
        endpoint=settings.endpoint,
        region=settings.region,
        credentials=_credentials(settings),
        data_dir=directory(settings.data_dir / "nodes" / FARGATE_NAME),
    )
    async with kept_warm(sandboxes):
        await _keep(host, node_settings, host.drivers(cgroups, sandboxes))


async def _keep(host: NodeHost, settings: NodeSettings, drivers: Drivers) -> None:
    await host.keep_node(
        lambda: NodeAgent(
            host.settings(settings),
            drivers,
            clock=host.clock,
            ids=host.ids,
            dice=host.dice,
            starts=host.starts,
            session=host.session,
        )
    )


def _credentials(settings: AgentSettings) -> Credentials:
    return Credentials(
        access_key_id=settings.access_key_id,
        secret_access_key=settings.secret_access_key,
        session_token=settings.session_token,
    )
