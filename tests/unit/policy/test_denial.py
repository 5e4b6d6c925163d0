"""What a caller is told, and what may be known about a denial.

Sources: IAM User Guide, troubleshooting access denied messages (the forms); AWS Security Blog, access denied
messages with policy ARNs; AWS CLI examples, decode-authorization-message (the document's members).
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from homeport.policy.compiled import AttachedPolicy, PolicySet
from homeport.policy.decision import Policies, decide
from homeport.policy.denial import denial_message, explanation
from homeport.policy.document import PolicyKind
from tests.kit.policy_cases import (
    ACCOUNT,
    CLUSTER,
    COMPILER,
    OTHER,
    SESSION,
    USER,
    allow,
    deny,
    document,
    policies,
    request,
)
from tests.kit.policy_layers import ALLOW, DENY, NOTHING, to
from tests.kit.slow_policy import Documents

START = f"User: {USER.arn} is not authorized to perform: ecs:RunTask on resource: {CLUSTER} "


def message(**documents: Any) -> str:
    owner = documents.pop("owner", "")
    asked = request(owner=owner)
    return denial_message(asked, decide(asked, policies(Documents(**documents))))


MESSAGES = (
    ({}, "because no identity-based policy allows the ecs:RunTask action"),
    (
        {"identity": [ALLOW], "boundary": [NOTHING]},
        "because no permissions boundary allows the ecs:RunTask action",
    ),
    ({"identity": [ALLOW], "session": [NOTHING]}, "because no session policy allows the ecs:RunTask action"),
    (
        {"identity": [ALLOW], "owner": OTHER},
        "because no resource-based policy allows the ecs:RunTask action",
    ),
    ({"identity": [DENY]}, "with an explicit deny in an identity-based policy"),
    ({"identity": [ALLOW], "boundary": [DENY]}, "with an explicit deny in a permissions boundary"),
    ({"identity": [ALLOW], "session": [DENY]}, "with an explicit deny in a session policy"),
    (
        {"identity": [ALLOW], "resource": [to("*", "Deny")]},
        "with an explicit deny in a resource-based policy",
    ),
)


@pytest.mark.parametrize(
    ("documents", "ending"), MESSAGES, ids=lambda cell: cell if isinstance(cell, str) else ""
)
def test_a_denial_says_who_what_on_what_and_why(documents: Any, ending: str) -> None:
    assert message(**documents) == START + ending


@pytest.mark.parametrize(
    ("statement", "ending"),
    [
        (None, "because no role trust policy allows the sts:AssumeRole action"),
        ("Deny", "with an explicit deny in the role trust policy"),
    ],
)
def test_a_role_that_may_not_be_assumed_is_about_its_trust_policy(statement: Any, ending: str) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/ops"
    asked = request(USER, "sts:AssumeRole", role)
    trust = {"Effect": "Deny", "Principal": {"AWS": USER.arn}, "Action": "sts:AssumeRole"}
    documents = Documents(identity=[ALLOW], is_trust=True, resource=[document(trust)] if statement else [])
    said = denial_message(asked, decide(asked, policies(documents)))
    assert (
        said == f"User: {USER.arn} is not authorized to perform: sts:AssumeRole on resource: {role} {ending}"
    )


def test_an_allowed_request_has_no_message() -> None:
    assert message(identity=[ALLOW]) == ""


def denied_by(name: str, *, owner: str = "") -> str:
    denying = AttachedPolicy(name, COMPILER.compile(json.dumps(DENY), PolicyKind.IDENTITY))
    asked = request(owner=owner)
    return denial_message(asked, decide(asked, Policies(identity=PolicySet([denying]))))


def test_a_managed_policy_that_denies_is_named_within_its_account_only() -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:policy/guard"
    ending = "with an explicit deny in an identity-based policy"
    assert denied_by(arn) == f"{START}{ending}: {arn}"
    assert denied_by("inline") == START + ending
    assert denied_by(arn, owner=OTHER) == START + ending


def test_an_explanation_holds_the_statements_and_the_whole_context() -> None:
    condition = {"StringLike": {"ecs:cluster": ["*:cluster/web"]}}
    asked = request(SESSION, context={"ecs:cluster": CLUSTER, "aws:TagKeys": ["a", "b"]})
    guard = document(allow(), deny("ecs:Run*", Sid="NoRuns", Condition=condition))
    told = explanation(asked, decide(asked, policies(Documents(identity=[guard]))))
    assert (told["allowed"], told["explicitDeny"]) == (False, True)
    assert told["matchedStatements"] == {
        "items": [
            {
                "statementId": "NoRuns",
                "effect": "DENY",
                "principals": {"items": [{"value": SESSION.user_id}]},
                "principalGroups": {"items": []},
                "actions": {"items": [{"value": "ecs:Run*"}]},
                "resources": {"items": [{"value": "*"}]},
                "conditions": {
                    "items": [
                        {
                            "operator": "StringLike",
                            "key": "ecs:cluster",
                            "values": {"items": [{"value": "*:cluster/web"}]},
                        }
                    ]
                },
                "sourcePolicyId": "identity-0",
                "sourcePolicyType": "identity",
            }
        ]
    }
    context: Any = told["context"]
    assert context["principal"] == {"id": SESSION.user_id, "arn": SESSION.arn}
    assert (context["action"], context["resource"]) == ("ecs:RunTask", CLUSTER)
    keys = {
        one["key"]: [v["value"] for v in one["values"]["items"]] for one in context["conditions"]["items"]
    }
    assert keys["aws:TagKeys"] == ["a", "b"]
    assert keys["aws:PrincipalArn"] == [SESSION.issuer_arn]
    assert json.loads(json.dumps(told)) == told


def test_an_explanation_of_an_implicit_deny_names_what_is_missing() -> None:
    asked = request(SESSION)
    told = explanation(asked, decide(asked, policies(Documents(identity=[NOTHING], session=[NOTHING]))))
    assert (told["allowed"], told["explicitDeny"], told["missing"]) == (False, False, ["identity", "session"])
    assert told["matchedStatements"] == {"items": []}
