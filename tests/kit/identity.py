"""An OpenID Connect provider on loopback over HTTPS, and a browser that logs in with it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web

from homeport.core.clock import Clock
from homeport.dataplane.rules import AuthenticateOidc
from tests.kit.certificates import authority
from tests.kit.dataplane import FRONT, Answer, read_answer

CLIENT, SECRET = "the client", "hunter:2 & more"
KEY = "any key: nobody verifies what came from the provider itself"
ARN = "arn:aws:elasticloadbalancing:us-east-1:000000000000:listener-rule/app/web/1/l/{}"


@dataclass
class IdentityProvider:
    """What it answers can be changed; what it was asked is remembered."""

    folder: Path
    clock: Clock
    port: int = 0
    user: dict[str, Any] = field(default_factory=lambda: {"sub": "ann", "email": "ann@example.com"})
    said: dict[str, Any] = field(default_factory=dict)
    """Over what its ID token would say."""
    given: dict[str, Any] = field(default_factory=dict)
    """Over what its token endpoint would give."""
    token_status: int = 200
    user_status: int = 200
    asked: list[dict[str, str]] = field(default_factory=list)
    """The forms that its token endpoint got, with the `Authorization` header."""
    shown: list[str] = field(default_factory=list)
    """The access tokens that its user info endpoint got."""

    @property
    def roots(self) -> str:
        return str(self.folder / "root.pem")

    @property
    def issuer(self) -> str:
        return f"https://localhost:{self.port}"

    def guard(self, rule: str = "default", **changes: Any) -> AuthenticateOidc:
        known = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "user_info_endpoint": f"{self.issuer}/userinfo",
            "client_id": CLIENT,
            "secret_id": ARN.format(rule),
        }
        return AuthenticateOidc(**(known | changes))  # type: ignore[arg-type]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[IdentityProvider]:
        root = authority()
        chain, key = root.leaf("localhost")
        (self.folder / "leaf.pem").write_bytes(chain)
        (self.folder / "key.pem").write_bytes(key)
        (self.folder / "root.pem").write_bytes(root.chain)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "leaf.pem", self.folder / "key.pem")
        app = web.Application()
        app.router.add_post("/token", self._token)
        app.router.add_get("/userinfo", self._user)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _token(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.asked.append({**form, "authorization": request.headers["Authorization"]})
        now = self.clock.now().timestamp()
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": self.user["sub"], "exp": now + 300, **self.said}
        number = len(self.asked)
        answer = {
            "access_token": f"access-{number}",
            "token_type": "Bearer",
            "expires_in": 60,
            "refresh_token": f"refresh-{number}",
            "id_token": jwt.encode(claims, KEY, "HS256"),
            **self.given,
        }
        body = {name: value for name, value in answer.items() if value is not None}
        return web.json_response(body, status=self.token_status)

    async def _user(self, request: web.Request) -> web.Response:
        self.shown.append(request.headers["Authorization"].removeprefix("Bearer "))
        return web.json_response(self.user, status=self.user_status)


@dataclass
class Browser:
    """Keeps cookies, as browsers do, and follows nothing by itself."""

    port: int
    host: str = "app.example.com"
    cookies: dict[str, str] = field(default_factory=dict)

    async def ask(self, path: str = "/", *headers: str) -> Answer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(FRONT, self.port, ssl=context, limit=1 << 20)
        lines = [f"GET {path} HTTP/1.1", f"Host: {self.host}", *headers]
        if self.cookies:
            lines.append("Cookie: " + "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        answer = await read_answer(reader)
        writer.close()
        for line in answer.all("set-cookie"):
            name, _, rest = line.partition("=")
            value = rest.partition(";")[0]
            self.cookies[name] = value
            if "01 Jan 1970" in line:
                del self.cookies[name]
        return answer
