"""Who may use IAM: asked of the ARN that is meant, with its path and in its own case, under IAM's own keys.

Source: Service Authorization Reference, IAM; IAM User Guide, permissions boundaries and renaming users.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kit.iam import AWS_POLICY, allows, arn, fresh, trusts
from tests.kit.server import Live, credentials


@pytest.fixture(scope="module")
def root(live: Live) -> Any:
    return live.client("iam")


class Caller:
    """A user with one policy, which the test writes."""

    def __init__(self, live: Live, root: Any) -> None:
        self.name, self._root = fresh("Caller"), root
        root.create_user(UserName=self.name, Path="/callers/")
        key = credentials(root.create_access_key(UserName=self.name)["AccessKey"])
        self.iam = live.client(
            "iam", aws_access_key_id=key.access_key_id, aws_secret_access_key=key.secret_access_key
        )

    def may(self, *statements: dict[str, Any]) -> None:
        whole = [{"Effect": "Allow", "Action": "iam:*", "Resource": "*", **one} for one in statements]
        document = json.dumps({"Version": "2012-10-17", "Statement": whole})
        self._root.put_user_policy(UserName=self.name, PolicyName="p", PolicyDocument=document)

    def lets(self, operation: str, **request: Any) -> bool:
        try:
            getattr(self.iam, operation)(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDenied":
                raise
            return False
        return True


@pytest.fixture
def caller(live: Live, root: Any) -> Caller:
    return Caller(live, root)


def role(root: Any, path: str = "/", **changes: Any) -> str:
    name = fresh("Role")
    root.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=trusts(), **changes)
    return name


def test_a_path_lets_in_and_keeps_out(root: Any, caller: Caller) -> None:
    inside, outside = role(root, "/team/"), role(root)
    caller.may({"Resource": arn("role", "team/*")})
    for operation in ("get_role", "list_role_tags", "list_attached_role_policies", "update_role"):
        assert caller.lets(operation, RoleName=inside)
        assert not caller.lets(operation, RoleName=outside)
    named = {"AssumeRolePolicyDocument": trusts()}
    assert caller.lets("create_role", RoleName=fresh(), Path="/team/", **named)
    assert not caller.lets("create_role", RoleName=fresh(), **named)
    assert not caller.lets("get_role", RoleName="nobody"), "who may not ask does not learn who is there"


def test_a_deny_cannot_be_stepped_round_by_another_spelling(root: Any, caller: Caller) -> None:
    name = role(root, "/guarded/")
    caller.may({}, {"Effect": "Deny", "Resource": arn("role", f"guarded/{name}")})
    for spelled in (name, name.upper(), name.lower()):
        assert not caller.lets("delete_role", RoleName=spelled)
        assert not caller.lets("put_role_policy", RoleName=spelled, PolicyName="p", PolicyDocument=allows())
        assert not caller.lets("tag_role", RoleName=spelled, Tags=[{"Key": "a", "Value": "b"}])
    assert caller.lets("get_role", RoleName=role(root))


def test_a_new_name_needs_both(root: Any, caller: Caller) -> None:
    old, new = fresh("old"), fresh("new")
    root.create_user(UserName=old)
    caller.may({"Resource": arn("user", old)})
    assert not caller.lets("update_user", UserName=old, NewUserName=new)
    caller.may({"Resource": [arn("user", old), arn("user", f"p/{new}")]})
    assert not caller.lets("update_user", UserName=old, NewUserName=new)
    assert caller.lets("update_user", UserName=old, NewUserName=new, NewPath="/p/")


def test_who_is_itself_needs_no_name(caller: Caller) -> None:
    caller.may({"Resource": arn("user", "callers/${aws:username}")})
    assert caller.lets("get_user")
    assert caller.lets("list_access_keys")
    assert caller.lets("get_user", UserName=caller.name)
    assert not caller.lets("get_user", UserName="homeport-local-nodes")
    key = caller.iam.list_access_keys()["AccessKeyMetadata"][0]["AccessKeyId"]
    assert caller.lets("get_access_key_last_used", AccessKeyId=key)
    caller.may({"Resource": arn("user", "other")})
    assert not caller.lets("get_access_key_last_used", AccessKeyId=key)


def test_a_role_is_handed_to_instances_by_whom_may_pass_it(root: Any, caller: Caller) -> None:
    profile, name = fresh("profile"), role(root, "/r/")
    root.create_instance_profile(InstanceProfileName=profile)
    request = {"InstanceProfileName": profile, "RoleName": name}
    caller.may({"Action": "iam:AddRoleToInstanceProfile"})
    assert not caller.lets("add_role_to_instance_profile", **request)
    passes = {"Action": "iam:PassRole", "Resource": arn("role", f"r/{name}")}
    for service, lets_in in (("ecs-tasks.amazonaws.com", False), ("ec2.amazonaws.com", True)):
        condition = {"StringEquals": {"iam:PassedToService": service}}
        caller.may({"Action": "iam:AddRoleToInstanceProfile"}, {**passes, "Condition": condition})
        assert caller.lets("add_role_to_instance_profile", **request) is lets_in


def test_which_policy_is_attached_is_a_condition(root: Any, caller: Caller) -> None:
    name = role(root)
    caller.may({"Condition": {"ArnEquals": {"iam:PolicyARN": AWS_POLICY}}})
    assert caller.lets("attach_role_policy", RoleName=name, PolicyArn=AWS_POLICY)
    other = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
    assert not caller.lets("attach_role_policy", RoleName=name, PolicyArn=other)


def test_who_may_only_make_bounded_users_stays_bounded(root: Any, caller: Caller) -> None:
    """Source: IAM User Guide, delegating responsibility with permissions boundaries."""
    bound = root.create_policy(PolicyName=fresh("bound"), PolicyDocument=allows("ecs:*"))["Policy"]["Arn"]
    caller.may({"Condition": {"StringEquals": {"iam:PermissionsBoundary": bound}}})
    name = fresh("made")
    assert not caller.lets("create_user", UserName=name)
    assert not caller.lets("create_user", UserName=name, PermissionsBoundary=AWS_POLICY)
    assert caller.lets("create_user", UserName=name, PermissionsBoundary=bound)
    assert caller.lets("put_user_policy", UserName=name, PolicyName="p", PolicyDocument=allows("*"))
    assert caller.lets("attach_user_policy", UserName=name, PolicyArn=AWS_POLICY)
    assert not caller.lets("put_user_permissions_boundary", UserName=name, PermissionsBoundary=AWS_POLICY)
    free = fresh("free")
    root.create_user(UserName=free)
    assert not caller.lets("attach_user_policy", UserName=free, PolicyArn=AWS_POLICY)
    caller.may({}, {"Effect": "Deny", "Action": "iam:Delete*PermissionsBoundary",
                    "Condition": {"StringEquals": {"iam:PermissionsBoundary": bound}}})  # fmt: skip
    assert not caller.lets("delete_user_permissions_boundary", UserName=name)


@pytest.mark.parametrize(
    ("operation", "request_", "tagging"),
    [
        ("create_user", {"UserName": "made"}, "iam:TagUser"),
        ("create_role", {"RoleName": "made", "AssumeRolePolicyDocument": trusts()}, "iam:TagRole"),
        ("create_policy", {"PolicyName": "made", "PolicyDocument": allows()}, "iam:TagPolicy"),
        ("create_instance_profile", {"InstanceProfileName": "made"}, "iam:TagInstanceProfile"),
        (
            "create_open_id_connect_provider",
            {"Url": "https://made.example.com", "ThumbprintList": ["a" * 40]},
            "iam:TagOpenIDConnectProvider",
        ),
    ],
)
def test_who_makes_something_with_tags_must_be_allowed_to_tag_it(
    caller: Caller, operation: str, request_: dict[str, Any], tagging: str
) -> None:
    tags = {"Tags": [{"Key": "team", "Value": "a"}]}
    caller.may({"Action": "iam:Create*"})
    assert not caller.lets(operation, **request_, **tags)
    wrong = {"StringEquals": {"aws:RequestTag/team": "b"}}
    caller.may({"Action": "iam:Create*"}, {"Action": tagging, "Condition": wrong})
    assert not caller.lets(operation, **request_, **tags)
    caller.may({"Action": ["iam:Create*", tagging]})
    assert caller.lets(operation, **request_, **tags)


def test_tags_of_what_is_asked_for_are_conditions(root: Any, caller: Caller) -> None:
    blue = role(root, Tags=[{"Key": "team", "Value": "blue"}])
    plain = role(root)
    for key in ("aws:ResourceTag/team", "iam:ResourceTag/team"):
        caller.may({"Condition": {"StringEquals": {key: "blue"}}})
        assert caller.lets("get_role", RoleName=blue)
        assert not caller.lets("get_role", RoleName=plain)


def test_a_services_role_is_made_by_whom_may_make_that_services(caller: Caller) -> None:
    service = "elasticloadbalancing.amazonaws.com"
    for named, lets_in in (("ecs.amazonaws.com", False), (service, True)):
        caller.may({"Condition": {"StringLike": {"iam:AWSServiceName": named}}})
        assert caller.lets("create_service_linked_role", AWSServiceName=service) is lets_in


def test_aws_own_policies_are_nobody_elses_account(caller: Caller) -> None:
    caller.may({"Action": ["iam:GetPolicy", "iam:GetPolicyVersion"]})
    assert caller.lets("get_policy", PolicyArn=AWS_POLICY)
    assert caller.lets("get_policy_version", PolicyArn=AWS_POLICY, VersionId="v1")
    caller.may({"Action": "iam:GetPolicy", "Resource": arn("policy", "*")})
    assert not caller.lets("get_policy", PolicyArn=AWS_POLICY)
