"""What the manifest says, for the day that it is served: only listings are about nothing in particular."""

from __future__ import annotations

import re

import pytest

from homeport.core.call import Call, Principal
from homeport.core.operations import any_resource
from homeport.services.ec2 import manifest
from homeport.wire.model import service_api

CALL = Call(
    request_id="r", service="ec2", operation="x", account_id="000000000000", region="us-east-1",
    principal=Principal(arn="arn:aws:iam::000000000000:root", account_id="000000000000", user_id="0"),
)  # fmt: skip
NAMES = sorted(manifest.operations.names())


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_is_the_models_and_only_listings_name_no_resource(name: str) -> None:
    operation = manifest.operations.find(name)
    assert operation is not None
    assert name in service_api("ec2").operation_names
    assert operation.action == f"ec2:{name}"
    assert (operation.resources is any_resource) == name.startswith("Describe")
    assert operation.needs or operation.resources(CALL, {})


def test_a_tag_is_asked_of_what_it_is_on() -> None:
    operation = manifest.operations.find("CreateTags")
    assert operation is not None
    found = operation.resources(CALL, {"Resources": ["vpc-1", "eni-2", "i-3", "sgr-4", "sg-5", "what"]})
    assert [re.sub(r".*:", "", one) for one in found] == [
        "vpc/vpc-1",
        "network-interface/eni-2",
        "instance/i-3",
        "security-group-rule/sgr-4",
        "security-group/sg-5",
        "*",
    ]


def test_the_audit_log_is_told_what_a_request_names() -> None:
    operation = manifest.operations.find("CreateNetworkInterface")
    assert operation is not None
    assert operation.about is not None
    found = operation.about(CALL, {"SubnetId": "subnet-1", "Groups": ["sg-1", "sg-2"]})
    assert sorted(one.rpartition(":")[2] for one in found) == [
        "security-group/sg-1",
        "security-group/sg-2",
        "subnet/subnet-1",
    ]
