"""Our machines against what the real agent and its server said.

Source: tests/data/agent-wire, recordings of amazon-ecs-agent 1.105.1.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from tests.kit.agent_wire import RECORDINGS, recorded, recorded_frames

from homeport.agentproto.client import AcsClient, AgentIdentity, Ended, TcsClient
from homeport.agentproto.effects import Deliver, Dropped, SaveWatermark, SendFrame
from homeport.agentproto.messages import (
    Frame,
    HeartbeatAckRequest,
    HeartbeatMessage,
    PayloadMessage,
    TaskIdentifier,
    TaskStopVerificationAck,
    UndecodableFrameError,
    decode_frame,
    encode_frame,
)
from homeport.agentproto.server import AcsServer, TcsServer, split_tcs
from homeport.agentproto.urls import connect_url, form_encode, parse_acs_query, parse_tcs_query

FROM_SERVER = recorded_frames("ws-out")
FROM_AGENT = recorded_frames("ws-in")
INVENTED = {"newThing", "futureField"}
"""Members that a recording sent to see whether unknown ones are ignored."""


def significant(value: Any) -> Any:
    """JSON without members that say nothing: null, empty, zero, false."""
    if isinstance(value, dict):
        return {
            k: significant(v)
            for k, v in value.items()
            if k not in INVENTED and v not in (None, [], {}, "", 0, False)
        }
    return [significant(v) for v in value] if isinstance(value, list) else value


def missing(wanted: Any, got: Any, at: str = "") -> list[str]:
    """Where `got` lacks or changes something of `wanted`."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        return [m for k in wanted for m in missing(wanted[k], got.get(k), f"{at}.{k}")]
    if isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        return [m for w, g in zip(wanted, got, strict=True) for m in missing(w, g, f"{at}[]")]
    return [] if wanted == got else [f"{at}: {wanted!r} became {got!r}"]


def test_the_recordings_are_there() -> None:
    assert len(RECORDINGS) == 12
    assert len(FROM_SERVER) > 350
    assert len(FROM_AGENT) > 250


@pytest.mark.parametrize("direction", ["ws-in", "ws-out"])
def test_no_frame_loses_a_member_on_its_way_through_our_types(direction: str) -> None:
    losses = []
    for name, frame in recorded_frames(direction):
        if frame["type"] == "BogusMessage":
            continue
        value = decode_frame(json.dumps(frame))
        again = encode_frame(value)
        losses += [f"{name} {m}" for m in missing(significant(frame), json.loads(again))]
        assert decode_frame(again) == value
    assert losses == []


def test_members_that_go_reads_as_zero_when_absent_are_always_written() -> None:
    """Source: recording 04, whose smallest payload still says `essential` and `desiredStatus`."""
    minimal = next(f for _, f in FROM_SERVER if f["message"].get("messageId") == "min-1")
    task = json.loads(encode_frame(decode_frame(json.dumps(minimal))))["message"]["tasks"][0]
    assert task["desiredStatus"] == "RUNNING"
    assert task["containers"][0]["essential"] is True


def frame_types(kind: type[Frame] = Frame) -> list[type[Frame]]:
    return [kind] + [t for child in kind.__subclasses__() for t in frame_types(child)]


@pytest.mark.parametrize("kind", frame_types(), ids=lambda kind: kind.__name__)
def test_no_default_that_go_would_not_guess_is_left_out(kind: type[Frame]) -> None:
    """Go reads what is absent as zero, empty or false."""
    if kind.__struct_config__.omit_defaults:
        omitted = {
            f.name: f.default for f in msgspec.structs.fields(kind) if f.default is not msgspec.NODEFAULT
        }
        assert {n: d for n, d in omitted.items() if d and not isinstance(d, Frame)} == {}


