"""Availability Zone rebalancing through boto3: an instance that joins in another zone sets it off."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.test_tasks import register, waiter
from tests.kit.server import REGION, Live

A, B = f"{REGION}a", f"{REGION}b"


def described(ecs: Any, name: str) -> dict[str, Any]:
    return ecs.describe_services(services=[name])["services"][0]


def told(ecs: Any, name: str) -> list[str]:
    return [event["message"] for event in reversed(described(ecs, name)["events"])]


def until_told(live: Live, ecs: Any, name: str, text: str) -> list[str]:
    async def is_told() -> bool:
        return any(text in message for message in await asyncio.to_thread(told, ecs, name))

    live.wait_until(is_told)
    return told(ecs, name)


def zones(ecs: Any, name: str) -> list[str]:
    tasks = ecs.describe_tasks(tasks=ecs.list_tasks(serviceName=name)["taskArns"])["tasks"]
    return sorted(task["availabilityZone"] for task in tasks)


def create(ecs: Any, name: str, count: int, **members: Any) -> dict[str, Any]:
    return ecs.create_service(serviceName=name, taskDefinition="quick", desiredCount=count, **members)[
        "service"
    ]


def test_a_zone_that_comes_up_gets_its_share_of_the_services_that_want_it(ecs: Any, live: Live) -> None:
    register(ecs, "quick", "stay", healthCheck={"command": ["CMD", "after", "0"], "interval": 5})
    live.add_node(availability_zone=A)
    assert create(ecs, "spread", 3)["availabilityZoneRebalancing"] == "ENABLED"
    kept = create(ecs, "kept", 2, availabilityZoneRebalancing="DISABLED")
    assert kept["availabilityZoneRebalancing"] == "DISABLED"
    for name in ("spread", "kept"):
        until_told(live, ecs, name, "has reached a steady state.")
    live.add_node(availability_zone=B)
    messages = until_told(live, ecs, "spread", "is AZ balanced")
    text = "\n".join(re.sub(r"\(task \w{32}\)", "(task)", message) for message in messages)
    uneven = f"3 tasks in {A}, 0 tasks in {B}"
    assert text.endswith(
        f"(service spread) is not AZ balanced with {uneven}. AZ Rebalancing in progress.\n"
        f"(service spread) has started 1 tasks in {B} to AZ Rebalance: (task).\n"
        f"(service spread) has stopped 1 running tasks in {A} due to AZ rebalancing: (task).\n"
        f"(service spread) is AZ balanced with 2 tasks in {A}, 1 tasks in {B}.\n"
        "(service spread) has reached a steady state."
    )
    waiter(ecs, "services_stable").wait(services=["spread"])
    assert zones(ecs, "spread") == [A, A, B]
    assert zones(ecs, "kept") == [A, A]
    assert len(described(ecs, "spread")["deployments"]) == 1, "it is no deployment"

    changed = ecs.update_service(service="kept", availabilityZoneRebalancing="ENABLED")["service"]
    assert changed["availabilityZoneRebalancing"] == "ENABLED"
    until_told(live, ecs, "kept", f"is AZ balanced with 1 tasks in {A}, 1 tasks in {B}.")


def test_what_cannot_be_rebalanced_is_refused(ecs: Any, live: Live) -> None:
    register(ecs, "quick", "stay")
    with pytest.raises(ClientError, match="does not support maximumPercent <= 100 %"):
        create(
            ecs, "full", 0,
            availabilityZoneRebalancing="ENABLED", deploymentConfiguration={"maximumPercent": 100},
        )  # fmt: skip
    made = create(ecs, "full", 0, deploymentConfiguration={"maximumPercent": 100})
    assert made["availabilityZoneRebalancing"] == "DISABLED"
    create(ecs, "other", 0)
    with pytest.raises(ClientError, match="does not support maximumPercent <= 100 %"):
        ecs.update_service(service="other", deploymentConfiguration={"maximumPercent": 100})
    changed = ecs.update_service(
        service="other",
        availabilityZoneRebalancing="DISABLED",
        deploymentConfiguration={"maximumPercent": 100, "minimumHealthyPercent": 0},
    )["service"]
    assert changed["availabilityZoneRebalancing"] == "DISABLED"
    again = ecs.update_service(service="other", deploymentConfiguration={"maximumPercent": 200})["service"]
    assert again["availabilityZoneRebalancing"] == "DISABLED", "absent means as it was"
