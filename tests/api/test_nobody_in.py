"""Nobody in: attempts to do something without the right to, none of which succeeds, each of which leaves a line.

An attempt proves nothing if all would fail: the honest ones get in by the same ways.
"""

# ruff: noqa: E501 - a table is read line by line

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlparse

import aiohttp
import msgspec
import pytest

from homeport.app.settings import AuthMode, SettingsError, UpSettings
from homeport.core.ids import SystemIds
from homeport.core.sigv4 import (
    Credentials,
    Scope,
    canonical_query,
    canonical_request,
    sign_headers,
    signature,
    signing_key,
)
from homeport.gateway.stages import Outcome
from homeport.services.iam.manifest import AccessKey, KeyRepo, sealed
from homeport.services.sts.manifest import SessionRepo
from homeport.services.sts.repo.tables import sessions
from homeport.store.vault import Vault
from homeport.wire.http import HttpRequest
from tests.kit.attacker import Attacker, changed, envelope
from tests.kit.iam import allows, fresh
from tests.kit.server import ACCOUNT, REGION, Live, credentials, live_server

STOLEN = "stolen"
BODY = json.dumps({"clusterName": STOLEN}).encode()
SECRET = "the-crown-jewels"
TARGET = "AmazonEC2ContainerServiceV20141113"
NOW = timedelta(0)


@dataclass(slots=True)
class World:
    """Callers of every kind, and what they are after."""

    live: Live
    attacker: Attacker
    keys: dict[str, Credentials] = field(default_factory=dict)

    @property
    def iam(self) -> Any:
        return self.live.client("iam")

    def user(self, document: str | None = None) -> tuple[str, Credentials]:
        name = fresh("user")
        self.iam.create_user(UserName=name)
        if document:
            self.iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
        return name, credentials(self.iam.create_access_key(UserName=name)["AccessKey"])

    def role(self) -> str:
        name = fresh("role")
        self.make_role(name)
        return name

    def make_role(self, name: str) -> None:
        trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": trust})
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
        self.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=allows("*"))

    def session(self, role: str) -> Credentials:
        sts = self.live.client("sts", **boto(self.keys["mighty"]))
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        return credentials(sts.assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"])

    def sign(
        self, key: Credentials | None = None, request: HttpRequest | None = None, **more: Any
    ) -> HttpRequest:
        service = more.pop("service", "ecs")
        return self.attacker.sign(request or theft(), service=service, key=key or self.keys["mighty"], **more)


def boto(key: Credentials) -> dict[str, Any]:
    return {
        "aws_access_key_id": key.access_key_id,
        "aws_secret_access_key": key.secret_access_key,
        "aws_session_token": key.session_token,
    }


def theft(**headers: str) -> HttpRequest:
    """What an attempt is after: a cluster that must not come to be."""
    return envelope("ecs", "CreateCluster", BODY, headers)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with live_server() as live:
        world = World(live, Attacker(live))
        world.keys["mighty"] = world.user(allows("*"))[1]
        world.keys["powerless"] = world.user()[1]
        world.live.client("ecs").create_cluster()
        world.live.client("secretsmanager").create_secret(Name="crown", SecretString=SECRET)
        world.live.client("ssm").put_parameter(Name="/crown", Value=SECRET, Type="SecureString")
        yield world


def without(request: HttpRequest, *names: str) -> HttpRequest:
    return changed(request, headers={n: v for n, v in request.headers.items() if n not in names})


def with_headers(request: HttpRequest, **headers: str) -> HttpRequest:
    return changed(
        request, headers={**request.headers, **{n.replace("_", "-"): v for n, v in headers.items()}}
    )


def authorization(request: HttpRequest, old: str, new: str) -> HttpRequest:
    text = request.headers["authorization"]
    assert old in text
    return with_headers(request, authorization=text.replace(old, new))


def at(world: World, **delta: float) -> HttpRequest:
    return world.sign(at=datetime.now(UTC) + timedelta(**delta))


def other_key(world: World) -> HttpRequest:
    """The powerless one signs, and says that it was the mighty one."""
    powerless, mighty = world.keys["powerless"], world.keys["mighty"]
    return authorization(world.sign(powerless), powerless.access_key_id, mighty.access_key_id)


def deactivated(world: World) -> HttpRequest:
    name, key = world.user(allows("*"))
    world.iam.update_access_key(UserName=name, AccessKeyId=key.access_key_id, Status="Inactive")
    return world.sign(key)


def deleted_key(world: World) -> HttpRequest:
    name, key = world.user(allows("*"))
    world.iam.delete_access_key(UserName=name, AccessKeyId=key.access_key_id)
    return world.sign(key)


def deleted_user(world: World) -> HttpRequest:
    name, key = world.user(allows("*"))
    world.iam.delete_access_key(UserName=name, AccessKeyId=key.access_key_id)
    world.iam.delete_user_policy(UserName=name, PolicyName="p")
    world.iam.delete_user(UserName=name)
    return world.sign(key)


def users_session(world: World, *, remake: bool) -> HttpRequest:
    name, key = world.user(allows("*"))
    session = credentials(world.live.client("sts", **boto(key)).get_session_token()["Credentials"])
    world.iam.delete_access_key(UserName=name, AccessKeyId=key.access_key_id)
    world.iam.delete_user_policy(UserName=name, PolicyName="p")
    world.iam.delete_user(UserName=name)
    if remake:
        world.iam.create_user(UserName=name)
        world.iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=allows("*"))
    return world.sign(session)


