"""Names that a restarted agent derives again: pure functions of a task and a container."""

from __future__ import annotations

import re
from hashlib import sha256

from homeport.agentproto.messages import Task

PAUSE_CONTAINER = "~internal~ecs~pause~namespace"
"""The agent's own name for the container that holds shared PID and IPC namespaces."""
NETWORK_PAUSE = "~internal~ecs~pause"
"""The agent's own name for the container that holds an awsvpc task's network."""
_INTERNAL = "~internal~"


def task_id(task_arn: str) -> str:
    """The last element of a task's ARN."""
    return task_arn.rsplit("/", 1)[-1]


def _name(task: Task, part: str, kind: str) -> str:
    proof = sha256(f"{kind}\n{task.arn}\n{part}".encode()).hexdigest()[:20]
    clean = re.sub(r"[^A-Za-z0-9-]", "", part)
    return f"ecs-{task.family}-{task.version}-{clean}-{proof}"


def is_internal(container: str) -> bool:
    """Whether the name is of a container of the node's own; no task definition can name one like that."""
    return container.startswith(_INTERNAL)


def sandbox_part(container: str) -> str:
    """The name, within its task, of the holder of one container's network in bridge mode."""
    return f"{_INTERNAL}ecs~sandbox~{container}"


def container_name(task: Task, container: str) -> str:
    """The Docker name of a container: `ecs-<family>-<version>-<name>-<20 hex>`."""
    return _name(task, container, "container")


def volume_name(task: Task, volume: str) -> str:
    """The Docker name of a volume that lives as long as the task."""
    return _name(task, volume, "volume")


def endpoint_id(task_arn: str, container: str) -> str:
    """A container's id in metadata URLs, spelled as a UUID; the same after every restart."""
    text = sha256(f"endpoint\n{task_arn}\n{container}".encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"
