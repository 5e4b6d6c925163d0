"""Actions and resources, in statements that name them and in statements that name all others."""

from __future__ import annotations

from typing import Any

import pytest

from homeport.policy.decision import decide
from tests.kit.policy_cases import USER, allow, document, policies, request
from tests.kit.slow_policy import Documents, slow_verdict
from tests.unit.policy.table_matching import ACTIONS, RESOURCES, UNKNOWN_EXCLUSIONS

KNOWN = [row for row in RESOURCES if "${aws:none}" not in str(row[0])]


def is_allowed(statement: dict[str, Any], action: str, resource: str) -> bool:
    asked = request(USER, action, resource)
    documents = Documents(identity=[document(statement)])
    decided = decide(asked, policies(documents)).verdict
    assert decided == slow_verdict(asked, documents), "the slow evaluator says otherwise"
    return decided == "allowed"


@pytest.mark.parametrize(("wanted", "given", "meet"), ACTIONS, ids=str)
def test_a_statement_is_about_the_actions_it_names(wanted: Any, given: str, meet: bool) -> None:
    assert is_allowed(allow(wanted), given, "*") is meet
    others = {"Effect": "Allow", "NotAction": wanted, "Resource": "*"}
    assert is_allowed(others, given, "*") is not meet


@pytest.mark.parametrize(("wanted", "given", "meet"), RESOURCES, ids=str)
def test_a_statement_is_about_the_resources_it_names(wanted: Any, given: str, meet: bool) -> None:
    assert is_allowed(allow("*", wanted), "ecs:RunTask", given) is meet


@pytest.mark.parametrize(("wanted", "given", "meet"), KNOWN, ids=str)
def test_a_statement_may_be_about_all_other_resources(wanted: Any, given: str, meet: bool) -> None:
    others = {"Effect": "Allow", "Action": "*", "NotResource": wanted}
    assert is_allowed(others, "ecs:RunTask", given) is not meet


@pytest.mark.parametrize("excluded", UNKNOWN_EXCLUSIONS, ids=str)
def test_what_cannot_be_known_is_never_taken_for_something_else(excluded: Any) -> None:
    others = {"Effect": "Allow", "Action": "*", "NotResource": excluded}
    assert not is_allowed(others, "ecs:RunTask", "arn:aws:s3:::home/x")


def test_a_value_with_a_star_is_no_wildcard() -> None:
    keys = {"aws:PrincipalTag/home": "*"}
    only = Documents(identity=[document(allow("*", "arn:aws:s3:::home/${aws:PrincipalTag/home}"))])
    for resource, expected in (("arn:aws:s3:::home/bob", "implicitDeny"), ("arn:aws:s3:::home/*", "allowed")):
        asked = request(USER, "s3:GetObject", resource, context=keys)
        assert decide(asked, policies(only)).verdict == slow_verdict(asked, only) == expected


def test_many_stars_cost_no_time() -> None:
    """With one regular expression that tries everything, this would take longer than the universe has."""
    text = "arn:aws:s3:::" + "a" * 1000
    for field in ("*a" * 60 + "b", "a*" * 60 + "b", "?*a" * 60 + "b"):
        assert not is_allowed_by_engine(allow("*", f"arn:aws:s3:::{field}"), text)
    assert not is_allowed_by_engine(
        allow("*", "arn:aws:s3:" + "*a" * 40 + ":*:b"), f"arn:aws:s3:{'a' * 999}:x:y"
    )


def is_allowed_by_engine(statement: dict[str, Any], resource: str) -> bool:
    return decide(request(resource=resource), policies(Documents(identity=[document(statement)]))).is_allowed
