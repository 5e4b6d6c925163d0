"""What CreateExpressGatewayService may ask for. Pure. Source: botocore's model of its request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from homeport.services.ecs.errors import InvalidParameterException

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/.+")
_OF_DEFINITION = ("primaryContainer", "executionRoleArn", "taskRoleArn", "cpu", "memory", "cpuArchitecture")


def check_express(request: Mapping[str, Any]) -> None:
    """Raise `InvalidParameterException` for a request that ECS would not take either."""
    name = request.get("serviceName")
    if name is not None and not _NAME.fullmatch(name):
        raise InvalidParameterException(
            "serviceName is made of 1 to 255 letters, digits, hyphens and underscores."
        )
    for member in ("infrastructureRoleArn", "executionRoleArn", "taskRoleArn"):
        role = request.get(member)
        if role is not None and not _ROLE.fullmatch(role):
            raise InvalidParameterException(f"{member} is not the ARN of a role: {role}")
    if request.get("taskDefinitionArn"):
        for member in _OF_DEFINITION:
            if request.get(member):
                raise InvalidParameterException(f"{member} cannot be given together with taskDefinitionArn.")
        return
    if not (request.get("primaryContainer") or {}).get("image"):
        raise InvalidParameterException("primaryContainer.image is required without taskDefinitionArn.")
