"""Every operation is denied without its permissions, and done with exactly those, on exactly their resources.

What an operation needs is read from the audit log of a caller who may everything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from homeport.app.wiring import MANIFESTS
from homeport.core.sigv4 import Credentials
from homeport.wire.model import service_api
from tests.kit.attacker import SERVED, Attacker
from tests.kit.server import ACCOUNT, Live, credentials
from tests.wire.oracle import values

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
GUARDED = [
    (service, name)
    for service, name in SERVED
    if not next(m for m in MANIFESTS if m.name == service).operations.find(name).open  # type: ignore[union-attr]
]
PREFIXES = {one.name: one.operations.action_prefix for one in MANIFESTS}
ECS = f"arn:aws:ecs:us-east-1:{ACCOUNT}"
ELB = f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}"
KNOWN = {
    "resourceArn": f"{ECS}:cluster/default",
    "cluster": "default",
    "clusters": ["default"],
    "taskDefinition": "known",
    "taskDefinitions": ["known:1"],
    "service": "known",
    "services": ["known"],
    "serviceName": "made",
    "task": f"{ECS}:task/default/{'0' * 32}",
    "tasks": ["1" * 32],
    "taskSet": "ecs-svc/1",
    "taskSets": ["ecs-svc/1"],
    "containerInstance": "2" * 32,
    "containerInstances": ["2" * 32],
    "serviceDeploymentArn": f"{ECS}:service-deployment/default/known/x",
    "serviceDeploymentArns": [f"{ECS}:service-deployment/default/known/x"],
    "serviceRevisionArns": [f"{ECS}:service-revision/default/known/1"],
    "serviceArn": f"{ECS}:service/default/known",
    "daemonArn": f"{ECS}:daemon/default/known",
    "daemonDeploymentArns": [f"{ECS}:daemon-deployment/default/known/1"],
    "daemonRevisionArns": [f"{ECS}:daemon-revision/default/known/1"],
    "daemonTaskDefinition": "known",
    "daemonTaskDefinitionArn": f"{ECS}:daemon-task-definition/known:1",
    "daemonName": "known",
    "family": "family",
    "gateway": "g",
    "gatewayRouteArn": f"{ECS}:gateway-route/g/r",
    "capacityProvider": "known",
    "capacityProviders": ["known"],
    "clusterName": "made",
    "PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/p",
    "OpenIDConnectProviderArn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/o",
    "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/known",
    "RoleName": "known-role",
    "UserName": "known-user",
    "GroupName": "known-group",
    "InstanceProfileName": "known-profile",
    "PolicySourceArn": f"arn:aws:iam::{ACCOUNT}:user/known-user",
    "SecretId": "known",
    "SecretIdList": ["known"],
    "Names": ["known"],
    "Path": "/known/",
    "ResourceId": "known",
    "ResourceType": "Parameter",
    **{
        f"{noun}Arn": f"{ELB}:{kind}/x"
        for noun, kind in (
            ("LoadBalancer", "loadbalancer/app/x"),
            ("Listener", "listener/app/x/0"),
            ("Rule", "listener-rule/app/x/0/0"),
            ("TargetGroup", "targetgroup/x"),
            ("TrustStore", "truststore/x"),
            ("Resource", "truststore/x"),
        )
    },
    "ResourceArns": [f"{ELB}:targetgroup/x/0"],
    "RulePriorities": [{"RuleArn": f"{ELB}:listener-rule/app/x/0/0/0", "Priority": 1}],
}

CERTIFICATE = f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/{'0' * 8}-0000-4000-8000-{'0' * 12}"
TAGS = [{"Key": "a", "Value": "b"}]
KNOWN_TO: dict[str, dict[str, Any]] = {
    "acm": {"CertificateArn": CERTIFICATE, "ResourceArn": CERTIFICATE, "Tags": TAGS},
    "ec2": {
        "Resources": ["vpc-0123456789abcdef0"],
        "Tags": TAGS,
        "GroupId": "sg-0123456789abcdef0",
        "RouteTableId": "rtb-0123456789abcdef0",
        "SecurityGroupRules": [
            {"SecurityGroupRuleId": "sgr-0123456789abcdef0", "SecurityGroupRule": {"IpProtocol": "-1"}}
        ],
    },
    "elb": {"LoadBalancerAttributes": {"ConnectionSettings": {"IdleTimeout": 60}}, "Tags": [{"Key": "a"}]},
}
"""In the Query protocol structures of nothing are nothing on the wire."""

DEFAULT = f"{ECS}:cluster/default"
IN_DEFAULT = {"ArnEquals": {"ecs:cluster": DEFAULT}}
TAGS_TEAM_A = {"StringEquals": {"aws:RequestTag/team": "a"}}
KEYS_X_Y = {"ForAllValues:StringEquals": {"aws:TagKeys": ["x", "y"]}}
OF_TEAM_A = {"StringEquals": {"aws:ResourceTag/team": "a"}}
ECS_OF_TEAM_A = {"StringEquals": {"ecs:ResourceTag/team": "a"}}
OF_TEAM_B = {"StringEquals": {"aws:ResourceTag/team": "b"}}
TRUSTS_ALL = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
        },
    }
)


@dataclass(slots=True)
class Users:
    """Callers: one who may everything, one whose policy the test writes."""

    iam: Any
    attacker: Attacker
    mighty: Credentials
    exact: Credentials

    def allow(self, accesses: list[tuple[str, str]]) -> None:
        statements = [
            {"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in accesses
        ]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.iam.put_user_policy(UserName="exact", PolicyName="p", PolicyDocument=document)

    def outcome(
        self, service: str, operation: str, value: dict[str, Any], key: Credentials
    ) -> dict[str, Any]:
        """The audit log's entry of a request."""
        self.attacker.ask(service, operation, value, key=key)
        return self.attacker.trail[-1]


