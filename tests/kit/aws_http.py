"""A loopback server that answers as told, to test clients of AWS. It proves every signature with botocore."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from homeport.app.connection import Connection

KEY, SECRET, REGION = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request that arrived."""

    service: str
    operation: str
    members: Mapping[str, Any]


Answer = tuple[int, Any]


@dataclass
class FakeAws:
    """Answers by `operation`; remembers what was asked. `drop` closes that many connections unanswered."""

    answers: dict[str, Answer | Callable[[Mapping[str, Any]], Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    drop: int = 0
    endpoint: str = ""

    @property
    def connection(self) -> Connection:
        return Connection(
            endpoint=self.endpoint,
            access_key_id=KEY,
            secret_access_key=SECRET,
            region=REGION,
            account_id="000000000000",
        )


def _is_proven(method: str, url: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether botocore would have written the same Authorization header."""
    given = headers["Authorization"]
    scope, signed = given.split("Credential=")[1].split(", ")[:2]
    service = scope.split("/")[3]
    names = signed.removeprefix("SignedHeaders=").split(";")
    request = AWSRequest(method, url, {n: headers[n] for n in names if n != "host"}, body)
    request.context["timestamp"] = headers["X-Amz-Date"]
    signer = SigV4Auth(Credentials(KEY, SECRET), service, REGION)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return given.endswith(f"Signature={signer.signature(text, request)}")


@contextmanager
def fake_aws(**answers: Any) -> Iterator[FakeAws]:
    """Serve on a free loopback port."""
    fake = FakeAws(answers=dict(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            fake.connections += 1
            super().setup()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if fake.drop:
                fake.drop -= 1
                self.close_connection = True
                return
            if not _is_proven("POST", f"{fake.endpoint}{self.path}", self.headers, body):
                self._send(
                    403, {"__type": "InvalidSignatureException", "message": "botocore signs otherwise"}
                )
                return
            service = self.headers["Authorization"].split("/")[3]
            if target := self.headers["X-Amz-Target"]:
                operation, members = target.partition(".")[2], json.loads(body)
            else:
                members = dict(parse_qsl(body.decode()))
                operation = members["Action"]
            fake.asked.append(Asked(service=service, operation=operation, members=members))
            answer = fake.answers[operation]
            status, value = answer(members) if callable(answer) else answer
            self._send(status, value)

        def _send(self, status: int, value: Any) -> None:
            data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("x-amzn-RequestId", "req-1")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        fake.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
