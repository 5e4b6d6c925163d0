"""What is asked: by whom, which action, on which resource, under which circumstances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

ContextValue = str | bool | int | float | Iterable[str]


class Context:
    """Condition keys and their values; names are compared without case, several values are a tuple.

    A key with no value at all is a key that is not there.
    """

    __slots__ = ("_names", "_values")

    def __init__(self, values: Mapping[str, ContextValue] | None = None) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, tuple[str, ...]] = {}
        for name, value in (values or {}).items():
            if texts := _texts(value):
                folded = name.lower()
                self._names[folded] = name
                self._values[folded] = texts

    def get(self, folded: str) -> tuple[str, ...]:
        """The values of a key whose name is in lower case; none when it is missing."""
        return self._values.get(folded, ())

    def items(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Names as they were given, with their values."""
        for folded, name in self._names.items():
            yield name, self._values[folded]


def _texts(value: ContextValue) -> tuple[str, ...]:
    if type(value) is str:
        return (value,)
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, str | int | float):
        return (str(value),)
    return tuple(value)


class CallerKind(StrEnum):
    """Values of `aws:PrincipalType`, and two kinds that have no such value."""

    ROOT = "Account"
    USER = "User"
    ROLE_SESSION = "AssumedRole"
    FEDERATED_USER = "FederatedUser"
    ANONYMOUS = "Anonymous"
    SERVICE = "Service"
    WEB_IDENTITY = "WebIdentity"


OUTSIDERS = frozenset({CallerKind.ANONYMOUS, CallerKind.SERVICE, CallerKind.WEB_IDENTITY})
"""Callers without identity-based policies: the resource's own policy alone decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks.

    `arn` is the caller's own: of a role session, the `assumed-role` one. `issuer_arn` is the role's (with its
    path), or the user's behind a federated user. `user_id` is the `aws:userid`: `AROA...:session` of a role
    session. A service is named by its principal (`ecs.amazonaws.com`), a web identity by its provider.
    """

    kind: CallerKind
    arn: str
    account_id: str = ""
    user_id: str = ""
    issuer_arn: str = ""
    canonical_user_id: str = ""
    own_names: frozenset[str] = field(init=False, repr=False, compare=False)
    issuer_names: frozenset[str] = field(init=False, repr=False, compare=False)
    account_names: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        own = {self.arn, self.user_id} - {""}
        role_id, colon, _ = self.user_id.partition(":")
        is_session = self.kind is CallerKind.ROLE_SESSION and colon
        issuer = {self.issuer_arn, role_id if is_session else ""} - {""}
        account = {self.account_id, f"arn:aws:iam::{self.account_id}:root"} if self.account_id else set()
        object.__setattr__(self, "own_names", frozenset(own))
        object.__setattr__(self, "issuer_names", frozenset(issuer))
        object.__setattr__(self, "account_names", frozenset(account))


def caller_keys(caller: Caller) -> dict[str, ContextValue]:
    """The global keys that follow from who asks. Source: IAM User Guide, variables, principal key values."""
    if caller.kind is CallerKind.SERVICE:
        return {"aws:PrincipalIsAWSService": True, "aws:PrincipalServiceName": caller.arn}
    if caller.kind in OUTSIDERS:
        return {"aws:PrincipalType": str(caller.kind)} if caller.kind is CallerKind.ANONYMOUS else {}
    is_session = caller.kind is CallerKind.ROLE_SESSION
    keys: dict[str, ContextValue] = {
        "aws:PrincipalArn": caller.issuer_arn if is_session else caller.arn,
        "aws:PrincipalAccount": caller.account_id,
        "aws:PrincipalType": str(caller.kind),
        "aws:PrincipalIsAWSService": False,
        "aws:userid": caller.user_id,
    }
    if caller.kind is CallerKind.USER:
        keys["aws:username"] = caller.arn.rpartition("/")[2]
    return keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One action on one resource. An operation on several resources is several requests.

    `resource` is `*` for an action that is about no resource. `resource_account` owns the resource; empty:
    the caller's own account.
    """

    caller: Caller
    action: str
    resource: str = "*"
    resource_account: str = ""
    context: Context = field(default_factory=Context)

    @property
    def is_cross_account(self) -> bool:
        """Whether the resource belongs to another account than the caller."""
        return self.resource_account not in ("", self.caller.account_id)
