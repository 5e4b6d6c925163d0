"""What an agent tells the ECS API: the requests it makes, as values, with their wire names.

Both ends use these: a node builds them with `to_request`, the control plane reads
them with the `read_...` functions from parsed parameters. Instants are aware
datetimes here and epoch seconds with three decimals on the wire; a reader
takes either. Source: reference, sections 3.1 and 7, and the recordings.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

REASON_CHARACTERS_MAX = 1024


class UnreadableReportError(ValueError):
    """The parameters are not such a request; validation should have refused them before."""


class Report(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of all requests and their parts: absent members are omitted."""


R = TypeVar("R", bound=Report)


class NetworkBinding(Report, frozen=True):
    """A published port, or a published range `low-high`."""

    bind_ip: str = msgspec.field(name="bindIP", default="")
    container_port: int | None = None
    host_port: int | None = None
    protocol: str = ""
    container_port_range: str | None = None
    host_port_range: str | None = None


class ContainerReport(Report, frozen=True):
    """One transition of one container; `exit_code` may come with RUNNING already."""

    container_name: str
    status: str
    runtime_id: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    image_digest: str | None = None
    network_bindings: tuple[NetworkBinding, ...] = ()


class ManagedAgentReport(Report, frozen=True):
    """The state of the agent that serves ECS Exec in one container."""

    managed_agent_name: str
    container_name: str
    status: str
    reason: str | None = None


class AttachmentReport(Report, frozen=True):
    """`status`: ATTACHED."""

    attachment_arn: str
    status: str


class TaskStateChange(Report, frozen=True):
    """SubmitTaskStateChange. `status`: PENDING, RUNNING or STOPPED.

    Containers are applied in the order given, and one may appear twice. The
    attachment form has neither status nor containers.
    """

    task: str
    cluster: str = ""
    status: str | None = None
    reason: str | None = None
    pull_started_at: datetime | None = None
    pull_stopped_at: datetime | None = None
    execution_stopped_at: datetime | None = None
    containers: tuple[ContainerReport, ...] = ()
    managed_agents: tuple[ManagedAgentReport, ...] = ()
    attachments: tuple[AttachmentReport, ...] = ()


class AttachmentStateChanges(Report, frozen=True):
    """SubmitAttachmentStateChanges: instance interfaces and volumes."""

    attachments: tuple[AttachmentReport, ...]
    cluster: str = ""


class Attribute(Report, frozen=True):
    """A capability has no value; absent and empty are the same."""

    name: str
    value: str | None = None


class Resource(Report, frozen=True):
    """CPU (shares), MEMORY (MiB), PORTS or PORTS_UDP (reserved ports)."""

    name: str
    type: str
    integer_value: int | None = None
    string_set_value: tuple[str, ...] | None = None


class Tag(Report, frozen=True):
    """A resource tag."""

    key: str
    value: str = ""


class PlatformDevice(Report, frozen=True):
    """A device that tasks can be given; `type`: GPU."""

    id: str
    type: str


class VersionInfo(Report, frozen=True):
    """Agents say this on ACS; the API knows it at registration, too."""

    agent_version: str = ""
    agent_hash: str = ""
    docker_version: str = ""


class Registration(Report, frozen=True):
    """RegisterContainerInstance. With an ARN it updates an instance that registered before."""

    cluster: str = ""
    container_instance_arn: str | None = None
    attributes: tuple[Attribute, ...] = ()
    total_resources: tuple[Resource, ...] = ()
    client_token: str | None = None
    instance_identity_document: str | None = None
    instance_identity_document_signature: str | None = None
    version_info: VersionInfo | None = None
    tags: tuple[Tag, ...] = ()
    platform_devices: tuple[PlatformDevice, ...] = ()


def instance_resources(
    *,
    cpu_units: int,
    memory_mib: int,
    reserved_tcp: tuple[int, ...] = (),
    reserved_udp: tuple[int, ...] = (),
) -> tuple[Resource, ...]:
    """The `totalResources` of an instance, in the real agent's order."""
    return (
        Resource(name="CPU", type="INTEGER", integer_value=cpu_units),
        Resource(name="MEMORY", type="INTEGER", integer_value=memory_mib),
        Resource(name="PORTS", type="STRINGSET", string_set_value=tuple(map(str, reserved_tcp))),
        Resource(name="PORTS_UDP", type="STRINGSET", string_set_value=tuple(map(str, reserved_udp))),
    )


def truncated(reason: str) -> str:
    """A reason that the API takes."""
    return reason[:REASON_CHARACTERS_MAX]


def to_request(report: Report) -> dict[str, Any]:
    """The request's JSON members; instants as epoch seconds with three decimals."""
    members: dict[str, Any] = _plain(msgspec.to_builtins(report, builtin_types=(datetime,)))
    return members


def read_task_state_change(parameters: Mapping[str, Any]) -> TaskStateChange:
    """Raise `UnreadableReportError` when it is not one."""
    return _read(parameters, TaskStateChange)


def read_attachment_state_changes(parameters: Mapping[str, Any]) -> AttachmentStateChanges:
    """Raise `UnreadableReportError` when it is not one."""
    return _read(parameters, AttachmentStateChanges)


def read_registration(parameters: Mapping[str, Any]) -> Registration:
    """Raise `UnreadableReportError` when it is not one."""
    return _read(parameters, Registration)


def _read(parameters: Mapping[str, Any], kind: type[R]) -> R:
    try:
        members = {name: _instant(name, value) for name, value in parameters.items()}
        return msgspec.convert(members, kind)
    except (msgspec.ValidationError, OverflowError, OSError, ValueError) as error:
        raise UnreadableReportError(str(error)) from error


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return round(value.timestamp(), 3)
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _instant(name: str, value: Any) -> Any:
    if name.endswith("At") and isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC)
    return value
