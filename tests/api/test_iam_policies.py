"""Policies: managed ones and their versions, inline ones, attachments and boundaries."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.test_iam_roles import refused
from tests.kit.iam import AWS_POLICY, allows, arn, fresh, sized, trusts
from tests.kit.server import Live

KINDS = ["User", "Group", "Role"]
EACH = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def iam(live: Live) -> Any:
    return live.client("iam")


class Holder:
    """A user, group or role, and the operations as they are called for it."""

    def __init__(self, iam: Any, kind: str) -> None:
        self._iam, self.kind, self.name = iam, kind, fresh(kind)
        trust = {"AssumeRolePolicyDocument": trusts()} if kind == "Role" else {}
        getattr(iam, f"create_{kind.lower()}")(**{f"{kind}Name": self.name}, **trust)

    def do(self, operation: str, **request: Any) -> Any:
        return getattr(self._iam, operation.format(self.kind.lower()))(
            **{f"{self.kind}Name": self.name}, **request
        )


@pytest.fixture
def holder(iam: Any, kind: str) -> Holder:
    return Holder(iam, kind)


@pytest.fixture
def policy(iam: Any) -> str:
    return str(iam.create_policy(PolicyName=fresh("policy"), PolicyDocument=allows())["Policy"]["Arn"])


# ---- inline -------------------------------------------------------------------------------------


@EACH
def test_an_inline_policy_is_put_read_and_deleted(holder: Holder) -> None:
    spaced = json.dumps(json.loads(allows("ecs:*")), indent=3)
    for document in (allows("iam:*"), spaced):
        holder.do("put_{}_policy", PolicyName="one", PolicyDocument=document)
    holder.do("put_{}_policy", PolicyName="b=+@.-,", PolicyDocument=allows())
    assert holder.do("list_{}_policies")["PolicyNames"] == ["b=+@.-,", "one"]
    read = holder.do("get_{}_policy", PolicyName="one")
    assert read["PolicyDocument"] == json.loads(spaced)
    assert (read[f"{holder.kind}Name"], read["PolicyName"]) == (holder.name, "one")
    holder.do("delete_{}_policy", PolicyName="one")
    for operation in ("get_{}_policy", "delete_{}_policy"):
        text = f"The {holder.kind.lower()} policy with name one cannot be found."
        with refused("NoSuchEntity", text):
            holder.do(operation, PolicyName="one")
    assert holder.do("list_{}_policies")["PolicyNames"] == ["b=+@.-,"]


@pytest.mark.parametrize(("kind", "most"), [("User", 2048), ("Group", 5120), ("Role", 10240)])
def test_inline_policies_have_a_size_together_without_white_space(holder: Holder, most: int) -> None:
    """Source: IAM user guide, "IAM and AWS STS quotas"."""
    first = most - 1000
    holder.do("put_{}_policy", PolicyName="a", PolicyDocument=sized(first))
    text = f"Maximum policy size of {most} bytes exceeded for {holder.kind.lower()} {holder.name}"
    with refused("LimitExceeded", text):
        holder.do("put_{}_policy", PolicyName="b", PolicyDocument=sized(1001))
    holder.do("put_{}_policy", PolicyName="b", PolicyDocument=sized(1000) + " " * 3000)


@EACH
@pytest.mark.parametrize(
    "document", ["{", "[]", "{}", '{"Statement": [{"Effect": "Allow"}]}', trusts(), allows(Effect="Maybe")]
)
def test_what_is_no_identity_policy_is_refused(holder: Holder, document: str) -> None:
    with refused("MalformedPolicyDocument"):
        holder.do("put_{}_policy", PolicyName="bad", PolicyDocument=document)
    assert holder.do("list_{}_policies")["PolicyNames"] == []


# ---- attached -----------------------------------------------------------------------------------


@EACH
def test_a_managed_policy_is_attached_once_and_detached(holder: Holder, iam: Any, policy: str) -> None:
    for each in (policy, policy, AWS_POLICY):
        holder.do("attach_{}_policy", PolicyArn=each)
    attached = holder.do("list_attached_{}_policies")["AttachedPolicies"]
    assert {one["PolicyArn"]: one["PolicyName"] for one in attached} == {
        policy: policy.rpartition("/")[2],
        AWS_POLICY: "AdministratorAccess",
    }
    assert len(attached) == 2
    assert iam.get_policy(PolicyArn=policy)["Policy"]["AttachmentCount"] == 1
    found = iam.list_entities_for_policy(PolicyArn=policy)
    assert [one[f"{holder.kind}Name"] for one in found[f"Policy{holder.kind}s"]] == [holder.name]
    holder.do("detach_{}_policy", PolicyArn=policy)
    with refused("NoSuchEntity", f"Policy {policy} was not found."):
        holder.do("detach_{}_policy", PolicyArn=policy)
    assert iam.get_policy(PolicyArn=policy)["Policy"]["AttachmentCount"] == 0


@EACH
def test_a_policy_that_is_not_there_is_not_attached(holder: Holder) -> None:
    for missing in (
        arn("policy", "none"),
        "arn:aws:iam::aws:policy/None",
        "arn:aws:iam::111111111111:policy/p",
    ):
        with refused("NoSuchEntity", f"Policy {missing} does not exist or is not attachable."):
            holder.do("attach_{}_policy", PolicyArn=missing)
    with refused("ValidationError", "ARN this-is-no-arn-at-all is not valid."):
        holder.do("attach_{}_policy", PolicyArn="this-is-no-arn-at-all")


@EACH
def test_a_services_own_policy_is_for_its_role_only(holder: Holder) -> None:
    service_policy = "arn:aws:iam::aws:policy/aws-service-role/AmazonECSServiceRolePolicy"
    with refused("PolicyNotAttachable"):
        holder.do("attach_{}_policy", PolicyArn=service_policy)


@EACH
def test_ten_policies_may_be_attached_and_listed_by_path(holder: Holder, iam: Any) -> None:
    paths = ["/team/"] * 3 + ["/other/"] * 8
    arns = [
        iam.create_policy(PolicyName=fresh("many"), Path=path, PolicyDocument=allows())["Policy"]["Arn"]
        for path in paths
    ]
    for each in arns[:10]:
        holder.do("attach_{}_policy", PolicyArn=each)
    with refused("LimitExceeded", f"Cannot exceed quota for PoliciesPer{holder.kind}: 10"):
        holder.do("attach_{}_policy", PolicyArn=arns[10])
    found = holder.do("list_attached_{}_policies", PathPrefix="/team/")["AttachedPolicies"]
    assert sorted(one["PolicyArn"] for one in found) == sorted(arns[:3])


@pytest.mark.parametrize("kind", ["User", "Role"])
def test_a_boundary_is_put_replaced_shown_and_taken_away(holder: Holder, iam: Any, policy: str) -> None:
    for each in (AWS_POLICY, policy):
        holder.do("put_{}_permissions_boundary", PermissionsBoundary=each)
    read = holder.do("get_{}")[holder.kind]["PermissionsBoundary"]
    assert read["PermissionsBoundaryArn"] == policy
    counted = iam.get_policy(PolicyArn=policy)["Policy"]
    assert (counted["PermissionsBoundaryUsageCount"], counted["AttachmentCount"]) == (1, 0)
    assert holder.do("list_attached_{}_policies")["AttachedPolicies"] == []
    with refused("DeleteConflict", "Cannot delete a policy attached to entities."):
        iam.delete_policy(PolicyArn=policy)
    bounded = iam.list_entities_for_policy(PolicyArn=policy, PolicyUsageFilter="PermissionsBoundary")
    assert [one[f"{holder.kind}Name"] for one in bounded[f"Policy{holder.kind}s"]] == [holder.name]
    allowing = iam.list_entities_for_policy(PolicyArn=policy, PolicyUsageFilter="PermissionsPolicy")
    assert allowing[f"Policy{holder.kind}s"] == []
    holder.do("delete_{}_permissions_boundary")
    assert "PermissionsBoundary" not in holder.do("get_{}")[holder.kind]
    with refused("NoSuchEntity"):
        holder.do("delete_{}_permissions_boundary")
    with refused("NoSuchEntity"):
        holder.do("put_{}_permissions_boundary", PermissionsBoundary=arn("policy", "none"))


# ---- managed ------------------------------------------------------------------------------------


def test_a_managed_policy_is_read_as_it_was_made(iam: Any) -> None:
    name, tags = fresh("Managed"), [{"Key": "k", "Value": "v"}]
    document = json.dumps(json.loads(allows("ecs:RunTask")), indent=1)
    made = iam.create_policy(
        PolicyName=name, Path="/team/a/", PolicyDocument=document, Description="what it is for", Tags=tags
    )["Policy"]
    assert re.fullmatch(r"ANPA[A-Z2-7]{17}", made["PolicyId"])
    assert made["Arn"] == arn("policy", f"team/a/{name}")
    read = iam.get_policy(PolicyArn=made["Arn"])["Policy"]
    assert {key: read[key] for key in read if key != "Description"} == made, "recorded by LocalStack"
    assert (read["DefaultVersionId"], read["IsAttachable"], read["AttachmentCount"]) == ("v1", True, 0)
    assert (read["Description"], read["Tags"]) == ("what it is for", tags)
    version = iam.get_policy_version(PolicyArn=made["Arn"], VersionId="v1")["PolicyVersion"]
    assert version["Document"] == json.loads(document)
    (listed,) = iam.list_policies(Scope="Local", PathPrefix="/team/a/")["Policies"]
    assert listed == {key: read[key] for key in read if key not in ("Tags", "Description")}
    with refused("EntityAlreadyExists", f"A policy called {name.upper()} already exists. Duplicate names"):
        iam.create_policy(PolicyName=name.upper(), PolicyDocument=allows())


def test_a_policy_is_found_by_its_whole_arn(iam: Any) -> None:
    name = fresh("placed")
    iam.create_policy(PolicyName=name, Path="/here/", PolicyDocument=allows())
    for wrong in (arn("policy", name), arn("policy", f"there/{name}")):
        with refused("NoSuchEntity", f"Policy {wrong} was not found."):
            iam.get_policy(PolicyArn=wrong)


def test_a_policy_has_five_versions_whose_numbers_are_not_given_twice(iam: Any, policy: str) -> None:
    for number in range(2, 6):
        made = iam.create_policy_version(
            PolicyArn=policy, PolicyDocument=allows(f"ecs:A{number}"), SetAsDefault=number == 4
        )["PolicyVersion"]
        assert (made["VersionId"], made["IsDefaultVersion"]) == (f"v{number}", number == 4)
    with refused("LimitExceeded", "A managed policy can have up to 5 versions."):
        iam.create_policy_version(PolicyArn=policy, PolicyDocument=allows())
    listed = iam.list_policy_versions(PolicyArn=policy)["Versions"]
    assert [one["VersionId"] for one in listed] == ["v5", "v4", "v3", "v2", "v1"]
    assert [one["VersionId"] for one in listed if one["IsDefaultVersion"]] == ["v4"]
    assert iam.get_policy(PolicyArn=policy)["Policy"]["DefaultVersionId"] == "v4"
    with refused("DeleteConflict", "Cannot delete the default version of a policy."):
        iam.delete_policy_version(PolicyArn=policy, VersionId="v4")
    iam.delete_policy_version(PolicyArn=policy, VersionId="v5")
    iam.delete_policy_version(PolicyArn=policy, VersionId="v1")
    made = iam.create_policy_version(PolicyArn=policy, PolicyDocument=allows())["PolicyVersion"]
    assert made["VersionId"] == "v6"
    iam.set_default_policy_version(PolicyArn=policy, VersionId="v2")
    version = iam.get_policy_version(PolicyArn=policy, VersionId="v2")["PolicyVersion"]
    assert (version["IsDefaultVersion"], version["Document"]) == (True, json.loads(allows("ecs:A2")))


@pytest.mark.parametrize(
    "operation", ["get_policy_version", "delete_policy_version", "set_default_policy_version"]
)
def test_a_version_that_is_not_there_is_told(iam: Any, policy: str, operation: str) -> None:
    with refused("NoSuchEntity", f"Policy {policy} version v9 does not exist or is not attachable."):
        getattr(iam, operation)(PolicyArn=policy, VersionId="v9")
    missing = arn("policy", "none")
    with refused("NoSuchEntity", f"Policy {missing} version v1 does not exist or is not attachable."):
        getattr(iam, operation)(PolicyArn=missing, VersionId="v1")


@pytest.mark.parametrize("version", [{}, {"Version": "2008-10-17"}])
def test_a_managed_policy_is_of_the_newer_language(iam: Any, version: dict[str, str]) -> None:
    """Source: answers of AWS recorded by LocalStack, test_create_policy_invalid_document."""
    document = {key: value for key, value in json.loads(allows()).items() if key != "Version"}
    with refused("MalformedPolicyDocument", "Policy document must be version 2012-10-17 or greater."):
        iam.create_policy(PolicyName=fresh(), PolicyDocument=json.dumps({**version, **document}))


def test_a_policy_goes_last(iam: Any, policy: str) -> None:
    """What Terraform does to delete one: detach, delete the other versions, delete."""
    user = Holder(iam, "User")
    user.do("attach_{}_policy", PolicyArn=policy)
    iam.create_policy_version(PolicyArn=policy, PolicyDocument=allows())
    with refused("DeleteConflict", "Cannot delete a policy attached to entities."):
        iam.delete_policy(PolicyArn=policy)
    user.do("detach_{}_policy", PolicyArn=policy)
    with refused("DeleteConflict", "This policy has more than one version."):
        iam.delete_policy(PolicyArn=policy)
    iam.delete_policy_version(PolicyArn=policy, VersionId="v2")
    iam.delete_policy(PolicyArn=policy)
    with refused("NoSuchEntity", f"Policy {policy} was not found."):
        iam.delete_policy(PolicyArn=policy)


def test_a_managed_policy_has_a_size_without_white_space(iam: Any, policy: str) -> None:
    iam.create_policy(PolicyName=fresh("long"), PolicyDocument=sized(6144) + "\n" * 100)
    for make in (
        lambda document: iam.create_policy(PolicyName=fresh("long"), PolicyDocument=document),
        lambda document: iam.create_policy_version(PolicyArn=policy, PolicyDocument=document),
    ):
        with refused("LimitExceeded", "Cannot exceed quota for PolicySize: 6144"):
            make(sized(6145))
        with refused("MalformedPolicyDocument"):
            make("{}")


def test_policies_are_listed_by_scope_use_and_path(iam: Any, policy: str) -> None:
    user = Holder(iam, "User")
    user.do("attach_{}_policy", PolicyArn=policy)
    bound = iam.create_policy(PolicyName=fresh("bound"), Path="/b/", PolicyDocument=allows())["Policy"]["Arn"]
    user.do("put_{}_permissions_boundary", PermissionsBoundary=bound)

    def listed(**request: Any) -> set[str]:
        pages = iam.get_paginator("list_policies").paginate(**request)
        return {one["Arn"] for page in pages for one in page["Policies"]}

    local, aws = listed(Scope="Local"), listed(Scope="AWS")
    assert {policy, bound} <= local
    assert AWS_POLICY in aws
    assert all(":aws:policy/" in one for one in aws)
    assert not any(":aws:policy/" in one for one in local)
    assert listed() == listed(Scope="All") == local | aws
    used = listed(Scope="Local", OnlyAttached=True)
    assert policy in used
    assert bound not in used
    bounds = listed(Scope="Local", PolicyUsageFilter="PermissionsBoundary")
    assert bound in bounds
    assert policy not in bounds
    assert listed(PathPrefix="/b/") == {bound}
    assert {one.rpartition("/")[0].rpartition("/")[2] for one in listed(PathPrefix="/service-role/")} == {
        "service-role"
    }


def test_what_a_policy_hangs_on_is_told_by_kind_and_path(iam: Any, policy: str) -> None:
    holders = {kind: Holder(iam, kind) for kind in KINDS}
    for one in holders.values():
        one.do("attach_{}_policy", PolicyArn=policy)
    away = fresh("away")
    iam.create_user(UserName=away, Path="/away/")
    iam.attach_user_policy(UserName=away, PolicyArn=policy)
    found = iam.list_entities_for_policy(PolicyArn=policy)
    assert {one["UserName"] for one in found["PolicyUsers"]} == {holders["User"].name, away}
    assert [one["GroupName"] for one in found["PolicyGroups"]] == [holders["Group"].name]
    assert re.fullmatch(r"AROA\w{17}", found["PolicyRoles"][0]["RoleId"])
    only = iam.list_entities_for_policy(PolicyArn=policy, EntityFilter="Role")
    assert (only["PolicyUsers"], len(only["PolicyRoles"])) == ([], 1)
    placed = iam.list_entities_for_policy(PolicyArn=policy, PathPrefix="/away/")
    assert [one["UserName"] for one in placed["PolicyUsers"]] == [away]
    assert placed["PolicyRoles"] == []
    pages = list(
        iam.get_paginator("list_entities_for_policy").paginate(
            PolicyArn=policy, PaginationConfig={"PageSize": 1}
        )
    )
    assert len(pages) == 4


@pytest.mark.parametrize(
    "change",
    [
        lambda iam: iam.delete_policy(PolicyArn=AWS_POLICY),
        lambda iam: iam.create_policy_version(PolicyArn=AWS_POLICY, PolicyDocument=allows()),
        lambda iam: iam.set_default_policy_version(PolicyArn=AWS_POLICY, VersionId="v1"),
        lambda iam: iam.tag_policy(PolicyArn=AWS_POLICY, Tags=[{"Key": "k", "Value": "v"}]),
    ],
)
def test_aws_own_policies_are_read_but_not_changed(iam: Any, change: Callable[[Any], Any]) -> None:
    read = iam.get_policy(PolicyArn=AWS_POLICY)["Policy"]
    assert read["PolicyName"] == "AdministratorAccess"
    version = iam.get_policy_version(PolicyArn=AWS_POLICY, VersionId=read["DefaultVersionId"])
    (statement,) = version["PolicyVersion"]["Document"]["Statement"]
    assert statement["Effect"] == "Allow"
    with refused("AccessDenied"):
        change(iam)
