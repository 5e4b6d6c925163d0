"""Target groups and their targets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select

from homeport.services.elbv2.model.groups import Target, TargetGroup
from homeport.services.elbv2.ports import BALANCERS_CHANGED, TARGETS_CHANGED
from homeport.services.elbv2.repo.tables import load_balancers, target_groups, targets, uses
from homeport.store.rows import all_nouns, first_noun, insert_row, nouns, write_row
from homeport.store.tx import Tx

_G, _T = target_groups.c, targets.c


class GroupRepo:
    """One account's target groups in one region."""

    def __init__(self, tx: Tx, account_id: str, region: str) -> None:
        self._tx = tx
        self._here = (_G.account_id == account_id, _G.region == region)

    def find(self, arn: str) -> TargetGroup | None:
        """The group of that ARN."""
        return first_noun(self._tx, nouns(target_groups).where(*self._here, _G.arn == arn))

    def named(self, name: str) -> TargetGroup | None:
        """The group of that name."""
        return first_noun(self._tx, nouns(target_groups).where(*self._here, _G.name == name))

    def among(self, arns: Collection[str]) -> dict[str, TargetGroup]:
        """Those of the groups that are there, by ARN."""
        return {arn: group for arn in arns if (group := self.find(arn)) is not None}

    def all(self) -> tuple[TargetGroup, ...]:
        """Every group, by name."""
        return tuple(all_nouns(self._tx, nouns(target_groups).where(*self._here).order_by(_G.name)))

    def add(self, group: TargetGroup) -> TargetGroup:
        """Insert. Raise `DuplicateKeyError` when the name is taken."""
        return insert_row(
            self._tx,
            target_groups,
            group,
            account_id=group.account_id,
            region=group.region,
            name=group.name,
            arn=group.arn,
        )

    def save(self, group: TargetGroup) -> TargetGroup:
        """Raise `StaleWriteError` when someone else wrote first."""
        self._tell(group)
        return write_row(self._tx, target_groups, group, group.arn)

    def delete(self, group: TargetGroup) -> None:
        """Remove the group with its targets."""
        self._tell(group)
        self._tx.execute(delete(targets).where(_T.group_id == group.id))
        self._tx.execute(delete(target_groups).where(_G.id == group.id))

    # Targets

    def targets(self, group: TargetGroup) -> tuple[Target, ...]:
        """A group's targets by id and port, drained ones included until they are swept."""
        rows = self._tx.execute(
            select(_T.body).where(_T.group_id == group.id).order_by(_T.target_id, _T.port)
        )
        return tuple(row[0] for row in rows)

    def put(self, group: TargetGroup, changed: Sequence[Target]) -> None:
        """Write targets, new ones and others; nothing that equals what is there should come."""
        if not changed:
            return
        for target in changed:
            self._tx.execute(delete(targets).where(*_is(group, target)))
            self._tx.execute(
                targets.insert().values(
                    group_id=group.id, target_id=target.target_id, port=target.port, body=target
                )
            )
        self._tell(group)

    def sweep(self, group: TargetGroup, now: datetime) -> None:
        """Remove the targets whose draining is over."""
        for target in self.targets(group):
            if target.is_gone(now):
                self._tx.execute(delete(targets).where(*_is(group, target)))

    def _tell(self, group: TargetGroup) -> None:
        self._tx.touch(TARGETS_CHANGED, group.arn)
        rows = self._tx.execute(
            select(load_balancers.c.arn)
            .join(uses, uses.c.balancer_id == load_balancers.c.id)
            .where(uses.c.group_arn == group.arn)
            .distinct()
        ).all()
        for row in rows:
            self._tx.touch(BALANCERS_CHANGED, row[0])


def _is(group: TargetGroup, target: Target) -> tuple[Any, ...]:
    return (_T.group_id == group.id, _T.target_id == target.target_id, _T.port == target.port)
