"""Agent sockets end to end: `gateway.agent_sockets`, and joined to `node.sockets`.

In memory with virtual time, then once over loopback with uvicorn and aiohttp.
Source: reference, sections 4 to 6.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from homeport.agentproto.client import AgentIdentity
from homeport.agentproto.messages import (
    AckRequest,
    CloseMessage,
    Frame,
    HeartbeatAckRequest,
    HeartbeatMessage,
    IAMRoleCredentialsMessage,
    MetricsMetadata,
    PayloadMessage,
    PublishHealthRequest,
    PublishMetricsRequest,
    RoleCredentials,
    Task,
    TaskIdentifier,
    TaskManifestMessage,
    TaskMetric,
    TaskStopVerificationMessage,
    encode_frame,
)
from homeport.core.clock import LoopClock
from homeport.core.ids import SeededIds
from homeport.core.sigv4 import Credentials
from homeport.gateway.agent_sockets import AgentSockets
from homeport.gateway.ports import AgentRefusedError
from homeport.node.sockets import AgentLink, Endpoints, NotTakenError
from homeport.node.websocket import Dial
from tests.kit.agent_wire import CALL, FakeBackend, Network, Peer

CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/default"
INSTANCE = "arn:aws:ecs:us-east-1:123456789012:container-instance/default/i"
ACS = f"clusterArn=default&containerInstanceArn={INSTANCE}&protocolVersion=2&sendCredentials=true&seqNum=1"
TCS = f"cluster=default&containerInstance={INSTANCE}"


def payload(message_id: str, *tasks: Task) -> PayloadMessage:
    return PayloadMessage(
        message_id=message_id, cluster_arn=CLUSTER, container_instance_arn=INSTANCE, tasks=tasks
    )


async def settle() -> None:
    """Let everything that can run now run, without time passing."""
    for _ in range(50):
        await asyncio.sleep(0)


@asynccontextmanager
async def served(
    query: str = ACS, backend: FakeBackend | None = None, **limits: Any
) -> AsyncIterator[tuple[Peer, FakeBackend, AgentSockets]]:
    """One agent that is played by the test."""
    backend = backend or FakeBackend()
    sockets = AgentSockets(backend, ids=SeededIds(), **limits)
    peer = Peer(query)
    serve = sockets.serve_acs if query.startswith("clusterArn") else sockets.serve_tcs
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(peer.scope, peer.receive, peer.send, CALL))
        await settle()
        yield peer, backend, sockets
        peer.reads.set()
        peer.leaves()
    assert sockets.open_count == 0


@pytest.mark.looptime
class TestOneSocket:
    async def test_the_backend_learns_who_connected_and_that_it_left(self) -> None:
        async with served() as (peer, backend, sockets):
            assert peer.heard() == [{"type": "websocket.accept"}]
            (session,) = backend.acs
            assert session.connection.cluster == "default"
            assert session.connection.container_instance == INSTANCE
            assert session.connection.send_credentials
            assert session.connection.protocol_version == 2
            assert session.connection.call is CALL
            assert sockets.open_count == 1
        assert session.ended.is_set()

    async def test_heartbeats_come_as_data_and_their_answers_stay_here(self) -> None:
        async with served() as (peer, backend, _):
            beats = 0
            for _ in range(30):
                await asyncio.sleep(20)
                for frame in peer.heard_frames():
                    assert isinstance(frame, HeartbeatMessage)
                    beats += 1
                    peer.says(encode_frame(HeartbeatAckRequest(message_id=frame.message_id)))
            assert 29 <= beats <= 30
            assert backend.acs[0].frames == []

    async def test_an_agent_that_stops_answering_is_closed(self) -> None:
        async with served() as (peer, backend, sockets):
            await asyncio.sleep(61)
            close = peer.heard()[-1]
            assert close["type"] == "websocket.close"
            assert close["code"] == 1011
            assert sockets.open_count == 0
            assert backend.acs[0].ended.is_set()

    async def test_frames_reach_the_backend_in_order_and_noise_does_not(self) -> None:
        async with served() as (peer, backend, _):
            for n in range(20):
                peer.says(encode_frame(AckRequest(message_id=str(n))))
                peer.says("noise")
            await settle()
            assert backend.acs[0].frames == [AckRequest(message_id=str(n)) for n in range(20)]

    async def test_bytes_are_read_as_text(self) -> None:
        async with served() as (peer, backend, _):
            frame = AckRequest(message_id="m")
            peer.to_server.put_nowait({"type": "websocket.receive", "bytes": encode_frame(frame).encode()})
            peer.to_server.put_nowait({"type": "websocket.receive", "bytes": b"\xff"})
            await settle()
            assert backend.acs[0].frames == [frame]

    async def test_what_was_queued_before_the_accept_is_sent_after_it(self) -> None:
        backend = FakeBackend()
        backend.first = [payload("one"), payload("two")]
        async with served(backend=backend) as (peer, _, _):
            accept, one, two = peer.heard()
            assert accept == {"type": "websocket.accept"}
            assert [json.loads(m["text"])["message"]["messageId"] for m in (one, two)] == ["one", "two"]

    async def test_close_sends_what_is_queued_first_and_drops_what_comes_later(self) -> None:
        async with served() as (peer, backend, sockets):
            outbox = backend.acs[0].outbox
            outbox.send(payload("last"))
            outbox.close()
            outbox.send(payload("too late"))
            outbox.close()
            await settle()
            assert [m["type"] for m in peer.heard()] == [
                "websocket.accept",
                "websocket.send",
                "websocket.close",
            ]
            assert sockets.open_count == 0
            outbox.send(payload("much too late"))

    async def test_publications_are_acknowledged_and_fragments_delivered_as_one(self) -> None:
        async with served(TCS) as (peer, backend, _):
            for n in range(3):
                part = PublishMetricsRequest(
                    metadata=MetricsMetadata(message_id="m", fin=n == 2),
                    task_metrics=(TaskMetric(task_arn=str(n)),),
                )
                peer.says(f"Authorization: x\r\nHost: h\r\n\r\n{encode_frame(part)}")
            await settle()
            assert [type(f).__name__ for f in peer.heard_frames()] == 3 * ["AckPublishMetric"]
            (whole,) = backend.tcs[0].frames
            assert isinstance(whole, PublishMetricsRequest)
            assert [m.task_arn for m in whole.task_metrics] == ["0", "1", "2"]

    async def test_a_silent_telemetry_socket_gets_heartbeats_and_stays(self) -> None:
        async with served(TCS) as (peer, _, sockets):
            await asyncio.sleep(605)
            assert len(peer.heard_frames()) in (30, 31)
            assert sockets.open_count == 1


@pytest.mark.looptime
class TestTrouble:
    async def test_a_slow_backend_delays_neither_heartbeats_nor_their_answers(self) -> None:
        async with served() as (peer, backend, sockets):
            session = backend.acs[0]
            session.may_work.clear()
            for n in range(10):
                peer.says(encode_frame(AckRequest(message_id=str(n))))
            for _ in range(30):
                await asyncio.sleep(20)
                for frame in peer.heard_frames():
                    assert isinstance(frame, HeartbeatMessage)
                    peer.says(encode_frame(HeartbeatAckRequest(message_id=frame.message_id)))
            assert sockets.open_count == 1
            session.may_work.set()
            await settle()
            assert len(session.frames) == 10

    async def test_a_stuck_backend_stops_the_reading_and_heartbeats_go_on(self) -> None:
        async with served(inbox_frames_max=4) as (peer, backend, sockets):
            session = backend.acs[0]
            session.may_work.clear()
            for n in range(20):
                peer.says(encode_frame(AckRequest(message_id=str(n))))
            await settle()
            assert 20 - 6 <= peer.to_server.qsize() <= 20 - 4
            peer.heard()
            await asyncio.sleep(605)
            assert len(peer.heard_frames()) in (30, 31)
            assert sockets.open_count == 1
            session.may_work.set()
            await settle()
            assert [f.message_id for f in session.frames] == [str(n) for n in range(20)]  # type: ignore[attr-defined]

    async def test_an_agent_that_reads_nothing_is_closed_before_memory_grows(self) -> None:
        async with served(outbox_bytes_max=10_000) as (peer, backend, sockets):
            session = backend.acs[0]
            peer.reads.clear()
            for n in range(200):
                session.outbox.send(payload(f"m-{n}"))
            await asyncio.sleep(6)
            assert sockets.open_count == 0
            assert session.ended.is_set()

    async def test_a_failing_backend_ends_the_socket(self) -> None:
        async with served() as (peer, backend, sockets):
            backend.acs[0].error = RuntimeError("database is away")
            peer.says(encode_frame(AckRequest(message_id="m")))
            await settle()
            assert peer.heard()[-1]["code"] == 1011
            assert sockets.open_count == 0

    async def test_what_arrived_is_delivered_even_when_the_agent_left_meanwhile(self) -> None:
        async with served() as (peer, backend, _):
            session = backend.acs[0]
            session.may_work.clear()
            peer.says(encode_frame(AckRequest(message_id="one")))
            peer.says(encode_frame(AckRequest(message_id="two")))
            peer.leaves()
            await settle()
            session.outbox.close()
            assert not session.ended.is_set()
            session.may_work.set()
            await settle()
            assert len(session.frames) == 2
            assert session.ended.is_set()

    async def test_shutdown_says_going_away_and_refuses_newcomers(self) -> None:
        async with served() as (peer, backend, sockets):
            await sockets.close()
            close = peer.heard()[-1]
            assert (close["type"], close["code"]) == ("websocket.close", 1001)
            assert backend.acs[0].ended.is_set()
            late = Peer(ACS)
            await sockets.serve_acs(late.scope, late.receive, late.send, CALL)
            assert late.heard()[0]["status"] == 503

    async def test_shutdown_does_not_wait_for_ever(self) -> None:
        async with served() as (peer, backend, sockets):
            peer.reads.clear()
            backend.acs[0].may_work.clear()
            peer.says(encode_frame(AckRequest(message_id="m")))
            await settle()
            await sockets.close(grace_seconds=10)
            assert asyncio.get_running_loop().time() <= 11
            backend.acs[0].may_work.set()

    async def test_a_cancelled_handler_still_says_that_the_socket_is_gone(self) -> None:
        backend, peer = FakeBackend(), Peer(ACS)
        sockets = AgentSockets(backend, ids=SeededIds())
        async with asyncio.TaskGroup() as group:
            task = group.create_task(sockets.serve_acs(peer.scope, peer.receive, peer.send, CALL))
            await settle()
            task.cancel()
        assert backend.acs[0].ended.is_set()
        assert sockets.open_count == 0


@pytest.mark.looptime
class TestRefusals:
    async def answer(self, query: str, error: Exception | None = None) -> tuple[int, Any]:
        backend = FakeBackend()
        backend.refusal = error
        sockets = AgentSockets(backend, ids=SeededIds())
        peer = Peer(query)
        serve = sockets.serve_acs if "Arn" in query else sockets.serve_tcs
        await serve(peer.scope, peer.receive, peer.send, CALL)
        start, body = peer.heard()
        assert start["type"] == "websocket.http.response.start"
        return start["status"], json.loads(body["body"])

    async def test_a_refusal_is_an_http_answer_with_the_agents_word(self) -> None:
        refusal = AgentRefusedError("InactiveInstanceException", "instance is INACTIVE")
        answer = await self.answer(ACS, refusal)
        assert answer == (400, {"InactiveInstanceException": "instance is INACTIVE"})

    async def test_an_unexpected_error_is_a_server_exception_without_details(self) -> None:
        status, body = await self.answer(ACS, RuntimeError("secret detail"))
        assert (status, list(body)) == (500, ["ServerException"])
        assert "secret" not in str(body)

    @pytest.mark.parametrize(
        ("query", "kind"),
        [
            ("clusterArn=default", "BadRequestException"),
            ("containerInstanceArn=i", "BadRequestException"),
            ("cluster=default", "InvalidParameterException"),
        ],
    )
    async def test_a_connect_without_its_members_is_refused(self, query: str, kind: str) -> None:
        status, body = await self.answer(query)
        assert (status, list(body)) == (400, [kind])

    async def test_a_server_without_the_extension_just_closes(self) -> None:
        peer = Peer("", extensions={})
        await AgentSockets(FakeBackend(), ids=SeededIds()).serve_acs(
            peer.scope, peer.receive, peer.send, CALL
        )
        assert [m["type"] for m in peer.heard()] == ["websocket.close"]


class Node:
    """The engine's side of a link, scripted."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.errors: dict[type[Frame], Exception] = {}
        self.running: tuple[TaskIdentifier, ...] = ()
        self.watermarks: list[int] = []
        self.discoveries = 0
        self.may_sign = asyncio.Event()
        self.may_sign.set()
        self.discovery_error: Exception | None = None
        self.endpoint = "http://127.0.0.1:1"

    async def handle(self, frame: Frame) -> None:
        if not isinstance(frame, HeartbeatMessage):
            self.frames.append(frame)
        if type(frame) in self.errors:
            raise self.errors[type(frame)]

    async def save(self, watermark: int) -> None:
        self.watermarks.append(watermark)

    async def discover(self) -> Endpoints:
        self.discoveries += 1
        if self.discovery_error is not None:
            raise self.discovery_error
        return Endpoints(acs=f"{self.endpoint}/acs", tcs=f"{self.endpoint}/tcs")

    async def credentials(self) -> Credentials:
        await self.may_sign.wait()
        return Credentials(access_key_id="AKID", secret_access_key="S")

    def link(self, dial: Dial | None = None, seed: int = 0) -> AgentLink:
        return AgentLink(
            identity=AgentIdentity(cluster="default", container_instance=INSTANCE, docker_version="20.10"),
            region="us-east-1",
            discover=self.discover,
            credentials=self.credentials,
            handler=self.handle,
            running_tasks=lambda: self.running,
            save_watermark=self.save,
            clock=LoopClock(datetime(2030, 1, 1, tzinfo=UTC)),
            ids=SeededIds(seed),
            dial=dial,
        )


