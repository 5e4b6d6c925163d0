"""Every listing in pages: what is listed at once is what the pages hold, each once and in the same order."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.services.ecs.manifest import operations
from homeport.wire.model import service_api
from tests.api.test_tasks import register
from tests.kit.server import Live

LISTINGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ListClusters": ("list_clusters", "clusterArns", {}),
    "ListContainerInstances": ("list_container_instances", "containerInstanceArns", {}),
    "ListTaskDefinitions": ("list_task_definitions", "taskDefinitionArns", {"sort": "DESC"}),
    "ListTaskDefinitionFamilies": ("list_task_definition_families", "families", {}),
    "ListServices": ("list_services", "serviceArns", {}),
    "ListTasks": ("list_tasks", "taskArns", {}),
    "ListAttributes": (
        "list_attributes",
        "attributes",
        {"targetType": "container-instance", "attributeName": "ecs.os-type"},
    ),
    "ListAccountSettings": ("list_account_settings", "settings", {"effectiveSettings": True}),
}
EMPTY = {"ListGateways", "ListGatewayRoutes", "ListGatewayClusterAssociations", "ListServicesByNamespace"}
"""There is nothing to list yet (`test_gateways.py`)."""
EACH = pytest.mark.parametrize("operation", LISTINGS)
USUAL = {"ListServices": 10, "ListAccountSettings": 10}
"""Items a page where nobody says how many; 100 elsewhere. Source: API reference, maxResults."""


@pytest.fixture(scope="module", autouse=True)
def plenty(live: Live, ecs: Any) -> None:
    for _ in range(3):
        live.add_node()
    for number in range(12):
        ecs.create_cluster(clusterName=f"c{number}")
        register(ecs, f"f{number % 4}", "stay")
        ecs.create_service(serviceName=f"s{number}", taskDefinition="f0", desiredCount=0)
    ecs.run_task(taskDefinition="f0", count=7)


def test_every_paged_operation_is_here() -> None:
    """The task definitions of a page are a model's affair: what has a token has a test."""
    paged = {name for name in operations.names() if service_api("ecs").pagination(name)}
    assert {name for name in paged if name.startswith("List")} == set(LISTINGS) | EMPTY


@EACH
@pytest.mark.parametrize("size", [1, 3, 10])
def test_pages_hold_everything_once_in_order(ecs: Any, operation: str, size: int) -> None:
    method, member, request = LISTINGS[operation]
    whole = ecs.get_paginator(method).paginate(**request).build_full_result()[member]
    pages = list(ecs.get_paginator(method).paginate(**request, PaginationConfig={"PageSize": size}))
    assert len(whole) >= 3
    assert [item for page in pages for item in page[member]] == whole
    assert [len(page[member]) for page in pages[:-1]] == [size] * (len(pages) - 1)
    assert 1 <= len(pages[-1][member]) <= size
    assert "nextToken" not in pages[-1]


@EACH
def test_a_token_is_good_for_the_same_question_only(live: Live, ecs: Any, operation: str) -> None:
    method, _, request = LISTINGS[operation]
    token = getattr(ecs, method)(**request, maxResults=1)["nextToken"]
    for wrong in (token[:-2], token + "A", "x", "0" * 400):
        with pytest.raises(ClientError, match="Invalid token"):
            getattr(ecs, method)(**request, nextToken=wrong)
    elsewhere = live.client("ecs", region_name="eu-west-1")
    with pytest.raises(ClientError, match=r"Invalid token|Cluster not found"):
        getattr(elsewhere, method)(**request, nextToken=token)


@EACH
@pytest.mark.parametrize("size", [0, -1, 101])
def test_a_page_has_a_size_that_is_documented(ecs: Any, operation: str, size: int) -> None:
    method, _, request = LISTINGS[operation]
    most = 10 if operation == "ListAccountSettings" else 100
    with pytest.raises(ClientError, match=f"maxResults must be between 1 and {most}"):
        getattr(ecs, method)(**request, maxResults=size)


@EACH
def test_a_page_has_its_usual_size_where_nobody_says(ecs: Any, operation: str) -> None:
    method, member, request = LISTINGS[operation]
    assert len(getattr(ecs, method)(**request)[member]) <= USUAL.get(operation, 100)
    if operation in USUAL:
        assert "nextToken" in getattr(ecs, method)(**request)
