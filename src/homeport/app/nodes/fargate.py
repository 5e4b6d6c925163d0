"""The machine's hidden instance, which runs Fargate's tasks.

It has the whole machine, as the instances that are seen have it among them: what a task of Fargate may use is
limited by its own size, and nothing is kept free for either. No instance metadata service is reached from it.
"""

from __future__ import annotations

import resource
from pathlib import Path

from homeport.core.sigv4 import Credentials
from homeport.node.ports import EngineInfo
from homeport.node.sandbox import layout
from homeport.node.settings import NodeSettings
from homeport.services.ecs.manifest import FLEET

FARGATE_NAME = "fargate"
FARGATE_INDEX = layout.BLOCKS - 1
"""The block of inner addresses that no instance that is seen has."""
_RESERVED_MIB = 128
_MEBIBYTE = 1 << 20


def fargate_settings(
    info: EngineInfo,
    *,
    installation_id: str,
    endpoint: str,
    region: str,
    credentials: Credentials,
    data_dir: Path,
) -> NodeSettings:
    """What its agent is told."""
    return NodeSettings(
        cluster=FLEET,
        endpoint_url=endpoint,
        region=region,
        credentials=credentials,
        data_dir=data_dir,
        instance_name=FARGATE_NAME,
        ec2_instance_id=f"fargate-{installation_id}",
        availability_zone=f"{region}a",  # an identity has one; tasks are where their subnets are
        cpu_units=info.cpus * 1024,
        memory_mib=info.memory_bytes // _MEBIBYTE - _RESERVED_MIB,
        fargate=True,
        open_files_max=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
    )


def registered_event(settings: NodeSettings) -> str:
    """How it is told that an agent is in: people are not told of this one's instance."""
    return "fargate.registered" if settings.fargate else "node.registered"
