"""Classic Load Balancers through boto3. Sources: API Reference 2012-06-01; their User Guide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kit.elb import HTTP, FakeChecks, classic, mount_elb
from tests.kit.elbv2 import CERTIFICATE, DEFAULT_GROUP, GROUP, VPC
from tests.kit.server import ACCOUNT, Live, live_server

HTTPS = {"Protocol": "HTTPS", "LoadBalancerPort": 443, "InstancePort": 8080}
GOOD = CERTIFICATE.format("good")


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with live_server(mount=mount_elb) as server:
        yield server


@pytest.fixture
def elb(live: Live) -> Any:
    client = live.client("elb")
    for one in client.describe_load_balancers()["LoadBalancerDescriptions"]:
        client.delete_load_balancer(LoadBalancerName=one["LoadBalancerName"])
    return client


@pytest.fixture
def checks(live: Live) -> FakeChecks:
    found: FakeChecks = next(one for one in live.plane.services if one.name == "elb").context.balancing
    found.states.clear()
    return found


def refused(work: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        work()
    return str(caught.value.response["Error"]["Code"])


def shown(elb: Any, name: str = "old") -> Any:
    (found,) = elb.describe_load_balancers(LoadBalancerNames=[name])["LoadBalancerDescriptions"]
    return found


def test_a_balancer_has_the_defaults_of_the_api(elb: Any) -> None:
    dns = classic(elb)
    found = shown(elb)
    assert found["DNSName"] == dns
    assert dns.startswith("old-")
    assert dns.endswith(".us-east-1.elb.amazonaws.com")
    assert (found["VPCId"], found["Scheme"], found["SecurityGroups"]) == (
        VPC,
        "internet-facing",
        [DEFAULT_GROUP],
    )
    assert (found["Subnets"], found["AvailabilityZones"]) == (["subnet-0a"], ["us-east-1a"])
    assert (found["CanonicalHostedZoneName"], found["CanonicalHostedZoneNameID"]) == (dns, "Z35SXDOTRQ7X7K")
    assert found["SourceSecurityGroup"] == {"OwnerAlias": ACCOUNT, "GroupName": "default"}
    assert found["HealthCheck"] == {
        "Target": "TCP:8080", "Interval": 30, "Timeout": 5, "UnhealthyThreshold": 2, "HealthyThreshold": 10,
    }  # fmt: skip
    assert found["ListenerDescriptions"] == [
        {"Listener": {**HTTP, "InstanceProtocol": "HTTP"}, "PolicyNames": []}
    ]
    attributes = elb.describe_load_balancer_attributes(LoadBalancerName="old")["LoadBalancerAttributes"]
    assert attributes["CrossZoneLoadBalancing"] == {"Enabled": False}
    assert attributes["ConnectionDraining"] == {"Enabled": False, "Timeout": 300}
    assert attributes["ConnectionSettings"] == {"IdleTimeout": 60}


def test_zones_stand_for_the_default_vpcs_subnets(elb: Any) -> None:
    zones = ["us-east-1b", "us-east-1a"]
    elb.create_load_balancer(LoadBalancerName="old", Listeners=[HTTP], AvailabilityZones=zones)
    assert shown(elb)["Subnets"] == ["subnet-0a", "subnet-0b"]
    asked = {"LoadBalancerName": "old", "AvailabilityZones": ["us-east-1c"]}
    assert elb.enable_availability_zones_for_load_balancer(**asked)["AvailabilityZones"][-1] == "us-east-1c"
    elb.disable_availability_zones_for_load_balancer(LoadBalancerName="old", AvailabilityZones=zones)
    assert shown(elb)["Subnets"] == ["subnet-0c"]
    assert refused(lambda: elb.disable_availability_zones_for_load_balancer(**asked)) == (
        "InvalidConfigurationRequest"
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"LoadBalancerName": "-a"}, "ValidationError"),
        ({"LoadBalancerName": "a" * 33}, "ValidationError"),
        ({"AvailabilityZones": ["us-east-1a"]}, "ValidationError"),
        ({"Subnets": ["subnet-77"]}, "SubnetNotFound"),
        ({"Subnets": ["subnet-0a", "subnet-9b"]}, "InvalidConfigurationRequest"),
        ({"Subnets": ["subnet-0a", "subnet-1a"]}, "InvalidConfigurationRequest"),
        ({"SecurityGroups": ["sg-9"]}, "InvalidSecurityGroup"),
        ({"Scheme": "outside"}, "InvalidScheme"),
        ({"Listeners": []}, "ValidationError"),
        ({"Listeners": [{**HTTP, "Protocol": "UDP"}]}, "UnsupportedProtocol"),
        ({"Listeners": [{**HTTP, "InstanceProtocol": "TCP"}]}, "ValidationError"),
        ({"Listeners": [HTTP, {**HTTP, "InstancePort": 81}]}, "DuplicateListener"),
        ({"Listeners": [HTTPS]}, "CertificateNotFound"),
        ({"Listeners": [{**HTTPS, "SSLCertificateId": CERTIFICATE.format("bad")}]}, "CertificateNotFound"),
        ({"Listeners": [{**HTTP, "SSLCertificateId": GOOD}]}, "ValidationError"),
        ({"Tags": [{"Key": "a"}, {"Key": "a"}]}, "DuplicateTagKeys"),
    ],
    ids=lambda one: one if isinstance(one, str) else "+".join(one),
)
def test_what_no_balancer_can_be_is_refused(elb: Any, changes: dict[str, Any], code: str) -> None:
    assert refused(lambda: classic(elb, **changes)) == code
    assert elb.describe_load_balancers()["LoadBalancerDescriptions"] == []


def test_a_name_is_taken_once_unless_all_is_the_same_and_deleting_nothing_is_fine(elb: Any) -> None:
    dns = classic(elb)
    assert classic(elb) == dns
    with pytest.raises(ClientError) as caught:
        classic(elb, Scheme="internal")
    error = caught.value.response["Error"]
    # Observed: what `aws elb create-load-balancer` prints.
    text = "Load Balancer named 'old' already exists and it is configured with different parameters."
    assert (error["Code"], error["Message"]) == ("DuplicateLoadBalancerName", text)
    for changes in (
        {"Subnets": ["subnet-0b"]},
        {"SecurityGroups": [GROUP]},
        {"Tags": [{"Key": "a", "Value": "1"}]},
        {"Listeners": [{**HTTP, "InstancePort": 81}]},
    ):
        assert refused(lambda changes=changes: classic(elb, **changes)) == (  # type: ignore[misc]
            "DuplicateLoadBalancerName"
        )
    elb.delete_load_balancer(LoadBalancerName="old")
    elb.delete_load_balancer(LoadBalancerName="old")
    assert refused(lambda: shown(elb)) == "LoadBalancerNotFound"


def test_listeners_come_and_go(elb: Any) -> None:
    classic(elb)
    secure = {**HTTPS, "SSLCertificateId": GOOD}
    plain = {"Protocol": "tcp", "LoadBalancerPort": 25, "InstancePort": 2525}
    elb.create_load_balancer_listeners(LoadBalancerName="old", Listeners=[HTTP, secure, plain])
    listeners = [one["Listener"] for one in shown(elb)["ListenerDescriptions"]]
    assert [(one["Protocol"], one["InstanceProtocol"]) for one in listeners] == [
        ("HTTP", "HTTP"),
        ("HTTPS", "HTTP"),
        ("TCP", "TCP"),
    ]
    other = {**HTTP, "InstancePort": 81}
    assert refused(lambda: elb.create_load_balancer_listeners(LoadBalancerName="old", Listeners=[other])) == (
        "DuplicateListener"
    )
    better = CERTIFICATE.format("good-too")
    change = {"LoadBalancerName": "old", "LoadBalancerPort": 443, "SSLCertificateId": better}
    elb.set_load_balancer_listener_ssl_certificate(**change)
    assert shown(elb)["ListenerDescriptions"][1]["Listener"]["SSLCertificateId"] == better
    at_80 = {**change, "LoadBalancerPort": 80}
    assert refused(lambda: elb.set_load_balancer_listener_ssl_certificate(**at_80)) == (
        "InvalidConfigurationRequest"
    )
    assert refused(
        lambda: elb.set_load_balancer_listener_ssl_certificate(**{**change, "LoadBalancerPort": 1})
    ) == ("ListenerNotFound")
    elb.delete_load_balancer_listeners(LoadBalancerName="old", LoadBalancerPorts=[443, 25, 7])
    assert len(shown(elb)["ListenerDescriptions"]) == 1


def test_instances_are_told_how_they_are(elb: Any, checks: FakeChecks) -> None:
    classic(elb, Subnets=["subnet-0a", "subnet-0b"])
    ids = ["i-0", "i-1", "i-3", "i-2", "i-8"]
    instances = [{"InstanceId": one} for one in ids]
    answer = elb.register_instances_with_load_balancer(LoadBalancerName="old", Instances=instances)
    assert answer["Instances"] == instances
    checks.states.update({"i-0": "healthy", "i-1": "unhealthy", "i-2": "healthy"})
    found = elb.describe_instance_health(LoadBalancerName="old")["InstanceStates"]
    told = {one["InstanceId"]: (one["State"], one["ReasonCode"], one["Description"]) for one in found}
    assert told["i-0"] == ("InService", "N/A", "N/A")
    assert told["i-1"] == (
        "OutOfService",
        "Instance",
        "Instance has failed at least the UnhealthyThreshold number of health checks consecutively.",
    )
    assert told["i-3"] == ("OutOfService", "ELB", "Instance registration is still in progress.")
    assert told["i-2"][:2] == ("OutOfService", "ELB"), "its zone is not one of the balancer's"
    assert told["i-8"][:2] == ("OutOfService", "Instance")
    assert "stopped" in told["i-8"][2]
    one = elb.describe_instance_health(LoadBalancerName="old", Instances=[{"InstanceId": "i-1"}])
    assert [each["InstanceId"] for each in one["InstanceStates"]] == ["i-1"]
    for wrong in ("i-77", "i-9"):
        asked = {"LoadBalancerName": "old", "Instances": [{"InstanceId": wrong}]}
        assert refused(lambda asked=asked: elb.register_instances_with_load_balancer(**asked)) == (  # type: ignore[misc]
            "InvalidInstance"
        )


def test_a_deregistered_instance_drains_if_it_may(elb: Any, checks: FakeChecks) -> None:
    classic(elb)
    both = [{"InstanceId": "i-0"}, {"InstanceId": "i-3"}]
    elb.register_instances_with_load_balancer(LoadBalancerName="old", Instances=both)
    left = elb.deregister_instances_from_load_balancer(LoadBalancerName="old", Instances=both[:1])
    assert left["Instances"] == both[1:]
    asked = {"LoadBalancerName": "old", "Instances": both[:1]}
    assert refused(lambda: elb.describe_instance_health(**asked)) == "InvalidInstance"
    assert refused(lambda: elb.deregister_instances_from_load_balancer(**asked)) == "InvalidInstance"
    draining = {"ConnectionDraining": {"Enabled": True, "Timeout": 60}}
    elb.modify_load_balancer_attributes(LoadBalancerName="old", LoadBalancerAttributes=draining)
    elb.deregister_instances_from_load_balancer(LoadBalancerName="old", Instances=both[1:])
    (state,) = elb.describe_instance_health(LoadBalancerName="old")["InstanceStates"]
    assert (state["State"], state["Description"]) == (
        "InService",
        "Instance deregistration currently in progress.",
    )
    assert shown(elb)["Instances"] == []
    elb.register_instances_with_load_balancer(LoadBalancerName="old", Instances=both[1:])
    assert shown(elb)["Instances"] == both[1:]


@pytest.mark.parametrize(
    "target", ["HTTP:80", "TCP:80/x", "FTP:21", "TCP:0", "TCP:65536", "HTTP:80/a b", "80"]
)
def test_a_check_of_another_form_is_refused(elb: Any, target: str) -> None:
    classic(elb)
    check = {"Target": target, "Interval": 10, "Timeout": 5, "UnhealthyThreshold": 2, "HealthyThreshold": 2}
    asked = {"LoadBalancerName": "old", "HealthCheck": check}
    assert refused(lambda: elb.configure_health_check(**asked)) == "ValidationError"


def test_a_check_is_configured(elb: Any) -> None:
    classic(elb)
    check = {
        "Target": "HTTP:80/up",
        "Interval": 10,
        "Timeout": 5,
        "UnhealthyThreshold": 3,
        "HealthyThreshold": 4,
    }
    assert elb.configure_health_check(LoadBalancerName="old", HealthCheck=check)["HealthCheck"] == check
    assert shown(elb)["HealthCheck"] == check
    slow = {"LoadBalancerName": "old", "HealthCheck": {**check, "Timeout": 10}}
    assert refused(lambda: elb.configure_health_check(**slow)) == "ValidationError"


def test_attributes_are_set(elb: Any) -> None:
    classic(elb)

    def set_to(**given: Any) -> Any:
        return elb.modify_load_balancer_attributes(LoadBalancerName="old", LoadBalancerAttributes=given)[
            "LoadBalancerAttributes"
        ]

    assert set_to(CrossZoneLoadBalancing={"Enabled": True})["CrossZoneLoadBalancing"] == {"Enabled": True}
    assert set_to(ConnectionSettings={"IdleTimeout": 3600})["CrossZoneLoadBalancing"] == {"Enabled": True}
    mode = [{"Key": "elb.http.desyncmitigationmode", "Value": "defensive"}]
    assert set_to(AdditionalAttributes=mode)["AdditionalAttributes"] == mode
    strict = [{"Key": "elb.http.desyncmitigationmode", "Value": "strictest"}]
    assert refused(lambda: set_to(AdditionalAttributes=strict)) == "InvalidConfigurationRequest"
    log = {"Enabled": True, "S3BucketName": "logs"}
    whole = {**log, "S3BucketPrefix": "", "EmitInterval": 60}
    assert set_to(AccessLog=log)["AccessLog"] == whole
    often = {**whole, "S3BucketPrefix": "a/b", "EmitInterval": 5}
    assert set_to(AccessLog=often)["AccessLog"] == often
    for wrong in (
        {"EmitInterval": 10},
        {"S3BucketName": ""},
        {"S3BucketName": "../x"},
        {"S3BucketPrefix": "/"},
    ):
        again = {**often, **wrong}
        assert refused(lambda again=again: set_to(AccessLog=again)) == "InvalidConfigurationRequest"
    assert set_to(CrossZoneLoadBalancing={"Enabled": True})["AccessLog"] == often
    resting = {**often, "Enabled": False}  # as Terraform sends it
    assert set_to(AccessLog=resting)["AccessLog"] == resting
    assert set_to(AccessLog={"Enabled": False})["AccessLog"] == {"Enabled": False}
    assert refused(lambda: set_to(ConnectionSettings={"IdleTimeout": 3601})) == "ValidationError"
    draining = {"Enabled": True, "Timeout": 3601}
    assert refused(lambda: set_to(ConnectionDraining=draining)) == "ValidationError"


def test_stickiness_policies_are_made_set_and_removed(elb: Any) -> None:
    classic(elb, Listeners=[HTTP, {"Protocol": "TCP", "LoadBalancerPort": 25, "InstancePort": 25}])
    name = {"LoadBalancerName": "old"}
    elb.create_lb_cookie_stickiness_policy(**name, PolicyName="hour", CookieExpirationPeriod=3600)
    elb.create_app_cookie_stickiness_policy(**name, PolicyName="app", CookieName="SESSION")
    again = {**name, "PolicyName": "app", "CookieName": "OTHER"}
    assert refused(lambda: elb.create_app_cookie_stickiness_policy(**again)) == "DuplicatePolicyName"
    elb.set_load_balancer_policies_of_listener(**name, LoadBalancerPort=80, PolicyNames=["hour"])
    found = shown(elb)
    assert found["ListenerDescriptions"][0]["PolicyNames"] == ["hour"]
    assert found["Policies"]["LBCookieStickinessPolicies"] == [
        {"PolicyName": "hour", "CookieExpirationPeriod": 3600}
    ]
    assert found["Policies"]["AppCookieStickinessPolicies"] == [
        {"PolicyName": "app", "CookieName": "SESSION"}
    ]
    assert refused(lambda: elb.delete_load_balancer_policy(**name, PolicyName="hour")) == (
        "InvalidConfigurationRequest"
    )

    def set_at(port: int, *policies: str) -> Any:
        return elb.set_load_balancer_policies_of_listener(
            **name, LoadBalancerPort=port, PolicyNames=list(policies)
        )

    assert refused(lambda: set_at(25, "app")) == "InvalidConfigurationRequest"
    assert refused(lambda: set_at(80, "none")) == "PolicyNotFound"
    assert refused(lambda: set_at(80, "app", "hour")) == "InvalidConfigurationRequest"
    assert refused(lambda: set_at(81, "app")) == "ListenerNotFound"
    set_at(80)
    elb.delete_load_balancer_policy(**name, PolicyName="hour")
    (left,) = elb.describe_load_balancer_policies(**name)["PolicyDescriptions"]
    assert (left["PolicyName"], left["PolicyTypeName"]) == ("app", "AppCookieStickinessPolicyType")
    other = {**name, "PolicyName": "keys", "PolicyTypeName": "PublicKeyPolicyType"}
    assert refused(lambda: elb.create_load_balancer_policy(**other)) == "InvalidConfigurationRequest"
    unknown = {**other, "PolicyTypeName": "Imagined"}
    assert refused(lambda: elb.create_load_balancer_policy(**unknown)) == "PolicyTypeNotFound"


def test_subnets_groups_and_tags_are_changed(elb: Any) -> None:
    classic(elb, Tags=[{"Key": "a", "Value": "1"}])
    name = {"LoadBalancerName": "old"}
    assert elb.attach_load_balancer_to_subnets(**name, Subnets=["subnet-0c"])["Subnets"] == [
        "subnet-0a",
        "subnet-0c",
    ]
    twice = {**name, "Subnets": ["subnet-1a"]}
    assert refused(lambda: elb.attach_load_balancer_to_subnets(**twice)) == "InvalidConfigurationRequest"
    assert elb.detach_load_balancer_from_subnets(**name, Subnets=["subnet-0a"])["Subnets"] == ["subnet-0c"]
    groups = elb.apply_security_groups_to_load_balancer(**name, SecurityGroups=[GROUP])["SecurityGroups"]
    assert groups == shown(elb)["SecurityGroups"] == [GROUP]
    elb.add_tags(LoadBalancerNames=["old"], Tags=[{"Key": "b", "Value": "2"}])
    elb.remove_tags(LoadBalancerNames=["old"], Tags=[{"Key": "a"}])
    (tagged,) = elb.describe_tags(LoadBalancerNames=["old"])["TagDescriptions"]
    assert tagged == {"LoadBalancerName": "old", "Tags": [{"Key": "b", "Value": "2"}]}


def test_a_list_has_pages(elb: Any) -> None:
    for letter in "abc":
        classic(elb, letter)
    pages = elb.get_paginator("describe_load_balancers").paginate(PaginationConfig={"PageSize": 2})
    assert [len(page["LoadBalancerDescriptions"]) for page in pages] == [2, 1]


def test_both_versions_of_the_api_are_told_apart(live: Live, elb: Any) -> None:
    classic(elb)
    assert live.client("elbv2").describe_load_balancers()["LoadBalancers"] == []
