"""Task definitions for tests: small ones, and one that uses every honoured member."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from homeport.services.ecs.plan.payload import TaskIdentity
from homeport.services.ecs.plan.task_definition import Settings, normalise

SETTINGS = Settings(region="us-east-1", account_id="000000000000")
ROLE = "arn:aws:iam::000000000000:role/runs-tasks"
ECR_IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/app:1"
TASK_ID = "0123456789abcdef0123456789abcdef"
CLUSTER_ARN = "arn:aws:ecs:us-east-1:000000000000:cluster/default"
TASK_ARN = f"arn:aws:ecs:us-east-1:000000000000:task/default/{TASK_ID}"


def container(**members: Any) -> dict[str, Any]:
    """A container that EC2 takes; `None` leaves a member out."""
    base = {"name": "web", "image": "busybox:1", "memory": 64}
    return {key: value for key, value in {**base, **members}.items() if value is not None}


def request(*containers: Mapping[str, Any], **members: Any) -> dict[str, Any]:
    """A request with these containers, or with one plain one."""
    base = {"family": "app", "containerDefinitions": list(containers) or [container()]}
    return {key: value for key, value in {**base, **members}.items() if value is not None}


def fargate(*containers: Mapping[str, Any], **members: Any) -> dict[str, Any]:
    """A request that Fargate takes."""
    base = {
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        **members,
    }
    return request(*(containers or [container(memory=None)]), **base)


def registered(*containers: Mapping[str, Any], **members: Any) -> dict[str, Any]:
    """The stored document of such a request."""
    return normalise(request(*containers, **members), settings=SETTINGS)


def identity(**members: Any) -> TaskIdentity:
    """A placed task of revision 3."""
    base: dict[str, Any] = {
        "arn": TASK_ARN,
        "cluster_arn": CLUSTER_ARN,
        "revision": 3,
        "account_id": "000000000000",
        "group": "family:app",
        "region": "us-east-1",
        "availability_zone": "us-east-1a",
    }
    return TaskIdentity(**{**base, **members})


FULL: dict[str, Any] = {
    "family": "full",
    "taskRoleArn": ROLE,
    "executionRoleArn": ROLE,
    "networkMode": "bridge",
    "cpu": "512",
    "memory": "1024",
    "ephemeralStorage": {"sizeInGiB": 30},
    "pidMode": "task",
    "ipcMode": "task",
    "requiresCompatibilities": ["EC2"],
    "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
    "placementConstraints": [{"type": "memberOf", "expression": "attribute:stack == blue"}],
    "tags": [{"key": "team", "value": "blue"}],
    "volumes": [
        {"name": "data", "host": {"sourcePath": "/srv/data"}},
        {
            "name": "shared",
            "dockerVolumeConfiguration": {
                "scope": "shared",
                "autoprovision": True,
                "driver": "local",
                "driverOpts": {"type": "tmpfs"},
                "labels": {"kept": "yes"},
            },
        },
    ],
    "containerDefinitions": [
        {
            "name": "web",
            "image": ECR_IMAGE,
            "cpu": 100,
            "memory": 256,
            "memoryReservation": 128,
            "links": ["db:database"],
            "portMappings": [
                {
                    "containerPort": 80,
                    "hostPort": 8080,
                    "protocol": "tcp",
                    "name": "http",
                    "appProtocol": "http",
                },
                {"containerPortRange": "9000-9003", "protocol": "udp"},
            ],
            "essential": True,
            "restartPolicy": {"enabled": True, "ignoredExitCodes": [3], "restartAttemptPeriod": 60},
            "entryPoint": ["/bin/sh"],
            "command": ["-c", "serve"],
            "environment": [{"name": "COLOUR", "value": "blue"}],
            "secrets": [{"name": "TOKEN", "valueFrom": "/token"}],
            "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": True}],
            "volumesFrom": [{"sourceContainer": "db", "readOnly": True}],
            "linuxParameters": {
                "capabilities": {"add": ["NET_ADMIN"], "drop": ["MKNOD"]},
                "devices": [{"hostPath": "/dev/fuse", "containerPath": "/dev/f", "permissions": ["read"]}],
                "initProcessEnabled": True,
                "sharedMemorySize": 32,
                "tmpfs": [{"containerPath": "/run", "size": 8, "mountOptions": ["noexec"]}],
                "maxSwap": 16,
                "swappiness": 10,
            },
            "dependsOn": [{"containerName": "db", "condition": "HEALTHY"}],
            "startTimeout": 60,
            "stopTimeout": 20,
            "versionConsistency": "disabled",
            "hostname": "web1",
            "user": "1000:1000",
            "workingDirectory": "/srv",
            "disableNetworking": True,
            "privileged": True,
            "readonlyRootFilesystem": True,
            "dnsServers": ["10.0.0.2"],
            "dnsSearchDomains": ["example.internal"],
            "extraHosts": [{"hostname": "peer", "ipAddress": "10.0.0.9"}],
            "dockerSecurityOptions": ["no-new-privileges"],
            "interactive": True,
            "pseudoTerminal": True,
            "dockerLabels": {"owner": "blue"},
            "ulimits": [{"name": "nofile", "softLimit": 100, "hardLimit": 200}],
            "logConfiguration": {
                "logDriver": "json-file",
                "options": {"max-size": "1m"},
                "secretOptions": [{"name": "tag", "valueFrom": "/tag"}],
            },
            "healthCheck": {
                "command": ["CMD-SHELL", "true"],
                "interval": 10,
                "timeout": 3,
                "retries": 4,
                "startPeriod": 6,
            },
            "systemControls": [{"namespace": "net.core.somaxconn", "value": "512"}],
            "resourceRequirements": [{"type": "GPU", "value": "1"}],
        },
        {
            "name": "db",
            "image": "db:1",
            "memory": 64,
            "repositoryCredentials": {
                "credentialsParameter": "arn:aws:secretsmanager:us-east-1:000000000000:secret:r-AbCdEf"
            },
            "healthCheck": {"command": ["CMD", "ready"]},
        },
        {"name": "cache", "image": "cache:1", "memory": 64, "healthCheck": {"command": ["CMD", "ready"]}},
    ],
}
"""Every honoured member, each with a value that is not its default."""


def replaced(document: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy in which the first place that `path` (`a[].b`) names holds `value`."""
    result: dict[str, Any] = copy.deepcopy(dict(document))
    steps = re.findall(r"[^.\[\]]+|\[\]", path)
    place: Any = result
    for step in steps[:-1]:
        place = _first(place, steps) if step == "[]" else place[step]
    place[0 if steps[-1] == "[]" else steps[-1]] = value
    return result


def _first(items: list[Any], steps: list[str]) -> Any:
    """The first item that has the wanted member, so that port ranges and Docker volumes are found."""
    wanted = steps[steps.index("[]", 2) + 1 :] if steps.count("[]") > 1 else steps[steps.index("[]") + 1 :]
    for item in items:
        if isinstance(item, Mapping) and wanted and wanted[0] in item:
            return item
    return items[0]
