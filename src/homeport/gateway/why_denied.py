"""Why a request was denied, told from its line in the audit log, and what would have allowed it. Pure.

Everything told is of the moment of the denial: what the policies are by now is another question.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from homeport.gateway.audit import Entry

KINDS = {
    "identity": "identity-based policy",
    "resource": "resource-based policy",
    "trust": "role trust policy",
    "boundary": "permissions boundary",
    "session": "session policy",
}
PASS_ROLE = "iam:PassRole"  # noqa: S105 - an action
_UNKNOWN_KEY = "The key is not known here (any more): `homeport env` prints one that is."
_MISMATCH = "Check the secret, the clock (15 minutes off at most), and what changes requests on their way."
_UNPROVEN = {
    "MissingAuthenticationToken": "Sign the request: `homeport env` prints a key.",
    "UnrecognizedClient": _UNKNOWN_KEY,
    "InvalidClientTokenId": _UNKNOWN_KEY,
    "InvalidSignature": _MISMATCH,
    "SignatureDoesNotMatch": _MISMATCH,
    "ExpiredToken": "Ask STS for new temporary credentials.",
    "IncompleteSignature": "The client spells its signature wrongly: what is missing stands in the message.",
}


def why_denied(entry: Entry) -> dict[str, Any]:
    """The explanation: `verdict`, `because`, `remedies`, each with the statement to write, and the entry."""
    denied = next((one for one in entry.get("decisions", ()) if one["verdict"] != "allowed"), None)
    told: dict[str, Any] = {"requestID": entry.get("requestID", ""), "outcome": entry["outcome"]}
    if denied is None:
        verdict, because, remedies = _undecided(entry)
    elif denied["verdict"] == "explicitDeny":
        verdict, because, remedies = _explicit(entry, denied)
    else:
        verdict, because, remedies = _implicit(entry, denied)
    return told | {"verdict": verdict, "because": because, "remedies": remedies, "entry": entry}


Told = tuple[str, list[str], list[dict[str, Any]]]


def _undecided(entry: Entry) -> Told:
    """No policy denied it."""
    message = entry.get("errorMessage", "")
    code = entry.get("errorCode", "")
    if entry["outcome"] == "unproven":
        remedy = _UNPROVEN.get(code.removesuffix("Exception"))
        return (
            f"Nobody was proven, so no policy was asked. {code}: {message}",
            [],
            [{"text": remedy}] if remedy else [],
        )
    if entry["outcome"] == "allowed":
        by = [_named(one) for decision in entry.get("decisions", ()) for one in decision["statements"]]
        is_root = entry["userIdentity"]["type"] == "Root"
        return (
            "It was allowed.",
            ["No policy limits the account's root."] if is_root else [f"Allowed by {one}." for one in by],
            [],
        )
    return f"No policy denied it, the request itself was refused. {code}: {message}", [], []


def _explicit(entry: Entry, denied: Mapping[str, Any]) -> Told:
    because = []
    for one, statement in zip(denied["statements"], denied.get("denying", ()), strict=False):
        because.append(f"{_named(one)} denies it: {json.dumps(statement)}")
    remedy = (
        "No other statement can allow what one denies: narrow the denying one (its Action, Resource or "
        "Condition), or take it away."
    )
    return (
        f"{_who(entry)} may not {denied['action']} on {denied['resource']}: an explicit deny.",
        because,
        [{"text": remedy}],
    )


def _implicit(entry: Entry, denied: Mapping[str, Any]) -> Told:
    missing = denied.get("missing", ())
    kinds = " and no ".join(KINDS[kind] for kind in missing)
    because = [line for kind in missing for line in _had(kind, denied)]
    return (
        f"{_who(entry)} may not {denied['action']} on {denied['resource']}: no {kinds} allows it.",
        because,
        [_remedy(entry, denied, kind) for kind in missing],
    )


def _had(kind: str, denied: Mapping[str, Any]) -> Iterator[str]:
    """What there was of a kind of policies, and what nearly allowed."""
    names = denied.get("policies", {}).get(kind, [])
    shown = ", ".join(names) if names else "none"
    yield f"{KINDS[kind]}: {shown}."
    for near in denied.get("near", ()):
        if near["kind"] == kind:
            name = f"{near['statement']} of {near['policy']}"
            yield f"  {name} allows {denied['action']}, but {_but(near, denied)}"


def _but(near: Mapping[str, Any], denied: Mapping[str, Any]) -> str:
    if near["differs"] == "principal":
        return "not to this caller."
    if near["differs"] == "resource":
        if "notResources" in near:
            return f"leaves out {', '.join(near['notResources'])}."
        return f"only on {', '.join(near.get('resources', ()))}."
    had = {key.lower(): values for key, values in _context(denied)}
    return "; ".join(_condition(one, had) for one in near.get("conditions", ())) + "."


def _condition(one: Mapping[str, Any], had: Mapping[str, list[str]]) -> str:
    values = had.get(one["key"].lower())
    is_so = f"it is {', '.join(values)}" if values else "the request does not have it"
    return f"only if {one['operator']} {one['key']} {', '.join(one['values'])}: {is_so}"


def _context(denied: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for item in denied["context"]["conditions"]["items"]:
        yield item["key"], [value["value"] for value in item["values"]["items"]]


def _remedy(entry: Entry, denied: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The smallest statement that allows, and where it belongs."""
    statement: dict[str, Any] = {"Effect": "Allow", "Action": denied["action"]}
    if kind in ("resource", "trust"):
        statement["Principal"] = {"AWS": _principal(entry)}
    if kind != "trust":
        statement["Resource"] = denied["resource"]
    services = dict(_context(denied)).get("iam:PassedToService")
    if denied["action"] == PASS_ROLE and services:
        statement["Condition"] = {"StringEquals": {"iam:PassedToService": services}}
    names = denied.get("policies", {}).get(kind, [])
    where = {
        "identity": f"Give {_who(entry)} a policy with this statement.",
        "resource": f"The policy of {denied['resource']} needs this statement.",
        "trust": f"The trust policy of {denied['resource']} needs this statement.",
        "boundary": f"The permissions boundary {', '.join(names)} needs this statement: it allows nothing by "
        "itself, but limits what others allow.",
        "session": "A policy that the session was begun with limits it: begin it with this statement in that "
        "policy, or without one.",
    }[kind]
    remedy: dict[str, Any] = {"text": where, "statement": statement}
    if kind == "identity" and (command := _command(entry, statement)):
        remedy["command"] = command
    return remedy


