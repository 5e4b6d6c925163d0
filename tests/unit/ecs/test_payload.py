"""The payload: Docker's bodies, rendered by the control plane."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.kit.task_definitions import (
    CLUSTER_ARN,
    ECR_IMAGE,
    FULL,
    ROLE,
    SETTINGS,
    TASK_ARN,
    TASK_ID,
    container,
    identity,
    registered,
)

from homeport.agentproto.messages import RoleCredentials, Task
from homeport.services.ecs.plan.payload import render_stop, render_task
from homeport.services.ecs.plan.task_definition import normalise

MIB = 1024 * 1024
SECOND = 1_000_000_000


def wire(value: Any) -> Any:
    """The value as the agent reads it."""
    return msgspec.json.decode(msgspec.json.encode(value))


def render(*containers: dict[str, Any], **members: Any) -> Task:
    return render_task(td=registered(*containers, **members), overrides=None, task=identity())


def config(task: Task) -> Any:
    return json.loads(task.containers[0].docker_config.config)


def host_config(task: Task) -> Any:
    return json.loads(task.containers[0].docker_config.host_config)


def full() -> Task:
    return render_task(
        td=normalise(FULL, settings=SETTINGS), overrides=None, task=identity(gpu_ids={"web": ("GPU-1",)})
    )


def test_dockers_config_holds_what_the_agent_does_not_fill_in() -> None:
    """Source: Docker Engine API, ContainerCreate; recorded frames for Healthcheck in nanoseconds."""
    assert config(full()) == {
        "User": "1000:1000",
        "WorkingDir": "/srv",
        "Hostname": "web1",
        "Labels": {"owner": "blue"},
        "Tty": True,
        "OpenStdin": True,
        "NetworkDisabled": True,
        "Healthcheck": {
            "Test": ["CMD-SHELL", "true"],
            "Interval": 10 * SECOND,
            "Timeout": 3 * SECOND,
            "Retries": 4,
            "StartPeriod": 6 * SECOND,
        },
    }


def test_dockers_host_config_holds_the_rest() -> None:
    """Source: Docker Engine API, ContainerCreate; sizes are bytes."""
    assert host_config(full()) == {
        "NetworkMode": "bridge",
        "Privileged": True,
        "ReadonlyRootfs": True,
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["MKNOD"],
        "Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/f", "CgroupPermissions": "r"}],
        "Init": True,
        "ShmSize": 32 * MIB,
        "Tmpfs": {"/run": "noexec,size=8m"},
        "MemoryReservation": 128 * MIB,
        "MemorySwap": (256 + 16) * MIB,
        "MemorySwappiness": 10,
        "Dns": ["10.0.0.2"],
        "DnsSearch": ["example.internal"],
        "ExtraHosts": ["peer:10.0.0.9"],
        "SecurityOpt": ["no-new-privileges"],
        "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
        "Sysctls": {"net.core.somaxconn": "512"},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "mode": "non-blocking"}},
    }


def test_the_task_carries_its_identity_and_its_limits() -> None:
    task = full()
    assert (task.arn, task.task_cluster_arn, task.family, task.version) == (
        TASK_ARN,
        CLUSTER_ARN,
        "full",
        "3",
    )
    assert (task.group, task.zone, task.task_definition_account_id) == (
        "family:app",
        "us-east-1a",
        "000000000000",
    )
    assert (task.cpu, task.memory) == (0.5, 1024)
    assert (task.pid_mode, task.ipc_mode, task.network_mode) == ("task", "task", "bridge")
    assert task.desired_status == "RUNNING"
    assert [(a.name, a.type, a.containers) for a in task.associations] == [("GPU-1", "gpu", ("web",))]


def test_the_container_carries_the_agents_own_members() -> None:
    web = wire(full().containers[0])
    del web["dockerConfig"]
    assert web == {
        "name": "web",
        "image": ECR_IMAGE,
        "essential": True,
        "cpu": 100,
        "memory": 256,
        "command": ["-c", "serve"],
        "entryPoint": ["/bin/sh"],
        "environment": {"AWS_EXECUTION_ENV": "AWS_ECS_EC2", "COLOUR": "blue"},
        "links": ["db:database"],
        "volumesFrom": [{"sourceContainer": "db", "readOnly": True}],
        "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": True}],
        "portMappings": [
            {"containerPort": 80, "hostPort": 8080, "protocol": "tcp"},
            {"containerPortRange": "9000-9003", "protocol": "udp"},
        ],
        "dependsOn": [{"containerName": "db", "condition": "HEALTHY"}],
        "startTimeout": 60,
        "stopTimeout": 20,
        "secrets": [
            {
                "name": name,
                "valueFrom": value_from,
                "region": "us-east-1",
                "provider": "ssm",
                "type": "ENVIRONMENT_VARIABLE",
                "target": target,
            }
            for name, value_from, target in (
                ("TOKEN", "/token", "CONTAINER"),
                ("tag", "/tag", "LOG_DRIVER"),
            )
        ],
        "registryAuthentication": {
            "type": "ecr",
            "ecrAuthData": {"registryId": "000000000000", "region": "us-east-1", "useExecutionRole": True},
        },
        "healthCheckType": "docker",
        "restartPolicy": {"enabled": True, "ignoredExitCodes": [3], "restartAttemptPeriod": 60},
    }


def test_volumes_are_of_their_kind() -> None:
    assert wire(full().volumes) == [
        {"name": "data", "type": "host", "host": {"sourcePath": "/srv/data"}},
        {
            "name": "shared",
            "type": "docker",
            "dockerVolumeConfiguration": {
                "scope": "shared",
                "autoprovision": True,
                "driver": "local",
                "driverOpts": {"type": "tmpfs"},
                "labels": {"kept": "yes"},
            },
        },
    ]


def test_a_bare_volume_carries_an_empty_host() -> None:
    """Recorded: the agent rejects a host volume without `host`."""
    task = render(volumes=[{"name": "v"}])
    assert wire(task.volumes) == [{"name": "v", "type": "host", "host": {}}]


def test_a_plain_container_says_no_more_than_it_must() -> None:
    task = render()
    assert config(task) == {}
    assert host_config(task) == {"NetworkMode": "bridge", "CapAdd": [], "CapDrop": []}
    assert (task.cpu, task.memory) == (None, None)


@pytest.mark.parametrize(
    ("members", "version"),
    [
        ({}, "1.24"),
        ({"linuxParameters": {"initProcessEnabled": True}}, "1.25"),
        ({"logConfiguration": {"logDriver": "json-file", "options": {"mode": "blocking"}}}, "1.28"),
        ({"healthCheck": {"command": ["CMD", "x"], "startPeriod": 1}}, "1.29"),
        ({"user": "root"}, "1.24"),
    ],
    ids=str,
)
def test_the_docker_api_is_as_new_as_the_container_needs(members: dict[str, Any], version: str) -> None:
    """Source: Docker Engine API version history; health checks need 1.24."""
    task = render(container(**members), container(name="plain"))
    assert task.containers[0].docker_config.version == version
    assert task.containers[1].docker_config.version == "1.24"


@pytest.mark.parametrize("mode", ["bridge", "host", "none"])
def test_the_network_mode_is_dockers_too(mode: str) -> None:
    task = render(networkMode=mode)
    assert task.network_mode == mode
    assert host_config(task)["NetworkMode"] == mode


def test_an_awsvpc_task_publishes_no_ports_and_leaves_the_mode_to_the_agent() -> None:
    """Recorded: Docker refuses port publishing into another container's network namespace."""
    task = render(container(portMappings=[{"containerPort": 80}]), networkMode="awsvpc")
    assert task.containers[0].port_mappings == ()
    assert "NetworkMode" not in host_config(task)


