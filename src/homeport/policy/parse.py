"""From a text to a `Policy`, or the refusal that IAM would give.

Texts of refusals are those that IAM was seen to answer (source: moto's table of invalid documents, made from
answers of AWS), where one is known; the rest is `Syntax errors in policy.`. One error is named at a time, and
they are looked for in the order of this module: JSON, elements, Sids, actions, resources, what is in them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import NoReturn

from homeport.policy.arns import completed, fields_of
from homeport.policy.document import (
    DEFAULT_VERSION,
    PRINCIPAL_MEMBERS,
    VERSIONS,
    Condition,
    Effect,
    MalformedPolicyError,
    Policy,
    PolicyKind,
    Principals,
    Qualifier,
    Statement,
)
from homeport.policy.operators import NULL, OPERATORS
from homeport.policy.values import instant

SYNTAX = "Syntax errors in policy."
LEGACY = "The policy failed legacy parsing"
PARTITIONS = frozenset({"aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "*"})

_TOP = frozenset({"Version", "Id", "Statement"})
_PAIRS = ("Principal", "Action", "Resource")
_ELEMENTS = frozenset({"Sid", "Effect", "Condition", *_PAIRS, *(f"Not{name}" for name in _PAIRS)})
_OPERATOR = re.compile(r"(?:(ForAllValues|ForAnyValue):)?(\w+?)(IfExists)?")
_SID = re.compile(r"[0-9A-Za-z]*")
_VENDOR = re.compile(r"[A-Za-z0-9.-]+")
_PRINCIPAL = re.compile(r"\*|\d{12}|A[A-Z0-9]{15,}|arn:[\w-]+:(iam|sts)::\d{12}:[^*?]+")
_TRUST_ACTION = re.compile(r"sts:.+", re.IGNORECASE)


class _Scalar(str):
    """A number of the document, as it was written."""

    __slots__ = ()


def _refuse(message: str = SYNTAX) -> NoReturn:
    raise MalformedPolicyError(message)


def parse_policy(text: str, kind: PolicyKind = PolicyKind.IDENTITY) -> Policy:
    """Raise `MalformedPolicyError` when `text` is no policy of its kind.

    How long it may be is the caller's business.
    """
    document = _json(text, kind)
    if not document.keys() <= _TOP:
        _refuse()
    version = document.get("Version", DEFAULT_VERSION)
    identifier = document.get("Id", "")
    if type(version) is not str or version not in VERSIONS or type(identifier) is not str:
        _refuse()
    raw = _statements(document.get("Statement"))
    _unique_sids(raw, kind)
    for one in raw:
        _complete(one, kind)
    statements = tuple(_statement(one, kind) for one in raw)
    for statement in statements:
        _check_contents(statement, kind)
    return Policy(kind=kind, statements=statements, version=version, id=identifier)


def _json(text: str, kind: PolicyKind) -> dict[str, object]:
    invalid = "This policy contains invalid Json" if kind is PolicyKind.TRUST else SYNTAX
    try:
        document: object = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_Scalar,
            parse_float=_Scalar,
            parse_constant=lambda _: _refuse(invalid),
        )
    except (json.JSONDecodeError, RecursionError):
        _refuse(invalid)
    return document if isinstance(document, dict) else _refuse(invalid)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An element may stand once. Source: IAM User Guide, policy grammar notes."""
    members = dict(pairs)
    if len(members) < len(pairs):
        _refuse()
    return members


def _statements(raw: object) -> list[dict[str, object]]:
    listed = raw if isinstance(raw, list) else [raw]
    statements = [one for one in listed if isinstance(one, dict)]
    if not statements or len(statements) < len(listed):
        _refuse()
    for one in statements:
        if not one.keys() <= _ELEMENTS:
            _refuse()
        for name in _PAIRS:
            if name in one and f"Not{name}" in one:
                _refuse()
    return statements


def _unique_sids(statements: list[dict[str, object]], kind: PolicyKind) -> None:
    sids = [one["Sid"] for one in statements if "Sid" in one]
    if any(type(sid) is not str for sid in sids):
        _refuse()
    if len(set(map(str, sids)) - {""}) < len([sid for sid in sids if sid]):
        _refuse("Statement IDs (SID) in a single policy must be unique.")
    if kind is not PolicyKind.RESOURCE and not all(_SID.fullmatch(str(sid)) for sid in sids):
        _refuse(
            "Statement IDs (SID) must be alpha-numeric. "
            "Check that your input satisfies the regular expression [0-9A-Za-z]*"
        )