class World:
    """A node and a control plane, joined in memory."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.backend = FakeBackend()
        self.sockets = AgentSockets(self.backend, ids=SeededIds())
        self.network = Network(self.sockets, group)
        self.node = Node()
        self.link = self.node.link(self.network.dial)

    def dials(self, which: str) -> list[float]:
        return [at for at, url in self.network.dials if f"/{which}/ws" in url]


@asynccontextmanager
async def joined(prepare: Callable[[World], None] = lambda _: None) -> AsyncIterator[World]:
    async with asyncio.TaskGroup() as group:
        world = World(group)
        prepare(world)
        running = group.create_task(world.link.run())
        await settle()
        yield world
        running.cancel()
        await settle()
        await world.sockets.close()


@pytest.mark.looptime
class TestLink:
    async def test_both_sockets_open_after_one_discovery_and_close_when_cancelled(self) -> None:
        async with joined() as world:
            assert world.link.connected
            assert world.node.discoveries == 1
        assert world.backend.acs[0].ended.is_set()
        assert world.backend.tcs[0].ended.is_set()
        assert not world.link.connected

    async def test_an_idle_half_day_reconnects_only_when_connections_grow_old(self) -> None:
        async with joined() as world:
            await asyncio.sleep(12.9 * 3600)
            for which in ("acs", "tcs"):
                gaps = [b - a for a, b in itertools.pairwise(world.dials(which))]
                assert all(1800 <= gap <= 2100 for gap in gaps)
                assert 22 <= len(gaps) <= 25
            assert world.node.discoveries == 2  # its answer lasts 12 hours
            asked = [s.connection.send_credentials for s in world.backend.acs]
            assert asked == [True] + [False] * (len(asked) - 1)

    async def test_a_payload_is_handled_then_acknowledged(self) -> None:
        async with joined() as world:
            world.backend.acs[0].outbox.send(payload("m", Task(arn="t")))
            await settle()
            assert [type(f) for f in world.node.frames] == [PayloadMessage]
            (ack,) = world.backend.acs[0].frames
            assert ack == AckRequest(message_id="m", cluster=CLUSTER, container_instance=INSTANCE)

    async def test_what_the_node_does_not_take_is_not_acknowledged(self) -> None:
        async with joined() as world:
            world.node.errors[PayloadMessage] = NotTakenError("malformed")
            credentials = RoleCredentials(credentials_id="c", expiration="e")
            outbox = world.backend.acs[0].outbox
            outbox.send(payload("m", Task(arn="t")))
            outbox.send(
                IAMRoleCredentialsMessage(
                    message_id="n", task_arn="t", role_type="TaskExecution", role_credentials=credentials
                )
            )
            await settle()
            assert [f.message_id for f in world.backend.acs[0].frames] == ["n"]  # type: ignore[attr-defined]
            assert world.link.connected

    async def test_what_the_node_fails_at_is_not_acknowledged_and_comes_again_on_a_new_connection(
        self,
    ) -> None:
        async with joined() as world:
            world.node.errors[PayloadMessage] = RuntimeError("bug")
            world.backend.acs[0].outbox.send(payload("m", Task(arn="t")))
            await asyncio.sleep(5)
            assert world.backend.acs[0].frames == []
            assert world.backend.acs[0].ended.is_set()
            assert len(world.backend.acs) == 2
            assert world.link.connected
            del world.node.errors[PayloadMessage]
            world.backend.acs[1].outbox.send(payload("m", Task(arn="t")))
            await settle()
            assert [f.message_id for f in world.backend.acs[1].frames] == ["m"]  # type: ignore[attr-defined]

    async def test_a_manifest_is_saved_then_acknowledged_and_strangers_asked_about(self) -> None:
        async with joined() as world:
            world.node.running = (TaskIdentifier(task_arn="stranger"),)
            world.backend.acs[0].outbox.send(
                TaskManifestMessage(
                    message_id="m", cluster_arn=CLUSTER, container_instance_arn=INSTANCE, timeline=7
                )
            )
            await settle()
            assert world.node.watermarks == [7]
            ack, question = world.backend.acs[0].frames
            assert isinstance(ack, AckRequest)
            assert isinstance(question, TaskStopVerificationMessage)
            assert [c.task_arn for c in question.stop_candidates] == ["stranger"]

    async def test_telemetry_is_published_in_fragments_and_arrives_whole(self) -> None:
        async with joined() as world:
            tasks = tuple(TaskMetric(task_arn=str(n)) for n in range(25))
            world.link.send(
                PublishMetricsRequest(metadata=MetricsMetadata(message_id="m"), task_metrics=tasks)
            )
            world.link.send(PublishHealthRequest(metadata=MetricsMetadata(message_id="n")))
            await settle()
            metrics, health = world.backend.tcs[0].frames
            assert isinstance(metrics, PublishMetricsRequest)
            assert metrics.task_metrics == tasks
            assert isinstance(health, PublishHealthRequest)

    async def test_what_is_sent_while_disconnected_is_dropped(self) -> None:
        def down(world: World) -> None:
            world.network.down = True

        async with joined(down) as world:
            world.link.send(PublishHealthRequest())
            world.network.down = False
            await asyncio.sleep(5)
            assert world.link.connected
            assert world.backend.tcs[0].frames == []

    async def test_two_agents_with_one_identity_do_not_race_for_the_socket(self) -> None:
        """A copied data directory: each takes the socket from the other, but not a thousand times an hour."""
        async with joined() as world:
            world.backend.exclusive = True
            other = world.node.link(world.network.dial, seed=1)
            async with asyncio.TaskGroup() as group:
                running = group.create_task(other.run())
                await asyncio.sleep(3600)
                running.cancel()
            assert 30 < len(world.backend.acs) < 300

    async def test_what_one_connection_left_unsent_is_not_sent_on_the_next(self) -> None:
        async with joined() as world:
            world.node.may_sign.clear()
            for n in range(5):
                world.link.send(PublishHealthRequest(metadata=MetricsMetadata(message_id=str(n))))
            await settle()
            world.backend.tcs[0].outbox.close()
            await settle()
            world.node.may_sign.set()
            await settle()
            assert [s.frames for s in world.backend.tcs] == [[], []]
            assert world.link.connected

    async def test_a_closed_socket_comes_back_at_once(self) -> None:
        async with joined() as world:
            world.backend.acs[0].outbox.send(CloseMessage(message="only a word"))
            await settle()
            assert len(world.backend.acs) == 1
            world.backend.acs[0].outbox.close()
            await settle()
            assert len(world.backend.acs) == 2
            assert world.link.connected
            assert asyncio.get_running_loop().time() == 0

    async def test_an_inactive_instance_stays_away_for_an_hour_and_drops_telemetry_once(self) -> None:
        async with joined() as world:
            world.backend.refusal = AgentRefusedError("InactiveInstanceException", "gone")
            world.backend.acs[0].outbox.close()
            await settle()
            assert not world.link.connected
            assert world.backend.tcs[0].ended.is_set()
            await asyncio.sleep(1.3)
            assert world.link.tcs_connected.is_set()
            assert len(world.backend.tcs) == 2
            assert 1.0 <= world.dials("tcs")[1] <= 1.2
            world.backend.refusal = None
            await asyncio.sleep(3590)
            assert not world.link.acs_connected.is_set()
            await asyncio.sleep(20)
            assert world.link.acs_connected.is_set()
            assert world.dials("acs")[-1] == 3600

    async def test_an_absent_server_is_dialled_with_growing_delays(self) -> None:
        def down(world: World) -> None:
            world.network.down = True

        async with joined(down) as world:
            await asyncio.sleep(3600)
            at = world.dials("acs")
            gaps = [b - a for a, b in itertools.pairwise(at)]
            assert 0.25 <= gaps[0] <= 0.3
            assert all(120 <= gap <= 144 for gap in gaps[-10:])
            at = world.dials("tcs")
            gaps = [b - a for a, b in itertools.pairwise(at)]
            assert all(60 <= gap <= 72 for gap in gaps[-10:])
            world.network.down = False
            await asyncio.sleep(150)
            assert world.link.connected

    async def test_a_failing_discovery_falls_back_on_the_last_answer(self) -> None:
        async with joined() as world:
            world.node.discovery_error = RuntimeError("throttled")
            world.network.down = True
            world.backend.acs[0].outbox.close()
            await asyncio.sleep(5)
            world.network.down = False
            await asyncio.sleep(5)
            assert world.link.connected
            assert world.node.discoveries > 1

    async def test_a_slow_handler_does_not_delay_answers_to_heartbeats(self) -> None:
        async with joined() as world:
            forever = asyncio.Event()

            async def slow(frame: Frame) -> None:
                await forever.wait()

            world.link.handler = slow
            world.backend.acs[0].outbox.send(payload("m", Task(arn="t")))
            await asyncio.sleep(600)
            assert len(world.backend.acs) == 1

    async def test_an_acknowledgement_never_goes_to_another_connection(self) -> None:
        async with joined() as world:
            proceed = asyncio.Event()

            async def slow(frame: Frame) -> None:
                await proceed.wait()

            world.link.handler = slow
            world.backend.acs[0].outbox.send(payload("m", Task(arn="t")))
            await settle()
            world.backend.acs[0].outbox.close()
            await settle()
            proceed.set()
            await settle()
            assert [s.frames for s in world.backend.acs] == [[], []]

    @pytest.mark.parametrize("seed", range(6))
    async def test_a_link_survives_a_bad_day(self, seed: int) -> None:
        """Sockets close, the server refuses, fails, is away: in the end both are connected."""
        async with joined() as world:
            dice = SeededIds(seed)
            for _ in range(25):
                trouble = dice.token(1)[0] % 5
                world.network.down = trouble == 0
                world.backend.refusal = (
                    AgentRefusedError("ServerException", "later", status=503) if trouble == 1 else None
                )
                for session in (*world.backend.acs[-1:], *world.backend.tcs[-1:]):
                    session.error = RuntimeError("bug") if trouble == 2 else None
                    if trouble == 3:
                        session.outbox.close()
                    session.outbox.send(payload("m", Task(arn="t")))
                await asyncio.sleep(dice.token(1)[0])
            world.network.down, world.backend.refusal = False, None
            await asyncio.sleep(200)
            assert world.link.connected
            assert world.sockets.open_count == 2


# ---- over loopback ------------------------------------------------------------------------


@asynccontextmanager
async def loopback(backend: FakeBackend, **limits: Any) -> AsyncIterator[tuple[str, AgentSockets]]:
    """uvicorn with `AgentSockets` on a free port."""
    import contextlib
    import socket as sockets_module

    import uvicorn

    sockets = AgentSockets(backend, ids=SeededIds(), **limits)

    async def app(
        scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        serve = sockets.serve_acs if scope["path"] == "/acs/ws" else sockets.serve_tcs
        await serve(scope, receive, send, CALL)

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Any:
            yield

    listener = sockets_module.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, ws="websockets-sansio", ws_ping_interval=None, lifespan="off", log_config=None, log_level="error"
    )
    server = Server(config)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", sockets
        finally:
            await sockets.close()
            server.should_exit = True
            await serving
            listener.close()


@asynccontextmanager
async def running(link: AgentLink) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(link.run())
        try:
            await asyncio.gather(link.acs_connected.wait(), link.tcs_connected.wait())
            yield
        finally:
            task.cancel()


async def until(condition: Callable[[], bool]) -> None:
    """Wait on real I/O; the test's own time limit ends it."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for lies beyond a real socket
            await asyncio.sleep(0.005)


