"""What of a placement is not the fleet's to say: what was asked before, who was written, what is gone."""

from __future__ import annotations

from homeport.core.errors import StaleWriteError
from homeport.services.ecs.errors import ClusterNotFoundException, ConflictException
from homeport.services.ecs.ports import PlacementOutcome, PlacementRequest
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.daemons import DaemonRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.settings import TokenRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.tx import Tx


def asks_back(request: PlacementRequest) -> bool:
    """Whether more than the fleet decides: an earlier request under its token, its service's version.

    And whether its cluster is still there, where that is not the one whose fleet decides.
    """
    return request.client_token is not None or request.owner is not None or request.is_fargate


def stale_of(tx: Tx, request: PlacementRequest) -> StaleWriteError | None:
    """What to say when the request's service or daemon was written since it was read."""
    if request.service is not None and not ServiceRepo(tx).is_current(request.service):
        return StaleWriteError(request.service.arn)
    if request.daemon is not None and not DaemonRepo(tx).is_current(request.daemon):
        return StaleWriteError(request.daemon.arn)
    return None


def _is_there(tx: Tx, request: PlacementRequest) -> bool:
    """Whether the request's own cluster is ACTIVE: only Fargate's is not the one that is guarded anyway."""
    cluster = ClusterRepo(tx).get(request.cluster.id) if request.is_fargate else request.cluster
    return cluster is not None and cluster.status == "ACTIVE"


def known_outcome(tx: Tx, request: PlacementRequest) -> PlacementOutcome | Exception | None:
    """What a request already came to: its tasks, a conflict, a stale service; `None`: it is new."""
    if (stale := stale_of(tx, request)) is not None:
        return stale
    if not _is_there(tx, request):
        return ClusterNotFoundException("Cluster not found.")
    token = request.client_token
    earlier = None if token is None else TokenRepo(tx).find(token.scope, token.token)
    if token is None or earlier is None:
        return None
    digest, result = earlier
    found = TaskRepo(tx).find_many(request.cluster.id, result.split(","))
    made = tuple(found[uid] for uid in result.split(",") if uid in found)
    if digest != token.digest:
        return ConflictException(
            "The client token was already used for a request with different parameters.",
            resourceIds=[task.arn for task in made],
        )
    return PlacementOutcome(tasks=made)
