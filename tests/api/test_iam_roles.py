"""Roles, service-linked roles and instance profiles, as Terraform and the command line use them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kit.iam import AWS_POLICY, allows, arn, fresh, trusts
from tests.kit.server import ACCOUNT, Live

TAGS = [{"Key": "team", "Value": "blue"}, {"Key": "empty", "Value": ""}]


@pytest.fixture(scope="module")
def iam(live: Live) -> Any:
    return live.client("iam")


@pytest.fixture
def role(iam: Any) -> str:
    name = fresh("role")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusts())
    return name


def refused(code: str, text: str = "") -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\).*{re.escape(text)}")


def test_what_terraform_sends_is_what_it_reads_back(iam: Any) -> None:
    """Source: the AWS provider's aws_iam_role: CreateRole, then GetRole until it is there."""
    name = fresh("Web")
    boundary = iam.create_policy(PolicyName=fresh("boundary"), PolicyDocument=allows("*"))["Policy"]["Arn"]
    sent = {
        "RoleName": name,
        "Path": "/service/web/",
        "AssumeRolePolicyDocument": trusts(),
        "Description": "runs the web",
        "MaxSessionDuration": 7200,
        "PermissionsBoundary": boundary,
        "Tags": TAGS,
    }
    made = iam.create_role(**sent)["Role"]
    read = iam.get_role(RoleName=name)["Role"]
    later = {"Description", "MaxSessionDuration", "RoleLastUsed"}
    assert {key: read[key] for key in read if key not in later} == made, "Source: recorded by LocalStack"
    assert re.fullmatch(r"AROA[A-Z2-7]{17}", read["RoleId"])
    assert read["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/service/web/{name}"
    assert read["AssumeRolePolicyDocument"] == json.loads(sent["AssumeRolePolicyDocument"])
    assert read["PermissionsBoundary"] == {
        "PermissionsBoundaryType": "Policy",
        "PermissionsBoundaryArn": boundary,
    }
    told = ("Path", "Description", "MaxSessionDuration", "Tags")
    assert [read[member] for member in told] == [sent[member] for member in told]
    assert read["RoleLastUsed"] == {}
    (listed,) = iam.list_roles(PathPrefix="/service/")["Roles"]
    assert listed == {
        key: read[key] for key in read if key not in ("Tags", "PermissionsBoundary", "RoleLastUsed")
    }


def test_a_role_lasts_an_hour_and_says_nothing_of_itself_by_default(iam: Any, role: str) -> None:
    read = iam.get_role(RoleName=role)["Role"]
    assert (read["Path"], read["MaxSessionDuration"]) == ("/", 3600)
    assert not {"Description", "Tags", "PermissionsBoundary"} & read.keys()


def test_a_name_is_taken_in_any_case_and_found_in_any_case(iam: Any, role: str) -> None:
    with refused("EntityAlreadyExists", f"Role with name {role.upper()} already exists."):
        iam.create_role(RoleName=role.upper(), AssumeRolePolicyDocument=trusts())
    assert iam.get_role(RoleName=role.upper())["Role"]["RoleName"] == role


@pytest.mark.parametrize(
    "operation",
    [
        "get_role",
        "delete_role",
        "update_role",
        "list_role_policies",
        "list_attached_role_policies",
        "list_role_tags",
        "list_instance_profiles_for_role",
        "delete_role_permissions_boundary",
        "delete_service_linked_role",
    ],
)
def test_a_role_that_is_not_there_is_told_by_name(iam: Any, operation: str) -> None:
    """Source: reference iam, section 10."""
    with refused("NoSuchEntity", "The role with name nobody cannot be found."):
        getattr(iam, operation)(RoleName="nobody")


def test_a_role_is_updated_as_a_whole_and_its_description_alone(iam: Any, role: str) -> None:
    iam.update_role(RoleName=role, Description="new", MaxSessionDuration=43200)
    read = iam.get_role(RoleName=role)["Role"]
    assert (read["Description"], read["MaxSessionDuration"]) == ("new", 43200)
    shown = iam.update_role_description(RoleName=role, Description="")["Role"]
    assert shown["Description"] == ""
    iam.update_role(RoleName=role)
    read = iam.get_role(RoleName=role)["Role"]
    assert (read["Description"], read["MaxSessionDuration"]) == ("", 43200), "recorded by LocalStack"


def test_a_session_lasts_at_most_twelve_hours(iam: Any, role: str) -> None:
    with refused("ValidationError", "less than or equal to 43200"):
        iam.update_role(RoleName=role, MaxSessionDuration=43201)


def test_a_trust_policy_is_replaced_and_must_be_one(iam: Any, role: str) -> None:
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=trusts("ec2.amazonaws.com"))
    read = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    assert read["Statement"][0]["Principal"] == {"Service": "ec2.amazonaws.com"}
    with refused("MalformedPolicyDocument"):
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=allows("sts:AssumeRole"))
    with refused("MalformedPolicyDocument", "This policy contains invalid Json"):
        iam.create_role(RoleName=fresh(), AssumeRolePolicyDocument="{")
    long = json.loads(trusts())
    long["Statement"][0]["Sid"] = "a" * 2048
    with refused("LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048"):
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(long))


