"""The frames of ACS and TCS as frozen values, and their JSON.

The names of members are the wire's (camelCase there, snake_case here).
Unknown members are ignored, as the real agent does. Source: the shapes in
amazon-ecs-agent's ACS and TCS models and recordings of that agent.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def _always(value: T) -> T:
    """A default that is written to the wire nevertheless.

    The real agent reads an absent member as Go's zero value: no `essential`
    is false, no `desiredStatus` is none, no `provider` is an unknown one.
    """
    field: T = msgspec.field(default_factory=lambda: value)
    return field


class Frame(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of everything on the two sockets: absent members are omitted, not null."""


# ---- shared parts -------------------------------------------------------------------------


class RoleCredentials(Frame, frozen=True):
    """Temporary credentials of a task or execution role; `expiration` is RFC 3339."""

    credentials_id: str
    role_arn: str = ""
    access_key_id: str = ""
    secret_access_key: str = ""
    session_token: str = ""
    expiration: str = ""
    credential_scope: str = ""


class PortMapping(Frame, frozen=True):
    """`host_port` 0 asks the agent for a free port of its dynamic range."""

    container_port: int = 0
    host_port: int = 0
    container_port_range: str | None = None
    protocol: str = _always("tcp")


class MountPoint(Frame, frozen=True):
    """A volume of the task inside a container."""

    source_volume: str
    container_path: str
    read_only: bool = False


class VolumeFrom(Frame, frozen=True):
    """All volumes of another container of the task."""

    source_container: str
    read_only: bool = False


class ContainerDependency(Frame, frozen=True):
    """`condition`: START, COMPLETE, SUCCESS or HEALTHY."""

    container_name: str
    condition: str


class EnvironmentFile(Frame, frozen=True):
    """An object with `NAME=VALUE` lines; `value` is its S3 ARN."""

    value: str
    type: str = _always("s3")


class Secret(Frame, frozen=True):
    """A value that the agent fetches with the execution role; `provider`: ssm or asm."""

    name: str
    value_from: str
    region: str = ""
    provider: str = _always("ssm")
    type: str = _always("ENVIRONMENT_VARIABLE")
    target: str = _always("CONTAINER")
    container_path: str = ""


class RegistryAuthentication(Frame, frozen=True):
    """How the agent logs in to an image's registry; `type`: ecr or asm."""

    type: str
    ecr_auth_data: dict[str, Any] | None = None
    asm_auth_data: dict[str, Any] | None = None


class RestartPolicy(Frame, frozen=True):
    """Restart in place; `restart_attempt_period` in seconds."""

    enabled: bool = False
    ignored_exit_codes: tuple[int, ...] = ()
    restart_attempt_period: int = _always(300)


class DockerConfig(Frame, frozen=True):
    """JSON texts of Docker's create-API `Config` and `HostConfig`, laid over the agent's own."""

    version: str = _always("1.24")
    config: str = _always("{}")
    host_config: str = _always("{}")


class FirelensConfiguration(Frame, frozen=True):
    """A log router container; `type`: fluentd or fluentbit."""

    type: str
    options: dict[str, str] = {}


class Container(Frame, frozen=True):
    """One container of a payload's task. `cpu` in shares, `memory` in MiB (hard limit)."""

    name: str
    image: str
    essential: bool = _always(True)
    cpu: int = 0
    memory: int = 0
    command: tuple[str, ...] | None = None
    entry_point: tuple[str, ...] | None = None
    environment: dict[str, str] = {}
    environment_files: tuple[EnvironmentFile, ...] = ()
    links: tuple[str, ...] = ()
    volumes_from: tuple[VolumeFrom, ...] = ()
    mount_points: tuple[MountPoint, ...] = ()
    port_mappings: tuple[PortMapping, ...] = ()
    depends_on: tuple[ContainerDependency, ...] = ()
    start_timeout: int | None = None
    stop_timeout: int | None = None
    secrets: tuple[Secret, ...] = ()
    registry_authentication: RegistryAuthentication | None = None
    logs_auth_strategy: str | None = None
    health_check_type: str | None = None
    restart_policy: RestartPolicy | None = None
    firelens_configuration: FirelensConfiguration | None = None
    overrides: str | None = None
    docker_config: DockerConfig = DockerConfig()
    managed_agents: tuple[dict[str, Any], ...] = ()
    container_arn: str = ""


class HostVolume(Frame, frozen=True):
    """A path on the instance; empty: a volume that lives as long as the task."""

    source_path: str = ""


class DockerVolume(Frame, frozen=True):
    """`scope`: task or shared."""

    scope: str = _always("task")
    autoprovision: bool = False
    driver: str = _always("local")
    driver_opts: dict[str, str] = {}
    labels: dict[str, str] = {}


class Volume(Frame, frozen=True):
    """`type`: host, docker or efs; a host volume carries `host` even when it is empty."""

    name: str
    type: str = _always("host")
    host: HostVolume | None = None
    docker_volume_configuration: DockerVolume | None = None
    efs_volume_configuration: dict[str, Any] | None = None


