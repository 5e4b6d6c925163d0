"""AWS's own managed policies: the same in every account, kept with the program and not in the database."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache

from homeport.policy.managed import MANAGED_ACTIONS
from homeport.services.iam.model import AWS, Policy, PolicyVersion

PREFIX = f"arn:aws:iam::{AWS}:policy/"


def is_aws_managed(arn: str) -> bool:
    """Whether an ARN is of one of AWS's own."""
    return arn.startswith(PREFIX)


@cache
def aws_policies() -> dict[str, Policy]:
    """Those that Homeport has, by ARN."""
    return {arn: _policy(arn, actions) for arn, actions in sorted(MANAGED_ACTIONS.items())}


def _policy(arn: str, actions: tuple[str, ...]) -> Policy:
    path, _, name = arn.removeprefix(PREFIX).rpartition("/")
    since = datetime(2015, 2, 6, tzinfo=UTC)
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}],
    }
    version = PolicyVersion(number=1, document=json.dumps(document), created_at=since)
    return Policy(
        account_id=AWS,
        name=name,
        path=f"/{path}/" if path else "/",
        unique_id="",
        created_at=since,
        updated_at=since,
        versions=(version,),
    )
