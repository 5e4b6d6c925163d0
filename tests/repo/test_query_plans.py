"""What is asked all the time never walks through a whole table. Source: SQLite, EXPLAIN QUERY PLAN."""

from __future__ import annotations

import re
from types import ModuleType

import pytest
from sqlalchemy.dialects import sqlite

from homeport.services.ecs.repo import (
    events,
    history,
    hosts,
    instances,
    services,
    task_definitions,
    task_sets,
    tasks,
)
from homeport.store import open_memory_store
from homeport.store.prepared import Prepared, PreparedList

REPOS = (events, history, hosts, instances, services, task_definitions, task_sets, tasks)
WALKS: dict[str, str] = {}
"""Why one may."""


def prepared(module: ModuleType) -> dict[str, Prepared]:
    """Its queries; lists with ten items."""
    found = {}
    for name, value in vars(module).items():
        for key, one in value.items() if isinstance(value, dict) else [("sqlite", value)]:
            if key == "sqlite" and isinstance(one, Prepared | PreparedList):
                found[name] = one._of_size(10) if isinstance(one, PreparedList) else one
    return found


@pytest.mark.parametrize("module", REPOS, ids=lambda module: module.__name__.rpartition(".")[2])
async def test_a_prepared_query_has_an_index(module: ModuleType) -> None:
    store = open_memory_store()
    walking = []
    for name, one in prepared(module).items():
        compiled = one.on(sqlite.dialect())
        # An index serves a query that says what its condition says only.
        rows = store._writer.raw.execute(
            f"EXPLAIN QUERY PLAN {compiled.sql}", tuple(1 for _ in compiled.names)
        )
        if any(re.match(r"SCAN \w+$|.*\(rowid>\?\)", row[3]) for row in rows):
            walking.append(f"{module.__name__.removeprefix('homeport.services.')}:{name}")
    await store.close()
    assert set(walking) <= WALKS.keys()
