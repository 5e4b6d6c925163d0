"""The metadata endpoint says what the real agent said. Source: recordings of amazon-ecs-agent 1.105.1."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kit.agent_metadata import FakeSource, Recorded, recordings, task_view

from homeport.agentproto.messages import Association, Container, RoleCredentials, Task
from homeport.node.drivers.docker_views import sample
from homeport.node.metadata.answer import Answer, Question
from homeport.node.metadata.callers import Caller, UnknowableCallerError
from homeport.node.metadata.endpoint import MetadataEndpoint
from homeport.node.metadata.introspection import IntrospectionEndpoint
from homeport.node.metadata.limiter import RateLimiter
from homeport.node.metadata.source import (
    ContainerView,
    InstanceView,
    Protection,
    ProtectionFailedError,
    ProtectionRefusedError,
    Tags,
    TaskView,
    Usage,
)
from homeport.node.metadata.view import wire_time
from homeport.node.ports import TaskInterface

MOMENTS = st.integers(0, 4_102_444_800_000_000).map(
    lambda micros: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
)

METADATA = recordings("metadata")
INTROSPECTION = recordings("introspection")
OWN = "618d849d-3c15-480a-a863-fbf872cc8b27"
ROLE = RoleCredentials(
    credentials_id="11111111-1111-1111-1111-111111111111",
    role_arn="arn:aws:iam::123456789012:role/task",
    access_key_id="ASIATASK",
    secret_access_key="sk",
    session_token="tok",
    expiration="2026-11-21T04:00:00Z",
)


def recorded_source() -> FakeSource:
    view = task_view(METADATA[f"/v4/{OWN}/task"].body, role_credentials=ROLE)
    source = FakeSource([view], {OWN: (view, "app")}, {ROLE.credentials_id: ROLE})
    for container in view.containers:
        if container.container.name == "app":
            raw = METADATA[f"/v4/{OWN}/stats"].body
            del raw["network_rate_stats"]
            now = sample(raw)
            assert now is not None
            source.usages[container.docker_name] = Usage(now=now)
    return source


async def ask(source: FakeSource, path: str, **how: Any) -> Answer:
    path, _, query = path.partition("?")
    pairs = dict(pair.split("=", 1) for pair in query.split("&") if pair)
    return await MetadataEndpoint([source]).answer(
        Question(path=path, query=pairs, remote="127.0.0.1", **how)
    )


class SomeVpcs:
    """VPCs named after what is asked for."""

    async def vpc_of(self, task_arn: str, *, interface_id: str, instance_id: str) -> str:
        assert task_arn.startswith("arn:aws:ecs:")
        return f"vpc-of-{interface_id or instance_id}"


@pytest.mark.parametrize(
    ("interfaces", "instance_id", "vpc_id"),
    [
        (({"ec2Id": "eni-1"},), "i-1", "vpc-of-eni-1"),
        ((), "i-1", "vpc-of-i-1"),
        (({"ec2Id": "eni-1"},), "", None),
    ],
    ids=["awsvpc", "bridge", "Fargate"],
)
async def test_a_task_on_an_instance_is_told_its_vpc(
    interfaces: tuple[dict[str, Any], ...], instance_id: str, vpc_id: str | None
) -> None:
    source = recorded_source()
    view, name = source.endpoints[OWN]
    task = msgspec.structs.replace(view.task, elastic_network_interfaces=interfaces)
    source.endpoints[OWN] = (replace(view, task=task, ec2_instance_id=instance_id), name)
    endpoint = MetadataEndpoint([source], vpcs=SomeVpcs())
    for version, rest, expected in (
        ("v4", "/task", vpc_id), ("v4", "/taskWithTags", vpc_id), ("v4", "", None), ("v3", "/task", None),
    ):  # fmt: skip
        asked = Question(path=f"/{version}/{OWN}{rest}", query={}, remote="127.0.0.1")
        assert json.loads((await endpoint.answer(asked)).body).get("VPCID") == expected


async def test_a_task_with_an_interface_is_known_by_its_address() -> None:
    """Source: developer guide, "Amazon ECS task metadata endpoint version 2"."""
    source = recorded_source()
    (view,) = source.known
    interface = TaskInterface(
        attachment_id="a", mac="02:00:00:00:00:09", address="172.31.0.9", subnet="172.31.0.0/20"
    )
    own = replace(view, containers=tuple(replace(one, interface=interface) for one in view.containers))
    ended = replace(
        own, task=msgspec.structs.replace(view.task, arn="of-one-that-ended"), known_status="STOPPED"
    )
    source.known = [ended, own]
    endpoint = MetadataEndpoint([source])

    async def told(path: str, remote: str = "172.31.0.9") -> tuple[int, Any]:
        answer = await endpoint.answer(Question(path=path, query={}, remote=remote))
        return answer.status, json.loads(answer.body)

    app = next(one for one in view.containers if one.container.name == "app")
    status, task = await told("/v2/metadata")
    assert (status, task["TaskARN"]) == (200, view.task.arn)
    assert {one["Name"] for one in task["Containers"]} == {one.container.name for one in view.containers}
    assert (await told("/v2/metadataWithTags"))[1]["TaskARN"] == view.task.arn
    assert (await told(f"/v2/metadata/{app.docker_id}"))[1]["Name"] == "app"
    assert (await told("/v2/stats"))[1].keys() >= {app.docker_id}
    assert (await told(f"/v2/stats/{app.docker_id}"))[1] == (await told("/v2/stats"))[1][app.docker_id]
    assert (await told("/v2/metadata/of-nobody"))[0] == 400
    for path in ("/v2/metadata", f"/v2/metadata/{app.docker_id}", "/v2/stats"):
        status, text = await told(path, "172.31.0.10")
        assert status == 400
        assert "unable to associate '172.31.0.10' with task" in text


def in_one_order(value: Any) -> Any:
    """Containers in the agent's answers come in any order."""
    if isinstance(value, dict) and isinstance(value.get("Containers"), list):
        return {**value, "Containers": sorted(value["Containers"], key=lambda each: each["Name"])}
    return value


