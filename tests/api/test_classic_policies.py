"""Policies of Classic Load Balancers through boto3: their types, and what clients of a port may speak.

Sources: API Reference 2012-06-01; User Guide for Classic Load Balancers, "SSL negotiation configurations",
"Predefined SSL security policies".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.dataplane import model as dp
from homeport.dataplane.listeners import CIPHERS as OF_THE_PROXY
from homeport.services.elb.plan.tls import CIPHERS
from homeport.services.elb.plan.to_dataplane import Places, to_dataplane
from homeport.services.elb.repo.balancers import find_anywhere
from tests.kit.elb import HTTP, classic, mount_elb
from tests.kit.elbv2 import CERTIFICATE
from tests.kit.server import ACCOUNT, Live, live_server

SSL, PROXY = "SSLNegotiationPolicyType", "ProxyProtocolPolicyType"
DEFAULT = "ELBSecurityPolicy-2016-08"
HTTPS = {
    "Protocol": "HTTPS",
    "LoadBalancerPort": 443,
    "InstancePort": 8080,
    "SSLCertificateId": CERTIFICATE.format("good"),
}
OLD = {"LoadBalancerName": "old"}


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with live_server(mount=mount_elb) as server:
        yield server


@pytest.fixture
def elb(live: Live) -> Any:
    client = live.client("elb")
    client.delete_load_balancer(**OLD)
    classic(client, Listeners=[HTTP, HTTPS])
    return client


def refused(work: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        work()
    return str(caught.value.response["Error"]["Code"])


def make(elb: Any, name: str, attributes: Mapping[str, str], kind: str = SSL) -> None:
    given = [{"AttributeName": key, "AttributeValue": value} for key, value in attributes.items()]
    elb.create_load_balancer_policy(**OLD, PolicyName=name, PolicyTypeName=kind, PolicyAttributes=given)


def spoken(elb: Any, name: str) -> dict[str, str]:
    (found,) = elb.describe_load_balancer_policies(**OLD, PolicyNames=[name])["PolicyDescriptions"]
    return {one["AttributeName"]: one["AttributeValue"] for one in found["PolicyAttributeDescriptions"]}


def at(elb: Any, port: int) -> Any:
    (found,) = elb.describe_load_balancers(LoadBalancerNames=["old"])["LoadBalancerDescriptions"]
    return next(
        one["PolicyNames"]
        for one in found["ListenerDescriptions"]
        if one["Listener"]["LoadBalancerPort"] == port
    )


def put(elb: Any, port: int, *names: str) -> None:
    elb.set_load_balancer_policies_of_listener(**OLD, LoadBalancerPort=port, PolicyNames=list(names))


def test_the_types_are_those_that_a_policy_can_be_made_of(elb: Any) -> None:
    types = {
        one["PolicyTypeName"]: {
            each["AttributeName"]: each for each in one["PolicyAttributeTypeDescriptions"]
        }
        for one in elb.describe_load_balancer_policy_types()["PolicyTypeDescriptions"]
    }
    cookie = types["AppCookieStickinessPolicyType"]["CookieName"]
    assert (cookie["AttributeType"], cookie["Cardinality"]) == ("String", "ONE")
    period = types["LBCookieStickinessPolicyType"]["CookieExpirationPeriod"]
    assert (period["AttributeType"], period["Cardinality"]) == ("Long", "ZERO_OR_ONE")
    assert types[SSL]["Reference-Security-Policy"]["AttributeType"] == "String"
    assert types[PROXY]["ProxyProtocol"] == {
        "AttributeName": "ProxyProtocol", "AttributeType": "Boolean", "Cardinality": "ONE",
    }  # fmt: skip
    example = {
        "CookieName": "SESSION",
        "CookieExpirationPeriod": "60",
        "Reference-Security-Policy": DEFAULT,
        "ProxyProtocol": "true",
    }
    for kind, attributes in types.items():
        (first, *_) = [name for name in attributes if name in example]
        make(elb, f"of-{kind}", {first: example[first]}, kind)
    for kind in ("PublicKeyPolicyType", "BackendServerAuthenticationPolicyType"):
        assert kind not in types
        assert refused(lambda kind=kind: make(elb, "no", {}, kind)) == (  # type: ignore[misc]
            "InvalidConfigurationRequest"
        )


def test_every_switch_of_a_secure_policy_is_listed_with_what_the_default_policy_makes_of_it(elb: Any) -> None:
    (found,) = elb.describe_load_balancer_policy_types(PolicyTypeNames=[SSL])["PolicyTypeDescriptions"]
    defaults = {
        one["AttributeName"]: one["DefaultValue"]
        for one in found["PolicyAttributeTypeDescriptions"]
        if one["AttributeType"] == "Boolean"
    }
    shown = spoken(elb, DEFAULT)
    assert shown.pop("Reference-Security-Policy") == DEFAULT
    assert shown == defaults
    make(elb, "all", defaults)
    assert spoken(elb, "all") == defaults


def test_a_type_that_is_not_there_is_not_described(elb: Any) -> None:
    wrong = {"PolicyTypeNames": [SSL, "Imagined"]}
    assert refused(lambda: elb.describe_load_balancer_policy_types(**wrong)) == "PolicyTypeNotFound"


def test_a_secure_port_has_the_default_policy_until_it_is_given_another(elb: Any) -> None:
    assert (at(elb, 80), at(elb, 443)) == ([], [DEFAULT])
    (shown,) = elb.describe_load_balancers(LoadBalancerNames=["old"])["LoadBalancerDescriptions"]
    assert shown["Policies"]["OtherPolicies"] == [DEFAULT]
    make(elb, "modern", {"Reference-Security-Policy": "ELBSecurityPolicy-TLS-1-2-2017-01"})
    make(elb, "SESSION", {"CookieName": "SESSION"}, "AppCookieStickinessPolicyType")
    put(elb, 443, "modern", "SESSION")
    assert at(elb, 443) == ["modern", "SESSION"]
    assert refused(lambda: put(elb, 80, "modern")) == "InvalidConfigurationRequest"
    assert refused(lambda: put(elb, 443, "modern", DEFAULT)) == "InvalidConfigurationRequest"
    assert refused(lambda: elb.delete_load_balancer_policy(**OLD, PolicyName="modern")) == (
        "InvalidConfigurationRequest"
    )
    put(elb, 443)
    elb.delete_load_balancer_policy(**OLD, PolicyName="modern")
    later = {**HTTPS, "Protocol": "SSL", "LoadBalancerPort": 8443}
    elb.create_load_balancer_listeners(**OLD, Listeners=[later])
    assert (at(elb, 8443), at(elb, 443)) == ([DEFAULT], [])


def test_a_predefined_policy_is_spelled_out(elb: Any) -> None:
    make(elb, "modern", {"Reference-Security-Policy": "ELBSecurityPolicy-TLS-1-2-2017-01"})
    found = spoken(elb, "modern")
    assert found["Reference-Security-Policy"] == "ELBSecurityPolicy-TLS-1-2-2017-01"
    versions = {name: value for name, value in found.items() if name.startswith("Protocol-TLS")}
    assert versions == {
        "Protocol-TLSv1": "false", "Protocol-TLSv1.1": "false", "Protocol-TLSv1.2": "true",
    }  # fmt: skip
    assert found["ECDHE-RSA-AES128-GCM-SHA256"] == "true"
    assert found["AES128-SHA"] == "false"
    names = {one["PolicyName"] for one in elb.describe_load_balancer_policies()["PolicyDescriptions"]}
    assert {DEFAULT, "ELBSecurityPolicy-TLS-1-1-2017-01", "ELBSecurityPolicy-TLS-1-2-2017-01"} <= names


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"Reference-Security-Policy": "ELBSecurityPolicy-2014-01"}, "InvalidConfigurationRequest"),
        ({"Reference-Security-Policy": DEFAULT, "AES128-SHA": "true"}, "InvalidConfigurationRequest"),
        ({"Protocol-TLSv1.2": "yes", "AES128-SHA": "true"}, "ValidationError"),
        ({"Protocol-SSLv3": "true", "AES128-SHA": "true"}, "InvalidConfigurationRequest"),
        ({"Protocol-TLSv1.2": "true"}, "InvalidConfigurationRequest"),
        ({"AES128-SHA": "true"}, "InvalidConfigurationRequest"),
        (
            {"Protocol-TLSv1": "true", "Protocol-TLSv1.2": "true", "AES128-SHA": "true"},
            "InvalidConfigurationRequest",
        ),
        (
            {"Protocol-TLSv1.2": "true", "AES128-SHA": "true", "Server-Defined-Cipher-Order": "false"},
            "InvalidConfigurationRequest",
        ),
        ({"Imagined": "true"}, "InvalidConfigurationRequest"),
    ],
    ids=lambda one: one if isinstance(one, str) else "+".join(one),
)
def test_what_no_client_could_be_offered_is_refused(elb: Any, attributes: dict[str, str], code: str) -> None:
    assert refused(lambda: make(elb, "odd", attributes)) == code


def test_a_policy_of_ones_own_is_kept_as_it_is(elb: Any) -> None:
    # Source: Terraform's documentation of aws_lb_ssl_negotiation_policy: what is switched off may be unknown.
    own = {
        "Protocol-TLSv1": "false",
        "Protocol-TLSv1.1": "false",
        "Protocol-TLSv1.2": "true",
        "Server-Defined-Cipher-Order": "true",
        "ECDHE-RSA-AES128-GCM-SHA256": "true",
        "AES128-GCM-SHA256": "true",
        "EDH-RSA-DES-CBC3-SHA": "false",
    }
    make(elb, "own", own)
    put(elb, 443, "own")
    found = spoken(elb, "own")
    assert {name: found[name] for name in own} == own
    assert [name for name, value in found.items() if value == "true"] == [
        "Protocol-TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", "AES128-GCM-SHA256", "Server-Defined-Cipher-Order",
    ]  # fmt: skip


def carried(live: Live) -> dp.Balancer:
    """What the data plane is told of the balancer."""
    arn = f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:loadbalancer/old"
    found = live.run(live.plane.store.read(lambda tx: find_anywhere(tx, arn)))
    assert found is not None
    return to_dataplane(found, Places(addresses={"subnet-0a": "172.31.0.4"}))


def test_the_proxy_is_told_what_clients_may_speak(live: Live, elb: Any) -> None:
    own = {"Protocol-TLSv1.1": "true", "Protocol-TLSv1.2": "true", "AES128-SHA": "true"}
    make(elb, "own", {**own, "ECDHE-RSA-AES128-SHA": "true"})
    put(elb, 443, "own")
    told = {one.port: one.tls_policy for one in carried(live).listeners}
    assert told[443].versions == ("TLSv1.1", "TLSv1.2")
    assert told[443].ciphers == ("ECDHE-RSA-AES128-SHA", "AES128-SHA")
    put(elb, 443)
    told = {one.port: one.tls_policy for one in carried(live).listeners}
    assert told[443].versions == ("TLSv1", "TLSv1.1", "TLSv1.2")


def test_instances_behind_tcp_are_told_clients_addresses_where_a_policy_says_so(live: Live, elb: Any) -> None:
    tcp = {"Protocol": "TCP", "LoadBalancerPort": 25, "InstancePort": 2525}
    elb.create_load_balancer_listeners(
        **OLD, Listeners=[tcp, {**tcp, "LoadBalancerPort": 26, "InstancePort": 26}]
    )
    make(elb, "told", {"ProxyProtocol": "True"}, PROXY)
    assert spoken(elb, "told") == {"ProxyProtocol": "true"}
    make(elb, "SESSION", {"CookieName": "SESSION"}, "AppCookieStickinessPolicyType")
    assert refused(lambda: make(elb, "odd", {"ProxyProtocol": "maybe"}, PROXY)) == "ValidationError"
    assert refused(lambda: put(elb, 25, "told")) == "InvalidConfigurationRequest"

    def back(port: int, *names: str) -> None:
        elb.set_load_balancer_policies_for_backend_server(**OLD, InstancePort=port, PolicyNames=list(names))

    assert refused(lambda: back(8080, "told")) == "InvalidConfigurationRequest", "instances of HTTP"
    assert refused(lambda: back(7, "told")) == "InvalidConfigurationRequest", "no listener's port"
    assert refused(lambda: back(2525, "SESSION")) == "InvalidConfigurationRequest"
    assert refused(lambda: back(2525, "none")) == "PolicyNotFound"
    back(2525, "told")
    (shown,) = elb.describe_load_balancers(LoadBalancerNames=["old"])["LoadBalancerDescriptions"]
    assert shown["BackendServerDescriptions"] == [{"InstancePort": 2525, "PolicyNames": ["told"]}]
    assert "told" in shown["Policies"]["OtherPolicies"]
    told = {
        one.id.rpartition("/")[2]: (one.proxy_protocol, one.proxy_protocol_v1) for one in carried(live).groups
    }
    assert told == {"80": (False, False), "443": (False, False), "25": (True, True), "26": (False, False)}
    assert refused(lambda: elb.delete_load_balancer_policy(**OLD, PolicyName="told")) == (
        "InvalidConfigurationRequest"
    )
    back(2525)
    elb.delete_load_balancer_policy(**OLD, PolicyName="told")
    (shown,) = elb.describe_load_balancers(LoadBalancerNames=["old"])["LoadBalancerDescriptions"]
    assert shown["BackendServerDescriptions"] == []
    assert not any(one.proxy_protocol for one in carried(live).groups)


def test_what_can_be_enabled_is_what_the_proxy_has() -> None:
    assert set(CIPHERS) <= OF_THE_PROXY
