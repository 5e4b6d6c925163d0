"""Conditions, actions and transforms. Sources: API Reference, RuleCondition, Action, RuleTransform."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.core.errors import AwsError
from homeport.services.elbv2.model.rules import Oidc, Redirect, Rule
from homeport.services.elbv2.plan.actions import actions_of
from homeport.services.elbv2.plan.conditions import conditions_of, transforms_of
from homeport.services.elbv2.view import actions_view, rule_view

FIXED = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}


def condition(field: str, *values: Any, **more: Any) -> dict[str, Any]:
    config = "".join(word.capitalize() for word in field.split("-")) + "Config"
    return {"Field": field, config: {"Values": list(values), **more}}


def seal(secret: str) -> bytes:
    return f"sealed {secret}".encode()


def actions(*given_ones: Any, protocol: str = "HTTPS", held: Any = ()) -> Any:
    return actions_of(given_ones, protocol=protocol, seal=seal, held=held)


def code(work: Any) -> str:
    with pytest.raises(AwsError) as caught:
        work()
    return caught.value.code


@pytest.mark.parametrize(
    "one",
    [
        condition("host-header", "*.example.com"),
        condition("host-header", "a.example.co?"),
        condition("path-pattern", "/a/*/b.$/~\"'@:+&"),
        condition("http-header", "*Chrome*", HttpHeaderName="User-Agent"),
        condition("http-request-method", "GET", "M-SEARCH", "A_B"),
        condition("query-string", {"Key": "v", "Value": "1*"}, {"Value": "x"}),
        condition("source-ip", "10.0.0.0/8", "fd00::/8"),
        {"Field": "path-pattern", "RegexValues": ["^/v[0-9]+/(a|b)$"]},
        {"Field": "host-header", "Values": ["example.com"]},
    ],
    ids=str,
)
def test_a_condition_that_may_be(one: Any) -> None:
    (made,) = conditions_of([one])
    assert made.field == one["Field"]


@pytest.mark.parametrize(
    "one",
    [
        condition("host-header", "localhost"),
        condition("host-header", "10.0.0.1"),
        condition("host-header", "a_b.example.com"),
        condition("host-header", "a" * 125 + ".com"),
        condition("path-pattern", "/a b"),
        condition("path-pattern", "/" + "a" * 128),
        condition("http-header", "x", HttpHeaderName="Host"),
        condition("http-header", "x", HttpHeaderName="a" * 41),
        condition("http-header", "x", HttpHeaderName="a b"),
        condition("http-header", "x"),
        condition("http-request-method", "get"),
        condition("http-request-method", "G*"),
        condition("query-string", {"Key": "", "Value": ""}),
        condition("source-ip", "10.0.0.1"),
        condition("source-ip", "10.0.0.0/33"),
        condition("path-pattern"),
        condition("path-pattern", "/a", "/a"),
        {"Field": "path-pattern", "RegexValues": ["("]},
        {"Field": "path-pattern", "RegexValues": ["(?=a)"]},
        {"Field": "path-pattern", "RegexValues": [r"(a)\1"]},
        {"Field": "source-ip", "RegexValues": ["a"]},
        {"Field": "query-string", "Values": ["a"]},
        {"Field": "path-pattern", "Values": ["/a", "/b"]},
        {"Field": "path-pattern", "Values": ["/a"], "HostHeaderConfig": {"Values": ["a.b"]}},
        {"Field": "colour", "Values": ["red"]},
    ],
    ids=lambda one: str(one)[:70],
)
def test_a_condition_that_may_not_be(one: Any) -> None:
    assert code(lambda: conditions_of([one])) == "ValidationError"


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_rule_has_five_values_at_most_whatever_their_conditions(counts: list[int]) -> None:
    """Source: guide, "Quotas"."""
    conditions = [
        condition("http-header", *(f"v{n}" for n in range(count)), HttpHeaderName=f"x-{place}")
        for place, count in enumerate(counts)
    ]
    if sum(counts) <= 5:
        assert len(conditions_of(conditions)) == len(counts)
    else:
        assert code(lambda: conditions_of(conditions)) == "ValidationError"


@pytest.mark.parametrize(
    ("values", "goes"),
    [
        ([{"Value": "*****"}], True),
        ([{"Value": "***???"}], False),
        ([{"Key": "***", "Value": "???"}], False),
        ([{"Value": r"\*\?\\" + "*****"}], True),
    ],
    ids=str,
)
def test_a_rule_has_five_wildcards_at_most_and_escaped_ones_are_none(values: Any, goes: bool) -> None:
    one = [condition("query-string", *values)]
    if goes:
        conditions_of(one)
    else:
        assert code(lambda: conditions_of(one)) == "ValidationError"


@pytest.mark.parametrize("field", ["host-header", "path-pattern", "source-ip", "http-request-method"])
def test_some_conditions_come_once(field: str) -> None:
    values = {
        "host-header": ("a.com", "b.com"),
        "path-pattern": ("/a", "/b"),
        "source-ip": ("10.0.0.0/8", "11.0.0.0/8"),
        "http-request-method": ("GET", "PUT"),
    }[field]
    assert code(lambda: conditions_of([condition(field, one) for one in values])) == "ValidationError"


def redirect(**changes: str) -> dict[str, Any]:
    return {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_302", **changes}}


@pytest.mark.parametrize(
    ("one", "protocol", "goes"),
    [
        (redirect(Protocol="HTTPS"), "HTTP", True),
        (redirect(Protocol="HTTP"), "HTTPS", False),
        (redirect(), "HTTP", False),
        (redirect(Protocol="HTTP"), "HTTP", False),
        (redirect(Path="/new/#{path}"), "HTTP", True),
        (redirect(Path="#{path}"), "HTTP", False),
        (redirect(Path="/#{path}/#{path}"), "HTTP", False),
        (redirect(Path="/#{query}"), "HTTP", False),
        (redirect(Host="#{host}.example.com"), "HTTP", True),
        (redirect(Host="#{path}"), "HTTP", False),
        (redirect(Query="#{query}&from=#{host}"), "HTTP", True),
        (redirect(Query=""), "HTTP", True),
        (redirect(Port="0"), "HTTP", False),
        (redirect(Port="65535"), "HTTP", True),
    ],
    ids=str,
)
def test_a_redirect_leads_somewhere_else(one: Any, protocol: str, goes: bool) -> None:
    if goes:
        (made,) = actions(one, protocol=protocol)
        assert isinstance(made, Redirect)
    else:
        assert code(lambda: actions(one, protocol=protocol)) == "InvalidLoadBalancerAction"


OIDC = {
    "Issuer": "https://id.example.com",
    "AuthorizationEndpoint": "https://id.example.com/authorize",
    "TokenEndpoint": "https://id.example.com/token",
    "UserInfoEndpoint": "https://id.example.com/userinfo",
    "ClientId": "me",
}


def oidc(**changes: Any) -> list[dict[str, Any]]:
    config = {**OIDC, **changes}
    return [
        {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": config},
        {**FIXED, "Order": 2},
    ]


def test_a_client_secret_is_sealed_never_shown_and_kept_on_request() -> None:
    made = actions(*oidc(ClientSecret="hunter2"))
    assert isinstance(made[0], Oidc)
    assert made[0].secret == b"sealed hunter2"
    assert "hunter2" not in str(actions_view(made))
    again = actions(*oidc(UseExistingClientSecret=True, Scope="openid email"), held=made)
    assert again[0].secret == made[0].secret
    for changes in (
        {},
        {"UseExistingClientSecret": True},
        {"ClientSecret": "a", "UseExistingClientSecret": True},
    ):
        assert code(lambda changes=changes: actions(*oidc(**changes))) == "InvalidLoadBalancerAction"  # type: ignore[misc]
    other = oidc(UseExistingClientSecret=True, ClientId="somebody else")
    assert code(lambda: actions(*other, held=made)) == "InvalidLoadBalancerAction"


@pytest.mark.parametrize(
    "changes",
    [
        {"TokenEndpoint": "http://id.example.com/token"},
        {"Issuer": "id.example.com"},
        {"Issuer": "https://"},
        {"Issuer": "https://me@id.example.com"},
        {"SessionTimeout": 0},
        {"SessionTimeout": 604801},
        {"SessionCookieName": "a;b"},
        {"AuthenticationRequestExtraParams": {str(n): "" for n in range(11)}},
    ],
    ids=lambda one: str(one)[:60],
)
def test_a_provider_that_may_not_be(changes: Any) -> None:
    assert code(lambda: actions(*oidc(ClientSecret="a", **changes))) == "InvalidLoadBalancerAction"


def jwt(**changes: Any) -> list[dict[str, Any]]:
    config = {"JwksEndpoint": "https://id.example.com/keys", "Issuer": "me", **changes}
    return [{"Type": "jwt-validation", "Order": 1, "JwtValidationConfig": config}, {**FIXED, "Order": 2}]


@pytest.mark.parametrize(
    ("claims", "goes"),
    [
        ([], True),
        ([{"Format": "single-string", "Name": "scope", "Values": ["a"]}], True),
        ([{"Format": "single-string", "Name": "iss", "Values": ["a"]}], False),
        ([{"Format": "space-separated-values", "Name": "scope", "Values": ["a b"]}], False),
        ([{"Format": "string-array", "Name": "scope", "Values": ["a"] * 11}], False),
        ([{"Format": "string-array", "Name": f"c{n}", "Values": ["a"]} for n in range(11)], False),
    ],
    ids=lambda one: str(one)[:60],
)
def test_claims_of_a_token(claims: Any, goes: bool) -> None:
    if goes:
        view = actions_view(actions(*jwt(AdditionalClaims=claims)))
        assert view[0]["JwtValidationConfig"].get("AdditionalClaims", []) == claims
    else:
        assert code(lambda: actions(*jwt(AdditionalClaims=claims))) == "InvalidLoadBalancerAction"


def forward(*groups: Any, **config: Any) -> dict[str, Any]:
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": list(groups), **config}}


@pytest.mark.parametrize(
    ("given_ones", "expected"),
    [
        ([], "ValidationError"),
        ([FIXED, FIXED], "ValidationError"),
        ([{**FIXED, "Order": 1}, {**FIXED, "Order": 2}], "InvalidLoadBalancerAction"),
        ([{**FIXED, "Order": 1}, *jwt()[:1]], "ValidationError"),
        ([{**FIXED, "Order": 1}, {**jwt()[0], "Order": 2}], "InvalidLoadBalancerAction"),
        (jwt()[:1], "InvalidLoadBalancerAction"),
        ([*jwt(), {**FIXED, "Order": 3}], "TooManyActions"),
        ([{"Type": "redirect"}], "InvalidLoadBalancerAction"),
        ([{**FIXED, "TargetGroupArn": "a"}], "InvalidLoadBalancerAction"),
        ([{"Type": "forward"}], "InvalidLoadBalancerAction"),
        ([forward(*({"TargetGroupArn": str(n)} for n in range(6)))], "InvalidLoadBalancerAction"),
        ([forward({"TargetGroupArn": "a", "Weight": 1000})], "InvalidLoadBalancerAction"),
        ([forward({"TargetGroupArn": "a"}, {"TargetGroupArn": "a"})], "InvalidLoadBalancerAction"),
        ([{**forward({"TargetGroupArn": "a"}), "TargetGroupArn": "b"}], "InvalidLoadBalancerAction"),
        (
            [forward({"TargetGroupArn": "a"}, TargetGroupStickinessConfig={"Enabled": True})],
            "InvalidLoadBalancerAction",
        ),
        (
            [
                forward(
                    {"TargetGroupArn": "a"},
                    TargetGroupStickinessConfig={"Enabled": True, "DurationSeconds": 604801},
                )
            ],
            "InvalidLoadBalancerAction",
        ),
        (
            [{**FIXED, "FixedResponseConfig": {"StatusCode": "200", "ContentType": "text/xml"}}],
            "InvalidLoadBalancerAction",
        ),
        (
            [{**FIXED, "FixedResponseConfig": {"StatusCode": "200", "MessageBody": "ü" * 600}}],
            "InvalidLoadBalancerAction",
        ),
    ],
    ids=lambda one: str(one)[:70],
)
def test_actions_that_may_not_be(given_ones: Any, expected: str) -> None:
    assert code(lambda: actions(*given_ones)) == expected


def test_actions_are_done_in_their_order() -> None:
    made = actions({**FIXED, "Order": 9}, {**jwt()[0], "Order": 5})
    assert [view["Type"] for view in actions_view(made)] == ["jwt-validation", "fixed-response"]


def url(regex: str, replace: str) -> dict[str, Any]:
    return {"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": regex, "Replace": replace}]}}


@pytest.mark.parametrize(
    ("transforms", "goes"),
    [
        ([url("^/a/(.*)$", "/$1")], True),
        ([url("^/a/(.*)$", "/$2")], False),
        ([url("(", "/")], False),
        ([url("a" * 1025, "/")], False),
        ([url("a", "/"), url("b", "/")], False),
        ([{"Type": "url-rewrite"}], False),
    ],
    ids=lambda one: str(one)[:70],
)
def test_transforms_of_a_rule(transforms: Any, goes: bool) -> None:
    if goes:
        assert len(transforms_of(transforms)) == 1
    else:
        assert code(lambda: transforms_of(transforms)) == "ValidationError"


def test_what_a_rule_shows_makes_the_same_rule() -> None:
    """Terraform writes back what it reads."""
    rule = Rule(
        arn="a",
        priority=1,
        conditions=conditions_of(
            [
                condition("path-pattern", "/a*"),
                condition("http-header", "x", HttpHeaderName="a"),
                condition("query-string", {"Value": "1"}),
            ]
        ),
        actions=actions(forward({"TargetGroupArn": "g", "Weight": 3})),
        transforms=transforms_of([url("^/a(.*)", "/b$1")]),
    )
    view = rule_view(rule)
    assert conditions_of(view["Conditions"]) == rule.conditions
    assert actions(*view["Actions"]) == rule.actions
    assert transforms_of(view["Transforms"]) == rule.transforms
