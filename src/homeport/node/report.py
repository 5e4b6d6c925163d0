"""What a task's report says. Pure.

Source: SubmitTaskStateChange of the ECS API model, and recordings of the real agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from homeport.agentproto.messages import Task
from homeport.node.fargate import fargate_id, is_fargate
from homeport.node.lifecycle import container
from homeport.node.model import ContainerState, Phase, TaskRules, TaskState, TaskStatus
from homeport.node.names import NETWORK_PAUSE
from homeport.node.networks import attachment_arn
from homeport.node.ports import PortBinding
from homeport.node.progress import task_status

NETWORK_BINDINGS_MAX = 100
"""Source: amazon-ecs-agent; more are folded into ranges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerReport:
    """One container of a report."""

    name: str
    status: TaskStatus
    runtime_id: str = ""
    exit_code: int | None = None
    reason: str = ""
    image_digest: str = ""
    bindings: tuple[PortBinding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReport:
    """One SubmitTaskStateChange, without the cluster."""

    task_arn: str
    status: TaskStatus
    reason: str = ""
    pull_started_at: datetime | None = None
    pull_stopped_at: datetime | None = None
    execution_stopped_at: datetime | None = None
    containers: tuple[ContainerReport, ...] = ()
    attached: tuple[str, ...] = ()
    """ARNs of attachments that are there."""

    @property
    def final(self) -> bool:
        """Whether nothing can follow it."""
        return self.status is TaskStatus.STOPPED


def first_report(arn: str) -> TaskReport:
    """What the control plane knows once it has the acknowledgement: nothing needs to be said."""
    return TaskReport(task_arn=arn, status=TaskStatus.PENDING)


def build_report(task: Task, rules: TaskRules, state: TaskState) -> TaskReport:
    """Everything that can be said about the task now."""
    status = task_status(rules, state)
    containers = (
        _container(task, name, _with_network(rules, state, name))
        for name, rule in rules.containers.items()
        if not rule.internal
    )
    attachment = attachment_arn(task)
    attached = bool(attachment) and container(state, NETWORK_PAUSE).ran
    return TaskReport(
        task_arn=rules.arn,
        status=status,
        reason=state.reason if status is TaskStatus.STOPPED else "",
        pull_started_at=state.pull_started_at,
        pull_stopped_at=state.pull_stopped_at,
        execution_stopped_at=state.execution_stopped_at,
        containers=tuple(c for c in containers if c is not None),
        attached=(attachment,) if attached else (),
    )


def _with_network(rules: TaskRules, state: TaskState, name: str) -> ContainerState:
    """What is known of a container; that its network could not be made is why it never ran."""
    known = container(state, name)
    network = rules.networks.get(name)
    if network is None or known.ran:
        return known
    reason = container(state, network).reason
    return replace(known, reason=reason) if reason else known


def refusal(arn: str, reason: str) -> TaskReport:
    """A task that was never begun."""
    return TaskReport(task_arn=arn, status=TaskStatus.STOPPED, reason=reason[:1024])


def _container(task: Task, name: str, known: ContainerState) -> ContainerReport | None:
    if known.phase is Phase.NONE and not known.reason:
        return None
    status = TaskStatus.PENDING
    if known.phase is Phase.STOPPED:
        status = TaskStatus.STOPPED
    elif known.phase is Phase.RUNNING:
        status = TaskStatus.RUNNING
    published = task.network_mode in {"", "bridge"} and known.ran
    return ContainerReport(
        name=name,
        status=status,
        runtime_id=fargate_id(task, name) if known.docker_id and is_fargate(task) else known.docker_id,
        exit_code=known.exit_code if known.phase is Phase.STOPPED else None,
        reason=known.reason,
        image_digest=known.image_digest,
        bindings=tuple(b for b in known.ports if b.bind_ip != "::") if published else (),
    )


def request_of(report: TaskReport, task: Task | None, cluster: str) -> dict[str, Any]:
    """The report as SubmitTaskStateChange's input; absent members are omitted."""
    request: dict[str, Any] = {
        "cluster": cluster,
        "task": report.task_arn,
        "status": report.status.value,
        "reason": report.reason,
    }
    for member, at in (
        ("pullStartedAt", report.pull_started_at),
        ("pullStoppedAt", report.pull_stopped_at),
        ("executionStoppedAt", report.execution_stopped_at),
    ):
        if at is not None:
            request[member] = round(at.timestamp(), 3)
    ranges = _ranges(task) if task is not None else {}
    if report.attached:
        request["attachments"] = [{"attachmentArn": arn, "status": "ATTACHED"} for arn in report.attached]
    request["containers"] = [_container_member(c, ranges.get(c.name, ())) for c in report.containers]
    return request


def _container_member(report: ContainerReport, ranges: tuple[tuple[int, int, str], ...]) -> dict[str, Any]:
    member: dict[str, Any] = {"containerName": report.name, "status": report.status.value}
    if report.runtime_id:
        member["runtimeId"] = report.runtime_id
    if report.exit_code is not None:
        member["exitCode"] = report.exit_code
    if report.reason:
        member["reason"] = report.reason
    if report.image_digest:
        member["imageDigest"] = report.image_digest
    if report.bindings:
        member["networkBindings"] = network_bindings(report.bindings, ranges)[:NETWORK_BINDINGS_MAX]
    return member


def network_bindings(
    bindings: tuple[PortBinding, ...], ranges: tuple[tuple[int, int, str], ...]
) -> list[dict[str, Any]]:
    """Published ports; those of a `containerPortRange` are one entry with both ranges."""
    members: list[dict[str, Any]] = []
    rest = list(bindings)
    for first, last, protocol in ranges:
        inside = [b for b in rest if first <= b.container_port <= last and b.protocol == protocol]
        if not inside:
            continue
        rest = [b for b in rest if b not in inside]
        for ip in dict.fromkeys(b.bind_ip for b in inside):
            hosts = sorted(b.host_port for b in inside if b.bind_ip == ip)
            members.append(
                {
                    "bindIP": ip,
                    "containerPortRange": f"{first}-{last}",
                    "hostPortRange": f"{hosts[0]}-{hosts[-1]}",
                    "protocol": protocol,
                }
            )
    members += [
        {
            "bindIP": b.bind_ip,
            "containerPort": b.container_port,
            "hostPort": b.host_port,
            "protocol": b.protocol,
        }
        for b in rest
    ]
    return members


def _ranges(task: Task) -> Mapping[str, tuple[tuple[int, int, str], ...]]:
    return {
        c.name: tuple(
            (*port_range(m.container_port_range), m.protocol)
            for m in c.port_mappings
            if m.container_port_range is not None
        )
        for c in task.containers
    }


def port_range(text: str) -> tuple[int, int]:
    """`"8000-8010"` as numbers."""
    first, _, last = text.partition("-")
    return int(first), int(last or first)
