"""A live server per module, and clients of it; the main modules run on PostgreSQL as well."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from homeport.store import open_store
from tests.kit.server import Live, live_server
from tests.kit.stores import fresh_database

ON_BOTH = {
    "test_agent_reports",
    "test_auth",
    "test_awsvpc",
    "test_certificates",
    "test_cloud_map",
    "test_clusters",
    "test_fargate",
    "test_iam_members",
    "test_iam_races",
    "test_nothing_is_ignored",
    "test_pages",
    "test_parameters",
    "test_secrets",
    "test_services",
    "test_tasks",
}
"""Modules whose tests run on both databases."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    module = metafunc.module.__name__.rpartition(".")[2]
    if "live" in metafunc.fixturenames and module in ON_BOTH:
        both = ["memory", pytest.param("postgresql", marks=pytest.mark.postgres)]
        metafunc.parametrize("live", both, indirect=True, scope="module")


@pytest.fixture(scope="module")
def live(request: pytest.FixtureRequest) -> Iterator[Live]:
    if getattr(request, "param", "memory") == "memory":
        with live_server() as server:
            yield server
        return
    url = asyncio.run(fresh_database(request.getfixturevalue("postgres_cluster")))
    with live_server(lambda: open_store(url)) as server:
        yield server


@pytest.fixture(scope="module")
def ecs(live: Live) -> Any:
    return live.client("ecs")
