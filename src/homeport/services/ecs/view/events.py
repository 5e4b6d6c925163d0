"""EventBridge documents. Source: developer guide, "Amazon ECS events" (envelope, details, ISO instants)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from homeport.services.ecs.model import Service, Task
from homeport.services.ecs.model.events import Happening
from homeport.services.ecs.view.networks import attachments_view
from homeport.services.ecs.view.tasks import task_view
from homeport.services.ecs.view.wire import Wire

TASK_STATE = "ECS Task State Change"
INSTANCE_STATE = "ECS Container Instance State Change"

NO_TAGS: frozenset[str] = frozenset()


def iso(at: datetime) -> str:
    """An instant as details have it: UTC, milliseconds."""
    return f"{at.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%S')}.{at.microsecond // 1000:03d}Z"


def plain(value: Any) -> Any:
    """A view as JSON: instants are text here, not the API's numbers."""
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items() if one is not None}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def event_id(*parts: object) -> str:
    """A UUID (version 8) of what makes a document itself: read twice, it is the same."""
    raw = bytearray(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:16])
    raw[6] = (raw[6] & 0x0F) | 0x80
    raw[8] = (raw[8] & 0x3F) | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def document(
    told: Mapping[str, Any], *, event: str, account_id: str, region: str, at: datetime
) -> dict[str, Any]:
    """The envelope. `told`: detail type, resources and detail."""
    return {
        "version": "0",
        "id": event,
        "detail-type": told["detail-type"],
        "source": "aws.ecs",
        "account": account_id,
        "time": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": told["resources"],
        "detail": told["detail"],
    }


def task_told(task: Task, at: datetime) -> Wire:
    """A version of a task."""
    detail = task_view(task, include=NO_TAGS)
    del detail["tags"]
    detail["attachments"] = attachments_view(task, kind="eni")
    return {
        "detail-type": TASK_STATE,
        "resources": [task.arn],
        "detail": plain({**detail, "updatedAt": at}),
    }


def instance_told(view: Wire) -> Wire:
    """A version of a container instance; it is dated when it is read."""
    detail = {key: value for key, value in view.items() if key != "tags"}
    return {
        "detail-type": INSTANCE_STATE,
        "resources": [view["containerInstanceArn"]],
        "detail": plain(detail),
    }


def happening_told(happening: Happening, service: Service) -> Wire:
    """What a service did."""
    detail: Wire = {"eventType": happening.event_type, "eventName": happening.event_name}
    if "deploymentId" in happening.members:
        detail |= {**happening.members, "updatedAt": iso(happening.at)}
    else:
        cluster = f"arn:aws:ecs:{service.region}:{service.account_id}:cluster/{service.cluster_name}"
        detail |= {"clusterArn": cluster, **happening.members, "createdAt": iso(happening.at)}
    return {"detail-type": happening.detail_type, "resources": [service.arn], "detail": detail}
