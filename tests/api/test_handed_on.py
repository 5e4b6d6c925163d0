"""What operations need besides their own permission: roles handed on, tags, values that they gather."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from homeport.core.sigv4 import Credentials
from tests.kit.attacker import Attacker
from tests.kit.server import ACCOUNT, REGION, Live, credentials

HEAD = f"arn:aws:ecs:{REGION}:{ACCOUNT}"
ROLES = f"arn:aws:iam::{ACCOUNT}:role"
CONTAINERS = [{"name": "app", "image": "app:1", "memory": 8}]
TAGS = [{"key": "a", "value": "b"}]
TO_TASKS = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}


@dataclass(slots=True)
class Caller:
    iam: Any
    attacker: Attacker
    key: Credentials

    def ask(self, service: str, operation: str, value: dict[str, Any], *statements: dict[str, Any]) -> str:
        """The first action that it is denied, or nothing."""
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        self.iam.put_user_policy(UserName="handing", PolicyName="p", PolicyDocument=document)
        self.attacker.ask(service, operation, value, key=self.key)
        entry = self.attacker.trail[-1]
        return "" if entry["outcome"] == "allowed" else str(entry["decisions"][-1]["action"])


@pytest.fixture(scope="module")
def caller(live: Live) -> Caller:
    iam, ecs = live.client("iam"), live.client("ecs")
    iam.create_user(UserName="handing")
    key = credentials(iam.create_access_key(UserName="handing")["AccessKey"])
    ecs.create_cluster()
    ecs.register_daemon_task_definition(
        family="known", taskRoleArn=f"{ROLES}/task", containerDefinitions=CONTAINERS
    )
    return Caller(iam, Attacker(live), key)


def allow(action: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


DAEMON = {
    "daemonName": "made",
    "clusterArn": f"{HEAD}:cluster/default",
    "daemonTaskDefinitionArn": f"{HEAD}:daemon-task-definition/known:1",
    "capacityProviderArns": [f"{HEAD}:capacity-provider/none"],
}
REGISTERED = {
    "family": "made",
    "taskRoleArn": f"{ROLES}/task",
    "executionRoleArn": f"{ROLES}/execution",
    "containerDefinitions": CONTAINERS,
}
ASKED = [
    ("RegisterDaemonTaskDefinition", REGISTERED, {"iam:PassRole"}),
    ("RegisterDaemonTaskDefinition", {**REGISTERED, "tags": TAGS}, {"iam:PassRole", "ecs:TagResource"}),
    ("CreateDaemon", DAEMON, {"iam:PassRole"}),
    ("CreateDaemon", {**DAEMON, "tags": TAGS}, {"iam:PassRole", "ecs:TagResource"}),
    (
        "UpdateDaemon",
        {"daemonArn": f"{HEAD}:daemon/default/made"}
        | {name: DAEMON[name] for name in ("daemonTaskDefinitionArn", "capacityProviderArns")},
        {"iam:PassRole"},
    ),
]


@pytest.mark.parametrize(("operation", "value", "needed"), ASKED)
def test_a_daemons_roles_are_handed_on_and_its_tags_put(
    caller: Caller, operation: str, value: dict[str, Any], needed: set[str]
) -> None:
    own = allow(f"ecs:{operation}")
    for missing in needed:
        others = [allow(one) for one in needed - {missing}]
        assert caller.ask("ecs", operation, value, own, *others) == missing
    assert caller.ask("ecs", operation, value, own, *map(allow, needed)) == ""
    if value is REGISTERED:
        only_one = allow("iam:PassRole", f"{ROLES}/task", Condition=TO_TASKS)
        assert caller.ask("ecs", operation, value, own, only_one) == "iam:PassRole"
        other = allow("iam:PassRole", f"{ROLES}/execution", Condition=TO_TASKS)
        assert caller.ask("ecs", operation, value, own, only_one, other) == ""


@pytest.mark.parametrize("named", ["balances", f"{ROLES}/balances"])
def test_a_services_role_for_its_load_balancer_is_handed_on(caller: Caller, named: str) -> None:
    value = {"serviceName": "balanced", "taskDefinition": "none", "desiredCount": 0, "role": named}
    to_ecs = {"StringEquals": {"iam:PassedToService": "ecs.amazonaws.com"}}
    own = allow("ecs:CreateService")
    for other in (
        allow("iam:PassRole", f"{ROLES}/balances", Condition=TO_TASKS),
        allow("iam:PassRole", f"{ROLES}/x"),
    ):
        assert caller.ask("ecs", "CreateService", value, own, other) == "iam:PassRole"
    passes = allow("iam:PassRole", f"{ROLES}/balances", Condition=to_ecs)
    assert caller.ask("ecs", "CreateService", value, own, passes) == ""


@pytest.mark.parametrize(
    ("value", "more"),
    [
        ({"SecretIdList": ["gathered"]}, ()),
        ({"Filters": [{"Key": "name", "Values": ["gathered"]}]}, ("secretsmanager:ListSecrets",)),
    ],
    ids=["named", "filtered"],
)
def test_gathering_secrets_values_needs_each_ones_own_permission(
    live: Live, caller: Caller, value: dict[str, Any], more: tuple[str, ...]
) -> None:
    sm = live.client("secretsmanager")
    names = {one["Name"]: one["ARN"] for one in sm.list_secrets()["SecretList"]}
    arn = names.get("gathered") or sm.create_secret(Name="gathered", SecretString="v")["ARN"]
    own = [allow(one) for one in ("secretsmanager:BatchGetSecretValue", *more)]
    asked = ("secretsmanager", "BatchGetSecretValue", value)
    assert caller.ask(*asked, *own) == "secretsmanager:GetSecretValue"
    assert caller.ask(*asked, *own, allow("secretsmanager:GetSecretValue", f"{arn}x")) == (
        "secretsmanager:GetSecretValue"
    )
    assert caller.ask(*asked, *own, allow("secretsmanager:GetSecretValue", arn)) == ""
    if more:
        get = allow("secretsmanager:GetSecretValue")
        assert caller.ask(*asked, own[0], get) == "secretsmanager:ListSecrets"
