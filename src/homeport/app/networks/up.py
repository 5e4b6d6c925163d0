"""The network of `homeport up`: its range, and the places of the local instances in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from homeport.app.control_plane import ControlPlane
from homeport.app.networks.addresses import hold_addresses, local_addresses, planned_addresses, settle_ground
from homeport.app.networks.dns import VpcDns, dns_address, local_dns
from homeport.app.networks.firewall import KEY, VpcFirewall
from homeport.app.networks.ground import NetworkGround, NoGround, missing_means
from homeport.app.networks.instances import Place, settle_places
from homeport.app.nodes.local import instance_id
from homeport.app.settings import UpSettings
from homeport.core.log import get_logger
from homeport.node.commands import CommandError, run_command
from homeport.node.firewall.kernel import Firewall
from homeport.node.firewall.orphans import remove_orphans
from homeport.node.instance_net import InstanceAddress
from homeport.node.nft import nft_of
from homeport.node.sandbox.ground import SandboxGround, left_behind
from homeport.runtime.supervisor import Supervisor
from homeport.services.ec2 import manifest as ec2

log = get_logger("app.network")

Report = Callable[[str, Mapping[str, Any]], None]


async def find_ground(settings: UpSettings, report: Report) -> NetworkGround | NoGround:
    """The installation's own range, or why this process can have none."""
    if (missing := missing_means(is_root=os.geteuid() == 0)) is not None:
        return missing
    try:
        return await settle_ground(
            run_command,
            settings.installation_id,
            settings.data_dir,
            account_id=settings.account_id,
            region=settings.region,
        )
    except CommandError as error:
        report("network.unavailable", {"error": str(error)})
        return NoGround(why=f"this machine lets Homeport make no network: {error}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalNetwork:
    """Where the local instances are, what guards them, and who answers for names.

    Where packets obey nobody there is neither. `resolvers`: what containers on the instances ask.
    """

    addresses: tuple[InstanceAddress, ...]
    firewall: VpcFirewall | None = None
    dns: VpcDns | None = None
    resolvers: tuple[str, ...] = ()

    async def start(self, supervisor: Supervisor) -> None:
        """Packets obey from now on."""
        if self.firewall is not None:
            await self.firewall.reconcile(KEY)
            self.firewall.start(supervisor)
        if self.dns is not None:
            self.dns.start(supervisor)

    def stands_on(self, ground: SandboxGround | None) -> None:
        """What the local instances' containers stand on is settled; `None`: nothing of ours."""
        if self.firewall is None:
            return
        if ground is None:
            self.firewall.know()
        else:
            self.firewall.know(ground.blocks)


async def open_local_network(
    settings: UpSettings, report: Report, plane: ControlPlane, ground: NetworkGround | NoGround
) -> LocalNetwork:
    """Places for the local instances, and a firewall and a DNS server that nobody has started."""
    addresses = await place_instances(settings, report, plane, ground)
    if isinstance(ground, NoGround):
        return LocalNetwork(addresses=addresses)
    try:
        await remove_orphans(run_command)
    except CommandError as error:  # somebody else may have removed it meanwhile
        log.info("firewall.orphans_left", error=str(error))
    kernel = Firewall(nft_of(run_command), settings.installation_id)
    firewall = VpcFirewall(
        plane.store,
        plane.clock,
        kernel,
        home_range=ground.home_range,
        gate=None if plane.connect is None else plane.connect.gate,
    )
    instances = {one.index: one.ip for one in addresses}
    firewall.know(await left_behind(run_command, settings.installation_id, instances))
    home, installation = ground.home_range, settings.installation_id
    dns = local_dns(plane.store, plane.clock, plane.ids, installation, home_range=home)
    resolvers = (dns_address(home),)
    return LocalNetwork(addresses=addresses, firewall=firewall, dns=dns, resolvers=resolvers)


async def place_instances(
    settings: UpSettings, report: Report, plane: ControlPlane, ground: NetworkGround | NoGround
) -> tuple[InstanceAddress, ...]:
    """An address for each local instance: of its interface in the default VPC, where there is one."""
    installation, count = settings.installation_id, settings.instances
    if isinstance(ground, NoGround):
        return await local_addresses(run_command, installation, count, report) if count else ()
    planned = planned_addresses(ground, count)
    places = [
        Place(
            instance_id=instance_id(installation, one.index),
            zone=f"{settings.region}{one.zone}",
            address=one.ip,
        )
        for one in planned
    ]
    context = next(one.context for one in plane.services if one.name == ec2.name)
    await ec2.open_here(context, settings.account_id, settings.region)
    held = await settle_places(
        plane.store,
        plane.clock,
        plane.ids,
        account_id=settings.account_id,
        region=settings.region,
        places=places,
    )
    found = tuple(
        replace(one, ip=held[place.instance_id]) for one, place in zip(planned, places, strict=True)
    )
    await hold_addresses(run_command, installation, found)
    return found
