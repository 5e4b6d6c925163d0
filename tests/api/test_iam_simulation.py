"""The policy simulator. Sources: botocore iam, Simulate...Policy; AWS CLI examples."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.test_iam_roles import refused
from tests.kit.iam import AWS_POLICY, allows, arn, fresh, trusts
from tests.kit.server import ACCOUNT, Live

EXAMPLE = (
    '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*","Resource":"*",'
    '"Condition":{"DateGreaterThan":{"aws:CurrentTime":"2018-08-16T12:00:00Z"}}}}'
)
CLUSTER = f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/c"
OTHERS = "arn:aws:ecs:us-east-1:111111111111:cluster/c"


@pytest.fixture(scope="module")
def iam(live: Live) -> Any:
    return live.client("iam")


@pytest.fixture
def user(iam: Any) -> str:
    name = fresh("sim")
    iam.create_user(UserName=name, Tags=[{"Key": "team", "Value": "blue"}])
    return name


def denies(*actions: str) -> str:
    return allows(*actions, Effect="Deny")


def decisions(answer: Any) -> dict[str, str]:
    return {one["EvalActionName"]: one["EvalDecision"] for one in answer["EvaluationResults"]}


# ---- custom policies ----------------------------------------------------------------------------


@pytest.mark.parametrize(("time", "decision"), [("2019-04-25", "allowed"), ("2014-04-25", "implicitDeny")])
def test_the_examples_of_the_command_line_come_out(iam: Any, time: str, decision: str) -> None:
    entry = {
        "ContextKeyName": "aws:CurrentTime",
        "ContextKeyValues": [f"{time}T11:00:00Z"],
        "ContextKeyType": "date",
    }
    (found,) = iam.simulate_custom_policy(
        PolicyInputList=[EXAMPLE], ActionNames=["dynamodb:CreateBackup"], ContextEntries=[entry]
    )["EvaluationResults"]
    statement = {
        "SourcePolicyId": "PolicyInputList.1",
        "SourcePolicyType": "none",
        "StartPosition": {"Line": 1, "Column": 38},
        "EndPosition": {"Line": 1, "Column": 167},
    }
    assert found == {
        "EvalActionName": "dynamodb:CreateBackup",
        "EvalResourceName": "*",
        "EvalDecision": decision,
        "MatchedStatements": [statement] if decision == "allowed" else [],
        "MissingContextValues": [],
    }


def test_a_deny_is_told_alone_and_missing_keys_are_named(iam: Any) -> None:
    answer = iam.simulate_custom_policy(
        PolicyInputList=[allows("ecs:*"), denies("ecs:Delete*"), EXAMPLE],
        ActionNames=["ecs:RunTask", "ecs:DeleteCluster", "iam:ListUsers"],
    )
    assert decisions(answer) == {
        "ecs:RunTask": "allowed",
        "ecs:DeleteCluster": "explicitDeny",
        "iam:ListUsers": "implicitDeny",
    }
    told = [
        [one["SourcePolicyId"] for one in found["MatchedStatements"]] for found in answer["EvaluationResults"]
    ]
    assert told == [["PolicyInputList.1"], ["PolicyInputList.2"], []]
    assert all(one["MissingContextValues"] == ["aws:CurrentTime"] for one in answer["EvaluationResults"])


def test_resources_are_decided_each_and_the_strictest_is_told(iam: Any) -> None:
    (found,) = iam.simulate_custom_policy(
        PolicyInputList=[allows("ecs:*", Resource=CLUSTER)],
        ActionNames=["ecs:DeleteCluster"],
        ResourceArns=[CLUSTER, f"{CLUSTER}x"],
    )["EvaluationResults"]
    assert found["EvalDecision"] == "implicitDeny"
    each = {one["EvalResourceName"]: one["EvalResourceDecision"] for one in found["ResourceSpecificResults"]}
    assert each == {CLUSTER: "allowed", f"{CLUSTER}x": "implicitDeny"}
    assert found["MatchedStatements"] == []
    assert len(found["ResourceSpecificResults"][0]["MatchedStatements"]) == 1


def test_a_boundary_that_is_given_limits(iam: Any) -> None:
    answer = iam.simulate_custom_policy(
        PolicyInputList=[allows("*")],
        PermissionsBoundaryPolicyInputList=[allows("ecs:*")],
        ActionNames=["ecs:RunTask", "iam:ListUsers"],
    )
    assert decisions(answer) == {"ecs:RunTask": "allowed", "iam:ListUsers": "implicitDeny"}
    told = [one["PermissionsBoundaryDecisionDetail"] for one in answer["EvaluationResults"]]
    assert told == [{"AllowedByPermissionsBoundary": True}, {"AllowedByPermissionsBoundary": False}]


def test_between_accounts_both_sides_must_allow(iam: Any) -> None:
    caller = arn("user", "Bob")
    shared = json.dumps(
        {"Statement": {"Effect": "Allow", "Principal": {"AWS": caller}, "Action": "ecs:*", "Resource": "*"}}
    )

    def simulated(**changes: Any) -> Any:
        asked = {"PolicyInputList": [allows("ecs:*")], "ActionNames": ["ecs:RunTask"], "CallerArn": caller}
        (found,) = iam.simulate_custom_policy(**{**asked, **changes})["EvaluationResults"]
        return found

    assert simulated(ResourceArns=[OTHERS])["EvalDecision"] == "implicitDeny"
    both = simulated(ResourceArns=[OTHERS], ResourcePolicy=shared)
    assert both["EvalDecision"] == "allowed"
    assert set(both["ResourceSpecificResults"][0]["EvalDecisionDetails"].values()) == {"allowed"}
    types = {one["SourcePolicyType"] for one in both["MatchedStatements"]}
    assert types == {"none", "resource"}
    alone = simulated(ResourceArns=[OTHERS], ResourcePolicy=shared, PolicyInputList=[allows("iam:*")])
    details = alone["ResourceSpecificResults"][0]["EvalDecisionDetails"]
    assert details == {"Identity policy": "implicitDeny", "Resource policy": "allowed"}
    assert simulated(ResourceOwner="111111111111")["EvalDecision"] == "implicitDeny"
    at_home = simulated(ResourcePolicy=shared, PolicyInputList=[allows("iam:*")])
    assert at_home["EvalDecision"] == "allowed"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"PolicyInputList": ["{}"]}, "PolicyInputList.1"),
        ({"PermissionsBoundaryPolicyInputList": [allows(), allows()]}, "at most one"),
        ({"ActionNames": ["RunTask"]}, "RunTask"),
        ({"ResourcePolicy": allows(Principal="*")}, "CallerArn"),
        ({"CallerArn": f"arn:aws:sts::{ACCOUNT}:assumed-role/r/s"}, "CallerArn"),
        ({"ResourceOwner": "somebody"}, "ResourceOwner"),
        ({"ContextEntries": [{"ContextKeyValues": ["a"]}]}, "ContextKeyName"),
        ({"ContextEntries": [{"ContextKeyName": "aws:x", "ContextKeyValues": ["a", "b"]}]}, "one value"),
        *(
            (
                {
                    "ContextEntries": [
                        {"ContextKeyName": "aws:x", "ContextKeyValues": ["no!"], "ContextKeyType": kind}
                    ]
                },
                "type",
            )
            for kind in ("numeric", "boolean", "ip", "binary", "date", "numericList", "ipList")
        ),
    ],
)
def test_a_simulation_that_makes_no_sense_is_refused(iam: Any, changes: dict[str, Any], text: str) -> None:
    request = {"PolicyInputList": [allows()], "ActionNames": ["ecs:RunTask"], **changes}
    with refused("InvalidInput", text):
        iam.simulate_custom_policy(**request)


def test_a_simulation_comes_in_pages(iam: Any) -> None:
    actions = [f"ecs:A{number}" for number in range(5)]
    pages = list(
        iam.get_paginator("simulate_custom_policy").paginate(
            PolicyInputList=[allows()], ActionNames=actions, PaginationConfig={"PageSize": 2}
        )
    )
    assert [len(page["EvaluationResults"]) for page in pages] == [2, 2, 1]
    assert [one["EvalActionName"] for page in pages for one in page["EvaluationResults"]] == actions


def test_the_keys_that_policies_ask_for_are_listed(iam: Any) -> None:
    """Source: AWS CLI examples, get-context-keys-for-custom-policy."""
    document = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow",
                "Action": "dynamodb:*",
                "Resource": "arn:aws:dynamodb:us-west-2:123456789012:table/${aws:username}",
                "Condition": {"DateGreaterThan": {"aws:CurrentTime": "2015-08-16T12:00:00Z"}},
            },
        }
    )
    found = iam.get_context_keys_for_custom_policy(PolicyInputList=[document, document])
    assert found["ContextKeyNames"] == ["aws:username", "aws:CurrentTime"]


# ---- policies that hang on somebody -------------------------------------------------------------


def test_a_user_is_simulated_with_groups_boundary_and_tags(iam: Any, user: str) -> None:
    group = fresh("group")
    tagged = {"StringEquals": {"aws:PrincipalTag/team": "blue"}}
    own = json.dumps(json.loads(allows("ecs:*", Condition=tagged)), indent=4)
    iam.put_user_policy(UserName=user, PolicyName="Own", PolicyDocument=own)
    iam.create_group(GroupName=group)
    iam.put_group_policy(GroupName=group, PolicyName="Shared", PolicyDocument=allows("iam:*", "logs:*"))
    iam.add_user_to_group(GroupName=group, UserName=user)
    bound = iam.create_policy(PolicyName=fresh(), PolicyDocument=allows("ecs:*", "iam:*"))["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary=bound)
    named = {"PolicySourceArn": arn("user", user)}
    actions = ["ecs:RunTask", "iam:ListUsers", "logs:PutLogEvents"]
    answer = iam.simulate_principal_policy(**named, ActionNames=actions)
    assert list(decisions(answer).values()) == ["allowed", "allowed", "implicitDeny"]
    first, second, third = answer["EvaluationResults"]
    (statement,) = (one for one in first["MatchedStatements"] if one["SourcePolicyId"] == "Own")
    assert statement == {
        "SourcePolicyId": "Own",
        "SourcePolicyType": "user",
        "StartPosition": {"Line": 3, "Column": 19},
        "EndPosition": {"Line": own.count("\n") - 1, "Column": 10},
    }
    kinds = {one["SourcePolicyId"]: one["SourcePolicyType"] for one in second["MatchedStatements"]}
    assert kinds == {"Shared": "group", bound.rpartition("/")[2]: "user-managed"}
    assert third["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}
    free = iam.simulate_principal_policy(
        **named, ActionNames=actions, PolicyExclusionList=[{"PolicyType": "permission-boundary"}]
    )
    assert set(decisions(free).values()) == {"allowed"}
    as_bob = iam.simulate_principal_policy(**named, ActionNames=actions, CallerArn=arn("user", "bob"))
    assert decisions(as_bob)["ecs:RunTask"] == "implicitDeny", "Bob has no tags here"
    more = iam.simulate_principal_policy(**named, ActionNames=actions, PolicyInputList=[denies("*")])
    assert set(decisions(more).values()) == {"explicitDeny"}
    keys = iam.get_context_keys_for_principal_policy(**named, PolicyInputList=[EXAMPLE])
    assert keys["ContextKeyNames"] == ["aws:PrincipalTag/team", "aws:CurrentTime"]


def test_a_role_and_a_group_are_simulated_too(iam: Any) -> None:
    for kind in ("role", "group"):
        name = fresh(kind)
        trust = {"AssumeRolePolicyDocument": trusts()} if kind == "role" else {}
        getattr(iam, f"create_{kind}")(**{f"{kind.title()}Name": name}, **trust, Path="/p/")
        attach = getattr(iam, f"attach_{kind}_policy")
        attach(**{f"{kind.title()}Name": name}, PolicyArn=AWS_POLICY)
        source = arn(kind, f"p/{name}")
        answer = iam.simulate_principal_policy(PolicySourceArn=source, ActionNames=["ecs:RunTask"])
        (found,) = answer["EvaluationResults"]
        (statement,) = found["MatchedStatements"]
        told = (found["EvalDecision"], statement["SourcePolicyId"], statement["SourcePolicyType"])
        assert told == ("allowed", "AdministratorAccess", "aws-managed")
        with refused("InvalidInput", "ResourcePolicy"):
            iam.simulate_principal_policy(
                PolicySourceArn=source, ActionNames=["a:b"], ResourcePolicy=allows(Principal="*")
            )


@pytest.mark.parametrize(
    "excluded",
    [
        {"PolicyType": "inline"},
        {"InlinePolicyIdentifier": {"PolicyName": "p", "AttachmentType": "user", "AttachmentName": "sim-*"}},
    ],
)
def test_a_simulation_leaves_out_what_is_excluded(iam: Any, user: str, excluded: dict[str, Any]) -> None:
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=allows("ecs:*"))
    asked = {"PolicySourceArn": arn("user", user), "ActionNames": ["ecs:RunTask"]}
    assert decisions(iam.simulate_principal_policy(**asked)) == {"ecs:RunTask": "allowed"}
    without = iam.simulate_principal_policy(**asked, PolicyExclusionList=[excluded])
    assert decisions(without) == {"ecs:RunTask": "implicitDeny"}
    other = {"InlinePolicyIdentifier": {"PolicyName": "q", "AttachmentType": "user", "AttachmentName": "*"}}
    kept = iam.simulate_principal_policy(**asked, PolicyExclusionList=[other])
    assert decisions(kept) == {"ecs:RunTask": "allowed"}


@pytest.mark.parametrize(("pattern", "decision"), [("Admin*", "implicitDeny"), ("Power*", "allowed")])
def test_managed_policies_are_excluded_by_pattern(iam: Any, user: str, pattern: str, decision: str) -> None:
    iam.attach_user_policy(UserName=user, PolicyArn=AWS_POLICY)
    asked = {"PolicySourceArn": arn("user", user), "ActionNames": ["ecs:RunTask"]}
    excluded = [{"PolicyArn": f"arn:aws:iam::aws:policy/{pattern}"}]
    found = iam.simulate_principal_policy(**asked, PolicyExclusionList=excluded)
    assert decisions(found) == {"ecs:RunTask": decision}
    for wrong in ("arn:aws:iam::aws:policy/*a*", "arn:aws:iam::aws:role/Admin"):
        with refused("InvalidInput", wrong):
            iam.simulate_principal_policy(**asked, PolicyExclusionList=[{"PolicyArn": wrong}])


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (arn("user", "nobody"), "NoSuchEntity"),
        (arn("role", "wrong/path"), "NoSuchEntity"),
        ("arn:aws:iam::111111111111:user/somebody", "NoSuchEntity"),
        (arn("policy", "notaprincipal"), "InvalidInput"),
    ],
)
def test_who_is_simulated_must_be_there(iam: Any, source: str, code: str) -> None:
    with refused(code):
        iam.simulate_principal_policy(PolicySourceArn=source, ActionNames=["ecs:RunTask"])
    with refused(code):
        iam.get_context_keys_for_principal_policy(PolicySourceArn=source)
