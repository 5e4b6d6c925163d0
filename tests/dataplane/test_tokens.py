"""Rules that want a token, on the real proxy: who gets in, and who does not."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest

from homeport.dataplane.model import Balancer, Certificate, Protocol
from homeport.dataplane.rules import Claim, ClaimFormat, Forward, PathIs, Rule, ValidateJwt, WeightedGroup
from tests.kit.certificates import authority, rsa_key, self_signed
from tests.kit.dataplane import FRONT, Answer, Upstream, balancer, data_plane, free_port, group, read_answer

pytestmark = pytest.mark.slow
ISSUER = "https://id.test"
ROOT = authority()
KEY, STRANGER = rsa_key(), rsa_key(3072)
CLAIMS = (
    Claim(name="tenant", values=("blue", "green")),
    Claim(name="groups", values=("admins",), format=ClaimFormat.STRING_ARRAY),
    Claim(name="scope", values=("read",), format=ClaimFormat.SPACE_SEPARATED),
)
SAID = {"tenant": "green", "groups": ["users", "admins"], "scope": "write read"}


@dataclass
class Provider:
    """An issuer's key set, at `https://localhost:port/keys`."""

    folder: Path
    port: int = 0
    asked: list[bytes] = field(default_factory=list)

    @property
    def roots(self) -> str:
        return str(self.folder / "root.pem")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Provider]:
        chain, key = ROOT.leaf("localhost")
        (self.folder / "leaf.pem").write_bytes(chain)
        (self.folder / "key.pem").write_bytes(key)
        (self.folder / "root.pem").write_bytes(ROOT.chain)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "leaf.pem", self.folder / "key.pem")
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
        body = json.dumps({"keys": [{**public, "kid": "k1", "use": "sig", "alg": "RS256"}]}).encode()

        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(client, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()


def token(key: Any = KEY, **changes: Any) -> str:
    now = int(datetime.now(UTC).timestamp())
    claims = {"iss": ISSUER, "exp": now + 300, "nbf": now - 10, **SAID, **changes}
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, key, "RS256", {"kid": "k1"})


def guarded(port: int, up: Upstream, keys: str) -> Balancer:
    """`/claims` wants claims, too; everything else a token only; `/open` none."""
    one = balancer(port, group("g", up))
    forward = Forward(groups=(WeightedGroup(group_id=one.groups[0].id),))
    rules = (
        Rule(id="open", priority=1, conditions=(PathIs(patterns=("/open",)),), action=forward),
        Rule(
            id="claims",
            priority=2,
            conditions=(PathIs(patterns=("/claims",)),),
            guard=ValidateJwt(jwks_endpoint=keys, issuer=ISSUER, claims=CLAIMS),
            action=forward,
        ),
        Rule(id="default", guard=ValidateJwt(jwks_endpoint=keys, issuer=ISSUER), action=forward),
    )
    listener = replace(
        one.listeners[0], protocol=Protocol.HTTPS, certificates=(Certificate(id="own"),), rules=rules
    )
    return replace(one, listeners=(listener,))


async def ask(port: int, path: str, *headers: str) -> Answer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(FRONT, port, ssl=context)
    lines = [f"GET {path} HTTP/1.1", "Host: example.com", *headers]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
    answer = await read_answer(reader)
    writer.close()
    return answer


async def test_only_a_good_token_gets_in_and_the_target_sees_it(tmp_path: Path) -> None:
    now, port = int(datetime.now(UTC).timestamp()), free_port()
    async with (
        asyncio.timeout(60),
        Upstream(name="a").serving() as a,
        Provider(tmp_path).serving() as provider,
        data_plane(roots=provider.roots) as plane,
    ):
        keys = f"https://localhost:{provider.port}/keys"
        plane.serve([guarded(port, a, keys)], [self_signed("own", "example.com")])
        assert await plane.until_live() == ()
        good = f"Authorization: Bearer {token()}"
        assert (await ask(port, "/", good)).body == b"a"
        assert a.asked[-1].header("authorization") == good.partition(": ")[2]
        assert b"GET /keys " in provider.asked[0]
        assert (await ask(port, "/open")).status == 200
        bad = {
            "none": (),
            "of somebody else": (f"Authorization: Bearer {token(STRANGER)}",),
            "another issuer": (f"Authorization: Bearer {token(iss='https://other.test')}",),
            "expired": (f"Authorization: Bearer {token(exp=now - 3600)}",),
            "without an end": (f"Authorization: Bearer {token(exp=None)}",),
            "too early": (f"Authorization: Bearer {token(nbf=now + 3600)}",),
            "no token": ("Authorization: Bearer abc",),
            "another scheme": (f"Authorization: Basic {token()}",),
        }
        seen = {what: (await ask(port, "/", *headers)).status for what, headers in bad.items()}
        assert seen == dict.fromkeys(bad, 401)
        assert (await ask(port, f"/?access_token={token()}")).status == 401, "only in the header"
        assert len(a.asked) == 2, "nobody else came through"
        assert len(provider.asked) <= 2, "keys are kept"


async def test_claims_must_be_what_the_rule_says(tmp_path: Path) -> None:
    port = free_port()
    async with (
        asyncio.timeout(60),
        Upstream(name="a").serving() as a,
        Provider(tmp_path).serving() as provider,
        data_plane(roots=provider.roots) as plane,
    ):
        keys = f"https://localhost:{provider.port}/keys"
        plane.serve([guarded(port, a, keys)], [self_signed("own", "example.com")])
        assert await plane.until_live() == ()

        async def status(**changes: Any) -> int:
            return (await ask(port, "/claims", f"Authorization: Bearer {token(**changes)}")).status

        assert await status() == 200
        assert await status(tenant="blue", scope="read") == 200
        wrong: tuple[dict[str, Any], ...] = (
            {"tenant": "red"},
            {"tenant": None},
            {"groups": ["users"]},
            {"groups": "admins"},
            {"scope": "reader"},
            {"scope": "re read-all"},
            {"scope": None},
        )
        assert [await status(**changes) for changes in wrong] == [401] * len(wrong)


async def test_keys_of_a_place_that_is_not_trusted_let_nobody_in(tmp_path: Path) -> None:
    port = free_port()
    other = tmp_path / "other.pem"
    other.write_bytes(authority("Somebody else").chain)
    async with (
        asyncio.timeout(60),
        Upstream(name="a").serving() as a,
        Provider(tmp_path).serving() as provider,
        data_plane(roots=str(other)) as plane,
    ):
        keys = f"https://localhost:{provider.port}/keys"
        plane.serve([guarded(port, a, keys)], [self_signed("own", "example.com")])
        assert await plane.until_live() == ()
        assert (await ask(port, "/", f"Authorization: Bearer {token()}")).status == 401
        assert provider.asked == []
