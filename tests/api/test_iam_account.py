"""What an account has but once, the whole account at once, and OpenID Connect providers."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest

from tests.api.test_iam_roles import refused
from tests.kit.iam import AWS_POLICY, allows, arn, fresh, trusts
from tests.kit.server import ACCOUNT, Live


@pytest.fixture(scope="module")
def iam(live: Live) -> Any:
    return live.client("iam")


def test_an_account_has_one_alias(iam: Any) -> None:
    assert iam.list_account_aliases()["AccountAliases"] == []
    for alias in ("first-name", "second-name", "second-name"):
        iam.create_account_alias(AccountAlias=alias)
        assert iam.list_account_aliases()["AccountAliases"] == [alias]
    with refused("NoSuchEntity", "first-name"):
        iam.delete_account_alias(AccountAlias="first-name")
    iam.delete_account_alias(AccountAlias="second-name")
    assert iam.list_account_aliases()["AccountAliases"] == []
    with refused("ValidationError"):
        iam.create_account_alias(AccountAlias="Not-lower")


def test_a_password_policy_is_said_whole(iam: Any) -> None:
    """Source: UpdateAccountPasswordPolicy, "does not support partial updates"."""
    text = f"The Password Policy with domain name {ACCOUNT} cannot be found."
    for ask in (iam.get_account_password_policy, iam.delete_account_password_policy):
        with refused("NoSuchEntity", text):
            ask()
    sent = {
        "MinimumPasswordLength": 12,
        "RequireSymbols": True,
        "RequireNumbers": True,
        "RequireUppercaseCharacters": True,
        "RequireLowercaseCharacters": True,
        "AllowUsersToChangePassword": True,
        "MaxPasswordAge": 90,
        "PasswordReusePrevention": 5,
        "HardExpiry": True,
    }
    iam.update_account_password_policy(**sent)
    assert iam.get_account_password_policy()["PasswordPolicy"] == {**sent, "ExpirePasswords": True}
    iam.update_account_password_policy(RequireNumbers=True)
    assert iam.get_account_password_policy()["PasswordPolicy"] == {
        "MinimumPasswordLength": 6,
        "RequireSymbols": False,
        "RequireNumbers": True,
        "RequireUppercaseCharacters": False,
        "RequireLowercaseCharacters": False,
        "AllowUsersToChangePassword": False,
        "ExpirePasswords": False,
    }
    iam.delete_account_password_policy()
    with refused("NoSuchEntity", text):
        iam.get_account_password_policy()


def test_the_summary_counts_and_knows_the_quotas(iam: Any) -> None:
    before = iam.get_account_summary()["SummaryMap"]
    iam.create_user(UserName=fresh())
    iam.create_group(GroupName=fresh())
    iam.create_role(RoleName=fresh(), AssumeRolePolicyDocument=trusts())
    iam.create_instance_profile(InstanceProfileName=fresh())
    policy = iam.create_policy(PolicyName=fresh(), PolicyDocument=allows())["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=policy, PolicyDocument=allows())
    iam.create_open_id_connect_provider(Url=f"https://{fresh()}.example.com", ThumbprintList=["a" * 40])
    after = iam.get_account_summary()["SummaryMap"]
    grown = {key: after[key] - before[key] for key in after if after[key] != before[key]}
    assert grown == {
        "Users": 1,
        "Groups": 1,
        "Roles": 1,
        "InstanceProfiles": 1,
        "Policies": 1,
        "PolicyVersionsInUse": 2,
        "Providers": 1,
    }
    quotas = ("UsersQuota", "GroupsQuota", "RolesQuota", "PolicySizeQuota", "VersionsPerPolicyQuota")
    assert [after[name] for name in quotas] == [5000, 300, 1000, 6144, 5]
    assert after["AccountAccessKeysPresent"] == 1


@pytest.fixture(scope="module")
def full(live: Live) -> Any:
    """An account of its own, with something of everything."""
    iam = live.client("iam")
    iam.create_user(UserName="dan", Tags=[{"Key": "k", "Value": "v"}], PermissionsBoundary=AWS_POLICY)
    iam.create_group(GroupName="team")
    iam.add_user_to_group(GroupName="team", UserName="dan")
    policy = iam.create_policy(PolicyName="whole", PolicyDocument=allows("a:b"), Description="d")["Policy"][
        "Arn"
    ]
    iam.create_policy_version(PolicyArn=policy, PolicyDocument=allows("c:d"), SetAsDefault=True)
    iam.create_role(RoleName="runs", AssumeRolePolicyDocument=trusts())
    for kind, name in (("user", "dan"), ("group", "team"), ("role", "runs")):
        named = {f"{kind.title()}Name": name}
        getattr(iam, f"put_{kind}_policy")(**named, PolicyName="own", PolicyDocument=allows("e:f"))
        getattr(iam, f"attach_{kind}_policy")(**named, PolicyArn=policy)
    iam.create_instance_profile(InstanceProfileName="box")
    iam.add_role_to_instance_profile(InstanceProfileName="box", RoleName="runs")
    return iam


def test_the_whole_account_is_told_with_its_relations(full: Any) -> None:
    whole = full.get_paginator("get_account_authorization_details").paginate().build_full_result()
    attached = [{"PolicyName": "whole", "PolicyArn": arn("policy", "whole")}]
    own = json.loads(allows("e:f"))
    user = next(one for one in whole["UserDetailList"] if one["UserName"] == "dan")
    assert user["GroupList"] == ["team"]
    assert user["UserPolicyList"] == [{"PolicyName": "own", "PolicyDocument": own}]
    assert user["AttachedManagedPolicies"] == attached
    assert user["PermissionsBoundary"]["PermissionsBoundaryArn"] == AWS_POLICY
    assert user["Tags"] == [{"Key": "k", "Value": "v"}]
    group = next(one for one in whole["GroupDetailList"] if one["GroupName"] == "team")
    assert (group["GroupPolicyList"][0]["PolicyDocument"], group["AttachedManagedPolicies"]) == (
        own,
        attached,
    )
    role = next(one for one in whole["RoleDetailList"] if one["RoleName"] == "runs")
    assert [one["InstanceProfileName"] for one in role["InstanceProfileList"]] == ["box"]
    assert [one["RoleName"] for one in role["InstanceProfileList"][0]["Roles"]] == ["runs"]
    assert role["AssumeRolePolicyDocument"] == json.loads(trusts())
    assert (role["RolePolicyList"][0]["PolicyName"], role["AttachedManagedPolicies"]) == ("own", attached)
    policy = next(one for one in whole["Policies"] if one["PolicyName"] == "whole")
    assert (policy["DefaultVersionId"], policy["AttachmentCount"], policy["Description"]) == ("v2", 3, "d")
    assert [one["Document"]["Statement"][0]["Action"] for one in policy["PolicyVersionList"]] == [
        ["c:d"],
        ["a:b"],
    ]
    assert AWS_POLICY in {one["Arn"] for one in whole["Policies"]}


@pytest.mark.parametrize(
    ("word", "member"),
    [
        ("User", "UserDetailList"),
        ("Group", "GroupDetailList"),
        ("Role", "RoleDetailList"),
        ("LocalManagedPolicy", "Policies"),
        ("AWSManagedPolicy", "Policies"),
    ],
)
def test_the_whole_account_is_told_by_kind_and_in_pages(full: Any, word: str, member: str) -> None:
    whole = full.get_account_authorization_details(Filter=[word])
    lists = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
    assert whole[member]
    assert all(not whole[other] for other in lists if other != member)
    aws = {":iam::aws:" in one["Arn"] for one in whole["Policies"]}
    assert aws <= {word == "AWSManagedPolicy"}
    pages = full.get_paginator("get_account_authorization_details").paginate(
        Filter=[word], PaginationConfig={"PageSize": 1}
    )
    assert [one for page in pages for one in page[member]] == whole[member]


def test_the_credential_report_has_a_line_for_everybody(full: Any) -> None:
    with refused("ReportNotPresent"):
        full.get_credential_report()
    full.create_access_key(UserName="dan")
    assert full.generate_credential_report()["State"] == "COMPLETE"
    found = full.get_credential_report()
    assert found["ReportFormat"] == "text/csv"
    lines = {line["user"]: line for line in csv.DictReader(found["Content"].decode().splitlines())}
    root, dan = lines["<root_account>"], lines["dan"]
    assert (root["arn"], root["access_key_1_active"]) == (f"arn:aws:iam::{ACCOUNT}:root", "true")
    assert (dan["access_key_1_active"], dan["access_key_2_active"]) == ("true", "false")
    assert (dan["mfa_active"], dan["password_enabled"], dan["cert_2_last_rotated"]) == (
        "false",
        "false",
        "N/A",
    )
    full.create_user(UserName="later")
    full.generate_credential_report()
    assert full.get_credential_report()["Content"] == found["Content"], "a report is good for four hours"


# ---- OpenID Connect providers -------------------------------------------------------------------


def test_a_provider_is_read_as_it_was_made(iam: Any) -> None:
    host, tags = f"{fresh('Id')}.example.com/tenant", [{"Key": "k", "Value": "v"}]
    made = iam.create_open_id_connect_provider(
        Url=f"https://{host}", ClientIDList=["sts.amazonaws.com"], ThumbprintList=["AB" * 20], Tags=tags
    )
    provider = made["OpenIDConnectProviderArn"]
    assert (provider, made["Tags"]) == (arn("oidc-provider", host), tags)
    named = {"OpenIDConnectProviderArn": provider}
    read = iam.get_open_id_connect_provider(**named)
    assert (read["Url"], read["ClientIDList"], read["ThumbprintList"]) == (
        host,
        ["sts.amazonaws.com"],
        ["ab" * 20],
    )
    assert read["Tags"] == tags
    assert {"Arn": provider} in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    with refused("EntityAlreadyExists"):
        iam.create_open_id_connect_provider(Url=f"https://{host}", ThumbprintList=["a" * 40])
    for _ in range(2):
        iam.add_client_id_to_open_id_connect_provider(**named, ClientID="other")
    for _ in range(2):
        iam.remove_client_id_from_open_id_connect_provider(**named, ClientID="sts.amazonaws.com")
    iam.update_open_id_connect_provider_thumbprint(**named, ThumbprintList=["0" * 40, "1" * 40])
    read = iam.get_open_id_connect_provider(**named)
    assert (read["ClientIDList"], read["ThumbprintList"]) == (["other"], ["0" * 40, "1" * 40])
    iam.delete_open_id_connect_provider(**named)
    with refused("NoSuchEntity", f"OpenId connect Provider {provider} cannot be found."):
        iam.delete_open_id_connect_provider(**named)
    with refused("NoSuchEntity", f"OpenIDConnect Provider not found for arn {provider}"):
        iam.get_open_id_connect_provider(**named)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Url": "http://plain.example.com"}, "ValidationError"),
        ({"Url": "https://asks.example.com?a=b"}, "ValidationError"),
        ({"ThumbprintList": []}, "InvalidInput"),
        ({"ThumbprintList": ["x" * 40]}, "InvalidInput"),
        ({"ThumbprintList": ["a" * 40] * 6}, "InvalidInput"),
        ({"ClientIDList": [f"c{n}" for n in range(101)]}, "LimitExceeded"),
    ],
)
def test_a_provider_that_cannot_be_is_refused(iam: Any, changes: dict[str, Any], code: str) -> None:
    request = {"Url": "https://good.example.com", "ThumbprintList": ["a" * 40], **changes}
    with refused(code):
        iam.create_open_id_connect_provider(**request)
