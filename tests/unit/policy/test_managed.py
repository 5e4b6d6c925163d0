"""AWS's managed policies, as they ship: real documents, each of which parses, compiles and decides.

Source of the documents: iann0036/iam-dataset (2026-08-22), the same as zoph-io/MAMIP (2026-03-07) where both
have the version; AdministratorAccess and PowerUserAccess from the latter.
"""

from __future__ import annotations

from importlib.resources import files

import pytest

from homeport.policy.compiled import AttachedPolicy, Compiler, PolicySet
from homeport.policy.decision import Policies, decide
from homeport.policy.document import VARIABLES_SINCE, canonical_json
from homeport.policy.parse import parse_policy
from homeport.services.iam.plan.linked_roles import LINKED_ROLES
from homeport.services.iam.repo.managed import PREFIX, aws_policies
from tests.kit.policy_cases import USER, request

POLICIES = aws_policies()
SERVICE_ROLE = f"{PREFIX}service-role/"
TASK = "arn:aws:ecs:us-east-1:111122223333:task/web/1"
ROLE = "arn:aws:iam::111122223333:role/task"
NEEDED = (
    f"{PREFIX}AdministratorAccess",
    f"{PREFIX}ReadOnlyAccess",
    f"{PREFIX}AmazonECS_FullAccess",
    f"{SERVICE_ROLE}AmazonECSTaskExecutionRolePolicy",
    f"{SERVICE_ROLE}AmazonEC2ContainerServiceforEC2Role",
    f"{SERVICE_ROLE}AmazonEC2ContainerServiceEventsRole",
    f"{SERVICE_ROLE}AmazonECSInfrastructureRolePolicyForVolumes",
    f"{PREFIX}AmazonECSInfrastructureRolePolicyForLoadBalancers",
    f"{PREFIX}AmazonEC2ContainerRegistryReadOnly",
    f"{PREFIX}AmazonEC2ContainerRegistryPowerUser",
    f"{PREFIX}AmazonEC2ContainerRegistryFullAccess",
    f"{PREFIX}CloudWatchLogsFullAccess",
    f"{PREFIX}CloudWatchAgentServerPolicy",
    f"{PREFIX}SecretsManagerReadWrite",
    f"{PREFIX}AmazonSSMReadOnlyAccess",
)


def decided(arn: str, action: str, resource: str = "*", **context: str) -> str:
    attached = AttachedPolicy(arn, Compiler().compile(POLICIES[arn].default.document))
    asked = request(USER, action, resource, context=context)
    return decide(asked, Policies(identity=PolicySet([attached]))).verdict


@pytest.mark.parametrize("arn", POLICIES, ids=lambda arn: str(arn).rpartition("/")[2])
def test_a_managed_policy_is_a_policy_of_the_current_language(arn: str) -> None:
    policy = POLICIES[arn]
    parsed = parse_policy(policy.default.document)
    assert parsed.version == VARIABLES_SINCE
    assert parse_policy(canonical_json(parsed)).statements
    Compiler().compile(policy.default.document)
    assert arn == f"arn:aws:iam::aws:policy{policy.path}{policy.name}"
    assert policy.default.number == policy.default_number >= 1


def test_a_file_has_the_name_of_its_policy_and_nothing_else_lies_beside() -> None:
    names = {one.name for one in (files("homeport.services.iam") / "managed").iterdir()}
    assert names == {f"{policy.name}.json" for policy in POLICIES.values()}


@pytest.mark.parametrize("arn", NEEDED)
def test_the_policies_that_containers_need_are_there(arn: str) -> None:
    assert arn in POLICIES


def test_the_policies_of_service_linked_roles_are_there() -> None:
    assert {role.policy_arn for role in LINKED_ROLES.values()} <= POLICIES.keys()


DECISIONS = (
    ("AdministratorAccess", "iam:CreateUser", "*", "allowed"),
    ("PowerUserAccess", "ecs:RunTask", TASK, "allowed"),
    ("PowerUserAccess", "iam:CreateUser", "*", "implicitDeny"),
    ("ReadOnlyAccess", "ecs:DescribeTasks", TASK, "allowed"),
    ("ReadOnlyAccess", "ecs:RunTask", TASK, "implicitDeny"),
    ("AmazonEC2ContainerRegistryReadOnly", "ecr:BatchGetImage", "*", "allowed"),
    ("AmazonEC2ContainerRegistryReadOnly", "ecr:PutImage", "*", "implicitDeny"),
    ("AmazonEC2ContainerRegistryPowerUser", "ecr:PutImage", "*", "allowed"),
    ("AmazonEC2ContainerRegistryPowerUser", "ecr:DeleteRepository", "*", "implicitDeny"),
    ("AmazonEC2ContainerRegistryFullAccess", "ecr:DeleteRepository", "*", "allowed"),
    ("service-role/AmazonECSTaskExecutionRolePolicy", "logs:PutLogEvents", "*", "allowed"),
    ("service-role/AmazonECSTaskExecutionRolePolicy", "logs:CreateLogGroup", "*", "implicitDeny"),
    ("service-role/AmazonECSTaskExecutionRolePolicy", "secretsmanager:GetSecretValue", "*", "implicitDeny"),
    ("service-role/AmazonEC2ContainerServiceforEC2Role", "ecs:SubmitTaskStateChange", "*", "allowed"),
    ("service-role/AmazonEC2ContainerServiceforEC2Role", "ecs:RunTask", "*", "implicitDeny"),
)


@pytest.mark.parametrize(("name", "action", "resource", "verdict"), DECISIONS)
def test_a_managed_policy_decides_as_its_name_says(
    name: str, action: str, resource: str, verdict: str
) -> None:
    assert decided(f"{PREFIX}{name}", action, resource) == verdict


@pytest.mark.parametrize(
    ("service", "verdict"), [("ecs-tasks.amazonaws.com", "allowed"), ("lambda.amazonaws.com", "implicitDeny")]
)
def test_the_full_access_to_ecs_passes_roles_to_tasks_only(service: str, verdict: str) -> None:
    assert decided(
        f"{PREFIX}AmazonECS_FullAccess", "iam:PassRole", ROLE, **{"iam:PassedToService": service}
    ) == (verdict)
