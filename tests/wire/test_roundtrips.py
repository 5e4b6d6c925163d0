"""What a client sends is what we read; what we write is what a client reads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from homeport.wire import codec
from homeport.wire.constraints import new_checks
from homeport.wire.model import Shape, service_api
from homeport.wire.problems import Problems
from homeport.wire.route import Routed, Router
from tests.wire.oracle import SPEAKERS, received, sent, usable, values

ROUTERS = {name: Router([name]) for name, _ in SPEAKERS}
RELAXED = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
CONTAINERS = {"structure", "list", "map"}


def _vanishes(shape: Shape, value: Any, protocol: str) -> bool:
    """Whether nothing is written for an empty value there, so that it reads as absent."""
    if value not in ({}, []) or shape.kind not in CONTAINERS:
        return False
    if protocol == "query":
        return shape.kind != "list"
    if protocol == "ec2":
        return True
    return shape.location is not None or (protocol == "rest-xml" and shape.flattened)


def expressible(value: Any, shape: Shape, protocol: str) -> Any:
    """`value` without the empty parts that the protocol cannot tell from absent ones."""
    if shape.kind == "structure" and not shape.document:
        inner = {n: expressible(v, shape.members[n], protocol) for n, v in value.items()}
        return {n: v for n, v in inner.items() if not _vanishes(shape.members[n], v, protocol)}
    if shape.kind == "list":
        items = [expressible(item, shape.member, protocol) for item in value]
        return [item for item in items if not _vanishes(shape.member, item, protocol)]
    if shape.kind == "map":
        inner = {k: expressible(v, shape.value, protocol) for k, v in value.items()}
        return {k: v for k, v in inner.items() if not _vanishes(shape.value, v, protocol)}
    return value


def _allowed(value: Any, shape: Shape) -> bool:
    problems = Problems()
    new_checks()(shape)(value, None, problems)
    return not problems.found


@pytest.mark.parametrize(("service", "protocol"), SPEAKERS)
@RELAXED
@given(data=st.data())
def test_what_a_client_sends_is_what_we_read(service: str, protocol: str, data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(usable(service)))
    shape = service_api(service).operation(operation).input
    value = expressible(data.draw(values(shape)), shape, protocol)
    assume(_allowed(value, shape))
    payload = shape.traits.get("payload")
    if payload and payload not in shape.required and value.get(payload) in (b"", ""):
        del value[payload]  # an empty body is an absent one
    request = sent(service, operation, protocol, value)
    routed = ROUTERS[service].route(request, service_api(service).signing_name)
    assert (routed.operation, routed.protocol) == (operation, protocol)
    found = codec.parse(routed, request)
    for transport in ("ContentLength", "ContentType"):  # set by the HTTP client itself
        if shape.members.get(transport) and shape.members[transport].location == "header":
            found.pop(transport, None)
            value.pop(transport, None)
    assert found == value


@pytest.mark.parametrize(("service", "protocol"), SPEAKERS)
@RELAXED
@given(data=st.data(), strict=st.booleans())
def test_what_we_write_is_what_a_client_reads(
    service: str, protocol: str, data: st.DataObject, strict: bool
) -> None:
    operation = data.draw(st.sampled_from(usable(service)))
    shape = service_api(service).operation(operation).output
    value = data.draw(values(shape)) if shape is not None else {}
    routed = Routed(service=service, operation=operation, protocol=protocol, params={})
    answer = codec.serialise(routed, value, "req-1", strict=strict)
    found = received(service, operation, protocol, answer)
    metadata = found.pop("ResponseMetadata", {})
    if shape is None:
        return
    assert metadata["RequestId"] == "req-1"
    expected = expressible(value, shape, protocol if protocol == "rest-xml" else "json")
    if "ContentType" not in expected and shape.traits.get("payload"):
        found.pop("ContentType", None)  # a blob is sent as some type
    assert _dropped(found, shape) == _dropped(expected, shape)


def _dropped(value: Any, shape: Shape) -> Any:
    """Empty bodies and header maps are read as present by botocore; nobody can tell."""
    loose = {
        n for n, m in shape.members.items() if m.location == "headers" or n == shape.traits.get("payload")
    }
    status = {n for n, m in shape.members.items() if m.location == "statusCode"}
    return {n: v for n, v in value.items() if not (n in loose and not v) and n not in status}
