"""Every member of RegisterTaskDefinition's request, and what becomes of it.

Nothing accepted is ignored: a member takes effect (`HONOURED`), or a task of the
definition is refused with the reason (`REFUSED_AT_RUN`). Some values of honoured
members are refused too (`REFUSED_VALUES_AT_RUN`). A member that stands in neither
table is refused when it is registered. A test walks the service model over these
tables and proves the claims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from homeport.services.ecs.plan.task_definition.settings import Document, refuse


class Effect(StrEnum):
    """Where an honoured member shows."""

    PAYLOAD = "payload"
    PLACEMENT = "placement"
    DESCRIBE = "describe"


def _table(effect: Effect, prefix: str, names: str) -> dict[str, Effect]:
    return {prefix + name: effect for name in names.split()}


_C = "containerDefinitions[]."

HONOURED: Mapping[str, Effect] = {
    **_table(Effect.DESCRIBE, "", "requiresCompatibilities[] tags[].key tags[].value"),
    **_table(Effect.PAYLOAD, "", "family networkMode cpu memory pidMode ipcMode ephemeralStorage.sizeInGiB"),
    **_table(
        Effect.PLACEMENT, "", "taskRoleArn placementConstraints[].type placementConstraints[].expression"
    ),
    **_table(Effect.PLACEMENT, "", "executionRoleArn"),
    **_table(Effect.PLACEMENT, "runtimePlatform.", "cpuArchitecture operatingSystemFamily"),
    **_table(
        Effect.PAYLOAD,
        _C,
        "name image cpu memory memoryReservation links[] essential entryPoint[] command[] startTimeout "
        "stopTimeout hostname user workingDirectory disableNetworking privileged readonlyRootFilesystem "
        "dnsServers[] dnsSearchDomains[] dockerSecurityOptions[] interactive pseudoTerminal dockerLabels "
        "environment[].name environment[].value mountPoints[].sourceVolume mountPoints[].containerPath "
        "mountPoints[].readOnly volumesFrom[].sourceContainer volumesFrom[].readOnly "
        "dependsOn[].containerName dependsOn[].condition extraHosts[].hostname extraHosts[].ipAddress "
        "ulimits[].name ulimits[].softLimit ulimits[].hardLimit systemControls[].namespace "
        "systemControls[].value restartPolicy.enabled restartPolicy.ignoredExitCodes[] "
        "restartPolicy.restartAttemptPeriod logConfiguration.logDriver logConfiguration.options "
        "healthCheck.command[] healthCheck.interval healthCheck.timeout healthCheck.retries "
        "healthCheck.startPeriod secrets[].name secrets[].valueFrom logConfiguration.secretOptions[].name "
        "logConfiguration.secretOptions[].valueFrom repositoryCredentials.credentialsParameter",
    ),
    **_table(Effect.PAYLOAD, f"{_C}portMappings[].", "containerPort hostPort protocol containerPortRange"),
    **_table(Effect.DESCRIBE, f"{_C}portMappings[].", "name appProtocol"),
    **_table(
        Effect.PAYLOAD,
        f"{_C}linuxParameters.",
        "capabilities.add[] capabilities.drop[] devices[].hostPath devices[].containerPath "
        "devices[].permissions[] initProcessEnabled sharedMemorySize tmpfs[].containerPath tmpfs[].size "
        "tmpfs[].mountOptions[] maxSwap swappiness",
    ),
    **_table(Effect.PLACEMENT, f"{_C}resourceRequirements[].", "type value"),
    **_table(Effect.DESCRIBE, _C, "versionConsistency"),
    **_table(
        Effect.PAYLOAD,
        "volumes[].",
        "name host.sourcePath dockerVolumeConfiguration.scope dockerVolumeConfiguration.autoprovision "
        "dockerVolumeConfiguration.driver dockerVolumeConfiguration.driverOpts "
        "dockerVolumeConfiguration.labels",
    ),
}
"""The strongest effect of each member; most show in DescribeTaskDefinition as well.

Port names and protocols are for Service Connect, which services ask for; pinning
image digests is what `versionConsistency` disables, and Homeport pins none.
"""

REFUSED_AT_RUN: Mapping[str, str] = {
    f"{_C}environmentFiles": "environmentFiles, which are in S3,",
    f"{_C}firelensConfiguration": "FireLens log routers",
    f"{_C}credentialSpecs": "credentialSpecs (Active Directory)",
    f"{_C}resourceRequirements[].sharingStrategy": "GPU sharing",
    "volumes[].efsVolumeConfiguration": "EFS volumes",
    "volumes[].s3filesVolumeConfiguration": "S3 Files volumes",
    "volumes[].fsxWindowsFileServerVolumeConfiguration": "FSx for Windows File Server volumes",
    "volumes[].configuredAtLaunch": "volumes configured at launch (Amazon EBS)",
    "proxyConfiguration": "proxyConfiguration (App Mesh)",
    "inferenceAccelerators": "Elastic Inference accelerators",
    "enableFaultInjection": "fault injection",
    "trustedExecutionConfiguration": "trusted execution",
}
"""Member (with all below it) to what is missing; null, false and empty values count as absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedValue:
    """`member` is honoured, but not with a value for which `when` holds."""

    member: str
    when: Callable[[Any], bool]
    what: str


