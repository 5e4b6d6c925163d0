"""What one container definition may say, apart from sizes, network, volumes and logs.

Sources: ContainerDefinition, HealthCheck, ContainerRestartPolicy, LinuxParameters,
Tmpfs, Ulimit, SystemControl (botocore ecs). Messages without a recorded source are ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from homeport.services.ecs.plan.task_definition.settings import Document, check_range, refuse, words

CONTAINERS_MOST = 10
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_IMAGE = re.compile(r"[A-Za-z0-9_.:/#@-]+")
_DIGEST = re.compile(r"sha256:[A-Fa-f0-9]{64}")
_SECURITY_OPTIONS = ("no-new-privileges", "label:", "apparmor:", "credentialspec:")

CAPABILITIES = words(
    "ALL AUDIT_CONTROL AUDIT_WRITE BLOCK_SUSPEND CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID "
    "IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN "
    "NET_BIND_SERVICE NET_BROADCAST NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT "
    "SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG SYSLOG "
    "WAKE_ALARM"
)
TMPFS_OPTIONS = words(
    "defaults ro rw suid nosuid dev nodev exec noexec sync async dirsync remount mand nomand atime "
    "noatime diratime nodiratime bind rbind unbindable runbindable private rprivate shared rshared slave "
    "rslave relatime norelatime strictatime nostrictatime mode uid gid nr_inodes nr_blocks mpol"
)
IPC_SYSCTLS = words(
    "kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax kernel.shmmni "
    "kernel.shm_rmid_forced"
)

HEALTH_CHECK_DEFAULTS = {"interval": 30, "timeout": 5, "retries": 3}
_HEALTH_CHECK_RANGES = {"interval": (5, 300), "timeout": (2, 60), "retries": (1, 10), "startPeriod": (0, 300)}


def check_list(containers: Sequence[Document]) -> None:
    """Names, images and essentials of all containers together."""
    if not containers:
        raise refuse("Container list cannot be empty.")
    if len(containers) > CONTAINERS_MOST:
        raise refuse(f"A task definition has at most {CONTAINERS_MOST} containers, not {len(containers)}.")
    names = [_check_name(container) for container in containers]
    if len(set(names)) != len(names):
        raise refuse("Container.name contains duplicates.")
    for container in containers:
        check_image(container.get("image"))
    if not any(container.get("essential", True) for container in containers):
        raise refuse("TaskDefinition does not have any essential containers.")


def _check_name(container: Document) -> str:
    name = container.get("name")
    if not name:
        raise refuse("Container.name should not be null or empty.")
    if not _NAME.fullmatch(name):
        raise refuse(
            f"Invalid container name '{name}': "
            "up to 255 letters, numbers, underscores and hyphens are allowed."
        )
    return str(name)


def check_image(image: str | None) -> None:
    """An image's charset and lengths; whether it exists is known only to its registry."""
    if not image:
        raise refuse("Container.image should not be null or empty.")
    if not _IMAGE.fullmatch(image):
        raise refuse("Container.image contains invalid characters.")
    repository, at, digest = image.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise refuse(f"Container.image '{image}' must end in '@sha256:' and 64 hexadecimal digits.")
    if len(repository) > 255:
        raise refuse("Container.image is longer than 255 characters.")


def check(container: Document) -> None:
    """Everything else that concerns one container alone."""
    name = container["name"]
    for variable in container.get("environment", ()):
        if not variable.get("name"):
            raise refuse(f"An environment variable of container '{name}' has no name.")
    _check_health(container)
    _check_restart(container)
    for key in ("startTimeout", "stopTimeout"):
        if container.get(key, 0) < 0:
            raise refuse(f"'{key}' of container '{name}' cannot be negative.")
    for option in container.get("dockerSecurityOptions", ()):
        if not option.startswith(_SECURITY_OPTIONS):
            raise refuse(
                f"Invalid dockerSecurityOptions '{option}' of container '{name}': valid values are "
                "no-new-privileges, apparmor:PROFILE, label:VALUE and credentialspec:FILE."
            )
    for limit in container.get("ulimits", ()):
        soft, hard = limit["softLimit"], limit["hardLimit"]
        if hard >= 0 and (soft < 0 or soft > hard):
            raise refuse(
                f"ulimit '{limit['name']}' of container '{name}': the soft limit {soft} is above "
                f"the hard limit {hard}."
            )
    for host in container.get("extraHosts", ()):
        if not host["hostname"] or not host["ipAddress"]:
            raise refuse(f"extraHosts of container '{name}' need a hostname and an IP address.")
    if container.get("linuxParameters"):
        _check_linux(container, container["linuxParameters"])