def federated_session(world: World) -> HttpRequest:
    name, key = world.user(allows("*"))
    sts = world.live.client("sts", **boto(key))
    session = credentials(sts.get_federation_token(Name="guest", Policy=allows("*"))["Credentials"])
    world.iam.delete_access_key(UserName=name, AccessKeyId=key.access_key_id)
    world.iam.delete_user_policy(UserName=name, PolicyName="p")
    world.iam.delete_user(UserName=name)
    return world.sign(session)


def roles_session(world: World, *, remake: bool) -> HttpRequest:
    role = world.role()
    session = world.session(role)
    world.iam.delete_role_policy(RoleName=role, PolicyName="p")
    world.iam.delete_role(RoleName=role)
    if remake:
        world.make_role(role)
    return world.sign(session)


def session_with(world: World, token: Callable[[str], str | None]) -> HttpRequest:
    session = world.session(world.role())
    return world.sign(
        Credentials(
            access_key_id=session.access_key_id,
            secret_access_key=session.secret_access_key,
            session_token=token(str(session.session_token)),
        )
    )


def expired_session(world: World) -> HttpRequest:
    session = world.session(world.role())

    def age(tx: Any) -> None:
        kept = SessionRepo(tx).find(session.access_key_id)
        assert kept is not None
        older = msgspec.structs.replace(kept, expires_at=datetime.now(UTC))
        tx.execute(sessions.update().where(sessions.c.access_key_id == kept.access_key_id).values(body=older))

    world.live.run(world.live.plane.store.write(age))
    return world.sign(session)


def token_on_a_users_key(world: World) -> HttpRequest:
    mighty = world.keys["mighty"]
    return world.sign(
        Credentials(
            access_key_id=mighty.access_key_id,
            secret_access_key=mighty.secret_access_key,
            session_token=world.session(world.role()).session_token,
        )
    )


