"""botocore as the oracle: its client writes what we read, and reads what we write."""

from __future__ import annotations

import io
import string
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from botocore import parsers, serialize
from botocore.awsrequest import HeadersDict, create_request_object, prepare_request_dict
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.utils import deep_merge
from hypothesis import strategies as st

from homeport.wire.http import HttpAnswer, HttpRequest
from homeport.wire.model import Shape, service_api
from homeport.wire.patches import PATCHES
from homeport.wire.patterns import compile_pattern

DEEPEST = 4
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PRINTABLE = st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=["Cs", "Cc", "Zs", "Cn"])
HEADER_CHARS = string.ascii_letters + string.digits + "-_./:"
HOST_CHARS = string.ascii_letters + string.digits + "-"
BY_HOST = {"ListDirectoryBuckets"}
"""Told from another operation by the host name only, which is not ours to give."""
SPEAKERS = [
    ("ecs", "json"),
    ("sqs", "json"),
    ("ecr", "json"),
    ("application-autoscaling", "json"),
    ("cloudwatch", "json"),
    ("cloudwatch", "query"),
    ("cloudwatch", "smithy-rpc-v2-cbor"),
    ("servicediscovery", "smithy-rpc-v2-cbor"),
    ("sts", "query"),
    ("iam", "query"),
    ("elbv2", "query"),
    ("autoscaling", "query"),
    ("ec2", "ec2"),
    ("efs", "rest-json"),
    ("eks", "rest-json"),
    ("xray", "rest-json"),
    ("s3", "rest-xml"),
    ("route53", "rest-xml"),
]


@cache
def client_model(service: str) -> ServiceModel:
    """botocore's model, with what other clients (the ECS agent) are known to send beyond it."""
    model = Loader().load_service_model(service, "service-2")
    deep_merge(model, dict(PATCHES.get(service, {})))
    return ServiceModel(model, service)


def sent(service: str, operation: str, protocol: str, value: dict[str, Any]) -> HttpRequest:
    """The request that botocore sends for `value`."""
    model = client_model(service).operation_model(operation)
    written = serialize.create_serializer(protocol, include_validation=False).serialize_to_request(
        value, model
    )
    written.pop("host_prefix", None)
    prepare_request_dict(written, "http://127.0.0.1:4566")
    prepared = create_request_object(written).prepare()
    return as_request(prepared)


def as_request(prepared: Any) -> HttpRequest:
    target = prepared.url.removeprefix("http://127.0.0.1:4566").removeprefix("https://127.0.0.1:4566")
    path, _, query = target.partition("?")
    body = prepared.body or b""
    return HttpRequest(
        method=prepared.method,
        raw_path=path or "/",
        raw_query=query,
        headers={
            k.lower(): v.decode() if isinstance(v, bytes) else str(v) for k, v in prepared.headers.items()
        },
        body=body.encode() if isinstance(body, str) else bytes(body),
    )


def received(service: str, operation: str, protocol: str, answer: HttpAnswer) -> dict[str, Any]:
    """What botocore makes of our answer."""
    model = client_model(service).operation_model(operation)
    payload = model.output_shape.serialization.get("payload") if model.output_shape else None
    streams = payload is not None and model.output_shape.members[payload].type_name == "blob"
    response = {
        "status_code": answer.status,
        "headers": HeadersDict(dict(answer.headers)),
        "body": io.BytesIO(answer.body) if streams else answer.body,
        "context": {"operation_name": operation},
    }
    parsed: dict[str, Any] = parsers.create_parser(protocol).parse(response, model.output_shape)
    if streams:
        parsed[payload] = parsed[payload].read()
    return parsed


def usable(service: str) -> list[str]:
    """The operations without event streams, and without those that newer ones replace at their place."""
    api = service_api(service)
    found = []
    for name in sorted(api.operation_names):
        operation = api.operation(name)
        tops = [operation.input, *([operation.output] if operation.output else [])]
        if (
            name not in BY_HOST
            and not operation.deprecated
            and not any(m.event_stream for top in tops for m in top.members.values())
        ):
            found.append(name)
    return found


