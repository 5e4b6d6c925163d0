"""What a look at a service reads: everything that its next step depends on, as one transaction saw it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from homeport.core.clock import Clock
from homeport.services.ecs.control.daemons import daemon_snapshot
from homeport.services.ecs.control.service_steps import counted_until, target_facts
from homeport.services.ecs.control.task_sets import LoadedTaskSets, load_task_sets
from homeport.services.ecs.model import Cluster, Service, Task, TaskDefinition
from homeport.services.ecs.plan.rollout import ServicePlan, ServiceSnapshot
from homeport.services.ecs.plan.traffic import shifts_traffic
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

BULK_TASKS = 20
"""From so many live tasks on, deciding in a write is long for the event loop."""


class Loaded(NamedTuple):
    """A service of deployments, its cluster, and its primary deployment's definition."""

    snapshot: ServiceSnapshot
    cluster: Cluster | None
    definition: TaskDefinition | None


class ServiceLoads:
    """Loads services. Of a large one on its way, tasks that have not changed are not read again."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[int, dict[int, Task]] = {}
        """Of large services on their way, the tasks as they were last read: so few of them change between."""

    def load(self, tx: Tx, service_id: int) -> Loaded | LoadedTaskSets | None:
        """The service, unless it is INACTIVE, and all that its next step depends on."""
        service = ServiceRepo(tx).get(service_id)
        if service is None or service.status == "INACTIVE":
            self._known.pop(service_id, None)
            return None
        if service.is_external:
            return load_task_sets(tx, service, self._clock.now())
        tasks = TaskRepo(tx)
        live = tasks.live_of_service(service_id, self._known.get(service_id))
        snapshot = ServiceSnapshot(
            service=service,
            live=live,
            stopped=tasks.stopped_of_service(
                service_id,
                after=counted_until(service),
                started_by=None if service.primary.staging is not None else service.primary.id,
            ),
            draining_instances=InstanceRepo(tx).draining_ids(service.cluster_id),
            targets=target_facts(tx, service, live),
            has_target_groups=shifts_traffic(service),
        )
        definitions = TaskDefinitionRepo(tx).by_ids([service.primary.task_definition_id])
        cluster = ClusterRepo(tx).get(service.cluster_id)
        definition = definitions.get(service.primary.task_definition_id)
        if service.is_daemon:
            snapshot = daemon_snapshot(tx, snapshot, definition)
        return Loaded(snapshot, cluster, definition)

    def remember(self, snapshot: ServiceSnapshot, plan: ServicePlan) -> None:
        """Keep the tasks of a large service for the next look, while there will be one soon."""
        on_its_way = plan.start or plan.stop or plan.service.steady_at is None
        if on_its_way and len(snapshot.live) > BULK_TASKS:
            self._known[snapshot.service.id] = {task.id: task for task in snapshot.live}
        else:
            self._known.pop(snapshot.service.id, None)

    async def acting(
        self, service: Service, definition: TaskDefinition | None, plan: ServicePlan
    ) -> tuple[Service, TaskDefinition | None]:
        """The service as if the deployment that the plan starts tasks of were its only one."""
        deployment = next((one for one in service.deployments if one.id == plan.start_of), service.primary)
        if deployment is service.primary:
            return service, definition
        wanted = deployment.task_definition_id
        found = await self._store.read(lambda tx: TaskDefinitionRepo(tx).by_ids([wanted]))
        return msgspec.structs.replace(service, deployments=(deployment,)), found.get(wanted)