def presigned(
    world: World,
    *,
    expires: str = "60",
    key: Credentials | None = None,
    body: bytes = BODY,
    add: str = "",
    ago: timedelta = NOW,
    change: tuple[str, str] = ("", ""),
) -> HttpRequest:
    """A theft whose proof is in its query. `add` and `change` come after the signing."""
    who, stamp = key or world.keys["mighty"], (datetime.now(UTC) - ago).strftime("%Y%m%dT%H%M%SZ")
    headers = dict(theft().headers) | {"host": world.attacker.host}
    signed, where = tuple(sorted(headers)), Scope(stamp[:8], REGION, "ecs")
    members = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{who.access_key_id}/{where}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": expires,
        "X-Amz-SignedHeaders": ";".join(signed),
    }
    query = canonical_query(members.items())
    text = canonical_request(
        method="POST", path="/", query=query, headers=headers, signed_headers=signed,
        payload_hash=hashlib.sha256(BODY).hexdigest(),
    )  # fmt: skip
    proof = signature(signing_key(who.secret_access_key, where), timestamp=stamp, scope=where, request=text)
    query = f"{query}&X-Amz-Signature={proof}{add}"
    assert change[0] in query
    query = query.replace(*change) if change[0] else query
    return HttpRequest(method="POST", raw_path="/", raw_query=query, headers=headers, body=body)


def unsigned_payload(world: World, kind: str, body: bytes) -> HttpRequest:
    request = world.sign(request=theft(**{"x-amz-content-sha256": kind}))
    return changed(request, body=body)


def self_made(world: World, algorithm: str, digest: Any) -> HttpRequest:
    """A signature of one's own making, without any secret."""
    request = world.sign()
    made = hmac.new(b"", request.headers["authorization"].encode(), digest).hexdigest()
    text = request.headers["authorization"].rpartition("Signature=")[0] + f"Signature={made}"
    return with_headers(request, authorization=text.replace("AWS4-HMAC-SHA256", algorithm))


def bearer(world: World, scheme: str) -> HttpRequest:
    mighty = world.keys["mighty"]
    text = f"{mighty.access_key_id}:{mighty.secret_access_key}"
    return with_headers(
        theft(),
        host=world.attacker.host,
        authorization=f"{scheme} {base64.b64encode(text.encode()).decode()}",
    )


def scope(world: World, **more: str) -> HttpRequest:
    return world.sign(**more)