def test_the_invented_type_is_no_frame() -> None:
    bogus = next(f for _, f in FROM_SERVER if f["type"] == "BogusMessage")
    with pytest.raises(UndecodableFrameError):
        decode_frame(json.dumps(bogus))


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_our_server_takes_everything_that_the_agent_said(path: Path) -> None:
    machines: dict[str, AcsServer | TcsServer] = {}
    acks: list[str] = []
    for row in recorded(path):
        now, which = row["t"], row.get("which", "")
        if row["kind"] == "ws-open" or (which and which not in machines):
            machines[which] = (
                AcsServer(now=now, message_id=lambda: "h") if which == "acs" else TcsServer(now=now)
            )
        if row["kind"] != "ws-in":
            continue
        prefix = f"{row['signed_prefix']}\r\n\r\n" if "signed_prefix" in row else ""
        effects = machines[which].received(prefix + json.dumps(row["frame"]), now)
        frame = decode_frame(json.dumps(row["frame"]))
        if isinstance(frame, HeartbeatAckRequest):
            assert effects == ()
        elif which == "acs":
            assert effects == (Deliver(frame),)
        else:
            ack, delivered = effects
            assert isinstance(ack, SendFrame)
            acks.append(type(ack.frame).__name__)
            assert delivered == Deliver(frame)
    theirs = [
        r["frame"]["type"]
        for r in recorded(path)
        if r["kind"] == "ws-out" and r["which"] == "tcs" and r["frame"]["type"].startswith("Ack")
    ]
    if path.stem != "00-register-first":  # that server did not know of header blocks yet
        assert acks == theirs


def test_header_blocks_are_split_from_telemetry() -> None:
    for path in RECORDINGS:
        for row in recorded(path):
            if "signed_prefix" not in row:
                continue
            body = json.dumps(row["frame"])
            headers, rest = split_tcs(f"{row['signed_prefix']}\r\n\r\n{body}")
            assert rest == body
            assert set(headers) - {"x-amz-security-token"} == {"authorization", "host", "x-amz-date"}
            assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=")


def test_connect_queries_are_read_and_written_as_the_agent_wrote_them() -> None:
    for path in RECORDINGS:
        for row in recorded(path):
            if row["kind"] != "ws-open":
                continue
            parts = urlsplit(row["path"])
            query = (parse_acs_query if row["which"] == "acs" else parse_tcs_query)(parts.query)
            assert form_encode(query.pairs()) == parts.query
            assert query.docker_version == "20.10.24+dfsg1"
            base = f"http://127.0.0.1:18080/{row['which']}"
            assert connect_url(base, query) == f"ws://127.0.0.1:18080{row['path']}"


class Agent:
    """Our client machines living the recorded agents' lives."""

    def __init__(self) -> None:
        self.acs: AcsClient | None = None
        self.tcs: TcsClient | None = None
        self.saved = 0
        self.running: dict[str, TaskIdentifier] = {}
        self.said: dict[str, list[Frame]] = defaultdict(list)
        self.dropped: list[str] = []
        self.delivered: list[Frame] = []

    def connects(self, row: dict[str, Any]) -> None:
        query = urlsplit(row["path"]).query
        if row["which"] == "tcs":
            theirs = parse_tcs_query(query)
            self.tcs = self.tcs or TcsClient(identity(theirs), dice=lambda: 0.5)
            assert connect_url("http://h/tcs", self.tcs.query) == f"ws://h/tcs/ws?{query}"
            self.tcs.opened(row["t"])
            return
        acs = parse_acs_query(query)
        if acs.send_credentials:
            self.acs = self._born(identity(acs))
        assert self.acs is not None
        assert connect_url("http://h/acs", self.acs.query) == f"ws://h/acs/ws?{query}"
        self.acs.opened(row["t"])

    def hears(self, row: dict[str, Any]) -> None:
        if row["which"] == "tcs":
            assert self.tcs is not None
            assert self.tcs.received(json.dumps(row["frame"]), row["t"]) == ()
            return
        assert self.acs is not None
        effects = list(self.acs.received(json.dumps(row["frame"]), row["t"]))
        for effect in effects:
            match effect:
                case SendFrame(frame):
                    self.said[frame.message_id].append(frame)  # type: ignore[attr-defined]
                case SaveWatermark(timeline):
                    self.saved = timeline
                case Dropped(reason):
                    self.dropped.append(f"{row['frame']['type']}: {reason}")
                case Deliver(frame):
                    self.delivered.append(frame)
                    if self._works(frame):
                        effects.extend(self.acs.taken(frame))

    def _works(self, frame: Frame) -> bool:
        """What a node does; false: the frame is not taken."""
        if isinstance(frame, PayloadMessage):
            for task in frame.tasks:
                if task.desired_status == "STOPPED":
                    self.running.pop(task.arn, None)
                else:
                    self.running[task.arn] = TaskIdentifier(
                        task_arn=task.arn, task_cluster_arn=task.task_cluster_arn
                    )
            return not any(is_malformed(frame))
        return True

    def _born(self, me: AgentIdentity) -> AcsClient:
        return AcsClient(
            me, dice=lambda: 0.5, watermark=self.saved, running_tasks=lambda: tuple(self.running.values())
        )


