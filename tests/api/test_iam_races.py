"""Many at once: a quota, a name and a version are each given as often as there are, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from homeport.core.errors import AwsError
from homeport.runtime.retry import decide_again
from tests.api.test_iam_members import call_of
from tests.kit.iam import allows, arn, fresh
from tests.kit.server import Live

MANY = 8


Asked = tuple[str, Mapping[str, Any]]


def at_once(live: Live, *asked: Asked) -> list[str]:
    """The codes with which they were refused, as the gateway asks: conflicts are decided again."""
    mounted = next(service for service in live.plane.services if service.name == "iam")

    async def one(operation: str, request: Mapping[str, Any]) -> str:
        found = mounted.operations.find(operation)
        assert found is not None
        try:
            await decide_again(lambda: found.handler(call_of(operation), mounted.context, request), tries=10)
        except AwsError as error:
            return str(error.code)
        return ""

    async def every() -> list[str]:
        return await asyncio.gather(*(one(*each) for each in asked))

    return sorted(code for code in live.run(every()) if code)


@pytest.fixture
def user(live: Live) -> str:
    name = fresh("racer")
    live.client("iam").create_user(UserName=name)
    return name


def test_a_user_gets_two_keys_and_no_third(live: Live, user: str) -> None:
    refused = at_once(live, *[("CreateAccessKey", {"UserName": user})] * MANY)
    assert refused == ["LimitExceeded"] * (MANY - 2)
    assert len(live.client("iam").list_access_keys(UserName=user)["AccessKeyMetadata"]) == 2


def test_a_name_is_given_once(live: Live) -> None:
    name = fresh("Once")
    names = [name, name.upper()] * (MANY // 2)
    refused = at_once(live, *(("CreateGroup", {"GroupName": one}) for one in names))
    assert refused == ["EntityAlreadyExists"] * (MANY - 1)


def test_a_holder_gets_ten_policies_and_no_eleventh(live: Live, user: str) -> None:
    iam = live.client("iam")
    policies = [
        iam.create_policy(PolicyName=fresh(), PolicyDocument=allows())["Policy"]["Arn"] for _ in range(14)
    ]
    asked = [("AttachUserPolicy", {"UserName": user, "PolicyArn": one}) for one in policies]
    assert at_once(live, *asked) == ["LimitExceeded"] * 4
    assert len(iam.list_attached_user_policies(UserName=user)["AttachedPolicies"]) == 10


def test_a_policy_that_goes_hangs_on_nobody(live: Live, user: str) -> None:
    """Who attaches and who deletes: one of the two is refused."""
    iam = live.client("iam")
    for _ in range(5):
        policy = iam.create_policy(PolicyName=fresh(), PolicyDocument=allows())["Policy"]["Arn"]
        asked = [
            ("AttachUserPolicy", {"UserName": user, "PolicyArn": policy}),
            ("DeletePolicy", {"PolicyArn": policy}),
        ]
        refused = at_once(live, *asked)
        assert refused in (["DeleteConflict"], ["NoSuchEntity"])
        attached = iam.list_attached_user_policies(UserName=user)["AttachedPolicies"]
        assert (policy in {one["PolicyArn"] for one in attached}) == (refused == ["DeleteConflict"])


def test_versions_of_a_policy_all_have_their_own_number(live: Live) -> None:
    name = fresh("versions")
    live.client("iam").create_policy(PolicyName=name, PolicyDocument=allows())
    policy = arn("policy", name)
    request = {"PolicyArn": policy, "PolicyDocument": allows(), "SetAsDefault": True}
    assert at_once(live, *[("CreatePolicyVersion", request)] * MANY) == ["LimitExceeded"] * (MANY - 4)
    listed = live.client("iam").list_policy_versions(PolicyArn=policy)["Versions"]
    assert sorted(one["VersionId"] for one in listed) == ["v1", "v2", "v3", "v4", "v5"]
    assert sum(one["IsDefaultVersion"] for one in listed) == 1
