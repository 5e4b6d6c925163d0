"""Nothing that IAM accepts is ignored: whoever answers a request has looked at every member of it.

`REQUESTS` hold every member that the served operations have, by the model; what a member then does is for the
tests of its operation. Listings are in pages that hold everything once, and each can be asked for alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.core.call import Call, Principal
from homeport.services.iam.api import absent
from homeport.services.iam.errors import InvalidInputException, ValidationError
from homeport.services.iam.manifest import operations
from homeport.wire.model import service_api
from tests.kit.iam import AWS_POLICY, allows, arn, fresh, trusts
from tests.kit.members import Watched, filled, held, leaves
from tests.kit.server import ACCOUNT, REGION, Live

API = service_api("iam")
SERVED = sorted(operations.names())
TAGS = [{"Key": "k", "Value": "v"}]
PAGE: dict[str, Any] = {"MaxItems": 10, "Marker": "{marker}"}
USER, GROUP, ROLE = {"UserName": "{user}"}, {"GroupName": "{group}"}, {"RoleName": "{role}"}
PROFILE, POLICY = {"InstanceProfileName": "{profile}"}, {"PolicyArn": "{policy}"}
PROVIDER = {"OpenIDConnectProviderArn": "{provider}"}
HOLDERS = {"User": USER, "Group": GROUP, "Role": ROLE}
TAGGABLE = {
    "User": USER,
    "Role": ROLE,
    "InstanceProfile": PROFILE,
    "Policy": POLICY,
    "OpenIDConnectProvider": PROVIDER,
}
DOCUMENTS = {"allows": allows(), "trusts": trusts(), "shared": allows(Principal="*")}
REFUSING = {"GetLoginProfile", "DeleteLoginProfile"}
"""Operations that refuse whatever is asked: nobody has a password."""
WITHOUT_EFFECT = {
    "ListServiceSpecificCredentials": {"ServiceName", "AllUsers"},
    "ListVirtualMFADevices": {"AssignmentStatus"},
}
"""Of what cannot be there, some is as much as all."""
REFUSED = {"ResourceHandlingOption": "EC2-VPC-EBS", "OrderedOrganizationPolicyInputList": [{}]}
"""Members that no operation takes, with something that they could be."""


def requests() -> dict[str, dict[str, Any]]:
    """Every member of every operation."""
    found: dict[str, dict[str, Any]] = {
        "CreateUser": {"UserName": "{new}", "Path": "/p/", "PermissionsBoundary": AWS_POLICY, "Tags": TAGS},
        "GetUser": USER,
        "ListUsers": {"PathPrefix": "/", **PAGE},
        "UpdateUser": {**USER, "NewPath": "/n/", "NewUserName": "{new}"},
        "DeleteUser": {"UserName": "{doomed}"},
        "CreateAccessKey": USER,
        "ListAccessKeys": {**USER, **PAGE},
        "UpdateAccessKey": {**USER, "AccessKeyId": "{key}", "Status": "Inactive"},
        "DeleteAccessKey": {**USER, "AccessKeyId": "{key}"},
        "GetAccessKeyLastUsed": {"AccessKeyId": "{key}"},
        "CreateGroup": {"GroupName": "{new}", "Path": "/p/"},
        "GetGroup": {**GROUP, **PAGE},
        "ListGroups": {"PathPrefix": "/", **PAGE},
        "ListGroupsForUser": {**USER, **PAGE},
        "UpdateGroup": {**GROUP, "NewPath": "/n/", "NewGroupName": "{new}"},
        "DeleteGroup": {"GroupName": "{doomed}"},
        "AddUserToGroup": {"GroupName": "{doomed}", **USER},
        "RemoveUserFromGroup": {**GROUP, **USER},
        "CreateRole": {
            "RoleName": "{new}",
            "Path": "/p/",
            "AssumeRolePolicyDocument": "trusts",
            "Description": "d",
            "MaxSessionDuration": 3600,
            "PermissionsBoundary": AWS_POLICY,
            "Tags": TAGS,
        },
        "GetRole": ROLE,
        "ListRoles": {"PathPrefix": "/", **PAGE},
        "UpdateRole": {**ROLE, "Description": "d", "MaxSessionDuration": 3600},
        "UpdateRoleDescription": {**ROLE, "Description": "d"},
        "UpdateAssumeRolePolicy": {**ROLE, "PolicyDocument": "trusts"},
        "DeleteRole": {"RoleName": "{doomed}"},
        "CreateServiceLinkedRole": {
            "AWSServiceName": "autoscaling.amazonaws.com",
            "Description": "d",
            "CustomSuffix": "{new}",
        },
        "DeleteServiceLinkedRole": {"RoleName": "{linked}"},
        "GetServiceLinkedRoleDeletionStatus": {"DeletionTaskId": "{task}"},
        "CreatePolicy": {
            "PolicyName": "{new}",
            "Path": "/p/",
            "PolicyDocument": "allows",
            "Description": "d",
            "Tags": TAGS,
        },
        "GetPolicy": POLICY,
        "ListPolicies": {
            "Scope": "All",
            "OnlyAttached": True,
            "PathPrefix": "/",
            "PolicyUsageFilter": "PermissionsPolicy",
            **PAGE,
        },
        "DeletePolicy": {"PolicyArn": "{doomed_policy}"},
        "ListEntitiesForPolicy": {
            **POLICY,
            "EntityFilter": "User",
            "PathPrefix": "/",
            "PolicyUsageFilter": "PermissionsPolicy",
            **PAGE,
        },
        "CreatePolicyVersion": {**POLICY, "PolicyDocument": "allows", "SetAsDefault": True},
        "GetPolicyVersion": {**POLICY, "VersionId": "v1"},
        "ListPolicyVersions": {**POLICY, **PAGE},
        "SetDefaultPolicyVersion": {**POLICY, "VersionId": "v1"},
        "DeletePolicyVersion": {**POLICY, "VersionId": "v2"},
        "CreateInstanceProfile": {"InstanceProfileName": "{new}", "Path": "/p/", "Tags": TAGS},
        "GetInstanceProfile": PROFILE,
        "ListInstanceProfiles": {"PathPrefix": "/", **PAGE},
        "ListInstanceProfilesForRole": {**ROLE, **PAGE},
        "AddRoleToInstanceProfile": {"InstanceProfileName": "{doomed}", **ROLE},
        "RemoveRoleFromInstanceProfile": {**PROFILE, **ROLE},
        "DeleteInstanceProfile": {"InstanceProfileName": "{doomed}"},
        "CreateOpenIDConnectProvider": {
            "Url": "https://{new}.example.com",
            "ClientIDList": ["c"],
            "ThumbprintList": ["a" * 40],
            "Tags": TAGS,
        },
        "GetOpenIDConnectProvider": PROVIDER,
        "ListOpenIDConnectProviders": {},
        "DeleteOpenIDConnectProvider": PROVIDER,
        "AddClientIDToOpenIDConnectProvider": {**PROVIDER, "ClientID": "c"},
        "RemoveClientIDFromOpenIDConnectProvider": {**PROVIDER, "ClientID": "c"},
        "UpdateOpenIDConnectProviderThumbprint": {**PROVIDER, "ThumbprintList": ["a" * 40]},
        "CreateAccountAlias": {"AccountAlias": "an-alias"},
        "DeleteAccountAlias": {"AccountAlias": "an-alias"},
        "ListAccountAliases": PAGE,
        "UpdateAccountPasswordPolicy": {
            "MinimumPasswordLength": 8,
            "RequireSymbols": True,
            "RequireNumbers": True,
            "RequireUppercaseCharacters": True,
            "RequireLowercaseCharacters": True,
            "AllowUsersToChangePassword": True,
            "MaxPasswordAge": 9,
            "PasswordReusePrevention": 2,
            "HardExpiry": True,
        },
        "GetAccountPasswordPolicy": {},
        "DeleteAccountPasswordPolicy": {},
        "GetAccountSummary": {},
        "GetAccountAuthorizationDetails": {"Filter": ["User"], **PAGE},
        "GenerateCredentialReport": {},
        "GetCredentialReport": {},
    }
    simulated = {
        "PolicyInputList": ["allows"],
        "PermissionsBoundaryPolicyInputList": ["allows"],
        "ActionNames": ["ecs:RunTask"],
        "ResourceArns": ["*"],
        "ResourcePolicy": "shared",
        "ResourceOwner": ACCOUNT,
        "CallerArn": arn("user", "{user}"),
        "ContextEntries": [{"ContextKeyName": "a:b", "ContextKeyValues": ["1"], "ContextKeyType": "numeric"}],
        **PAGE,
    }
    who = {"PolicySourceArn": arn("user", "{user}"), "PolicyInputList": ["allows"]}
    found |= {
        "SimulateCustomPolicy": simulated,
        "SimulatePrincipalPolicy": {
            **simulated,
            **who,
            "PolicyExclusionList": [
                {
                    "InlinePolicyIdentifier": {
                        "PolicyName": "own",
                        "AttachmentType": "user",
                        "AttachmentName": "{user}",
                    }
                },
                {"PolicyArn": "arn:aws:iam::aws:policy/Other"},
                {"PolicyType": "inline"},
            ],
        },
        "GetContextKeysForCustomPolicy": {"PolicyInputList": ["allows"]},
        "GetContextKeysForPrincipalPolicy": who,
    }
    found |= {name: {**USER, **PAGE} for name in absent.LISTINGS}
    found["ListServiceSpecificCredentials"] |= {"ServiceName": "codecommit.amazonaws.com", "AllUsers": False}
    found["ListVirtualMFADevices"] = {"AssignmentStatus": "Any", **PAGE}
    for kind, named in HOLDERS.items():
        inline = {**named, "PolicyName": "own"}
        found |= {
            f"Put{kind}Policy": {**inline, "PolicyDocument": "allows"},
            f"Get{kind}Policy": inline,
            f"List{kind}Policies": {**named, **PAGE},
            f"Delete{kind}Policy": inline,
            f"Attach{kind}Policy": {**named, **POLICY},
            f"Detach{kind}Policy": {**named, "PolicyArn": AWS_POLICY},
            f"ListAttached{kind}Policies": {**named, "PathPrefix": "/", **PAGE},
        }
        if kind != "Group":
            found[f"Put{kind}PermissionsBoundary"] = {**named, "PermissionsBoundary": AWS_POLICY}
            found[f"Delete{kind}PermissionsBoundary"] = named
    for kind, named in TAGGABLE.items():
        found |= {
            f"Tag{kind}": {**named, "Tags": TAGS},
            f"Untag{kind}": {**named, "TagKeys": ["k"]},
            f"List{kind}Tags": {**named, **PAGE},
        }
    return found


REQUESTS = requests()
EACH = pytest.mark.parametrize("operation", REQUESTS)


@pytest.fixture(scope="module")
def iam(live: Live) -> Any:
    return live.client("iam")


def call_of(operation: str) -> Call:
    """The root asks."""
    root = Principal(arn=f"arn:aws:iam::{ACCOUNT}:root", account_id=ACCOUNT, user_id=ACCOUNT)
    return Call(
        request_id="r", service="iam", operation=operation, account_id=ACCOUNT, region=REGION, principal=root
    )


def do(live: Live, operation: str, request: Mapping[str, Any]) -> Any:
    mounted = next(service for service in live.plane.services if service.name == "iam")
    found = mounted.operations.find(operation)
    assert found is not None
    return live.run(found.handler(call_of(operation), mounted.context, request))


def placed(value: Any, world: Mapping[str, str]) -> Any:
    """The request with names for its placeholders and texts for its documents."""
    if isinstance(value, str) and value in DOCUMENTS:
        return DOCUMENTS[value]
    if isinstance(value, list):
        return [placed(inner, world) for inner in value]
    if isinstance(value, dict):
        return {name: placed(inner, world) for name, inner in value.items()}
    return filled(value, world, "")


@pytest.mark.parametrize("operation", ["SimulateCustomPolicy", "SimulatePrincipalPolicy"])
@pytest.mark.parametrize("member", REFUSED)
def test_what_is_not_taken_is_refused_by_name(live: Live, operation: str, member: str) -> None:
    request = placed(REQUESTS[operation], Maker(live).make(named_in(REQUESTS[operation])))
    with pytest.raises(InvalidInputException, match=member):
        do(live, operation, {**request, member: REFUSED[member]})


class Maker:
    """Makes what a request names, each thing with everything that can hang on it."""

    def __init__(self, live: Live) -> None:
        self._do = lambda operation, **request: do(live, operation, request)
        self.made: dict[str, str] = {
            "marker": "YWZ0ZXI6",  # "after:", the very first place
            "new": fresh("new"),
        }

    def make(self, wanted: set[str]) -> dict[str, str]:
        for name in sorted(wanted):
            if name not in self.made:
                self.made[name] = getattr(self, f"_{name}")(fresh(name))
        if {"user", "group"} <= wanted:
            self._do("AddUserToGroup", UserName=self.made["user"], GroupName=self.made["group"])
        if {"role", "profile"} <= wanted:
            names = {"RoleName": self.made["role"], "InstanceProfileName": self.made["profile"]}
            self._do("AddRoleToInstanceProfile", **names)
        return self.made

    def _holder(self, kind: str, name: str, **more: str) -> str:
        named = {f"{kind}Name": name}
        self._do(f"Create{kind}", **named, **more)
        self._do(f"Put{kind}Policy", **named, PolicyName="own", PolicyDocument=allows())
        self._do(f"Attach{kind}Policy", **named, PolicyArn=AWS_POLICY)
        if kind != "Group":
            self._do(f"Put{kind}PermissionsBoundary", **named, PermissionsBoundary=AWS_POLICY)
        return name

    def _user(self, name: str) -> str:
        return self._holder("User", name)

    def _group(self, name: str) -> str:
        return self._holder("Group", name)

    def _role(self, name: str) -> str:
        return self._holder("Role", name, AssumeRolePolicyDocument=trusts())

    def _profile(self, name: str) -> str:
        self._do("CreateInstanceProfile", InstanceProfileName=name)
        return name

    def _policy(self, name: str) -> str:
        self._doomed_policy(name)
        self._do("CreatePolicyVersion", PolicyArn=arn("policy", name), PolicyDocument=allows())
        return arn("policy", name)

    def _doomed_policy(self, name: str) -> str:
        return str(self._do("CreatePolicy", PolicyName=name, PolicyDocument=allows())["Policy"]["Arn"])

    def _doomed(self, name: str) -> str:
        """Something of each kind that nothing hangs on."""
        self._do("CreateUser", UserName=name)
        self._do("CreateGroup", GroupName=name)
        self._do("CreateRole", RoleName=name, AssumeRolePolicyDocument=trusts())
        return self._profile(name)

    def _provider(self, name: str) -> str:
        request = {"Url": f"https://{name}.example.com", "ThumbprintList": ["a" * 40], "ClientIDList": ["c"]}
        return str(self._do("CreateOpenIDConnectProvider", **request)["OpenIDConnectProviderArn"])

    def _key(self, name: str) -> str:
        self.made["user"] = self._user(name)
        return str(self._do("CreateAccessKey", UserName=name)["AccessKey"]["AccessKeyId"])

    def _linked(self, name: str) -> str:
        request = {"AWSServiceName": "autoscaling.amazonaws.com", "CustomSuffix": name}
        return str(self._do("CreateServiceLinkedRole", **request)["Role"]["RoleName"])

    def _task(self, name: str) -> str:
        return str(self._do("DeleteServiceLinkedRole", RoleName=self._linked(name))["DeletionTaskId"])


def named_in(value: Any) -> set[str]:
    """The placeholders of a request."""
    return set(re.findall(r"\{(\w+)\}", str(value)))


@pytest.fixture(autouse=True)
def account(live: Live) -> None:
    """What an account has but once."""
    do(live, "CreateAccountAlias", {"AccountAlias": "an-alias"})
    do(live, "UpdateAccountPasswordPolicy", {})
    do(live, "GenerateCredentialReport", {})


def test_every_operation_has_a_request_with_every_member() -> None:
    assert sorted(REQUESTS) == sorted(set(SERVED) - REFUSING)
    for operation, request in REQUESTS.items():
        shape = API.operation(operation).input
        known = {path for path, _ in leaves(shape) if path.split(".")[0].removesuffix("[]") not in REFUSED}
        assert known == {path for path in held(request) if path}, operation


@EACH
def test_every_member_is_looked_at(live: Live, operation: str) -> None:
    request = placed(REQUESTS[operation], Maker(live).make(named_in(REQUESTS[operation])))
    seen: set[str] = set()
    do(live, operation, Watched(request, seen))
    asked = {path.removesuffix("[]") for path in held(request)} - WITHOUT_EFFECT.get(operation, set())
    assert asked - {path.removesuffix("[]") for path in seen} == set()


@pytest.fixture(scope="module")
def plenty(live: Live, iam: Any) -> dict[str, str]:
    """Three or more of everything that is listed."""
    names = [fresh("many") for _ in range(3)]
    one = names[0]
    for name in names:
        iam.create_user(UserName=name)
        iam.create_group(GroupName=name)
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusts())
        iam.create_instance_profile(InstanceProfileName=name)
        iam.create_policy(PolicyName=name, PolicyDocument=allows())
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=one)
        iam.add_user_to_group(GroupName=one, UserName=name)
    iam.create_open_id_connect_provider(Url=f"https://{one}.example.com", ThumbprintList=["a" * 40])
    world = {"user": one, "group": one, "role": one, "profile": one, "policy": arn("policy", one)}
    world["provider"] = arn("oidc-provider", f"{one}.example.com")
    for name in names[1:]:
        iam.add_user_to_group(GroupName=name, UserName=one)
        iam.create_access_key(UserName=one)
        iam.create_policy_version(PolicyArn=world["policy"], PolicyDocument=allows())
    for kind in HOLDERS:
        for name in names:
            named = {f"{kind}Name": one}
            getattr(iam, f"put_{kind.lower()}_policy")(**named, PolicyName=name, PolicyDocument=allows())
            getattr(iam, f"attach_{kind.lower()}_policy")(**named, PolicyArn=arn("policy", name))
    for kind, named in TAGGABLE.items():
        tags = [{"Key": name, "Value": ""} for name in names]
        do(live, f"Tag{kind}", {**placed(named, world), "Tags": tags})
    return world


PAGED = [name for name in SERVED if API.pagination(name)]
ALONE = {
    *absent.LISTINGS,
    "ListVirtualMFADevices",
    "ListAccountAliases",
    "SimulateCustomPolicy",
    "SimulatePrincipalPolicy",
}
"""Listings of nothing, of one thing, and of what was asked for."""


def test_every_listing_that_takes_a_marker_is_in_pages() -> None:
    marked = {name for name, request in REQUESTS.items() if "Marker" in request}
    assert marked - {"ListServiceSpecificCredentials"} == set(PAGED)  # no client pages this one


@pytest.mark.parametrize("operation", sorted(set(PAGED) - ALONE))
def test_pages_of_one_hold_everything_once(live: Live, plenty: dict[str, str], operation: str) -> None:
    named = placed(
        {k: v for k, v in REQUESTS[operation].items() if isinstance(v, str) and "{" in v and k != "Marker"},
        plenty,
    )
    whole = do(live, operation, {**named, "MaxItems": 1000})
    assert whole["IsTruncated"] is False
    lists = [member for member, value in whole.items() if isinstance(value, list)]
    items = [item for member in lists for item in whole[member]]
    assert len(items) >= (2 if operation == "ListAccessKeys" else 3)
    seen: list[Any] = []
    marker: dict[str, str] = {}
    for _ in items:
        page = do(live, operation, {**named, **marker, "MaxItems": 1})
        shown = [item for member in lists for item in page[member]]
        assert len(shown) == 1
        seen += shown
        marker = {"Marker": page.get("Marker", "")}
    assert marker == {"Marker": ""}
    assert sorted(map(str, seen)) == sorted(map(str, items))


@pytest.mark.parametrize("operation", sorted(PAGED))
def test_a_marker_of_nowhere_is_refused(live: Live, plenty: dict[str, str], operation: str) -> None:
    needed = API.operation(operation).input.required
    named = {k: v for k, v in REQUESTS[operation].items() if k in needed or (isinstance(v, str) and "{" in v)}
    for wrong in ("nowhere", "YWZ0", "é" * 3):
        with pytest.raises(ValidationError, match="Invalid Marker"):
            do(live, operation, {**placed({**named, "Marker": ""}, plenty | {"marker": ""}), "Marker": wrong})


def test_what_is_not_served_says_so(iam: Any) -> None:
    """Out of scope: SAML, other factors, certificates, passwords, SSH keys. Source: the coverage page."""
    for operation, request in (
        ("list_saml_providers", {}),
        ("list_server_certificates", {}),
        ("create_virtual_mfa_device", {"VirtualMFADeviceName": "d"}),
        ("upload_ssh_public_key", {"UserName": "u", "SSHPublicKeyBody": "ssh-rsa AAAA"}),
        ("create_login_profile", {"UserName": "nobody", "Password": "secret"}),
    ):
        with pytest.raises(ClientError) as refusal:
            getattr(iam, operation)(**request)
        assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
