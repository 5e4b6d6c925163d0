"""The node's calls to AWS APIs: JSON 1.1 over one keep-alive session, signed.

Source of the calls and of which errors are final: recordings of the real agent, and the ECS API model.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp

from homeport.core.backoff import Backoff, Dice
from homeport.core.clock import Clock
from homeport.core.sigv4 import Credentials, sign_headers

T = TypeVar("T")

CALL_SECONDS_MAX = 42.0
"""Source: amazon-ecs-agent, round trip limit of an API call."""

TARGETS: Mapping[str, str] = {
    "ecs": "AmazonEC2ContainerServiceV20141113",
    "ssm": "AmazonSSM",
    "secretsmanager": "secretsmanager",
    "ecr": "AmazonEC2ContainerRegistry_V20150921",
}


class ApiError(Exception):
    """The API answered with an error; `request_id` is what its own log calls the request."""

    def __init__(self, code: str, message: str, status: int, request_id: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.request_id = request_id

    @property
    def transient(self) -> bool:
        """Whether the same call may well work later: the server's fault, or throttling."""
        return (
            self.status >= 500
            or self.status == 429
            or self.code.startswith(("Throttling", "TooManyRequests"))
        )


class ApiUnreachableError(Exception):
    """No answer: the network, or nobody there."""


class Api(Protocol):
    """Where AWS is. Both raise `ApiError` and `ApiUnreachableError`."""

    async def call(
        self,
        service: str,
        operation: str,
        request: Mapping[str, Any],
        *,
        credentials: Credentials | None = None,
        region: str | None = None,
    ) -> Mapping[str, Any]:
        """One call; `credentials` default to the node's own."""
        ...

    async def object(self, bucket: str, key: str, *, credentials: Credentials | None = None) -> bytes:
        """The content of an S3 object."""
        ...


async def until_answered(
    call: Callable[[], Awaitable[T]],
    *,
    dice: Dice,
    backoff: Backoff,
    final: Callable[[ApiError], bool] = lambda error: not error.transient,
) -> T:
    """Call until there is an answer or an error that is `final` (which is raised)."""
    failures = 0
    while True:
        try:
            return await call()
        except ApiError as error:
            if final(error):
                raise
        except ApiUnreachableError:
            pass
        failures += 1
        await asyncio.sleep(backoff.delay_seconds(failures, dice))


@dataclass(slots=True, kw_only=True)
class AwsApi:
    """AWS, or Homeport, behind one endpoint (or one per service)."""

    session: aiohttp.ClientSession
    endpoint_url: str
    region: str
    credentials: Credentials
    clock: Clock
    endpoints: Mapping[str, str] = field(default_factory=dict)
    user_agent: str = "homeport-agent"

    async def call(
        self,
        service: str,
        operation: str,
        request: Mapping[str, Any],
        *,
        credentials: Credentials | None = None,
        region: str | None = None,
    ) -> Mapping[str, Any]:
        """One JSON 1.1 call."""
        body = json.dumps(request, separators=(",", ":")).encode()
        headers = {
            "content-type": "application/x-amz-json-1.1",
            "x-amz-target": f"{TARGETS[service]}.{operation}",
        }
        url = self.endpoints.get(service, self.endpoint_url)
        status, answer, request_id = await self._send(
            "POST", url, "/", body, headers, service=service, credentials=credentials, region=region
        )
        if status >= 300:
            raise _error_of(answer, status, request_id)
        return _object_of(answer, status)

    async def object(self, bucket: str, key: str, *, credentials: Credentials | None = None) -> bytes:
        """GET, path style: it needs no DNS name per bucket."""
        url = self.endpoints.get("s3", self.endpoint_url)
        path = f"/{quote(bucket, safe='-_.~')}/{quote(key, safe='/-_.~')}"
        headers = {"x-amz-content-sha256": hashlib.sha256(b"").hexdigest()}
        status, answer, _ = await self._send(
            "GET", url, path, b"", headers, service="s3", credentials=credentials, region=None
        )
        if status >= 300:
            raise ApiError(
                _xml_code(answer) or f"HTTP {status}", answer[:200].decode(errors="replace"), status
            )
        return answer

    async def _send(
        self,
        method: str,
        endpoint: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        service: str,
        credentials: Credentials | None,
        region: str | None,
    ) -> tuple[int, bytes, str]:
        """Status, body and request id."""
        parts = urlsplit(endpoint)
        signed = sign_headers(
            credentials or self.credentials,
            method=method,
            path=path,
            query=(),
            headers={**headers, "host": parts.netloc},
            body=body,
            region=region or self.region,
            service=service,
            now=self.clock.now(),
        )
        try:
            async with self.session.request(
                method,
                f"{parts.scheme}://{parts.netloc}{path}",
                data=body or None,
                headers={**signed, "user-agent": self.user_agent},
                timeout=aiohttp.ClientTimeout(total=CALL_SECONDS_MAX),
                allow_redirects=False,
            ) as response:
                request_id = response.headers.get("x-amzn-requestid", "")
                return response.status, await response.read(), request_id
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnreachableError(f"{endpoint}: {error!r}") from error


def _object_of(answer: bytes, status: int) -> Mapping[str, Any]:
    try:
        value = json.loads(answer or b"{}")
    except ValueError as error:
        raise ApiError("InternalFailure", f"the answer is not JSON: {error}", max(status, 500)) from error
    if not isinstance(value, dict):
        raise ApiError("InternalFailure", "the answer is not an object", max(status, 500))
    return value


def _error_of(answer: bytes, status: int, request_id: str) -> ApiError:
    """The error of a JSON answer; anything else is one of the server."""
    try:
        value = json.loads(answer)
        kind = str(value["__type"])
        message = str(value.get("message") or value.get("Message") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ApiError("InternalFailure", answer[:200].decode(errors="replace"), max(status, 500))
    return ApiError(kind.rsplit("#", 1)[-1].split(":", 1)[0], message, status, request_id)


def _xml_code(answer: bytes) -> str:
    _, _, rest = answer.partition(b"<Code>")
    return rest.partition(b"</Code>")[0].decode(errors="replace") if rest else ""