@pytest.mark.parametrize(
    "recorded",
    [r for p, r in METADATA.items() if "task/stats" not in p and "/api/" not in p],
    ids=lambda r: r.path,
)
async def test_every_recorded_answer_is_given_again(recorded: Recorded) -> None:
    answer = await ask(recorded_source(), recorded.path)
    assert answer.status == recorded.status
    assert answer.content_type == recorded.headers["Content-Type"]
    if not answer.content_type.startswith("application/json"):
        assert answer.body.decode().rstrip("\n") == recorded.text
        return
    ours = json.loads(answer.body)
    assert in_one_order(ours) == in_one_order(recorded.body)
    if isinstance(ours, dict) and "DockerId" in ours:
        assert answer.body.decode() == recorded.text, "members in another order"


async def test_a_tasks_stats_are_keyed_by_docker_id_and_empty_for_the_stopped() -> None:
    source = recorded_source()
    body = json.loads((await ask(source, f"/v4/{OWN}/task/stats")).body)
    expected = {each.status.docker_id for each in source.known[0].containers if each.status}
    assert body.keys() == expected
    stopped = next(each for each in source.known[0].containers if each.container.name == "init")
    assert stopped.status is not None
    assert body[stopped.status.docker_id] == {}


@pytest.mark.parametrize(("seconds", "received", "rate"), [(2.0, 1000, 500.0), (0.0, 1000, 0), (1.0, -5, 0)])
async def test_rates_are_bytes_a_second_between_two_samples(
    seconds: float, received: int, rate: float
) -> None:
    source = recorded_source()
    (name, usage), *_ = source.usages.items()
    before = replace(
        usage.now,
        read_at=usage.now.read_at - timedelta(seconds=seconds),
        rx_bytes=usage.now.rx_bytes - received,
    )
    source.usages[name] = Usage(now=usage.now, before=before)
    rates = json.loads((await ask(source, f"/v4/{OWN}/stats")).body)["network_rate_stats"]
    assert rates == {"rx_bytes_per_sec": rate, "tx_bytes_per_sec": 0}


