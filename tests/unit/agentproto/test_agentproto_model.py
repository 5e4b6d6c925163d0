"""Our frames against the real agent's own model of them.

Source: tests/data/agent-wire/model.json.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.kit.agent_model import MODEL, faults
from tests.kit.agent_wire import recorded_frames
from tests.kit.task_definitions import FULL, SETTINGS, identity

from homeport.agentproto.messages import (
    FRAME_TYPES,
    Container,
    Frame,
    HeartbeatMessage,
    PayloadMessage,
    RoleCredentials,
    Task,
    Volume,
    encode_frame,
)
from homeport.services.ecs.plan.payload import render_task
from homeport.services.ecs.plan.task_definition import normalise

SHARED = {
    "MetricsMetadata.requestId",
    "HealthMetadata.idle",
    "HealthMetadata.requestId",
    "InstanceStatusMetadata.idle",
    "InstanceStatusMetadata.fin",
    "InstanceStatusMetadata.messageId",
}
"""Our one type of metadata serves three of the agent's; what a frame does not have is not written."""
KINDS = sorted(FRAME_TYPES.values(), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_member_of_a_frame_is_one_of_the_agents(kind: type[Frame]) -> None:
    """A misspelled member would be dropped by the agent without a word."""
    assert set(unknown_members(kind, kind.__name__)) <= SHARED


def unknown_members(kind: type[Frame], shape: str) -> list[str]:
    found = []
    for member in msgspec.structs.fields(kind):
        theirs = MODEL[shape].get(member.encode_name)
        if theirs is None:
            found.append(f"{shape}.{member.encode_name}")
            continue
        inner = frame_inside(member.type)
        if inner is not None:
            found += unknown_members(inner, theirs[0] if isinstance(theirs, list) else theirs)
    return found


def frame_inside(annotation: Any) -> type[Frame] | None:
    """The frame type in `X`, `X | None`, `tuple[X, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Frame):
        return annotation
    inner = (frame_inside(argument) for argument in getattr(annotation, "__args__", ()))
    return next((kind for kind in inner if kind is not None), None)


def test_recorded_frames_of_the_agent_follow_its_model() -> None:
    """The model, and this reading of it, against what was on the wire."""
    wrong = [f for _, frame in recorded_frames("ws-in") for f in faults(frame)]
    assert wrong == []


def test_a_wrong_frame_is_seen() -> None:
    frame = {"type": "PayloadMessage", "message": {"seqNum": "1", "tasks": [{"cpu": True, "nmae": "x"}]}}
    assert [f.partition(":")[0] for f in faults(frame)] == [
        "PayloadMessage.seqNum",
        "PayloadMessage.tasks[0].nmae",
        "PayloadMessage.tasks[0].cpu",
    ]


@pytest.mark.parametrize(
    "frame",
    [
        HeartbeatMessage(message_id="m"),
        PayloadMessage(message_id="m", cluster_arn="c", container_instance_arn="i"),
        PayloadMessage(
            message_id="m",
            cluster_arn="c",
            container_instance_arn="i",
            seq_num=2**40,
            timeline=2**40,
            generated_at=1_800_000_000_000,
            tasks=(
                Task(arn="t", cpu=0.25, memory=64, volumes=(Volume(name="v"),)),
                Task(arn="u", desired_status="STOPPED", containers=(Container(name="c", image="i"),)),
            ),
        ),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_what_we_send_follows_the_model(frame: Frame) -> None:
    assert faults(json.loads(encode_frame(frame))) == []


def test_a_definition_with_every_member_renders_to_what_the_agent_reads() -> None:
    credentials = RoleCredentials(credentials_id="c", expiration="2030-01-01T00:00:00Z")
    task = render_task(
        td=normalise(FULL, settings=SETTINGS),
        overrides=None,
        task=identity(gpu_ids={"web": ("GPU-1",)}),
        role_credentials=credentials,
        execution_role_credentials=credentials,
    )
    payload = PayloadMessage(message_id="m", cluster_arn="c", container_instance_arn="i", tasks=(task,))
    assert faults(json.loads(encode_frame(payload))) == []