class Association(Frame, frozen=True):
    """Devices given to containers; `type`: gpu."""

    name: str
    type: str
    containers: tuple[str, ...] = ()
    content: dict[str, str] = {}


class Task(Frame, frozen=True):
    """One task of a payload. `cpu` in vCPUs, `memory` in MiB: limits of the whole task.

    A stop needs only `arn` and `desired_status`.
    """

    arn: str
    desired_status: str = _always("RUNNING")
    task_cluster_arn: str = ""
    family: str = ""
    version: str = ""
    service_name: str = ""
    group: str = ""
    zone: str = ""
    task_definition_account_id: str = ""
    launch_type: str = _always("EC2")
    network_mode: str = _always("bridge")
    cpu: float | None = None
    memory: int | None = None
    pid_mode: str = ""
    ipc_mode: str = ""
    containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    role_credentials: RoleCredentials | None = None
    execution_role_credentials: RoleCredentials | None = None
    elastic_network_interfaces: tuple[dict[str, Any], ...] = ()
    proxy_configuration: dict[str, Any] | None = None
    associations: tuple[Association, ...] = ()
    attachments: tuple[dict[str, Any], ...] = ()
    overrides: str | None = None


class TaskIdentifier(Frame, frozen=True):
    """A task as a manifest names it."""

    task_arn: str
    task_cluster_arn: str = ""
    desired_status: str = _always("RUNNING")


# ---- ACS: server to agent -----------------------------------------------------------------


class HeartbeatMessage(Frame, frozen=True, omit_defaults=False):
    """Both sockets; TCS's has no message id."""

    healthy: bool = True
    message_id: str = ""


class PayloadMessage(Frame, frozen=True):
    """Tasks to start or stop. `generated_at` in epoch milliseconds."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str
    generated_at: int = 0
    seq_num: int = 0
    timeline: int = 0
    tasks: tuple[Task, ...] = ()


class IAMRoleCredentialsMessage(Frame, frozen=True):
    """Fresh credentials of a running task; `role_type`: TaskApplication or TaskExecution."""

    message_id: str
    task_arn: str
    role_type: str
    role_credentials: RoleCredentials
    task_cluster_arn: str = ""


class TaskManifestMessage(Frame, frozen=True):
    """Everything that the control plane believes to be on the instance."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str
    generated_at: int = 0
    timeline: int = 0
    tasks: tuple[TaskIdentifier, ...] = ()


class TaskStopVerificationAck(Frame, frozen=True):
    """Which stop candidates to stop; `message_id` is the manifest's."""

    message_id: str
    generated_at: int = 0
    stop_tasks: tuple[TaskIdentifier, ...] = ()


class AttachTaskNetworkInterfacesMessage(Frame, frozen=True):
    """An ENI that the agent should wait for."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str
    task_arn: str = ""
    task_cluster_arn: str = ""
    generated_at: int = 0
    wait_timeout_ms: int = 0
    elastic_network_interfaces: tuple[dict[str, Any], ...] = ()


class AttachInstanceNetworkInterfacesMessage(Frame, frozen=True):
    """As for a task, without one."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str
    generated_at: int = 0
    wait_timeout_ms: int = 0
    elastic_network_interfaces: tuple[dict[str, Any], ...] = ()


class ConfirmAttachmentMessage(Frame, frozen=True):
    """A volume that the agent should wait for."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str
    task_arn: str = ""
    task_cluster_arn: str = ""
    generated_at: int = 0
    wait_timeout_ms: int = _always(300_000)
    attachment: dict[str, Any] = {}


class UpdateInfo(Frame, frozen=True):
    """Where an agent's new version is; `signature` is its SHA-256."""

    location: str = ""
    signature: str = ""


class StageUpdateMessage(Frame, frozen=True):
    """Download an update."""

    message_id: str
    cluster_arn: str = ""
    container_instance_arn: str = ""
    update_info: UpdateInfo = UpdateInfo()


class PerformUpdateMessage(Frame, frozen=True):
    """Restart into the staged update."""

    message_id: str
    cluster_arn: str = ""
    container_instance_arn: str = ""
    update_info: UpdateInfo = UpdateInfo()


class CloseMessage(Frame, frozen=True):
    """Informational; a server closes the socket itself."""

    message: str = ""


class ErrorMessage(Frame, frozen=True):
    """Informational."""

    message: str = ""


# ---- ACS: agent to server -----------------------------------------------------------------


class HeartbeatAckRequest(Frame, frozen=True):
    """The answer to a heartbeat."""

    message_id: str


class AckRequest(Frame, frozen=True):
    """A message was taken; cluster and instance echo the message's."""

    message_id: str
    cluster: str = ""
    container_instance: str = ""


class NackRequest(Frame, frozen=True):
    """A message was refused."""

    message_id: str
    cluster: str = ""
    container_instance: str = ""
    reason: str = ""


class IAMRoleCredentialsAckRequest(Frame, frozen=True):
    """One set of credentials was stored."""

    message_id: str
    credentials_id: str = ""
    expiration: str = ""


class TaskStopVerificationMessage(Frame, frozen=True):
    """Tasks that the agent runs and the manifest does not know."""

    message_id: str
    stop_candidates: tuple[TaskIdentifier, ...] = ()


