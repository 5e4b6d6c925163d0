"""Whom roles trust: users and roles that are there, and nobody who is named like one that was.

Source: IAM User Guide, AWS JSON policy elements: Principal, IAM user and role principals.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.test_iam_roles import refused
from tests.kit.iam import allows, arn, fresh, trusts
from tests.kit.server import ACCOUNT, Live, credentials


@pytest.fixture(scope="module")
def iam(live: Live) -> Any:
    return live.client("iam")


def trusting(*arns: str, **changes: Any) -> str:
    named = {"AWS": arns[0] if len(arns) == 1 else list(arns)}
    statement = {"Effect": "Allow", "Principal": named, "Action": "sts:AssumeRole", **changes}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trusted(iam: Any, role: str) -> Any:
    (statement,) = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    return statement["Principal"]["AWS"]


def test_who_is_trusted_must_be_there(iam: Any) -> None:
    name = fresh("role")
    for missing in (arn("user", "nobody"), arn("role", "nobody"), arn("role", "path/nobody")):
        with refused("MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{missing}"'):
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusting(missing))
    known = (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "arn:aws:iam::111111111111:role/elsewhere")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusting(*known))
    with refused("MalformedPolicyDocument", "nobody"):
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=trusting(arn("user", "nobody")))
    assert trusted(iam, name) == list(known)


@pytest.mark.parametrize("kind", ["user", "role"])
def test_who_is_deleted_leaves_an_id_behind(iam: Any, kind: str) -> None:
    name, role, other = fresh(kind), fresh("trusts"), fresh("other")
    trust = {"AssumeRolePolicyDocument": trusts()} if kind == "role" else {}

    def make() -> str:
        made = getattr(iam, f"create_{kind}")(**{f"{kind.title()}Name": name}, **trust)[kind.title()]
        return str(made[f"{kind.title()}Id"])

    first = make()
    named = arn(kind, name)
    only_said = {"Condition": {"StringEquals": {"aws:PrincipalArn": named}}}
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=trusting(named, ACCOUNT, **only_said))
    iam.create_role(RoleName=other, AssumeRolePolicyDocument=trusting(f"{ACCOUNT}"))
    getattr(iam, f"delete_{kind}")(**{f"{kind.title()}Name": name})
    assert trusted(iam, role) == [first, ACCOUNT]
    assert trusted(iam, other) == ACCOUNT
    (statement,) = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Condition"] == only_said["Condition"]
    assert make() != first
    assert trusted(iam, role) == [first, ACCOUNT]


def test_a_namesake_is_not_who_was_trusted(live: Live, iam: Any) -> None:
    name, role = fresh("user"), fresh("role")

    def sts_of(user: str) -> Any:
        iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=allows("sts:*"))
        key = credentials(iam.create_access_key(UserName=user)["AccessKey"])
        return live.client(
            "sts", aws_access_key_id=key.access_key_id, aws_secret_access_key=key.secret_access_key
        )

    iam.create_user(UserName=name)
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=trusting(arn("user", name)))
    asked = {"RoleArn": arn("role", role), "RoleSessionName": "session"}
    before = sts_of(name)
    assert before.assume_role(**asked)["AssumedRoleUser"]
    iam.update_user(UserName=name, NewUserName=f"{name}-new", NewPath="/p/")
    assert trusted(iam, role) == arn("user", f"p/{name}-new")
    assert before.assume_role(**asked)["AssumedRoleUser"], "the same user under another name"
    iam.create_user(UserName=name)
    with pytest.raises(ClientError, match="AccessDenied"):
        sts_of(name).assume_role(**asked)


def test_when_a_role_was_last_used_is_known_a_while_later(live: Live, iam: Any) -> None:
    role = fresh("used")
    iam.create_user(UserName="caller-of-roles")
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=trusting(arn("user", "caller-of-roles")))
    key = credentials(iam.create_access_key(UserName="caller-of-roles")["AccessKey"])
    sts = live.client("sts", aws_access_key_id=key.access_key_id, aws_secret_access_key=key.secret_access_key)
    found = sts.assume_role(RoleArn=arn("role", role), RoleSessionName="session")["Credentials"]
    live.run(live.ring.uses.write())
    assert iam.get_role(RoleName=role)["Role"]["RoleLastUsed"] == {}
    session = live.client(
        "ecs",
        region_name="eu-west-1",
        aws_access_key_id=found["AccessKeyId"],
        aws_secret_access_key=found["SecretAccessKey"],
        aws_session_token=found["SessionToken"],
    )
    with pytest.raises(ClientError, match="AccessDenied"):
        session.list_clusters()
    live.run(live.ring.uses.write())
    used = iam.get_role(RoleName=role)["Role"]["RoleLastUsed"]
    assert used["Region"] == "eu-west-1"
    assert used["LastUsedDate"] >= iam.get_role(RoleName=role)["Role"]["CreateDate"]
    iam.delete_role(RoleName=role)
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=trusts())
    assert iam.get_role(RoleName=role)["Role"]["RoleLastUsed"] == {}
