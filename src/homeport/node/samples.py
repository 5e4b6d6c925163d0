"""Usage of a container, its network's included: Docker counts nothing for one in another's network."""

from __future__ import annotations

from dataclasses import asdict, replace

from homeport.node.ports import ContainerDriver, Counters, Sample, SandboxDriver
from homeport.node.record import TaskRecord

INTERFACE = "eth0"


async def sample_of(
    containers: ContainerDriver, sandboxes: SandboxDriver | None, record: TaskRecord, name: str
) -> Sample | None:
    """Usage now; `None` when it does not run. All containers of an awsvpc task show the task's traffic."""
    found = await containers.sample(record.docker_names[name])
    network = record.rules.networks.get(name)
    if found is None or network is None or sandboxes is None:
        return found
    counters = await sandboxes.counters(record.docker_names[network])
    return found if counters is None else with_counters(found, counters)


def with_counters(sample: Sample, counters: Counters) -> Sample:
    """As if Docker had counted them."""
    return replace(
        sample,
        rx_bytes=counters.rx_bytes,
        tx_bytes=counters.tx_bytes,
        raw={**sample.raw, "networks": {INTERFACE: asdict(counters)}},
    )