def _complete(one: dict[str, object], kind: PolicyKind) -> None:
    """Every element that must be there is, and none that must not."""
    effect = one.get("Effect")
    if type(effect) is not str or effect.lower() not in ("allow", "deny"):
        _refuse()
    if effect not in ("Allow", "Deny"):
        _refuse(LEGACY)
    has_principal = "Principal" in one or "NotPrincipal" in one
    if kind is PolicyKind.IDENTITY and has_principal:
        _refuse("Policy document should not specify a principal.")
    if kind is not PolicyKind.IDENTITY and not has_principal:
        _refuse("Missing required field Principal")
    if kind is PolicyKind.TRUST:
        if "Resource" in one or "NotResource" in one:
            _refuse("Has prohibited field Resource")
        if "NotPrincipal" in one:
            _refuse("AssumeRole policy must not contain NotPrincipal field.")
    if not _texts(one.get("Action", one.get("NotAction", []))):
        _refuse("Policy statement must contain actions.")
    resources = _texts(one.get("Resource", one.get("NotResource", [])))
    is_named = "Resource" in one or "NotResource" in one
    if not resources and (is_named or kind is PolicyKind.IDENTITY):
        _refuse("Policy statement must contain resources.")


def _texts(raw: object) -> tuple[str, ...]:
    listed = raw if isinstance(raw, list) else [raw]
    texts = tuple(one for one in listed if type(one) is str)
    return texts if len(texts) == len(listed) else _refuse()


def _statement(one: dict[str, object], kind: PolicyKind) -> Statement:
    principals = one.get("Principal", one.get("NotPrincipal"))
    return Statement(
        sid=str(one.get("Sid", "")),
        effect=Effect(str(one["Effect"])),
        actions=_texts(one.get("Action", one.get("NotAction"))),
        not_actions="NotAction" in one,
        resources=_texts(one.get("Resource", one.get("NotResource", []))),
        not_resources="NotResource" in one,
        principals=None if principals is None else _principals(principals, kind),
        not_principals="NotPrincipal" in one,
        conditions=tuple(_conditions(one.get("Condition", {}))),
    )


def _principals(raw: object, kind: PolicyKind) -> Principals:
    if raw == "*":
        return Principals(everyone=True)
    if not isinstance(raw, dict) or not raw:
        _refuse()
    for name in raw:
        if name not in PRINCIPAL_MEMBERS or (kind is PolicyKind.TRUST and name == "CanonicalUser"):
            _refuse(f'Invalid principal in policy: "{name}"')
    found = {PRINCIPAL_MEMBERS[name]: _texts(values) for name, values in raw.items()}
    if not all(found.values()):
        _refuse()
    for text in found.get("aws", ()):
        if not _PRINCIPAL.fullmatch(text):
            _refuse(f'Invalid principal in policy: "AWS":"{text}"')
    return Principals(
        aws=found.get("aws", ()),
        service=found.get("service", ()),
        federated=found.get("federated", ()),
        canonical_user=found.get("canonical_user", ()),
    )


def _conditions(raw: object) -> Iterable[Condition]:
    if not isinstance(raw, dict):
        _refuse()
    for operator, keys in raw.items():
        parts = _OPERATOR.fullmatch(operator)
        if parts is None or not isinstance(keys, dict):
            _refuse()
        qualifier, base, if_exists = parts.groups()
        if base not in OPERATORS or (base == NULL and (qualifier or if_exists)):
            _refuse()
        folded = [key.lower() for key in keys]
        if len(set(folded)) < len(folded):
            _refuse()
        for key, values in keys.items():
            yield Condition(
                base=base,
                key=key,
                values=_values(values),
                qualifier=Qualifier(qualifier or ""),
                if_exists=bool(if_exists),
            )


def _values(raw: object) -> tuple[str, ...]:
    listed = raw if isinstance(raw, list) else [raw]
    return tuple(_value(one) for one in listed)


def _value(raw: object) -> str:
    if isinstance(raw, bool):
        return "true" if raw else "false"
    return str(raw) if isinstance(raw, str) else _refuse()


def _check_contents(statement: Statement, kind: PolicyKind) -> None:
    for condition in statement.conditions:
        is_date = condition.base.startswith("Date")
        if is_date and any(instant(value) is None for value in condition.values):
            _refuse(LEGACY)
    for resource in statement.resources:
        _check_resource(resource)
    for action in statement.actions:
        _check_action(action)
        if kind is PolicyKind.TRUST and not _TRUST_ACTION.fullmatch(action):
            _refuse("AssumeRole policy may only specify STS AssumeRole actions.")


def _check_resource(resource: str) -> None:
    if resource == "*":
        return
    prefix, *rest = fields_of(resource)
    if not rest:
        _refuse(f'Resource {resource} must be in ARN format or "*".')
    if rest[0] not in PARTITIONS:
        whole = completed(":".join(["arn", *rest]))
        _refuse(f'Partition "{rest[0]}" is not valid for resource "{whole}".')
    if prefix != "arn":
        _refuse(f'Resource {resource} must be in ARN format or "*".')
    vendor = rest[1] if len(rest) > 1 else "*"
    if not vendor:
        _refuse(LEGACY)
    if "*" in vendor or "?" in vendor:
        _refuse("Resource vendor must be fully qualified and cannot contain regexes.")


def _check_action(action: str) -> None:
    if action == "*":
        return
    vendor, colon, name = action.partition(":")
    if not colon:
        _refuse("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
    if ":" in name:
        _refuse("Actions/Condition can contain only one colon.")
    if vendor != "*" and not _VENDOR.fullmatch(vendor):
        _refuse(f"Vendor {vendor} is not valid")
