"""The server's machines. Source: reference, sections 4 to 6."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kit.agent_wire import ANY_TEXT

from homeport.agentproto.effects import CloseSocket, Deliver, Dropped, SendFrame, ServerEffect
from homeport.agentproto.messages import (
    AckPublishMetric,
    AckRequest,
    Frame,
    HeartbeatAckRequest,
    HeartbeatMessage,
    MetricsMetadata,
    PayloadMessage,
    PublishHealthRequest,
    PublishMetricsRequest,
    TaskHealth,
    TaskMetric,
    encode_frame,
)
from homeport.agentproto.server import (
    GROUP_TASKS_MAX,
    OPEN_GROUPS_MAX,
    AcsServer,
    TcsServer,
    split_tcs,
)
from homeport.agentproto.telemetry import health_fragments, metric_fragments


def acs_server(**more: object) -> AcsServer:
    ids = itertools.count(1)
    return AcsServer(now=0.0, message_id=lambda: f"h-{next(ids)}", **more)  # type: ignore[arg-type]


def sent(effects: tuple[ServerEffect, ...]) -> list[Frame]:
    return [e.frame for e in effects if isinstance(e, SendFrame)]


@given(seconds=st.floats(0.1, 45), phase=st.floats(0, 0.999), beats=st.integers(1, 30))
def test_heartbeats_are_never_more_than_45_seconds_apart(seconds: float, phase: float, beats: int) -> None:
    machine = acs_server(heartbeat_seconds=seconds, phase=phase)
    last = 0.0
    for _ in range(beats):
        now = machine.wake_at
        assert last < now <= last + 45
        (beat,) = sent(machine.tick(now))
        assert isinstance(beat, HeartbeatMessage)
        assert machine.received(encode_frame(HeartbeatAckRequest(message_id=beat.message_id)), now) == ()
        last = now


@pytest.mark.parametrize("seconds", [0, -1, 45.1])
def test_an_interval_that_agents_would_not_survive_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="heartbeat_seconds"):
        acs_server(heartbeat_seconds=seconds)
    with pytest.raises(ValueError, match="heartbeat_seconds"):
        TcsServer(now=0, heartbeat_seconds=seconds)


def test_a_tick_before_its_time_does_nothing() -> None:
    machine = acs_server()
    assert machine.tick(19.9) == ()
    assert len(machine.tick(20.0)) == 1


@given(answered=st.integers(0, 5))
def test_a_socket_ends_two_intervals_after_the_first_missing_answer(answered: int) -> None:
    machine = acs_server()
    effects: tuple[ServerEffect, ...] = ()
    beats = 0
    while not any(isinstance(e, CloseSocket) for e in effects):
        effects = machine.tick(machine.wake_at)
        for beat in sent(effects):
            assert isinstance(beat, HeartbeatMessage)
            beats += 1
            if beats <= answered:
                answer = HeartbeatAckRequest(message_id=beat.message_id)
                machine.received(encode_frame(answer), 0.0)
    assert beats == answered + 2
    assert machine.tick(1e9) == ()
    assert machine.send(AckRequest(message_id="late")) == ()


def test_a_late_answer_vouches_for_all_earlier_heartbeats() -> None:
    machine = acs_server()
    for _ in range(50):
        machine.tick(machine.wake_at)
        (beat,) = sent(machine.tick(machine.wake_at))
        assert isinstance(beat, HeartbeatMessage)
        machine.received(encode_frame(HeartbeatAckRequest(message_id=beat.message_id)), 0.0)


def test_agents_of_the_first_protocol_owe_no_answers() -> None:
    machine = acs_server(protocol_version=1)
    assert all(len(sent(machine.tick(machine.wake_at))) == 1 for _ in range(10))


def test_answers_are_not_missed_while_we_do_not_listen() -> None:
    machine = acs_server()
    assert all(len(sent(machine.tick(machine.wake_at, listening=False))) == 1 for _ in range(10))
    assert len(sent(machine.tick(machine.wake_at))) == 1


@given(st.lists(st.tuples(st.booleans(), ANY_TEXT), max_size=30))
def test_no_order_of_frames_and_garbage_crashes_or_closes_a_machine(script: list[tuple[bool, str]]) -> None:
    acs, tcs = acs_server(protocol_version=1), TcsServer(now=0)
    for ticks, text in script:
        for machine in (acs, tcs):
            effects = machine.received(text, machine.wake_at)
            if ticks:
                effects += machine.tick(machine.wake_at)
            assert not any(isinstance(e, CloseSocket) for e in effects)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        '{"type":"Bogus","message":{}}',
        '{"type":"AckRequest","message":{}}',
        '{"type":"AckRequest","message":' + 100_000 * "[" + 100_000 * "]" + "}",
    ],
    ids=["empty", "cut", "null", "unknown-type", "lacks-a-member", "too-deep"],
)
def test_what_is_no_frame_is_dropped(text: str) -> None:
    for machine in (acs_server(), TcsServer(now=0)):
        (effect,) = machine.received(text, 0)
        assert isinstance(effect, Dropped)


def test_an_agent_cannot_give_orders() -> None:
    order = encode_frame(PayloadMessage(message_id="m", cluster_arn="c", container_instance_arn="i"))
    for machine in (acs_server(), TcsServer(now=0)):
        (effect,) = machine.received(order, 0)
        assert isinstance(effect, Dropped)


def test_telemetry_that_is_acknowledged_needs_no_heartbeat() -> None:
    machine = TcsServer(now=0)
    publish = encode_frame(PublishMetricsRequest(metadata=MetricsMetadata(fin=True)))
    for now in range(15, 300, 15):
        assert machine.tick(now) == ()
        assert sent(machine.received(publish, now)) == [AckPublishMetric(message="ok")]
    assert machine.wake_at == 285 + 20
    assert sent(machine.tick(305)) == [HeartbeatMessage(healthy=True)]


def metrics(count: int, **metadata: object) -> PublishMetricsRequest:
    return PublishMetricsRequest(
        metadata=MetricsMetadata(message_id="m", **metadata),  # type: ignore[arg-type]
        timestamp=7.5,
        task_metrics=tuple(TaskMetric(task_arn=f"t-{n}") for n in range(count)),
    )


@given(count=st.integers(0, 45))
def test_fragments_are_acknowledged_each_and_delivered_once_as_a_whole(count: int) -> None:
    health = PublishHealthRequest(
        metadata=MetricsMetadata(message_id="m"),
        tasks=tuple(TaskHealth(task_arn=f"t-{n}") for n in range(count)),
    )
    for frames in (metric_fragments(metrics(count)), health_fragments(health)):
        assert len(frames) == max(1, -(-count // 10))
        assert [f.metadata.fin for f in frames] == [False] * (len(frames) - 1) + [True]
        machine = TcsServer(now=0)
        effects = [machine.received(f"A: b\r\n\r\n{encode_frame(f)}", 0) for f in frames]
        assert [len(e) for e in effects] == [1] * (len(frames) - 1) + [2]
        whole = effects[-1][1]
        assert isinstance(whole, Deliver)
        expected = metrics(count, fin=True) if frames[0].__class__ is PublishMetricsRequest else health
        if isinstance(whole.frame, PublishMetricsRequest):
            assert whole.frame == expected
        else:
            assert isinstance(whole.frame, PublishHealthRequest)
            assert whole.frame.tasks == health.tasks


def test_a_publication_that_says_nothing_of_fragments_is_whole() -> None:
    frame = PublishMetricsRequest(metadata=MetricsMetadata(message_id="m"))
    assert TcsServer(now=0).received(encode_frame(frame), 0)[1] == Deliver(frame)


def test_a_publication_of_large_tasks_is_split_by_its_size() -> None:
    large = tuple(TaskMetric(task_arn=f"{n}" * 400_000) for n in range(3))
    frames = metric_fragments(PublishMetricsRequest(task_metrics=large))
    assert [len(f.task_metrics) for f in frames] == [2, 1]
    assert all(len(encode_frame(f)) <= 1 << 20 for f in frames)


@pytest.mark.parametrize("same_id", [True, False], ids=["one-group", "many-groups"])
def test_publications_that_never_end_do_not_grow(same_id: bool) -> None:
    machine = TcsServer(now=0)
    for n in range(2 * GROUP_TASKS_MAX // 100):
        frame = PublishMetricsRequest(
            metadata=MetricsMetadata(message_id="m" if same_id else f"m-{n}", fin=False),
            task_metrics=tuple(TaskMetric(task_arn="t") for _ in range(99)),
        )
        assert len(machine.received(encode_frame(frame), 0)) == 1
    groups = machine._groups or {}
    assert len(groups) <= OPEN_GROUPS_MAX
    assert sum(len(p.task_metrics) for g in groups.values() for p in g) <= OPEN_GROUPS_MAX * GROUP_TASKS_MAX
    assert all(len(g) <= GROUP_TASKS_MAX / 100 for g in groups.values())


@given(st.text())
def test_text_without_a_header_block_is_all_json(text: str) -> None:
    if "\r\n\r\n" not in text:
        assert split_tcs(text) == ({}, text)
