"""What a task of Fargate is told and shows differently. Pure.

Sources: developer guide, "Task metadata available for Amazon ECS tasks on Fargate" (ids, names, the cluster
as an ARN, EphemeralStorageMetrics); "Fargate task ephemeral storage".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from homeport.agentproto.messages import Task
from homeport.node.names import endpoint_id, task_id

EPHEMERAL_STORAGE = "homeport.ephemeral-storage"
"""The attachment that says how much a task's containers may write."""
_DIGITS = 10
GIBIBYTE = 1 << 30
FARGATE_OPEN_FILES = 65_535
"""Source: developer guide, "Task definition differences for Fargate", resource limits."""


def is_fargate(task: Task) -> bool:
    """Whether it runs on capacity that nobody manages."""
    return task.launch_type == "FARGATE"


def fargate_id(task: Task, container: str) -> str:
    """A container's id there: the task's, a dash and ten digits, which are the same after every restart."""
    number = int(sha256(f"fargate\n{task.arn}\n{container}".encode()).hexdigest(), 16) % 10**_DIGITS
    return f"{task_id(task.arn)}-{number:0{_DIGITS}d}"


def metadata_id(task: Task, container: str) -> str:
    """A container's id in metadata URLs."""
    return fargate_id(task, container) if is_fargate(task) else endpoint_id(task.arn, container)


def storage_bytes(task: Task) -> int | None:
    """How much its containers may write; `None`: nobody said."""
    for attachment in task.attachments:
        if attachment.get("attachmentType") != EPHEMERAL_STORAGE:
            continue
        for member in attachment.get("attachmentProperties") or ():
            if member.get("name") == "sizeInGiB":
                return int(member["value"]) * GIBIBYTE
    return None


def with_open_files(limits: Iterable[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    """Docker's limits with Fargate's default of open files, where nothing else was asked for.

    `most`: what this machine lets anybody have.
    """
    given = list(limits)
    if any(limit.get("Name") == "nofile" for limit in given):
        return given
    files = min(FARGATE_OPEN_FILES, most)
    return [*given, {"Name": "nofile", "Soft": files, "Hard": files}]