def test_a_role_goes_when_nothing_hangs_on_it(iam: Any, role: str) -> None:
    """The order in which the AWS provider takes things off. Source: reference iam, section 10."""
    profile = fresh("box")
    iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=allows())
    iam.attach_role_policy(RoleName=role, PolicyArn=AWS_POLICY)
    iam.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=AWS_POLICY)
    iam.create_instance_profile(InstanceProfileName=profile)
    iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)
    with refused("DeleteConflict", "must remove roles from instance profile first."):
        iam.delete_role(RoleName=role)
    iam.remove_role_from_instance_profile(InstanceProfileName=profile, RoleName=role)
    with refused("DeleteConflict", "Cannot delete entity, must detach all policies first."):
        iam.delete_role(RoleName=role)
    iam.detach_role_policy(RoleName=role, PolicyArn=AWS_POLICY)
    with refused("DeleteConflict", "must delete policies first."):
        iam.delete_role(RoleName=role)
    iam.delete_role_policy(RoleName=role, PolicyName="p")
    iam.delete_role(RoleName=role)
    with refused("NoSuchEntity"):
        iam.get_role(RoleName=role)
    used = iam.list_entities_for_policy(PolicyArn=AWS_POLICY, EntityFilter="Role")
    assert role not in {one["RoleName"] for one in used["PolicyRoles"]}
    again = iam.create_role(RoleName=role, AssumeRolePolicyDocument=trusts())["Role"]
    assert "PermissionsBoundary" not in iam.get_role(RoleName=again["RoleName"])["Role"]


def test_a_path_that_is_the_services_is_theirs(iam: Any) -> None:
    with refused("InvalidInput", "CreateServiceLinkedRole"):
        iam.create_role(
            RoleName=fresh(), Path="/aws-service-role/ecs.amazonaws.com/", AssumeRolePolicyDocument=trusts()
        )


# ---- service-linked roles -----------------------------------------------------------------------


def test_a_services_role_has_its_name_and_cannot_be_changed(iam: Any) -> None:
    made = iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com", Description="d")["Role"]
    name = "AWSServiceRoleForECS"
    assert made["RoleName"] == name
    assert made["Arn"] == arn("role", f"aws-service-role/ecs.amazonaws.com/{name}")
    assert made["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "ecs.amazonaws.com"}
    with refused("InvalidInput", f"Service role name {name} has been taken in this account"):
        iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")
    for change in (
        lambda: iam.delete_role(RoleName=name),
        lambda: iam.attach_role_policy(RoleName=name, PolicyArn=AWS_POLICY),
        lambda: iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=allows()),
        lambda: iam.update_assume_role_policy(RoleName=name, PolicyDocument=trusts()),
        lambda: iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=AWS_POLICY),
        lambda: iam.update_role(RoleName=name, MaxSessionDuration=7200),
    ):
        with refused("UnmodifiableEntity", f"protected role '{name}'"):
            change()
    iam.update_role_description(RoleName=name, Description="new")
    task = iam.delete_service_linked_role(RoleName=name)["DeletionTaskId"]
    start = rf"task/aws-service-role/ecs\.amazonaws\.com/{name}/"
    assert re.fullmatch(start + r"[0-9a-f]{8}-[0-9a-f-]{27}", task)
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
    with refused("NoSuchEntity"):
        iam.get_role(RoleName=name)
    with refused("NoSuchEntity"):
        iam.get_service_linked_role_deletion_status(DeletionTaskId="task/other")


def test_some_services_have_several_roles_and_some_are_not_known(iam: Any, role: str) -> None:
    made = iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", CustomSuffix="x")
    assert made["Role"]["RoleName"] == "AWSServiceRoleForAutoScaling_x"
    with refused("InvalidInput", "Custom suffix is not allowed for ecs.amazonaws.com"):
        iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com", CustomSuffix="x")
    with refused("InvalidInput", "nobody.amazonaws.com"):
        iam.create_service_linked_role(AWSServiceName="nobody.amazonaws.com")
    with refused("InvalidInput", "not a service-linked role"):
        iam.delete_service_linked_role(RoleName=role)


# ---- instance profiles --------------------------------------------------------------------------


def test_an_instance_profile_has_one_role(iam: Any, role: str) -> None:
    name = fresh("Box")
    made = iam.create_instance_profile(InstanceProfileName=name, Path="/boxes/", Tags=TAGS)["InstanceProfile"]
    assert re.fullmatch(r"AIPA[A-Z2-7]{17}", made["InstanceProfileId"])
    assert (made["Arn"], made["Roles"]) == (arn("instance-profile", f"boxes/{name}"), [])
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)
    read = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    assert [one["RoleName"] for one in read["Roles"]] == [role]
    assert read["Tags"] == TAGS
    (listed,) = iam.list_instance_profiles(PathPrefix="/boxes/")["InstanceProfiles"]
    assert not {"MaxSessionDuration", "Description", "RoleLastUsed"} & read["Roles"][0].keys()
    (of_role,) = iam.list_instance_profiles_for_role(RoleName=role)["InstanceProfiles"]
    assert listed == of_role == {key: read[key] for key in read if key != "Tags"}
    other = fresh("other")
    iam.create_role(RoleName=other, AssumeRolePolicyDocument=trusts())
    for more in (other, role):
        with refused("LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"):
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=more)
    with refused("DeleteConflict", "must remove roles from instance profile first."):
        iam.delete_instance_profile(InstanceProfileName=name)
    with refused("NoSuchEntity", f"Role {other} in Instance Profile {name} cannot be found."):
        iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=other)
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role)
    with refused("EntityAlreadyExists", f"Instance Profile {name.lower()} already exists."):
        iam.create_instance_profile(InstanceProfileName=name.lower())
    iam.delete_instance_profile(InstanceProfileName=name)
    with refused("NoSuchEntity", f"Instance Profile {name} cannot be found."):
        iam.get_instance_profile(InstanceProfileName=name)