def identity(query: Any) -> AgentIdentity:
    return AgentIdentity(
        cluster=query.cluster,
        container_instance=query.container_instance,
        agent_version=query.agent_version,
        agent_hash=query.agent_hash,
        docker_version=query.docker_version,
    )


def is_malformed(frame: PayloadMessage) -> list[bool]:
    """Reference, section 5.2: overrides other than `command`, a host volume without `host`."""
    return [
        any(set(json.loads(c.overrides or "{}")) - {"command"} for c in task.containers)
        or any(v.type == "host" and v.host is None for v in task.volumes)
        for task in frame.tasks
    ]


def test_our_client_answers_as_the_real_agent_did() -> None:
    agents: dict[str, Agent] = {}
    theirs: dict[str, list[Frame]] = defaultdict(list)
    agent = Agent()
    for row in (row for path in RECORDINGS for row in recorded(path)):
        match row["kind"]:
            case "ws-open":
                query = urlsplit(row["path"]).query
                parse = parse_acs_query if row["which"] == "acs" else parse_tcs_query
                agent = agents.setdefault(parse(query).container_instance, Agent())
                agent.connects(row)
            case "ws-out":
                agent.hears(row)
            case "ws-in" if row["which"] == "acs":
                frame = decode_frame(json.dumps(row["frame"]))
                theirs[frame.message_id].append(frame)  # type: ignore[attr-defined]
            case "api-in" if row["op"] == "SubmitTaskStateChange" and row["body"].get("status") == "STOPPED":
                agent.running.pop(row["body"]["task"], None)
    ours = {key: value for a in agents.values() for key, value in a.said.items()}
    unordered = {key: Counter(map(encode_frame, frames)) for key, frames in ours.items()}
    assert {k: Counter(map(encode_frame, v)) for k, v in theirs.items()} == unordered
    verified = [f for a in agents.values() for f in a.delivered if isinstance(f, TaskStopVerificationAck)]
    assert [f.message_id for f in verified] == ["manifest-2"]
    first = next(iter(agents.values()))
    assert any("timeline 29 is not above" in text for text in first.dropped)
    assert [text.split(":")[0] for text in first.dropped if "timeline" not in text] == [
        "PayloadMessage",
        "BogusMessage",
        "ErrorMessage",
        "CloseMessage",
    ]


def test_a_recorded_heartbeat_is_what_ours_looks_like() -> None:
    acs = {json.dumps(sorted(f["message"])) for _, f in FROM_SERVER if f["type"] == "HeartbeatMessage"}
    ours = json.loads(encode_frame(HeartbeatMessage(message_id="m")))["message"]
    assert json.dumps(sorted(ours)) in acs


def test_the_recorded_refusal_keeps_an_agent_away_for_an_hour() -> None:
    """Source: recording 05; telemetry came back after 1.1 s there."""
    me = AgentIdentity(cluster="c", container_instance="i")
    acs = AcsClient(me, dice=lambda: 0.0, running_tasks=lambda: ())
    assert acs.closed(Ended.INACTIVE, 0.0) == 3600.0
    assert 1.0 <= TcsClient(me, dice=lambda: 0.5).closed(Ended.FAILED, 0.0) <= 1.2
