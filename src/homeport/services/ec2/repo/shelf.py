"""Everything with an id, of one account in one region."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from homeport.services.ec2.errors import PREFIXES, malformed, not_found
from homeport.services.ec2.model import NetworkInterface, Opened, Resource, Rule, Subnet
from homeport.services.ec2.repo.tables import resources
from homeport.store.rows import all_nouns, insert_row, nouns, remove_row, write_row
from homeport.store.tx import Tx

R = TypeVar("R", bound=Resource)
_R = resources.c
OPENED = "opened"
_MANY = 500


class Shelf:
    """Every write leaves a hint of the kind `ec2.<type>` with the resource's id."""

    def __init__(self, tx: Tx, account_id: str, region: str) -> None:
        self.tx = tx
        self.account_id = account_id
        self.region = region
        self._here = (_R.account_id == account_id, _R.region == region)

    def is_open(self) -> bool:
        """Whether the account was given its default network here."""
        return self.find(Opened, OPENED) is not None

    def find(self, kind: type[R], resource_id: str) -> R | None:
        """The one of that id, if it is of this kind."""
        found = self.any_of((resource_id,)).get(resource_id)
        return found if isinstance(found, kind) else None

    def get(self, kind: type[R], resource_id: str) -> R:
        """The one of that id. Raise AWS's error for an id of nothing, or of something else."""
        if (prefix := PREFIXES.get(kind.type)) and not resource_id.startswith(prefix):
            raise malformed(kind.type, resource_id)
        found = self.find(kind, resource_id)
        if found is None:
            raise not_found(kind.type, resource_id)
        return found

    def get_all(self, kind: type[R], ids: Iterable[str]) -> list[R]:
        """Those of these ids. Raise AWS's error for the ids that lead nowhere."""
        wanted = tuple(dict.fromkeys(ids))
        for one in wanted:
            if (prefix := PREFIXES.get(kind.type)) and not one.startswith(prefix):
                raise malformed(kind.type, one)
        found = self.any_of(wanted)
        lost = [one for one in wanted if not isinstance(found.get(one), kind)]
        if lost:
            raise not_found(kind.type, *lost)
        return [one for one in map(found.get, wanted) if isinstance(one, kind)]

    def any_of(self, ids: Iterable[str]) -> dict[str, Resource]:
        """What has these ids, whatever it is."""
        wanted, found = tuple(ids), dict[str, Resource]()
        for start in range(0, len(wanted), _MANY):
            some = wanted[start : start + _MANY]
            query = nouns(resources).where(*self._here, _R.resource_id.in_(some))
            found |= {one.resource_id: one for one in all_nouns(self.tx, query)}
        return found

    def all(self, kind: type[R], *, vpc_id: str | None = None) -> list[R]:
        """All of a kind, or those of a VPC, oldest first."""
        query = nouns(resources).where(*self._here, _R.kind == kind.type).order_by(_R.id)
        if vpc_id is not None:
            query = query.where(_R.vpc_id == vpc_id)
        return all_nouns(self.tx, query)

    def every(self) -> list[Resource]:
        """Everything, oldest first."""
        return all_nouns(self.tx, nouns(resources).where(*self._here).order_by(_R.id))

    def inside(self, kind: type[R], parent_id: str) -> list[R]:
        """All of a kind in a subnet or a group, oldest first."""
        query = nouns(resources).where(*self._here, _R.parent_id == parent_id, _R.kind == kind.type)
        return all_nouns(self.tx, query.order_by(_R.id))

    def rules(self, group_id: str, *, is_egress: bool | None = None) -> list[Rule]:
        """A group's rules."""
        found = self.inside(Rule, group_id)
        return found if is_egress is None else [rule for rule in found if rule.is_egress == is_egress]

    def interfaces_in(self, group_id: str, vpc_id: str) -> list[NetworkInterface]:
        """The interfaces that a security group is on."""
        return [one for one in self.all(NetworkInterface, vpc_id=vpc_id) if group_id in one.groups]

    def add(self, new: R) -> R:
        """Insert. Raise `DuplicateKeyError` when somebody else has the id."""
        self._touch(new)
        return insert_row(
            self.tx,
            resources,
            new,
            account_id=new.account_id,
            region=new.region,
            kind=new.type or OPENED,
            resource_id=new.resource_id,
            vpc_id=new.vpc_id,
            parent_id=new.parent_id,
        )

    def save(self, changed: R) -> R:
        """Write. Raise `StaleWriteError` when someone else wrote first."""
        if not isinstance(changed, Subnet):
            self._touch(changed)
        columns = {"vpc_id": changed.vpc_id, "parent_id": changed.parent_id}
        return write_row(self.tx, resources, changed, changed.resource_id, **columns)

    def delete(self, gone: Resource) -> None:
        """Remove. Raise `StaleWriteError` when someone else wrote first."""
        remove_row(self.tx, resources, gone, gone.resource_id)
        self._touch(gone)

    def _touch(self, resource: Resource) -> None:
        if resource.type:
            self.tx.touch(f"ec2.{resource.type}", resource.resource_id)
