"""Capacity providers on the wire."""

from __future__ import annotations

from homeport.services.ecs.model import CapacityProvider
from homeport.services.ecs.view.wire import Include, Wire


def capacity_provider_view(provider: CapacityProvider, *, include: Include) -> Wire:
    """A provider on an Auto Scaling group; `include` holds TAGS."""
    return {
        "capacityProviderArn": provider.arn,
        "name": provider.name,
        "status": provider.status,
        "type": "EC2_AUTOSCALING",
        "autoScalingGroupProvider": {
            "autoScalingGroupArn": provider.group_reference,
            "managedScaling": dict(provider.managed_scaling),
            "managedTerminationProtection": provider.managed_termination_protection,
            "managedDraining": provider.managed_draining,
        },
        "updateStatus": provider.update_status,
        "updateStatusReason": provider.update_status_reason,
        "tags": list(provider.tags) if "TAGS" in include else [],
    }


def fargate_view(region: str, account_id: str, name: str) -> Wire:
    """FARGATE or FARGATE_SPOT, which every account has."""
    return {
        "capacityProviderArn": f"arn:aws:ecs:{region}:{account_id}:capacity-provider/{name}",
        "name": name,
        "status": "ACTIVE",
        "type": name,
        "tags": [],
    }
