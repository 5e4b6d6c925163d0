"""Everything that has a name: users, groups, roles, policies, instance profiles, providers, the account."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar, cast

from sqlalchemy import delete, func, select

from homeport.services.iam.model import (
    Account,
    Entity,
    Group,
    InstanceProfile,
    Kind,
    Named,
    Role,
    User,
)
from homeport.services.iam.repo.tables import entities, members
from homeport.store.rows import all_nouns, first_noun, insert_row, noun_of, nouns, remove_row, write_row
from homeport.store.tx import Tx

E = TypeVar("E", bound=Named)

_DECIDING = frozenset({Kind.USER, Kind.GROUP, Kind.ROLE, Kind.POLICY})
"""Kinds whose rows say what somebody may do."""


def entity_of(row: Any) -> Entity:
    """A selected (id, version, body) as what it is."""
    return cast(Entity, noun_of(row))


def touch_policies(tx: Tx, account_id: str) -> None:
    """Tell the feed that what somebody in the account may do has changed: compiled policies are rebuilt."""
    tx.touch("iam.policies", account_id)


class EntityRepo:
    """Entities of all accounts. Every write tells the feed, which empties caches of keys and policies."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def find(self, of: type[E], account_id: str, name: str) -> E | None:
        """The entity of that kind and name; names are compared without regard to case."""
        query = nouns(entities).where(
            entities.c.account_id == account_id, entities.c.kind == of.kind, entities.c.key == name.lower()
        )
        return first_noun(self._tx, query)

    def by_unique_id(self, unique_id: str) -> Entity | None:
        """The entity that was given this id (AIDA...); a namesake made later has another."""
        return first_noun(self._tx, nouns(entities).where(entities.c.unique_id == unique_id))

    def by_ids(self, ids: Iterable[int]) -> dict[int, Entity]:
        """Entities by their row ids."""
        wanted = tuple(ids)
        if not wanted:
            return {}
        return {one.id: one for one in all_nouns(self._tx, nouns(entities).where(entities.c.id.in_(wanted)))}

    def add(self, entity: E) -> E:
        """Insert; the row's id is filled in. Raise `DuplicateKeyError` when the name was taken meanwhile."""
        self._touch(entity)
        return insert_row(
            self._tx,
            entities,
            entity,
            account_id=entity.account_id,
            kind=entity.kind,
            key=entity.key,
            path=entity.path,
            unique_id=entity.unique_id,
        )

    def save(self, entity: E) -> E:
        """Write all of it, its name too. Raise `StaleWriteError` when someone else wrote first."""
        self._touch(entity)
        return write_row(self._tx, entities, entity, entity.arn, key=entity.key, path=entity.path)

    def delete(self, entity: Named) -> None:
        """Remove it, guarded like `save`. What was tied to it was taken off first."""
        remove_row(self._tx, entities, entity, entity.arn)
        self._touch(entity)

    def page(
        self, of: type[E], account_id: str, *, prefix: str = "/", after: str = "", limit: int | None = None
    ) -> tuple[E, ...]:
        """Entities of a kind below a path, by key."""
        query = (
            nouns(entities)
            .where(entities.c.account_id == account_id, entities.c.kind == of.kind, entities.c.key > after)
            .order_by(entities.c.key)
            .limit(limit)
        )
        if prefix != "/":
            query = query.where(func.substr(entities.c.path, 1, len(prefix)) == prefix)
        return tuple(all_nouns(self._tx, query))

    def counts(self, account_id: str) -> dict[str, int]:
        """How many there are of each kind."""
        rows = self._tx.execute(
            select(entities.c.kind, func.count())
            .where(entities.c.account_id == account_id)
            .group_by(entities.c.kind)
        )
        return {row[0]: int(row[1]) for row in rows}

    def account(self, account_id: str) -> Account | None:
        """The account's own row; `None` until there is something to keep in it."""
        return self.find(Account, account_id, account_id)

    def alias_is_taken(self, alias: str) -> bool:
        """Whether an account, whichever, has this alias."""
        rows = self._tx.execute(select(entities.c.body).where(entities.c.kind == Kind.ACCOUNT))
        return any(row[0].alias == alias for row in rows)

    # ---- groups have users, instance profiles have roles ------------------------------------

    def join(self, holder: Group | InstanceProfile, member: User | Role) -> None:
        """Put a user into a group, or a role into a profile."""
        self._tx.execute(members.insert().values(holder_id=holder.id, member_id=member.id))
        self._touch(member)

    def leave(self, holder: Group | InstanceProfile, member: User | Role) -> bool:
        """Take it out; whether it was in."""
        gone = self._tx.execute(
            delete(members).where(members.c.holder_id == holder.id, members.c.member_id == member.id)
        )
        self._touch(member)
        return gone.rowcount == 1

    def members_of(self, holder: Group | InstanceProfile) -> tuple[Entity, ...]:
        """A group's users or a profile's role, by name."""
        query = (
            nouns(entities)
            .join(members, members.c.member_id == entities.c.id)
            .where(members.c.holder_id == holder.id)
            .order_by(entities.c.key)
        )
        return tuple(all_nouns(self._tx, query))

    def roles_of(self, profiles: Iterable[InstanceProfile]) -> dict[int, tuple[Role, ...]]:
        """The roles of many profiles by the profiles' row ids."""
        wanted = tuple(profile.id for profile in profiles)
        found: dict[int, tuple[Role, ...]] = {}
        if wanted:
            rows = self._tx.execute(
                nouns(entities)
                .add_columns(members.c.holder_id)
                .join(members, members.c.member_id == entities.c.id)
                .where(members.c.holder_id.in_(wanted))
            )
            for row in rows:
                found[row[3]] = (*found.get(row[3], ()), cast(Role, entity_of(row)))
        return found

    def holders_of(self, member: User | Role) -> tuple[Entity, ...]:
        """A user's groups or a role's profiles, by name."""
        query = (
            nouns(entities)
            .join(members, members.c.holder_id == entities.c.id)
            .where(members.c.member_id == member.id)
            .order_by(entities.c.key)
        )
        return tuple(all_nouns(self._tx, query))

    def memberships(self, account_id: str) -> dict[int, tuple[int, ...]]:
        """Row ids of holders by row id of member, of a whole account."""
        rows = self._tx.execute(
            select(members.c.member_id, members.c.holder_id)
            .join(entities, entities.c.id == members.c.holder_id)
            .where(entities.c.account_id == account_id)
            .order_by(entities.c.key)
        )
        found: dict[int, tuple[int, ...]] = {}
        for member_id, holder_id in rows:
            found[member_id] = (*found.get(member_id, ()), holder_id)
        return found

    def _touch(self, entity: Named) -> None:
        self._tx.touch(f"iam.{entity.kind}", f"{entity.account_id}/{entity.name}")
        if entity.kind in _DECIDING:
            touch_policies(self._tx, entity.account_id)