async def test_tags_and_what_could_not_be_read_are_shown() -> None:
    source = recorded_source()
    error = {"ErrorField": "ContainerInstanceTags", "ErrorCode": "AccessDeniedException"}
    source.task_tags = Tags(task={"a": "b"}, errors=(error,))
    body = json.loads((await ask(source, f"/v4/{OWN}/taskWithTags")).body)
    assert body["TaskTags"] == {"a": "b"}
    assert "ContainerInstanceTags" not in body
    assert body["Errors"] == [error]


class TestCredentials:
    async def test_no_id_is_a_mistake_of_its_own(self) -> None:
        for path in ("/v2/credentials", "/v1/credentials", "/v2/credentials/"):
            answer = await ask(recorded_source(), path)
            assert answer.status == 400
            assert json.loads(answer.body)["code"] == "NoIdInRequest"

    async def test_credentials_that_are_still_to_come_are_503(self) -> None:
        source = recorded_source()
        source.pending = {"later"}
        answer = await ask(source, "/v2/credentials/later")
        assert answer.status == 503
        assert json.loads(answer.body)["code"] == "CredentialsUninitialized"
        assert json.loads(answer.body)["HTTPErrorCode"] == 503

    async def test_one_instances_silence_does_not_hide_anothers_credentials(self) -> None:
        silent, knowing = FakeSource(pending={ROLE.credentials_id}), recorded_source()
        endpoint = MetadataEndpoint([silent])
        endpoint.add(knowing)
        question = Question(path=f"/v2/credentials/{ROLE.credentials_id}")
        assert (await endpoint.answer(question)).status == 200
        endpoint.remove(knowing)
        assert (await endpoint.answer(question)).status == 503

    async def test_writing_is_not_served(self) -> None:
        answer = await ask(recorded_source(), f"/v2/credentials/{ROLE.credentials_id}", method="POST")
        assert answer.status == 404

    @pytest.mark.parametrize(
        ("who", "status"), [("own", 200), ("other", 400), ("stranger", 400), ("hidden", 200)]
    )
    async def test_they_are_given_to_containers_of_the_task_alone(self, who: str, status: int) -> None:
        """To others the id is an unknown one. Who may not see processes cannot tell: knowing it must do."""
        source = recorded_source()
        source.credentials_task = "own"
        path = f"/v2/credentials/{ROLE.credentials_id}"
        asked = Question(path=path, remote=who, remote_port=7)
        told = await MetadataEndpoint([source], callers=Named()).answer(asked)
        assert told.status == status
        assert (b"SecretAccessKey" in told.body) is (status == 200)
        if status == 400:
            unknown = await MetadataEndpoint([source], callers=Named()).answer(
                Question(path="/v2/credentials/x", remote=who)
            )
            assert told.body == unknown.body

    async def test_nor_do_others_learn_that_they_are_still_to_come(self) -> None:
        source = FakeSource(pending={"later"}, credentials_task="own")
        endpoint = MetadataEndpoint([source], callers=Named())
        assert (await endpoint.answer(Question(path="/v2/credentials/later", remote="other"))).status == 400
        assert (await endpoint.answer(Question(path="/v2/credentials/later", remote="own"))).status == 503

    @pytest.mark.parametrize(
        "path",
        [
            "/v2/credentials/../credentials/{id}",
            "/v2/credentials//{id}",
            "/v2//credentials/{id}",
            "/v2/credentials/{id}/",
            "/v2/credentials/{id}/x",
            "/v2/credentials/./{id}",
            "/v3/credentials/{id}",
            "/V2/credentials/{id}",
            "/v2/credentials/%2e%2e/{id}",
            "/v1/credentials/{id}",
            "/v1/credentials",
            "/api/{id}/credentials",
            "/v4/{id}/credentials",
        ],
    )
    async def test_detours_lead_to_nobody_elses(self, path: str) -> None:
        source = recorded_source()
        source.credentials_task = "own"
        asked = Question(path=path.format(id=ROLE.credentials_id), remote="other")
        told = await MetadataEndpoint([source], callers=Named()).answer(asked)
        assert (told.status in (400, 404), b"SecretAccessKey" in told.body) == (True, False)