def _check_health(container: Document) -> None:
    check_ = container.get("healthCheck")
    if check_ is None:
        return
    command = check_.get("command") or [""]
    if command[0] not in ("CMD", "CMD-SHELL") or len(command) < 2:
        raise refuse(
            f"healthCheck.command of container '{container['name']}' must start with CMD or CMD-SHELL "
            "and have something to run."
        )
    for key, (least, most) in _HEALTH_CHECK_RANGES.items():
        if check_.get(key) is not None:
            check_range(check_[key], least, most, f"healthCheck.{key} of container '{container['name']}'")


def _check_restart(container: Document) -> None:
    policy = container.get("restartPolicy")
    if policy is None:
        return
    where = f"of container '{container['name']}'"
    codes = policy.get("ignoredExitCodes", ())
    if len(codes) > 50:
        raise refuse(f"restartPolicy.ignoredExitCodes {where} has {len(codes)} entries; 50 are allowed.")
    if policy.get("restartAttemptPeriod") is not None:
        check_range(policy["restartAttemptPeriod"], 60, 1800, f"restartPolicy.restartAttemptPeriod {where}")


def _check_linux(container: Document, linux: Document) -> None:
    name = container["name"]
    capabilities = linux.get("capabilities", {})
    for capability in (*capabilities.get("add", ()), *capabilities.get("drop", ())):
        if capability not in CAPABILITIES:
            raise refuse(f"Unknown Linux capability '{capability}' of container '{name}'.")
    for device in linux.get("devices", ()):
        if not device["hostPath"].startswith("/"):
            raise refuse(f"linuxParameters.devices of container '{name}': hostPath must be absolute.")
    for mount in linux.get("tmpfs", ()):
        _check_tmpfs(name, mount)
    if linux.get("sharedMemorySize") is not None and linux["sharedMemorySize"] < 1:
        raise refuse(f"linuxParameters.sharedMemorySize of container '{name}' must be positive.")
    if linux.get("swappiness") is not None:
        check_range(linux["swappiness"], 0, 100, f"linuxParameters.swappiness of container '{name}'")
    if linux.get("maxSwap") is not None:
        if linux["maxSwap"] < 0:
            raise refuse(f"linuxParameters.maxSwap of container '{name}' must be 0 or a positive integer.")
        if not container.get("memory"):
            raise refuse(
                f"linuxParameters.maxSwap of container '{name}' is added to its 'memory', "
                "which must be specified."
            )


def _check_tmpfs(name: str, mount: Document) -> None:
    where = f"linuxParameters.tmpfs of container '{name}'"
    if not mount["containerPath"].startswith("/"):
        raise refuse(f"{where}: containerPath must be absolute.")
    if mount["size"] < 1:
        raise refuse(f"{where}: size must be positive.")
    for option in mount.get("mountOptions", ()):
        if option.partition("=")[0] not in TMPFS_OPTIONS:
            raise refuse(f"{where}: unknown mount option '{option}'.")


def check_system_controls(document: Document) -> None:
    """Namespaced kernel parameters; the host's namespaces may not be changed.

    Source: SystemControl; RegisterTaskDefinitionRequest.ipcMode.
    """
    for container in document["containerDefinitions"]:
        for control in container.get("systemControls", ()):
            namespace, value = control.get("namespace") or "", control.get("value")
            where = f"systemControls '{namespace}' of container '{container['name']}'"
            is_net = namespace.startswith("net.")
            if not is_net and namespace not in IPC_SYSCTLS and not namespace.startswith("fs.mqueue."):
                raise refuse(
                    f"{where}: only IPC (kernel.*, fs.mqueue.*) and net.* parameters are namespaced."
                )
            if not value:
                raise refuse(f"{where}: a value is required.")
            if is_net and document["networkMode"] == "host":
                raise refuse(f"{where}: net.* parameters are not supported with networkMode=host.")
            if not is_net and document.get("ipcMode") == "host":
                raise refuse(f"{where}: IPC parameters are not supported with ipcMode=host.")


def with_defaults(container: Document) -> dict[str, Any]:
    """The container as DescribeTaskDefinition shows it, except for ports.

    Source: recorded responses; defaults never replace what was given.
    """
    filled: dict[str, Any] = {
        "cpu": 0,
        "portMappings": [],
        "essential": True,
        "environment": [],
        "mountPoints": [],
        "volumesFrom": [],
        "systemControls": [],
        **container,
    }
    for key in ("memory", "memoryReservation"):
        if filled.get(key) == 0:
            del filled[key]
    if "healthCheck" in filled:
        filled["healthCheck"] = {**HEALTH_CHECK_DEFAULTS, **filled["healthCheck"]}
    return filled