ATTEMPTS: dict[str, Callable[[World], HttpRequest]] = {
    # nobody at all
    "unsigned": lambda w: with_headers(theft(), host=w.attacker.host),
    "empty authorization": lambda w: with_headers(w.sign(), authorization=""),
    "bearer": lambda w: bearer(w, "Bearer"),
    "basic": lambda w: bearer(w, "Basic"),
    "no signature": lambda w: with_headers(w.sign(), authorization=w.sign().headers["authorization"].rpartition(",")[0]),
    "empty signature": lambda w: with_headers(w.sign(), authorization=w.sign().headers["authorization"].rpartition("=")[0] + "="),
    "half a signature": lambda w: with_headers(w.sign(), authorization=w.sign().headers["authorization"][:-32]),
    "zero signature": lambda w: with_headers(w.sign(), authorization=w.sign().headers["authorization"][:-64] + "0" * 64),
    "algorithm none": lambda w: self_made(w, "none", "sha256"),
    "algorithm sha1": lambda w: self_made(w, "AWS4-HMAC-SHA1", "sha1"),
    "algorithm without one": lambda w: authorization(w.sign(), "AWS4-HMAC-SHA256 ", ""),
    "algorithm of several regions": lambda w: self_made(w, "AWS4-ECDSA-P256-SHA256", "sha256"),
    "own signature": lambda w: self_made(w, "AWS4-HMAC-SHA256", "sha256"),
    # somebody else
    "wrong secret": lambda w: w.sign(Credentials(access_key_id=w.keys["mighty"].access_key_id, secret_access_key="wrong")),
    "empty secret": lambda w: w.sign(Credentials(access_key_id=w.keys["mighty"].access_key_id, secret_access_key="")),
    "unknown key": lambda w: w.sign(Credentials(access_key_id="AKIAUNKNOWNUNKNOWNUN", secret_access_key="wrong")),
    "the account as a key": lambda w: w.sign(Credentials(access_key_id=ACCOUNT, secret_access_key=ACCOUNT)),
    "a key in lower case": lambda w: w.sign(Credentials(access_key_id=w.keys["mighty"].access_key_id.lower(), secret_access_key=w.keys["mighty"].secret_access_key)),
    "a key with a wildcard": lambda w: authorization(w.sign(), w.keys["mighty"].access_key_id, "AKIA%"),
    "somebody else's key id": other_key,
    "deactivated key": deactivated,
    "deleted key": deleted_key,
    "deleted user": deleted_user,
    # at another time
    "replayed after a quarter of an hour": lambda w: at(w, minutes=-15, seconds=-5),
    "replayed a day later": lambda w: at(w, days=-1),
    "replayed a year later": lambda w: at(w, days=-365),
    "signed for later": lambda w: at(w, minutes=16),
    "dated anew": lambda w: with_headers(at(w, minutes=-20), x_amz_date=datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")),
    # tampered with
    "body": lambda w: changed(w.sign(request=envelope("ecs", "CreateCluster", b'{"clusterName": "honest"}', {})), body=BODY),
    "body longer": lambda w: changed(w.sign(), body=BODY + b" "),
    "operation": lambda w: with_headers(w.sign(request=envelope("ecs", "ListClusters", BODY, {})), x_amz_target=f"{TARGET}.CreateCluster"),
    "content type": lambda w: with_headers(w.sign(), content_type="application/x-amz-json-1.0"),
    "host": lambda w: with_headers(w.sign(), host="elsewhere"),
    "method": lambda w: changed(w.sign(), method="PUT"),
    "path": lambda w: changed(w.sign(), raw_path="/x"),
    "query": lambda w: changed(w.sign(), raw_query="Action=CreateCluster"),
    "region of the scope": lambda w: authorization(w.sign(), f"/{REGION}/", "/eu-west-1/"),
    "service of the scope": lambda w: authorization(w.sign(), "/ecs/", "/iam/"),
    "day of the scope": lambda w: authorization(w.sign(), datetime.now(UTC).strftime("/%Y%m%d/"), "/20200101/"),
    "fewer signed headers": lambda w: authorization(w.sign(), ";x-amz-target", ""),
    "only the host is signed": lambda w: authorization(w.sign(), "content-type;host;", "host;"),
    "a signed header is missing": lambda w: without(w.sign(), "content-type"),
    "host not signed": lambda w: authorization(w.sign(), "host;", ""),
    "two authorizations": lambda w: with_headers(w.sign(w.keys["powerless"]), authorization=f"{w.sign(w.keys['powerless']).headers['authorization']},{w.sign().headers['authorization'][:-2]}00"),
    "two operations": lambda w: with_headers(w.sign(request=envelope("ecs", "ListClusters", BODY, {})), x_amz_target=f"{TARGET}.ListClusters,{TARGET}.CreateCluster"),
    "an unsigned header of Amazon's": lambda w: with_headers(w.sign(), x_amz_user_agent="x"),
    "an unsigned token": lambda w: with_headers(w.sign(), x_amz_security_token="x"),
    # payloads that nobody signed
    "payload unsigned": lambda w: unsigned_payload(w, "UNSIGNED-PAYLOAD", BODY),
    "payload in chunks that nobody signed": lambda w: unsigned_payload(w, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", BODY),
    "payload in chunks": lambda w: unsigned_payload(w, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", BODY),
    "the hash of another payload": lambda w: unsigned_payload(w, hashlib.sha256(b"{}").hexdigest(), BODY),
    "an empty hash": lambda w: unsigned_payload(w, "", BODY),
    # in the query
    "presigned and run out": lambda w: presigned(w, ago=timedelta(seconds=65)),
    "presigned for longer than a week": lambda w: presigned(w, expires="604801"),
    "presigned for ever": lambda w: presigned(w, expires="99999999999"),
    "presigned for no time": lambda w: presigned(w, expires="0"),
    "presigned for less than none": lambda w: presigned(w, expires="-1"),
    "presigned and made to last": lambda w: presigned(w, change=("X-Amz-Expires=60", "X-Amz-Expires=6000")),
    "presigned with another body": lambda w: presigned(w, body=BODY.replace(b" ", b"")),
    "presigned and extended": lambda w: presigned(w, add="&Action=CreateCluster"),
    "presigned twice": lambda w: presigned(w, add="&X-Amz-Expires=60"),
    "presigned by two": lambda w: presigned(w, key=w.keys["powerless"], add=f"&x-amz-credential={quote(w.keys['mighty'].access_key_id)}"),
    "presigned and signed": lambda w: with_headers(presigned(w), authorization=w.sign().headers["authorization"]),
    "presigned without its signature": lambda w: presigned(w, change=("X-Amz-Signature", "X-Amz-Signatur")),
    "presigned with another algorithm": lambda w: presigned(w, change=("AWS4-HMAC-SHA256", "none")),
    "presigned with a hash of its own": lambda w: changed(presigned(w, add="&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD"), body=BODY),
    # sessions
    "session without its token": lambda w: session_with(w, lambda token: None),
    "session with another's token": lambda w: session_with(w, lambda token: w.session(w.role()).session_token),
    "session with half its token": lambda w: session_with(w, lambda token: token[:-4]),
    "session with an empty token": lambda w: session_with(w, lambda token: ""),
    "session with more than its token": lambda w: session_with(w, lambda token: f"{token}AAAA"),
    "session after its end": expired_session,
    "token on a user's key": token_on_a_users_key,
    "session of a deleted role": lambda w: roles_session(w, remake=False),
    "session of a role that was made again": lambda w: roles_session(w, remake=True),
    "session of a deleted user": lambda w: users_session(w, remake=False),
    "session of a user that was made again": lambda w: users_session(w, remake=True),
    "session of a deleted user's guest": federated_session,
    # known, but without the right
    "a user without a policy": lambda w: w.sign(w.keys["powerless"]),
    "headers that say who it is": lambda w: with_headers(w.sign(w.keys["powerless"]), x_forwarded_for="127.0.0.1", forwarded="for=127.0.0.1", x_real_ip="127.0.0.1", remote_user="root", x_homeport_principal="root"),
    "headers that say what it does": lambda w: with_headers(w.sign(w.keys["powerless"], request=envelope("ecs", "ListClusters", b"{}", {})), x_http_method_override="PUT", x_original_url="/", x_rewrite_url="/"),
}  # fmt: skip


def must_not_be_in(world: World, outcome: Outcome) -> None:
    assert 400 <= outcome.answer.status < 500, outcome.answer.body
    entry = world.attacker.trail[-1]
    assert entry["requestID"] == outcome.request_id
    assert entry["outcome"] in ("unproven", "denied"), entry
    found = world.live.client("ecs").list_clusters()["clusterArns"]
    assert not any(arn.endswith(f"/{STOLEN}") for arn in found)


@pytest.mark.parametrize("how", ATTEMPTS)
def test_an_attempt_does_not_succeed(world: World, how: str) -> None:
    must_not_be_in(world, world.attacker.send(ATTEMPTS[how](world)))


def test_the_honest_ones_get_in(world: World) -> None:
    honest = envelope("ecs", "DescribeClusters", b"{}", {})
    session = world.session(world.role())
    user, key = world.user(allows("*"))
    del user
    for one in (world.keys["mighty"], session, key):
        assert world.attacker.send(world.sign(one, request=honest)).answer.status == 200
    with live_server() as other:
        there = World(other, Attacker(other))
        there.keys["mighty"] = there.user(allows("*"))[1]
        assert there.attacker.send(presigned(there)).answer.status == 200


# Paths, pages and sockets, over the wire


def talk(live: Live, data: bytes) -> tuple[int, bytes]:
    address = urlparse(live.endpoint)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20) as connection:
        connection.sendall(data)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2]


OWN_PATHS = [
    "/_homeport/explain?arn=x", "/_homeport/events", "/_homeport/events?limit=1&after=0:0", "/_homeport/../_homeport/events",
    "/_homeport/health/../events", "/_homeport//events", "//_homeport/events", "/_homeport/%65vents", "/%5fhomeport/events",
    "/_homeport/events/", "/_homeport/events%00", "/_homeport/events;x", "/_homeport/metrics%2f..%2fevents", "/_HOMEPORT/events",
    "/./_homeport/events", "/_homeport\\events", "http://127.0.0.1/_homeport/events", "/_homeport/audit", "/_homeport/denied",
]  # fmt: skip


@pytest.mark.parametrize("path", OWN_PATHS)
@pytest.mark.parametrize("key", [None, "powerless"])
def test_no_path_leads_to_a_page_of_our_own(world: World, path: str, key: str | None) -> None:
    headers = {"host": world.attacker.host, "connection": "close"}
    if key is not None:
        bare, _, query = path.partition("?")
        pairs = [tuple(one.split("=")) for one in query.split("&")] if query else []
        signed = sign_headers(
            world.keys[key], method="GET", path=bare, query=pairs, headers={"host": world.attacker.host},  # type: ignore[arg-type]
            body=b"", region=REGION, service="ecs", now=datetime.now(UTC),
        )  # fmt: skip
        headers |= dict(signed)
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    status, body = talk(world.live, "\r\n".join(lines).encode())
    assert status >= 400, body
    assert b'"events":' not in body


SMUGGLED = {
    "two lengths": ["Content-Length: 2", f"Content-Length: {len(BODY)}"],
    "a length and chunks": [f"Content-Length: {len(BODY)}", "Transfer-Encoding: chunked"],
    "chunks in disguise": [f"Content-Length: {len(BODY)}", "Transfer-Encoding : chunked"],
    "two hosts": [f"Content-Length: {len(BODY)}", "Host: elsewhere"],
    "two targets": [f"Content-Length: {len(BODY)}", f"X-Amz-Target: {TARGET}.ListClusters"],
    "two authorizations": [f"Content-Length: {len(BODY)}", "Authorization: x"],
    "two dates": [f"Content-Length: {len(BODY)}", "X-Amz-Date: 20200101T000000Z"],
    "a folded header": [f"Content-Length: {len(BODY)}", "X-Amz-Meta: a\r\n b"],
}


@pytest.mark.parametrize("how", SMUGGLED)
def test_no_header_is_smuggled_in(world: World, how: str) -> None:
    signed = world.sign().headers
    lines = ["POST / HTTP/1.1", "Connection: close", *(f"{name}: {value}" for name, value in signed.items())]
    status, _ = talk(world.live, "\r\n".join([*lines, *SMUGGLED[how], "", ""]).encode() + BODY)
    assert 400 <= status < 500
    assert STOLEN not in str(world.live.client("ecs").list_clusters()["clusterArns"])


def connect(world: World, key: Credentials | None, query: str, path: str = "/_homeport/acs/ws") -> int:
    """The status of an agent's upgrade; a refusal after it counts as one."""

    async def work() -> int:
        pairs = parse_qsl(query, keep_blank_values=True)
        headers = {"host": world.attacker.host}
        if key is not None:
            headers = dict(
                sign_headers(
                    key, method="GET", path=path, query=pairs, headers=headers, body=b"",
                    region=REGION, service="ecs", now=datetime.now(UTC),
                )
            )  # fmt: skip
        try:
            async with world.live.session.ws_connect(
                f"{world.live.endpoint}{path}?{query}", headers=headers
            ) as opened:
                if "tcs" in path:
                    return 101  # nothing is said there before the first metrics
                frame = await asyncio.wait_for(opened.receive(), 10)
                return 403 if "Exception" in str(frame.data) or frame.type is aiohttp.WSMsgType.CLOSE else 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status

    return world.live.run(work())


@pytest.fixture(scope="module")
def instances(world: World) -> list[str]:
    return [world.live.add_node().agent.instance_arn for _ in range(2)]


REST = "agentHash=x&agentVersion=1&seqNum=1&protocolVersion=2&dockerVersion=x&sendCredentials=true"
SOCKETS = {
    "/_homeport/acs/ws": ("ecs:Poll", "clusterArn", "containerInstanceArn"),
    "/_homeport/tcs/ws": ("ecs:StartTelemetrySession", "cluster", "containerInstance"),
}


@pytest.mark.parametrize("path", SOCKETS)
def test_an_agents_socket_is_for_those_who_may_on_that_instance(
    world: World, instances: list[str], path: str
) -> None:
    action, cluster, instance = SOCKETS[path]
    mine, other = instances
    here, uid, escaped = f"{cluster}=default&{REST}", other.rpartition("/")[2], quote(other, safe="")
    decoys = "&".join(
        f"{one}={quote(mine, safe='')}" for one in ("containerInstance", "containerInstanceArn", "resource")
    )
    queries = [
        f"{instance}={escaped}&{here}",
        f"{instance}={uid}&{here}",
        f"{decoys}&{here}&{instance}={escaped}",
        f"{instance}={quote(other.replace('/default', ''), safe='')}&{here}",
        f"{instance}={quote(other.replace('arn:aws:', 'arn:aws-cn:'), safe='')}&{here}",
        here,
    ]
    allow = {"Effect": "Allow", "Action": action, "Resource": mine}
    _, key = world.user(json.dumps({"Version": "2012-10-17", "Statement": allow}))
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": action, "Resource": other}
    _, denied = world.user(json.dumps({"Version": "2012-10-17", "Statement": [everything, deny]}))
    for query in queries:
        for caller in (key, denied, None, world.keys["powerless"]):
            assert connect(world, caller, query, path) >= 400, (query, caller)
    for spelling in (quote(mine, safe=""), mine.rpartition("/")[2]):
        assert connect(world, key, f"{instance}={spelling}&{here}", path) == 101
        assert connect(world, denied, f"{instance}={spelling}&{here}", path) == 101


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", "127.0.0.1.example.com", ""])
def test_nobody_is_believed_but_on_loopback(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingsError, match="auth=off"):
        UpSettings(data_dir=tmp_path, installation_id="x", host=host, auth=AuthMode.OFF)


# Between accounts

OTHER = "111122223333"


@pytest.fixture(scope="module")
def stranger(world: World) -> Credentials:
    """The root of another account, which may everything there."""
    key = Credentials(access_key_id="AKIAOTHEROTHEROTHER0", secret_access_key="s" * 40)
    made = AccessKey(
        access_key_id=key.access_key_id,
        secret_access_key=key.secret_access_key,
        account_id=OTHER,
        user_name="",
        status="Active",
        created_at=datetime.now(UTC),
    )
    kept = sealed(made, Vault(bytes(32), SystemIds()))
    world.live.run(world.live.plane.store.write(lambda tx: KeyRepo(tx).add(kept)))
    return key


def test_another_accounts_root_gets_nothing_of_ours(world: World, stranger: Credentials) -> None:
    ecs = world.live.client("ecs")
    definition = [{"name": "app", "image": "app:1", "memory": 8, "command": ["stay"]}]
    ecs.register_task_definition(
        family="ours", containerDefinitions=definition, tags=[{"key": "k", "value": SECRET}]
    )
    ecs.create_service(serviceName="ours", taskDefinition="ours", desiredCount=0)
    role = world.role()
    user, _ = world.user()
    head = f"arn:aws:ecs:{REGION}:{ACCOUNT}"
    secret = world.live.client("secretsmanager").describe_secret(SecretId="crown")["ARN"]
    parameter = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/crown"
    (deployment,) = ecs.list_service_deployments(service="ours")["serviceDeployments"]
    asked: list[tuple[str, str, Mapping[str, Any]]] = [
        ("ecs", "DescribeClusters", {"clusters": [f"{head}:cluster/default"]}),
        ("ecs", "DescribeServices", {"cluster": f"{head}:cluster/default", "services": [f"{head}:service/default/ours"]}),
        ("ecs", "UpdateService", {"cluster": f"{head}:cluster/default", "service": f"{head}:service/default/ours"}),
        ("ecs", "DeleteService", {"cluster": f"{head}:cluster/default", "service": "ours", "force": True}),
        ("ecs", "ListTasks", {"cluster": f"{head}:cluster/default"}),
        ("ecs", "DescribeTaskDefinition", {"taskDefinition": f"{head}:task-definition/ours:1"}),
        ("ecs", "DeregisterTaskDefinition", {"taskDefinition": f"{head}:task-definition/ours:1"}),
        ("ecs", "RunTask", {"taskDefinition": f"{head}:task-definition/ours:1", "cluster": f"{head}:cluster/default"}),
        ("ecs", "DeleteCluster", {"cluster": f"{head}:cluster/default"}),
        ("ecs", "TagResource", {"resourceArn": f"{head}:cluster/default", "tags": [{"key": "a", "value": "b"}]}),
        ("ecs", "ListTagsForResource", {"resourceArn": f"{head}:task-definition/ours:1"}),
        ("ecs", "DescribeServiceDeployments", {"serviceDeploymentArns": [deployment["serviceDeploymentArn"]]}),
        ("ecs", "StopServiceDeployment", {"serviceDeploymentArn": deployment["serviceDeploymentArn"]}),
        ("ecs", "DescribeServiceRevisions", {"serviceRevisionArns": [deployment["targetServiceRevisionArn"]]}),
        ("secretsmanager", "GetSecretValue", {"SecretId": secret}),
        ("secretsmanager", "GetSecretValue", {"SecretId": "crown"}),
        ("secretsmanager", "BatchGetSecretValue", {"SecretIdList": [secret]}),
        ("secretsmanager", "PutSecretValue", {"SecretId": secret, "SecretString": "mine"}),
        ("secretsmanager", "DeleteSecret", {"SecretId": secret}),
        ("ssm", "GetParameter", {"Name": parameter, "WithDecryption": True}),
        ("ssm", "GetParameters", {"Names": [parameter, "/crown"], "WithDecryption": True}),
        ("ssm", "DeleteParameter", {"Name": "/crown"}),
        ("iam", "GetRole", {"RoleName": role}),
        ("iam", "DeleteUser", {"UserName": user}),
        ("iam", "CreateAccessKey", {"UserName": user}),
        ("iam", "AttachRolePolicy", {"RoleName": role, "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
        ("sts", "AssumeRole", {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{role}", "RoleSessionName": "me"}),
    ]  # fmt: skip
    for service, operation, value in asked:
        outcome = world.attacker.ask(service, operation, dict(value), key=stranger)
        text = outcome.answer.body.decode()
        assert SECRET not in text, (operation, text)
        assert f'{head}:service/default/ours","' not in text, (operation, text)
        if outcome.answer.status == 200:
            told = json.loads(text)
            assert all(
                not found
                for name, found in told.items()
                if name not in ("failures", "Errors", "InvalidParameters")
            ), (
                operation,
                text,
            )
    assert ecs.describe_services(services=["ours"])["services"][0]["status"] == "ACTIVE"
    assert world.live.client("secretsmanager").get_secret_value(SecretId="crown")["SecretString"] == SECRET
