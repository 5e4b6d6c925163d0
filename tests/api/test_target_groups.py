"""Target groups through boto3. Sources: API Reference; guides, "Target health status"; as marked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.core.clock import FixedClock, SystemClock
from homeport.services.elbv2.model.groups import TargetHealth
from tests.kit.elbv2 import OTHER_VPC, VPC, application, group, listener, mount_elbv2, mounted
from tests.kit.server import Live, live_server


@pytest.fixture(scope="module")
def clock() -> FixedClock:
    return FixedClock(SystemClock().now())


@pytest.fixture(scope="module")
def live(clock: FixedClock) -> Iterator[Live]:
    with live_server(mount=lambda plane, pages: mount_elbv2(plane, pages, clock=clock)) as server:
        yield server


@pytest.fixture
def elb(live: Live) -> Any:
    client = live.client("elbv2")
    for one in client.describe_load_balancers()["LoadBalancers"]:
        client.delete_load_balancer(LoadBalancerArn=one["LoadBalancerArn"])
    for one in client.describe_target_groups()["TargetGroups"]:
        client.delete_target_group(TargetGroupArn=one["TargetGroupArn"])
    return client


def refused(work: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        work()
    return str(caught.value.response["Error"]["Code"])


def attributes(answer: Any) -> dict[str, str]:
    return {one["Key"]: one["Value"] for one in answer["Attributes"]}


def change(elb: Any, arn: str, **wanted: str) -> Any:
    given = [{"Key": key.replace("__", "."), "Value": value} for key, value in wanted.items()]
    return attributes(elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=given))


def healths(elb: Any, arn: str, *targets: Any) -> dict[str, tuple[str, str]]:
    asked = {"Targets": list(targets)} if targets else {}
    found = elb.describe_target_health(TargetGroupArn=arn, **asked)["TargetHealthDescriptions"]
    return {
        f"{one['Target']['Id']}:{one['Target']['Port']}": (
            one["TargetHealth"]["State"],
            one["TargetHealth"].get("Reason", ""),
        )
        for one in found
    }


IN_PROGRESS = ("initial", "Elb.RegistrationInProgress")
NOT_IN_USE = ("unused", "Target.NotInUse")
NOT_REGISTERED = ("unused", "Target.NotRegistered")
DRAINING = ("draining", "Target.DeregistrationInProgress")


def test_a_group_has_the_documented_health_check(elb: Any) -> None:
    made = group(elb)
    assert made["TargetGroupArn"].startswith(
        "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/app/"
    )
    expected = {
        "TargetType": "instance",
        "ProtocolVersion": "HTTP1",
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPort": "traffic-port",
        "HealthCheckPath": "/",
        "HealthCheckIntervalSeconds": 30,
        "HealthCheckTimeoutSeconds": 5,
        "HealthyThresholdCount": 5,
        "UnhealthyThresholdCount": 2,
        "Matcher": {"HttpCode": "200"},
        "HealthCheckEnabled": True,
        "IpAddressType": "ipv4",
        "LoadBalancerArns": [],
        "VpcId": VPC,
    }
    assert expected.items() <= made.items()


def test_a_group_of_connections_is_checked_over_tcp(elb: Any) -> None:
    made = group(elb, Protocol="TCP")
    assert (made["HealthCheckProtocol"], made["HealthCheckTimeoutSeconds"]) == ("TCP", 10)
    assert {"HealthCheckPath", "Matcher", "ProtocolVersion"}.isdisjoint(made)
    over_http = group(elb, "web", Protocol="TCP", HealthCheckProtocol="HTTP")
    assert over_http["HealthCheckTimeoutSeconds"] == 6
    assert over_http["Matcher"] == {"HttpCode": "200-399"}


def test_the_same_request_returns_the_same_group_and_another_one_is_refused(elb: Any) -> None:
    assert group(elb)["TargetGroupArn"] == group(elb)["TargetGroupArn"]
    with pytest.raises(ClientError) as caught:
        group(elb, Port=81)
    error = caught.value.response["Error"]
    # Observed: fargatecli issue 29.
    text = "A target group with the same name 'app' exists, but with different settings"
    assert (error["Code"], error["Message"]) == ("DuplicateTargetGroupName", text)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"TargetType": "lambda"}, "ValidationError"),
        ({"TargetType": "alb", "Protocol": "TCP"}, "ValidationError"),
        ({"Protocol": "GENEVE", "Port": 6081}, "UnsupportedProtocol"),
        ({"VpcId": "vpc-zz"}, "ValidationError"),
        ({"IpAddressType": "ipv6"}, "ValidationError"),
        ({"TargetControlPort": 9}, "ValidationError"),
        ({"Protocol": "TCP", "ProtocolVersion": "HTTP2"}, "ValidationError"),
        ({"HealthCheckProtocol": "TCP"}, "ValidationError"),
        ({"HealthCheckEnabled": False}, "InvalidConfigurationRequest"),
        ({"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 5}, "ValidationError"),
        ({"HealthCheckPort": "70000"}, "ValidationError"),
        ({"HealthCheckPath": "health"}, "ValidationError"),
        ({"Matcher": {"HttpCode": "500"}}, "ValidationError"),
        ({"Matcher": {"HttpCode": "200-"}}, "ValidationError"),
        ({"Matcher": {"GrpcCode": "0"}}, "InvalidConfigurationRequest"),
        ({"ProtocolVersion": "GRPC"}, "InvalidConfigurationRequest"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_group_that_cannot_be_is_refused(elb: Any, changes: dict[str, Any], code: str) -> None:
    assert refused(lambda: group(elb, **changes)) == code
    assert elb.describe_target_groups()["TargetGroups"] == []


def test_the_health_check_is_changed_member_by_member(elb: Any) -> None:
    made = group(elb)
    arn = made["TargetGroupArn"]
    (changed,) = elb.modify_target_group(
        TargetGroupArn=arn, HealthCheckPath="/health", Matcher={"HttpCode": "200,204-299"}
    )["TargetGroups"]
    assert changed == {**made, "HealthCheckPath": "/health", "Matcher": {"HttpCode": "200,204-299"}}
    slow = lambda: elb.modify_target_group(TargetGroupArn=arn, HealthCheckTimeoutSeconds=30)  # noqa: E731
    assert refused(slow) == "ValidationError"


@pytest.mark.parametrize("protocol", ["TCP", "TLS", "UDP", "TCP_UDP"])
def test_a_check_of_a_network_balancers_group_may_take_the_whole_interval(elb: Any, protocol: str) -> None:
    made = group(elb, Protocol=protocol, HealthCheckIntervalSeconds=10)
    assert (made["HealthCheckIntervalSeconds"], made["HealthCheckTimeoutSeconds"]) == (10, 10)
    arn = made["TargetGroupArn"]
    assert refused(lambda: elb.modify_target_group(TargetGroupArn=arn, HealthCheckTimeoutSeconds=11)) == (
        "ValidationError"
    )


@pytest.mark.parametrize(
    ("protocol", "wanted"), [("HTTP", "source_ip"), ("TCP", "lb_cookie"), ("TLS", "app_cookie")]
)
def test_stickiness_of_another_kind_of_balancer_is_told_apart(elb: Any, protocol: str, wanted: str) -> None:
    arn = group(elb, Protocol=protocol)["TargetGroupArn"]
    with pytest.raises(ClientError) as caught:
        change(elb, arn, stickiness__type=wanted)
    error = caught.value.response["Error"]
    # Observed: terraform-provider-aws issue 9093.
    text = f"Stickiness type '{wanted}' is not supported for target groups with the {protocol} protocol"
    assert (error["Code"], error["Message"]) == ("InvalidConfigurationRequest", text)
    assert refused(lambda: change(elb, arn, stickiness__type="none")) == "ValidationError"


def test_attributes_go_together_or_are_refused(elb: Any) -> None:
    arn = group(elb)["TargetGroupArn"]
    found = attributes(elb.describe_target_group_attributes(TargetGroupArn=arn))
    assert found["deregistration_delay.timeout_seconds"] == "300"
    assert found["stickiness.type"] == "lb_cookie"
    assert found["slow_start.duration_seconds"] == "0"
    assert change(elb, arn, slow_start__duration_seconds="30") == {
        **found,
        "slow_start.duration_seconds": "30",
    }
    for wanted, code in (
        ({"slow_start__duration_seconds": "29"}, "ValidationError"),
        ({"load_balancing__algorithm__type": "least_outstanding_requests"}, "InvalidConfigurationRequest"),
        ({"stickiness__enabled": "true", "stickiness__type": "app_cookie"}, "InvalidConfigurationRequest"),
        ({"stickiness__app_cookie__cookie_name": "AWSALBTG"}, "InvalidConfigurationRequest"),
        ({"preserve_client_ip__enabled": "true"}, "InvalidConfigurationRequest"),
        ({"load_balancing__algorithm__anomaly_mitigation": "on"}, "InvalidConfigurationRequest"),
    ):
        work = lambda wanted=wanted: change(elb, arn, **wanted)  # type: ignore[misc]  # noqa: E731
        assert refused(work) == code, wanted


def test_a_target_is_unused_until_a_rule_forwards_to_its_group(live: Live, elb: Any) -> None:
    target = group(elb)
    arn = target["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": "i-0"}, {"Id": "i-2", "Port": 8080}])
    assert healths(elb, arn) == {"i-0:80": NOT_IN_USE, "i-2:8080": NOT_IN_USE}
    listener(elb, application(elb), target)
    assert healths(elb, arn) == {
        "i-0:80": IN_PROGRESS,
        "i-2:8080": NOT_IN_USE,  # in a zone where the balancer does not stand
    }
    seen = mounted(live.plane).balancing.health_seen  # type: ignore[attr-defined]
    seen[arn] = {"172.31.0.10:80": TargetHealth(state="healthy")}
    (found, _) = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    assert found["TargetHealth"] == {"State": "healthy"}
    assert found["HealthCheckPort"] == "80"
    assert healths(elb, arn, {"Id": "i-1"}) == {"i-1:80": NOT_REGISTERED}


def test_a_target_drains_for_the_groups_delay_and_is_then_gone(elb: Any, clock: FixedClock) -> None:
    target = group(elb)
    arn, one = target["TargetGroupArn"], {"Id": "i-0", "Port": 80}
    listener(elb, application(elb), target)
    change(elb, arn, deregistration_delay__timeout_seconds="60")
    elb.register_targets(TargetGroupArn=arn, Targets=[one])
    elb.deregister_targets(TargetGroupArn=arn, Targets=[one])
    clock.instant += timedelta(seconds=59)
    assert healths(elb, arn) == {"i-0:80": DRAINING}
    elb.deregister_targets(TargetGroupArn=arn, Targets=[one])  # does not begin anew
    clock.instant += timedelta(seconds=1)
    assert healths(elb, arn) == {}
    assert healths(elb, arn, one) == {"i-0:80": NOT_REGISTERED}
    elb.deregister_targets(TargetGroupArn=arn, Targets=[one])


def test_a_draining_target_comes_back(elb: Any) -> None:
    target = group(elb)
    arn, one = target["TargetGroupArn"], {"Id": "i-0"}
    listener(elb, application(elb), target)
    elb.register_targets(TargetGroupArn=arn, Targets=[one])
    elb.deregister_targets(TargetGroupArn=arn, Targets=[one])
    assert healths(elb, arn) == {"i-0:80": DRAINING}
    elb.register_targets(TargetGroupArn=arn, Targets=[one])
    assert healths(elb, arn) == {"i-0:80": IN_PROGRESS}


def test_a_target_of_an_unused_group_goes_at_once(elb: Any) -> None:
    arn = group(elb)["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": "i-0", "Port": port} for port in (80, 81, 82)])
    elb.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": "i-0", "Port": 81}])
    assert set(healths(elb, arn)) == {"i-0:80", "i-0:82"}
    elb.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": "i-0"}])
    assert healths(elb, arn) == {}


@pytest.mark.parametrize(
    ("kind", "target", "code"),
    [
        ("instance", {"Id": "i-77"}, "InvalidTarget"),
        ("instance", {"Id": "i-8"}, "InvalidTarget"),
        ("instance", {"Id": "i-9"}, "InvalidTarget"),
        ("instance", {"Id": "172.31.0.5"}, "ValidationError"),
        ("instance", {"Id": "i-0", "AvailabilityZone": "us-east-1a"}, "ValidationError"),
        ("ip", {"Id": "i-0"}, "ValidationError"),
        ("ip", {"Id": "8.8.8.8", "AvailabilityZone": "all"}, "ValidationError"),
        ("ip", {"Id": "10.1.2.3"}, "ValidationError"),
        ("ip", {"Id": "172.31.0.5", "AvailabilityZone": "us-east-1b"}, "ValidationError"),
        ("ip", {"Id": "fd00::1"}, "ValidationError"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_target_that_cannot_be_is_refused(elb: Any, kind: str, target: Any, code: str) -> None:
    arn = group(elb, TargetType=kind)["TargetGroupArn"]
    assert refused(lambda: elb.register_targets(TargetGroupArn=arn, Targets=[target])) == code
    assert healths(elb, arn) == {}


def test_an_address_lies_in_its_subnets_zone_or_is_of_all(elb: Any) -> None:
    arn = group(elb, TargetType="ip")["TargetGroupArn"]
    targets = [{"Id": "172.31.16.5"}, {"Id": "10.1.2.3", "AvailabilityZone": "all"}]
    elb.register_targets(TargetGroupArn=arn, Targets=targets)
    found = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    zones = {one["Target"]["Id"]: one["Target"]["AvailabilityZone"] for one in found}
    assert zones == {"172.31.16.5": "us-east-1b", "10.1.2.3": "all"}


def test_a_thousand_targets_fit(elb: Any) -> None:
    """Source: guides, "Quotas": 1,000 targets a group."""
    arn = group(elb, TargetType="ip")["TargetGroupArn"]
    many = [{"Id": "172.31.0.5", "Port": port} for port in range(1, 1001)]
    elb.register_targets(TargetGroupArn=arn, Targets=many)
    one_more = [{"Id": "172.31.0.5", "Port": 2000}]
    assert refused(lambda: elb.register_targets(TargetGroupArn=arn, Targets=one_more)) == "TooManyTargets"
    elb.register_targets(TargetGroupArn=arn, Targets=many[:1])


def test_a_group_that_is_not_there(elb: Any) -> None:
    gone = group(elb, VpcId=OTHER_VPC)["TargetGroupArn"]
    elb.delete_target_group(TargetGroupArn=gone)
    elb.delete_target_group(TargetGroupArn=gone)
    assert refused(lambda: elb.describe_target_groups(Names=["app"])) == "TargetGroupNotFound"
    assert refused(lambda: elb.describe_target_health(TargetGroupArn=gone)) == "TargetGroupNotFound"
    assert refused(lambda: elb.describe_target_groups(TargetGroupArns=["app"])) == "ValidationError"
