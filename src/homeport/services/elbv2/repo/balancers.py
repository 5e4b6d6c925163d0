"""Load balancers, their listeners and the listeners' rules."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy import delete, select

from homeport.services.elbv2.model.balancers import Listener, LoadBalancer
from homeport.services.elbv2.model.rules import Rule
from homeport.services.elbv2.ports import BALANCERS_CHANGED, TARGETS_CHANGED
from homeport.services.elbv2.repo.tables import listeners, load_balancers, rules, uses
from homeport.store.rows import all_nouns, first_noun, insert_row, nouns, write_row
from homeport.store.tx import Tx

_B, _L, _R, _U = load_balancers.c, listeners.c, rules.c, uses.c


class BalancerRepo:
    """One account's load balancers in one region, with what belongs to them."""

    def __init__(self, tx: Tx, account_id: str, region: str) -> None:
        self._tx = tx
        self._account_id, self._region = account_id, region
        self._here = (_B.account_id == account_id, _B.region == region)

    # Balancers

    def find(self, arn: str) -> LoadBalancer | None:
        """The balancer of that ARN."""
        return first_noun(self._tx, nouns(load_balancers).where(*self._here, _B.arn == arn))

    def named(self, name: str) -> LoadBalancer | None:
        """The balancer of that name."""
        return first_noun(self._tx, nouns(load_balancers).where(*self._here, _B.name == name))

    def get(self, balancer_id: int) -> LoadBalancer:
        """The balancer of that id, which is there."""
        found: LoadBalancer | None = first_noun(
            self._tx, nouns(load_balancers).where(*self._here, _B.id == balancer_id)
        )
        assert found is not None
        return found

    def all(self) -> tuple[LoadBalancer, ...]:
        """Every balancer, by name."""
        return tuple(all_nouns(self._tx, nouns(load_balancers).where(*self._here).order_by(_B.name)))

    def add(self, balancer: LoadBalancer) -> LoadBalancer:
        """Insert. Raise `DuplicateKeyError` when the name is taken."""
        self._tx.touch(BALANCERS_CHANGED, balancer.arn)
        return insert_row(
            self._tx,
            load_balancers,
            balancer,
            arn=balancer.arn,
            account_id=balancer.account_id,
            region=balancer.region,
            name=balancer.name,
        )

    def save(self, balancer: LoadBalancer) -> LoadBalancer:
        """Raise `StaleWriteError` when someone else wrote first."""
        self._tx.touch(BALANCERS_CHANGED, balancer.arn)
        return write_row(self._tx, load_balancers, balancer, balancer.arn)

    def delete(self, balancer: LoadBalancer) -> None:
        """Remove the balancer with its listeners and their rules."""
        for listener in self.listeners(balancer):
            self.delete_listener(listener)
        self._tx.touch(BALANCERS_CHANGED, balancer.arn)
        self._tx.execute(delete(load_balancers).where(_B.id == balancer.id))

    # Listeners

    def listener(self, arn: str) -> Listener | None:
        """The listener of that ARN."""
        query = nouns(listeners).join(load_balancers, _B.id == _L.balancer_id)
        return first_noun(self._tx, query.where(*self._here, _L.arn == arn))

    def listeners(self, balancer: LoadBalancer) -> tuple[Listener, ...]:
        """A balancer's listeners, as they were made."""
        query = nouns(listeners).where(_L.balancer_id == balancer.id).order_by(_L.id)
        return tuple(all_nouns(self._tx, query))

    def add_listener(self, listener: Listener) -> Listener:
        """Insert. Raise `DuplicateKeyError` when the port is taken."""
        self._tx.touch(BALANCERS_CHANGED, listener.balancer_arn)
        return insert_row(
            self._tx,
            listeners,
            listener,
            arn=listener.arn,
            balancer_id=listener.balancer_id,
            port=listener.port,
        )

    def save_listener(self, listener: Listener) -> Listener:
        """Raise `StaleWriteError` when someone else wrote first."""
        self._tx.touch(BALANCERS_CHANGED, listener.balancer_arn)
        return write_row(self._tx, listeners, listener, listener.arn, port=listener.port)

    def delete_listener(self, listener: Listener) -> None:
        """Remove the listener with its rules."""
        self._tx.touch(BALANCERS_CHANGED, listener.balancer_arn)
        for rule in self.rules(listener):
            self._drop_uses(rule)
        self._tx.execute(delete(rules).where(_R.listener_id == listener.id))
        self._tx.execute(delete(listeners).where(_L.id == listener.id))

    # Rules

    def rule(self, arn: str) -> Rule | None:
        """The rule of that ARN."""
        query = nouns(rules).join(listeners, _L.id == _R.listener_id)
        query = query.join(load_balancers, _B.id == _L.balancer_id)
        return first_noun(self._tx, query.where(*self._here, _R.arn == arn))

    def listener_of(self, rule: Rule) -> Listener:
        """The listener that a rule belongs to."""
        found: Listener | None = first_noun(self._tx, nouns(listeners).where(_L.id == rule.listener_id))
        assert found is not None
        return found

    def rules(self, listener: Listener) -> tuple[Rule, ...]:
        """A listener's rules by priority, the default one last."""
        found: list[Rule] = all_nouns(self._tx, nouns(rules).where(_R.listener_id == listener.id))
        return tuple(sorted(found, key=lambda rule: (rule.is_default, rule.priority)))

    def rule_count(self, balancer: LoadBalancer) -> int:
        """How many rules its listeners have, the default ones included."""
        return int(
            self._tx.execute(
                select(sa.func.count())
                .select_from(rules.join(listeners, _L.id == _R.listener_id))
                .where(_L.balancer_id == balancer.id)
            ).scalar_one()
        )

    def add_rule(self, rule: Rule, listener: Listener) -> Rule:
        """Insert, and write down which groups it uses."""
        self._tx.touch(BALANCERS_CHANGED, listener.balancer_arn)
        added = insert_row(self._tx, rules, rule, arn=rule.arn, listener_id=listener.id)
        self._add_uses(added, listener)
        return added

    def save_rule(self, rule: Rule, listener: Listener) -> Rule:
        """Raise `StaleWriteError` when someone else wrote first."""
        self._tx.touch(BALANCERS_CHANGED, listener.balancer_arn)
        saved = write_row(self._tx, rules, rule, rule.arn)
        self._drop_uses(saved)
        self._add_uses(saved, listener)
        return saved

    def delete_rule(self, rule: Rule, listener: Listener) -> None:
        """Remove the rule."""
        self._tx.touch(BALANCERS_CHANGED, listener.balancer_arn)
        self._drop_uses(rule)
        self._tx.execute(delete(rules).where(_R.id == rule.id))

    # Who uses which group

    def _drop_uses(self, rule: Rule) -> None:
        for row in self._tx.execute(select(_U.group_arn).where(_U.rule_id == rule.id)).all():
            self._tx.touch(TARGETS_CHANGED, row[0])
        self._tx.execute(delete(uses).where(_U.rule_id == rule.id))

    def _add_uses(self, rule: Rule, listener: Listener) -> None:
        for arn in rule.groups:
            self._tx.touch(TARGETS_CHANGED, arn)
            values = {"rule_id": rule.id, "group_arn": arn, "balancer_id": listener.balancer_id}
            self._tx.execute(uses.insert().values(**values))

    def users(self, group_arns: Collection[str]) -> dict[str, LoadBalancer]:
        """Of the groups that a rule forwards to, the balancer."""
        found: dict[str, LoadBalancer] = {}
        for arn in group_arns:
            query = nouns(load_balancers).join(uses, _U.balancer_id == _B.id).limit(1)
            user = first_noun(self._tx, query.where(*self._here, _U.group_arn == arn))
            if user is not None:
                found[arn] = user
        return found

    def used_by(self, balancer: LoadBalancer) -> tuple[str, ...]:
        """The groups that its rules forward to, by ARN."""
        rows = self._tx.execute(
            select(_U.group_arn).where(_U.balancer_id == balancer.id).distinct().order_by(_U.group_arn)
        )
        return tuple(row[0] for row in rows)
