"""The agent's machines. Source: reference, sections 4.3, 5 and 6."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st
from tests.kit.agent_wire import ANY_TEXT

from homeport.agentproto.client import (
    AcsClient,
    AgentIdentity,
    Ended,
    TcsClient,
    ended_with,
    refused_with,
)
from homeport.agentproto.effects import CloseSocket, Deliver, Dropped, SaveWatermark, SendFrame
from homeport.agentproto.messages import (
    AckPublishMetric,
    AckRequest,
    AttachInstanceNetworkInterfacesMessage,
    AttachTaskNetworkInterfacesMessage,
    ConfirmAttachmentMessage,
    Frame,
    HeartbeatAckRequest,
    HeartbeatMessage,
    IAMRoleCredentialsAckRequest,
    IAMRoleCredentialsMessage,
    NackRequest,
    PayloadMessage,
    PerformUpdateMessage,
    RoleCredentials,
    Task,
    TaskIdentifier,
    TaskManifestMessage,
    TaskStopVerificationAck,
    TaskStopVerificationMessage,
    encode_frame,
)
from homeport.agentproto.server import split_tcs
from homeport.agentproto.telemetry import sign_tcs_frame, upgrade_headers
from homeport.agentproto.urls import (
    AcsQuery,
    BadConnectQueryError,
    TcsQuery,
    connect_url,
    parse_acs_query,
    parse_tcs_query,
)
from homeport.core.sigv4 import Credentials

ME = AgentIdentity(
    cluster="default", container_instance="arn:aws:ecs:r:1:container-instance/i", docker_version="20.10"
)
ABOUT = {
    "cluster_arn": "arn:aws:ecs:r:1:cluster/c",
    "container_instance_arn": "arn:aws:ecs:r:1:container-instance/i",
}
RUNNING = (TaskIdentifier(task_arn="t-1"), TaskIdentifier(task_arn="t-2"))


def acs_client(
    *, watermark: int = 0, die: float = 0.0, running: tuple[TaskIdentifier, ...] = ()
) -> AcsClient:
    client = AcsClient(ME, dice=lambda: die, running_tasks=lambda: running, watermark=watermark)
    client.opened(0.0)
    return client


def hears(client: AcsClient, frame: Frame, now: float = 0.0) -> tuple[object, ...]:
    return client.received(encode_frame(frame), now)


# ---- liveness -----------------------------------------------------------------------------


@given(die=st.floats(0, 0.999))
def test_an_acs_socket_without_any_message_is_given_up_after_one_to_two_minutes(die: float) -> None:
    client = acs_client(die=die)
    assert 60 <= client.wake_at < 120
    (close,) = client.tick(client.wake_at)
    assert isinstance(close, CloseSocket)
    assert not close.clean


@given(die=st.floats(0, 0.999))
def test_a_busy_acs_socket_expires_after_half_an_hour_and_up_to_five_minutes(die: float) -> None:
    client = acs_client(die=die)
    now = 0.0
    while not (effects := client.tick(now)):
        now += 30
        hears(client, AckRequest(message_id="any decoded message counts"), now)
    assert effects == (CloseSocket("ConnectionExpired: Reconnect to continue"),)
    assert 30 * 60 <= now <= 35 * 60 + 30


def test_garbage_keeps_no_acs_socket_alive() -> None:
    client = acs_client()
    client.received("garbage", 59)
    assert client.wake_at == 60


def test_only_heartbeats_and_acknowledgements_keep_a_tcs_socket_alive() -> None:
    client = TcsClient(ME, dice=lambda: 0.0)
    client.opened(0)
    assert isinstance(client.received(encode_frame(AckRequest(message_id="m")), 50)[0], Dropped)
    assert isinstance(client.received("garbage", 50)[0], Dropped)
    assert client.wake_at == 60
    assert client.received(encode_frame(AckPublishMetric(message="ok")), 50) == ()
    assert client.wake_at == 110
    assert client.received(encode_frame(HeartbeatMessage()), 100) == ()
    assert client.tick(159) == ()
    assert client.tick(160) == (CloseSocket("nothing was received for too long"),)
    client.opened(200)
    for now in range(220, 200 + 1800, 20):
        client.received(encode_frame(HeartbeatMessage()), now)
        assert client.tick(now) == ()
    assert client.tick(2000) == (CloseSocket("ConnectionExpired: Reconnect to continue"),)


# ---- coming back --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        (1000, Ended.CLEAN),
        (1001, Ended.CLEAN),
        (1006, Ended.CLEAN),
        (1011, Ended.CLEAN),
        (None, Ended.CLEAN),
        (1002, Ended.FAILED),
        (1012, Ended.FAILED),
    ],
)
def test_close_codes_are_clean_or_not(code: int | None, ended: Ended) -> None:
    assert ended_with(code) is ended


def test_a_refusal_names_the_inactive_instance() -> None:
    assert refused_with('400 {"InactiveInstanceException":"gone"}') is Ended.INACTIVE
    assert refused_with('503 {"ServerException":"later"}') is Ended.FAILED


def test_a_clean_end_comes_back_at_once_and_failures_back_off() -> None:
    acs, tcs = acs_client(), TcsClient(ME, dice=lambda: 0.0)
    acs.closed(Ended.CLEAN, 0)
    assert [acs.closed(Ended.FAILED, 0) for _ in range(3)] == [0.25, 0.375, 0.5625]
    assert [acs.closed(Ended.FAILED, 0) for _ in range(300)][-1] == 120
    assert acs.closed(Ended.CLEAN, 0) == 0
    assert acs.closed(Ended.FAILED, 0) == 0.25
    assert [tcs.closed(Ended.FAILED, 0) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert tcs.closed(Ended.CLEAN, 0) == 0
    assert tcs.closed(Ended.FAILED, 0) == 1


@given(die=st.floats(0, 0.999), failures=st.integers(1, 200))
def test_every_delay_has_at_most_a_fifth_of_jitter(die: float, failures: int) -> None:
    plain, jittery = acs_client(), acs_client(die=die)
    for _ in range(failures):
        base, delay = plain.closed(Ended.FAILED, 0), jittery.closed(Ended.FAILED, 0)
        assert base <= delay <= base * 1.2


def test_an_acs_connection_that_lasted_forgets_earlier_failures() -> None:
    client = acs_client()
    for _ in range(5):
        client.closed(Ended.FAILED, 0)
    client.opened(100)
    assert client.closed(Ended.FAILED, 130) > 1
    client.opened(200)
    assert client.closed(Ended.FAILED, 260) == 0.25


def test_an_inactive_instance_stays_away_for_an_hour() -> None:
    assert acs_client().closed(Ended.INACTIVE, 0) == 3600


def test_credentials_are_asked_for_until_a_connect_worked() -> None:
    client = AcsClient(ME, dice=lambda: 0.0, running_tasks=lambda: ())
    assert client.query.send_credentials
    client.closed(Ended.FAILED, 0)
    assert client.query.send_credentials
    client.opened(1)
    client.closed(Ended.FAILED, 2)
    assert not client.query.send_credentials


# ---- messages -----------------------------------------------------------------------------


def test_a_heartbeat_is_answered_before_it_is_delivered() -> None:
    beat = HeartbeatMessage(message_id="h")
    assert hears(acs_client(), beat) == (SendFrame(HeartbeatAckRequest(message_id="h")), Deliver(beat))


def test_a_payload_is_delivered_with_stops_first_and_acknowledged_when_taken() -> None:
    credentials = RoleCredentials(credentials_id="id", expiration="2030-01-01T00:00:00Z")
    start = Task(arn="a", role_credentials=credentials)
    stop = Task(arn="b", desired_status="STOPPED")
    client = acs_client()
    (delivered,) = hears(client, PayloadMessage(message_id="m", tasks=(start, stop), **ABOUT))
    assert isinstance(delivered, Deliver)
    assert isinstance(delivered.frame, PayloadMessage)
    assert delivered.frame.tasks == (stop, start)
    assert client.taken(delivered.frame) == (
        SendFrame(
            IAMRoleCredentialsAckRequest(
                message_id="m", credentials_id="id", expiration="2030-01-01T00:00:00Z"
            )
        ),
        SendFrame(
            AckRequest(
                message_id="m",
                cluster=ABOUT["cluster_arn"],
                container_instance=ABOUT["container_instance_arn"],
            )
        ),
    )


@pytest.mark.parametrize("empty", ["message_id", "cluster_arn", "container_instance_arn"])
def test_a_payload_without_its_addresses_is_dropped(empty: str) -> None:
    frame = PayloadMessage(**{"message_id": "m", **ABOUT, empty: ""})
    (effect,) = hears(acs_client(), frame)
    assert isinstance(effect, Dropped)


def incomplete() -> Iterator[Frame]:
    """One required member missing in each. Source: reference, section 5.2, members with a star."""
    role = {"message_id": "m", "task_arn": "t", "role_type": "TaskExecution"}
    creds = RoleCredentials(credentials_id="c")
    yield from (IAMRoleCredentialsMessage(**{**role, k: ""}, role_credentials=creds) for k in role)
    yield IAMRoleCredentialsMessage(**role, role_credentials=RoleCredentials(credentials_id=""))
    eni = ({"attachmentArn": "a"},)
    whole = {
        "message_id": "m",
        **ABOUT,
        "task_arn": "t",
        "wait_timeout_ms": 5,
        "elastic_network_interfaces": eni,
    }
    for name, value in whole.items():
        nothing = {**whole, name: type(value)()}
        yield AttachTaskNetworkInterfacesMessage(**nothing)
        if name != "task_arn":
            del nothing["task_arn"]
            yield AttachInstanceNetworkInterfacesMessage(**nothing)
    confirm = {"message_id": "m", **ABOUT, "attachment": {"attachmentArn": "arn:aws:ecs:r:1:attachment/a"}}
    for name, value in confirm.items():
        yield ConfirmAttachmentMessage(**{**confirm, name: type(value)()})
    yield ConfirmAttachmentMessage(**{**confirm, "cluster_arn": "default"})


@pytest.mark.parametrize("frame", tuple(incomplete()), ids=lambda frame: type(frame).__name__)
def test_an_incomplete_message_is_dropped(frame: Frame) -> None:
    (effect,) = hears(acs_client(), frame)
    assert isinstance(effect, Dropped)


def test_attachments_are_acknowledged_at_once() -> None:
    ack = SendFrame(
        AckRequest(
            message_id="m", cluster=ABOUT["cluster_arn"], container_instance=ABOUT["container_instance_arn"]
        )
    )
    eni = ({"attachmentArn": "a"},)
    for frame in (
        AttachTaskNetworkInterfacesMessage(
            message_id="m", **ABOUT, task_arn="t", wait_timeout_ms=5, elastic_network_interfaces=eni
        ),
        AttachInstanceNetworkInterfacesMessage(
            message_id="m", **ABOUT, wait_timeout_ms=5, elastic_network_interfaces=eni
        ),
        ConfirmAttachmentMessage(
            message_id="m", **ABOUT, attachment={"attachmentArn": "arn:aws:ecs:r:1:attachment/a"}
        ),
    ):
        assert hears(acs_client(), frame) == (ack, Deliver(frame))
        assert acs_client().taken(frame) == ()


def test_updates_are_refused() -> None:
    (effect,) = hears(acs_client(), PerformUpdateMessage(message_id="m", **ABOUT))
    assert isinstance(effect, SendFrame)
    assert isinstance(effect.frame, NackRequest)
    assert effect.frame.reason


def manifest(timeline: int, *listed: TaskIdentifier, message_id: str = "m") -> TaskManifestMessage:
    return TaskManifestMessage(message_id=message_id, timeline=timeline, tasks=listed, **ABOUT)


def test_a_manifest_saves_its_number_before_it_is_acknowledged_and_asks_about_strangers() -> None:
    client = acs_client(running=RUNNING)
    listed = (RUNNING[0], TaskIdentifier(task_arn="t-2", desired_status="STOPPED"))
    saved, ack, question = hears(client, manifest(5, *listed))
    assert saved == SaveWatermark(5)
    assert isinstance(ack, SendFrame)
    assert isinstance(ack.frame, AckRequest)
    stranger = TaskIdentifier(task_arn="t-2", task_cluster_arn=ABOUT["cluster_arn"], desired_status="STOPPED")
    assert question == SendFrame(TaskStopVerificationMessage(message_id="m", stop_candidates=(stranger,)))


def test_a_manifest_that_lists_everything_asks_nothing() -> None:
    client = acs_client(running=RUNNING)
    assert len(hears(client, manifest(5, *RUNNING))) == 2
    (effect,) = hears(client, TaskStopVerificationAck(message_id="m"))
    assert isinstance(effect, Dropped)


def test_a_manifest_must_be_newer_than_manifests_payloads_and_the_saved_number() -> None:
    client = acs_client(watermark=5)
    assert isinstance(hears(client, manifest(5))[0], Dropped)
    assert hears(client, manifest(6))[0] == SaveWatermark(6)
    hears(client, PayloadMessage(message_id="p", seq_num=9, **ABOUT))
    assert isinstance(hears(client, manifest(9))[0], Dropped)
    assert hears(client, manifest(10))[0] == SaveWatermark(10)


def test_only_the_first_answer_to_the_last_question_stops_tasks() -> None:
    client = acs_client(running=RUNNING)
    hears(client, manifest(1, message_id="one"))
    hears(client, manifest(2, message_id="two"))
    answer = TaskStopVerificationAck(message_id="two", stop_tasks=RUNNING)
    assert isinstance(hears(client, TaskStopVerificationAck(message_id="one"))[0], Dropped)
    assert hears(client, answer) == (Deliver(answer),)
    assert isinstance(hears(client, answer)[0], Dropped)


@given(st.lists(st.tuples(st.booleans(), ANY_TEXT), max_size=30))
def test_no_order_of_frames_and_garbage_crashes_or_closes_a_client(script: list[tuple[bool, str]]) -> None:
    acs, tcs = acs_client(running=RUNNING), TcsClient(ME, dice=lambda: 0.0)
    tcs.opened(0)
    for taken, text in script:
        effects = acs.received(text, 1.0) + tcs.received(text, 1.0)
        for effect in effects:
            assert not isinstance(effect, CloseSocket)
            if taken and isinstance(effect, Deliver):
                acs.taken(effect.frame)


# ---- URLs and signatures ------------------------------------------------------------------

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)


@given(
    st.builds(
        AcsQuery,
        cluster=WORDS,
        container_instance=WORDS,
        agent_hash=WORDS,
        docker_version=WORDS.filter(lambda w: not w.startswith("DockerVersion")),
        send_credentials=st.booleans(),
        seq_num=st.integers(0, 2**40),
    ),
    st.builds(TcsQuery, cluster=WORDS, container_instance=WORDS, agent_version=WORDS),
)
def test_queries_survive_their_urls(acs: AcsQuery, tcs: TcsQuery) -> None:
    assert parse_acs_query(connect_url("http://h", acs).partition("?")[2]) == acs
    assert parse_tcs_query(connect_url("http://h", tcs).partition("?")[2]) == tcs


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://h:1", "ws://h:1/ws?"),
        ("http://h:1/", "ws://h:1/ws?"),
        ("https://h/acs", "wss://h/acs/ws?"),
        ("https://h/a/b/", "wss://h/a/b/ws?"),
    ],
)
def test_the_path_prefix_of_an_endpoint_is_kept(endpoint: str, url: str) -> None:
    assert connect_url(endpoint, TcsQuery(cluster="c", container_instance="i")).startswith(url)


@pytest.mark.parametrize("endpoint", ["ftp://h", "h:1", "", "http://"])
def test_other_schemes_are_no_endpoints(endpoint: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        connect_url(endpoint, TcsQuery(cluster="c", container_instance="i"))


@pytest.mark.parametrize(
    "query",
    [
        "",
        "clusterArn=c",
        "containerInstanceArn=i",
        "clusterArn=c&containerInstanceArn=i&seqNum=x",
        "clusterArn=c&containerInstanceArn=i&protocolVersion=-1",
        "&".join(f"a{n}=1" for n in range(100)),
    ],
)
def test_a_query_that_is_no_agents_is_refused(query: str) -> None:
    with pytest.raises(BadConnectQueryError):
        parse_acs_query(query)


@pytest.mark.parametrize("token", [None, "session/token+="])
@pytest.mark.parametrize("body", [b"", b'{"type":"PublishMetricsRequest","message":{}}'])
def test_signatures_are_the_ones_that_botocore_makes(token: str | None, body: bytes) -> None:
    url = connect_url("http://127.0.0.1:4566/acs", AcsQuery(cluster="my cluster", container_instance="a:b/c"))
    now = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    ours = Credentials(access_key_id="AKID", secret_access_key="S", session_token=token)
    oracle = AWSRequest("GET", url.replace("ws://", "http://").replace("+", "%20"), data=body)
    oracle.context["timestamp"] = "20300102T030405Z"
    oracle.headers["X-Amz-Date"] = "20300102T030405Z"
    if token:
        oracle.headers["X-Amz-Security-Token"] = token
    signer = SigV4Auth(BotocoreCredentials("AKID", "S", token), "ecs", "us-east-1")
    canonical = signer.canonical_request(oracle)
    signature = signer.signature(signer.string_to_sign(oracle, canonical), oracle)
    if body:
        frame = sign_tcs_frame(body.decode(), url=url, credentials=ours, region="us-east-1", now=now)
        headers, text = split_tcs(frame)
        assert text == body.decode()
        assert list(headers) == sorted(headers)
    else:
        headers = upgrade_headers(url, credentials=ours, region="us-east-1", now=now)
    assert headers["authorization"].endswith(f"Signature={signature}")
    assert headers["x-amz-date"] == "20300102T030405Z"
    assert headers.get("x-amz-security-token") == token
