"""AWS managed policies that containers need, as far as Homeport has the actions.

Source: AWS managed policy reference, the policies of the same names. Until the
whole policy language is here, a document is a list of allowed actions on all
resources, which is what these policies are.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

AGENT_POLICY_ARN = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
ADMINISTRATOR_POLICY_ARN = "arn:aws:iam::aws:policy/AdministratorAccess"

MANAGED_ACTIONS: dict[str, tuple[str, ...]] = {
    AGENT_POLICY_ARN: (
        "ec2:DescribeTags",
        "ecs:CreateCluster",
        "ecs:DeregisterContainerInstance",
        "ecs:DiscoverPollEndpoint",
        "ecs:Poll",
        "ecs:RegisterContainerInstance",
        "ecs:StartTelemetrySession",
        "ecs:UpdateContainerInstancesState",
        "ecs:Submit*",
        "ecr:GetAuthorizationToken",
        "ecr:BatchCheckLayerAvailability",
        "ecr:GetDownloadUrlForLayer",
        "ecr:BatchGetImage",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "ecs:ListTagsForResource",
    ),
    ADMINISTRATOR_POLICY_ARN: ("*",),
}

ALWAYS_ALLOWED = frozenset({"sts:GetCallerIdentity", "sts:GetSessionToken"})
"""Actions that need no permission. Source: STS API Reference."""


def is_allowed(policies: tuple[str, ...] | None, action: str) -> bool:
    """Whether a principal with these managed policies may do `action`; `None`: an account's root."""
    if policies is None or action in ALWAYS_ALLOWED:
        return True
    return any(
        fnmatchcase(action.lower(), pattern.lower())
        for policy in policies
        for pattern in MANAGED_ACTIONS.get(policy, ())
    )
