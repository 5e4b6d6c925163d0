"""The front door, byte by byte: broken HTTP, bodies that end early or never, requests signed in the URL."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlparse

import pytest

from homeport.gateway.stages import Anonymous
from homeport.wire.http import MAX_BODY_BYTES
from tests.kit.attacker import Attacker, envelope
from tests.kit.server import Live, live_server


def talk(live: Live, *pieces: bytes, hang_up: bool = False) -> tuple[int, bytes]:
    """Send the pieces, and read until the server closes: the status and the rest."""
    address = urlparse(live.endpoint)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
        if hang_up:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else 0), body


def head(*lines: str, line: str = "POST / HTTP/1.1") -> bytes:
    return "\r\n".join((line, "Host: here", "Connection: close", *lines, "", "")).encode("latin-1")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"NONSENSE\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        head("Content-Length: -1"),
        head("Content-Length: much"),
        head("Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n",
        head("Transfer-Encoding: gzip"),
        head("Content-Length: 2", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        head(line="POST /\xff\xfe HTTP/1.1"),
        head(line="POST /" + "y" * 200_000 + " HTTP/1.1"),
    ],
    ids=range(9),
)
def test_broken_http_is_refused(live: Live, request_bytes: bytes) -> None:
    status, body = talk(live, request_bytes)
    assert status == 400
    assert body == b"Invalid HTTP request received."


@pytest.mark.parametrize(
    "line",
    [
        "GET / HTTP/1.1",
        "GET / HTTP/1.0",
        "OPTIONS * HTTP/1.1",
        "GET http://elsewhere/ HTTP/1.1",
        "PUT /a/b?c HTTP/1.1",
    ],
)
def test_what_is_nobodys_operation_says_so(live: Live, line: str) -> None:
    status, body = talk(live, head(line=line))
    assert status == 404
    assert json.loads(body)["message"].startswith("No operation is at ")


def test_a_body_may_come_in_chunks(live: Live) -> None:
    attacker = Attacker(live)
    request = attacker.sign(envelope("ecs", "ListClusters", b'{"maxResults": 1}', {}), service="ecs")
    lines = [f"{name}: {value}" for name, value in request.headers.items() if name != "host"]
    top = "\r\n".join(
        (
            "POST / HTTP/1.1",
            f"Host: {attacker.host}",
            "Connection: close",
            "Transfer-Encoding: chunked",
            *lines,
            "",
            "",
        )
    )
    body = request.body
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:3], body[3:10], body[10:])]
    status, answer = talk(live, top.encode(), *chunks, b"0\r\n\r\n")
    assert status == 200
    assert json.loads(answer)["clusterArns"] == []


def test_a_body_that_is_too_long_is_refused_and_the_client_gets_to_read_it(live: Live) -> None:
    size = MAX_BODY_BYTES + 1
    status, body = talk(live, head(f"Content-Length: {size}"), b"x" * size)
    error = json.loads(body)
    assert (status, error["__type"]) == (413, "RequestEntityTooLargeException")
    assert str(MAX_BODY_BYTES) in error["message"]


def test_a_body_that_breaks_off_is_no_request() -> None:
    """Half of a request must not be done, even where nobody proves anything."""
    with live_server(anonymous=Anonymous(account_id="000000000000", region="us-east-1")) as live:
        whole = b'{"clusterName": "half"}'
        target = "X-Amz-Target: AmazonEC2ContainerServiceV20141113.CreateCluster"
        start = head(target, f"Content-Length: {len(whole) + 1}")
        assert talk(live, start, whole, hang_up=True) == (0, b"")
        assert live.client("ecs").list_clusters()["clusterArns"] == []
        status, _ = talk(live, start, whole, b" ")
        assert status == 200


def test_a_url_may_carry_the_proof_for_as_long_as_it_says(live: Live) -> None:
    """As `vault` and Kubernetes' authenticators use GetCallerIdentity."""
    sts: Any = live.client("sts")
    url = sts.generate_presigned_url("get_caller_identity", HttpMethod="GET", ExpiresIn=60)
    with urllib.request.urlopen(url) as answer:
        assert b"<Arn>arn:aws:iam::000000000000:root</Arn>" in answer.read()
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(url.replace("GetCallerIdentity", "GetSessionToken"))
    assert refusal.value.code == 403
    assert b"SignatureDoesNotMatch" in refusal.value.read()
    refusal.value.close()
