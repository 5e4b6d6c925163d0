"""What one node is told at its start. `app` builds it; nothing here reads the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from homeport.core.sigv4 import Credentials


class PullBehavior(StrEnum):
    """When an image is pulled. Source: ECS_IMAGE_PULL_BEHAVIOR of the ECS agent."""

    DEFAULT = "default"
    """Always; when that fails, a local image will do."""
    ALWAYS = "always"
    """Always; when that fails, the task fails."""
    ONCE = "once"
    """Unless this node pulled it before."""
    PREFER_CACHED = "prefer-cached"
    """Only if it is not on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageGcSettings:
    """Which images go. Source of the defaults: amazon-ecs-agent, ECS_IMAGE_* variables."""

    enabled: bool = True
    interval_seconds: float = 1800.0
    minimum_age_seconds: float = 3600.0
    images_per_cycle: int = 5
    disk_bytes_max: int | None = None
    """Above it the oldest unused images go whatever their age and number; `None`: no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """One node. Units are in the names; `None` for CPU or memory: the whole machine's."""

    cluster: str = "default"
    cluster_configured: bool = True
    """False: nobody named a cluster, so `default` is made if it is missing."""
    endpoint_url: str
    endpoints: Mapping[str, str] = field(default_factory=dict)
    region: str = "us-east-1"
    credentials: Credentials
    data_dir: Path | None
    """Where the journal lives; `None`: nothing is remembered (tests, hollow nodes)."""
    instance_name: str = ""
    """What tells local nodes on one engine apart: a label on everything that is theirs."""
    availability_zone: str = ""
    ec2_instance_id: str = ""
    instance_type: str = ""
    host_ip: str = "0.0.0.0"  # noqa: S104 - the documented default of a published port
    """Address on which host ports are published."""
    mac_slot: int | None = None
    bridge_metadata: str = "http://169.254.170.2"
    """The metadata endpoint as containers on Docker's bridge reach it."""
    host_metadata: str = ""
    """The same for containers in the host's network namespace; empty: they get none."""
    bridge_imds: str = ""
    """The instance metadata service for containers on the bridge; empty: where SDKs look by themselves."""
    host_imds: str = ""
    """The same for containers in the host's network namespace, where its own address is the machine's."""
    cpu_units: int | None = None
    memory_mib: int | None = None
    reserved_memory_mib: int = 0
    reserved_ports: tuple[int, ...] = (22, 2375, 2376, 51678, 51679)
    reserved_udp_ports: tuple[int, ...] = ()
    gpu_ids: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    """Put on every container, so that an installation finds what it made."""
    external: bool = False
    fargate: bool = False
    """It runs Fargate's tasks: what they write is watched."""
    storage_interval_seconds: float = 10.0
    open_files_max: int = 65_535
    """The most that this machine lets a process of Fargate's have open."""
    task_roles: bool = True
    """The credentials endpoint is reachable from containers."""
    pull_behavior: PullBehavior = PullBehavior.PREFER_CACHED
    pull_dependents_upfront: bool = False
    pull_attempts: int = 5
    stop_timeout_seconds: float = 30.0
    cleanup_wait_seconds: float = 180.0
    """From a task's accepted STOPPED report to the removal of its containers; the ECS agent waits 3 h."""
    dynamic_ports: tuple[int, int] = (49153, 65535)
    inspect_interval_seconds: float = 300.0
    publish_interval_seconds: float = 20.0
    interim_report_seconds: float = 1.0
    """How long a change that does not move the task's status may wait for company."""
    pause_image: str = ""
    """Holds namespaces that a task's containers share; empty: such tasks are refused."""
    images: ImageGcSettings = ImageGcSettings()
    agent_version: str = "1.0.0"
    agent_hash: str = "homeport"
