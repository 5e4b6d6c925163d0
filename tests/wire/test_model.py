"""The model is botocore's, read by ourselves."""

from __future__ import annotations

import warnings

import pytest

from homeport.wire.model import (
    Shape,
    UnknownOperationError,
    UnknownServiceError,
    service_api,
)
from homeport.wire.patterns import UnsupportedPatternError, compile_pattern
from tests.wire.oracle import SPEAKERS, client_model

SERVICES = sorted(
    {name for name, _ in SPEAKERS} | {"events", "logs", "secretsmanager", "ssm", "elb", "codedeploy"}
)
SERVICES += ["elasticbeanstalk", "lambda", "scheduler", "sns", "cloudformation", "dynamodb", "stepfunctions"]


@pytest.mark.parametrize("service", SERVICES)
def test_it_says_what_botocores_own_reader_says(service: str) -> None:
    ours, theirs = service_api(service), client_model(service)
    assert ours.signing_name == theirs.signing_name
    assert ours.api_version == theirs.api_version
    assert set(ours.operation_names) >= set(theirs.operation_names)
    for name in theirs.operation_names:
        mine, other = ours.operation(name), theirs.operation_model(name)
        assert mine.method == other.http.get("method", "POST")
        for shape, model in ((mine.input, other.input_shape), (mine.output, other.output_shape)):
            assert list(shape.members if shape else ()) == list(model.members if model else ())
            if model is not None and shape is not None:
                assert list(shape.required) == list(model.required_members)
                for member in model.members:
                    assert shape.members[member].kind == model.members[member].type_name
                    assert shape.members[member].wire_name == model.members[member].serialization.get("name")


@pytest.mark.parametrize("service", SERVICES)
def test_every_pattern_of_the_services_compiles(service: str) -> None:
    api = service_api(service)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in sorted(api.operation_names):
            for shape in api.operation(name).input.walk():
                if pattern := shape.traits.get("pattern"):
                    compile_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", ["", "Grüße 1", "日本:=@-"], ["a;b", "\t", "{"]),
        (r"[\w-_/]+", ["a-b_/"], ["a b", "é"]),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*", ["a\U0001f600\n"], ["\x00"]),
        (r"\p{Print}+", ["a ~"], ["é", ""]),
        (r"^sg-[0-9a-f]{8,40}", ["sg-01234567"], ["sg-0123456", "sg-01234567x", "sg-01234567\n"]),
        (r"a$", ["a"], ["a\n"]),
        (r"[]a]+|[^]b]", ["]a", "c"], ["b"]),
        (r"\P{L}", ["1"], ["a"]),
    ],
)
def test_javas_patterns_match_whole_values(pattern: str, good: list[str], bad: list[str]) -> None:
    matches = compile_pattern(pattern).fullmatch
    assert all(matches(text) for text in good)
    assert not any(matches(text) for text in bad)


def test_a_pattern_that_cannot_be_translated_says_so() -> None:
    for pattern in (r"[\P{C}]", r"\p{Nonsense}", "("):
        with pytest.raises(UnsupportedPatternError):
            compile_pattern(pattern)


def test_what_is_not_there_is_not_found() -> None:
    for name in ("nosuch", "", "../data", "ecs/2014-11-13", ".", "_retry"):
        with pytest.raises(UnknownServiceError):
            service_api(name)
    with pytest.raises(UnknownOperationError):
        service_api("ecs").operation("Fly")
    assert service_api("ecs").error_shape("Fly") is None


def test_equal_references_are_one_shape() -> None:
    def attribute(shape: Shape) -> Shape:
        return shape.members["Item"].value

    api = service_api("dynamodb")
    first, second = attribute(api.operation("PutItem").input), attribute(api.operation("PutItem").input)
    assert first is second
    assert first.members["L"].member is first


def test_paging_is_named_by_the_model() -> None:
    pagination = service_api("elbv2").pagination("DescribeLoadBalancers")
    assert pagination is not None
    assert (pagination.input_tokens, pagination.output_tokens) == (("Marker",), ("NextMarker",))
    assert (pagination.limit_key, pagination.minimum, pagination.maximum) == ("PageSize", 1, 400)
    roles, tasks = service_api("iam").pagination("ListRoles"), service_api("ecs").pagination("ListTasks")
    assert roles is not None
    assert tasks is not None
    assert (roles.maximum, tasks.maximum) == (1000, None)
    assert service_api("ecs").pagination("RunTask") is None


def test_some_operations_need_no_signature() -> None:
    assert service_api("sts").operation("AssumeRoleWithWebIdentity").unsigned
    assert not service_api("sts").operation("GetCallerIdentity").unsigned
