"""Documents and names for tests of IAM."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from tests.kit.server import ACCOUNT

AWS_POLICY = "arn:aws:iam::aws:policy/AdministratorAccess"
_numbers = count(1)


def fresh(name: str = "n") -> str:
    """A name that no other test of this run has."""
    return f"{name}-{next(_numbers)}"


def allows(*actions: str, **changes: Any) -> str:
    """An identity-based policy that allows these on everything."""
    statement = {"Effect": "Allow", "Action": list(actions) or ["ecs:*"], "Resource": "*", **changes}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trusts(service: str = "ecs-tasks.amazonaws.com") -> str:
    """A trust policy of a service."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def sized(chars: int) -> str:
    """An identity-based policy of that size, white space (of which it has some) not counted."""
    bare = len("".join(allows(Sid="").split()))
    return allows(Sid="a" * (chars - bare))


def arn(kind: str, name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:{kind}/{name}"
