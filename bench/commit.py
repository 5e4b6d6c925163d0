"""Tasks placed and durably committed per second: SQLite on disk, synchronous=FULL, groups of identical tasks.

Run as `python -m bench.commit [--json] [--instances 1000] [--group 1000] [--rounds 10]`. This is the whole
way of a service that starts: decide on the fleet, make the tasks, commit them under the cluster's guard.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from bench.kit import Figure, arguments, median, tell
from homeport.core.clock import SystemClock
from homeport.core.ids import SystemIds
from homeport.services.ecs.control.placer import Placer
from homeport.services.ecs.model import Attribute, Cluster, ContainerInstance, TaskDefinition
from homeport.services.ecs.plan.launch import launch_of, task_template
from homeport.services.ecs.plan.task_definition import normalise
from homeport.services.ecs.ports import PlacementRequest
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.store.opening import open_store
from homeport.store.tx import Tx

ACCOUNT, REGION = "000000000000", "us-east-1"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
DEFINITION = {
    "family": "bench",
    "containerDefinitions": [{"name": "app", "image": "app:1", "cpu": 1, "memory": 4}],
}
STRATEGY = (
    {"type": "spread", "field": "attribute:ecs.availability-zone"},
    {"type": "binpack", "field": "memory"},
)


def world(tx: Tx, instances: int) -> tuple[Cluster, TaskDefinition]:
    """A cluster of so many connected instances, and a definition whose tasks fit anywhere."""
    ids = SystemIds()
    cluster = ClusterRepo(tx).add(Cluster(account_id=ACCOUNT, region=REGION, name="default", created_at=NOW))
    body = normalise(DEFINITION, settings={"defaultLogDriverMode": "non-blocking"})
    definition = TaskDefinitionRepo(tx).add(
        TaskDefinition(
            account_id=ACCOUNT,
            region=REGION,
            family="bench",
            revision=1,
            registered_at=NOW,
            registered_by="bench",
            body=body,
        )
    )
    names = [attribute["name"] for attribute in body["requiresAttributes"]]
    repo = InstanceRepo(tx)
    for number in range(instances):
        zone = Attribute(name="ecs.availability-zone", value=f"{REGION}{'abc'[number % 3]}")
        repo.add(
            ContainerInstance(
                cluster_id=cluster.id,
                cluster_name=cluster.name,
                account_id=ACCOUNT,
                region=REGION,
                uid=ids.token(16).hex(),
                ec2_instance_id=f"i-{number:017x}",
                registered_at=NOW,
                cpu=1_000_000,
                memory=4_000_000,
                agent_connected=True,
                attributes=(zone, *(Attribute(name=name) for name in names)),
            )
        )
    fresh = ClusterRepo(tx).get(cluster.id)
    assert fresh is not None
    return fresh, definition


async def measure(instances: int, group: int, rounds: int) -> list[float]:
    """Tasks per second of each round."""
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store(f"sqlite:///{Path(folder) / 'homeport.db'}")
        placer = Placer(store, SystemClock(), SystemIds())
        cluster, definition = await store.write(lambda tx: world(tx, instances), bulk=True)
        launch = launch_of(definition, {})
        template = task_template(
            cluster=cluster,
            definition=definition,
            launch=launch,
            group=None,
            started_by=None,
            tags=(),
            log_mode="non-blocking",
            now=NOW,
        )
        request = PlacementRequest(
            cluster=cluster,
            definition=definition,
            template=template,
            demand=template.demand,
            count=group,
            required_attributes=launch.demand.required_attributes,
            strategy=STRATEGY,
        )
        found: list[float] = []
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(placer.run())
            for _ in range(rounds + 1):  # the first reads the fleet
                started = time.perf_counter()
                outcome = await placer.place(request)
                found.append(group / (time.perf_counter() - started))
                assert len(outcome.tasks) == group
            running.cancel()
        await store.close()
        return found[1:]


def main() -> None:
    options = arguments(__doc__ or "", instances=1000, group=1000, rounds=10)
    rates = uvloop.run(measure(options.instances, options.group, options.rounds))
    figure = Figure(
        name=f"placed and committed, groups of {options.group} on {options.instances} instances",
        ours=median(rates),
        unit="tasks/s",
        target=">= 30,000",
    )
    tell([figure], as_json=options.json)


if __name__ == "__main__":
    main()
