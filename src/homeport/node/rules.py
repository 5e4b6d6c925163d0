"""From a payload's task to the rules that the engine honours, or a clear refusal.

What this node does not do is refused here, in one place, before anything starts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from homeport.agentproto.messages import Container, Task
from homeport.node.fargate import EPHEMERAL_STORAGE, is_fargate
from homeport.node.model import Condition, ContainerRule, Dependency, Restarts, TaskRules
from homeport.node.names import PAUSE_CONTAINER
from homeport.node.networks import MalformedInterfaceError, interface_of, is_awsvpc, with_sandboxes
from homeport.node.render import needs_pause

DEFAULT_STOP_TIMEOUT_SECONDS = 30.0
"""Source: amazon-ecs-agent, ECS_CONTAINER_STOP_TIMEOUT."""

VOLUME_TYPES = frozenset({"host", "docker", "efs"})
NETWORK_MODES = frozenset({"", "bridge", "host", "none", "awsvpc"})


class MalformedTaskError(Exception):
    """The task cannot be run as it was sent; the text becomes its `reason`."""


def task_rules(
    task: Task,
    *,
    stop_timeout_seconds: float = DEFAULT_STOP_TIMEOUT_SECONDS,
    pause_available: bool = False,
    sandboxed: bool = False,
) -> TaskRules:
    """Raise `MalformedTaskError` when the task contradicts itself or asks for what we lack.

    A task with shared namespaces gets containers of the node's own that hold
    them: they start first and stop last. `sandboxed`: so do networks.
    """
    if not task.containers:
        raise MalformedTaskError("it has no containers")
    names = [container.name for container in task.containers]
    if len(set(names)) != len(names):
        raise MalformedTaskError("two of its containers have the same name")
    _check_task(task)
    _check_network(task, sandboxed=sandboxed)
    if needs_pause(task) and not pause_available:
        raise MalformedTaskError("this node has no image to hold namespaces that a task's containers share")
    containers = {
        container.name: _container_rule(container, frozenset(names), stop_timeout_seconds)
        for container in task.containers
    }
    _refuse_cycles(containers)
    if needs_pause(task):
        containers = _with_pause(containers)
    networks: Mapping[str, str] = {}
    if sandboxed:
        containers, networks = with_sandboxes(task, containers)
    dependents = {
        name: tuple(o.name for o in containers.values() if any(d.container == name for d in o.depends_on))
        for name in containers
    }
    return TaskRules(arn=task.arn, containers=containers, dependents=dependents, networks=networks)


def host_config(container: Container) -> Mapping[str, Any]:
    """The container's Docker HostConfig as the control plane rendered it."""
    return _json_object(container, container.docker_config.host_config, "hostConfig")


def _with_pause(containers: Mapping[str, ContainerRule]) -> dict[str, ContainerRule]:
    held = Dependency(container=PAUSE_CONTAINER, condition=Condition.START)
    pause = ContainerRule(name=PAUSE_CONTAINER, essential=True, internal=True, stop_timeout_seconds=1.0)
    return {PAUSE_CONTAINER: pause} | {
        name: replace(rule, depends_on=(held, *rule.depends_on)) for name, rule in containers.items()
    }