@pytest.fixture(scope="module")
def users(live: Live) -> Users:
    iam, ecs = live.client("iam"), live.client("ecs")
    made = {}
    for name in ("mighty", "exact"):
        iam.create_user(UserName=name)
        made[name] = credentials(iam.create_access_key(UserName=name)["AccessKey"])
    everything = json.dumps(
        {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    )
    iam.put_user_policy(UserName="mighty", PolicyName="p", PolicyDocument=everything)
    role = f"arn:aws:iam::{ACCOUNT}:role/task"
    ecs.create_cluster()
    ecs.register_task_definition(
        family="known",
        taskRoleArn=role,
        executionRoleArn=role.replace("task", "execution"),
        containerDefinitions=[{"name": "app", "image": "app:1", "memory": 64}],
    )
    ecs.create_service(serviceName="known", taskDefinition="known", desiredCount=0)
    iam.create_role(RoleName="known", AssumeRolePolicyDocument=TRUSTS_ALL)
    team = [{"Key": "team", "Value": "a"}]
    iam.tag_user(UserName="exact", Tags=[{"Key": "team", "Value": "blue"}])
    ecs.create_cluster(clusterName="tagged", tags=[{"key": "team", "value": "a"}])
    live.client("ssm").put_parameter(Name="tagged", Value="v", Type="String", Tags=team)
    live.client("secretsmanager").create_secret(Name="tagged", SecretString="v", Tags=team)
    live.client("secretsmanager").create_secret(Name="bare", SecretString="v")
    return Users(iam=iam, attacker=Attacker(live), mighty=made["mighty"], exact=made["exact"])


def one_of(strategy: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    """A value, the same each time."""
    drawn: list[dict[str, Any]] = []

    @settings(
        max_examples=1, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def take(value: dict[str, Any]) -> None:
        drawn.append(value)

    take()
    return drawn[0]


@pytest.mark.parametrize(("service", "operation"), GUARDED)
def test_exactly_the_permissions_that_it_needs_let_it_through(
    users: Users, service: str, operation: str
) -> None:
    shape = service_api(service).operation(operation).input
    value = one_of(values(shape)) | {name: known for name, known in KNOWN.items() if name in shape.members}
    own = KNOWN_TO.get(service, {})
    value |= {name: known for name, known in own.items() if name in shape.members}
    if service == "iam" and "Path" in value:
        value["Path"] = "/"  # what one test made and another deletes has one ARN, there or not
    if operation == "GetAccessKeyLastUsed":  # of a key that is not there IAM says that nobody may ask
        value["AccessKeyId"] = users.exact.access_key_id
    open_doors = users.outcome(service, operation, value, users.mighty)
    assert open_doors["outcome"] == "allowed", open_doors
    needed = [(one["action"], one["resource"]) for one in open_doors["decisions"]]
    assert needed[0][0] == f"{PREFIXES[service]}:{operation}"

    users.allow(needed)
    through = users.outcome(service, operation, value, users.exact)
    assert through["outcome"] == "allowed", through
    for index, (action, resource) in enumerate(needed):
        others = needed[:index] + needed[index + 1 :]
        wrong = [(f"{action}X", resource)] + ([(action, f"{resource}x")] if resource != "*" else [])
        for one in wrong:
            users.allow([*others, one])
            entry = users.outcome(service, operation, value, users.exact)
            if not any(name == action and fnmatchcase(resource, covers) for name, covers in others):
                assert entry["outcome"] == "denied", (one, entry)
                assert entry["errorCode"] in (
                    "AccessDenied",
                    "AccessDeniedException",
                    "UnauthorizedOperation",
                )


def test_a_run_task_needs_its_revision_its_roles_and_its_tags(users: Users) -> None:
    value = {"taskDefinition": "known", "tags": [{"key": "a", "value": "b"}]}
    entry = users.outcome("ecs", "RunTask", value, users.mighty)
    assert [(one["action"], one["resource"]) for one in entry["decisions"]] == [
        ("ecs:RunTask", f"{ECS}:task-definition/known:1"),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/task"),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/execution"),
        ("ecs:TagResource", f"{ECS}:task/*"),
    ]


@pytest.mark.parametrize(
    ("service", "operation", "value", "condition", "lets_in"),
    [
        ("ecs", "StopTask", {"task": "0" * 32}, IN_DEFAULT, True),
        ("ecs", "StopTask", {"task": "0" * 32, "cluster": "b"}, IN_DEFAULT, False),
        ("ecs", "CreateCluster", {"tags": [{"key": "team", "value": "a"}]}, TAGS_TEAM_A, True),
        ("ecs", "CreateCluster", {"tags": [{"key": "team", "value": "b"}]}, TAGS_TEAM_A, False),
        ("ecs", "CreateCluster", {}, TAGS_TEAM_A, False),
        ("ecs", "UntagResource", {"resourceArn": DEFAULT, "tagKeys": ["x"]}, KEYS_X_Y, True),
        ("ecs", "UntagResource", {"resourceArn": DEFAULT, "tagKeys": ["z"]}, KEYS_X_Y, False),
        ("ecs", "DescribeClusters", {"clusters": ["tagged"]}, OF_TEAM_A, True),
        ("ecs", "DescribeClusters", {"clusters": ["tagged"]}, ECS_OF_TEAM_A, True),
        ("ecs", "DescribeClusters", {"clusters": ["tagged"]}, OF_TEAM_B, False),
        ("ecs", "DescribeClusters", {"clusters": ["default"]}, OF_TEAM_A, False),
        ("ecs", "ListClusters", {}, {"StringEquals": {"aws:PrincipalTag/team": "blue"}}, True),
        ("ecs", "ListClusters", {}, {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}, True),
        ("ecs", "ListClusters", {}, {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}, False),
        ("ecs", "ListClusters", {}, {"Bool": {"aws:SecureTransport": "true"}}, False),
        ("ecs", "ListClusters", {}, {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, True),
        ("ecs", "ListClusters", {}, {"Null": {"aws:TokenIssueTime": "true"}}, True),
        ("ecs", "ListClusters", {}, {"StringEquals": {"aws:username": "exact"}}, True),
        ("ssm", "GetParameter", {"Name": "tagged"}, OF_TEAM_A, True),
        ("ssm", "GetParameter", {"Name": "none"}, OF_TEAM_A, False),
        ("secretsmanager", "GetSecretValue", {"SecretId": "tagged"}, OF_TEAM_A, True),
        ("secretsmanager", "GetSecretValue", {"SecretId": "bare"}, OF_TEAM_A, False),
    ],
)  # fmt: skip
def test_conditions_see_the_request_the_resource_and_the_caller(
    live: Live,
    users: Users,
    service: str,
    operation: str,
    value: dict[str, Any],
    condition: Any,
    lets_in: bool,
) -> None:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    users.iam.put_user_policy(UserName="exact", PolicyName="p", PolicyDocument=document)
    entry = users.outcome(service, operation, value, users.exact)
    assert (entry["outcome"] == "allowed") is lets_in, entry


def test_a_secrets_own_policy_lets_in_and_keeps_out(live: Live, users: Users) -> None:
    sm = live.client("secretsmanager")
    sm.create_secret(Name="guarded", SecretString="v")
    me = f"arn:aws:iam::{ACCOUNT}:user/exact"

    def policy(effect: str) -> str:
        statement = {
            "Effect": effect,
            "Principal": {"AWS": me},
            "Action": "secretsmanager:GetSecretValue",
            "Resource": "*",
        }
        return json.dumps({"Version": "2012-10-17", "Statement": statement})

    users.allow([("ecs:ListClusters", "*")])
    asked = ("secretsmanager", "GetSecretValue", {"SecretId": "guarded"}, users.exact)
    assert users.outcome(*asked)["outcome"] == "denied"
    sm.put_resource_policy(SecretId="guarded", ResourcePolicy=policy("Allow"))
    assert users.outcome(*asked)["outcome"] == "allowed"
    users.allow([("*", "*")])
    sm.put_resource_policy(SecretId="guarded", ResourcePolicy=policy("Deny"))
    entry = users.outcome(*asked)
    assert "with an explicit deny in a resource-based policy" in entry["errorMessage"]