def test_host_mode_ports_are_sent_so_that_the_agents_account_equals_ours() -> None:
    task = render(container(portMappings=[{"containerPort": 80}]), networkMode="host")
    assert [(p.container_port, p.host_port) for p in task.containers[0].port_mappings] == [(80, 80)]


def test_log_streams_are_named_prefix_container_task() -> None:
    """Source: developer guide, "Send Amazon ECS logs to CloudWatch"; v4 metadata samples."""
    options = {
        "awslogs-group": "g",
        "awslogs-region": "us-east-1",
        "awslogs-stream-prefix": "ecs",
        "awslogs-endpoint": "http://127.0.0.1:1",
    }
    task = render(
        container(logConfiguration={"logDriver": "awslogs", "options": options}), executionRoleArn=ROLE
    )
    log = host_config(task)["LogConfig"]
    assert log["Config"]["awslogs-stream"] == f"ecs/web/{TASK_ID}"
    assert "awslogs-stream-prefix" not in log["Config"]
    assert task.containers[0].logs_auth_strategy == "ExecutionRole"


def test_the_accounts_log_mode_is_used_where_the_definition_has_none() -> None:
    """Source: account setting defaultLogDriverMode."""
    chosen = {"logDriver": "json-file"}
    task = render_task(
        td=registered(
            container(logConfiguration=chosen),
            container(name="b", logConfiguration={**chosen, "options": {"mode": "non-blocking"}}),
            container(name="c"),
        ),
        overrides=None,
        task=identity(log_mode="blocking"),
    )
    logs = [json.loads(c.docker_config.host_config).get("LogConfig") for c in task.containers]
    assert logs == [
        {"Type": "json-file", "Config": {"mode": "blocking"}},
        {"Type": "json-file", "Config": {"mode": "non-blocking"}},
        None,
    ]


