"""Users, groups, tags and access keys."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.test_iam_roles import refused
from tests.kit.iam import AWS_POLICY, allows, arn, fresh, trusts
from tests.kit.server import ACCOUNT, Live, credentials


@pytest.fixture(scope="module")
def iam(live: Live) -> Any:
    return live.client("iam")


@pytest.fixture
def user(iam: Any) -> str:
    name = fresh("User")
    iam.create_user(UserName=name)
    return name


@pytest.fixture
def group(iam: Any) -> str:
    name = fresh("Group")
    iam.create_group(GroupName=name)
    return name


def client_of(live: Live, key: dict[str, str], service: str = "iam") -> Any:
    found = credentials(key)
    return live.client(
        service, aws_access_key_id=found.access_key_id, aws_secret_access_key=found.secret_access_key
    )


# ---- users --------------------------------------------------------------------------------------


def test_a_user_is_read_as_it_was_made(iam: Any) -> None:
    name, tags = fresh("Whole"), [{"Key": "team", "Value": "blue"}]
    made = iam.create_user(UserName=name, Path="/people/", PermissionsBoundary=AWS_POLICY, Tags=tags)["User"]
    read = iam.get_user(UserName=name)["User"]
    assert read == made
    assert re.fullmatch(r"AIDA[A-Z2-7]{17}", read["UserId"])
    assert (read["Arn"], read["Path"]) == (arn("user", f"people/{name}"), "/people/")
    assert read["PermissionsBoundary"]["PermissionsBoundaryArn"] == AWS_POLICY
    assert read["Tags"] == tags
    (listed,) = iam.list_users(PathPrefix="/people/")["Users"]
    assert listed == {key: read[key] for key in read if key not in ("Tags", "PermissionsBoundary")}
    with refused("EntityAlreadyExists", f"User with name {name.upper()} already exists."):
        iam.create_user(UserName=name.upper())


def test_a_renamed_user_keeps_everything(live: Live, iam: Any, user: str, group: str) -> None:
    iam.add_user_to_group(GroupName=group, UserName=user)
    iam.attach_user_policy(UserName=user, PolicyArn=AWS_POLICY)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    before, name = iam.get_user(UserName=user)["User"], fresh("Renamed")
    assert client_of(live, key, "sts").get_caller_identity()["Arn"] == before["Arn"]
    iam.update_user(UserName=user, NewUserName=name, NewPath="/new/")
    after = iam.get_user(UserName=name)["User"]
    assert after == {**before, "UserName": name, "Path": "/new/", "Arn": arn("user", f"new/{name}")}
    with refused("NoSuchEntity", f"The user with name {user} cannot be found."):
        iam.get_user(UserName=user)
    assert [one["UserName"] for one in iam.get_group(GroupName=group)["Users"]] == [name]
    assert iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]
    assert [one["UserName"] for one in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]] == [name]
    assert iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["UserName"] == name
    assert client_of(live, key, "sts").get_caller_identity()["Arn"] == after["Arn"]
    iam.update_user(UserName=name, NewUserName=name.upper())
    assert iam.get_user(UserName=name)["User"]["UserName"] == name.upper()
    iam.create_user(UserName=user)
    with refused("EntityAlreadyExists"):
        iam.update_user(UserName=user, NewUserName=name)


def test_a_user_goes_when_nothing_hangs_on_it(iam: Any, user: str, group: str) -> None:
    """What Terraform takes off first with force_destroy, in its order."""
    key = iam.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"]
    iam.attach_user_policy(UserName=user, PolicyArn=AWS_POLICY)
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=allows())
    iam.add_user_to_group(GroupName=group, UserName=user)
    iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary=AWS_POLICY)
    for text, undo in (
        ("must delete access keys first.", lambda: iam.delete_access_key(UserName=user, AccessKeyId=key)),
        (
            "must detach all policies first.",
            lambda: iam.detach_user_policy(UserName=user, PolicyArn=AWS_POLICY),
        ),
        ("must delete policies first.", lambda: iam.delete_user_policy(UserName=user, PolicyName="p")),
        (
            "must remove users from group first.",
            lambda: iam.remove_user_from_group(GroupName=group, UserName=user),
        ),
    ):
        with refused("DeleteConflict", text):
            iam.delete_user(UserName=user)
        undo()
    iam.delete_user(UserName=user)
    with refused("NoSuchEntity"):
        iam.delete_user(UserName=user)


def test_nobody_has_what_cannot_be_made(iam: Any, user: str) -> None:
    """What Terraform asks for before it deletes a user by force."""
    for operation, member in (
        ("list_mfa_devices", "MFADevices"),
        ("list_ssh_public_keys", "SSHPublicKeys"),
        ("list_signing_certificates", "Certificates"),
        ("list_service_specific_credentials", "ServiceSpecificCredentials"),
    ):
        assert getattr(iam, operation)(UserName=user)[member] == []
        with refused("NoSuchEntity", "The user with name nobody cannot be found."):
            getattr(iam, operation)(UserName="nobody")
    assert iam.list_virtual_mfa_devices()["VirtualMFADevices"] == []
    for operation in ("get_login_profile", "delete_login_profile"):
        with refused("NoSuchEntity", f"Login Profile for User {user} cannot be found."):
            getattr(iam, operation)(UserName=user)


def test_who_does_not_say_a_name_means_itself(live: Live, iam: Any, user: str) -> None:
    iam.attach_user_policy(UserName=user, PolicyArn=AWS_POLICY)
    mine = client_of(live, iam.create_access_key(UserName=user)["AccessKey"])
    assert mine.get_user()["User"]["UserName"] == user
    second = mine.create_access_key()["AccessKey"]
    assert second["UserName"] == user
    mine.update_access_key(AccessKeyId=second["AccessKeyId"], Status="Inactive")
    states = {one["AccessKeyId"]: one["Status"] for one in mine.list_access_keys()["AccessKeyMetadata"]}
    assert sorted(states.values()) == ["Active", "Inactive"]
    mine.delete_access_key(AccessKeyId=second["AccessKeyId"])
    root = iam.get_user()["User"]
    assert (root["UserId"], root["Arn"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root")
    assert [one["UserName"] for one in iam.list_access_keys()["AccessKeyMetadata"]] == ["root"]


def test_the_roots_own_key_stays(live: Live, iam: Any) -> None:
    key = live.keys.root.access_key_id
    for change in (
        iam.create_access_key,
        lambda: iam.delete_access_key(AccessKeyId=key),
        lambda: iam.update_access_key(AccessKeyId=key, Status="Inactive"),
    ):
        with refused("InvalidInput", "root"):
            change()


# ---- access keys --------------------------------------------------------------------------------


def test_a_key_is_replaced_without_a_gap(live: Live, iam: Any, user: str) -> None:
    """Source: IAM user guide, "Rotating access keys": create, use, deactivate, delete."""
    old, new = (iam.create_access_key(UserName=user)["AccessKey"] for _ in range(2))
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", old["AccessKeyId"])
    assert len(old["SecretAccessKey"]) == 40
    assert len({old["SecretAccessKey"], new["SecretAccessKey"]}) == 2
    with refused("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2"):
        iam.create_access_key(UserName=user)
    for key in (old, new):
        assert client_of(live, key, "sts").get_caller_identity()["Account"] == ACCOUNT
    iam.update_access_key(UserName=user, AccessKeyId=old["AccessKeyId"], Status="Inactive")
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        client_of(live, old, "sts").get_caller_identity()
    iam.update_access_key(UserName=user, AccessKeyId=old["AccessKeyId"], Status="Active")
    assert client_of(live, old, "sts").get_caller_identity()
    iam.delete_access_key(UserName=user, AccessKeyId=old["AccessKeyId"])
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        client_of(live, old, "sts").get_caller_identity()
    assert [one["AccessKeyId"] for one in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]] == [
        new["AccessKeyId"]
    ]


def test_a_key_is_found_at_its_own_user_only(iam: Any, user: str) -> None:
    key, other = iam.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"], fresh("other")
    iam.create_user(UserName=other)
    text = f"The Access Key with id {key} cannot be found."
    with refused("NoSuchEntity", text):
        iam.delete_access_key(UserName=other, AccessKeyId=key)
    with refused("NoSuchEntity", text):
        iam.update_access_key(UserName=other, AccessKeyId=key, Status="Inactive")
    with refused("InvalidInput", "Status"):
        iam.update_access_key(UserName=user, AccessKeyId=key, Status="Expired")
    denied = "not authorized to perform iam:GetAccessKeyLastUsed on resource: access key AKIAAAAAAAAAAAAAAAAA"
    with refused("AccessDenied", denied):
        iam.get_access_key_last_used(AccessKeyId="AKIAAAAAAAAAAAAAAAAA")
    for ask in (iam.list_access_keys, iam.create_access_key):
        with refused("NoSuchEntity", "The user with name nobody cannot be found."):
            ask(UserName="nobody")


def test_a_session_of_a_user_who_was_made_anew_is_nobodys(live: Live, iam: Any, user: str) -> None:
    key = iam.create_access_key(UserName=user)["AccessKey"]
    found = client_of(live, key, "sts").get_session_token()["Credentials"]
    session = live.client(
        "sts",
        aws_access_key_id=found["AccessKeyId"],
        aws_secret_access_key=found["SecretAccessKey"],
        aws_session_token=found["SessionToken"],
    )
    assert session.get_caller_identity()["Arn"] == arn("user", user)
    iam.update_user(UserName=user, NewUserName=f"{user}-new")
    assert session.get_caller_identity()["Arn"] == arn("user", f"{user}-new")
    iam.delete_access_key(UserName=f"{user}-new", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=f"{user}-new")
    iam.create_user(UserName=user)
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        session.get_caller_identity()


# ---- groups -------------------------------------------------------------------------------------


def test_a_group_has_users_and_is_renamed_with_them(iam: Any, user: str, group: str) -> None:
    read = iam.get_group(GroupName=group)
    assert re.fullmatch(r"AGPA[A-Z2-7]{17}", read["Group"]["GroupId"])
    assert (read["Group"]["Arn"], read["Users"]) == (arn("group", group), [])
    for _ in range(2):
        iam.add_user_to_group(GroupName=group, UserName=user)
    assert [one["UserName"] for one in iam.get_group(GroupName=group)["Users"]] == [user]
    assert iam.list_groups_for_user(UserName=user)["Groups"] == [read["Group"]]
    name = fresh("Renamed")
    iam.update_group(GroupName=group, NewGroupName=name, NewPath="/g/")
    assert iam.list_groups(PathPrefix="/g/")["Groups"] == iam.list_groups_for_user(UserName=user)["Groups"]
    assert iam.list_groups(PathPrefix="/g/")["Groups"][0]["Arn"] == arn("group", f"g/{name}")
    with refused("DeleteConflict", "must remove users from group first."):
        iam.delete_group(GroupName=name)
    iam.remove_user_from_group(GroupName=name, UserName=user)
    with refused("NoSuchEntity"):
        iam.remove_user_from_group(GroupName=name, UserName=user)
    iam.put_group_policy(GroupName=name, PolicyName="p", PolicyDocument=allows())
    with refused("DeleteConflict", "must delete policies first."):
        iam.delete_group(GroupName=name)
    iam.delete_group_policy(GroupName=name, PolicyName="p")
    iam.delete_group(GroupName=name)
    with refused("NoSuchEntity", f"The group with name {name} cannot be found."):
        iam.get_group(GroupName=name)


def test_a_groups_name_is_taken_in_any_case(iam: Any, group: str) -> None:
    with refused("EntityAlreadyExists", f"Group with name {group.upper()} already exists."):
        iam.create_group(GroupName=group.upper())
    other = fresh("other")
    iam.create_group(GroupName=other)
    with refused("EntityAlreadyExists"):
        iam.update_group(GroupName=other, NewGroupName=group.upper())


def test_a_user_is_in_ten_groups_at_most(iam: Any, user: str) -> None:
    names = [fresh("many") for _ in range(11)]
    for name in names:
        iam.create_group(GroupName=name)
    for name in names[:10]:
        iam.add_user_to_group(GroupName=name, UserName=user)
    with refused("LimitExceeded", "Cannot exceed quota for GroupsPerUser: 10"):
        iam.add_user_to_group(GroupName=names[10], UserName=user)
    for wrong in ({"GroupName": "none", "UserName": user}, {"GroupName": names[0], "UserName": "none"}):
        with refused("NoSuchEntity"):
            iam.add_user_to_group(**wrong)


# ---- tags ---------------------------------------------------------------------------------------

TAGGABLE = ("user", "role", "instance_profile", "policy", "open_id_connect_provider")


@pytest.fixture
def tagged(iam: Any, request: pytest.FixtureRequest) -> tuple[str, dict[str, str]]:
    kind, name = request.param, fresh("tagged")
    if kind == "user":
        iam.create_user(UserName=name)
        return kind, {"UserName": name}
    if kind == "role":
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusts())
        return kind, {"RoleName": name}
    if kind == "instance_profile":
        iam.create_instance_profile(InstanceProfileName=name)
        return kind, {"InstanceProfileName": name}
    if kind == "policy":
        iam.create_policy(PolicyName=name, PolicyDocument=allows())
        return kind, {"PolicyArn": arn("policy", name)}
    url = f"{name}.example.com"
    iam.create_open_id_connect_provider(Url=f"https://{url}", ThumbprintList=["a" * 40])
    return kind, {"OpenIDConnectProviderArn": arn("oidc-provider", url)}


@pytest.mark.parametrize("tagged", TAGGABLE, indirect=True)
def test_tags_are_added_replaced_and_removed(iam: Any, tagged: tuple[str, dict[str, str]]) -> None:
    kind, named = tagged
    tag, untag, listing = (getattr(iam, name.format(kind)) for name in ("tag_{}", "untag_{}", "list_{}_tags"))
    tag(**named, Tags=[{"Key": "team", "Value": "blue"}, {"Key": "b", "Value": ""}])
    tag(**named, Tags=[{"Key": "team", "Value": "red"}])
    assert listing(**named)["Tags"] == [{"Key": "b", "Value": ""}, {"Key": "team", "Value": "red"}]
    first = listing(**named, MaxItems=1)
    assert (first["IsTruncated"], len(first["Tags"])) == (True, 1)
    assert listing(**named, Marker=first["Marker"])["Tags"] == [{"Key": "team", "Value": "red"}]
    untag(**named, TagKeys=["b", "none"])
    assert listing(**named)["Tags"] == [{"Key": "team", "Value": "red"}]
    with refused("InvalidInput", "aws:"):
        tag(**named, Tags=[{"Key": "aws:x", "Value": ""}])
    tag(**named, Tags=[{"Key": f"k{n}", "Value": ""} for n in range(49)])
    with refused("LimitExceeded", "The number of tags has reached the maximum limit."):
        tag(**named, Tags=[{"Key": "one more", "Value": ""}])


@pytest.mark.parametrize("tagged", ["user", "role", "policy", "instance_profile"], indirect=True)
def test_case_tells_tag_keys_apart_but_for_users_and_roles(
    iam: Any, tagged: tuple[str, dict[str, str]]
) -> None:
    """Source: IAM user guide, "Tags for AWS Identity and Access Management resources"."""
    kind, named = tagged
    tag, listing = getattr(iam, f"tag_{kind}"), getattr(iam, f"list_{kind}_tags")
    both = [{"Key": "Team", "Value": "1"}, {"Key": "team", "Value": "2"}]
    if kind in ("user", "role"):
        with refused(
            "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive."
        ):
            tag(**named, Tags=both)
        for one in both:
            tag(**named, Tags=[one])
        assert listing(**named)["Tags"] == [both[1]]
    else:
        tag(**named, Tags=both)
        assert len(listing(**named)["Tags"]) == 2


@pytest.mark.parametrize(
    ("create", "request_"),
    [
        ("create_user", {"UserName": "twice"}),
        ("create_role", {"RoleName": "twice", "AssumeRolePolicyDocument": trusts()}),
        ("create_policy", {"PolicyName": "twice", "PolicyDocument": allows()}),
        ("create_instance_profile", {"InstanceProfileName": "twice"}),
    ],
)
def test_nothing_is_made_with_wrong_tags(iam: Any, create: str, request_: dict[str, Any]) -> None:
    with refused("InvalidInput", "Duplicate tag keys found."):
        getattr(iam, create)(**request_, Tags=[{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}])
    getattr(iam, create)(**request_)


def test_when_a_key_was_last_used_is_known_a_while_later(live: Live, iam: Any, user: str) -> None:
    key = iam.create_access_key(UserName=user)["AccessKey"]

    def told() -> Any:
        live.run(live.ring.uses.write())
        return iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])

    never = told()
    assert (never["UserName"], never["AccessKeyLastUsed"]) == (user, {"Region": "N/A", "ServiceName": "N/A"})
    client_of(live, key, "sts").get_caller_identity()
    first = told()["AccessKeyLastUsed"]
    assert (first["ServiceName"], first["Region"]) == ("sts", "us-east-1")
    with refused("AccessDenied"):
        client_of(live, key, "iam").list_users()
    second = told()["AccessKeyLastUsed"]
    assert second["ServiceName"] == "iam"
    assert second["LastUsedDate"] >= first["LastUsedDate"]
    wrong = {**key, "SecretAccessKey": "x" * 40}
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client_of(live, wrong, "sts").get_caller_identity()
    assert told()["AccessKeyLastUsed"] == second, "who only claims a key does not use it"
