"""Load balancers and listeners through boto3. Sources: API Reference; guides; observed texts as marked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.services.elbv2.ports import BalancerState
from tests.kit.elbv2 import (
    CERTIFICATE,
    DEFAULT_GROUP,
    GROUP,
    VPC,
    application,
    group,
    listener,
    mount_elbv2,
    mounted,
)
from tests.kit.server import Live, live_server

FIXED = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
GOOD, OTHER = CERTIFICATE.format("good"), CERTIFICATE.format("good-2")


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with live_server(mount=mount_elbv2) as server:
        yield server


@pytest.fixture
def elb(live: Live) -> Any:
    client = live.client("elbv2")
    for one in client.describe_load_balancers()["LoadBalancers"]:
        arn = one["LoadBalancerArn"]
        off = [{"Key": "deletion_protection.enabled", "Value": "false"}]
        client.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=off)
        client.delete_load_balancer(LoadBalancerArn=arn)
    for one in client.describe_target_groups()["TargetGroups"]:
        client.delete_target_group(TargetGroupArn=one["TargetGroupArn"])
    return client


def refused(work: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        work()
    return str(caught.value.response["Error"]["Code"])


def attributes(answer: Any) -> dict[str, str]:
    return {one["Key"]: one["Value"] for one in answer["Attributes"]}


def test_a_balancer_shows_where_it_stands_and_waits_for_what_balances(live: Live, elb: Any) -> None:
    made = application(elb, Tags=[{"Key": "team", "Value": "a"}])
    arn = made["LoadBalancerArn"]
    assert arn.startswith("arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/web/")
    assert made["DNSName"].startswith("web-")
    assert made["DNSName"].endswith(".us-east-1.elb.amazonaws.com")
    assert (made["Scheme"], made["Type"], made["VpcId"]) == ("internet-facing", "application", VPC)
    assert made["SecurityGroups"] == [DEFAULT_GROUP]
    assert [zone["ZoneName"] for zone in made["AvailabilityZones"]] == ["us-east-1a", "us-east-1b"]
    assert made["State"] == {"Code": "provisioning"}
    mounted(live.plane).balancing.states_seen[arn] = BalancerState(code="active")  # type: ignore[attr-defined]
    (shown,) = elb.describe_load_balancers(Names=["web"])["LoadBalancers"]
    assert shown["State"] == {"Code": "active"}
    assert elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"] == [shown]


def test_the_names_of_internal_and_network_balancers_differ(elb: Any) -> None:
    assert application(elb, "in", Scheme="internal")["DNSName"].startswith("internal-in-")
    network = application(elb, "net", Type="network", Subnets=["subnet-0a"])
    assert network["DNSName"].endswith(".elb.us-east-1.amazonaws.com")
    assert ":loadbalancer/net/net/" in network["LoadBalancerArn"]
    assert "SecurityGroups" not in network


def test_the_same_request_returns_the_same_balancer_and_another_one_is_refused(elb: Any) -> None:
    assert application(elb)["LoadBalancerArn"] == application(elb)["LoadBalancerArn"]
    with pytest.raises(ClientError) as caught:
        application(elb, Scheme="internal")
    error = caught.value.response["Error"]
    # Observed: aws-load-balancer-controller issue 3173.
    text = "A load balancer with the same name 'web' exists, but with different settings"
    assert (error["Code"], error["Message"]) == ("DuplicateLoadBalancerName", text)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Subnets": ["subnet-0a"]}, "ValidationError"),
        ({"Subnets": ["subnet-0a", "subnet-1a"]}, "InvalidConfigurationRequest"),
        ({"Subnets": ["subnet-0a", "subnet-9b"]}, "InvalidConfigurationRequest"),
        ({"Subnets": ["subnet-0a", "subnet-zz"]}, "SubnetNotFound"),
        ({"Subnets": []}, "ValidationError"),
        ({"SecurityGroups": ["sg-zz"]}, "InvalidSecurityGroup"),
        ({"SecurityGroups": ["sg-9"]}, "InvalidConfigurationRequest"),
        ({"IpAddressType": "dualstack"}, "InvalidSubnet"),
        ({"Type": "gateway"}, "OperationNotPermitted"),
        ({"CustomerOwnedIpv4Pool": "ipv4pool-coip-1"}, "ValidationError"),
        ({"EnablePrefixForIpv6SourceNat": "on"}, "ValidationError"),
        ({"IpamPools": {"Ipv4IpamPoolId": "ipam-pool-1"}}, "ValidationError"),
        ({"Name": "-web"}, "ValidationError"),
        ({"Name": "w" * 33}, "ValidationError"),
        ({"Name": "internal-web"}, "ValidationError"),
        ({"Name": "we_b"}, "ValidationError"),
        ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}, "DuplicateTagKeys"),
        ({"Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]}, "TooManyTags"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_balancer_that_cannot_be_is_refused(elb: Any, changes: dict[str, Any], code: str) -> None:
    assert refused(lambda: application(elb, **changes)) == code
    assert elb.describe_load_balancers()["LoadBalancers"] == []


def test_a_protected_balancer_is_not_deleted_and_a_deleted_one_takes_its_listeners_along(elb: Any) -> None:
    balancer = application(elb)
    arn, made = balancer["LoadBalancerArn"], listener(elb, balancer, FIXED)
    on = [{"Key": "deletion_protection.enabled", "Value": "true"}]
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=on)
    assert refused(lambda: elb.delete_load_balancer(LoadBalancerArn=arn)) == "OperationNotPermitted"
    off = [{"Key": "deletion_protection.enabled", "Value": "false"}]
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=off)
    elb.delete_load_balancer(LoadBalancerArn=arn)
    elb.delete_load_balancer(LoadBalancerArn=arn)
    assert refused(lambda: elb.describe_load_balancers(Names=["web"])) == "LoadBalancerNotFound"
    found = [made["ListenerArn"]]
    assert refused(lambda: elb.describe_listeners(ListenerArns=found)) == "ListenerNotFound"


def test_attributes_have_their_defaults_and_are_honoured_or_refused(elb: Any) -> None:
    arn = application(elb)["LoadBalancerArn"]
    found = attributes(elb.describe_load_balancer_attributes(LoadBalancerArn=arn))
    assert found["idle_timeout.timeout_seconds"] == "60"
    assert found["load_balancing.cross_zone.enabled"] == "true"
    assert found["routing.http.desync_mitigation_mode"] == "defensive"

    def change(key: str, value: str) -> Any:
        wanted = [{"Key": key, "Value": value}]
        return elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=wanted)

    assert (
        attributes(change("idle_timeout.timeout_seconds", "4000"))["idle_timeout.timeout_seconds"] == "4000"
    )
    assert refused(lambda: change("idle_timeout.timeout_seconds", "4001")) == "ValidationError"
    assert refused(lambda: change("health_check_logs.s3.enabled", "true")) == "InvalidConfigurationRequest"
    assert refused(lambda: change("no.such.attribute", "1")) == "InvalidConfigurationRequest"
    change("access_logs.s3.enabled", "false")  # as Terraform sends it
    assert attributes(elb.describe_load_balancer_attributes(LoadBalancerArn=arn)) == {
        **found,
        "idle_timeout.timeout_seconds": "4000",
    }


@pytest.mark.parametrize("kind", ["access_logs", "connection_logs"])
def test_logs_go_to_a_bucket_that_is_named(elb: Any, kind: str) -> None:
    """Sources: API Reference, LoadBalancerAttribute; guide, "Access log files": no AWSLogs in the prefix."""
    arn = application(elb)["LoadBalancerArn"]

    def change(**values: str) -> dict[str, str]:
        wanted = [{"Key": f"{kind}.s3.{key}", "Value": value} for key, value in values.items()]
        return attributes(elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=wanted))

    assert refused(lambda: change(enabled="true")) == "InvalidConfigurationRequest"
    for name in ("No", "a", "-abc", "a..b", "10.0.0.1", "xn--abc", "../../etc", "a/b"):
        assert refused(lambda name=name: change(enabled="true", bucket=name)) == "ValidationError"
    for prefix in ("/a", "a/", "a//b", "a/AWSLogs", "a/../../../../etc", "."):
        assert refused(lambda prefix=prefix: change(prefix=prefix)) == "ValidationError"
    change(enabled="true", bucket="my.logs-1", prefix="team/web")
    found = attributes(elb.describe_load_balancer_attributes(LoadBalancerArn=arn))
    assert {key: found[f"{kind}.s3.{key}"] for key in ("enabled", "bucket", "prefix")} == {
        "enabled": "true",
        "bucket": "my.logs-1",
        "prefix": "team/web",
    }
    assert refused(lambda: change(bucket="")) == "InvalidConfigurationRequest"
    assert change(enabled="false")[f"{kind}.s3.bucket"] == "my.logs-1"


def test_an_internal_balancer_denies_the_internet_gateway(elb: Any) -> None:
    """Source: API Reference, LoadBalancerAttribute, ipv6.deny_all_igw_traffic."""
    arn = application(elb, Scheme="internal")["LoadBalancerArn"]
    key = "ipv6.deny_all_igw_traffic"
    assert attributes(elb.describe_load_balancer_attributes(LoadBalancerArn=arn))[key] == "true"
    same = [{"Key": key, "Value": "true"}]
    assert (
        attributes(elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=same))[key] == "true"
    )


def test_subnets_and_security_groups_are_replaced(elb: Any) -> None:
    arn = application(elb)["LoadBalancerArn"]
    moved = elb.set_subnets(LoadBalancerArn=arn, Subnets=["subnet-0b", "subnet-0c"])
    assert [zone["SubnetId"] for zone in moved["AvailabilityZones"]] == ["subnet-0b", "subnet-0c"]
    assert refused(lambda: elb.set_subnets(LoadBalancerArn=arn, Subnets=["subnet-0b"])) == "ValidationError"
    guarded = elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=[GROUP])
    assert guarded["SecurityGroupIds"] == [GROUP]
    wrong = lambda: elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=["sg-zz"])  # noqa: E731
    assert refused(wrong) == "InvalidSecurityGroup"
    assert elb.set_ip_address_type(LoadBalancerArn=arn, IpAddressType="ipv4")["IpAddressType"] == "ipv4"
    other = lambda: elb.set_ip_address_type(LoadBalancerArn=arn, IpAddressType="dualstack")  # noqa: E731
    assert refused(other) == "InvalidSubnet"


def test_a_network_balancer_keeps_its_subnets_and_gets_no_groups_later(elb: Any) -> None:
    arn = application(elb, "net", Type="network", Subnets=["subnet-0a"])["LoadBalancerArn"]
    elb.set_subnets(LoadBalancerArn=arn, Subnets=["subnet-0a", "subnet-0b"])
    leave = lambda: elb.set_subnets(LoadBalancerArn=arn, Subnets=["subnet-0b"])  # noqa: E731
    assert refused(leave) == "InvalidConfigurationRequest"
    guard = lambda: elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=[GROUP])  # noqa: E731
    assert refused(guard) == "InvalidConfigurationRequest"


def test_an_internal_network_balancer_has_the_address_that_was_asked_for(elb: Any) -> None:
    def made(**mapping: str) -> Any:
        wanted = [{"SubnetId": "subnet-0a", **mapping}]
        request = {"Name": "net", "Type": "network", "Scheme": "internal", "SubnetMappings": wanted}
        return elb.create_load_balancer(**request)["LoadBalancers"][0]

    assert refused(lambda: made(PrivateIPv4Address="10.0.0.1")) == "InvalidSubnet"
    assert refused(lambda: made(AllocationId="eipalloc-1")) == "AllocationIdNotFound"
    (zone,) = made(PrivateIPv4Address="172.31.0.9")["AvailabilityZones"]
    assert zone["LoadBalancerAddresses"] == [{"PrivateIPv4Address": "172.31.0.9"}]


# Listeners


def test_a_listener_has_a_default_rule_with_its_actions(elb: Any) -> None:
    balancer, target = application(elb), group(elb)
    made = listener(elb, balancer, target)
    (action,) = made["DefaultActions"]
    assert (action["Type"], action["TargetGroupArn"]) == ("forward", target["TargetGroupArn"])
    (rule,) = elb.describe_rules(ListenerArn=made["ListenerArn"])["Rules"]
    assert (rule["Priority"], rule["IsDefault"], rule["Conditions"]) == ("default", True, [])
    assert rule["Actions"] == made["DefaultActions"]
    assert rule["RuleArn"].startswith(made["ListenerArn"].replace(":listener/", ":listener-rule/"))
    arn = balancer["LoadBalancerArn"]
    assert elb.describe_listeners(LoadBalancerArn=arn)["Listeners"] == [made]
    (shown,) = elb.describe_target_groups(LoadBalancerArn=arn)["TargetGroups"]
    assert shown["LoadBalancerArns"] == [arn]


def test_a_port_is_taken_once_but_for_the_same_settings(elb: Any) -> None:
    balancer = application(elb)
    made = listener(elb, balancer, FIXED)
    assert listener(elb, balancer, FIXED) == made
    other = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "410"}}]
    assert refused(lambda: listener(elb, balancer, other)) == "DuplicateListener"
    second = listener(elb, balancer, FIXED, Port=81)
    move = lambda: elb.modify_listener(ListenerArn=second["ListenerArn"], Port=80)  # noqa: E731
    assert refused(move) == "DuplicateListener"
    assert elb.modify_listener(ListenerArn=second["ListenerArn"], Port=82)["Listeners"][0]["Port"] == 82


def test_a_group_belongs_to_one_balancer(elb: Any) -> None:
    first, second, target = application(elb), application(elb, "other"), group(elb)
    listener(elb, first, target)
    assert refused(lambda: listener(elb, second, target)) == "TargetGroupAssociationLimit"
    arn = target["TargetGroupArn"]
    assert refused(lambda: elb.delete_target_group(TargetGroupArn=arn)) == "ResourceInUse"
    elb.delete_load_balancer(LoadBalancerArn=first["LoadBalancerArn"])
    assert elb.describe_target_groups(Names=["app"])["TargetGroups"][0]["LoadBalancerArns"] == []
    listener(elb, second, target)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Protocol": "TCP"}, "UnsupportedProtocol"),
        ({"Protocol": "HTTPS"}, "ValidationError"),
        (
            {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": CERTIFICATE.format("x")}]},
            "CertificateNotFound",
        ),
        ({"Protocol": "HTTP", "Certificates": [{"CertificateArn": GOOD}]}, "ValidationError"),
        (
            {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": GOOD}, {"CertificateArn": OTHER}]},
            "ValidationError",
        ),
        (
            {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": GOOD}], "SslPolicy": "mine"},
            "SSLPolicyNotFound",
        ),
        (
            {
                "Protocol": "HTTPS",
                "Certificates": [{"CertificateArn": GOOD}],
                "MutualAuthentication": {"Mode": "verify"},
            },
            "InvalidConfigurationRequest",
        ),
        ({"AlpnPolicy": ["HTTP2Only"]}, "ValidationError"),
        ({"DefaultActions": []}, "ValidationError"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_listener_that_cannot_be_is_refused(elb: Any, changes: dict[str, Any], code: str) -> None:
    balancer = application(elb)
    assert refused(lambda: listener(elb, balancer, FIXED, **changes)) == code
    assert elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"] == []


def test_a_secure_listener_has_a_default_certificate_and_others_by_name(elb: Any) -> None:
    made = listener(elb, application(elb), FIXED, Protocol="HTTPS", Certificates=[{"CertificateArn": GOOD}])
    arn = made["ListenerArn"]
    # Source: guide, "Security policies": the default of the API is the policy of 2016-08.
    assert made["SslPolicy"] == "ELBSecurityPolicy-2016-08"
    assert made["Certificates"] == [{"CertificateArn": GOOD}]
    added = elb.add_listener_certificates(ListenerArn=arn, Certificates=[{"CertificateArn": OTHER}])
    assert added["Certificates"] == [{"CertificateArn": OTHER, "IsDefault": False}]
    elb.add_listener_certificates(ListenerArn=arn, Certificates=[{"CertificateArn": OTHER}])
    shown = elb.describe_listener_certificates(ListenerArn=arn)["Certificates"]
    assert [(one["CertificateArn"], one["IsDefault"]) for one in shown] == [(GOOD, True), (OTHER, False)]

    def remove(certificate: str) -> Any:
        wanted = [{"CertificateArn": certificate}]
        return elb.remove_listener_certificates(ListenerArn=arn, Certificates=wanted)

    assert refused(lambda: remove(GOOD)) == "OperationNotPermitted"
    remove(OTHER)
    assert len(elb.describe_listener_certificates(ListenerArn=arn)["Certificates"]) == 1
    many = [{"CertificateArn": CERTIFICATE.format(f"good-{n}")} for n in range(26)]
    add = lambda: elb.add_listener_certificates(ListenerArn=arn, Certificates=many)  # noqa: E731
    assert refused(add) == "TooManyCertificates"


def test_a_listener_that_speaks_plainly_loses_its_certificate(elb: Any) -> None:
    """Source: API Reference, ModifyListener."""
    made = listener(elb, application(elb), FIXED, Protocol="HTTPS", Certificates=[{"CertificateArn": GOOD}])
    arn = made["ListenerArn"]
    (plain,) = elb.modify_listener(ListenerArn=arn, Protocol="HTTP")["Listeners"]
    assert {"SslPolicy", "Certificates", "MutualAuthentication"}.isdisjoint(plain)
    assert refused(lambda: elb.modify_listener(ListenerArn=arn, Protocol="HTTPS")) == "ValidationError"


def test_listener_attributes_are_those_of_its_protocol(elb: Any) -> None:
    arn = listener(elb, application(elb), FIXED)["ListenerArn"]
    found = attributes(elb.describe_listener_attributes(ListenerArn=arn))
    assert found["routing.http.response.server.enabled"] == "true"
    assert "tcp.idle_timeout.seconds" not in found
    wanted = [{"Key": "routing.http.response.x_frame_options.header_value", "Value": "DENY"}]
    changed = attributes(elb.modify_listener_attributes(ListenerArn=arn, Attributes=wanted))
    assert changed == {**found, wanted[0]["Key"]: "DENY"}
    network = application(elb, "net", Type="network", Subnets=["subnet-0a"])
    tcp = listener(elb, network, group(elb, Protocol="TCP"), Protocol="TCP")["ListenerArn"]
    assert attributes(elb.describe_listener_attributes(ListenerArn=tcp)) == {
        "tcp.idle_timeout.seconds": "350"
    }


@pytest.mark.parametrize(
    ("spoken", "of_the_group", "goes"),
    [("TCP", "TCP", True), ("TCP", "UDP", False), ("UDP", "TCP_UDP", True), ("TCP_UDP", "TCP", False)],
)
def test_a_listener_forwards_to_groups_that_speak_likewise(
    elb: Any, spoken: str, of_the_group: str, goes: bool
) -> None:
    network, target = (
        application(elb, "net", Type="network", Subnets=["subnet-0a"]),
        group(elb, Protocol=of_the_group),
    )
    if goes:
        listener(elb, network, target, Protocol=spoken)
    else:
        assert refused(lambda: listener(elb, network, target, Protocol=spoken)) == "IncompatibleProtocols"


# Pages, tags, what is the same for all


def test_listings_come_in_pages_and_a_marker_is_good_for_its_request_only(elb: Any) -> None:
    names = [application(elb, f"web-{number}")["LoadBalancerName"] for number in range(5)]
    pages = elb.get_paginator("describe_load_balancers").paginate(PaginationConfig={"PageSize": 2})
    found = [[one["LoadBalancerName"] for one in page["LoadBalancers"]] for page in pages]
    assert found == [names[:2], names[2:4], names[4:]]
    marker = elb.describe_load_balancers(PageSize=2)["NextMarker"]
    assert refused(lambda: elb.describe_target_groups(Marker=marker)) == "ValidationError"


def test_everything_that_is_made_has_tags(elb: Any) -> None:
    tags = [{"Key": "team", "Value": "a"}]
    balancer, target = application(elb, Tags=tags), group(elb, Tags=tags)
    made = listener(elb, balancer, target, Tags=tags)
    condition = [{"Field": "path-pattern", "Values": ["/a"]}]
    rule = elb.create_rule(
        ListenerArn=made["ListenerArn"], Priority=1, Conditions=condition, Actions=FIXED, Tags=tags
    )["Rules"][0]
    arns = [balancer["LoadBalancerArn"], target["TargetGroupArn"], made["ListenerArn"], rule["RuleArn"]]
    elb.add_tags(ResourceArns=arns, Tags=[{"Key": "stage", "Value": "b"}])
    for found in elb.describe_tags(ResourceArns=arns)["TagDescriptions"]:
        assert found["Tags"] == [*tags, {"Key": "stage", "Value": "b"}]
    elb.remove_tags(ResourceArns=arns, TagKeys=["team", "no"])
    for found in elb.describe_tags(ResourceArns=arns)["TagDescriptions"]:
        assert found["Tags"] == [{"Key": "stage", "Value": "b"}]
    gone = balancer["LoadBalancerArn"].replace("/web/", "/bew/")
    assert refused(lambda: elb.describe_tags(ResourceArns=[gone])) == "LoadBalancerNotFound"


def test_security_policies_are_listed_with_their_ciphers(elb: Any) -> None:
    """Source: Application Load Balancer guide, "Security policies"."""
    (policy,) = elb.describe_ssl_policies(Names=["ELBSecurityPolicy-TLS13-1-2-Res-2021-06"])["SslPolicies"]
    assert policy["SslProtocols"] == ["TLSv1.3", "TLSv1.2"]
    assert [one["Name"] for one in policy["Ciphers"]] == [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
    ]
    assert refused(lambda: elb.describe_ssl_policies(Names=["no"])) == "SSLPolicyNotFound"


def test_a_policy_that_is_asked_for_twice_is_shown_once(elb: Any) -> None:
    names = ["ELBSecurityPolicy-2016-08", "ELBSecurityPolicy-TLS-1-2-2017-01", "ELBSecurityPolicy-2016-08"]
    found = elb.describe_ssl_policies(Names=names)["SslPolicies"]
    assert [one["Name"] for one in found] == names[:2]


def test_what_a_certificate_is_for_is_looked_for_first(elb: Any) -> None:
    balancer = application(elb)["LoadBalancerArn"]
    missing = f"{balancer.replace(':loadbalancer/', ':listener/')}/0123456789abcdef"
    unknown = [{"CertificateArn": CERTIFICATE.format("bad")}]
    add = {"ListenerArn": missing, "Certificates": unknown}
    assert refused(lambda: elb.add_listener_certificates(**add)) == "ListenerNotFound"
    assert refused(lambda: elb.modify_listener(**add)) == "ListenerNotFound"
    elb.delete_load_balancer(LoadBalancerArn=balancer)
    secure = {"Protocol": "HTTPS", "Port": 443, "Certificates": unknown, "DefaultActions": FIXED}
    assert refused(lambda: elb.create_listener(LoadBalancerArn=balancer, **secure)) == "LoadBalancerNotFound"


def test_limits_are_told(elb: Any) -> None:
    """Source: quotas pages of the guides."""
    found = {one["Name"]: one["Max"] for one in elb.describe_account_limits()["Limits"]}
    assert found["listeners-per-application-load-balancer"] == "50"
    assert found["rules-per-application-load-balancer"] == "100"
    assert found["condition-values-per-alb-rule"] == "5"


def test_what_there_is_not_is_refused_clearly(elb: Any) -> None:
    arn = application(elb)["LoadBalancerArn"]
    store = "arn:aws:elasticloadbalancing:us-east-1:000000000000:truststore/a/0123456789abcdef"
    bundle = {"CaCertificatesBundleS3Bucket": "b", "CaCertificatesBundleS3Key": "k"}
    assert elb.describe_trust_stores()["TrustStores"] == []
    for work, code in (
        (lambda: elb.create_trust_store(Name="a", **bundle), "OperationNotPermitted"),
        (lambda: elb.delete_trust_store(TrustStoreArn=store), "TrustStoreNotFound"),
        (lambda: elb.describe_trust_store_revocations(TrustStoreArn=store), "TrustStoreNotFound"),
        (lambda: elb.get_resource_policy(ResourceArn=store), "ResourceNotFound"),
        (
            lambda: elb.modify_capacity_reservation(LoadBalancerArn=arn, ResetCapacityReservation=True),
            "OperationNotPermitted",
        ),
        (
            lambda: elb.modify_ip_pools(LoadBalancerArn=arn, RemoveIpamPools=["ipv4"]),
            "InvalidConfigurationRequest",
        ),
    ):
        assert refused(work) == code
