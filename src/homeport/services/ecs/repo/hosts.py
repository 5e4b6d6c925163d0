"""The instances of a cluster as a DAEMON service sees them."""

from __future__ import annotations

from homeport.services.ecs.model import Service, TaskDefinition
from homeport.services.ecs.plan.daemon_hosts import Host, hosts_of, wants_of
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.tx import Tx


def daemon_hosts(tx: Tx, service: Service, definition: TaskDefinition) -> tuple[Host, ...]:
    """The instances of the service's cluster, as the service sees them with that definition."""
    instances = InstanceRepo(tx).of_cluster(service.cluster_id)
    draining = [instance.id for instance in instances if instance.status == "DRAINING"]
    wants = wants_of(definition, service.placement_constraints)
    return hosts_of(instances, wants, {instance_id: _others(tx, instance_id) for instance_id in draining})


def _others(tx: Tx, instance_id: int) -> int:
    """How many tasks of other than DAEMON services are on an instance."""
    tasks = TaskRepo(tx).live_of_instance(instance_id)
    services = ServiceRepo(tx).get_many({t.service_id for t in tasks if t.service_id is not None})
    daemons = {service.id for service in services.values() if service.is_daemon}
    return sum(task.service_id not in daemons for task in tasks)
