"""`requiresAttributes`: what an instance must be able to do.

Names as amazon-ecs-agent registers them. Which Docker API version a member
needs is read off recorded DescribeTaskDefinition responses where there are some:
1.17 the classic members, 1.18 labels, logs, ulimits and task sizes, 1.19 awslogs, 1.21
memoryReservation, 1.23 no-new-privileges, 1.24 health checks, 1.25 init and EFS,
1.28 log modes, 1.29 start periods (instead of 1.24) and log group creation; the rest
follows Docker's own API history.
"""

from __future__ import annotations

from collections.abc import Iterator

from homeport.services.ecs.plan.task_definition import volumes
from homeport.services.ecs.plan.task_definition.references import ecr_image, secret_provider
from homeport.services.ecs.plan.task_definition.settings import Document, words

_COM = "com.amazonaws.ecs.capability."
_ECS = "ecs.capability."
_CLASSIC = words(
    "user hostname links dnsServers dnsSearchDomains extraHosts dockerSecurityOptions privileged "
    "readonlyRootFilesystem disableNetworking"
)
_VOLUME_CAPABILITIES = {
    "efsVolumeConfiguration": ("efs", "efsAuth"),
    "s3filesVolumeConfiguration": ("storage.s3-files",),
    "configuredAtLaunch": ("storage.ebs-task-volume-attach",),
    "fsxWindowsFileServerVolumeConfiguration": ("fsxWindowsFileServer",),
}


def required(document: Document) -> list[dict[str, str]]:
    """The attributes, sorted by name, each once."""
    versions = {f"docker-remote-api.{version}" for version in docker_versions(document)}
    names = {
        *(_COM + name for name in (*_com(document), *versions)),
        *(_ECS + name for name in (*_ecs(document), *_of_volumes(document))),
    }
    return [{"name": name} for name in sorted(names)]


def docker_versions(document: Document) -> set[str]:
    """The Docker API versions that members of a definition need."""
    found: set[str] = set()
    if document["networkMode"] == "awsvpc" or document.get("cpu") or document.get("memory"):
        found.add("1.18")
    if any("efsVolumeConfiguration" in volume for volume in document["volumes"]):
        found.add("1.25")
    for container in document["containerDefinitions"]:
        found |= set(_container_versions(container))
    return found


def _container_versions(container: Document) -> Iterator[str]:
    linux = container.get("linuxParameters", {})
    log = container.get("logConfiguration", {})
    options = log.get("options", {})
    check = container.get("healthCheck")
    needs = (
        ("1.17", any(container.get(key) for key in _CLASSIC)),
        ("1.18", any(container.get(key) for key in ("dockerLabels", "ulimits", "logConfiguration"))),
        ("1.19", log.get("logDriver") == "awslogs"),
        ("1.21", container.get("memoryReservation") is not None),
        ("1.22", bool(linux.get("tmpfs")) or linux.get("sharedMemorySize") is not None),
        ("1.23", any(o.startswith("no-new-privileges") for o in container.get("dockerSecurityOptions", ()))),
        ("1.24", check is not None and "startPeriod" not in check),
        ("1.24", bool(container.get("systemControls"))),
        ("1.25", bool(linux.get("initProcessEnabled"))),
        ("1.28", "mode" in options and log.get("logDriver") != "awsfirelens"),
        ("1.29", "awslogs-create-group" in options or (check is not None and "startPeriod" in check)),
    )
    return (version for version, needed in needs if needed)


def _com(document: Document) -> Iterator[str]:
    if document.get("taskRoleArn"):
        yield "task-iam-role"
        if document["networkMode"] == "host":
            yield "task-iam-role-network-host"
    for container in document["containerDefinitions"]:
        if container.get("privileged"):
            yield "privileged-container"
        if ecr_image(container["image"]):
            yield "ecr-auth"
        if "logConfiguration" in container:
            yield f"logging-driver.{container['logConfiguration']['logDriver']}"
        for option in container.get("dockerSecurityOptions", ()):
            if option.startswith("label:"):
                yield "selinux"
            if option.startswith("apparmor:"):
                yield "apparmor"


def _ecs(document: Document) -> Iterator[str]:
    if document["networkMode"] == "awsvpc":
        yield "task-eni"
    if document.get("pidMode") or document.get("ipcMode"):
        yield "pid-ipc-namespace-sharing"
    if int(document.get("cpu") or 0) > 10_240:
        yield "increased-task-cpu-limit"
    if document.get("proxyConfiguration"):
        yield "aws-appmesh"
    if document.get("inferenceAccelerators"):
        yield "task-eia"
    if document.get("enableFaultInjection"):
        yield "fault-injection"
    for container in document["containerDefinitions"]:
        yield from _of_container(container, has_role=bool(document.get("executionRoleArn")))


def _of_container(container: Document, *, has_role: bool) -> Iterator[str]:
    log = container.get("logConfiguration", {})
    firelens = container.get("firelensConfiguration", {})
    config_type = firelens.get("options", {}).get("config-file-type")
    flags = (
        ("container-ordering", container.get("dependsOn")),
        ("container-health-check", container.get("healthCheck")),
        ("container-restart-policy", container.get("restartPolicy", {}).get("enabled")),
        ("env-files.s3", container.get("environmentFiles")),
        ("private-registry-authentication.secretsmanager", container.get("repositoryCredentials")),
        ("network.container-port-range", any("containerPortRange" in p for p in container["portMappings"])),
        ("execution-role-awslogs", has_role and log.get("logDriver") == "awslogs"),
        ("execution-role-ecr-pull", has_role and ecr_image(container["image"])),
        (f"firelens.{firelens.get('type')}", firelens),
        (f"firelens.options.config.{config_type}", config_type),
    )
    yield from (name for name, wanted in flags if wanted)
    for secret in container.get("secrets", ()):
        yield f"secrets.{secret_provider(secret['valueFrom'])}.environment-variables"
    for secret in log.get("secretOptions", ()):
        yield f"secrets.{secret_provider(secret['valueFrom'])}.bootstrap.log-driver"


def _of_volumes(document: Document) -> Iterator[str]:
    for volume in document["volumes"]:
        kind = volumes.kind_of(volume)
        yield from _VOLUME_CAPABILITIES.get(kind, ())
        if kind == "dockerVolumeConfiguration":
            yield f"docker-plugin.{volume[kind]['driver'].replace(':', '.')}"
