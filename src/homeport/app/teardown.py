"""Removing what an installation made on this machine besides containers: links, rules, cgroups."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass

from homeport.app.balancers.envoy_process import end_leftover, proxy_folder
from homeport.app.networks.dns import dns_link
from homeport.core.clock import SystemClock
from homeport.node.address_link import AddressLink, balancer_link, connect_link
from homeport.node.commands import CommandError, run_command
from homeport.node.drivers.cgroups import Limits, instance_cgroups
from homeport.node.drivers.docker_containers import DockerContainers
from homeport.node.drivers.engine_client import EngineClient
from homeport.node.firewall.kernel import Firewall
from homeport.node.instance_net import InstanceNet
from homeport.node.metadata.redirect import MetadataRedirect
from homeport.node.nft import nft_of
from homeport.node.ports import DriverError, DriverUnavailableError, EngineInfo
from homeport.node.sandbox.ground import SandboxGround


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What came of it."""

    problems: tuple[str, ...]
    """What could not be removed, and why."""
    is_alone: bool
    """Whether no other Homeport is known on this machine."""


async def remove_traces(*, docker_host: str, installation_id: str, instances: Iterable[str]) -> Removed:
    """Remove them. Repeating it is fine.

    `instances` are the names of its local instances. Call it when no container
    of the installation is left: cgroups must be empty.
    """
    problems: list[str] = []
    is_alone = True
    redirect = MetadataRedirect(run_command, installation_id)
    await _end_balancing(installation_id, problems)
    try:
        await AddressLink(run_command, dns_link(installation_id)).remove()
    except CommandError as error:
        problems.append(str(error))
    try:
        await Firewall(nft_of(run_command), installation_id).remove()
    except CommandError as error:
        problems.append(str(error))
    try:
        await SandboxGround(run_command, nft_of(run_command), installation_id).down()
    except (CommandError, OSError) as error:
        problems.append(str(error))
    try:
        await InstanceNet(run_command, installation_id).down()
    except CommandError as error:
        problems.append(str(error))
    try:
        await redirect.release()
        is_alone = not await redirect.others()
    except CommandError as error:
        problems.append(str(error))
    info = await _engine(docker_host)
    if info is None:
        return Removed(problems=tuple(problems), is_alone=is_alone)
    for name in instances:
        groups = instance_cgroups(
            info, homeport=installation_id[:12], instance=name, limits=Limits(), run=run_command
        )
        try:
            await groups.teardown()
        except DriverError as error:
            problems.append(str(error))
    return Removed(problems=tuple(problems), is_alone=is_alone)


async def _end_balancing(installation_id: str, problems: list[str]) -> None:
    """The proxy, what it and we met by, and the addresses that it listened on."""
    folder = proxy_folder(installation_id)
    await end_leftover(folder)
    shutil.rmtree(folder, ignore_errors=True)
    for link in (balancer_link(installation_id), connect_link(installation_id)):
        try:
            await AddressLink(run_command, link).remove()
        except CommandError as error:
            problems.append(str(error))


async def _engine(docker_host: str) -> EngineInfo | None:
    client = EngineClient(docker_host)
    try:
        return await DockerContainers(client, SystemClock()).info()
    except (DriverError, DriverUnavailableError):
        return None
    finally:
        await client.close()
