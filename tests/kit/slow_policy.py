"""A second evaluator, slow and meant to be obviously right: it reads the JSON documents as they stand.

It shares nothing with the engine but the request: no compiling, no index, no regular expressions, its own
readers of numbers and dates. Compare the two; where they differ, read AWS's documentation.
"""

from __future__ import annotations

import base64
import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from homeport.policy.request import CallerKind, Request

UNKNOWN = object()
"""What a text with a variable that has no value stands for."""
OUTSIDE = (CallerKind.SERVICE, CallerKind.WEB_IDENTITY, CallerKind.ANONYMOUS)


@dataclass(kw_only=True)
class Documents:
    """The same as the engine's `Policies`, uncompiled."""

    identity: list[Any] = field(default_factory=list)
    boundary: list[Any] | None = None
    session: list[Any] | None = None
    resource: list[Any] = field(default_factory=list)
    is_trust: bool = False
    resource_must_allow: bool = False


def slow_verdict(request: Request, documents: Documents) -> str:
    """`allowed`, `explicitDeny` or `implicitDeny`."""
    kind = request.caller.kind
    own = [] if kind in (*OUTSIDE, CallerKind.ROOT) else documents.identity
    boundary = documents.boundary if kind not in (*OUTSIDE, CallerKind.ROOT) else None
    session = documents.session if kind not in (*OUTSIDE, CallerKind.ROOT) else None
    everything = [*own, *(boundary or []), *(session or []), *documents.resource]
    if any(effects(document, request).get("Deny") for document in everything):
        return "explicitDeny"
    granted = max((effects(document, request).get("Allow", 0) for document in documents.resource), default=0)
    if kind in OUTSIDE:
        return _word(granted > 0)
    same_account = request.resource_account in ("", request.caller.account_id)
    if same_account and granted == 3:
        return "allowed"
    by_identity = kind is CallerKind.ROOT or any(effects(one, request).get("Allow") for one in own)
    by_boundary = boundary is None or any(effects(one, request).get("Allow") for one in boundary)
    if session is None:
        by_session = kind is not CallerKind.FEDERATED_USER
    else:
        by_session = any(effects(one, request).get("Allow") for one in session)
    if not same_account:
        return _word(by_identity and by_boundary and by_session and granted > 0)
    if (documents.is_trust or documents.resource_must_allow) and not granted:
        return "implicitDeny"
    return _word((by_identity or granted == 2) and by_boundary and by_session)


def _word(allowed: bool) -> str:
    return "allowed" if allowed else "implicitDeny"


def effects(document: Any, request: Request) -> dict[str, int]:
    """Which effects the document's statements have, and how directly (1 account, 2 role, 3 itself)."""
    found: dict[str, int] = {}
    for statement in listed(document["Statement"]):
        directly = naming(statement, request)
        if directly and statement_applies(statement, request, document.get("Version") == "2012-10-17"):
            found[statement["Effect"]] = max(found.get(statement["Effect"], 0), directly)
    return found


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def naming(statement: Any, request: Request) -> int:
    caller = request.caller
    if "NotPrincipal" in statement:
        return 0 if named_itself(statement["NotPrincipal"], request) else 3
    if "Principal" not in statement or named_itself(statement["Principal"], request):
        return 3
    if caller.kind in OUTSIDE or statement["Principal"] == "*":
        return 0
    for text in listed(statement["Principal"].get("AWS", [])):
        if text == caller.issuer_arn:
            return 2
        if caller.kind is CallerKind.ROLE_SESSION and caller.user_id.startswith(f"{text}:"):
            return 2
    return 1 if names_account(statement["Principal"], request) else 0


def names_account(principal: Any, request: Request) -> bool:
    account = request.caller.account_id
    return any(text in (account, f"arn:aws:iam::{account}:root") for text in listed(principal.get("AWS", [])))


def named_itself(principal: Any, request: Request) -> bool:
    caller = request.caller
    if principal == "*" or "*" in listed(principal.get("AWS", [])):
        return True
    if caller.kind is CallerKind.SERVICE:
        return caller.arn in listed(principal.get("Service", []))
    if caller.kind is CallerKind.WEB_IDENTITY:
        return caller.arn in listed(principal.get("Federated", []))
    if caller.kind is CallerKind.ROOT and names_account(principal, request):
        return True
    if caller.canonical_user_id and caller.canonical_user_id in listed(principal.get("CanonicalUser", [])):
        return True
    return any(text in (caller.arn, caller.user_id) for text in listed(principal.get("AWS", [])))


def statement_applies(statement: Any, request: Request, variables: bool) -> bool:
    action = request.action.lower()
    if "Action" in statement:
        if not any(glob(text.lower(), action) for text in listed(statement["Action"])):
            return False
    elif any(glob(text.lower(), action) for text in listed(statement["NotAction"])):
        return False
    if "Resource" in statement:
        if True not in [resource_matches(r, request, variables) for r in listed(statement["Resource"])]:
            return False
    elif "NotResource" in statement:
        results = [resource_matches(r, request, variables) for r in listed(statement["NotResource"])]
        if any(result is not False for result in results):
            return False
    return all(
        condition_holds(operator, key, listed(values), request, variables)
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )


def glob(pattern: str, text: str) -> bool:
    return wild_match(tuple((c, "any") if c in "*?" else (c, "text") for c in pattern), text)


def wild_match(pattern: tuple[tuple[str, str], ...], text: str) -> bool:
    """`pattern`: characters, each `text`, or a wildcard for `any` character or for one that is no colon."""

    @cache
    def rest(at: int, place: int) -> bool:
        if at == len(pattern):
            return place == len(text)
        character, sort = pattern[at]
        if sort == "text":
            return place < len(text) and text[place] == character and rest(at + 1, place + 1)
        takes = place < len(text) and (sort == "any" or text[place] != ":")
        if character == "?":
            return takes and rest(at + 1, place + 1)
        return rest(at + 1, place) or (takes and rest(at, place + 1))

    return rest(0, 0)


