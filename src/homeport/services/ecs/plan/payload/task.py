"""A task of a definition as the payload's task."""

from __future__ import annotations

from typing import Any

from homeport.agentproto.messages import Association, DockerVolume, HostVolume, RoleCredentials, Task, Volume
from homeport.services.ecs.plan.overrides import Overrides, effective
from homeport.services.ecs.plan.payload.container import render_container
from homeport.services.ecs.plan.payload.identity import TaskIdentity
from homeport.services.ecs.plan.task_definition.settings import Document
from homeport.services.ecs.plan.task_definition.volumes import kind_of

EPHEMERAL_STORAGE = "homeport.ephemeral-storage"
"""An attachment of our own: Fargate's agent is Amazon's own, and nobody has seen what it is told."""


def render_task(
    *,
    td: Document,
    overrides: Overrides | None,
    task: TaskIdentity,
    role_credentials: RoleCredentials | None = None,
    execution_role_credentials: RoleCredentials | None = None,
) -> Task:
    """The task to run. The definition must be one that `unsupported_at_run` lets pass."""
    merged = effective(td, overrides)
    cpu, memory = merged.get("cpu"), merged.get("memory")
    return Task(
        arn=task.arn,
        desired_status="RUNNING",
        task_cluster_arn=task.cluster_arn,
        family=merged["family"],
        version=str(task.revision),
        service_name=task.service_name,
        group=task.group,
        zone=task.availability_zone,
        task_definition_account_id=task.account_id,
        launch_type=task.launch_type,
        network_mode=merged["networkMode"],
        cpu=int(cpu) / 1024 if cpu else None,
        memory=int(memory) if memory else None,
        pid_mode=merged.get("pidMode", ""),
        ipc_mode=merged.get("ipcMode", ""),
        containers=tuple(render_container(merged, c, task) for c in merged["containerDefinitions"]),
        volumes=tuple(_volume(volume) for volume in merged["volumes"]),
        attachments=_storage(merged, task),
        role_credentials=role_credentials,
        execution_role_credentials=execution_role_credentials,
        elastic_network_interfaces=tuple(dict(each) for each in task.interfaces),
        proxy_configuration=_proxy(merged.get("proxyConfiguration")),
        associations=tuple(
            Association(name=gpu, type="gpu", containers=(container,))
            for container, gpus in task.gpu_ids.items()
            for gpu in gpus
        ),
    )


def render_stop(arn: str) -> Task:
    """All that an agent needs to stop a task."""
    return Task(arn=arn, desired_status="STOPPED")


def _volume(volume: Document) -> Volume:
    kind = kind_of(volume)
    if kind == "host":
        # The agent rejects a host volume without `host`, even an empty one.
        source = volume.get("host", {}).get("sourcePath", "")
        return Volume(name=volume["name"], type="host", host=HostVolume(source_path=source))
    if kind == "dockerVolumeConfiguration":
        config = volume[kind]
        docker = DockerVolume(
            scope=config["scope"],
            autoprovision=config.get("autoprovision", False),
            driver=config["driver"],
            driver_opts=config.get("driverOpts", {}),
            labels=config.get("labels", {}),
        )
        return Volume(name=volume["name"], type="docker", docker_volume_configuration=docker)
    if kind == "efsVolumeConfiguration":
        return Volume(name=volume["name"], type="efs", efs_volume_configuration=dict(volume[kind]))
    raise ValueError(f"volume {volume['name']} of kind {kind} cannot be rendered")


def _storage(merged: Document, task: TaskIdentity) -> tuple[dict[str, Any], ...]:
    """How much its containers may write, for the agents that see to it: those of Fargate."""
    asked = (merged.get("ephemeralStorage") or {}).get("sizeInGiB") or task.storage_gib
    if asked is None:
        return ()
    size = {"name": "sizeInGiB", "value": str(asked)}
    return ({"attachmentType": EPHEMERAL_STORAGE, "attachmentProperties": [size]},)


def _proxy(configuration: Document | None) -> dict[str, Any] | None:
    if configuration is None:
        return None
    return {
        "type": configuration.get("type", "APPMESH"),
        "containerName": configuration["containerName"],
        "properties": {p.get("name", ""): p.get("value", "") for p in configuration.get("properties", ())},
    }
