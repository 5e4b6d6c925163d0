"""Nothing accepted is ignored: a member that no handler reads is refused by its name; the others are read."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from typing import Any

import pytest

from homeport.core.call import Call, Principal
from homeport.core.errors import AwsError
from homeport.services.ec2.api.absent import ABSENT
from homeport.services.ec2.api.context import READS
from homeport.services.ec2.manifest import operations
from homeport.wire.model import Shape, service_api

API = service_api("ec2")
CALL = Call(
    request_id="r", service="ec2", operation="x", account_id="000000000000", region="us-east-1",
    principal=Principal(arn="arn:aws:iam::000000000000:root", account_id="000000000000", user_id="0"),
)  # fmt: skip
UNREAD = [
    (name, member)
    for name in sorted(operations.names())
    for member in API.operation(name).input.members
    if member not in READS[name]
]
SET_ASIDE = {"AllRegions", "AllAvailabilityZones", "IncludeManagedResources", "IncludeAllInstances"}
"""Ask for more of what is listed, of which there is no more; the handlers' docstrings say why."""


def something(shape: Shape) -> Any:
    """A value that says something."""
    match shape.kind:
        case "structure":
            return {name: something(one) for name, one in list(shape.members.items())[:1]} or {"x": 1}
        case "list":
            return [something(shape.member)]
        case "boolean":
            return True
        case "integer" | "long":
            return 1
        case _:
            return "x"


@pytest.mark.parametrize(("name", "member"), UNREAD)
async def test_a_member_that_nobody_reads_is_refused_by_its_name(name: str, member: str) -> None:
    operation = operations.find(name)
    assert operation is not None
    given = {member: something(API.operation(name).input.members[member])}
    with pytest.raises(AwsError, match=f"parameter {member} is not supported") as caught:
        await operation.handler(CALL, None, given)
    assert caught.value.code == "UnsupportedOperation"


@cache
def _words() -> dict[str, set[str]]:
    """The texts in the module of each operation, and in what it calls to read requests."""
    from homeport.services.ec2.api import context
    from homeport.services.ec2.plan import permissions, tags

    shared = {
        node.value
        for module in (context, permissions, tags)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    found = {}
    for name in operations.names():
        operation = operations.find(name)
        assert operation is not None
        module = inspect.getmodule(inspect.unwrap(operation.handler))
        assert module is not None
        subscripts = {
            node.slice.value
            for node in ast.walk(ast.parse(inspect.getsource(module)))
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)
        }
        gets = {
            node.args[0].value
            for node in ast.walk(ast.parse(inspect.getsource(module)))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get"
            if node.args and isinstance(node.args[0], ast.Constant)
        }
        found[name] = shared | subscripts | gets
    return found


@pytest.mark.parametrize("name", sorted(ABSENT))
def test_a_listing_that_is_empty_takes_every_member(name: str) -> None:
    assert READS[name] - {"DryRun"} == set(API.operation(name).input.members) - {"DryRun"}


@pytest.mark.parametrize("name", sorted(operations.names()))
def test_a_member_that_an_operation_says_it_reads_is_the_models_and_read(name: str) -> None:
    known = set(API.operation(name).input.members)
    assert READS[name] - {"DryRun"} <= known
    varied = {"ModifyInstanceAttribute", "ModifySubnetAttribute", "ModifyVpcAttribute"}
    if name not in varied | ABSENT.keys():
        assert READS[name] - SET_ASIDE - {"DryRun"} <= _words()[name]
