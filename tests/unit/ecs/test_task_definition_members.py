"""Nothing accepted is ignored: every member of the service model, and the proof of what it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import botocore.session
import msgspec
import pytest
from tests.kit.task_definitions import FULL, SETTINGS, container, identity, registered, replaced, request

from homeport.services.ecs.errors import ClientException, InvalidParameterException
from homeport.services.ecs.plan.overrides import demand_of
from homeport.services.ecs.plan.payload import render_task
from homeport.services.ecs.plan.task_definition import (
    HONOURED,
    REFUSED_AT_RUN,
    REFUSED_VALUES_AT_RUN,
    Effect,
    normalise,
    unsupported_at_run,
)

MODEL = botocore.session.get_session().get_service_model("ecs")


def leaves(shape: Any, path: str = "") -> Iterator[str]:
    """The paths of everything that is not a structure, lists marked with `[]`."""
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from leaves(member, f"{path}.{name}" if path else name)
    elif shape.type_name == "list":
        yield from leaves(shape.member, f"{path}[]")
    else:
        yield path


MEMBERS = tuple(leaves(MODEL.operation_model("RegisterTaskDefinition").input_shape))


def refused(path: str) -> bool:
    return any(path == member or path.startswith((f"{member}.", f"{member}[")) for member in REFUSED_AT_RUN)


@pytest.mark.parametrize("path", MEMBERS)
def test_every_member_of_the_model_is_in_exactly_one_table(path: str) -> None:
    assert (path in HONOURED) != refused(path)


def test_the_tables_name_nothing_that_the_model_lacks() -> None:
    assert set(HONOURED) <= set(MEMBERS)
    assert all(any(path.startswith(member) for path in MEMBERS) for member in REFUSED_AT_RUN)


OTHER_VALUES: dict[str, Any] = {
    "family": "other",
    "networkMode": "host",
    "cpu": "1 vCPU",
    "memory": "2 GB",
    "pidMode": "host",
    "ephemeralStorage.sizeInGiB": 31,
    "ipcMode": "none",
    "taskRoleArn": None,
    "executionRoleArn": None,
    "requiresCompatibilities[]": "EXTERNAL",
    "runtimePlatform.cpuArchitecture": "ARM64",
    "runtimePlatform.operatingSystemFamily": None,
    "placementConstraints[].expression": "attribute:stack == green",
    "volumes[].name": "data2",
    "volumes[].host.sourcePath": "/srv/other",
    "volumes[].dockerVolumeConfiguration.scope": "task",
    "volumes[].dockerVolumeConfiguration.autoprovision": False,
    "volumes[].dockerVolumeConfiguration.driver": "nfs",
    "volumes[].dockerVolumeConfiguration.driverOpts": {"type": "nfs"},
    "volumes[].dockerVolumeConfiguration.labels": {"kept": "no"},
}
_CONTAINER: dict[str, Any] = {
    "name": "front",
    "image": "busybox:2",
    "cpu": 101,
    "memory": 300,
    "memoryReservation": 129,
    "links[]": "cache",
    "portMappings[].containerPort": 81,
    "portMappings[].hostPort": 8081,
    "portMappings[].protocol": "udp",
    "portMappings[].name": "https",
    "portMappings[].appProtocol": "grpc",
    "portMappings[].containerPortRange": "9000-9004",
    "essential": False,
    "restartPolicy.enabled": False,
    "restartPolicy.ignoredExitCodes[]": 4,
    "restartPolicy.restartAttemptPeriod": 61,
    "entryPoint[]": "/bin/ash",
    "command[]": "-x",
    "environment[].name": "HUE",
    "environment[].value": "green",
    "secrets[].name": "KEY",
    "secrets[].valueFrom": "/key",
    "logConfiguration.secretOptions[].name": "labels",
    "logConfiguration.secretOptions[].valueFrom": "/labels",
    "repositoryCredentials.credentialsParameter": "other",
    "mountPoints[].sourceVolume": "shared",
    "mountPoints[].containerPath": "/other",
    "mountPoints[].readOnly": False,
    "volumesFrom[].sourceContainer": "cache",
    "volumesFrom[].readOnly": False,
    "linuxParameters.capabilities.add[]": "SYS_TIME",
    "linuxParameters.capabilities.drop[]": "CHOWN",
    "linuxParameters.devices[].hostPath": "/dev/kvm",
    "linuxParameters.devices[].containerPath": "/dev/g",
    "linuxParameters.devices[].permissions[]": "write",
    "linuxParameters.initProcessEnabled": False,
    "linuxParameters.sharedMemorySize": 33,
    "linuxParameters.tmpfs[].containerPath": "/tmp/x",
    "linuxParameters.tmpfs[].size": 9,
    "linuxParameters.tmpfs[].mountOptions[]": "ro",
    "linuxParameters.maxSwap": 17,
    "linuxParameters.swappiness": 11,
    "dependsOn[].containerName": "cache",
    "dependsOn[].condition": "START",
    "startTimeout": 61,
    "stopTimeout": 21,
    "versionConsistency": "enabled",
    "hostname": "web2",
    "user": "root",
    "workingDirectory": "/opt",
    "disableNetworking": False,
    "privileged": False,
    "readonlyRootFilesystem": False,
    "dnsServers[]": "10.0.0.3",
    "dnsSearchDomains[]": "example.org",
    "extraHosts[].hostname": "pal",
    "extraHosts[].ipAddress": "10.0.0.8",
    "dockerSecurityOptions[]": "label:type:x",
    "interactive": False,
    "pseudoTerminal": False,
    "dockerLabels": {"owner": "green"},
    "ulimits[].name": "core",
    "ulimits[].softLimit": 101,
    "ulimits[].hardLimit": 201,
    "logConfiguration.logDriver": "journald",
    "logConfiguration.options": {"max-size": "2m"},
    "healthCheck.command[]": "CMD",
    "healthCheck.interval": 11,
    "healthCheck.timeout": 4,
    "healthCheck.retries": 5,
    "healthCheck.startPeriod": 7,
    "systemControls[].namespace": "net.ipv4.tcp_syncookies",
    "systemControls[].value": "1024",
    "resourceRequirements[].value": "2",
}
OTHER_VALUES |= {f"containerDefinitions[].{path}": value for path, value in _CONTAINER.items()}

COMPANIONS: dict[str, dict[str, Any]] = {
    # What must change as well, before and after, for the definition to stay valid.
    "networkMode": {
        "containerDefinitions[].links": [],
        "containerDefinitions[].portMappings": [{"containerPort": 80, "name": "http"}],
        "containerDefinitions[].systemControls": [],
    },
    "requiresCompatibilities[]": {"containerDefinitions[].portMappings": []},
    "executionRoleArn": {
        "containerDefinitions[].secrets": [],
        "containerDefinitions[].logConfiguration.secretOptions": [],
        "containerDefinitions[].repositoryCredentials": None,
    },
    "volumes[].name": {"containerDefinitions[].mountPoints": []},
    "volumes[].dockerVolumeConfiguration.scope": {"volumes[].dockerVolumeConfiguration.autoprovision": False},
}
PROVED_ELSEWHERE = {
    "tags[].key": "test_tags_are_checked_and_left_to_the_caller",
    "tags[].value": "test_tags_are_checked_and_left_to_the_caller",
    "placementConstraints[].type": "test_a_placement_constraint_is_memberof",
    "containerDefinitions[].resourceRequirements[].type": "test_values_that_homeport_does_not_run",
}


def test_the_full_definition_uses_every_honoured_member() -> None:
    def has(value: Any, steps: list[str]) -> bool:
        if not steps:
            return True
        head, *rest = steps
        if head.endswith("[]"):
            return any(has(item, rest) for item in value.get(head[:-2], ()))
        return head in value and has(value[head], rest)

    assert [path for path in HONOURED if not has(FULL, path.split("."))] == []


def around(path: str) -> dict[str, Any]:
    """The full definition with what `path` needs around it."""
    document = FULL
    for companion, value in COMPANIONS.get(path, {}).items():
        document = replaced(document, companion, value)
    return document


def rendered(document: dict[str, Any]) -> dict[str, Any]:
    task = msgspec.to_builtins(render_task(td=document, overrides=None, task=identity()))
    assert isinstance(task, dict)
    return task


@pytest.mark.parametrize("path", [path for path in HONOURED if path not in PROVED_ELSEWHERE])
def test_a_change_of_an_honoured_member_shows_where_the_table_says(path: str) -> None:
    before = normalise(around(path), settings=SETTINGS)
    after = normalise(replaced(around(path), path, OTHER_VALUES[path]), settings=SETTINGS)
    effect = HONOURED[path]
    assert after != before
    if effect is Effect.PAYLOAD:
        assert rendered(after) != rendered(before)
    elif effect is Effect.PLACEMENT:
        assert demand_of(after, None) != demand_of(before, None)


def test_tags_are_checked_and_left_to_the_caller() -> None:
    assert "tags" not in registered(tags=[{"key": "team", "value": "blue"}])
    with pytest.raises(InvalidParameterException):
        registered(tags=[{"key": "aws:team", "value": "blue"}])
    with pytest.raises(InvalidParameterException):
        registered(tags=[{"key": "team", "value": "x" * 257}])


def test_a_placement_constraint_is_memberof() -> None:
    with pytest.raises(ClientException, match="only memberOf is valid"):
        registered(placementConstraints=[{"type": "distinctInstance"}])


EFS = {"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}
S3 = {"name": "v", "s3filesVolumeConfiguration": {"fileSystemArn": "arn:aws:s3files:::x"}}
FSX = {
    "name": "v",
    "fsxWindowsFileServerVolumeConfiguration": {
        "fileSystemId": "fs-1",
        "rootDirectory": "share",
        "authorizationConfig": {"credentialsParameter": "arn:x", "domain": "corp"},
    },
}
ROLES = {"executionRoleArn": "runs", "taskRoleArn": "runs"}
USES: dict[str, dict[str, Any]] = {
    "environmentFiles": request(
        container(environmentFiles=[{"value": "arn:aws:s3:::b/a.env", "type": "s3"}])
    ),
    "firelensConfiguration": request(container(firelensConfiguration={"type": "fluentbit"})),
    "credentialSpecs": request(container(credentialSpecs=["credentialspec:arn:x"])),
    "sharingStrategy": request(
        container(resourceRequirements=[{"type": "GPU", "sharingStrategy": {"nvidiaMps": {"memory": 1}}}])
    ),
    "efsVolumeConfiguration": request(volumes=[EFS]),
    "s3filesVolumeConfiguration": request(volumes=[S3], **ROLES),
    "fsxWindowsFileServerVolumeConfiguration": request(volumes=[FSX]),
    "configuredAtLaunch": request(volumes=[{"name": "v", "configuredAtLaunch": True}]),
    "proxyConfiguration": request(
        networkMode="awsvpc", proxyConfiguration={"type": "APPMESH", "containerName": "web"}
    ),
    "inferenceAccelerators": request(
        inferenceAccelerators=[{"deviceName": "d", "deviceType": "eia1.medium"}]
    ),
    "enableFaultInjection": request(enableFaultInjection=True),
    "trustedExecutionConfiguration": request(
        networkMode="host",
        requiresCompatibilities=["MANAGED_INSTANCES"],
        trustedExecutionConfiguration={"isolationMode": "SHARED"},
    ),
}


@pytest.mark.parametrize("member", REFUSED_AT_RUN)
def test_a_member_that_does_nothing_yet_registers_and_keeps_its_tasks_from_running(member: str) -> None:
    name = member.rpartition(".")[2]
    document = normalise(USES[name], settings=SETTINGS)
    assert name in str(document)
    reason = unsupported_at_run(document)
    assert reason is not None
    assert REFUSED_AT_RUN[member] in reason
    assert reason.endswith("is not supported by Homeport yet.")


VALUES: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "requires only MANAGED_INSTANCES",
        request(networkMode="host", requiresCompatibilities=["MANAGED_INSTANCES"]),
    ),
    ("Windows", request(runtimePlatform={"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"})),
    (
        "without the option awslogs-endpoint",
        request(
            container(
                logConfiguration={
                    "logDriver": "awslogs",
                    "options": {"awslogs-group": "g", "awslogs-region": "us-east-1"},
                }
            )
        ),
    ),
    (
        "the awsfirelens log driver",
        request(
            container(logConfiguration={"logDriver": "awsfirelens"}),
            container(name="router", firelensConfiguration={"type": "fluentd"}),
        ),
    ),
    (
        "resourceRequirements other than GPU",
        request(
            container(resourceRequirements=[{"type": "NeuronDevice", "value": "ALL"}]),
            networkMode="host",
            requiresCompatibilities=["MANAGED_INSTANCES"],
        ),
    ),
    ("GPU requirement of ALL", request(container(resourceRequirements=[{"type": "GPU", "value": "ALL"}]))),
    ("credential spec files", request(container(dockerSecurityOptions=["credentialspec:file.json"]))),
    ("versionConsistency enabled", request(container(versionConsistency="enabled"))),
)


@pytest.mark.parametrize(("what", "asked"), VALUES, ids=[what for what, _ in VALUES])
def test_values_that_homeport_does_not_run(what: str, asked: dict[str, Any]) -> None:
    document = normalise(asked, settings=SETTINGS)
    rules = [rule for rule in REFUSED_VALUES_AT_RUN if what in rule.what]
    assert len(rules) == 1
    assert unsupported_at_run(document) is not None
    alone = [rule for rule in REFUSED_VALUES_AT_RUN if refuses(rule, document)]
    assert rules[0] in alone


def refuses(rule: Any, document: dict[str, Any]) -> bool:
    from homeport.services.ecs.plan.task_definition.members import values_at

    return any(rule.when(value) for _, value in values_at(document, rule.member))


def test_every_refused_value_is_shown_by_an_example() -> None:
    assert len(VALUES) == len(REFUSED_VALUES_AT_RUN)


def test_a_refusal_names_the_container_that_causes_it() -> None:
    document = registered(container(), container(name="side", credentialSpecs=["credentialspec:arn:x"]))
    assert "('side')" in str(unsupported_at_run(document))


@pytest.mark.parametrize(
    "members",
    [
        {"volumes": [{"name": "v", "configuredAtLaunch": False}]},
        {"enableFaultInjection": False},
        {"inferenceAccelerators": []},
    ],
    ids=str,
)
def test_what_is_switched_off_keeps_nothing_from_running(members: dict[str, Any]) -> None:
    assert unsupported_at_run(registered(**members)) is None


def test_what_is_empty_in_a_container_keeps_nothing_from_running() -> None:
    empty = container(secrets=[], environmentFiles=[], credentialSpecs=[], ulimits=[], links=[])
    assert unsupported_at_run(registered(empty)) is None


def test_awslogs_with_an_endpoint_of_its_own_runs() -> None:
    options = {
        "awslogs-group": "g",
        "awslogs-region": "us-east-1",
        "awslogs-endpoint": "http://127.0.0.1:9000",
    }
    document = registered(container(logConfiguration={"logDriver": "awslogs", "options": options}))
    assert unsupported_at_run(document) is None


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        (request(sparkle=1), "sparkle"),
        (request(container(sparkle=1)), "containerDefinitions[].sparkle"),
        (
            request(container(portMappings=[{"containerPort": 1, "shine": 2}])),
            "containerDefinitions[].portMappings[].shine",
        ),
        (request(container(linuxParameters={"shine": 2})), "containerDefinitions[].linuxParameters.shine"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_member_of_a_newer_model_is_refused_rather_than_ignored(asked: dict[str, Any], path: str) -> None:
    with pytest.raises(ClientException) as refusal:
        normalise(asked, settings=SETTINGS)
    assert refusal.value.message == f"'{path}' is not supported by Homeport yet."