# ---- TCS ----------------------------------------------------------------------------------


class MetricsMetadata(Frame, frozen=True):
    """`fin` is true on the last frame that shares a message id."""

    cluster: str = ""
    container_instance: str = ""
    idle: bool | None = None
    fin: bool | None = None
    message_id: str = ""
    request_id: str = ""


class StatsSet(Frame, frozen=True, omit_defaults=False):
    """A statistic over one publishing interval."""

    min: float = 0
    max: float = 0
    sample_count: int = 0
    sum: float = 0


class ContainerMetric(Frame, frozen=True):
    """CPU in percent of the whole host, memory in MiB."""

    container_name: str
    cpu_stats_set: StatsSet | None = None
    memory_stats_set: StatsSet | None = None
    network_stats_set: dict[str, Any] | None = None
    storage_stats_set: dict[str, Any] | None = None
    restart_stats_set: dict[str, Any] | None = None


class TaskMetric(Frame, frozen=True):
    """One task's containers."""

    task_arn: str
    task_definition_family: str = ""
    task_definition_version: str = ""
    container_metrics: tuple[ContainerMetric, ...] = ()


class PublishMetricsRequest(Frame, frozen=True):
    """Every 20 s. `timestamp` in epoch seconds."""

    metadata: MetricsMetadata = MetricsMetadata()
    timestamp: float = 0
    task_metrics: tuple[TaskMetric, ...] = ()


class ContainerHealth(Frame, frozen=True):
    """`health_status`: HEALTHY, UNHEALTHY or UNKNOWN; `status_since` in epoch seconds."""

    container_name: str
    health_status: str
    status_since: float = 0
    status_message: str = ""


class TaskHealth(Frame, frozen=True):
    """One task's health: the only channel that carries it."""

    task_arn: str
    task_definition_family: str = ""
    task_definition_version: str = ""
    containers: tuple[ContainerHealth, ...] = ()


class PublishHealthRequest(Frame, frozen=True):
    """Sent while any container has a health check."""

    metadata: MetricsMetadata = MetricsMetadata()
    timestamp: float = 0
    tasks: tuple[TaskHealth, ...] = ()


class InstanceStatus(Frame, frozen=True):
    """`type`: ContainerRuntime; `status`: OK, IMPAIRED, INSUFFICIENT_DATA or INITIALIZING."""

    type: str
    status: str
    last_updated: float = 0
    last_status_change: float = 0


class PublishInstanceStatusRequest(Frame, frozen=True):
    """Sent after an ACS heartbeat."""

    metadata: MetricsMetadata = MetricsMetadata()
    timestamp: float = 0
    statuses: tuple[InstanceStatus, ...] = ()


class AckPublishMetric(Frame, frozen=True):
    """Metrics were taken."""

    message: str = ""


class AckPublishHealth(Frame, frozen=True):
    """Health was taken."""

    message: str = ""


class AckPublishInstanceStatus(Frame, frozen=True):
    """Instance status was taken."""

    message: str = ""


class StopTelemetrySessionMessage(Frame, frozen=True):
    """Informational."""

    message: str = ""


FRAME_TYPES: dict[str, type[Frame]] = {
    kind.__name__: kind
    for kind in (
        HeartbeatMessage,
        PayloadMessage,
        IAMRoleCredentialsMessage,
        TaskManifestMessage,
        TaskStopVerificationAck,
        AttachTaskNetworkInterfacesMessage,
        AttachInstanceNetworkInterfacesMessage,
        ConfirmAttachmentMessage,
        StageUpdateMessage,
        PerformUpdateMessage,
        CloseMessage,
        ErrorMessage,
        HeartbeatAckRequest,
        AckRequest,
        NackRequest,
        IAMRoleCredentialsAckRequest,
        TaskStopVerificationMessage,
        PublishMetricsRequest,
        PublishHealthRequest,
        PublishInstanceStatusRequest,
        AckPublishMetric,
        AckPublishHealth,
        AckPublishInstanceStatus,
        StopTelemetrySessionMessage,
    )
}


class UndecodableFrameError(ValueError):
    """The text is not a frame of a known type; the real agent drops such frames."""


class _Envelope(msgspec.Struct, frozen=True):
    type: str
    message: msgspec.Raw = msgspec.Raw(b"{}")


_ENVELOPES = msgspec.json.Decoder(_Envelope)
_DECODERS = {name: msgspec.json.Decoder(kind) for name, kind in FRAME_TYPES.items()}
_ENCODER = msgspec.json.Encoder()


def decode_frame(text: str | bytes) -> Frame:
    """Raise `UndecodableFrameError` for anything that is not a known frame."""
    try:
        envelope = _ENVELOPES.decode(text)
        return _DECODERS[envelope.type].decode(envelope.message)
    except (msgspec.DecodeError, KeyError, RecursionError) as error:
        raise UndecodableFrameError(str(error)) from error


def encode_frame(frame: Frame) -> str:
    """The frame in its envelope `{"type": ..., "message": {...}}`."""
    body = _ENCODER.encode(frame)
    return f'{{"type":"{type(frame).__name__}","message":{body.decode()}}}'