async def test_over_loopback_everything_works_as_in_memory() -> None:
    backend, node = FakeBackend(), Node()
    async with asyncio.timeout(60), loopback(backend, heartbeat_seconds=0.2) as (url, sockets):
        node.endpoint = url
        link = node.link()
        async with running(link):
            assert sockets.open_count == 2
            # a payload, its acknowledgement, telemetry, heartbeats that are answered
            backend.acs[0].outbox.send(payload("m", Task(arn="t" * 300_000)))
            await until(lambda: bool(backend.acs[0].frames))
            assert backend.acs[0].frames == [
                AckRequest(message_id="m", cluster=CLUSTER, container_instance=INSTANCE)
            ]
            link.send(PublishHealthRequest(metadata=MetricsMetadata(message_id="h")))
            await until(lambda: bool(backend.tcs[0].frames))
            # the server closes: the client is back
            backend.acs[0].outbox.close()
            await until(lambda: len(backend.acs) == 2 and link.connected)
            assert backend.acs[0].ended.is_set()
            assert not backend.acs[1].connection.send_credentials
            # refused for good: the client stays away
            backend.refusal = AgentRefusedError("InactiveInstanceException", "gone")
            backend.acs[1].outbox.close()
            await until(lambda: backend.tcs[0].ended.is_set() and len(backend.tcs) == 2)
            assert not link.acs_connected.is_set()
            assert len(backend.acs) == 2
        await until(lambda: sockets.open_count == 0)


