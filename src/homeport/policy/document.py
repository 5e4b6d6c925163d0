"""The nouns of a policy document, its normal form, and canonical JSON back.

A `Policy` is what `parse.py` makes of a text: every element a tuple, every scalar a string, statements in
their order (an explanation names them by index). Two texts that say the same in another order or spelling of
lists have the same canonical JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

VARIABLES_SINCE = "2012-10-17"
VERSIONS = ("2008-10-17", VARIABLES_SINCE)
DEFAULT_VERSION = "2008-10-17"


class MalformedPolicyError(ValueError):
    """The text is no valid policy; the message is the one of IAM's MalformedPolicyDocument."""


class PolicyKind(StrEnum):
    """Which grammar a document must follow: boundaries and session policies are IDENTITY ones."""

    IDENTITY = "identity"
    RESOURCE = "resource"
    TRUST = "trust"


class Effect(StrEnum):
    """What a statement does when it applies."""

    ALLOW = "Allow"
    DENY = "Deny"


class Qualifier(StrEnum):
    """How a condition on several request values is read."""

    NONE = ""
    FOR_ALL = "ForAllValues"
    FOR_ANY = "ForAnyValue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One key under one operator: `base` without `ForAnyValue:` and `IfExists`."""

    base: str
    key: str
    values: tuple[str, ...]
    qualifier: Qualifier = Qualifier.NONE
    if_exists: bool = False

    @property
    def operator(self) -> str:
        """As the document writes it."""
        prefix = f"{self.qualifier}:" if self.qualifier else ""
        return f"{prefix}{self.base}{'IfExists' if self.if_exists else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principals:
    """Who a resource-based statement is about; `everyone` is the bare `"*"`."""

    everyone: bool = False
    aws: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    federated: tuple[str, ...] = ()
    canonical_user: tuple[str, ...] = ()


PRINCIPAL_MEMBERS = {
    "AWS": "aws",
    "Service": "service",
    "Federated": "federated",
    "CanonicalUser": "canonical_user",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """`resources` is empty where the grammar has none: such a statement is about every resource."""

    effect: Effect
    actions: tuple[str, ...]
    not_actions: bool = False
    resources: tuple[str, ...] = ()
    not_resources: bool = False
    principals: Principals | None = None
    not_principals: bool = False
    conditions: tuple[Condition, ...] = ()
    sid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A valid document."""

    kind: PolicyKind
    statements: tuple[Statement, ...]
    version: str = DEFAULT_VERSION
    id: str = ""

    @property
    def has_variables(self) -> bool:
        """Whether `${...}` means something. Source: IAM User Guide, elements: Version."""
        return self.version == VARIABLES_SINCE


def normal_form(policy: Policy) -> dict[str, object]:
    """The document as plain values: one spelling for everything that may be spelled in several ways."""
    document: dict[str, object] = {"Version": policy.version}
    if policy.id:
        document["Id"] = policy.id
    document["Statement"] = [statement_form(statement) for statement in policy.statements]
    return document


def canonical_json(policy: Policy) -> str:
    """The normal form without white space; parsing it gives an equal policy, but for the order in lists."""
    return json.dumps(normal_form(policy), separators=(",", ":"), ensure_ascii=False)


def statement_form(statement: Statement) -> dict[str, object]:
    """A statement as its document would say it, in normal form."""
    form: dict[str, object] = {}
    if statement.sid:
        form["Sid"] = statement.sid
    form["Effect"] = str(statement.effect)
    if statement.principals is not None:
        form["NotPrincipal" if statement.not_principals else "Principal"] = _principals(statement.principals)
    form["NotAction" if statement.not_actions else "Action"] = _several(statement.actions)
    if statement.resources:
        form["NotResource" if statement.not_resources else "Resource"] = _several(statement.resources)
    if statement.conditions:
        form["Condition"] = _conditions(statement.conditions)
    return form


def _principals(principals: Principals) -> object:
    if principals.everyone:
        return "*"
    members = ((name, getattr(principals, member)) for name, member in PRINCIPAL_MEMBERS.items())
    return {name: _several(values) for name, values in members if values}


def _conditions(conditions: tuple[Condition, ...]) -> dict[str, dict[str, list[str]]]:
    form: dict[str, dict[str, list[str]]] = {}
    for condition in sorted(conditions, key=lambda c: (c.operator, c.key)):
        form.setdefault(condition.operator, {})[condition.key] = _several(condition.values)
    return form


def _several(values: tuple[str, ...]) -> list[str]:
    return sorted(set(values))