@cache
def values(shape: Shape, *, textual: bool = False, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that the shape allows. `textual`: for a header, a label or a query string."""
    traits = shape.traits
    match shape.kind:
        case "structure":
            return _structures(shape, depth)
        case "list":
            low, high = traits.get("min", 0), min(traits.get("max", 3), traits.get("min", 0) + 2)
            return st.lists(
                values(shape.member, textual=textual, depth=depth + 1), min_size=low, max_size=high
            )
        case "map":
            low, high = traits.get("min", 0), min(traits.get("max", 3), traits.get("min", 0) + 2)
            return st.dictionaries(
                values(shape.key, textual=textual, depth=depth + 1),
                values(shape.value, textual=textual, depth=depth + 1),
                min_size=low,
                max_size=high,
            )
        case "string" | "character":
            return _strings(shape, textual=textual)
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(traits.get("min", -(2**31)), min(traits.get("max", 2**31 - 1), 2**31 - 1))
        case "long":
            return st.integers(traits.get("min", -(2**63)), min(traits.get("max", 2**63 - 1), 2**63 - 1))
        case "float" | "double":
            width = 32 if shape.kind == "float" else 64
            low, high = float(traits.get("min", -1e9)), float(traits.get("max", 1e9))
            return st.floats(low, high, width=width, allow_nan=False)
        case "blob":
            return st.binary(min_size=traits.get("min", 0), max_size=traits.get("min", 0) + 8)
        case _:
            return _instants(shape, textual=textual)


def _instants(shape: Shape, *, textual: bool) -> st.SearchStrategy[datetime]:
    micros = st.integers(-(10**14), 4 * 10**15)
    if textual or shape.traits.get("timestampFormat") == "rfc822":
        return micros.map(lambda n: EPOCH + timedelta(seconds=n // 10**6))
    return micros.map(lambda n: EPOCH + timedelta(microseconds=n))


def _strings(shape: Shape, *, textual: bool) -> st.SearchStrategy[str]:
    traits = shape.traits
    if choices := traits.get("enum"):
        return st.sampled_from(choices)
    low, high = traits.get("min", 0), traits.get("max")
    host_label = traits.get("hostLabel")
    low = max(low, 1) if textual or host_label else low
    high = min(high or low + 8, low + 8)
    if host_label:  # becomes part of the host name: a client refuses what a host name cannot hold
        return st.text(HOST_CHARS, min_size=low, max_size=high)
    if pattern := traits.get("pattern"):
        matches = compile_pattern(pattern).fullmatch
        if matches("a" * max(low, 1)) and matches("0" * max(low, 1)):  # regexes are slow to draw from
            return st.text("ab01", min_size=max(low, 1), max_size=max(high, 1)).filter(
                lambda s: matches(s) is not None  # not the method: hypothesis would draw from the regex
            )
        drawn = st.from_regex(compile_pattern(pattern), fullmatch=True, alphabet=st.characters(codec="ascii"))
        limit = traits.get("max", 10**6)
        return drawn.filter(lambda s: low <= len(s) <= limit and s.isprintable())
    return st.text(HEADER_CHARS if textual else PRINTABLE, min_size=low, max_size=high)


def _structures(shape: Shape, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    if shape.document:
        return st.dictionaries(
            st.text(max_size=3), st.integers() | st.text(max_size=3) | st.booleans(), max_size=2
        )
    members = shape.members
    if shape.union:
        names = [n for n in members if depth < DEEPEST or members[n].kind not in {"structure", "list", "map"}]
        return st.sampled_from(names or list(members)).flatmap(
            lambda name: st.fixed_dictionaries({name: values(members[name], depth=depth + 1)})
        )

    @st.composite
    def structure(draw: st.DrawFn) -> dict[str, Any]:
        required = set(shape.required)
        optional = [n for n in members if n not in required and depth < DEEPEST]
        chosen = required | set(
            draw(st.lists(st.sampled_from(optional), max_size=4, unique=True)) if optional else []
        )
        found = {}
        for name in members:
            if name in chosen:
                member = members[name]
                value = draw(values(member, textual=member.location is not None, depth=depth + 1))
                if member.location == "headers":  # their names have no case on the wire
                    value = {key.lower(): held for key, held in value.items()}
                found[name] = value
        return found

    return structure()
