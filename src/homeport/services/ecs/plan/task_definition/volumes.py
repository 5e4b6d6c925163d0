"""Volumes and where containers mount them.

Sources: Volume, EFSVolumeConfiguration, S3FilesVolumeConfiguration,
DockerVolumeConfiguration, MountPoint (botocore ecs).
"""

from __future__ import annotations

import re
from typing import Any

from homeport.services.ecs.plan.task_definition.settings import Document, check_range, refuse

KINDS = (
    "host",
    "dockerVolumeConfiguration",
    "efsVolumeConfiguration",
    "s3filesVolumeConfiguration",
    "fsxWindowsFileServerVolumeConfiguration",
    "configuredAtLaunch",
)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]?.*|\\\\.*")


def kind_of(volume: Document) -> str:
    """The one kind a volume has; a bare name is a host volume."""
    return next((kind for kind in KINDS if kind in volume and volume[kind] is not False), "host")


def _absolute(path: str) -> bool:
    return path.startswith("/") or _WINDOWS_PATH.fullmatch(path) is not None


def with_defaults(volume: Document) -> dict[str, Any]:
    """A bare volume becomes a host volume; a Docker volume gets its scope and driver."""
    filled = dict(volume)
    if kind_of(volume) == "host":
        filled.setdefault("host", {})
    if "dockerVolumeConfiguration" in volume:
        filled["dockerVolumeConfiguration"] = {
            "scope": "task",
            "driver": "local",
            **volume["dockerVolumeConfiguration"],
        }
    return filled


def check(document: Document) -> None:
    """Volumes are well formed, and what is mounted exists."""
    names: set[str] = set()
    for volume in document["volumes"]:
        name = volume.get("name") or ""
        if not _NAME.fullmatch(name):
            raise refuse(
                f"Invalid volume name '{name}': up to 255 letters, numbers, underscores and hyphens."
            )
        if name in names:
            raise refuse(f"Volume name '{name}' is used more than once.")
        names.add(name)
        _check_volume(name, volume, document)
    if sum(kind_of(volume) == "configuredAtLaunch" for volume in document["volumes"]) > 1:
        raise refuse("Only one volume can be configured at launch.")
    for container in document["containerDefinitions"]:
        for mount in container["mountPoints"]:
            if mount.get("sourceVolume") not in names:
                raise refuse(f"Unknown volume '{mount.get('sourceVolume')}'.")
            if not _absolute(mount.get("containerPath") or ""):
                raise refuse(
                    f"A mount point of container '{container['name']}' needs an absolute containerPath."
                )


def _check_volume(name: str, volume: Document, document: Document) -> None:
    kinds = [kind for kind in KINDS if kind in volume and volume[kind] is not False]
    if len(kinds) > 1:
        raise refuse(f"Volume '{name}' has more than one configuration: {', '.join(kinds)}.")
    source = volume.get("host", {}).get("sourcePath")
    if source and not _absolute(source):
        raise refuse(f"host.sourcePath of volume '{name}' must be absolute.")
    docker = volume.get("dockerVolumeConfiguration", {})
    if docker.get("autoprovision") and docker["scope"] != "shared":
        raise refuse(f"autoprovision of volume '{name}' can only be used if the scope is shared.")
    if "efsVolumeConfiguration" in volume:
        _check_efs(name, volume["efsVolumeConfiguration"])
    if "s3filesVolumeConfiguration" in volume:
        config = volume["s3filesVolumeConfiguration"]
        if not document.get("taskRoleArn"):
            raise refuse(
                f"Volume '{name}' is an S3 Files volume: the task definition must have a taskRoleArn."
            )
        _check_root(name, config, config.get("accessPointArn"))
        _check_encryption_port(name, config)


def _check_efs(name: str, config: Document) -> None:
    authorization = config.get("authorizationConfig", {})
    access_point = authorization.get("accessPointId")
    encrypted = config.get("transitEncryption") == "ENABLED"
    if not encrypted and (access_point or authorization.get("iam") == "ENABLED"):
        raise refuse(
            f"Volume '{name}': transitEncryption must be ENABLED when an EFS access point or IAM "
            "authorization is used."
        )
    if not encrypted and config.get("transitEncryptionPort") is not None:
        raise refuse(f"Volume '{name}': transitEncryptionPort needs transitEncryption ENABLED.")
    _check_encryption_port(name, config)
    _check_root(name, config, access_point)


def _check_encryption_port(name: str, config: Document) -> None:
    if config.get("transitEncryptionPort") is not None:
        check_range(config["transitEncryptionPort"], 1, 65535, f"transitEncryptionPort of volume '{name}'")


def _check_root(name: str, config: Document, access_point: str | None) -> None:
    if access_point and config.get("rootDirectory", "/") != "/":
        raise refuse(
            f"Volume '{name}': with an access point the rootDirectory must be omitted or set to '/'."
        )
