"""Answers `homeport explain`: loads what the planners see, in one read, and lets them say why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from homeport.core.arn import Arn, MalformedArnError, parse_arn
from homeport.core.clock import Clock
from homeport.core.errors import AwsError
from homeport.services.ecs.control.daemons import daemon_snapshot
from homeport.services.ecs.control.service_steps import counted_until, log_mode, target_facts
from homeport.services.ecs.control.task_roles import NoRoles, refused_role
from homeport.services.ecs.errors import InvalidParameterException
from homeport.services.ecs.model import FARGATE, FLEET, Cluster, Service, TaskDefinition
from homeport.services.ecs.plan.explain import Explanation, explain_task
from homeport.services.ecs.plan.explain_room import Around
from homeport.services.ecs.plan.explain_service import ServiceCase, explain_deployment, explain_service
from homeport.services.ecs.plan.explain_task_sets import explain_external, explain_task_set
from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.launch import launch_of, service_template
from homeport.services.ecs.plan.placing import fleet_demand, hold, instance_state, pool_of, service_placement
from homeport.services.ecs.plan.rebalancing import zones_of
from homeport.services.ecs.plan.reservations import Reservations
from homeport.services.ecs.plan.rollout import ServiceSnapshot
from homeport.services.ecs.plan.task_sets import as_service
from homeport.services.ecs.plan.traffic import shifts_traffic
from homeport.services.ecs.ports import Obstacle, OpenPaths, Paths, PlacementRequest, RoleAssumer
from homeport.services.ecs.repo.capacity_providers import CapacityProviderRepo
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.history import HistoryRepo
from homeport.services.ecs.repo.hosts import reserved_room
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.repo.task_sets import TaskSetRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

LATELY = timedelta(hours=1)
KINDS = {
    "task": "DescribeTasks",
    "service": "DescribeServices",
    "service-deployment": "DescribeServices",
    "task-set": "DescribeTaskSets",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One read: what it reads from, and when."""

    tx: Tx
    now: datetime
    roles: RoleAssumer
    paths: Paths