def _command(entry: Entry, statement: Mapping[str, Any]) -> str:
    """How the statement is given to the caller."""
    found = re.fullmatch(
        r"arn:aws:(?:iam|sts)::\d{12}:(user|assumed-role)/(.+)", entry["userIdentity"].get("arn", "")
    )
    if found is None:
        return ""
    kind = "user" if found[1] == "user" else "role"
    name = found[2].rpartition("/")[2] if kind == "user" else found[2].partition("/")[0]
    action = statement["Action"].replace(":", "-")
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return (
        f"aws iam put-{kind}-policy --{kind}-name {name} --policy-name allow-{action} "
        f"--policy-document '{document}'"
    )


def _principal(entry: Entry) -> str:
    """Whom a resource's policy names: of a role's session the role."""
    arn = str(entry["userIdentity"].get("arn", "*"))
    found = re.fullmatch(r"arn:aws:sts::(\d{12}):assumed-role/([^/]+)/.+", arn)
    return f"arn:aws:iam::{found[1]}:role/{found[2]}" if found else arn


def _who(entry: Entry) -> str:
    return str(entry["userIdentity"].get("arn") or "Somebody")


def _named(one: Mapping[str, Any]) -> str:
    return f"{one['statement']} of {one['policy']} ({KINDS.get(one['kind'], one['kind'])})"
