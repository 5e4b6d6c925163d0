"""Every filter that AWS documents is known, and those of instances find what instances show.

Source: the filters' lists in botocore's EC2 model.
"""

from __future__ import annotations

import re
from typing import Any

import botocore.session
import pytest

from homeport.services.ec2.manifest import operations
from tests.api.ec2.conftest import code, filters
from tests.api.ec2.test_places import PLACES, settle
from tests.kit.server import live_server

MODEL = botocore.session.get_session().get_service_model("ec2")
LISTED = re.compile(r"<li>\s*<p>\s*(.*?)(?:</p>|</li>)", re.DOTALL)
OLD_NAMES = re.compile(r"<code>([^<:]+?)</code>")


def documented(name: str) -> list[str]:
    """The names in a listing's documentation; `tag:<key>` is asked of in other tests."""
    member = MODEL.operation_model(name).input_shape.members.get("Filters")
    if member is None:
        return []
    heads = [re.split(r" - |:|<ul>", one, maxsplit=1)[0] for one in LISTED.findall(member.documentation)]
    return [found for head in heads for found in OLD_NAMES.findall(head) if not found.startswith("tag")]


FILTERED = [(name, documented(name)) for name in sorted(operations.names()) if documented(name)]
NEEDED = {"GetSecurityGroupsForVpc": "VpcId"}


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


@pytest.mark.parametrize(("name", "known"), FILTERED, ids=[name for name, _ in FILTERED])
def test_a_documented_filter_is_known(ec2: Any, name: str, known: list[str]) -> None:
    (vpc,) = ec2.describe_vpcs(Filters=filters(is_default="true"))["Vpcs"]
    asked = {NEEDED[name]: vpc["VpcId"]} if name in NEEDED else {}
    ask = getattr(ec2, snake(name))
    for one in known:
        value = "sg-0" if (name, one) == ("DescribeSecurityGroupRules", "group-id") else "none such"
        ask(**asked, Filters=[{"Name": one, "Values": [value]}])


def test_there_are_filters_to_ask_of() -> None:
    assert len(FILTERED) > 20
    assert sum(len(known) for _, known in FILTERED) > 400


def test_a_group_is_asked_of_by_an_id(ec2: Any) -> None:
    """Source: getmoto/moto's tests verified against AWS."""
    malformed = filters(group_id="foobar")
    assert code(lambda: ec2.describe_security_group_rules(Filters=malformed)) == "InvalidGroupId.Malformed"
    nobody = filters(group_id="sg-005216b55886f0fdc")
    assert ec2.describe_security_group_rules(Filters=nobody)["SecurityGroupRules"] == []


def test_instances_are_found_by_what_they_show_of_their_interfaces() -> None:
    with live_server() as live:
        settle(live, PLACES[0])
        live.client("ecs").create_cluster(clusterName="default")
        live.add_node()
        ec2 = live.client("ec2")
        (one,) = ec2.describe_instances()["Reservations"][0]["Instances"]
        (interface,) = one["NetworkInterfaces"]

        def found(**asked: str) -> bool:
            return bool(ec2.describe_instances(Filters=filters(**asked))["Reservations"])

        prefix = "network-interface."
        assert found(**{f"{prefix}network-interface-id": interface["NetworkInterfaceId"]})
        assert found(**{f"{prefix}addresses.private-ip-address": "172.31.0.4", f"{prefix}status": "in-use"})
        assert found(**{f"{prefix}group-name": "default", f"{prefix}addresses.primary": "true"})
        assert found(**{f"{prefix}attachment.instance-id": one["InstanceId"], "vpc-id": one["VpcId"]})
        assert found(owner_id="000000000000", monitoring_state="disabled", launch_index="0")
        assert found(reservation_id=f"r-{one['InstanceId'].removeprefix('i-')}")
        assert not found(**{f"{prefix}subnet-id": "subnet-0"})
        assert not found(owner_id="111111111111")
        assert not found(image_id="*")