class Named:
    """Callers whose address is their task."""

    async def of(self, address: str, port: int) -> Caller | None:
        del port
        if address == "hidden":
            raise UnknowableCallerError(address)
        return None if address == "stranger" else Caller(instance="i", task=address)


class TestAssociations:
    async def test_only_the_containers_own_are_shown(self) -> None:
        mine = Association(
            name="d1", type="gpu", containers=("app",), content={"value": "aGk=", "encoding": "base64"}
        )
        others = Association(name="d2", type="gpu", containers=("db",))
        view = task_view(METADATA[f"/v4/{OWN}/task"].body, associations=(mine, others))
        source = FakeSource([view], {OWN: (view, "app")})
        assert json.loads((await ask(source, f"/v4/{OWN}/associations/gpu")).body) == {"Associations": ["d1"]}
        assert (await ask(source, f"/v4/{OWN}/associations/gpu/d1")).body == b"hi"
        assert (await ask(source, f"/v4/{OWN}/associations/gpu/d2")).status == 404


class TestTaskProtection:
    PATH = f"/api/{OWN}/task-protection/v1/state"
    ARN = "arn:aws:ecs:us-east-1:123456789012:task/default/0000000000000000000000000000001e"

    async def test_the_state_is_read(self) -> None:
        source = recorded_source()
        source.protected = Protection(task_arn=self.ARN, enabled=False)
        answer = await ask(source, self.PATH)
        assert json.loads(answer.body) == {"protection": {"ProtectionEnabled": False, "TaskArn": self.ARN}}

    async def test_the_state_is_set_for_a_while(self) -> None:
        source = recorded_source()
        until = datetime(2030, 1, 1, tzinfo=UTC)
        source.protected = Protection(task_arn=self.ARN, enabled=True, expires_at=until)
        body = b'{"ProtectionEnabled":true,"ExpiresInMinutes":60}'
        answer = await ask(source, self.PATH, method="PUT", body=body)
        assert source.asked == [(True, 60)]
        assert json.loads(answer.body)["protection"]["ExpirationDate"] == "2030-01-01T00:00:00Z"

    @pytest.mark.parametrize(
        "body", [b"", b"{}", b"[]", b'{"ProtectionEnabled":"yes"}', b'{"ProtectionEnabled":true,"Unknown":1}']
    )
    async def test_a_body_that_is_not_exactly_right_is_refused(self, body: bytes) -> None:
        source = recorded_source()
        answer = await ask(source, self.PATH, method="PUT", body=body)
        assert answer.status == 400
        assert json.loads(answer.body)["error"]["Code"] == "InvalidParameterException"
        assert source.asked == []

    async def test_a_task_without_a_role_may_not_ask(self) -> None:
        view = task_view(METADATA[f"/v4/{OWN}/task"].body)
        answer = await ask(FakeSource([view], {OWN: (view, "app")}), self.PATH)
        assert answer.status == 403

    async def test_ecs_failures_and_errors_are_passed_on(self) -> None:
        source = recorded_source()
        source.protected = ProtectionRefusedError(
            arn=self.ARN, reason="TASK_NOT_VALID", detail="not of a service"
        )
        answer = await ask(source, self.PATH)
        assert (answer.status, json.loads(answer.body)) == (
            200,
            {"failure": {"Arn": self.ARN, "Reason": "TASK_NOT_VALID", "Detail": "not of a service"}},
        )
        source.protected = ProtectionFailedError(
            code="ServerException", message="no", status=500, request_id="r"
        )
        answer = await ask(source, self.PATH)
        assert answer.status == 500
        assert json.loads(answer.body) == {
            "error": {"Arn": self.ARN, "Code": "ServerException", "Message": "no"},
            "requestID": "r",
        }

    async def test_an_unknown_container_is_not_found(self) -> None:
        assert (await ask(recorded_source(), "/api/nobody/task-protection/v1/state")).status == 404
        assert (
            await ask(recorded_source(), f"/api/{OWN}/fault/v1/network-latency/start", method="POST")
        ).status == 404


