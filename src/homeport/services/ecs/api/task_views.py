"""Tasks as DescribeTasks shows them, encoded once per version.

Pollers ask for the same tasks again and again, and most have not changed: then
reading, building and encoding them would be nearly all of the work.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.services.ecs.view import Include, task_view
from homeport.store.tx import Tx
from homeport.wire.jsonbody import encoded

VIEWS_KEPT = 5000
"""Some 1.5 kB each."""


class TaskViews:
    """The encoded views of the tasks that were asked for last."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, Include], tuple[int, msgspec.Raw]] = {}

    def describe(
        self, tx: Tx, cluster_id: int, uids: Sequence[str], include: Include
    ) -> dict[str, msgspec.Raw]:
        """Those of the 32-character ids that exist, by id."""
        repo = TaskRepo(tx)
        found: dict[str, msgspec.Raw] = {}
        changed: list[str] = []
        for uid, version in repo.versions(cluster_id, uids).items():
            known = self._known.get((uid, include))
            if known is not None and known[0] == version:
                found[uid] = known[1]
            else:
                changed.append(uid)
        if not changed:
            return found
        if len(self._known) + len(changed) > VIEWS_KEPT:
            self._known.clear()
        for uid, task in repo.find_many(cluster_id, changed).items():
            view = encoded(task_view(task, include=include))
            self._known[uid, include] = task.version, view
            found[uid] = view
        return found
