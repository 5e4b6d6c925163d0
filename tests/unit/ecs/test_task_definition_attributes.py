"""`requiresAttributes`, against pairs recorded from public DescribeTaskDefinition answers [O]."""

from __future__ import annotations

from typing import Any

import pytest
from tests.kit.task_definitions import ECR_IMAGE, FULL, ROLE, SETTINGS, container, fargate, request

from homeport.services.ecs.plan.task_definition import normalise

LOG = {"awslogs-group": "g", "awslogs-region": "eu-central-1", "awslogs-stream-prefix": "ecs"}
AWSLOGS = {"logDriver": "awslogs", "options": LOG}
HEALTH = {"command": ["CMD-SHELL", "true"]}
EFS = {"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "rootDirectory": "/"}}
ECR_ROLE = "ecr-auth ecs.execution-role-ecr-pull"
AWSLOGS_ROLE = "logging-driver.awslogs ecs.execution-role-awslogs 1.18 1.19"


def names(words: str) -> set[str]:
    """`1.19` a Docker API, `ecs.x` an ecs.capability, all else a com.amazonaws.ecs.capability."""
    found = set()
    for word in words.split():
        if word[0].isdigit():
            found.add(f"com.amazonaws.ecs.capability.docker-remote-api.{word}")
        elif word.startswith("ecs."):
            found.add(f"ecs.capability.{word.removeprefix('ecs.')}")
        else:
            found.add(f"com.amazonaws.ecs.capability.{word}")
    return found


RECORDED: tuple[tuple[str, dict[str, Any], str], ...] = (
    (
        "2024, bridge, ECR, health check, sizes",
        request(
            container(image=ECR_IMAGE, memory=None, healthCheck=HEALTH),
            executionRoleArn=ROLE,
            cpu="1024",
            memory="1024",
        ),
        f"1.18 1.24 {ECR_ROLE} ecs.container-health-check",
    ),
    (
        "2023, Fargate, ECR, awslogs that makes its group",
        fargate(
            container(
                image=ECR_IMAGE,
                memory=None,
                logConfiguration={"logDriver": "awslogs", "options": {**LOG, "awslogs-create-group": "true"}},
            ),
            executionRoleArn=ROLE,
        ),
        f"{AWSLOGS_ROLE} {ECR_ROLE} ecs.task-eni 1.29",
    ),
    (
        "2025, soft limit, log mode, task role",
        fargate(
            container(
                image=ECR_IMAGE,
                memory=512,
                memoryReservation=256,
                logConfiguration={
                    "logDriver": "awslogs",
                    "options": {**LOG, "awslogs-create-group": "true", "mode": "non-blocking"},
                },
            ),
            executionRoleArn=ROLE,
            taskRoleArn=ROLE,
        ),
        f"{AWSLOGS_ROLE} {ECR_ROLE} ecs.task-eni task-iam-role 1.21 1.28 1.29",
    ),
    (
        "2024, EFS",
        fargate(
            container(image=ECR_IMAGE, memory=None, logConfiguration=AWSLOGS),
            executionRoleArn=ROLE,
            volumes=[EFS],
        ),
        f"{AWSLOGS_ROLE} {ECR_ROLE} ecs.task-eni ecs.efs ecs.efsAuth 1.25",
    ),
    (
        "2024, FireLens as another user, a start period (1.29 instead of 1.24)",
        fargate(
            container(
                image=ECR_IMAGE,
                memory=None,
                logConfiguration={"logDriver": "awsfirelens"},
                healthCheck={**HEALTH, "startPeriod": 10},
            ),
            container(
                name="router",
                image=ECR_IMAGE,
                memory=None,
                memoryReservation=50,
                user="0",
                logConfiguration=AWSLOGS,
                firelensConfiguration={
                    "type": "fluentbit",
                    "options": {"config-file-type": "file", "config-file-value": "/x.conf"},
                },
            ),
            executionRoleArn=ROLE,
            taskRoleArn=ROLE,
        ),
        f"{AWSLOGS_ROLE} {ECR_ROLE} ecs.task-eni task-iam-role "
        "logging-driver.awsfirelens ecs.firelens.fluentbit "
        "ecs.firelens.options.config.file ecs.container-health-check 1.17 1.21 1.29",
    ),
    (
        "2019, App Mesh, ordering, namespaces",
        request(
            container(dependsOn=[{"containerName": "envoy", "condition": "HEALTHY"}]),
            container(name="envoy", image=ECR_IMAGE, user="1337", healthCheck={**HEALTH, "startPeriod": 10}),
            networkMode="awsvpc",
            pidMode="task",
            ipcMode="host",
            proxyConfiguration={"type": "APPMESH", "containerName": "envoy"},
        ),
        "ecr-auth ecs.pid-ipc-namespace-sharing ecs.aws-appmesh ecs.container-ordering "
        "ecs.container-health-check ecs.task-eni 1.17 1.18 1.29",
    ),
    (
        "2026, environment files, EC2",
        request(
            container(
                image=ECR_IMAGE,
                logConfiguration={"logDriver": "awslogs", "options": {**LOG, "awslogs-create-group": "true"}},
                environmentFiles=[{"value": "arn:aws:s3:::b/a.env", "type": "s3"}],
            ),
            networkMode="awsvpc",
            executionRoleArn=ROLE,
            taskRoleArn=ROLE,
        ),
        f"{AWSLOGS_ROLE} {ECR_ROLE} ecs.task-eni ecs.env-files.s3 task-iam-role 1.29",
    ),
)


def attributes_of(asked: dict[str, Any]) -> list[str]:
    return [a["name"] for a in normalise(asked, settings=SETTINGS)["requiresAttributes"]]


@pytest.mark.parametrize(("asked", "expected"), [r[1:] for r in RECORDED], ids=[r[0] for r in RECORDED])
def test_a_recorded_pair(asked: dict[str, Any], expected: str) -> None:
    assert set(attributes_of(asked)) == names(expected)


CAPABILITIES: tuple[tuple[dict[str, Any], str], ...] = (
    (request(container(privileged=True)), "privileged-container"),
    (request(container(dockerSecurityOptions=["label:type:x"])), "selinux"),
    (request(container(dockerSecurityOptions=["apparmor:x"])), "apparmor"),
    (request(container(dockerSecurityOptions=["no-new-privileges"])), "1.23"),
    (request(container(linuxParameters={"initProcessEnabled": True})), "1.25"),
    (request(container(restartPolicy={"enabled": True})), "ecs.container-restart-policy"),
    (request(container(portMappings=[{"containerPortRange": "1-2"}])), "ecs.network.container-port-range"),
    (request(networkMode="host", taskRoleArn=ROLE), "task-iam-role-network-host"),
    (
        request(
            volumes=[
                {"name": "v", "dockerVolumeConfiguration": {"scope": "shared", "driver": "vieux/sshfs:1"}}
            ]
        ),
        "ecs.docker-plugin.vieux/sshfs.1",
    ),
    (request(volumes=[{"name": "v", "dockerVolumeConfiguration": {}}]), "ecs.docker-plugin.local"),
    (
        request(volumes=[{"name": "v", "configuredAtLaunch": True}]),
        "ecs.storage.ebs-task-volume-attach",
    ),
    (request(enableFaultInjection=True), "ecs.fault-injection"),
    (request(inferenceAccelerators=[{"deviceName": "d", "deviceType": "t"}]), "ecs.task-eia"),
    (request(cpu="11 vCPU"), "ecs.increased-task-cpu-limit"),
    (
        request(container(secrets=[{"name": "S", "valueFrom": "/p"}]), executionRoleArn=ROLE),
        "ecs.secrets.ssm.environment-variables",
    ),
    (
        request(
            container(
                secrets=[{"name": "S", "valueFrom": "arn:aws:secretsmanager:us-east-1:1:secret:s-abcdef"}]
            ),
            executionRoleArn=ROLE,
        ),
        "ecs.secrets.asm.environment-variables",
    ),
    (
        request(
            container(
                logConfiguration={"logDriver": "syslog", "secretOptions": [{"name": "S", "valueFrom": "/p"}]}
            ),
            executionRoleArn=ROLE,
        ),
        "ecs.secrets.ssm.bootstrap.log-driver",
    ),
    (
        request(container(repositoryCredentials={"credentialsParameter": "arn:x"}), executionRoleArn=ROLE),
        "ecs.private-registry-authentication.secretsmanager",
    ),
)


@pytest.mark.parametrize(("asked", "expected"), CAPABILITIES, ids=[row[1] for row in CAPABILITIES])
def test_a_member_requires_what_an_agent_registers_for_it(asked: dict[str, Any], expected: str) -> None:
    """Names: amazon-ecs-agent's capabilities."""
    assert names(expected) <= set(attributes_of(asked))
    assert not names(expected) & set(attributes_of(request()))


def test_a_plain_definition_requires_nothing() -> None:
    assert attributes_of(request()) == []


def test_each_attribute_is_named_once_in_order() -> None:
    found = attributes_of(FULL)
    assert found == sorted(set(found))


NEVER_REGISTERED = {"1.26", "1.27", "1.31"} | {f"1.{minor}" for minor in range(33, 60)}


def test_no_docker_api_is_required_that_agents_never_register() -> None:
    """Recorded: agents register 1.17 to 1.32 without 1.26, 1.27 and 1.31."""
    every = attributes_of(FULL)
    for asked in (*(row[1] for row in RECORDED), *(row[0] for row in CAPABILITIES)):
        every += attributes_of(asked)
    versions = {name.rpartition("api.")[2] for name in every if "docker-remote-api" in name}
    assert versions
    assert not versions & NEVER_REGISTERED
