"""A client that may say anything: requests that are almost right, and what every answer must be."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlparse

from botocore import parsers
from hypothesis import strategies as st

from homeport.app.identity.keyring import StoredKeys
from homeport.app.wiring import MANIFESTS, build_chain
from homeport.core.sigv4 import Credentials, sign_headers
from homeport.gateway.chain import Chain
from homeport.gateway.stages import Outcome
from homeport.wire.http import HttpRequest
from homeport.wire.model import service_api
from tests.kit.server import Live
from tests.kit.shapes import must_fit
from tests.wire.oracle import received, sent

PROTOCOLS = {
    "acm": "json", "ec2": "ec2", "ecs": "json", "elbv2": "query", "iam": "query", "secretsmanager": "json",
    "elb": "query", "servicediscovery": "json", "ssm": "json", "sts": "query",
}  # fmt: skip
SERVED = sorted((m.name, operation) for m in MANIFESTS for operation in m.operations.names())
COMMON_ERRORS = {
    "AccessDenied",
    "AccessDeniedException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAction",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestEntityTooLargeException",
    "SignatureDoesNotMatch",
    "UnknownOperationException",
    "ValidationException",
    "UnrecognizedClientException",
    "ValidationError",
}
"""Source: "Common errors" of the API references; the names ending in Exception are their JSON spellings."""
WITHOUT_MODELLED_ERRORS = frozenset({"ec2"})
"""Their models have none: codes are documented, such as `InvalidVpcID.NotFound`."""
OURS_INSIDE = ("Traceback (most recent", " object at 0x", "homeport.services", "homeport.wire")


@dataclass(slots=True)
class Attacker:
    """Sends requests into the chain of a running control plane, without a socket between."""

    live: Live
    chain: Chain = field(init=False)
    ring: StoredKeys = field(init=False)
    trail: list[dict[str, Any]] = field(default_factory=list)
    """The audit log's entries."""

    def __post_init__(self) -> None:
        plane = self.live.plane
        self.ring = StoredKeys(plane.store, plane.clock, plane.store.feed.subscribe, plane.vault)
        self.chain = build_chain(plane, self.ring, trail=self)

    def write(self, entry: dict[str, Any]) -> None:
        """Keep an entry of the audit log."""
        self.trail.append(entry)

    @property
    def host(self) -> str:
        return urlparse(self.live.endpoint).netloc

    def send(self, request: HttpRequest) -> Outcome:
        return self.live.run(self.chain.handle(request, self.live.endpoint))

    def sign(
        self,
        request: HttpRequest,
        *,
        service: str,
        at: datetime | None = None,
        region: str = "us-east-1",
        key: Credentials | None = None,
    ) -> HttpRequest:
        headers = sign_headers(
            key or self.live.keys.root,
            method=request.method,
            path=request.raw_path,
            query=parse_qsl(request.raw_query, keep_blank_values=True),
            headers={**request.headers, "host": self.host},
            body=request.body,
            region=region,
            service=service_api(service).signing_name,
            now=at or datetime.now(UTC),
        )
        return changed(request, headers=headers)

    def post(
        self, service: str, operation: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> Outcome:
        """A signed request with this body."""
        return self.send(self.sign(envelope(service, operation, body, headers or {}), service=service))

    def ask(
        self, service: str, operation: str, value: dict[str, Any], *, key: Credentials | None = None
    ) -> Outcome:
        """What botocore would send for `value`, signed."""
        request = sent(service, operation, PROTOCOLS[service], value)
        return self.send(self.sign(request, service=service, key=key))


def changed(request: HttpRequest, **changes: Any) -> HttpRequest:
    held = {
        "method": request.method,
        "raw_path": request.raw_path,
        "raw_query": request.raw_query,
        "headers": request.headers,
        "body": request.body,
    }
    return HttpRequest(**{**held, **changes})


def envelope(service: str, operation: str, body: bytes, headers: Mapping[str, str]) -> HttpRequest:
    api = service_api(service)
    if PROTOCOLS[service] == "json":
        usual = {
            "content-type": f"application/x-amz-json-{api.json_version}",
            "x-amz-target": f"{api.target_prefix}.{operation}",
        }
    else:
        usual = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    return HttpRequest(method="POST", raw_path="/", raw_query="", headers={**usual, **headers}, body=body)


def must_be_an_answer(service: str, operation: str, outcome: Outcome) -> dict[str, Any]:
    """A success that botocore reads, or a refusal as `must_be_a_refusal` says."""
    if outcome.answer.status != 200:
        return must_be_a_refusal(service, outcome)
    assert outcome.error is None
    if PROTOCOLS[service] == "json":
        must_fit(service, operation, outcome.answer.body)
    return received(service, operation, PROTOCOLS[service], outcome.answer)


def must_be_a_refusal(service: str, outcome: Outcome) -> dict[str, Any]:
    """A modelled 4xx that botocore reads, with a message for people and the request's id."""
    answer = outcome.answer
    assert 400 <= answer.status < 500, (answer.status, answer.body[:500])
    parser = parsers.create_parser(PROTOCOLS[service])
    told = parser.parse(
        {"status_code": answer.status, "headers": dict(answer.headers), "body": answer.body, "context": {}},
        None,
    )
    error = told["Error"]
    modelled = service_api(service).error_shape(error["Code"])
    if service in WITHOUT_MODELLED_ERRORS:
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]+(\.[A-Z][A-Za-z]+)?", error["Code"]), error
    else:
        assert modelled is not None or error["Code"] in COMMON_ERRORS, error
    assert error["Code"] == outcome.error or modelled is not None
    assert len(error["Message"]) > 5, error
    for inside in OURS_INSIDE:
        assert inside not in error["Message"], error
    assert told["ResponseMetadata"]["RequestId"] == outcome.request_id
    return error