def pieces(text: str, request: Request, variables: bool) -> Any:
    """The text with its variables filled in, as characters that know whether they may be wildcards."""
    out: list[tuple[str, str]] = []
    while text:
        end = text.find("}")
        if variables and text.startswith("${") and end > 2 and "{" not in text[2:end]:
            value = variable(text[2:end], request)
            if value is UNKNOWN:
                return UNKNOWN
            out += [(character, "text") for character in value]
            text = text[end + 1 :]
        else:
            out.append((text[0], "any" if text[0] in "*?" else "text"))
            text = text[1:]
    return tuple(out)


def variable(inside: str, request: Request) -> Any:
    if inside in ("*", "?", "$"):
        return inside
    key, _, default = inside.partition(",")
    values = request.context.get(key.strip().lower())
    if len(values) == 1:
        return values[0]
    return default.strip()[1:-1] if default and not values else UNKNOWN


def resource_matches(pattern: str, request: Request, variables: bool) -> Any:
    """`None` when it cannot be known."""
    if pattern == "*":
        return True
    fields = split_outside_braces(pattern)
    fields += ["*"] * (6 - len(fields))
    out: list[tuple[str, str]] = []
    for field_text in fields[:5]:
        for place, character in enumerate(field_text):
            runs_on = character == "*" and place >= len(field_text.rstrip("*"))
            sort = "text" if character not in "*?" else "any" if runs_on else "in field"
            out.append((character, sort))
        out.append((":", "text"))
    last = pieces(fields[5], request, variables)
    return None if last is UNKNOWN else wild_match((*out, *last), request.resource)


def condition_holds(operator: str, key: str, wanted: list[Any], request: Request, variables: bool) -> bool:
    values = list(request.context.get(key.lower()))
    texts = [str(one).lower() if isinstance(one, bool) else str(one) for one in wanted]
    if operator == "Null":
        return any({"true": not values, "false": bool(values)}.get(text.lower(), False) for text in texts)
    qualifier, _, base = operator.rpartition(":")
    if base.endswith("IfExists"):
        if not values:
            return True
        base = base.removesuffix("IfExists")
    negated = "Not" in base
    base = base.replace("Not", "")

    def fits(value: str) -> bool:
        results = [value_matches(base, text, value, request, variables) for text in texts]
        return not any(result is not False for result in results) if negated else True in results

    if qualifier == "ForAllValues":
        return all(fits(value) for value in values if value)
    if qualifier == "ForAnyValue":
        return any(fits(value) for value in values if value)
    if not values:
        return negated
    return all(map(fits, values)) if negated else any(map(fits, values))


def value_matches(base: str, wanted: str, value: str, request: Request, variables: bool) -> Any:
    if base.startswith(("String", "Bool")):
        return text_matches(base, wanted, value, request, variables)
    if base.startswith("Arn"):
        return arn_matches(wanted, value, request, variables)
    if base == "IpAddress":
        return in_network(wanted, value)
    if base == "BinaryEquals":
        return bytes_of(wanted) is not None and bytes_of(wanted) == bytes_of(value)
    read = number_of if base.startswith("Numeric") else date_of
    left, right = read(value), read(wanted)
    if left is None or right is None:
        return False
    order = base.removeprefix("Numeric").removeprefix("Date")
    return {
        "Equals": left == right,
        "LessThan": left < right,
        "LessThanEquals": left <= right,
        "GreaterThan": left > right,
        "GreaterThanEquals": left >= right,
    }[order]


def text_matches(base: str, wanted: str, value: str, request: Request, variables: bool) -> Any:
    found = pieces(wanted, request, variables)
    if base == "Bool" and value.lower() not in ("true", "false"):
        return False
    if found is UNKNOWN:
        return None
    if base == "StringLike":
        return wild_match(found, value)
    text = "".join(character for character, _ in found)
    return text == value if base == "StringEquals" else text.lower() == value.lower()


def arn_matches(wanted: str, value: str, request: Request, variables: bool) -> Any:
    if wanted == "*":
        return True
    found = pieces(wanted, request, variables)
    if found is UNKNOWN:
        return None
    fields = split_outside_braces(wanted)
    asked = value.split(":", 5)
    if len(fields) != 6 or len(asked) != 6:
        return False
    return all(
        wild_match(pieces(pattern, request, variables), text)
        for pattern, text in zip(fields, asked, strict=True)
    )


def split_outside_braces(text: str) -> list[str]:
    fields, inside = [""], False
    for character in text:
        inside = (inside or character == "{") and character != "}"
        if character == ":" and not inside and len(fields) < 6:
            fields.append("")
        else:
            fields[-1] += character
    return fields


def in_network(wanted: str, value: str) -> bool:
    try:
        asked = ipaddress.ip_address(value)
        network = ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False
    mapped = getattr(asked, "ipv4_mapped", None)
    return (mapped or asked) in network


def bytes_of(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None


def number_of(text: str) -> Decimal | None:
    plain = text.lstrip("+-").replace(".", "", 1).replace("e", "", 1)
    return Decimal(text) if plain.isdigit() and text.isascii() else None


def date_of(text: str) -> datetime | None:
    if text.lstrip("-").isdigit() and len(text) != 4:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(text))
    padded = {4: f"{text}-01-01", 7: f"{text}-01"}.get(len(text), text)
    try:
        found = datetime.fromisoformat(padded.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
