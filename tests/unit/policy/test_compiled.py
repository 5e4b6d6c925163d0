"""What is kept between questions is bounded, shared where it may be, and never changes an answer."""

from __future__ import annotations

import json

import pytest

from homeport.policy import compiled
from homeport.policy.compiled import AttachedPolicy, Compiler, PolicySet
from homeport.policy.decision import Policies, decide
from homeport.policy.document import MalformedPolicyError, PolicyKind
from homeport.policy.request import Context, caller_keys
from tests.kit.policy_cases import FEDERATED, NOBODY, SERVICE, SESSION, USER, allow, document, request

TEXT = json.dumps(document(allow("ecs:*", "arn:aws:ecs:*:*:task/${aws:PrincipalTag/team}/*")))


def test_a_document_is_compiled_once_per_content_and_kind() -> None:
    compiler = Compiler()
    assert compiler.compile(TEXT) is compiler.compile(TEXT)
    assert compiler.compile(TEXT) is not compiler.compile(TEXT + " ")
    with pytest.raises(MalformedPolicyError):
        compiler.compile(TEXT, PolicyKind.RESOURCE)


def test_a_compiler_forgets_rather_than_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "COMPILED_MAX", 3)
    compiler = Compiler()
    first = compiler.compile(TEXT)
    for spaces in range(1, 10):
        compiler.compile(TEXT + " " * spaces)
    assert len(compiler._compiled) <= 3
    assert compiler.compile(TEXT) is not first


def test_a_set_forgets_rather_than_grows_and_answers_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "NARROWED_MAX", 3)
    monkeypatch.setattr(compiled, "VALUES_MAX", 2)
    policies = PolicySet([AttachedPolicy("tasks", Compiler().compile(TEXT))])
    for number in range(10):
        for team, allowed in (("web", True), ("api", False), ("web", True), ("ops", False), ("web", True)):
            asked = request(
                resource=f"arn:aws:ecs:us-east-1:111122223333:task/web/{number}",
                context={"aws:PrincipalTag/team": team},
            )
            assert decide(asked, Policies(identity=policies)).is_allowed is allowed
    assert 1 <= len(policies._narrowed) <= 3
    assert all(1 <= len(one._by_values) <= 2 for one in policies._narrowed.values())


def test_the_keys_that_follow_from_the_caller_are_the_documented_ones() -> None:
    """Source: IAM User Guide, variables, principal key values; global condition keys."""
    assert caller_keys(USER)["aws:username"] == "alice"
    assert caller_keys(USER)["aws:PrincipalArn"] == USER.arn
    session = caller_keys(SESSION)
    assert session["aws:PrincipalArn"] == SESSION.issuer_arn
    assert session["aws:userid"] == SESSION.user_id
    assert session["aws:PrincipalType"] == "AssumedRole"
    assert "aws:username" not in {**session, **caller_keys(FEDERATED)}
    assert caller_keys(SERVICE) == {
        "aws:PrincipalIsAWSService": True,
        "aws:PrincipalServiceName": "ecs-tasks.amazonaws.com",
    }
    assert caller_keys(NOBODY) == {"aws:PrincipalType": "Anonymous"}


def test_a_context_takes_what_services_have_and_drops_what_is_empty() -> None:
    context = Context({"A:Flag": True, "a:count": 3, "a:Text": "", "a:List": ["x", "y"], "a:None": []})
    assert [context.get(key) for key in ("a:flag", "a:count", "a:text", "a:list", "a:none")] == [
        ("true",),
        ("3",),
        ("",),
        ("x", "y"),
        (),
    ]
    assert dict(context.items())["A:Flag"] == ("true",)
