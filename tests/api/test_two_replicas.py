"""Two control planes on one PostgreSQL: whatever one is told, the other's agents hear."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from homeport.store import open_store
from tests.api.test_tasks import described, register, waiter
from tests.kit.server import Live, Node, live_server
from tests.kit.stores import fresh_database

pytestmark = pytest.mark.postgres


@dataclass(slots=True)
class Pair:
    """`near` is asked; the agent is connected to `far`."""

    near: Live
    far: Live
    node: Node
    ecs: Any
    ecs_far: Any


@pytest.fixture(scope="module")
def pair(postgres_cluster: str) -> Iterator[Pair]:
    url = asyncio.run(fresh_database(postgres_cluster))
    with live_server(lambda: open_store(url)) as far:
        node = far.add_node()
        with live_server(lambda: open_store(url)) as near:
            yield Pair(near, far, node, near.client("ecs"), far.client("ecs"))


def test_a_task_that_one_accepts_is_started_by_an_agent_of_the_other(pair: Pair) -> None:
    register(pair.ecs, "stay", "stay", cpu=1)
    task = pair.ecs.run_task(taskDefinition="stay")["tasks"][0]
    waiter(pair.ecs, "tasks_running").wait(tasks=[task["taskArn"]])
    assert described(pair.ecs_far, task)["lastStatus"] == "RUNNING"
    pair.ecs.stop_task(task=task["taskArn"])
    waiter(pair.ecs_far, "tasks_stopped").wait(tasks=[task["taskArn"]])


def test_a_service_is_kept_at_its_count_by_both_together_and_no_more(pair: Pair) -> None:
    register(pair.ecs, "web", "stay", cpu=1)
    pair.ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=4)
    waiter(pair.ecs_far, "services_stable").wait(services=["web"])
    tasks = pair.ecs.list_tasks(serviceName="web")["taskArns"]
    assert len(tasks) == 4
    pair.ecs_far.stop_task(task=tasks[0])
    waiter(pair.ecs, "tasks_stopped").wait(tasks=[tasks[0]])
    waiter(pair.ecs, "services_stable").wait(services=["web"])
    assert len(pair.ecs.list_tasks(serviceName="web")["taskArns"]) == 4
    pair.ecs.delete_service(service="web", force=True)
    waiter(pair.ecs_far, "services_inactive").wait(services=["web"])


def test_no_room_is_given_away_twice_and_no_token_makes_two(pair: Pair) -> None:
    register(pair.ecs, "quarter", "stay", cpu=1024)

    def run(number: int) -> list[str]:
        ecs = (pair.ecs, pair.ecs_far)[number % 2]
        token = f"token-{number // 2}"  # each is used at both, at once
        answer = ecs.run_task(taskDefinition="quarter", clientToken=token, startedBy=token)
        return [task["taskArn"] for task in answer["tasks"]]

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(run, range(16)))
    arns = {arn for each in made for arn in each}
    listed = pair.ecs.list_tasks(family="quarter")["taskArns"]
    assert set(listed) == arns
    assert len(arns) == 4, "four quarters make one machine"
    shown = pair.ecs.describe_tasks(tasks=sorted(arns))["tasks"]
    assert len({task["startedBy"] for task in shown}) == 4
    for arn in arns:
        pair.ecs.stop_task(task=arn)
    waiter(pair.ecs, "tasks_stopped").wait(tasks=sorted(arns))


def test_a_key_that_one_deletes_proves_nobody_at_the_other(pair: Pair) -> None:
    iam = pair.near.client("iam")
    iam.create_user(UserName="brief")
    iam.attach_user_policy(UserName="brief", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    key = iam.create_access_key(UserName="brief")["AccessKey"]
    sts = pair.far.client(
        "sts", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    )
    assert sts.get_caller_identity()["Arn"].endswith(":user/brief")
    iam.delete_access_key(UserName="brief", AccessKeyId=key["AccessKeyId"])

    async def refused() -> bool:
        try:
            await asyncio.to_thread(sts.get_caller_identity)
        except sts.exceptions.ClientError as error:
            return "InvalidClientTokenId" in str(error)
        return False

    pair.far.wait_until(refused)
