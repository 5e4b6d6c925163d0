"""What every service's manifest must keep: modelled errors, operations of the model, IAM's words for them."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest

from homeport.app.wiring import MANIFESTS
from homeport.core.call import Call, Principal
from homeport.core.errors import AwsError, DynamicAwsError
from homeport.core.operations import any_resource
from homeport.wire.model import service_api

COMMON = {"AccessDenied", "AccessDeniedException", "ValidationError", "ValidationException"}
"""Source: "Common errors" of the API references: no model has them."""
ERRORS = [
    (manifest.name, error)
    for manifest in MANIFESTS
    for _, error in inspect.getmembers(
        importlib.import_module(f"homeport.services.{manifest.name}.errors"), inspect.isclass
    )
    if issubclass(error, AwsError) and error is not AwsError and not issubclass(error, DynamicAwsError)
]
OPERATIONS = [(m.name, name) for m in MANIFESTS for name in sorted(m.operations.names())]
NAMED = {
    "resourceArn": "arn:aws:ecs:us-east-1:000000000000:cluster/c",
    "LoadBalancerName": "x",
    "LoadBalancerNames": ["x"],
    "RoleArn": "arn:aws:iam::000000000000:role/r",
    "Name": "x",
    "Names": ["x"],
    "Path": "/x",
    "Id": "x",
    "ServiceId": "x",
    "ResourceARN": "arn:aws:servicediscovery:us-east-1:000000000000:service/x",
    "ResourceId": "x",
    "taskDefinitions": ["x:1"],
    "daemonArn": "arn:aws:ecs:us-east-1:000000000000:daemon/c/d",
    **{
        member: f"arn:aws:elasticloadbalancing:us-east-1:000000000000:{kind}/x"
        for member, kind in (
            ("LoadBalancerArn", "loadbalancer/app"),
            ("ListenerArn", "listener/app"),
            ("RuleArn", "listener-rule/app"),
            ("TargetGroupArn", "targetgroup"),
            ("TrustStoreArn", "truststore"),
            ("ResourceArn", "truststore"),
        )
    },
    "ResourceArns": ["arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/x"],
    "RulePriorities": [
        {"RuleArn": "arn:aws:elasticloadbalancing:us-east-1:000000000000:listener-rule/app/x"}
    ],
}
"""Required members that resources are made of."""
CALL = Call(
    request_id="r",
    service="ecs",
    operation="x",
    account_id="000000000000",
    region="us-east-1",
    principal=Principal(arn="arn:aws:iam::000000000000:root", account_id="000000000000", user_id="0"),
)


@pytest.mark.parametrize(("service", "error"), ERRORS, ids=lambda value: getattr(value, "__name__", value))
def test_every_error_is_the_models_or_common_to_all(service: str, error: type[AwsError]) -> None:
    found = service_api(service).error_shape(error.code)
    if found is None:
        assert error.code in COMMON
        return
    assert error.__doc__
    if found.status is not None:
        assert error.status == found.status
    if found.fault == "Receiver":
        assert error.fault == "Receiver"


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_every_operation_is_the_models_and_has_an_action_and_resources(service: str, name: str) -> None:
    manifest = next(m for m in MANIFESTS if m.name == service)
    operation = manifest.operations.find(name)
    assert operation is not None
    assert name in service_api(service).operation_names
    assert re.fullmatch(rf"{manifest.operations.action_prefix}:[A-Za-z]+", operation.action)
    resources = operation.resources(CALL, NAMED)
    assert resources or operation.needs
    assert all(arn == "*" or arn.startswith("arn:aws:") for arn in resources)
    if operation.resources is any_resource:
        assert not {"cluster", "service", "task"} & set(service_api(service).operation(name).input.required)
