"""Whom a statement of a resource-based policy is about, and how directly it names them.

How directly matters: what a policy grants to an account is for that account to hand on; what it grants to a
role is still limited by the role's boundary and the session's policies; what it grants to a user, a
session or everyone is granted.
Source: IAM User Guide, evaluation logic within an account; elements: Principal, NotPrincipal.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from homeport.policy.document import Principals
from homeport.policy.request import Caller, CallerKind


class Grant(IntEnum):
    """From not at all to directly."""

    NONE = 0
    ACCOUNT = 1
    ISSUER = 2
    """The role behind a session, or the user behind a federated user."""
    DIRECT = 3


Naming = Callable[[Caller], Grant]


def naming_of(principals: Principals, *, negated: bool) -> Naming:
    """How a caller is named by `Principal`, or not named by `NotPrincipal`."""
    if negated:
        return lambda caller: Grant.NONE if _is_named_itself(principals, caller) else Grant.DIRECT
    return lambda caller: _grant(principals, caller)


def _grant(principals: Principals, caller: Caller) -> Grant:
    if _is_named_itself(principals, caller):
        return Grant.DIRECT
    named = frozenset(principals.aws)
    if caller.kind in (CallerKind.SERVICE, CallerKind.WEB_IDENTITY, CallerKind.ANONYMOUS):
        return Grant.NONE
    if not caller.issuer_names.isdisjoint(named):
        return Grant.ISSUER
    return Grant.NONE if caller.account_names.isdisjoint(named) else Grant.ACCOUNT


def _is_named_itself(principals: Principals, caller: Caller) -> bool:
    """Everyone is named by `*`. A `NotPrincipal` that names an account or a role spares no one else in it."""
    if principals.everyone or "*" in principals.aws:
        return True
    if caller.kind is CallerKind.SERVICE:
        return caller.arn in principals.service
    if caller.kind is CallerKind.WEB_IDENTITY:
        return caller.arn in principals.federated
    if caller.kind is CallerKind.ROOT and not caller.account_names.isdisjoint(principals.aws):
        return True
    if caller.canonical_user_id and caller.canonical_user_id in principals.canonical_user:
        return True
    return not caller.own_names.isdisjoint(principals.aws)
