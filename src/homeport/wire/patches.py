"""What clients send that botocore's models do not have, as data laid over the models.

The ECS agent's own model is newer than the public one in these members.
Source: recorded requests of amazon-ecs-agent 1.105.1.

IAM's AttachmentName takes wildcards by its documentation, and none by its pattern. Types of EC2 instances are
AWS's, of which there are more every month, and Homeport's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_STRING = {"shape": "String"}

PATCHES: Mapping[str, Mapping[str, Any]] = {
    "ec2": {"shapes": {"InstanceType": {"enum": []}}},
    "ecs": {
        "shapes": {
            "RegisterContainerInstanceRequest": {"members": {"clientToken": _STRING}},
            "DiscoverPollEndpointRequest": {"members": {"zoneId": _STRING}},
        }
    },
    "iam": {"shapes": {"AttachmentName": {"pattern": r"[\w+=,.@*?-]+"}}},
}
