"""What the cluster query language can look at, of all rows: attributes, agent version, EC2 instance id.

Most instances of a cluster share their many attributes without value (capabilities), so
those are kept as one shared set. A column is made when first asked for and kept up to date.
"""

from __future__ import annotations

import numpy as np

from homeport.services.ecs.plan.fleet_parts import grown
from homeport.services.ecs.plan.placement_types import AZ_ATTRIBUTE, InstanceView
from homeport.services.ecs.plan.query import Column

_COLUMNS_MAX = 256


class Subjects:
    """Per row, the value of every subject."""

    def __init__(self) -> None:
        self._size = 0
        self._valued: list[dict[str, str]] = []
        self._bare: list[frozenset[str]] = []
        self._shared: dict[frozenset[str], frozenset[str]] = {}
        self._columns: dict[str, Column] = {}
        self._cut: dict[str, Column] = {}

    def grow(self, size: int) -> None:
        """Make room for `size` rows."""
        more = size - self._size
        self._cut.clear()
        self._size = size
        self._valued += [{} for _ in range(more)]
        self._bare += [frozenset()] * more
        for column in self._columns.values():
            start = len(column.codes)
            column.codes = grown(column.codes, size)
            column.codes[start:] = -1

    def set(self, row: int, view: InstanceView) -> bool:
        """Set a row; whether that changed anything."""
        valued = {f"attribute:{n}": v for n, v in view.attributes.items() if v is not None}
        if view.az:
            valued.setdefault(f"attribute:{AZ_ATTRIBUTE}", view.az)
        valued["agentVersion"] = view.agent_version
        if view.ec2_instance_id:
            valued["ec2InstanceId"] = view.ec2_instance_id
        bare = frozenset(f"attribute:{n}" for n, v in view.attributes.items() if v is None)
        if valued == self._valued[row] and bare == self._bare[row]:
            return False
        if len(self._shared) > 2 * self._size:
            self._shared.clear()
        self._store(row, valued, self._shared.setdefault(bare, bare))
        return True

    def wipe(self, row: int) -> None:
        """Forget a row."""
        self._store(row, {}, frozenset())

    def _store(self, row: int, valued: dict[str, str], bare: frozenset[str]) -> None:
        self._valued[row], self._bare[row] = valued, bare
        for subject, column in list(self._columns.items()):
            column.codes[row] = self._code(column, row, subject)
            if len(column.values) > 2 * self._size:  # values that no row has any more pile up
                del self._columns[subject]
                self._cut.pop(subject, None)

    def _code(self, column: Column, row: int, subject: str) -> int:
        value = self._valued[row].get(subject)
        if value is None:
            return column.code("") if subject in self._bare[row] else -1
        return column.code(value)

    def column(self, subject: str, size: int) -> Column:
        """One subject of the first `size` rows."""
        cut = self._cut.get(subject)
        if cut is not None and len(cut.codes) == size:
            return cut
        column = self._columns.get(subject)
        if column is None:
            if len(self._columns) >= _COLUMNS_MAX:
                self._columns.clear()
                self._cut.clear()
            column = self._columns[subject] = Column(np.full(self._size, -1, dtype=np.int32))
            for row in range(size):
                column.codes[row] = self._code(column, row, subject)
        cut = self._cut[subject] = Column(column.codes[:size], column.values, column.index)
        return cut
