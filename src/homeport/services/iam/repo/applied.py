"""What decides over a principal, in two indexed queries: what the gateway's decisions are built on."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import literal, select, union_all

from homeport.services.iam.model import (
    AppliedPolicy,
    Entity,
    Group,
    Kind,
    Policy,
    PolicySource,
    PrincipalPolicies,
    Role,
    Usage,
    User,
)
from homeport.services.iam.repo.entities import EntityRepo, entity_of
from homeport.services.iam.repo.managed import aws_policies, is_aws_managed
from homeport.services.iam.repo.tables import attachments, entities, members
from homeport.store.tx import Tx


def policies_of_user(tx: Tx, account_id: str, name: str) -> PrincipalPolicies | None:
    """All policies that count for the user of that name; `None`: there is none."""
    return _policies(tx, _named(account_id, Kind.USER, name))


def policies_of_role(tx: Tx, account_id: str, name: str) -> PrincipalPolicies | None:
    """All policies that count for the role of that name; `None`: there is none."""
    return _policies(tx, _named(account_id, Kind.ROLE, name))


def policies_of_id(tx: Tx, unique_id: str) -> PrincipalPolicies | None:
    """The same by the id that is never given twice, as sessions remember their principal."""
    return _policies(tx, entities.c.unique_id == unique_id)


def policies_of_group(tx: Tx, group: Group) -> tuple[AppliedPolicy, ...]:
    """What a group gives to its users."""
    return _decided(tx, (group,))[0]


def _named(account_id: str, kind: Kind, name: str) -> object:
    return (
        (entities.c.account_id == account_id) & (entities.c.kind == kind) & (entities.c.key == name.lower())
    )


def _policies(tx: Tx, which: object) -> PrincipalPolicies | None:
    principal: User | Role | None = None
    groups: list[Group] = []
    own = select(entities.c.id, entities.c.version, entities.c.body, literal(1).label("itself")).where(which)  # type: ignore[arg-type]
    joined = (
        select(entities.c.id, entities.c.version, entities.c.body, literal(0).label("itself"))
        .join(members, members.c.holder_id == entities.c.id)
        .where(
            members.c.member_id.in_(select(entities.c.id).where(which).correlate(None)),  # type: ignore[arg-type]
            entities.c.kind == Kind.GROUP,
        )
    )
    for row in tx.execute(union_all(own, joined)):
        entity = entity_of(row)
        if isinstance(entity, Group):
            groups.append(entity)
        elif isinstance(entity, User | Role):
            principal = entity
    if principal is None:
        return None
    return _of(tx, principal, sorted(groups, key=lambda group: group.key))


def _of(tx: Tx, principal: User | Role, groups: Iterable[Group]) -> PrincipalPolicies:
    identity, boundary = _decided(tx, (principal, *groups))
    return PrincipalPolicies(principal=principal, identity=identity, boundary=boundary)


def _decided(
    tx: Tx, whom: Iterable[User | Role | Group]
) -> tuple[tuple[AppliedPolicy, ...], AppliedPolicy | None]:
    holders: dict[int, User | Role | Group] = {one.id: one for one in whom}
    rows = tx.execute(
        select(
            attachments.c.holder_id,
            attachments.c.usage,
            attachments.c.policy_arn,
            entities.c.id,
            entities.c.version,
            entities.c.body,
        )
        .outerjoin(entities, entities.c.id == attachments.c.policy_id)
        .where(attachments.c.holder_id.in_(tuple(holders)))
        .order_by(attachments.c.policy_arn)
    )
    attached: dict[int, list[AppliedPolicy]] = {holder_id: [] for holder_id in holders}
    boundary = None
    for row in rows:
        holder = holders[row[0]]
        policy = aws_policies().get(row[2]) if row[5] is None else entity_of(row[3:])
        if row[1] == Usage.BOUNDARY:
            boundary = managed(holder, row[2], policy, source=PolicySource.BOUNDARY)
        else:
            attached[holder.id].append(managed(holder, row[2], policy))
    identity = [applied for holder in holders.values() for applied in (*inline(holder), *attached[holder.id])]
    return tuple(identity), boundary


def managed_policy(tx: Tx, account_id: str, arn: str) -> Policy | None:
    """A managed policy that the account may use: AWS's own, or one of its own."""
    if is_aws_managed(arn):
        return aws_policies().get(arn)
    found = EntityRepo(tx).find(Policy, account_id, arn.rpartition("/")[2])
    return found if found is not None and found.arn == arn else None


def inline(holder: User | Role | Group) -> tuple[AppliedPolicy, ...]:
    """A holder's inline policies, by name."""
    return tuple(
        AppliedPolicy(
            source=PolicySource.INLINE,
            holder_kind=holder.kind,
            holder=holder.name,
            name=name,
            document=document,
        )
        for name, document in sorted(holder.inline.items())
    )


def managed(
    holder: User | Role | Group, arn: str, policy: Entity | None, *, source: PolicySource | None = None
) -> AppliedPolicy:
    """A managed policy on a holder. That one is not there is our mistake, and allows nothing."""
    if not isinstance(policy, Policy):
        raise LookupError(f"{arn} hangs on {holder.arn}, but is not there")  # noqa: TRY004
    usual = PolicySource.USER_MANAGED if policy.id else PolicySource.AWS_MANAGED
    return AppliedPolicy(
        source=source or usual,
        holder_kind=holder.kind,
        holder=holder.name,
        name=policy.name,
        document=policy.default.document,
        arn=arn,
        version=policy.default.id,
    )