# Mutations of what a client would have sent

WRONG: list[Any] = [
    None, True, False, 0, -1, 1.5, 2**31, 2**63, -(2**63), 10**400, 1e308, "", " ", "x", "\x00", "é" * 300,
    "x" * 70_000, "arn:aws:ecs", "arn:aws:ecs:us-east-1:000000000000:cluster/../x", "../../etc/passwd",
    "'; DROP TABLE tasks; --", "%00", "${jndi:ldap://x}", [], [None], [[]], ["x"] * 300, {}, {"": ""},
    {"x": None}, {"__proto__": {}}, "\ud800", "🚀", "1", "true", "null",
]  # fmt: skip
"""Values that are the wrong type, the wrong size, or the wrong idea."""

RAW = [
    b"", b" ", b"{", b"}", b"[]", b"null", b"true", b"5", b'"x"', b"{}{}", b"{},", b"\xef\xbb\xbf{}",
    b"{'a': 1}",
    b"\xff\xfe{\x00}\x00", b"{\xff}", b'{"cluster": "\xff"}', b'{"cluster": "\\ud800"}', b'{"a": NaN}',
    b'{"maxResults": NaN}', b'{"maxResults": Infinity}', b'{"maxResults": 1e400}', b'{"maxResults": -1e400}',
    b'{"maxResults": ' + b"9" * 5000 + b"}", b'{"maxResults": 01}', b'{"maxResults": 1.}',
    b'{"maxResults": 0x1}',
    b'{"cluster": "a", "cluster": 5}', b'{"cluster": 5, "cluster": "nowhere"}', b'{"cluster": "a" "b"}',
    b"[" * 100_000, b'{"a":' * 100_000, b'{"tags":' + b"[" * 60 + b"]" * 60 + b"}",
    b'{"containerDefinitions":' + b"[" * 500 + b"]" * 500 + b"}", b"<xml/>", b"\x1f\x8b\x08\x00",
    b"\x00" * 100,
    b"Action=ListUsers&Version=2010-05-08", b"Action=GetCallerIdentity&Version=2011-06-15&Version=1",
    b"Action=CreateUser&Version=2010-05-08&UserName=a&UserName=b", b"Action=&Version=", b"Action",
    b"&&&&", b"=",
    b"Action=DescribeVpcs&Version=2016-11-15&VpcId.0=x&VpcId.99999999999999999999=y&Filter.1.Value=1",
    b"Action=ListUsers&Version=2010-05-08&MaxItems=NaN", b"Action=ListUsers&Version=2010-05-08&MaxItems=1e3",
    b"Action=ListUsers&Version=2010-05-08&Marker=%ff%fe", b"Action=ListUsers&Version=2010-05-08&%00=%00",
    b"Action=CreateUser&Version=2010-05-08&UserName=x&Tags.member.99999999999999999999.Key=a",
    b"Action=CreateUser&Version=2010-05-08&UserName=x&Tags.member.-1.Key=a",
    b"Action=CreateUser&Version=2010-05-08&UserName=x" + b".member.1" * 5000 + b"=1",
    b"Action=CreateUser&Version=2010-05-08&UserName=x" + b"&Tags.member.1.Key=a" * 999,
]  # fmt: skip
"""Bodies that nobody should send."""


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    found = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += places(inner, (*path, index))
    return found


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """`value` with something else at `path`."""
    if not path:
        return new
    head, *rest = path
    if isinstance(value, dict):
        return {**value, head: replaced(value[head], tuple(rest), new)}
    return [replaced(v, tuple(rest), new) if i == head else v for i, v in enumerate(value)]


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


