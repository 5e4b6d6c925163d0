"""What IAM's handlers share: the operations table, looking up by name, pages, ARNs of requests."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from homeport.core.call import Call
from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.core.operations import Operations, ResourcesOf
from homeport.services.iam.errors import (
    AccessDenied,
    EntityAlreadyExistsException,
    LimitExceededException,
    NoSuchEntityException,
    UnmodifiableEntityException,
    ValidationError,
)
from homeport.services.iam.model import (
    AWS,
    Group,
    Kind,
    Named,
    OidcProvider,
    Policy,
    Role,
    User,
)
from homeport.services.iam.plan.quotas import PER_ACCOUNT
from homeport.services.iam.repo.entities import EntityRepo
from homeport.services.iam.repo.managed import aws_policies, is_aws_managed
from homeport.store.base import Store
from homeport.store.tx import Tx
from homeport.store.vault import Vault

ops = Operations("iam")

Request = Mapping[str, Any]
Answer = dict[str, Any]
T = TypeVar("T")
N = TypeVar("N", bound=Named)

PAGE_ITEMS = 100
_MARK = "after:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Iam:
    """The service's parts, built by `app`."""

    store: Store
    clock: Clock
    ids: Ids
    vault: Vault


# ---- what a request is about --------------------------------------------------------------------


def arn_in(member: str) -> ResourcesOf:
    """The ARN that the request says itself."""

    def resources(call: Call, request: Request) -> tuple[str, ...]:
        del call
        arn = str(request.get(member) or "")
        return (arn if arn.startswith("arn:aws:") else "*",)

    return resources


policy_in = arn_in("PolicyArn")


# ---- looking up ---------------------------------------------------------------------------------

_MISSING = {
    Kind.USER: "The user with name {} cannot be found.",
    Kind.GROUP: "The group with name {} cannot be found.",
    Kind.ROLE: "The role with name {} cannot be found.",
    Kind.INSTANCE_PROFILE: "Instance Profile {} cannot be found.",
}
_TAKEN = {
    Kind.USER: "User with name {} already exists.",
    Kind.GROUP: "Group with name {} already exists.",
    Kind.ROLE: "Role with name {} already exists.",
    Kind.INSTANCE_PROFILE: "Instance Profile {} already exists.",
    Kind.POLICY: "A policy called {} already exists. Duplicate names are not allowed.",
}


def find(tx: Tx, call: Call, of: type[N], name: str) -> N:
    """The entity of that name, or `NoSuchEntity`."""
    found = EntityRepo(tx).find(of, call.account_id, name)
    if found is None:
        raise NoSuchEntityException(_MISSING[of.kind].format(name))
    return found


def find_policy(tx: Tx, call: Call, arn: str, *, missing: str = "Policy {} was not found.") -> Policy:
    """The managed policy of that ARN: AWS's, or the account's own."""
    found = aws_policies().get(arn) if is_aws_managed(arn) else _local_policy(tx, call, arn)
    if found is None:
        raise NoSuchEntityException(missing.format(arn))
    return found


def _local_policy(tx: Tx, call: Call, arn: str) -> Policy | None:
    if not arn.startswith("arn:aws:iam::") or ":policy/" not in arn:
        raise ValidationError(f"ARN {arn} is not valid.")
    found = EntityRepo(tx).find(Policy, call.account_id, arn.rpartition("/")[2])
    return found if found is not None and found.arn == arn else None


def find_provider(tx: Tx, call: Call, arn: str) -> OidcProvider:
    """The OpenID Connect provider of that ARN."""
    start = f"arn:aws:iam::{call.account_id}:{Kind.OIDC_PROVIDER}/"
    found = EntityRepo(tx).find(OidcProvider, call.account_id, arn.removeprefix(start))
    if found is None or found.arn != arn:
        raise NoSuchEntityException(f"OpenIDConnect Provider not found for arn {arn}")
    return found


def require_local(policy: Policy) -> None:
    """Refuse to change one of AWS's own policies."""
    if policy.account_id == AWS:
        raise AccessDenied("Policy is outside your own account.")


def require_new(tx: Tx, call: Call, of: type[Named], name: str) -> None:
    """Refuse a name that is taken, and one thing more than an account may have."""
    repo = EntityRepo(tx)
    if repo.find(of, call.account_id, name) is not None:
        raise EntityAlreadyExistsException(_TAKEN[of.kind].format(name))
    quota, most = PER_ACCOUNT[of.kind]
    if repo.counts(call.account_id).get(of.kind, 0) >= most:
        raise LimitExceededException(f"Cannot exceed quota for {quota}: {most}")


def require_modifiable(holder: User | Group | Role) -> None:
    """Refuse to change a service's own role."""
    if isinstance(holder, Role) and holder.linked_service:
        raise UnmodifiableEntityException(
            f"Cannot perform the operation on the protected role '{holder.name}' - "
            "this role is only modifiable by AWS"
        )


def own_user_name(tx: Tx, call: Call) -> str:
    """The caller's user name, empty for the root; who is neither must say a name."""
    principal = call.principal
    if principal.user_id == principal.account_id:
        return ""
    entity = EntityRepo(tx).by_unique_id(principal.user_id)
    if not isinstance(entity, User):
        raise ValidationError("Must specify userName when calling with non-User credentials")
    return entity.name


# ---- pages --------------------------------------------------------------------------------------


def position(req: Request) -> str:
    """The key behind which a page goes on; empty at the start."""
    marker = req.get("Marker")
    if not marker:
        return ""
    try:
        text = base64.urlsafe_b64decode(marker.encode()).decode()
    except (binascii.Error, ValueError):
        text = ""
    if not text.startswith(_MARK):
        raise ValidationError(f"Invalid Marker: {marker}")
    return text.removeprefix(_MARK)


def page_of(
    member: str, rows: Sequence[T], req: Request, *, key: Callable[[T], str], view: Callable[[T], Any]
) -> Answer:
    """One page of rows that begin behind the marker; one more than asked for says that there are more."""
    limit = req.get("MaxItems", PAGE_ITEMS)
    shown = rows[:limit]
    answer: Answer = {member: [view(row) for row in shown], "IsTruncated": len(rows) > limit}
    if answer["IsTruncated"]:
        answer["Marker"] = base64.urlsafe_b64encode(f"{_MARK}{key(shown[-1])}".encode()).decode()
    return answer


def behind(rows: Iterable[T], req: Request, *, key: Callable[[T], str]) -> list[T]:
    """Rows sorted by their keys, from the marker on."""
    start = position(req)
    return sorted((row for row in rows if key(row) > start), key=key)


def limit_of(req: Request) -> int:
    """How many rows to read for a page."""
    return int(req.get("MaxItems", PAGE_ITEMS)) + 1
