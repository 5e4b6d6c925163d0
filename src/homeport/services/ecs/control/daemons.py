"""What DAEMON services need besides what every service needs: their instances, and news of these."""

from __future__ import annotations

from homeport.services.ecs.model import Service, TaskDefinition
from homeport.services.ecs.plan.daemon import DaemonSnapshot
from homeport.services.ecs.plan.rollout import ServiceSnapshot
from homeport.services.ecs.ports import TaskPlacer
from homeport.services.ecs.repo.hosts import daemon_hosts
from homeport.store.tx import Tx


class DaemonWatch:
    """Which DAEMON services there are, by cluster: a change of an instance concerns them all."""

    def __init__(self, placer: TaskPlacer) -> None:
        self._placer = placer
        self._keys: dict[int, set[str]] = {}

    def keys(self, cluster_id: int) -> tuple[str, ...]:
        """The cluster's DAEMON services."""
        return tuple(sorted(self._keys.get(cluster_id, ())))

    def add(self, service: Service) -> bool:
        """News of instances concerns the service from now on; whether that is new."""
        known = self._keys.setdefault(service.cluster_id, set())
        is_new = str(service.id) not in known
        known.add(str(service.id))
        return is_new

    def reserve(self, service: Service, definition: TaskDefinition | None) -> None:
        """Hold room for what a DAEMON service will start, if `definition` is what it will start."""
        if not service.is_daemon:
            return
        if service.status == "INACTIVE":
            self._keys.get(service.cluster_id, set()).discard(str(service.id))
        if starts_no_more(service):
            self._placer.reserve(service, None)
        elif definition is not None and definition.id == service.primary.task_definition_id:
            self._placer.reserve(service, definition)


def starts_no_more(service: Service) -> bool:
    """Whether the service is deleted, or its deployment has failed for good."""
    return service.status != "ACTIVE" or service.primary.rollout_state == "FAILED"


def daemon_snapshot(tx: Tx, snapshot: ServiceSnapshot, definition: TaskDefinition | None) -> DaemonSnapshot:
    """The snapshot with the cluster's instances, as the service sees them."""
    assert definition is not None, "a revision outlives the services that use it"
    return DaemonSnapshot(
        service=snapshot.service,
        live=snapshot.live,
        stopped=snapshot.stopped,
        draining_instances=snapshot.draining_instances,
        targets=snapshot.targets,
        hosts=daemon_hosts(tx, snapshot.service, definition),
    )