def test_swappiness_alone_does_nothing_as_documented() -> None:
    """Source: LinuxParameters.swappiness, "If a value is not specified for maxSwap then ... ignored"."""
    assert "MemorySwappiness" not in host_config(render(container(linuxParameters={"swappiness": 10})))


def test_no_swap_at_all_can_be_asked_for() -> None:
    """Source: LinuxParameters.maxSwap, "If a maxSwap value of 0 is specified, ... will not use swap"."""
    assert host_config(render(container(linuxParameters={"maxSwap": 0})))["MemorySwap"] == 64 * MIB


def test_a_device_has_all_permissions_unless_some_are_named() -> None:
    """Source: Device.permissions."""
    task = render(container(linuxParameters={"devices": [{"hostPath": "/dev/fuse"}]}))
    assert host_config(task)["Devices"] == [
        {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}
    ]


def test_an_empty_command_is_the_images_own() -> None:
    task = render(container(command=[], entryPoint=[]))
    assert (task.containers[0].command, task.containers[0].entry_point) == (None, None)


def test_the_execution_environment_can_be_named_by_the_user() -> None:
    task = render(container(environment=[{"name": "AWS_EXECUTION_ENV", "value": "mine"}]))
    assert task.containers[0].environment == {"AWS_EXECUTION_ENV": "mine"}


def test_container_arns_service_and_credentials_are_passed_on() -> None:
    application = RoleCredentials(credentials_id="11111111-1111-1111-1111-111111111111", role_arn=ROLE)
    execution = RoleCredentials(credentials_id="22222222-2222-2222-2222-222222222222", role_arn=ROLE)
    task = render_task(
        td=registered(),
        overrides=None,
        task=identity(container_arns={"web": "arn:web"}, service_name="front", group="service:front"),
        role_credentials=application,
        execution_role_credentials=execution,
    )
    assert task.containers[0].container_arn == "arn:web"
    assert (task.service_name, task.group) == ("front", "service:front")
    assert (task.role_credentials, task.execution_role_credentials) == (application, execution)


def test_overrides_are_merged_before_rendering_and_never_sent() -> None:
    """Recorded: the agent rejects a task whose container overrides hold more than `command`."""
    task = render_task(
        td=registered(container(command=["old"], environment=[{"name": "A", "value": "1"}])),
        overrides={
            "cpu": "512",
            "memory": "128",
            "containerOverrides": [
                {
                    "name": "web",
                    "command": ["new"],
                    "memory": 100,
                    "memoryReservation": 50,
                    "cpu": 7,
                    "environment": [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}],
                }
            ],
        },
        task=identity(),
    )
    web = task.containers[0]
    assert (task.cpu, task.memory) == (0.5, 128)
    assert (web.command, web.memory, web.cpu) == (("new",), 100, 7)
    assert web.environment == {"AWS_EXECUTION_ENV": "AWS_ECS_EC2", "A": "2", "B": "3"}
    assert host_config(task)["MemoryReservation"] == 50 * MIB
    assert web.overrides is None
    assert task.overrides is None


