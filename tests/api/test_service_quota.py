"""How many tasks a service may ask for. Source: Amazon ECS service quotas, "Tasks per service"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.app.settings import SettingsError
from homeport.cli.main import build
from tests.kit.server import Live


@pytest.fixture(autouse=True)
def service(ecs: Any) -> None:
    ecs.create_cluster()
    container = {"name": "app", "image": "app:1", "memory": 16}
    ecs.register_task_definition(family="web", containerDefinitions=[container])
    ecs.create_service(serviceName="quota", taskDefinition="web", desiredCount=0)


@pytest.mark.parametrize("count", [-1, 5001])
def test_a_count_beyond_the_quota_is_refused_and_says_how_to_raise_it(
    ecs: Any, live: Live, count: int
) -> None:
    for asking in (
        lambda: ecs.update_service(service="quota", desiredCount=count),
        lambda: ecs.create_service(serviceName="more", taskDefinition="web", desiredCount=count),
    ):
        with pytest.raises(ClientError, match=r"Tasks per service.*--tasks-per-service"):
            asking()


def test_a_count_at_the_quota_is_taken(ecs: Any) -> None:
    taken = ecs.update_service(service="quota", desiredCount=5000)["service"]
    assert taken["desiredCount"] == 5000
    ecs.delete_service(service="quota", force=True)


def test_the_quota_is_a_setting_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMEPORT_TASKS_PER_SERVICE", "12000")
    _, bound, _ = build().parse_args(["up"])
    assert bound.arguments["tasks_per_service"] == 12000
    _, bound, _ = build().parse_args(["up", "--tasks-per-service", "7"])
    assert bound.arguments["tasks_per_service"] == 7


def test_a_quota_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="tasks per service"):
        build()(["up", "--tasks-per-service", "0", "--data-dir", str(tmp_path)])
