"""Task definitions from public repositories, as published (origins in tests/data/task-definitions).

Each is registered as the AWS CLI would send it. A file that holds members of
DescribeTaskDefinition's answer, or is wrapped in `taskDefinition`, is refused by the
CLI itself; what the service would say of the rest is tested with those removed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.kit.task_definitions import SETTINGS

from homeport.services.ecs.errors import ClientException
from homeport.services.ecs.plan.task_definition import normalise, request_part, unsupported_at_run

FILES = Path(__file__).parents[2] / "data" / "task-definitions"
ANSWER_ONLY = {
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
}

RUNS = ""
NO_LOGS = "awslogs-endpoint"

# file: what keeps its tasks from running here (nothing: it runs)
REGISTERED = {
    "amazon-ecs-agent__add-drop-capabilities_task-definition": RUNS,
    "amazon-ecs-agent__container-ordering-healthy_task-definition": RUNS,
    "amazon-ecs-agent__datavolume2_task-definition": RUNS,
    "amazon-ecs-agent__granular-stop-timeout_task-definition": RUNS,
    "amazon-ecs-agent__network-link_task-definition": RUNS,
    "amazon-ecs-agent__tmpfs_task-definition": RUNS,
    "circleci-ecs__task-definition": RUNS,
    "aws-containers-task-definitions__consul_ConsulServer": NO_LOGS,
    "aws-containers-task-definitions__nginx_nginx_ec2": NO_LOGS,
    "aws-containers-task-definitions__gunicorn_gunicorn_ec2": NO_LOGS,
    "ecs-opentelemetry__task-definition": NO_LOGS,
}
NO_ROLE = "Fargate requires task definition to have execution role ARN to support log driver awslogs."
BAD_ROLE = "Role is not valid"
# file: what the service says, and what in the file makes it say so
REFUSED = {
    "amazon-ecs-agent__secrets-environment-variables_task-definition": (BAD_ROLE, "$$$EXECUTION_ROLE$$$"),
    "amazon-ecs-firelens-examples__efs_task-definition": (BAD_ROLE, "arn:aws:iam::11111111111:"),
    "amazon-ecs-firelens-examples__health-check_task-definition-tcp-healthcheck": (
        BAD_ROLE,
        "arn:aws:iam::XXXXXXXXXXXX:",
    ),
    "prefect__docs_integrations_prefect-aws_ecs_iam_task-definition": (
        BAD_ROLE,
        "<ecs-task-execution-role-arn>",
    ),
    "aws-containers-task-definitions__gunicorn_gunicorn_fargate": (NO_ROLE, '"logDriver": "awslogs"'),
    "aws-containers-task-definitions__nginx_nginx_fargate": (NO_ROLE, '"logDriver": "awslogs"'),
    "aws-containers-task-definitions__wildfly_wildfly_fargate": (NO_ROLE, '"logDriver": "awslogs"'),
    "aws-containers-task-definitions__kibana_kibana_ec2": (
        "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
        '"containerPort": 5601',
    ),
    "ecspresso__tests_td": ("Container.image contains invalid characters.", "{{ env `TAG` `latest` }}"),
    "php-nginx-ecs-docker__task-definition": (
        "Container.image contains invalid characters.",
        ".dkr.ecr.<region>.",
    ),
}
NOT_A_REQUEST = {"ecs-opentelemetry__task-definition", "php-nginx-ecs-docker__task-definition"}


def text(name: str) -> str:
    return (FILES / f"{name}.json").read_text()


def definition(name: str) -> dict[str, Any]:
    document = json.loads(text(name))
    inner = document.get("taskDefinition", document)
    assert isinstance(inner, dict)
    return inner


def asked(name: str) -> dict[str, Any]:
    return {key: value for key, value in definition(name).items() if key not in ANSWER_ONLY}


def test_every_file_has_an_expected_outcome() -> None:
    assert {path.stem for path in FILES.glob("*.json")} == set(REGISTERED) | set(REFUSED)
    assert {name for name in (*REGISTERED, *REFUSED) if ANSWER_ONLY & set(definition(name))} == NOT_A_REQUEST


@pytest.mark.parametrize("name", REGISTERED)
def test_a_published_definition_registers(name: str) -> None:
    document = normalise(asked(name), settings=SETTINGS)
    assert document["family"] == asked(name)["family"]
    assert normalise(request_part(document), settings=SETTINGS) == document
    reason = unsupported_at_run(document)
    assert (reason is None) == (REGISTERED[name] == RUNS)
    assert REGISTERED[name] in (reason or "")


@pytest.mark.parametrize("name", REFUSED)
def test_a_published_definition_is_refused_as_aws_refuses_it(name: str) -> None:
    message, cause = REFUSED[name]
    assert cause in text(name)
    with pytest.raises(ClientException) as refusal:
        normalise(asked(name), settings=SETTINGS)
    assert refusal.value.message == message


@pytest.mark.parametrize("name", sorted(NOT_A_REQUEST))
def test_members_of_an_answer_are_refused_not_ignored(name: str) -> None:
    with pytest.raises(ClientException, match="is not supported by Homeport yet"):
        normalise(definition(name), settings=SETTINGS)


def test_a_recorded_answer_of_aws_is_reproduced() -> None:
    """The one file that is a whole DescribeTaskDefinition answer of 2023."""
    answer = definition("ecs-opentelemetry__task-definition")
    ours = normalise(asked("ecs-opentelemetry__task-definition"), settings=SETTINGS)
    assert {a["name"] for a in ours["requiresAttributes"]} == {
        a["name"] for a in answer["requiresAttributes"]
    }
    assert set(ours["compatibilities"]) - set(answer["compatibilities"]) == {"MANAGED_INSTANCES"}  # newer
    for key in ("networkMode", "cpu", "memory", "volumes", "placementConstraints", "runtimePlatform"):
        assert ours[key] == answer[key]
    theirs = answer["containerDefinitions"][0]
    mine = ours["containerDefinitions"][0]
    assert {key: mine[key] for key in theirs} == theirs
    assert set(mine) - set(theirs) == {"systemControls"}  # answers carry it since 2024
