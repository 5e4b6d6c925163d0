"""Tasks of Fargate's fleet, as its agents name them: by ARN, whatever cluster they are of."""

from __future__ import annotations

from homeport.core.arn import MalformedArnError, parse_arn
from homeport.services.ecs.model import Task
from homeport.services.ecs.plan.identifiers import Home, is_uid
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.tx import Tx


def task_of_fleet(tx: Tx, home: Home, reference: str, fleet_id: int) -> Task | None:
    """The task of that ARN, if it is on one of the fleet's machines."""
    task = task_named(tx, home, reference)
    return task if task is not None and task.fleet_id == fleet_id else None


def task_named(tx: Tx, home: Home, reference: str) -> Task | None:
    """The task of that ARN, of whatever cluster of the account and region."""
    try:
        arn = parse_arn(reference)
    except MalformedArnError:
        return None
    kind, _, path = arn.resource.partition("/")
    cluster_name, _, uid = path.partition("/")
    if kind != "task" or (arn.account_id, arn.region) != (home.account_id, home.region) or not is_uid(uid):
        return None
    cluster = ClusterRepo(tx).find(home.account_id, home.region, cluster_name)
    return None if cluster is None else TaskRepo(tx).find(cluster.id, uid)
