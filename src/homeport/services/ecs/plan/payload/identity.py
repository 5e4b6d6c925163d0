"""Who a task is, apart from its definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskIdentity:
    """A placed task.

    `container_arns` and `gpu_ids` are by container name; `revision` is the task
    definition's. `log_mode` is the account's default delivery mode of log drivers
    (`blocking` or `non-blocking`), for containers that choose a driver and no mode.
    """

    arn: str
    cluster_arn: str
    revision: int
    account_id: str
    group: str
    region: str
    availability_zone: str = ""
    service_name: str = ""
    launch_type: str = "EC2"
    container_arns: Mapping[str, str] = field(default_factory=dict)
    gpu_ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    log_mode: str = "non-blocking"
    interfaces: tuple[Mapping[str, Any], ...] = ()
    """The network interfaces of an awsvpc task, as the agent protocol has them."""
    storage_gib: int | None = None
    """Of Fargate: what its containers may write where the definition does not say."""

    @property
    def task_id(self) -> str:
        """The last part of the ARN."""
        return self.arn.rpartition("/")[2]
