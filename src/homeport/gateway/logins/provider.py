"""Providers over HTTPS, verified against authorities that this machine trusts."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from homeport.gateway.logins.model import ProviderAwayError, ProviderRefusedError, Tokens

ASK_SECONDS = 6
"""For one request; a login makes two, and the proxy waits for both (`dataplane.logins.ASK_SECONDS`)."""
ANSWER_BYTES_MAX = 256 << 10


class _Given(msgspec.Struct, frozen=True, kw_only=True):
    """A token endpoint's answer (RFC 6749, section 5.1). Some write the seconds as text."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - what kind it is
    id_token: str = ""
    refresh_token: str = ""
    expires_in: float | str = 0


class HttpProviders:
    """`roots` is a file of the authorities that are trusted ("": the machine's own)."""

    def __init__(self, roots: str = "") -> None:
        self._roots = roots
        self._tls: ssl.SSLContext | None = None

    async def tokens(self, endpoint: str, client_id: str, secret: str, form: Mapping[str, str]) -> Tokens:
        """What the provider gives for a code or a refresh token. Source: RFC 6749, sections 2.3.1, 4.1.3."""
        known = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
        basic = base64.b64encode(known.encode()).decode()
        body = await self._ask("POST", endpoint, f"Basic {basic}", form)
        try:
            given = msgspec.json.decode(body, type=_Given)
            seconds = max(float(given.expires_in), 0.0)
        except (msgspec.DecodeError, ValueError):
            raise ProviderRefusedError("its token endpoint's answer is not one") from None
        return Tokens(
            access_token=given.access_token,
            id_token=given.id_token,
            refresh_token=given.refresh_token,
            seconds=seconds,
        )

    async def claims(self, endpoint: str, access_token: str) -> dict[str, Any]:
        """What the provider says of the user. Source: OpenID Connect Core, section 5.3."""
        body = await self._ask("GET", endpoint, f"Bearer {access_token}", None)
        try:
            return msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError:
            raise ProviderRefusedError("its user info is not an object of JSON") from None

    async def _ask(self, method: str, url: str, authorization: str, form: Mapping[str, str] | None) -> bytes:
        if self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context, cafile=self._roots or None)
        headers = {"Authorization": authorization, "Accept": "application/json"}
        limit = aiohttp.ClientTimeout(total=ASK_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit, cookie_jar=aiohttp.DummyCookieJar()) as client,
                client.request(
                    method, url, data=form, headers=headers, ssl=self._tls, allow_redirects=False
                ) as answer,
            ):
                if answer.status != 200:
                    raise ProviderRefusedError(f"it answered {answer.status}")
                return await _whole(answer)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise ProviderAwayError(type(error).__name__) from None


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise ProviderRefusedError("its answer is too long")
    return bytes(body)
