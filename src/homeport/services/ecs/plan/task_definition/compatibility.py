"""Which launch types a definition is good for.

A rule set per launch type names its first problem. RegisterTaskDefinition is
refused with the problem of a launch type that it requires; the others only
decide `compatibilities`.
Sources: RegisterTaskDefinitionRequest.requiresCompatibilities (botocore ecs);
developer guide, "Task definition differences for Fargate", "Amazon ECS Anywhere".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from homeport.services.ecs.plan.task_definition import sizes, volumes
from homeport.services.ecs.plan.task_definition.devices import requirements
from homeport.services.ecs.plan.task_definition.references import ecr_image
from homeport.services.ecs.plan.task_definition.settings import Document, Settings, refuse

LAUNCH_TYPES = ("EXTERNAL", "EC2", "FARGATE", "MANAGED_INSTANCES")
"""In the order in which responses list them (recorded)."""

_FARGATE_DRIVERS = ("awslogs", "splunk", "awsfirelens")
_MANAGED_DRIVERS = (*_FARGATE_DRIVERS, "json-file")
_NOT_EXTERNAL_VOLUMES = (
    "efsVolumeConfiguration",
    "s3filesVolumeConfiguration",
    "fsxWindowsFileServerVolumeConfiguration",
    "configuredAtLaunch",
)
_LINUX_ONLY = (
    "linuxParameters",
    "ulimits",
    "user",
    "privileged",
    "readonlyRootFilesystem",
    "dnsServers",
    "dnsSearchDomains",
    "extraHosts",
    "links",
    "disableNetworking",
    "systemControls",
)


def is_windows(document: Document) -> bool:
    """Whether the definition asks for a Windows instance."""
    family = document.get("runtimePlatform", {}).get("operatingSystemFamily", "LINUX")
    return str(family).startswith("WINDOWS")


def check(document: Document, settings: Settings) -> list[str]:
    """The launch types that fit. Raise when one that is required does not."""
    _check_windows(document)
    required = document.get("requiresCompatibilities") or []
    for launch_type in required:
        if launch_type not in LAUNCH_TYPES:
            raise refuse(f"Invalid requiresCompatibilities '{launch_type}'.")
    problems = {
        "EXTERNAL": _external_problem(document),
        "EC2": _ec2_problem(document),
        "FARGATE": next(_fargate_problems(document, settings), None),
        "MANAGED_INSTANCES": next(_managed_problems(document), None),
    }
    for launch_type in required or ["EC2"]:
        problem = problems[launch_type]
        if problem is not None:
            raise refuse(problem)
    return [launch_type for launch_type in LAUNCH_TYPES if problems[launch_type] is None]


def _check_windows(document: Document) -> None:
    if not is_windows(document):
        return
    for key in ("pidMode", "ipcMode"):
        if key in document:
            raise refuse(f"{key} is not supported for Windows containers.")
    for container in document["containerDefinitions"]:
        for key in _LINUX_ONLY:
            if container.get(key):
                raise refuse(
                    f"'{key}' of container '{container['name']}' is not supported for Windows containers."
                )


def _ec2_problem(document: Document) -> str | None:
    if "trustedExecutionConfiguration" in document:
        return "trustedExecutionConfiguration is supported only for Amazon ECS Managed Instances."
    return sizes.unsized_container_problem(document)


def _external_problem(document: Document) -> str | None:
    if problem := _ec2_problem(document):
        return problem
    if document["networkMode"] == "awsvpc":
        return "External instances do not support networkMode awsvpc."
    for volume in document["volumes"]:
        if volumes.kind_of(volume) in _NOT_EXTERNAL_VOLUMES:
            return f"External instances do not support {volumes.kind_of(volume)} (volume '{volume['name']}')."
    for container in document["containerDefinitions"]:
        if any("appProtocol" in mapping for mapping in container["portMappings"]):
            return "External instances do not support Service Connect (appProtocol)."
        if any("sharingStrategy" in r for r in container.get("resourceRequirements", ())):
            return "External instances do not support GPU sharing."
    if document.get("inferenceAccelerators"):
        return "External instances do not support inferenceAccelerators."
    return None


def _fargate_problems(document: Document, settings: Settings) -> Iterator[str]:
    if document["networkMode"] != "awsvpc":
        yield "Fargate only supports network mode ‘awsvpc’."  # noqa: RUF001 - AWS's own quotes
    cpu, memory = (document.get(key) for key in ("cpu", "memory"))
    size = sizes.fargate_size_problem(
        None if cpu is None else int(cpu),
        None if memory is None else int(memory),
        windows=is_windows(document),
        allow_32vcpu=settings.fargate_32vcpu,
    )
    if size is not None:
        yield size
    yield from _fargate_role_problems(document)
    if document.get("pidMode") == "host":
        yield "Fargate does not support pidMode host."
    for key in ("ipcMode", "placementConstraints", "inferenceAccelerators", "trustedExecutionConfiguration"):
        if document.get(key):
            yield f"Fargate does not support {key}."
    for container in document["containerDefinitions"]:
        for what in _fargate_container_problems(container):
            yield f"Fargate does not support {what} (container '{container['name']}')."
        for key in ("startTimeout", "stopTimeout"):
            if key in container and not 2 <= container[key] <= 120:
                yield f"Fargate requires '{key}' between 2 and 120 seconds (container '{container['name']}')."
    yield from _fargate_volume_problems(document)


def _fargate_volume_problems(document: Document) -> Iterator[str]:
    for volume in document["volumes"]:
        if volume.get("host", {}).get("sourcePath"):
            yield f"Fargate does not support host.sourcePath (volume '{volume['name']}')."
        if volumes.kind_of(volume) in (
            "dockerVolumeConfiguration",
            "fsxWindowsFileServerVolumeConfiguration",
        ):
            yield f"Fargate does not support {volumes.kind_of(volume)} (volume '{volume['name']}')."


def _fargate_role_problems(document: Document) -> Iterator[str]:
    containers = document["containerDefinitions"]
    if not document.get("executionRoleArn"):
        base = "Fargate requires task definition to have execution role ARN to support"
        if any(ecr_image(container["image"]) for container in containers):
            yield f"{base} ECR images."
        if any(c.get("logConfiguration", {}).get("logDriver") == "awslogs" for c in containers):
            yield f"{base} log driver awslogs."
    for container in containers:
        log = container.get("logConfiguration", {})
        if log.get("logDriver") == "awslogs" and "awslogs-stream-prefix" not in log.get("options", {}):
            yield "Log driver awslogs requires options: awslogs-stream-prefix"


def _fargate_container_problems(container: Document) -> Iterator[str]:
    for key in ("privileged", "dockerSecurityOptions", "links", "dnsServers", "credentialSpecs"):
        if container.get(key):
            yield key
    linux: dict[str, Any] = container.get("linuxParameters", {})
    for key in ("devices", "sharedMemorySize", "maxSwap", "swappiness"):
        if linux.get(key) not in (None, []):
            yield f"linuxParameters.{key}"
    added = set(linux.get("capabilities", {}).get("add", ())) - {"SYS_PTRACE"}
    if added:
        yield f"linuxParameters.capabilities.add of {', '.join(sorted(added))}"
    driver = container.get("logConfiguration", {}).get("logDriver")
    if driver is not None and driver not in _FARGATE_DRIVERS:
        yield f"log driver {driver}"
    if container.get("resourceRequirements"):
        yield "resourceRequirements"
    if container.get("firelensConfiguration", {}).get("options", {}).get("config-file-type") == "s3":
        yield "the FireLens config-file-type s3"


def _managed_problems(document: Document) -> Iterator[str]:
    """Managed instances: Linux, awsvpc or host, with their own list of log drivers."""
    if problem := sizes.unsized_container_problem(document):
        yield problem
    if document["networkMode"] not in ("awsvpc", "host"):
        yield "Managed instances support the network modes awsvpc and host."
    if is_windows(document):
        yield "Managed instances do not support Windows."
    if document.get("inferenceAccelerators"):
        yield "Managed instances do not support inferenceAccelerators."
    for container in document["containerDefinitions"]:
        driver = container.get("logConfiguration", {}).get("logDriver")
        if driver is not None and driver not in _MANAGED_DRIVERS:
            yield f"Managed instances do not support the log driver {driver}."
    for volume in document["volumes"]:
        if volumes.kind_of(volume) == "fsxWindowsFileServerVolumeConfiguration":
            yield "Managed instances do not support fsxWindowsFileServerVolumeConfiguration."


def check_neuron(document: Document) -> None:
    """Neuron devices exist on managed instances only."""
    if (document.get("requiresCompatibilities") or []) == ["MANAGED_INSTANCES"]:
        return
    if any(any(requirements(c, "NeuronDevice")) for c in document["containerDefinitions"]):
        raise refuse("NeuronDevice is only supported on Managed Instances.")
