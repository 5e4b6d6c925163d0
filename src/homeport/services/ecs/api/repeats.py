"""CreateService asked again: under the same client token, or for the same name."""

from __future__ import annotations

from homeport.services.ecs.api.context import Ecs, Request
from homeport.services.ecs.errors import InvalidParameterException
from homeport.services.ecs.model import Cluster, Service
from homeport.services.ecs.repo.settings import TokenRepo
from homeport.store.tx import Tx


def earlier(tx: Tx, cluster: Cluster, token: str | None, digest: str) -> bool:
    """Whether the client token was used before. Raise if it was for something else."""
    known = TokenRepo(tx).find(f"CreateService/{cluster.id}", token) if token else None
    if known is not None and known[0] != digest:
        raise InvalidParameterException("Creation of service was not idempotent.")
    return known is not None


def remember(tx: Tx, ecs: Ecs, cluster: Cluster, token: str, *, digest: str, result: str) -> None:
    """A repeat under the client token gets the same service."""
    TokenRepo(tx).add(
        f"CreateService/{cluster.id}",
        token,
        digest=digest,
        result=result,
        created_at=ecs.clock.now().timestamp(),
    )


def is_repeated(old: Service, asked: Request) -> bool:
    """Whether the same service is there already. Raise when another one has its name."""
    if old.status == "ACTIVE" and old.request != asked:
        raise InvalidParameterException("Creation of service was not idempotent.")
    if old.status == "DRAINING":
        raise InvalidParameterException("Unable to Start a service that is still Draining.")
    return old.status == "ACTIVE"
