"""AWS's own managed policies: the same in every account, kept with the program and not in the database."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from homeport.services.iam.model import AWS, Policy, PolicyVersion

PREFIX = f"arn:aws:iam::{AWS}:policy/"
AGENT_POLICY_ARN = f"{PREFIX}service-role/AmazonEC2ContainerServiceforEC2Role"
ADMINISTRATOR_POLICY_ARN = f"{PREFIX}AdministratorAccess"
FOLDER = "managed"
"""Beside the service's modules: a file per policy, with its ARN, its default version and that one's date."""


def is_aws_managed(arn: str) -> bool:
    """Whether an ARN is of one of AWS's own."""
    return arn.startswith(PREFIX)


@cache
def aws_policies() -> dict[str, Policy]:
    """Those that Homeport has, by ARN."""
    folder = files("homeport.services.iam") / FOLDER
    found = [orjson.loads(one.read_bytes()) for one in folder.iterdir() if one.name.endswith(".json")]
    return {one["Arn"]: _policy(one) for one in sorted(found, key=lambda one: str(one["Arn"]))}


def _policy(raw: dict[str, Any]) -> Policy:
    """Only the default version is known, and of the policy itself no other date."""
    path, _, name = raw["Arn"].removeprefix(PREFIX).rpartition("/")
    since = datetime.fromisoformat(raw["CreateDate"])
    number = int(raw["VersionId"].removeprefix("v"))
    version = PolicyVersion(number=number, document=orjson.dumps(raw["Document"]).decode(), created_at=since)
    return Policy(
        account_id=AWS,
        name=name,
        path=f"/{path}/" if path else "/",
        unique_id="",
        created_at=since,
        updated_at=since,
        versions=(version,),
        default_number=number,
        next_number=number + 1,
    )
