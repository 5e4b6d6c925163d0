"""The instance metadata service: nothing without a token, nothing of another instance.

Source: EC2 user guide, "Use the Instance Metadata Service to access instance metadata"; reference, iam 5.
"""

from __future__ import annotations

import json
import socket
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.agentproto.messages import RoleCredentials
from homeport.core.ids import SeededIds
from homeport.node.imds.endpoint import TOKEN_HEADER, TOKEN_PATH, TTL_HEADER, ImdsEndpoint
from homeport.node.imds.instance import InstanceFacts, ProfileCredentials
from homeport.node.imds.tokens import Tokens, ttl_of
from homeport.node.metadata.answer import Answer, Question
from homeport.node.metadata.callers import Caller, UnknowableCallerError
from homeport.node.metadata.server import imds_server

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
META = "/latest/meta-data"
ROLES = f"{META}/iam/security-credentials"


class MovingClock:
    """A clock that a test puts forward."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at


class ByAddress:
    """Callers by their addresses."""

    def __init__(self) -> None:
        self.known = {
            "172.17.0.2": Caller(instance="instance-1", task="task-1"),
            "172.17.0.3": Caller(instance="instance-2", task="task-2"),
            "172.17.0.4": Caller(instance="instance-of-another-homeport", task="task-3"),
        }

    async def of(self, address: str, port: int) -> Caller | None:
        del port
        if address == "hidden":
            raise UnknowableCallerError(address)
        return self.known.get(address)


class Profiles:
    """Each instance's credentials are named after it."""

    def __init__(self) -> None:
        self.without: set[str] = set()

    async def credentials(self, instance_id: str) -> ProfileCredentials | None:
        if instance_id in self.without:
            return None
        return ProfileCredentials(
            profile_arn="arn:aws:iam::000000000000:instance-profile/homeport-instance",
            profile_id="AIPA1",
            role_name="hosts",
            credentials=RoleCredentials(
                credentials_id=instance_id,
                access_key_id=f"ASIA-{instance_id}",
                secret_access_key="secret",
                session_token="token",
                expiration="2030-01-01T18:00:00Z",
            ),
            updated_at=NOON,
        )


def facts(number: int) -> InstanceFacts:
    return InstanceFacts(
        instance_id=f"i-{number}",
        instance_type="homeport.local",
        region="us-east-1",
        availability_zone="us-east-1a",
        local_ipv4=f"172.31.0.{number}",
        account_id="000000000000",
        architecture="x86_64",
        started_at=NOON,
    )


class World:
    def __init__(self) -> None:
        self.clock, self.profiles = MovingClock(), Profiles()
        self.imds = ImdsEndpoint(ByAddress(), self.profiles, self.clock, SeededIds(1))
        for number in (1, 2):
            self.imds.add(f"instance-{number}", facts(number))

    async def ask(
        self, path: str, *, method: str = "GET", remote: str = "172.17.0.2", **headers: str
    ) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.imds.answer(Question(method=method, path=path, remote=remote, headers=named))

    async def token(self, ttl: str = "60", remote: str = "172.17.0.2") -> str:
        asked = Question(method="PUT", path=TOKEN_PATH, remote=remote, headers={TTL_HEADER: ttl})
        answer = await self.imds.answer(asked)
        assert (answer.status, answer.headers) == (200, {TTL_HEADER: ttl})
        return answer.body.decode()

    async def read(self, path: str, token: str, remote: str = "172.17.0.2") -> Answer:
        return await self.imds.answer(Question(path=path, remote=remote, headers={TOKEN_HEADER: token}))


@pytest.fixture
def world() -> World:
    return World()


