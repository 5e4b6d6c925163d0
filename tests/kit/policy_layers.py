"""Rows about who is allowed when several kinds of policies speak, and the short words they are written in.

`ALLOW` and `DENY` are documents about everything, `NOTHING` is one about another action.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeport.policy.request import Caller
from tests.kit.policy_cases import ACCOUNT, SESSION, USER, allow, deny, document
from tests.kit.slow_policy import Documents

ALLOW = document(allow())
DENY = document(deny())
NOTHING = document(allow("s3:GetObject"))


def to(principal: Any, effect: str = "Allow") -> dict[str, Any]:
    """A resource-based policy about one principal."""
    return document({"Effect": effect, "Principal": principal, "Action": "*", "Resource": "*"})


def not_to(*principals: str, effect: str = "Deny") -> dict[str, Any]:
    return document(
        {"Effect": effect, "NotPrincipal": {"AWS": list(principals)}, "Action": "*", "Resource": "*"}
    )


def trust(principal: Any) -> dict[str, Any]:
    return document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


def aws(*names: str) -> dict[str, list[str]]:
    return {"AWS": list(names)}


ROOT_ARN = f"arn:aws:iam::{ACCOUNT}:root"
USER_ARN = USER.arn
ROLE_ARN = SESSION.issuer_arn
SESSION_ARN = SESSION.arn


@dataclass(frozen=True, kw_only=True)
class Case:
    about: str
    caller: Caller
    owner: str
    action: str
    documents: Documents
    verdict: str
    layer: str | None

    def __str__(self) -> str:
        return self.about


def case(about: str, caller: Caller, verdict: str, **given: Any) -> Case:
    """`verdict` is `allowed`, `explicitDeny LAYER` or `implicitDeny LAYER`."""
    word, _, layer = verdict.partition(" ")
    owner = given.pop("owner", "")
    action = "sts:AssumeRole" if given.get("is_trust") else "ecs:RunTask"
    return Case(
        about=about,
        caller=caller,
        owner=owner,
        action=action,
        documents=Documents(**given),
        verdict=word,
        layer=layer or None,
    )
