"""Secrets and environment files of tasks: fetched with the execution role, in virtual time.

Texts: what amazon-ecs-agent 1.105.1 reports (see `tests/e2e/test_official_agent.py`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from homeport.agentproto.messages import (
    Container,
    DockerConfig,
    EnvironmentFile,
    RoleCredentials,
    Secret,
    Task,
)
from homeport.node.api import ApiError, ApiUnreachableError
from homeport.node.ports import DriverError, RunState
from homeport.node.steps import environment
from tests.kit.node import container, task
from tests.unit.node.conftest import World

pytestmark = pytest.mark.looptime

SECRET_ARN = "arn:aws:secretsmanager:us-east-1:000000000000:secret:db-AbCdEf"
VALUE = "hunter2-correct-horse"
IN_PARAMETER_STORE = "Fetching secret data from SSM Parameter Store in us-east-1: "
GET_SECRET = "operation error Secrets Manager: GetSecretValue, "
GET_PARAMETERS = "operation error SSM: GetParameters, "
REFUSED = "https response error StatusCode: 400, RequestID: 7b1f-request, "


def role(name: str = "exec-1", *, empty: bool = False) -> RoleCredentials:
    made = {} if empty else {"access_key_id": "ASIAEXEC", "secret_access_key": "s", "session_token": "t"}
    return RoleCredentials(
        credentials_id=name,
        role_arn="arn:aws:iam::000000000000:role/exec",
        expiration="2099-01-01T00:00:00Z",
        **made,
    )


def asm(name: str, tail: str = "", **members: Any) -> Secret:
    return Secret(name=name, value_from=SECRET_ARN + tail, region="us-east-1", provider="asm", **members)


def ssm(name: str, value_from: str, region: str = "us-east-1", **members: Any) -> Secret:
    return Secret(name=name, value_from=value_from, region=region, provider="ssm", **members)


def wants(*secrets: Secret, name: str = "app", **members: Any) -> Container:
    return container(name, secrets=secrets, **members)


def parameters(**values: str) -> Callable[[dict[str, Any]], Any]:
    """GetParameters with slashes for double underscores: `a__b` is `/a/b`."""
    known = {"/" + name.replace("__", "/"): value for name, value in values.items()}

    def answer(request: dict[str, Any]) -> Any:
        assert request["WithDecryption"] is True
        assert len(request["Names"]) <= 10
        return {
            "Parameters": [{"Name": n, "Value": known[n]} for n in request["Names"] if n in known],
            "InvalidParameters": [n for n in request["Names"] if n not in known],
        }

    return answer


def secret(text: str = VALUE) -> Callable[[dict[str, Any]], Any]:
    def answer(request: dict[str, Any]) -> Any:
        return {"Name": "db", "SecretString": text, "VersionId": request.get("VersionId", "v")}

    return answer


def refuses(code: str, message: str, status: int = 400) -> Callable[[dict[str, Any]], Any]:
    def answer(request: dict[str, Any]) -> Any:
        del request
        raise ApiError(code, message, status, "7b1f-request")

    return answer


def env(world: World, name: str = "app") -> dict[str, str]:
    (docker_name,) = world.names(name)
    pairs = (entry.partition("=") for entry in world.machine.containers[docker_name].spec.config["Env"])
    return {key: value for key, _, value in pairs}


async def reason_of(world: World, wanted: Task) -> str:
    world.plane.run_task(wanted)
    report = await world.plane.until(wanted.arn, "STOPPED")
    assert world.events("create") == []
    return str(report["reason"])


async def test_secrets_become_the_environment_of_the_containers_that_name_them(world: World) -> None:
    world.plane.answers["GetSecretValue"] = secret(json.dumps({"user": "ann", "port": 5432}))
    world.plane.answers["GetParameters"] = parameters(a__b=VALUE)
    async with world.node():
        wanted = task(
            "a",
            wants(asm("USER", ":user::"), asm("PORT", ":port::"), ssm("P", "/a/b"), environment={"X": "y"}),
            wants(asm("ALL"), name="side"),
            container("bare"),
            execution_role_credentials=role(),
        )
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        mine = env(world)
        assert (mine["USER"], mine["PORT"], mine["P"], mine["X"]) == ("ann", "5432", VALUE, "y")
        assert json.loads(env(world, "side")["ALL"]) == {"user": "ann", "port": 5432}
        assert not {"USER", "PORT", "P", "ALL"} & env(world, "bare").keys()
        fetched = [call for call in world.plane.signed if call[0].startswith("Get")]
        assert sorted(fetched) == [
            ("GetParameters", "ASIAEXEC", "us-east-1"),
            ("GetSecretValue", "ASIAEXEC", "us-east-1"),
        ], "each secret is fetched once, with the execution role"


async def test_stage_version_and_region_are_asked_for(world: World) -> None:
    world.plane.answers["GetSecretValue"] = secret()
    world.plane.answers["GetParameters"] = parameters(p=VALUE)
    far = Secret(
        name="FAR",
        value_from="arn:aws:ssm:eu-west-1:000000000000:parameter/p",
        region="eu-west-1",
        provider="ssm",
    )
    world.plane.answers["GetParameters"] = lambda request: {
        "Parameters": [{"Name": "/p", "ARN": request["Names"][0], "Value": VALUE}]
    }
    async with world.node():
        wanted = task(
            "a",
            wants(asm("OLD", "::AWSPREVIOUS:"), asm("PINNED", ":::v-1"), far),
            execution_role_credentials=role(),
        )
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        asked = [request for operation, request in world.plane.calls if operation == "GetSecretValue"]
        assert asked == [
            {"SecretId": SECRET_ARN, "VersionStage": "AWSPREVIOUS"},
            {"SecretId": SECRET_ARN, "VersionId": "v-1"},
        ]
        assert ("GetParameters", "ASIAEXEC", "eu-west-1") in world.plane.signed
        assert env(world)["FAR"] == VALUE


async def test_parameters_are_fetched_ten_at_a_time(world: World) -> None:
    names = {f"p{number}": str(number) for number in range(23)}
    world.plane.answers["GetParameters"] = parameters(**names)
    async with world.node():
        secrets = [ssm(name.upper(), f"/{name}") for name in names]
        wanted = task("a", wants(*secrets), execution_role_credentials=role())
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        mine = env(world)
        assert {name.upper(): mine[name.upper()] for name in names} == {
            name.upper(): value for name, value in names.items()
        }
        assert len([call for call in world.plane.calls if call[0] == "GetParameters"]) == 3


async def test_log_options_that_are_secrets_reach_docker_alone(world: World) -> None:
    world.plane.answers["GetParameters"] = parameters(token=VALUE)
    log = {"LogConfig": {"Type": "splunk", "Config": {"splunk-url": "http://logs"}}}
    app = Container(
        name="app",
        image="app:1",
        command=("stay",),
        secrets=(ssm("splunk-token", "/token", target="LOG_DRIVER"),),
        docker_config=DockerConfig(host_config=json.dumps(log)),
    )
    async with world.node() as agent:
        wanted = task("a", app, execution_role_credentials=role())
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        (docker_name,) = world.names("app")
        config = world.machine.containers[docker_name].spec.host_config["LogConfig"]["Config"]
        assert config["splunk-token"] == VALUE
        assert "splunk-token" not in env(world)
        owner = agent.engine.find(wanted.arn)
        assert owner is not None
        assert owner.record.statuses["app"].log_options == {"splunk-url": "http://logs"}
    assert VALUE.encode() not in world.disk.data


async def test_what_is_fetched_is_never_written_down(world: World) -> None:
    world.plane.answers["GetSecretValue"] = secret()
    async with world.node():
        wanted = task("a", wants(asm("S")), execution_role_credentials=role())
        world.plane.run_task(wanted)
        report = await world.plane.until(wanted.arn, "RUNNING")
        assert VALUE not in json.dumps(report)
        (name,) = world.names("app")
        assert VALUE not in json.dumps(world.machine.containers[name].spec.config["Labels"])
    assert wanted.arn.encode() in world.disk.data
    assert VALUE.encode() not in world.disk.data
    assert b"ASIAEXEC" not in world.disk.data


async def test_a_role_that_may_not_stops_the_task_with_the_denial_and_its_request(world: World) -> None:
    denial = "User: arn:aws:sts::000000000000:assumed-role/exec/a is not authorized to perform: x"
    world.plane.answers["GetSecretValue"] = refuses("AccessDeniedException", denial)
    async with world.node():
        wanted = task("a", wants(asm("S", ":key::")), execution_role_credentials=role())
        assert await reason_of(world, wanted) == (
            f"Secret {SECRET_ARN}: {GET_SECRET}{REFUSED}api error AccessDeniedException: {denial}"
        )
        assert len([call for call in world.plane.calls if call[0] == "GetSecretValue"]) == 1


async def test_a_secret_that_is_not_there_is_told(world: World) -> None:
    text = "Secrets Manager can't find the specified secret."
    world.plane.answers["GetSecretValue"] = refuses("ResourceNotFoundException", text)
    async with world.node():
        wanted = task("a", wants(asm("S")), execution_role_credentials=role())
        assert await reason_of(world, wanted) == (
            f"ResourceNotFoundException: The task can't retrieve the secret with ARN '{SECRET_ARN}' from AWS "
            "Secrets Manager. Check whether the secret exists in the specified Region: "
            f"{GET_SECRET}{REFUSED}ResourceNotFoundException: {text}"
        )


async def test_parameters_that_are_not_there_are_told(world: World) -> None:
    world.plane.answers["GetParameters"] = parameters(b=VALUE)
    async with world.node():
        secrets = (ssm("A", "/a"), ssm("B", "/b"), ssm("C", "/c"))
        wanted = task("a", wants(*secrets), execution_role_credentials=role())
        assert await reason_of(world, wanted) == f"{IN_PARAMETER_STORE}invalid parameters: /a,/c"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (json.dumps({"other": VALUE}), "Retrieved secret from Secrets Manager did not contain json key key"),
        (VALUE, "Retrieved secret from Secrets Manager is not a JSON object: it has no json key key"),
    ],
    ids=["lacks the key", "is no JSON"],
)
async def test_a_key_that_is_not_there_is_told_without_the_value(world: World, text: str, told: str) -> None:
    world.plane.answers["GetSecretValue"] = secret(text)
    async with world.node():
        wanted = task("a", wants(asm("S", ":key::")), execution_role_credentials=role())
        assert await reason_of(world, wanted) == told


async def test_a_binary_secret_is_no_text(world: World) -> None:
    world.plane.answers["GetSecretValue"] = {"SecretBinary": "aHVudGVyMg=="}
    async with world.node():
        wanted = task("a", wants(asm("S")), execution_role_credentials=role())
        assert "it is binary" in await reason_of(world, wanted)


async def test_every_failure_is_told_once(world: World) -> None:
    world.plane.answers["GetSecretValue"] = refuses("InvalidRequestException", "it was deleted")
    world.plane.answers["GetParameters"] = parameters()
    async with world.node():
        secrets = (asm("S"), asm("T", ":a"), ssm("P", "/p"))
        wanted = task("a", wants(*secrets), wants(asm("S"), name="side"), execution_role_credentials=role())
        first, second, third = (await reason_of(world, wanted)).split(";")
        assert {"InvalidRequestException" in each for each in (first, second)} == {True, False}
        assert "invalid ARN format" in first + second
        assert third == f"{IN_PARAMETER_STORE}invalid parameters: /p"


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (asm("S"), "ASM secret resource: unable to find execution role credentials"),
        (ssm("S", "/p"), "Ssm secret resource: unable to find execution role credentials"),
    ],
    ids=["asm", "ssm"],
)
async def test_without_an_execution_role_nothing_is_fetched(world: World, wanted: Secret, told: str) -> None:
    async with world.node():
        assert await reason_of(world, task("a", wants(wanted))) == told


async def test_a_short_trouble_fails_nothing(world: World) -> None:
    answers = iter(
        [
            refuses("InternalServiceError", "later", 500),
            refuses("ThrottlingException", "slowly"),
            secret(),
        ]
    )

    def answer(request: dict[str, Any]) -> Any:
        return next(answers)(request)

    world.plane.answers["GetSecretValue"] = answer
    async with world.node():
        wanted = task("a", wants(asm("S")), execution_role_credentials=role())
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        assert env(world)["S"] == VALUE


async def test_trouble_that_stays_stops_the_task(world: World) -> None:
    world.plane.answers["GetSecretValue"] = refuses("InternalServiceError", "never", 500)
    async with world.node():
        wanted = task("a", wants(asm("S")), execution_role_credentials=role())
        reason = await reason_of(world, wanted)
        assert reason.endswith(
            "attempts, 3, https response error StatusCode: 500, RequestID: 7b1f-request, "
            "InternalServiceError: never"
        )
        tried = [call for call in world.plane.calls if call[0] == "GetSecretValue"]
        assert len(tried) == environment.ATTEMPTS


async def test_a_control_plane_that_is_away_is_waited_for(world: World) -> None:
    world.plane.answers["GetSecretValue"] = secret()
    async with world.node():
        wanted = task("a", wants(asm("S")), execution_role_credentials=role())
        world.plane.run_task(wanted)
        await asyncio.sleep(0)
        world.plane.go_down()
        await asyncio.sleep(environment.AWAY_SECONDS_MAX - 20)
        assert world.events("create") == []
        world.plane.come_up()
        await world.plane.until(wanted.arn, "RUNNING")
        assert env(world)["S"] == VALUE


async def test_a_store_that_stays_away_stops_the_task(world: World) -> None:
    def away(request: dict[str, Any]) -> Any:
        del request
        raise ApiUnreachableError("http://elsewhere: nobody there")

    world.plane.answers["GetParameters"] = away
    async with world.node():
        wanted = task("a", wants(ssm("S", "/p")), execution_role_credentials=role())
        began = asyncio.get_running_loop().time()
        reason = await reason_of(world, wanted)
        assert reason.startswith(f"{IN_PARAMETER_STORE}{GET_PARAMETERS}exceeded maximum number of attempts, ")
        assert reason.endswith(
            ", https response error StatusCode: 0, RequestID: , request send failed, "
            "http://elsewhere: nobody there"
        )
        assert asyncio.get_running_loop().time() - began == pytest.approx(
            environment.AWAY_SECONDS_MAX, abs=13
        )


async def test_a_task_that_is_stopped_meanwhile_fetches_no_more(world: World) -> None:
    world.plane.answers["GetSecretValue"] = refuses("InternalServiceError", "later", 500)
    async with world.node():
        wanted = task("a", wants(asm("S")), execution_role_credentials=role())
        world.plane.run_task(wanted)
        await asyncio.sleep(0.1)
        world.plane.stop_task(wanted.arn)
        report = await world.plane.until(wanted.arn, "STOPPED")
        assert report["reason"] == ""
        before = len(world.plane.calls)
        await asyncio.sleep(60)
        assert "GetSecretValue" not in [operation for operation, _ in world.plane.calls[before:]]


async def test_an_agent_that_was_killed_fetches_again_what_is_not_created_yet(world: World) -> None:
    world.plane.answers["GetSecretValue"] = secret()
    wanted = task("a", wants(asm("S")), execution_role_credentials=role())
    world.machine.slow["create"] = 50.0
    async with world.node():
        world.plane.run_task(wanted)
        await asyncio.sleep(1)
        assert world.events("create") == []
    world.machine.slow.clear()
    world.plane.answers["GetSecretValue"] = secret("second-value")
    world.plane.tasks[wanted.arn].delivered = False  # an agent that connects is sent credentials again
    async with world.node():
        await world.plane.until(wanted.arn, "RUNNING")
        assert env(world)["S"] == "second-value"


async def test_a_running_container_is_adopted_without_fetching(world: World) -> None:
    world.plane.answers["GetSecretValue"] = secret()
    wanted = task("a", wants(asm("S")), execution_role_credentials=role())
    async with world.node():
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
    world.plane.answers["GetSecretValue"] = refuses("AccessDeniedException", "no more")
    before = len(world.plane.calls)
    async with world.node():
        await asyncio.sleep(30)
        assert env(world)["S"] == VALUE
        assert world.plane.tasks[wanted.arn].status == "RUNNING"
        assert "GetSecretValue" not in [operation for operation, _ in world.plane.calls[before:]]


async def test_docker_quoting_a_value_is_not_repeated(world: World) -> None:
    world.plane.answers["GetParameters"] = parameters(token=VALUE)

    def quote(started: Any) -> None:
        started.state = RunState.CREATED
        started.error = f"failed to initialize logging driver: bad option {VALUE}"
        raise DriverError("CannotStartContainerError", started.error)

    world.machine.on_start = quote
    async with world.node():
        wanted = task("a", wants(ssm("TOKEN", "/token")), execution_role_credentials=role())
        world.plane.run_task(wanted)
        report = await world.plane.until(wanted.arn, "STOPPED")
        assert "bad option ****" in json.dumps(report)
        assert VALUE not in json.dumps(report)
    assert VALUE.encode() not in world.disk.data


async def test_environment_files_come_before_the_environment(world: World) -> None:
    """Source: developer guide: `environment` wins over files, an earlier file over a later one."""
    world.plane.objects = {"b/one.env": b"A=one\nB=one\n", "b/two.env": b"B=two\nC=two\n"}
    files = tuple(EnvironmentFile(value=f"arn:aws:s3:::b/{name}.env", type="s3") for name in ("one", "two"))
    async with world.node():
        wanted = task(
            "a",
            container("app", environment_files=files, environment={"A": "own"}),
            execution_role_credentials=role(),
        )
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        mine = env(world)
        assert (mine["A"], mine["B"], mine["C"]) == ("own", "one", "two")
