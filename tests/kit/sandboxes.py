"""Network sandboxes in memory, on a `FakeMachine`: what the driver promises, and what nobody may do to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from homeport.agentproto.messages import Task
from homeport.node.ports import (
    ContainerSpec,
    Counters,
    DriverError,
    Drivers,
    Publication,
    RunState,
    Sandbox,
    SandboxSpec,
)
from tests.kit.machine import FakeMachine

PAUSE_IMAGE = "pause:1"


def interface(address: str = "10.99.0.20", number: int = 1) -> dict[str, Any]:
    """A network interface as a payload has it. Source: recordings of the real agent."""
    return {
        "attachmentArn": f"arn:aws:ecs:us-east-1:000000000000:attachment/a{number}",
        "ec2Id": f"eni-{number:017x}",
        "macAddress": f"02:aa:bb:cc:dd:{number % 256:02x}",
        "ipv4Addresses": [{"primary": True, "privateAddress": address}],
        "subnetGatewayIpv4Address": "10.99.0.1/24",
        "domainNameServers": ["10.99.0.2"],
        "domainName": ["ec2.internal"],
        "privateDnsName": f"ip-{address.replace('.', '-')}.ec2.internal",
    }


def address_in(task: Task) -> str:
    """Of the task's interface; empty: it has none."""
    for eni in task.elastic_network_interfaces:
        return str(eni["ipv4Addresses"][0]["privateAddress"])
    return ""


@dataclass(slots=True, kw_only=True)
class FakeNamespace:
    """What there is of a sandbox besides its holder."""

    spec: SandboxSpec
    address: str
    whole: bool = True


class FakeSandboxes:
    """`SandboxDriver`. `violations` collects what an engine must never do.

    `refusals` are raised by the next calls of `ensure`, which leave half a sandbox behind.
    """

    def __init__(self, machine: FakeMachine) -> None:
        self.machine = machine
        self.namespaces: dict[str, FakeNamespace] = {}
        self.violations: list[str] = []
        self.refusals: list[DriverError] = []
        self.made: list[str] = []
        self._inner = 0
        if PAUSE_IMAGE not in machine.images:
            machine.add_image(PAUSE_IMAGE)

    async def ensure(self, spec: SandboxSpec) -> Sandbox:
        if self._whole(spec.name) is None:
            self._begin(spec)
        lost = await self.machine.answer("sandboxes.ensure")  # whoever dies here leaves half of it
        made = self._make(spec)
        self.machine.finish(lost)
        return made

    async def find(self, name: str) -> Sandbox | None:
        self.machine.finish(await self.machine.answer("sandboxes.find"))
        return self._whole(name)

    async def publish(self, spec: SandboxSpec) -> None:
        lost = await self.machine.answer("sandboxes.publish")
        if self._whole(spec.name) is not None:
            self._check_free(spec)
            self.namespaces[spec.name].spec = replace(
                self.namespaces[spec.name].spec, published=spec.published
            )
        self.machine.finish(lost)

    async def remove(self, name: str) -> None:
        lost = await self.machine.answer("sandboxes.remove")
        self._check_nobody_is_in(name)
        self.namespaces.pop(name, None)
        self.machine.forget(name)
        self.machine.finish(lost)

    async def names(self) -> tuple[str, ...]:
        self.machine.finish(await self.machine.answer("sandboxes.names"))
        return tuple(self.namespaces)

    async def counters(self, name: str) -> Counters | None:
        self.machine.finish(await self.machine.answer("sandboxes.counters"))
        if self._whole(name) is None:
            return None
        return Counters(rx_bytes=1000, rx_packets=10, tx_bytes=500, tx_packets=5)

    def lose_ports(self) -> None:
        """Somebody flushed the machine's rules, and no agent saw it."""
        for known in self.namespaces.values():
            known.spec = replace(known.spec, published=())

    def break_link(self, name: str) -> None:
        """Its interface is gone; its holder runs on."""
        self.namespaces[name].whole = False
        self.machine.tell(name)

    def _begin(self, spec: SandboxSpec) -> None:
        self._check_free(spec)
        if spec.name not in self.namespaces:
            self._inner += 1
            address = (
                spec.interface.address
                if spec.interface
                else f"10.222.{self._inner // 250}.{self._inner % 250}"
            )
            self.namespaces[spec.name] = FakeNamespace(spec=spec, address=address, whole=False)

    def _make(self, spec: SandboxSpec) -> Sandbox:
        if (found := self._whole(spec.name)) is not None:
            self.namespaces[spec.name].spec = spec
            return found
        known = self.namespaces[spec.name]
        if self.refusals:
            raise self.refusals.pop(0)
        self.machine.make(
            ContainerSpec(
                name=spec.name, image=PAUSE_IMAGE, config={"Labels": dict(spec.labels)}, host_config={}
            )
        )
        self.machine.begin(spec.name)
        known.spec, known.whole = spec, True
        self.made.append(spec.name)
        made = self._whole(spec.name)
        assert made is not None
        return made

    def _whole(self, name: str) -> Sandbox | None:
        known, holder = self.namespaces.get(name), self.machine.containers.get(name)
        if known is None or not known.whole or holder is None or holder.state is not RunState.RUNNING:
            return None
        mac = known.spec.interface.mac if known.spec.interface else ""
        return Sandbox(name=name, docker_id=holder.id, address=known.address, mac=mac)

    def _check_free(self, spec: SandboxSpec) -> None:
        for name, other in self.namespaces.items():
            if name == spec.name:
                continue
            if spec.interface is not None and other.address == spec.interface.address:
                self.violations.append(f"{spec.name} was given {other.address}, which {name} still has")
            if both := _ports(spec.published) & _ports(other.spec.published):
                self.violations.append(f"{spec.name} was given {sorted(both)}, which {name} still has")

    def _check_nobody_is_in(self, name: str) -> None:
        mode = f"container:{name}"
        inside = [
            each.spec.name
            for each in self.machine.containers.values()
            if each.state is RunState.RUNNING and each.spec.host_config.get("NetworkMode") == mode
        ]
        if inside:
            self.violations.append(f"{name} was removed under {inside}")


def _ports(published: tuple[Publication, ...]) -> frozenset[tuple[int, str]]:
    return frozenset((each.host_port, each.protocol) for each in published)


def with_sandboxes(machine: FakeMachine) -> tuple[Drivers, FakeSandboxes]:
    """The machine's drivers, network sandboxes included."""
    sandboxes = FakeSandboxes(machine)
    return replace(machine.drivers, sandboxes=sandboxes), sandboxes
