"""Services that wait for something that others do: room in their cluster, roles that can be assumed."""

from __future__ import annotations

from collections.abc import Iterable

from homeport.runtime.changes import Change
from homeport.services.ecs.model import Service
from homeport.services.ecs.ports import ROLES_CHANGED


class Waits:
    """Which services the next news concerns. Who was told is forgotten: who still waits listens again."""

    def __init__(self) -> None:
        self._short: dict[int, set[str]] = {}
        self._roleless: dict[str, set[str]] = {}

    def concerned(self, change: Change) -> Iterable[str]:
        """The services that waited for this, a change of their cluster's fleet or their account's roles."""
        if change.kind == ROLES_CHANGED:
            return self._roleless.pop(change.key, ())
        return self._short.pop(int(change.key), ())

    def for_room(self, service: Service) -> bool:
        """The next news of the cluster's fleet concerns the service; whether that is new."""
        waiting = self._short.setdefault(service.cluster_id, set())
        is_new = str(service.id) not in waiting
        waiting.add(str(service.id))
        return is_new

    def has_room(self, service: Service) -> None:
        """It found room for all: news of the fleet does not concern it any more."""
        self._short.get(service.cluster_id, set()).discard(str(service.id))

    def for_roles(self, service: Service) -> None:
        """A role that cannot be assumed may be, once the account's roles have changed."""
        self._roleless.setdefault(service.account_id, set()).add(str(service.id))