class Explainer:
    """Reads only. What it is asked about must be of the caller's account and region."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        roles: RoleAssumer | None = None,
        paths: Paths | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._roles: RoleAssumer = NoRoles() if roles is None else roles
        self._paths: Paths = OpenPaths() if paths is None else paths

    async def explain(self, account_id: str, region: str, reference: str) -> Explanation:
        """Why the thing of that ARN is as it is. Raise `InvalidParameterException`: there is none."""
        arn = _checked(account_id, region, reference)
        now = self._clock.now()

        def work(tx: Tx) -> Explanation:
            return _explained(_Look(tx=tx, now=now, roles=self._roles, paths=self._paths), arn)

        return await self._store.read(work, bulk=True)


def _checked(account_id: str, region: str, reference: str) -> Arn:
    try:
        arn = parse_arn(reference)
    except MalformedArnError:
        raise InvalidParameterException(f"Not an ARN: {reference}") from None
    kind = arn.resource.partition("/")[0]
    if arn.service != "ecs" or kind not in KINDS:
        raise InvalidParameterException(
            f"Only tasks, services, task sets and service deployments can be explained, not {reference}"
        )
    if (arn.account_id, arn.region) != (account_id, region):
        raise InvalidParameterException(f"{reference} is not of this account and region.")
    return arn


def _explained(look: _Look, arn: Arn) -> Explanation:
    tx = look.tx
    kind, *names = arn.resource.split("/")
    cluster = ClusterRepo(tx).find(arn.account_id, arn.region, names[0])
    found: Explanation | None = None
    if cluster is not None and len(names) > 1:
        if kind == "task":
            found = _task(look, cluster, names[1])
        elif kind == "service":
            service = ServiceRepo(tx).find(cluster.id, names[1])
            found = None if service is None else _service(look, cluster, service)
        elif kind == "task-set":
            service = ServiceRepo(tx).find(cluster.id, names[1])
            found = None if service is None else _task_sets(look, cluster, service).get(str(arn))
        else:
            found = _deployment(look, cluster, names[-1])
    if found is None:
        raise InvalidParameterException(
            f"There is no {arn}. Stopped tasks are forgotten after an hour, deployments after 90 days."
        )
    return found


def _service(look: _Look, cluster: Cluster, service: Service) -> Explanation:
    if not service.is_external:
        return explain_service(_case(look, cluster, service), look.now)
    told = _task_sets(look, cluster, service)
    task_sets = TaskSetRepo(look.tx).of_service(service.id)
    return explain_external(service, [(one, told[one.arn]) for one in task_sets])


def _task_sets(look: _Look, cluster: Cluster, service: Service) -> dict[str, Explanation]:
    """Every task set of a service, by ARN."""
    return {
        one.arn: explain_task_set(one, _case(look, cluster, as_service(service, one)), look.now)
        for one in TaskSetRepo(look.tx).of_service(service.id)
    }


def _task(look: _Look, cluster: Cluster, uid: str) -> Explanation | None:
    try:
        task = TaskRepo(look.tx).find(cluster.id, uid)
    except ValueError:  # not hexadecimal
        return None
    if task is None:
        return None
    instance = None if task.instance_id is None else InstanceRepo(look.tx).get(task.instance_id)
    return explain_task(task, instance, look.now)


def _deployment(look: _Look, cluster: Cluster, uid: str) -> Explanation | None:
    record = HistoryRepo(look.tx).find_many([uid]).get(uid)
    if record is None or record.cluster_name != cluster.name:
        return None
    service = ServiceRepo(look.tx).get(record.service_id)
    case = None if service is None else _case(look, cluster, service)
    return explain_deployment(record, case, look.now)


def _case(look: _Look, cluster: Cluster, service: Service) -> ServiceCase:
    tx, now = look.tx, look.now
    tasks = TaskRepo(tx)
    lately = tasks.stopped_of_service(service.id, after=now - LATELY)
    live = tasks.live_of_service(service.id)
    if service.is_external:  # one of its task sets, as if it were a service
        lately, live = (
            tuple(task for task in some if task.started_by == service.primary.id) for some in (lately, live)
        )
    snapshot = ServiceSnapshot(
        service=service,
        live=live,
        stopped=tuple(t for t in lately if t.stopped_at and t.stopped_at > counted_until(service)),
        draining_instances=InstanceRepo(tx).draining_ids(service.cluster_id),
        targets=target_facts(tx, service, live),
        has_target_groups=bool(service.deployments) and shifts_traffic(service),
    )
    definition = (
        TaskDefinitionRepo(tx)
        .by_ids([service.primary.task_definition_id])
        .get(service.primary.task_definition_id)
    )
    if service.is_daemon and definition is not None:
        snapshot = daemon_snapshot(tx, snapshot, definition)
    is_fargate = service.primary.launch_type == FARGATE
    machines = ClusterRepo(tx).fleet(cluster.account_id, cluster.region) if is_fargate else cluster
    fleet, around = _fleet(tx, machines)
    asked = None if definition is None else _asked(look, cluster, service, definition)
    demand = None if asked is None else fleet_demand(asked)
    providers = [item["capacityProvider"] for item in service.primary.strategy]
    groups = CapacityProviderRepo(tx).groups(service.account_id, service.region, providers)
    if len(providers) == 1 and demand is not None and not is_fargate:
        demand = replace(demand, pool=pool_of(groups.get(providers[0], "")))
    if service.az_rebalancing and demand is not None and not is_fargate:
        snapshot = replace(snapshot, zones=zones_of(fleet, demand))
    history = tuple(reversed(HistoryRepo(tx).open_of(service.id)))
    return ServiceCase(
        snapshot=snapshot,
        fleet=fleet,
        demand=demand,
        failed=lately,
        history=history,
        groups=groups,
        around=around,
        obstacles=_obstacles(look, service),
        refused_role=None if asked is None else refused_role(tx, look.roles, asked.template),
    )


def _obstacles(look: _Look, service: Service) -> tuple[Obstacle, ...]:
    groups = {balancer.place.target_group for balancer in service.primary.load_balancers}
    found: list[Obstacle] = []
    if groups:
        found += look.paths.obstacles(look.tx, service.account_id, service.region, sorted(groups))
    if service.primary.connect is not None:
        found += look.paths.connected(look.tx, service)
    return tuple(found)


def _asked(
    look: _Look, cluster: Cluster, service: Service, definition: TaskDefinition
) -> PlacementRequest | None:
    """What one more task of the service asks of an instance: as the service's controller asks for it."""
    try:
        launch = launch_of(definition, {})
    except AwsError:
        return None
    mode = log_mode(look.tx, service)
    template = service_template(service, cluster, definition, launch, log_mode=mode, now=look.now)
    return service_placement(service, cluster, definition, launch, template)


def _fleet(tx: Tx, cluster: Cluster | None) -> tuple[Fleet, Around]:
    """A cluster's instances, or Fargate's machines; `None`: there are none."""
    fleet = Fleet()
    if cluster is None:
        return fleet, Around.of((), ())
    instances, repo = InstanceRepo(tx).of_cluster(cluster.id), TaskRepo(tx)
    tasks = (repo.placed_in_fleet if cluster.name == FLEET else repo.placed_after)(cluster.id, 0)
    for instance in instances:
        fleet.upsert_instance(instance_state(instance))
    for task in tasks:
        hold(fleet, task)
    closed = Reservations()
    closed.learn({}, reserved_room(tx, cluster.id).closing)
    closed.hold(fleet)  # where a critical daemon does not run yet, nothing else is placed
    return fleet, Around.of(instances, tasks)
