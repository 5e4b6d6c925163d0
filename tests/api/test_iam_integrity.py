"""Whatever is done to IAM in whatever order, nothing is tied to what is not there, and all views agree.

Few names and many operations, so that they meet; refusals are part of it.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from homeport.core.errors import AwsError
from homeport.services.iam.manifest import policies_of_id
from homeport.services.iam.model import Role, User
from homeport.services.iam.repo.tables import attachments, entities, members
from homeport.store.tx import Tx
from tests.api.test_iam_members import do
from tests.kit.iam import AWS_POLICY, allows, arn, trusts
from tests.kit.server import Live

NAMES = st.sampled_from(["a", "A", "b", "c"])
POLICIES = st.sampled_from([arn("policy", "a"), arn("policy", "b"), AWS_POLICY])
KIND = st.sampled_from(["User", "Group", "Role"])
BOUNDED = st.sampled_from(["User", "Role"])
Step = tuple[str, dict[str, Any]]


def step(operation: str, **members: Any) -> st.SearchStrategy[Step]:
    drawn = {
        name: one if isinstance(one, st.SearchStrategy) else st.just(one) for name, one in members.items()
    }
    return st.tuples(st.just(operation), st.fixed_dictionaries(drawn))


def of_each(kinds: st.SearchStrategy[str], pattern: str, **members: Any) -> st.SearchStrategy[Step]:
    return kinds.flatmap(lambda kind: step(pattern.format(kind), **{f"{kind}Name": NAMES}, **members))


STEPS = st.one_of(
    step("CreateUser", UserName=NAMES),
    step("CreateGroup", GroupName=NAMES),
    step("CreateRole", RoleName=NAMES, AssumeRolePolicyDocument=trusts()),
    step("CreatePolicy", PolicyName=NAMES, PolicyDocument=allows()),
    step("CreateInstanceProfile", InstanceProfileName=NAMES),
    step("UpdateUser", UserName=NAMES, NewUserName=NAMES, NewPath=st.sampled_from(["/", "/p/"])),
    step("UpdateGroup", GroupName=NAMES, NewGroupName=NAMES),
    step("AddUserToGroup", GroupName=NAMES, UserName=NAMES),
    step("RemoveUserFromGroup", GroupName=NAMES, UserName=NAMES),
    step("AddRoleToInstanceProfile", InstanceProfileName=NAMES, RoleName=NAMES),
    step("RemoveRoleFromInstanceProfile", InstanceProfileName=NAMES, RoleName=NAMES),
    step("CreateAccessKey", UserName=NAMES),
    step("CreatePolicyVersion", PolicyArn=POLICIES, PolicyDocument=allows(), SetAsDefault=st.booleans()),
    step("DeletePolicyVersion", PolicyArn=POLICIES, VersionId=st.sampled_from(["v1", "v2", "v3"])),
    step("DeletePolicy", PolicyArn=POLICIES),
    step("DeleteInstanceProfile", InstanceProfileName=NAMES),
    of_each(KIND, "Attach{}Policy", PolicyArn=POLICIES),
    of_each(KIND, "Detach{}Policy", PolicyArn=POLICIES),
    of_each(KIND, "Put{}Policy", PolicyName=NAMES, PolicyDocument=allows()),
    of_each(KIND, "Delete{}Policy", PolicyName=NAMES),
    of_each(BOUNDED, "Put{}PermissionsBoundary", PermissionsBoundary=POLICIES),
    of_each(BOUNDED, "Delete{}PermissionsBoundary"),
    of_each(KIND, "Delete{}"),
)


def check(tx: Tx) -> None:
    """What must hold in the tables; and what counts for everybody can be read."""
    rows = {row[0]: row[1] for row in tx.execute(select(entities.c.id, entities.c.body))}
    for row in tx.execute(select(attachments)):
        assert row.holder_id in rows, "nothing hangs on who is gone"
        assert row.policy_id in rows or ":iam::aws:" in row.policy_arn, "and nothing that is gone hangs"
    for row in tx.execute(select(members)):
        assert {row.holder_id, row.member_id} <= rows.keys()
    for body in rows.values():
        if isinstance(body, User | Role):
            found = policies_of_id(tx, body.unique_id)
            assert found is not None
            assert found.principal.name == body.name


def told(live: Live) -> None:
    """The whole account at once says what is said one by one."""
    whole = do(live, "GetAccountAuthorizationDetails", {"MaxItems": 1000})
    hanging: dict[str, int] = {}
    for kind in ("User", "Group", "Role"):
        for one in whole[f"{kind}DetailList"]:
            named = {f"{kind}Name": one[f"{kind}Name"]}
            attached = do(live, f"ListAttached{kind}Policies", named)["AttachedPolicies"]
            assert one["AttachedManagedPolicies"] == attached
            inline = [policy["PolicyName"] for policy in one[f"{kind}PolicyList"]]
            assert inline == do(live, f"List{kind}Policies", named)["PolicyNames"]
            for policy in attached:
                hanging[policy["PolicyArn"]] = hanging.get(policy["PolicyArn"], 0) + 1
    for policy in whole["Policies"]:
        assert policy["AttachmentCount"] == hanging.get(policy["Arn"], 0)
        assert sum(one["IsDefaultVersion"] for one in policy["PolicyVersionList"]) == 1


@pytest.fixture(scope="module")
def server(live: Live) -> Live:
    return live


@settings(
    max_examples=80, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(STEPS, min_size=20, max_size=60))
def test_nothing_is_tied_to_what_is_not_there(server: Live, steps: list[Step]) -> None:
    for operation, request in steps:
        with contextlib.suppress(AwsError):
            do(server, operation, request)
    server.run(server.plane.store.read(check))
    told(server)
