"""A task's volumes as Docker volumes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeport.agentproto.messages import Task, Volume
from homeport.node.names import volume_name
from homeport.node.ports import DriverError, VolumeSpec

_NFS_OPTIONS = "nfsvers=4.1,rsize=1048576,wsize=1048576,timeo=600,hard,retrans=2,noresvport"
"""Source: Amazon EFS user guide, "Recommended NFS mount settings"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedVolume:
    """A Docker volume that a task's containers mount.

    `task_scoped`: made for the task and removed with it. `must_exist`: a shared
    volume that is not to be made here.
    """

    spec: VolumeSpec
    task_scoped: bool
    must_exist: bool = False


def render_volumes(task: Task, *, region: str) -> tuple[PlannedVolume, ...]:
    """Docker volumes to have before the first container. Host paths need none.

    Raise `DriverError` for what this node cannot mount.
    """
    planned = (_planned(task, volume, region) for volume in task.volumes)
    return tuple(each for each in planned if each is not None)


def mismatch(wanted: VolumeSpec, found: VolumeSpec) -> str:
    """Why a shared volume that exists is not the one that is asked for; empty: it is.

    Source: ECS developer guide, "Specify a Docker volume in a task definition" (autoprovision).
    """
    differing = [
        name
        for name, ours, theirs in (
            ("driver", wanted.driver, found.driver),
            ("driverOpts", dict(wanted.driver_opts), dict(found.driver_opts)),
            ("labels", dict(wanted.labels), dict(found.labels)),
        )
        if ours != theirs
    ]
    return f"the volume {found.name} exists with another {', '.join(differing)}" if differing else ""


def _planned(task: Task, volume: Volume, region: str) -> PlannedVolume | None:
    name = volume_name(task, volume.name)
    match volume.type:
        case "" | "host":
            if volume.host is not None and volume.host.source_path:
                return None
            return PlannedVolume(spec=VolumeSpec(name=name), task_scoped=True)
        case "docker":
            docker = volume.docker_volume_configuration
            if docker is None:
                return PlannedVolume(spec=VolumeSpec(name=name), task_scoped=True)
            shared = docker.scope == "shared"
            return PlannedVolume(
                spec=VolumeSpec(
                    name=volume.name if shared else name,
                    driver=docker.driver or "local",
                    driver_opts=docker.driver_opts,
                    labels=docker.labels,
                ),
                task_scoped=not shared,
                must_exist=shared and not docker.autoprovision,
            )
        case "efs":
            spec = VolumeSpec(name=name, driver_opts=_nfs(volume.efs_volume_configuration or {}, region))
            return PlannedVolume(spec=spec, task_scoped=True)
        case other:
            raise DriverError("HostConfigError", f"volume type {other} is not supported by this node")


def _nfs(efs: Mapping[str, Any], region: str) -> dict[str, str]:
    if efs.get("transitEncryption") == "ENABLED" or efs.get("authorizationConfig"):
        raise DriverError(
            "HostConfigError", "EFS with transit encryption or authorization is not supported by this node"
        )
    address = f"{efs['fileSystemId']}.efs.{region}.amazonaws.com"
    return {
        "type": "nfs",
        "device": f":{efs.get('rootDirectory') or '/'}",
        "o": f"addr={address},{_NFS_OPTIONS}",
    }