def test_rendering_is_deterministic_and_decodes_to_the_same_task() -> None:
    first, second = full(), full()
    text = msgspec.json.encode(first)
    assert text == msgspec.json.encode(second)
    assert msgspec.json.decode(text, type=Task) == first


def test_docker_texts_do_not_depend_on_the_order_of_members() -> None:
    backwards = dict(reversed(FULL.items()))
    backwards["containerDefinitions"] = [dict(reversed(c.items())) for c in FULL["containerDefinitions"]]
    mine = render_task(td=normalise(backwards, settings=SETTINGS), overrides=None, task=identity())
    theirs = render_task(td=normalise(FULL, settings=SETTINGS), overrides=None, task=identity())
    assert msgspec.json.encode(mine) == msgspec.json.encode(theirs)


def test_a_stop_needs_only_the_arn() -> None:
    """Recorded: a stop payload with nothing else stops the task."""
    sent = wire(render_stop(TASK_ARN))
    assert (sent["arn"], sent["desiredStatus"]) == (TASK_ARN, "STOPPED")
    assert "containers" not in sent


@pytest.mark.parametrize(
    ("value_from", "sent"),
    [
        ("/a/b", "/a/b"),
        ("db", "db"),
        ("arn:aws:ssm:eu-west-1:000000000000:parameter/a/b", "/a/b"),
        ("arn:aws:ssm:eu-west-1:000000000000:parameter/db", None),
        ("arn:aws:ssm:eu-west-1:111111111111:parameter/a/b", None),
        ("arn:x", None),
    ],
    ids=str,
)
def test_a_parameter_is_sent_by_the_name_that_its_answer_has(value_from: str, sent: str | None) -> None:
    """Source: amazon-ecs-agent, ssmsecret: values are kept by the answer's Name, looked up by valueFrom."""
    (secret,) = (
        render(container(secrets=[{"name": "S", "valueFrom": value_from}]), executionRoleArn=ROLE)
        .containers[0]
        .secrets
    )
    assert secret.value_from == (sent or value_from)
    assert secret.region == ("eu-west-1" if "eu-west-1" in value_from else "us-east-1")


def test_references_are_rendered_as_the_agent_reads_them() -> None:
    """FireLens, environment files and EFS register but are refused at run; their frames are the agent's."""
    asm = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:s-abcdef"
    task = render(
        container(
            secrets=[{"name": "A", "valueFrom": "/p"}, {"name": "B", "valueFrom": asm}],
            logConfiguration={"logDriver": "syslog", "secretOptions": [{"name": "C", "valueFrom": "/q"}]},
            repositoryCredentials={"credentialsParameter": asm},
            environmentFiles=[{"value": "arn:aws:s3:::b/a.env", "type": "s3"}],
            firelensConfiguration={"type": "fluentbit"},
        ),
        executionRoleArn=ROLE,
        volumes=[{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}],
    )
    web = task.containers[0]
    assert [(s.name, s.provider, s.region, s.target) for s in web.secrets] == [
        ("A", "ssm", "us-east-1", "CONTAINER"),
        ("B", "asm", "eu-west-1", "CONTAINER"),
        ("C", "ssm", "us-east-1", "LOG_DRIVER"),
    ]
    assert wire(web.registry_authentication) == {
        "type": "asm",
        "asmAuthData": {"credentialsParameter": asm, "region": "eu-west-1"},
    }
    assert [file.value for file in web.environment_files] == ["arn:aws:s3:::b/a.env"]
    assert web.firelens_configuration is not None
    assert task.volumes[0].efs_volume_configuration == {"fileSystemId": "fs-1"}
