"""Roles that belong to services, with the names and policies that the services gave them.

Source: AWS managed policy reference and each service's guide, "Using service-linked roles".
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from homeport.services.iam.errors import InvalidInputException

POLICY_PREFIX = "arn:aws:iam::aws:policy/aws-service-role/"


@dataclass(frozen=True, slots=True)
class LinkedRole:
    """The one role of a service; `takes_suffix`: an account may have several."""

    name: str
    policy: str
    takes_suffix: bool = False

    @property
    def policy_arn(self) -> str:
        """The policy that the service attaches."""
        return f"{POLICY_PREFIX}{self.policy}"


LINKED_ROLES = {
    "ecs.amazonaws.com": LinkedRole("AWSServiceRoleForECS", "AmazonECSServiceRolePolicy"),
    "ecs.application-autoscaling.amazonaws.com": LinkedRole(
        "AWSServiceRoleForApplicationAutoScaling_ECSService", "AWSApplicationAutoscalingECSServicePolicy"
    ),
    "autoscaling.amazonaws.com": LinkedRole(
        "AWSServiceRoleForAutoScaling", "AutoScalingServiceRolePolicy", takes_suffix=True
    ),
    "elasticloadbalancing.amazonaws.com": LinkedRole(
        "AWSServiceRoleForElasticLoadBalancing", "AWSElasticLoadBalancingServiceRolePolicy"
    ),
    "replication.ecr.amazonaws.com": LinkedRole(
        "AWSServiceRoleForECRReplication", "ECRReplicationServiceRolePolicy"
    ),
    "pullthroughcache.ecr.amazonaws.com": LinkedRole(
        "AWSServiceRoleForECRPullThroughCache", "AWSECRPullThroughCache_ServiceRolePolicy"
    ),
}


def linked_role(service: str, suffix: str) -> tuple[str, LinkedRole]:
    """The name of the role to make for a service, and what is known of it."""
    known = LINKED_ROLES.get(service)
    if known is None:
        raise InvalidInputException(
            f"Homeport knows no service-linked role of {service}. "
            f"It knows those of: {', '.join(LINKED_ROLES)}."
        )
    if suffix and not known.takes_suffix:
        raise InvalidInputException(f"Custom suffix is not allowed for {service}")
    return (f"{known.name}_{suffix}" if suffix else known.name), known


def trust_of(service: str) -> str:
    """The trust policy of a service's role."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))
