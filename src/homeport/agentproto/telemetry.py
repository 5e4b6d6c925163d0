"""What is peculiar to telemetry: signed frames, and publications in fragments.

Source: reference, sections 6.2 and 6.3, and the recordings.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

import msgspec

from homeport.agentproto.messages import PublishHealthRequest, PublishMetricsRequest, TaskHealth, TaskMetric
from homeport.core.sigv4 import Credentials, sign_headers

FRAGMENT_TASKS_MAX = 10
FRAGMENT_BYTES_MAX = 1 << 20

Part = TypeVar("Part", TaskMetric, TaskHealth)


def upgrade_headers(url: str, *, credentials: Credentials, region: str, now: datetime) -> dict[str, str]:
    """The headers that prove the caller of a connect URL: a signed GET without a body."""
    return _proof(url, body=b"", credentials=credentials, region=region, now=now)


def sign_tcs_frame(json: str, *, url: str, credentials: Credentials, region: str, now: datetime) -> str:
    """A TCS frame as agents write it: signed header block, empty line, JSON."""
    proof = _proof(url, body=json.encode(), credentials=credentials, region=region, now=now)
    lines = [
        f"{label}: {proof[label.lower()]}"
        for label in ("Authorization", "Host", "X-Amz-Date", "X-Amz-Security-Token")
        if label.lower() in proof
    ]
    return "\r\n".join([*lines, "", json])


def _proof(url: str, *, body: bytes, credentials: Credentials, region: str, now: datetime) -> dict[str, str]:
    parts = urlsplit(url)
    return sign_headers(
        credentials,
        method="GET",
        path=parts.path,
        query=parse_qsl(parts.query, keep_blank_values=True),
        headers={"host": parts.netloc},
        body=body,
        region=region,
        service="ecs",
        now=now,
    )


def metric_fragments(frame: PublishMetricsRequest) -> tuple[PublishMetricsRequest, ...]:
    """The publication in frames of at most 10 tasks and 1 MiB; `fin` marks the last."""
    groups = list(_groups(frame.task_metrics)) or [()]
    return tuple(
        msgspec.structs.replace(
            frame,
            task_metrics=group,
            metadata=msgspec.structs.replace(frame.metadata, fin=index == len(groups)),
        )
        for index, group in enumerate(groups, start=1)
    )


def health_fragments(frame: PublishHealthRequest) -> tuple[PublishHealthRequest, ...]:
    """The publication in frames of at most 10 tasks and 1 MiB; `fin` marks the last."""
    groups = list(_groups(frame.tasks)) or [()]
    return tuple(
        msgspec.structs.replace(
            frame, tasks=group, metadata=msgspec.structs.replace(frame.metadata, fin=index == len(groups))
        )
        for index, group in enumerate(groups, start=1)
    )


def _groups(parts: tuple[Part, ...]) -> Iterable[tuple[Part, ...]]:
    group: list[Part] = []
    group_bytes = 0
    for part in parts:
        part_bytes = len(msgspec.json.encode(part)) + 1
        full = len(group) == FRAGMENT_TASKS_MAX or group_bytes + part_bytes > FRAGMENT_BYTES_MAX - 4096
        if group and full:
            yield tuple(group)
            group, group_bytes = [], 0
        group.append(part)
        group_bytes += part_bytes
    if group:
        yield tuple(group)