def _json_object(container: Container, text: str, what: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise MalformedTaskError(f"container {container.name}: {what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise MalformedTaskError(f"container {container.name}: {what} is not an object")
    return value


def _check_task(task: Task) -> None:
    if task.desired_status not in {"RUNNING", "STOPPED"}:
        raise MalformedTaskError(f"desired status {task.desired_status!r} is neither RUNNING nor STOPPED")
    if task.network_mode not in NETWORK_MODES:
        raise MalformedTaskError(f"network mode {task.network_mode} is not supported by this node")
    if task.pid_mode not in {"", "host", "task"} or task.ipc_mode not in {"", "host", "task", "none"}:
        raise MalformedTaskError(f"unknown pidMode {task.pid_mode!r} or ipcMode {task.ipc_mode!r}")
    if task.proxy_configuration:
        raise MalformedTaskError("a proxy configuration is not supported by this node")
    known = {EPHEMERAL_STORAGE} if is_fargate(task) else set()
    if kinds := {a.get("attachmentType", "") for a in task.attachments} - known:
        raise MalformedTaskError(f"attachments ({', '.join(sorted(kinds))}) are not supported by this node")
    if kinds := {a.type for a in task.associations} - {"gpu"}:
        raise MalformedTaskError(f"associations ({', '.join(sorted(kinds))}) are not supported by this node")
    _check_volumes(task)


def _check_network(task: Task, *, sandboxed: bool) -> None:
    if not is_awsvpc(task):
        return
    if not sandboxed:
        raise MalformedTaskError("network mode awsvpc is not supported by this node")
    try:
        interface_of(task)
    except MalformedInterfaceError as error:
        raise MalformedTaskError(str(error)) from error


def _check_volumes(task: Task) -> None:
    for volume in task.volumes:
        if volume.type not in VOLUME_TYPES:
            raise MalformedTaskError(
                f"volume {volume.name}: type {volume.type} is not supported by this node"
            )
        if volume.type == "host" and volume.host is None:
            raise MalformedTaskError(f"volume {volume.name}: a host volume carries `host`")
        if volume.type == "efs":
            efs = volume.efs_volume_configuration or {}
            if not efs.get("fileSystemId"):
                raise MalformedTaskError(f"volume {volume.name}: no fileSystemId")
            if efs.get("transitEncryption") == "ENABLED" or efs.get("authorizationConfig"):
                raise MalformedTaskError(
                    f"volume {volume.name}: EFS with transit encryption or authorization is not supported"
                )
    known = {volume.name for volume in task.volumes}
    for container in task.containers:
        for mount in container.mount_points:
            if mount.source_volume not in known:
                raise MalformedTaskError(
                    f"container {container.name}: volume {mount.source_volume} is not one of the task's"
                )


def _container_rule(container: Container, names: frozenset[str], stop_timeout: float) -> ContainerRule:
    _check_container(container)
    host_config(container)
    dependencies: list[Dependency] = []
    for asked in container.depends_on:
        try:
            condition = Condition(asked.condition)
        except ValueError as error:
            raise MalformedTaskError(
                f"container {container.name}: unknown dependency condition {asked.condition!r}"
            ) from error
        dependencies.append(Dependency(container=asked.container_name, condition=condition))
    dependencies += [
        Dependency(container=source.source_container, condition=Condition.CREATE)
        for source in container.volumes_from
    ]
    dependencies += [
        Dependency(container=link.split(":", 1)[0], condition=Condition.START) for link in container.links
    ]
    for dependency in dependencies:
        if dependency.container not in names:
            raise MalformedTaskError(
                f"container {container.name} depends on {dependency.container}, which is not in the task"
            )
    policy = container.restart_policy
    return ContainerRule(
        name=container.name,
        essential=container.essential,
        depends_on=tuple(dict.fromkeys(dependencies)),
        start_timeout_seconds=container.start_timeout or None,
        stop_timeout_seconds=container.stop_timeout or stop_timeout,
        restarts=Restarts(
            period_seconds=policy.restart_attempt_period,
            ignored_exit_codes=frozenset(policy.ignored_exit_codes),
        )
        if policy is not None and policy.enabled
        else None,
        health_checked=container.health_check_type == "docker",
    )


def _check_container(container: Container) -> None:
    _json_object(container, container.docker_config.config, "config")
    if container.firelens_configuration is not None:
        raise MalformedTaskError(f"container {container.name}: FireLens is not supported by this node")
    if container.managed_agents:
        raise MalformedTaskError(f"container {container.name}: managed agents are not supported by this node")
    for secret in container.secrets:
        if secret.provider not in {"ssm", "asm"}:
            raise MalformedTaskError(
                f"container {container.name}: unknown secret provider {secret.provider!r}"
            )
        if secret.type != "ENVIRONMENT_VARIABLE" or secret.target not in {"CONTAINER", "LOG_DRIVER"}:
            raise MalformedTaskError(
                f"container {container.name}: secret {secret.name}: {secret.type} is not supported"
            )
    authentication = container.registry_authentication
    if authentication is not None and authentication.type not in {"ecr", "asm"}:
        raise MalformedTaskError(
            f"container {container.name}: unknown registry authentication {authentication.type!r}"
        )


def _refuse_cycles(containers: Mapping[str, ContainerRule]) -> None:
    done: set[str] = set()
    while len(done) < len(containers):
        free = [
            rule.name
            for rule in containers.values()
            if rule.name not in done and all(d.container in done for d in rule.depends_on)
        ]
        if not free:
            raise MalformedTaskError("Task dependencies cannot be resolved: they form a circle")
        done.update(free)
