"""The work on one task's networks, where they are sandboxes: made, looked at, removed.

A network has no exit code and is never started a second time. Once it was begun there may be something of
it until it is removed, and it counts as stopped only then: what a report says is over can be given to others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from homeport.agentproto.messages import Container
from homeport.core.log import get_logger
from homeport.node import lifecycle
from homeport.node.model import ContainerState, Phase
from homeport.node.networks import links_of
from homeport.node.ports import ContainerStatus, DriverError, Sandbox, SandboxSpec
from homeport.node.record import TaskRecord
from homeport.node.render_network import Linked, link_environment, ports_of
from homeport.node.steps import sandbox, start
from homeport.node.steps.tools import Extras, Tools

log = get_logger("node.sandbox")

LOST = "ContainerVanishedError: the task's network is gone, and it was not this agent that removed it"


class NetworkWork:
    """The networks of one task; their names are of the rules' internal containers."""

    def __init__(self, record: TaskRecord, tools: Tools, *, unseen: bool) -> None:
        """`unseen`: they are of an agent before this one, and nobody knows what happened to them since."""
        self._record = record
        self._tools = tools
        self._doubted = {name for name, rule in record.rules.containers.items() if rule.sandbox and unseen}

    def joining(self, network: str) -> Container | None:
        """The container that has the network to itself; `None`: all of the task's share it."""
        names = [name for name, other in self._record.rules.networks.items() if other == network]
        if self._record.task.network_mode == "awsvpc":
            return None
        return start.payload_container(self._record.task, names[0])

    def docker_name(self, name: str) -> str:
        """Of the holder of a container's network; empty: it is not ours."""
        network = self._record.rules.networks.get(name)
        return self._record.docker_names[network] if network else ""

    async def make(self, network: str) -> None:
        """Make it, or find it. Raise `DriverError`, after which nothing of it is there."""
        linked = await self._linked(self.joining(network), {})
        made = await sandbox.ensure(self._tools, self._spec(network, linked))
        self._record.change(network, lambda known: self._made(known, made))

    def _spec(self, network: str, linked: tuple[Linked, ...] = ()) -> SandboxSpec:
        record, joining = self._record, self.joining(network)
        host_ports = record.of(joining.name).host_ports if joining is not None else ()
        return sandbox.spec_of(
            self._tools, record.task, network, joining, host_ports=host_ports, linked=linked
        )

    async def see(self, network: str) -> None:
        """Look whether it is whole."""
        record, docker_name = self._record, self._record.docker_names[network]
        known = record.of(network)
        if not known.start_asked:
            return
        found = await sandbox.find(self._tools, docker_name)
        known = record.of(network)
        if known.phase is Phase.STOPPED:
            if found is not None:  # it came up after it was given up
                await sandbox.remove_patiently(self._tools, docker_name)
        elif found is not None:
            record.change(network, lambda known: self._made(known, found))
            if network in self._doubted:
                await self._publish(network)
        elif known.phase is Phase.RUNNING and not known.reason:
            log.warning("sandbox.lost", task=record.task.arn, sandbox=docker_name)
            record.change(network, lambda known: lifecycle.failed(known, LOST))

    async def _publish(self, network: str) -> None:
        """Rules may have been taken away while no agent was there to see it."""
        spec = self._spec(network)
        try:
            if spec.published:
                await sandbox.publish(self._tools, spec)
        except DriverError as error:
            log.warning("sandbox.unpublished", task=self._record.task.arn, error=str(error))
        else:
            self._doubted.discard(network)

    async def unmake(self, network: str) -> None:
        """Remove whatever is there of it."""
        await sandbox.remove_patiently(self._tools, self._record.docker_names[network])
        now = self._tools.clock.now()
        self._record.change(network, lambda known: lifecycle.stopped(known, at=now))

    def outside(self, name: str, status: ContainerStatus) -> ContainerStatus:
        """A container's status with what Docker does not know of its network."""
        network = self._record.rules.networks.get(name)
        if network is None:
            return status
        addresses = self._record.of(network).ip_addresses
        return sandbox.seen_from_outside(
            self._tools,
            self._record.task,
            status,
            host_ports=self._record.of(name).host_ports,
            address=addresses[0] if addresses else "",
        )

    async def link_environment(self, name: str, extras: Mapping[str, Extras]) -> dict[str, str]:
        """What it is told of the containers that it links to; their `extras` by name."""
        payload = start.payload_container(self._record.task, name)
        if payload is None or not payload.links or name not in self._record.rules.networks:
            return {}
        return link_environment(self._record.task, payload, await self._linked(payload, extras))

    async def _linked(self, container: Container | None, extras: Mapping[str, Extras]) -> tuple[Linked, ...]:
        """Containers without a network of their own are not to be reached, and left out."""
        record, found = self._record, list[Linked]()
        for name, alias in links_of(container) if container is not None else ():
            network = record.rules.networks.get(name)
            other = start.payload_container(record.task, name)
            if network is None or other is None or not record.of(network).ip_addresses:
                continue
            image = await self._tools.drivers.images.inspect(other.image)
            spec = start.render(
                self._tools,
                record.task,
                other,
                extras=extras.get(name, Extras()),
                host_ports=(),
                image_env=image.env if image else (),
                network=record.docker_names[network],
            )
            env = [*(image.env if image else ()), *spec.config["Env"]]
            found.append(
                Linked(
                    name=name,
                    alias=alias,
                    docker_name=record.docker_names[name],
                    address=record.of(network).ip_addresses[0],
                    ports=ports_of(other, image.exposed if image else ()),
                    env=dict(entry.partition("=")[::2] for entry in env),
                )
            )
        return tuple(found)

    def _made(self, known: ContainerState, made: Sandbox) -> ContainerState:
        now = self._tools.clock.now()
        return replace(
            lifecycle.reached(known, Phase.RUNNING),
            ran=True,
            docker_id=made.docker_id,
            docker_name=made.name,
            ip_addresses=(made.address,),
            created_at=known.created_at or now,
            started_at=known.started_at or now,
        )
