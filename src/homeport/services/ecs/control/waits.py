"""Services that wait for something that others do: room in their cluster, roles that can be assumed."""

from __future__ import annotations

from collections.abc import Iterable

from homeport.runtime.changes import Change
from homeport.services.ecs.model import FARGATE, Service
from homeport.services.ecs.ports import ROLES_CHANGED
from homeport.services.ecs.repo.tasks import FARGATE_CHANGED


class Waits:
    """Which services the next news concerns. Who was told is forgotten: who still waits listens again."""

    def __init__(self) -> None:
        self._short: dict[int, set[str]] = {}
        self._roleless: dict[str, set[str]] = {}
        self._in_fargate: dict[str, set[str]] = {}

    def concerned(self, change: Change) -> Iterable[str]:
        """The services that waited for this, a change of their cluster's fleet or their account's roles.

        Or of Fargate, which their account has in common.
        """
        if change.kind == FARGATE_CHANGED:
            return self._in_fargate.pop(change.key, ())
        if change.kind == ROLES_CHANGED:
            return self._roleless.pop(change.key, ())
        return self._short.pop(int(change.key), ())

    def for_room(self, service: Service) -> bool:
        """The next news of the cluster's fleet concerns the service; whether that is new."""
        waiting = self._short.setdefault(service.cluster_id, set())
        is_new = str(service.id) not in waiting
        waiting.add(str(service.id))
        if _is_fargate(service):
            self._in_fargate.setdefault(_home(service), set()).add(str(service.id))
        return is_new

    def has_room(self, service: Service) -> None:
        """It found room for all: news of the fleet does not concern it any more."""
        self._short.get(service.cluster_id, set()).discard(str(service.id))
        self._in_fargate.get(_home(service), set()).discard(str(service.id))

    def for_roles(self, service: Service) -> None:
        """A role that cannot be assumed may be, once the account's roles have changed."""
        self._roleless.setdefault(service.account_id, set()).add(str(service.id))


def _is_fargate(service: Service) -> bool:
    """Whether any of its deployments runs there; one of task sets may."""
    return service.is_external or any(one.launch_type == FARGATE for one in service.deployments)


def _home(service: Service) -> str:
    return f"{service.account_id}/{service.region}"
