"""Task definitions from public repositories through the whole API, as the `aws` CLI sends them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.kit.attacker import Attacker, must_be_a_refusal, must_be_an_answer
from tests.kit.server import Live
from tests.unit.ecs.test_task_definition_files import REFUSED, REGISTERED, RUNS, asked


@pytest.fixture(scope="module")
def attacker(live: Live, ecs: Any) -> Attacker:
    ecs.create_cluster()
    return Attacker(live)


@pytest.mark.parametrize("name", REGISTERED)
def test_what_registers_is_described_and_runs_or_says_why_not(
    ecs: Any, attacker: Attacker, name: str
) -> None:
    body = json.dumps(asked(name)).encode()
    answer = must_be_an_answer(
        "ecs", "RegisterTaskDefinition", attacker.post("ecs", "RegisterTaskDefinition", body)
    )
    arn = answer["taskDefinition"]["taskDefinitionArn"]
    shown = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
    assert shown["family"] == asked(name)["family"]
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}} if shown["networkMode"] == "awsvpc" else None
    with pytest.raises(ecs.exceptions.ClientError) as refusal:
        ecs.run_task(taskDefinition=arn, **({"networkConfiguration": network} if network else {}))
    # There is no instance here: what could run says so, the rest is refused before.
    reason = REGISTERED[name] or "No Container Instances were found in your cluster."
    assert reason in refusal.value.response["Error"]["Message"]
    assert (reason == REGISTERED[name]) == (REGISTERED[name] != RUNS)


@pytest.mark.parametrize("name", REFUSED)
def test_what_aws_refuses_is_refused_alike(attacker: Attacker, name: str) -> None:
    outcome = attacker.post("ecs", "RegisterTaskDefinition", json.dumps(asked(name)).encode())
    error = must_be_a_refusal("ecs", outcome)
    assert (error["Code"], error["Message"]) == ("ClientException", REFUSED[name][0])