@st.composite
def spoilt_json(draw: st.DrawFn, value: dict[str, Any]) -> bytes:
    """The body of `value` with one or two things wrong in it."""
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(places(value)))
        held = at(value, path)
        if isinstance(held, dict) and draw(st.booleans()):
            name = draw(st.sampled_from(["bogus", "", "__type", "x" * 2000, "clusterArn", "\x00", "Tags"]))
            value = replaced(value, path, {**held, name: draw(st.sampled_from(WRONG))})
        else:
            value = replaced(value, path, draw(st.sampled_from(WRONG)))
        if not isinstance(value, dict | list):
            break
    return spoilt_bytes(draw, json.dumps(value).encode())


def spoilt_bytes(draw: st.DrawFn, body: bytes) -> bytes:
    """The body, cut, torn or with a strange byte in it; mostly left alone."""
    fate = draw(st.sampled_from(["keep"] * 5 + ["cut", "insert", "change", "twice"]))
    where = draw(st.integers(0, max(len(body) - 1, 0)))
    if fate == "cut":
        return body[:where]
    if fate == "insert":
        strange = draw(
            st.sampled_from([b"\xff", b"\x00", b"\xed\xa0\x80", b'"', b"{", b"]", b",", b"\\u0000"])
        )
        return body[:where] + strange + body[where:]
    if fate == "change" and body:
        return body[:where] + bytes([draw(st.integers(0, 255))]) + body[where + 1 :]
    return body * 2 if fate == "twice" else body


@st.composite
def spoilt_form(draw: st.DrawFn, body: bytes) -> bytes:
    """A form with one thing wrong in it."""
    pairs = body.split(b"&")
    number = draw(st.integers(0, len(pairs) - 1))
    name, _, held = pairs[number].partition(b"=")
    new = draw(
        st.sampled_from(
            [
                b"", b"x", b"%", b"%zz", b"%ff", b"\xff", b"+" * 9, b"9" * 500, b"-1", b"NaN", b"true",
                b"x" * 70_000, b"%F0%9F%9A%80", b"%00", b"1;2",
            ]
        )
    )  # fmt: skip
    fate = draw(st.sampled_from(["value", "name", "drop", "twice", "add", "deep", "bytes"]))
    if fate == "value":
        pairs[number] = name + b"=" + new
    elif fate == "name":
        pairs[number] = new + b"=" + held
    elif fate == "drop":
        del pairs[number]
    elif fate == "twice":
        pairs.append(pairs[number])
    elif fate == "add":
        pairs.append(draw(st.sampled_from([b"Bogus=1", b"=1", b"Bogus", b".=.", b"Tags.member.0.Key=a"])))
    elif fate == "deep":
        pairs[number] = name + b".member.1" * draw(st.integers(1, 300)) + b"=" + held
    else:
        return spoilt_bytes(draw, body)
    return b"&".join(pairs)