class TestWithAToken:
    async def test_credentials_are_those_of_the_role_in_the_instances_profile(self, world: World) -> None:
        for number, remote in ((1, "172.17.0.2"), (2, "172.17.0.3")):
            token = await world.token(remote=remote)
            assert (await world.read(f"{ROLES}/", token, remote)).body == b"hosts"
            given = json.loads((await world.read(f"{ROLES}/hosts", token, remote)).body)
            assert given == {
                "Code": "Success",
                "LastUpdated": "2030-01-01T12:00:00Z",
                "Type": "AWS-HMAC",
                "AccessKeyId": f"ASIA-i-{number}",
                "SecretAccessKey": "secret",
                "Token": "token",
                "Expiration": "2030-01-01T18:00:00Z",
            }
            info = json.loads((await world.read(f"{META}/iam/info", token, remote)).body)
            assert info["InstanceProfileArn"].endswith(":instance-profile/homeport-instance")

    @pytest.mark.parametrize(
        ("path", "said"),
        [
            ("instance-id", "i-1"),
            ("instance-type", "homeport.local"),
            ("local-ipv4", "172.31.0.1"),
            ("placement/availability-zone", "us-east-1a"),
            ("placement/region", "us-east-1"),
            ("placement/", "availability-zone\nregion"),
            ("iam/", "info\nsecurity-credentials/"),
            ("", "iam/\ninstance-id\ninstance-type\nlocal-ipv4\nplacement/\nservices/"),
        ],
    )
    async def test_what_the_instance_is(self, world: World, path: str, said: str) -> None:
        answer = await world.read(f"{META}/{path}", await world.token())
        assert (answer.status, answer.body.decode(), answer.content_type) == (200, said, "text/plain")

    async def test_its_identity_document(self, world: World) -> None:
        path = "/latest/dynamic/instance-identity/document"
        told = json.loads((await world.read(path, await world.token())).body)
        assert (told["instanceId"], told["region"], told["privateIp"]) == ("i-1", "us-east-1", "172.31.0.1")

    @pytest.mark.parametrize(
        "path",
        [
            "/latest/user-data",
            f"{META}/public-ipv4",
            f"{ROLES}/other",
            f"{ROLES}/hosts/x",
            "/1.0/x",
            "/x",
        ],
    )
    async def test_what_is_not_there_is_not_found(self, world: World, path: str) -> None:
        assert (await world.read(path, await world.token())).status == 404

    async def test_without_a_profile_there_are_no_credentials(self, world: World) -> None:
        world.profiles.without.add("i-1")
        token = await world.token()
        for path in (f"{ROLES}/", f"{ROLES}/hosts", f"{META}/iam/info"):
            assert (await world.read(path, token)).status == 404