async def test_over_loopback_an_agent_that_does_not_answer_is_closed() -> None:
    import aiohttp

    backend = FakeBackend()
    async with asyncio.timeout(60), loopback(backend, heartbeat_seconds=0.05) as (url, _):
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/acs/ws?{ACS}") as socket:
            messages = [message async for message in socket]
            assert 2 <= len(messages) <= 4
            assert socket.close_code == 1011
        await until(backend.acs[0].ended.is_set)


async def test_over_loopback_shutdown_says_going_away() -> None:
    import aiohttp

    async with (
        asyncio.timeout(60),
        loopback(FakeBackend()) as (url, sockets),
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{url}/tcs/ws?{TCS}") as socket,
    ):
        await sockets.close()
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1001


async def test_over_loopback_a_stuck_agent_is_abandoned() -> None:
    """A peer that never reads: the kernel's buffers fill, then ours, then it is closed."""
    import socket as sockets_module

    backend = FakeBackend()
    async with (
        asyncio.timeout(60),
        loopback(backend, outbox_bytes_max=2 << 20, close_seconds=0.1) as (url, sockets),
    ):
        host, port = url.removeprefix("http://").split(":")
        with sockets_module.create_connection((host, int(port))) as peer:
            peer.sendall(
                f"GET /acs/ws?{ACS} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            await until(lambda: sockets.open_count == 1)
            session = backend.acs[0]
            for n in range(4000):
                session.outbox.send(payload(f"m-{n}", Task(arn="t" * 10_000)))
                if n % 20 == 0:
                    await asyncio.sleep(0)
            await until(session.ended.is_set)
            assert sockets.open_count == 0
