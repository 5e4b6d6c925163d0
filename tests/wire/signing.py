"""Requests signed by botocore, at an instant of the test's choice."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from homeport.wire.http import HttpRequest
from tests.wire.oracle import as_request

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SIGNERS: dict[str, Any] = {
    "header": SigV4Auth,
    "presigned": SigV4QueryAuth,
    "s3 header": S3SigV4Auth,
    "s3 presigned": S3SigV4QueryAuth,
}


def signed(
    how: str = "header",
    *,
    method: str = "POST",
    target: str = "/",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    token: str | None = None,
    at: datetime = NOW,
    context: dict[str, Any] | None = None,
) -> HttpRequest:
    service = "s3" if how.startswith("s3") else "ecs"
    request = AWSRequest(
        method=method, url=f"http://127.0.0.1:4566{target}", data=body, headers=headers or {}
    )
    request.context.update(context or {})
    with patch("botocore.auth.get_current_datetime", return_value=at.replace(tzinfo=None)):
        SIGNERS[how](Credentials(KEY, SECRET, token), service, "us-east-1").add_auth(request)
    found = as_request(request.prepare())
    return HttpRequest(
        method=found.method,
        raw_path=found.raw_path,
        raw_query=found.raw_query,
        headers={"host": "127.0.0.1:4566", "user-agent": "test", **found.headers},
        body=found.body,
    )