def _needs_endpoint(log: Document) -> bool:
    return log.get("logDriver") == "awslogs" and "awslogs-endpoint" not in log.get("options", {})


REFUSED_VALUES_AT_RUN: tuple[RefusedValue, ...] = (
    RefusedValue(
        member="requiresCompatibilities",
        when=lambda required: list(required or ()) == ["MANAGED_INSTANCES"],
        what="a task definition that requires only MANAGED_INSTANCES",
    ),
    RefusedValue(
        member="runtimePlatform",
        when=lambda platform: platform.get("operatingSystemFamily", "LINUX") != "LINUX",
        what="a Windows operatingSystemFamily",
    ),
    RefusedValue(
        member=f"{_C}logConfiguration",
        when=_needs_endpoint,
        what="the awslogs log driver without the option awslogs-endpoint (there is no CloudWatch Logs here)",
    ),
    RefusedValue(
        member=f"{_C}logConfiguration",
        when=lambda log: log.get("logDriver") == "awsfirelens",
        what="the awsfirelens log driver",
    ),
    RefusedValue(
        member=f"{_C}resourceRequirements[]",
        when=lambda requirement: requirement["type"] != "GPU",
        what="resourceRequirements other than GPU",
    ),
    RefusedValue(
        member=f"{_C}resourceRequirements[]",
        when=lambda requirement: requirement.get("value") == "ALL",
        what="a GPU requirement of ALL",
    ),
    RefusedValue(
        member=f"{_C}dockerSecurityOptions[]",
        when=lambda option: option.startswith("credentialspec:"),
        what="credential spec files (Active Directory)",
    ),
    RefusedValue(
        member=f"{_C}versionConsistency",
        when=lambda value: value == "enabled",
        what="versionConsistency enabled (image digests are not pinned)",
    ),
)

REQUEST_MEMBERS = frozenset(
    path.partition(".")[0].removesuffix("[]") for path in (*HONOURED, *REFUSED_AT_RUN)
)
_LEAVES = frozenset(HONOURED)
_PREFIXES = frozenset(
    path[:index] for path in (*HONOURED, *REFUSED_AT_RUN) for index, char in enumerate(path) if char in ".["
)


def values_at(document: Document, member: str) -> Iterator[tuple[str, Any]]:
    """The values of a member with where they stand, one for each container, volume, ..."""
    found: list[tuple[str, Any]] = [("", document)]
    for step in member.split("."):
        key, is_list = step.removesuffix("[]"), step.endswith("[]")
        deeper: list[tuple[str, Any]] = []
        for where, value in found:
            if key not in value:
                continue
            inner = value[key]
            deeper += [(_name(where, item), item) for item in inner] if is_list else [(where, inner)]
        found = deeper
    yield from found


def _name(where: str, item: Any) -> str:
    if where or not isinstance(item, Mapping) or "name" not in item:
        return where
    return str(item["name"])


def unsupported_at_run(document: Document) -> str | None:
    """Why this Homeport runs no task of the definition; `None`: it does."""
    for member, what in REFUSED_AT_RUN.items():
        for where, value in values_at(document, member):
            if value not in (None, False, "", [], {}):
                return _sentence(what, where)
    for rule in REFUSED_VALUES_AT_RUN:
        for where, value in values_at(document, rule.member):
            if rule.when(value):
                return _sentence(rule.what, where)
    return None


def _sentence(what: str, where: str) -> str:
    place = f" ('{where}')" if where else ""
    return f"This task definition uses {what}{place}: running that is not supported by Homeport yet."


def check_known(request: Document) -> None:
    """Raise for a member that stands in neither table."""
    for path in _unknown(request, ""):
        raise refuse(f"'{path}' is not supported by Homeport yet.")


def _unknown(value: Any, path: str) -> Iterator[str]:
    if path in REFUSED_AT_RUN or path in _LEAVES:
        return
    if isinstance(value, Mapping):
        for key, member in value.items():
            inner = f"{path}.{key}" if path else str(key)
            if inner not in _PREFIXES and inner not in _LEAVES and inner not in REFUSED_AT_RUN:
                yield inner
            else:
                yield from _unknown(member, inner)
    elif isinstance(value, list):
        for item in value:
            yield from _unknown(item, f"{path}[]")