class TestIntrospection:
    async def test_recorded_answers_are_given_again(self) -> None:
        source = recorded_source()
        identity = INTROSPECTION["/v1/metadata"].body
        source.who = InstanceView(
            cluster=identity["Cluster"],
            container_instance_arn=identity["ContainerInstanceArn"],
            version=identity["Version"],
        )
        endpoint = IntrospectionEndpoint(source)
        assert (await endpoint.answer(Question(path="/v1/metadata"))).body.decode() == INTROSPECTION[
            "/v1/metadata"
        ].text
        arn = source.known[0].task.arn
        one = await endpoint.answer(Question(path="/v1/tasks", query={"taskarn": arn}))
        assert in_one_order(json.loads(one.body)) == in_one_order(
            INTROSPECTION[f"/v1/tasks?taskarn={arn}"].body
        )
        every = json.loads((await endpoint.answer(Question(path="/v1/tasks"))).body)
        assert every == {"Tasks": [json.loads(one.body)]}
        docker_id = source.known[0].containers[0].status.docker_id  # type: ignore[union-attr]
        by_container = await endpoint.answer(Question(path="/v1/tasks", query={"dockerid": docker_id[:12]}))
        assert by_container == one
        missing = await endpoint.answer(Question(path="/v1/tasks", query={"dockerid": "xx"}))
        assert missing.status == 404
        assert missing.body.decode() == INTROSPECTION["/v1/tasks?dockerid=xx"].text
        root = await endpoint.answer(Question(path="/"))
        assert root.body.decode() == INTROSPECTION["/"].text

    async def test_a_task_that_has_done_nothing_yet_has_no_status(self) -> None:
        container = Container(name="app", image="bb:1")
        view = ContainerView(
            container=container, docker_name="ecs-x", desired_status="RUNNING", known_status="NONE"
        )
        task = TaskView(
            task=Task(arn="arn:t"),
            cluster="c",
            desired_status="RUNNING",
            known_status="NONE",
            containers=(view,),
        )
        answer = await IntrospectionEndpoint(FakeSource([task])).answer(Question(path="/v1/tasks"))
        (shown,) = json.loads(answer.body)["Tasks"]
        assert shown["KnownStatus"] == ""
        assert shown["Containers"] == [{"DockerId": "", "DockerName": "ecs-x", "Name": "app"}]


class TestRateLimit:
    def test_a_burst_of_sixty_and_then_forty_a_second(self) -> None:
        limiter = RateLimiter()
        assert [limiter.admit("a", 100.0) for _ in range(61)] == [True] * 60 + [False]
        assert [limiter.admit("a", 101.0) for _ in range(41)] == [True] * 40 + [False]

    def test_patience_is_not_saved_up_beyond_the_burst(self) -> None:
        limiter = RateLimiter()
        limiter.admit("a", 0.0)
        assert sum(limiter.admit("a", 3600.0) for _ in range(200)) == 60

    def test_one_callers_haste_is_not_anothers(self) -> None:
        limiter = RateLimiter()
        while limiter.admit("a", 1.0):
            pass
        assert limiter.admit("b", 1.0)

    @given(st.lists(st.floats(0, 0.2), max_size=300))
    def test_never_more_than_the_burst_and_the_rate_allow(self, gaps: list[float]) -> None:
        limiter = RateLimiter()
        now, admitted = 0.0, 0
        for gap in gaps:
            now += gap
            admitted += limiter.admit("a", now)
            assert admitted <= 60 + 40 * now + 1e-6

    def test_strangers_do_not_fill_the_memory(self) -> None:
        limiter = RateLimiter()
        for number in range(10_000):
            limiter.admit(str(number), 1.0)
        assert len(limiter._buckets) <= 4096


@given(MOMENTS)
def test_times_are_read_back_as_they_were(instant: datetime) -> None:
    text = wire_time(instant)
    assert text is not None
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == instant


@given(
    st.lists(
        st.sampled_from(["v1", "v2", "v3", "v4", "task", "stats", "credentials", "api", OWN, "", "..", "%2e"])
    )
)
async def test_no_path_makes_it_fail(parts: list[str]) -> None:
    answer = await ask(recorded_source(), "/" + "/".join(parts))
    assert answer.status in {200, 400, 404}