class TestWhoGetsNothing:
    @pytest.mark.parametrize("token", ["", "x", "=" * 64, "é", "A" * 200])
    @pytest.mark.parametrize("path", [f"{ROLES}/", f"{ROLES}/hosts", f"{META}/instance-id", "/"])
    async def test_who_has_no_token(self, world: World, path: str, token: str) -> None:
        assert (await world.ask(path)).status == 401
        assert (await world.read(path, token)).status == 401

    async def test_a_token_is_of_its_instance(self, world: World) -> None:
        token = await world.token()
        assert (await world.read(f"{ROLES}/hosts", token, "172.17.0.3")).status == 401

    async def test_a_token_ends(self, world: World) -> None:
        token = await world.token("60")
        world.clock.at += timedelta(seconds=59)
        assert (await world.read(f"{META}/instance-id", token)).status == 200
        world.clock.at += timedelta(seconds=1)
        assert (await world.read(f"{META}/instance-id", token)).status == 401

    async def test_a_token_of_another_process(self, world: World) -> None:
        other = ImdsEndpoint(ByAddress(), Profiles(), MovingClock(), SeededIds(2))
        other.add("instance-1", facts(1))
        asked = Question(method="PUT", path=TOKEN_PATH, remote="172.17.0.2", headers={TTL_HEADER: "60"})
        token = (await other.answer(asked)).body.decode()
        assert (await world.read(f"{META}/instance-id", token)).status == 401

    @pytest.mark.parametrize("ttl", [None, "", "0", "-1", "21601", "1.5", "60s", "٦٠", " 60", "999999999999"])
    async def test_lives_that_cannot_be(self, world: World, ttl: str | None) -> None:
        headers = {} if ttl is None else {TTL_HEADER: ttl}
        answer = await world.imds.answer(
            Question(method="PUT", path=TOKEN_PATH, remote="172.17.0.2", headers=headers)
        )
        assert answer.status == 400

    async def test_who_comes_through_a_proxy(self, world: World) -> None:
        headers = {TTL_HEADER: "60", "x-forwarded-for": "10.0.0.1"}
        asked = Question(method="PUT", path=TOKEN_PATH, remote="172.17.0.2", headers=headers)
        assert (await world.imds.answer(asked)).status == 403

    @pytest.mark.parametrize("remote", ["172.17.0.4", "172.17.0.9", "127.0.0.1", "hidden", ""])
    async def test_who_is_no_container_of_ours(self, world: World, remote: str) -> None:
        for method, path in (("PUT", TOKEN_PATH), ("GET", f"{ROLES}/hosts")):
            asked = Question(method=method, path=path, remote=remote, headers={TTL_HEADER: "60"})
            assert (await world.imds.answer(asked)).status == 403

    async def test_an_instance_that_left(self, world: World) -> None:
        token = await world.token()
        world.imds.remove("instance-1")
        assert (await world.read(f"{ROLES}/hosts", token)).status == 403

    @pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS", "PUT"])
    async def test_other_methods_than_reading(self, world: World, method: str) -> None:
        assert (await world.ask(f"{ROLES}/hosts", method=method)).status == 405
        if method != "PUT":
            assert (await world.ask(TOKEN_PATH, method=method)).status == 405

    @pytest.mark.parametrize(
        "path",
        [
            f"{META}/../meta-data/iam/security-credentials/hosts",
            f"{META}//iam/security-credentials/hosts",
            f"{META}/iam/./security-credentials/hosts",
            f"{META}/IAM/security-credentials/hosts",
            f"{META}/iam/security-credentials/hosts%00",
            f"{META}/iam/security-credentials/HOSTS",
            "latest/meta-data/iam/security-credentials/hosts",
            f"{META}/iamx/security-credentials/hosts",
        ],
    )
    async def test_detours_lead_nowhere(self, world: World, path: str) -> None:
        """Without a token they lead nowhere, and with one they are not there."""
        assert (await world.ask(path)).status == 401
        answer = await world.read(path, await world.token())
        assert (answer.status, b"ASIA" in answer.body) == (404, False)


@given(st.binary(max_size=80), st.sampled_from(["i-1", "i-2"]), st.integers(0, 47), st.integers(1, 255))
def test_no_token_is_good_but_those_that_were_made(junk: bytes, instance: str, place: int, flip: int) -> None:
    tokens = Tokens(b"key")
    made = tokens.make("i-1", until=100, nonce=b"12345678")
    assert tokens.is_good(made, "i-1", 99)
    assert not tokens.is_good(made, "i-1", 100)
    assert not tokens.is_good(urlsafe_b64encode(junk).decode(), instance, 0)
    data = bytearray(urlsafe_b64decode(made))
    data[place] ^= flip
    assert not tokens.is_good(urlsafe_b64encode(bytes(data)).decode(), "i-1", 0)


@given(st.text(max_size=8))
def test_lives_are_one_second_to_six_hours(text: str) -> None:
    found = ttl_of(text)
    assert found is None or (1 <= found <= 21_600 and int(text) == found)


async def test_answers_pass_no_router() -> None:
    """Hop limit 1: what a container of ours forwards for others gets no answer."""
    server = imds_server(World().imds)
    port = await server.start(("127.0.0.1",), port=0)
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as answer:
            assert answer.status == 403
            assert server._runner is not None
            assert server._runner.server is not None
            (connection,) = server._runner.server.connections
            accepted = connection.transport.get_extra_info("socket")
            assert accepted.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 1
    finally:
        await server.stop()
