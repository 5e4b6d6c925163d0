"""Rules of listeners through boto3. Sources: API Reference; Application Load Balancer guide; as marked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from botocore.exceptions import ClientError

from homeport.gateway.logins.signer import Signer
from homeport.services.elbv2.manifest import ClientSecrets
from tests.kit.elbv2 import CERTIFICATE, OTHER_VPC, application, group, listener, mount_elbv2
from tests.kit.server import Live, live_server

FIXED = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
PATH = [{"Field": "path-pattern", "Values": ["/img/*"]}]
GOOD = CERTIFICATE.format("good")


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with live_server(mount=mount_elbv2) as server:
        yield server


@pytest.fixture
def elb(live: Live) -> Any:
    client = live.client("elbv2")
    for one in client.describe_load_balancers()["LoadBalancers"]:
        client.delete_load_balancer(LoadBalancerArn=one["LoadBalancerArn"])
    for one in client.describe_target_groups()["TargetGroups"]:
        client.delete_target_group(TargetGroupArn=one["TargetGroupArn"])
    return client


@pytest.fixture
def arn(elb: Any) -> str:
    return str(listener(elb, application(elb), FIXED)["ListenerArn"])


def refused(work: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        work()
    return str(caught.value.response["Error"]["Code"])


def rule(elb: Any, arn: str, priority: int = 1, **changes: Any) -> Any:
    request = {"Conditions": PATH, "Actions": FIXED, **changes}
    return elb.create_rule(ListenerArn=arn, Priority=priority, **request)["Rules"][0]


def test_rules_are_shown_by_priority_with_the_default_last(elb: Any, arn: str) -> None:
    made = [rule(elb, arn, priority) for priority in (30, 2, 11)]
    shown = elb.describe_rules(ListenerArn=arn)["Rules"]
    assert [one["Priority"] for one in shown] == ["2", "11", "30", "default"]
    assert elb.describe_rules(RuleArns=[made[0]["RuleArn"]])["Rules"] == [made[0]]
    assert made[0]["Conditions"] == [
        {"Field": "path-pattern", "Values": ["/img/*"], "PathPatternConfig": {"Values": ["/img/*"]}}
    ]


def test_a_priority_is_used_once(elb: Any, arn: str) -> None:
    rule(elb, arn, 7)
    with pytest.raises(ClientError) as caught:
        rule(elb, arn, 7)
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("PriorityInUse", "Priority '7' is currently in use")


def test_priorities_are_swapped_at_once(elb: Any, arn: str) -> None:
    first, second, third = (rule(elb, arn, priority)["RuleArn"] for priority in (1, 2, 3))

    def order(**wanted: int) -> Any:
        arns = {"a": first, "b": second, "c": third}
        pairs = [{"RuleArn": arns[name], "Priority": priority} for name, priority in wanted.items()]
        return elb.set_rule_priorities(RulePriorities=pairs)

    order(a=2, b=1)
    shown = elb.describe_rules(ListenerArn=arn)["Rules"]
    assert [one["RuleArn"] for one in shown[:3]] == [second, first, third]
    assert refused(lambda: order(a=3)) == "PriorityInUse"
    assert refused(lambda: order(a=9, b=9)) == "ValidationError"
    default = shown[3]["RuleArn"]
    move = lambda: elb.set_rule_priorities(RulePriorities=[{"RuleArn": default, "Priority": 5}])  # noqa: E731
    assert refused(move) == "OperationNotPermitted"


def test_what_a_request_does_not_name_of_a_rule_stays(elb: Any, arn: str) -> None:
    made = rule(elb, arn)
    host = [{"Field": "host-header", "HostHeaderConfig": {"Values": ["*.example.com"]}}]
    (changed,) = elb.modify_rule(RuleArn=made["RuleArn"], Conditions=host)["Rules"]
    assert changed["Actions"] == made["Actions"]
    assert changed["Conditions"][0]["HostHeaderConfig"] == {"Values": ["*.example.com"]}
    assert refused(lambda: elb.modify_rule(RuleArn=made["RuleArn"])) == "ValidationError"


def test_the_default_rule_is_its_listeners(elb: Any, arn: str) -> None:
    default = elb.describe_rules(ListenerArn=arn)["Rules"][-1]["RuleArn"]
    assert refused(lambda: elb.delete_rule(RuleArn=default)) == "OperationNotPermitted"
    assert refused(lambda: elb.modify_rule(RuleArn=default, Actions=FIXED)) == "OperationNotPermitted"


def test_a_deleted_rule_lets_go_of_its_group(elb: Any, arn: str) -> None:
    target = group(elb)["TargetGroupArn"]
    made = rule(elb, arn, Actions=[{"Type": "forward", "TargetGroupArn": target}])["RuleArn"]
    assert refused(lambda: elb.delete_target_group(TargetGroupArn=target)) == "ResourceInUse"
    elb.delete_rule(RuleArn=made)
    assert refused(lambda: elb.describe_rules(RuleArns=[made])) == "RuleNotFound"
    elb.delete_target_group(TargetGroupArn=target)


def test_weights_are_kept_and_a_weight_is_one_unless_said(elb: Any, arn: str) -> None:
    first, second = (group(elb, name)["TargetGroupArn"] for name in ("blue", "green"))
    forward = {
        "TargetGroups": [{"TargetGroupArn": first, "Weight": 0}, {"TargetGroupArn": second}],
        "TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 60},
    }
    (action,) = rule(elb, arn, Actions=[{"Type": "forward", "ForwardConfig": forward}])["Actions"]
    assert "TargetGroupArn" not in action
    groups = action["ForwardConfig"]["TargetGroups"]
    assert [one["Weight"] for one in groups] == [0, 1]
    sticky = {"Enabled": True, "DurationSeconds": 60}
    assert action["ForwardConfig"]["TargetGroupStickinessConfig"] == sticky


def test_a_redirect_keeps_what_it_does_not_say(elb: Any, arn: str) -> None:
    redirect = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    (action,) = rule(elb, arn, Actions=[{"Type": "redirect", "RedirectConfig": redirect}])["Actions"]
    assert action["RedirectConfig"] == {
        **redirect,
        "Host": "#{host}",
        "Path": "/#{path}",
        "Query": "#{query}",
    }


def test_a_group_of_another_network_or_none_is_refused(elb: Any, arn: str) -> None:
    elsewhere = group(elb, "far", VpcId=OTHER_VPC)["TargetGroupArn"]

    def forward(target: str) -> Any:
        return rule(elb, arn, Actions=[{"Type": "forward", "TargetGroupArn": target}])

    assert refused(lambda: forward(elsewhere)) == "InvalidConfigurationRequest"
    assert refused(lambda: forward(elsewhere.replace("far", "near"))) == "TargetGroupNotFound"
    stream = group(elb, "stream", Protocol="TCP")["TargetGroupArn"]
    assert refused(lambda: forward(stream)) == "IncompatibleProtocols"


def test_a_hundred_rules_fit(elb: Any, arn: str) -> None:
    """Source: Application Load Balancer guide, "Quotas": 100 rules, default ones not counted."""
    for priority in range(1, 101):
        rule(elb, arn, priority)
    assert refused(lambda: rule(elb, arn, 101)) == "TooManyRules"


def test_rules_are_an_application_balancers(elb: Any) -> None:
    network = application(elb, "net", Type="network", Subnets=["subnet-0a"])
    made = listener(elb, network, group(elb, Protocol="TCP"), Protocol="TCP")["ListenerArn"]
    assert refused(lambda: rule(elb, made)) == "UnsupportedProtocol"


OIDC = {
    "Issuer": "https://id.example.com",
    "AuthorizationEndpoint": "https://id.example.com/authorize",
    "TokenEndpoint": "https://id.example.com/token",
    "UserInfoEndpoint": "https://id.example.com/userinfo",
    "ClientId": "me",
    "ClientSecret": "hunter2",
}


@pytest.mark.parametrize(
    "guard",
    [
        {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": OIDC},
        {
            "Type": "authenticate-cognito",
            "Order": 1,
            "AuthenticateCognitoConfig": {
                "UserPoolArn": "arn:aws:cognito-idp:us-east-1:000000000000:userpool/a",
                "UserPoolClientId": "a",
                "UserPoolDomain": "a",
            },
        },
    ],
    ids=lambda guard: str(guard["Type"]),
)
def test_nobody_authenticates_over_plain_http(elb: Any, arn: str, guard: Any) -> None:
    actions = [guard, {**FIXED[0], "Order": 2}]
    assert refused(lambda: rule(elb, arn, Actions=actions)) == "InvalidLoadBalancerAction"


def test_the_path_and_the_host_are_rewritten_until_somebody_resets_it(elb: Any, arn: str) -> None:
    url = {
        "Type": "url-rewrite",
        "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/a/(.*)$", "Replace": "/$1"}]},
    }
    host = {
        "Type": "host-header-rewrite",
        "HostHeaderRewriteConfig": {"Rewrites": [{"Regex": "^a$", "Replace": "b"}]},
    }
    forward = [{"Type": "forward", "TargetGroupArn": group(elb)["TargetGroupArn"]}]
    made = rule(elb, arn, Actions=forward, Transforms=[url, host])
    assert made["Transforms"] == [url, host]
    (plain,) = elb.modify_rule(RuleArn=made["RuleArn"], ResetTransforms=True)["Rules"]
    assert "Transforms" not in plain


def test_clients_are_known_by_a_login_or_by_a_token_and_no_secret_is_shown(
    live: Live, elb: Any, arn: str
) -> None:
    (held,) = elb.describe_listeners(ListenerArns=[arn])["Listeners"]
    secure = listener(
        elb,
        held,
        FIXED,
        Protocol="HTTPS",
        Port=443,
        Certificates=[{"CertificateArn": CERTIFICATE.format("good")}],
    )["ListenerArn"]
    last = {**FIXED[0], "Order": 2}
    oidc = {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": OIDC}
    made = rule(elb, secure, Actions=[oidc, last])
    assert "hunter2" not in str(made)
    secrets = ClientSecrets(live.plane.store, live.plane.vault)
    assert live.run(secrets.find(made["RuleArn"])) == "hunter2"
    kept = {name: value for name, value in OIDC.items() if name != "ClientSecret"}
    kept |= {"UseExistingClientSecret": True, "Scope": "openid email"}
    changed = {**oidc, "AuthenticateOidcConfig": kept}
    elb.modify_rule(RuleArn=made["RuleArn"], Actions=[changed, last])
    assert live.run(secrets.find(made["RuleArn"])) == "hunter2"
    keys = {"JwksEndpoint": "https://id.example.com/keys", "Issuer": "me"}
    token = {"Type": "jwt-validation", "Order": 1, "JwtValidationConfig": keys}
    other = rule(elb, secure, 2, Actions=[token, last])
    assert len(other["Actions"]) == 2
    assert live.run(secrets.find(other["RuleArn"])) is None
    assert live.run(secrets.find(made["RuleArn"] + "0")) is None


def test_everybody_may_fetch_the_key_that_users_claims_are_verified_with(live: Live) -> None:
    signer = Signer(live.keys.logins)
    with urlopen(f"{live.endpoint}/_homeport/public-keys/{signer.key_id}") as answer:
        assert answer.read() == signer.public_pem
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"{live.endpoint}/_homeport/public-keys/another")
