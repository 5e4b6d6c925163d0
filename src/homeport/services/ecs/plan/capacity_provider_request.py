"""What a capacity provider may ask for. Pure.

Sources: ECS API Reference, CreateCapacityProvider and UpdateCapacityProvider; the
defaults are those that Terraform's acceptance tests see AWS answer (managed scaling
DISABLED, target 100, steps 1 to 10000, warm-up 300 s). Managed draining is ENABLED by
default at AWS and DISABLED here: no Auto Scaling group terminates an instance yet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from homeport.core.arn import MalformedArnError, is_arn, parse_arn
from homeport.services.ecs.errors import ClientException, InvalidParameterException
from homeport.services.ecs.plan.support import refuse

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_RESERVED = ("aws", "ecs", "fargate")
SCALING_DEFAULTS: Mapping[str, Any] = {
    "status": "DISABLED",
    "targetCapacity": 100,
    "minimumScalingStepSize": 1,
    "maximumScalingStepSize": 10000,
    "instanceWarmupPeriod": 300,
}
_NEEDS_SCALING = "{} is not supported by Homeport yet: it needs Auto Scaling."


def check_name(name: str) -> None:
    """Raise `ClientException` for a name that a capacity provider cannot have."""
    if not _NAME.fullmatch(name):
        raise ClientException(
            "The specified capacity provider name is invalid: 1 to 255 letters, digits, underscores "
            "and hyphens are allowed."
        )
    if name.lower().startswith(_RESERVED):
        raise ClientException(
            f"The specified capacity provider name is invalid: it starts with one of {', '.join(_RESERVED)}."
        )


def group_name(reference: str) -> str:
    """The name of the Auto Scaling group that an ARN or a name stands for."""
    if is_arn(reference):
        try:
            arn = parse_arn(reference)
        except MalformedArnError:
            arn = None
        kind, _, name = (arn.resource if arn else "").rpartition(":autoScalingGroupName/")
        if arn is None or arn.service != "autoscaling" or not kind or not name:
            raise ClientException(f"The specified Auto Scaling group ARN is invalid: {reference}")
        reference = name
    if not 1 <= len(reference) <= 255:
        raise ClientException("An Auto Scaling group's name has 1 to 255 characters.")
    return reference


def group_settings(given: Mapping[str, Any], scaling: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a provider that a group provider sets, on top of its `scaling` so far.

    Raise `ClientException` for what needs Auto Scaling.
    """
    asked = given.get("managedScaling") or {}
    if asked.get("status") == "ENABLED":
        raise ClientException(_NEEDS_SCALING.format("autoScalingGroupProvider.managedScaling.status ENABLED"))
    for member in ("managedTerminationProtection", "managedDraining"):
        if given.get(member) == "ENABLED":
            raise ClientException(_NEEDS_SCALING.format(f"autoScalingGroupProvider.{member} ENABLED"))
    merged = {**scaling, **{key: value for key, value in asked.items() if value is not None}}
    for member, (least, most) in _BOUNDS.items():
        if not least <= merged[member] <= most:
            raise ClientException(f"managedScaling.{member} must be between {least} and {most}.")
    if merged["minimumScalingStepSize"] > merged["maximumScalingStepSize"]:
        raise ClientException("minimumScalingStepSize must not be greater than maximumScalingStepSize.")
    return {"managed_scaling": {member: merged[member] for member in SCALING_DEFAULTS}}


_BOUNDS = {
    "targetCapacity": (1, 100),
    "minimumScalingStepSize": (1, 10000),
    "maximumScalingStepSize": (1, 10000),
    "instanceWarmupPeriod": (0, 10000),
}


def check_scope(request: Mapping[str, Any]) -> None:
    """Raise when a request is about a provider that belongs to one cluster."""
    if request.get("cluster"):
        raise InvalidParameterException(
            "cluster is for capacity providers of Managed Instances only; a capacity provider on an Auto "
            "Scaling group is associated with clusters by PutClusterCapacityProviders."
        )


def check_group_provider(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a request asks of a provider on an Auto Scaling group. Raise when it asks for another kind."""
    refuse(request, "", ("managedInstancesProvider",))
    check_scope(request)
    given = request.get("autoScalingGroupProvider")
    if not given:
        raise InvalidParameterException("autoScalingGroupProvider is required.")
    settings: Mapping[str, Any] = given
    return settings
