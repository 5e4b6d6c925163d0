"""The cluster query language: text to a tree that answers for one instance or for all at once.

Source: ECS Developer Guide, "Create expressions to define container instances".
Where it is silent we chose [I]:

- a subject that an instance lacks makes every operator false but `not_exists`
  (documented for `!=` by an example); an attribute without value is "";
- `task:group` has several values an instance: a plain operator asks for one that
  matches, a negated one for none (so an empty instance is `task:group != x`);
- `registeredAt` is compared in whole seconds, a date is its midnight UTC;
- an `agentVersion` that is no version is lacking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, reduce
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from homeport.services.ecs.plan.query_syntax import (
    All,
    AnyOf,
    Negation,
    QuerySyntaxError,
    Simple,
    Tree,
    parse_tree,
)

__all__ = [
    "EXPRESSION_MAX",
    "Column",
    "Facts",
    "Query",
    "QuerySyntaxError",
    "Rows",
    "compile_query",
    "facts_of",
]

EXPRESSION_MAX = 2000
"""Characters. Source: botocore ecs, PlacementConstraint.expression."""

Bools = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Column:
    """One subject of all rows: `values[codes[row]]`; code -1 is a row that lacks it."""

    codes: npt.NDArray[np.int32]
    values: list[str] = field(default_factory=list)
    index: dict[str, int] = field(default_factory=dict)

    def code(self, value: str) -> int:
        """The code of `value`, a new one if need be."""
        code = self.index.get(value)
        if code is None:
            code = self.index[value] = len(self.values)
            self.values.append(value)
        return code


class Rows(Protocol):
    """Many instances, as arrays."""

    @property
    def size(self) -> int:
        """How many rows there are."""
        ...

    @property
    def connected(self) -> Bools:
        """Per row: its agent is connected."""
        ...

    @property
    def running(self) -> npt.NDArray[np.int32]:
        """Per row: its tasks whose desired status is RUNNING."""
        ...

    @property
    def registered(self) -> npt.NDArray[np.int64]:
        """Per row: the second of its registration, since 1970."""
        ...

    def column(self, subject: str) -> Column:
        """`attribute:NAME`, `agentVersion` or `ec2InstanceId`."""
        ...

    def groups(self) -> Iterable[str]:
        """The groups that have tasks."""
        ...

    def hosting(self, group: str) -> Bools:
        """Per row: it hosts a task of the group."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One instance, as the language sees it."""

    agent_connected: bool
    agent_version: str
    ec2_instance_id: str
    registered_at: datetime
    running_tasks_count: int
    attributes: Mapping[str, str | None]
    task_groups: frozenset[str] = frozenset()


def facts_of(instance: Mapping[str, Any], task_groups: Iterable[str] = ()) -> Facts:
    """Facts from a wire-shaped container instance; the wire has no task groups."""
    attributes = instance.get("attributes", ())
    return Facts(
        agent_connected=bool(instance.get("agentConnected", False)),
        agent_version=instance.get("versionInfo", {}).get("agentVersion", ""),
        ec2_instance_id=instance.get("ec2InstanceId", ""),
        registered_at=instance["registeredAt"],
        running_tasks_count=instance.get("runningTasksCount", 0),
        attributes={a["name"]: a.get("value") for a in attributes},
        task_groups=frozenset(task_groups),
    )


VOLATILE = frozenset({"agentConnected", "runningTasksCount", "task:group"})
"""Subjects that change without the instance's attributes changing."""


@dataclass(frozen=True, slots=True)
class Query:
    """A compiled expression. `subjects` is what it looks at."""

    text: str
    subjects: frozenset[str]
    tree: Tree

    @property
    def volatile(self) -> bool:
        """Whether placing a task or losing an agent may change the answer."""
        return not VOLATILE.isdisjoint(self.subjects)

    @property
    def counts_tasks(self) -> bool:
        """Whether placing a task may change the answer."""
        return not self.subjects.isdisjoint({"runningTasksCount", "task:group"})

    def mask(self, rows: Rows) -> Bools:
        """The answer for every row. Do not write to it."""
        return _mask(self.tree, rows)

    def matches(self, facts: Facts) -> bool:
        """The answer for one instance."""
        return _matches(self.tree, facts)


@lru_cache(maxsize=4096)
def compile_query(text: str) -> Query:
    """Compile an expression, or raise `QuerySyntaxError`."""
    if len(text) > EXPRESSION_MAX:
        raise QuerySyntaxError(EXPRESSION_MAX, f"longer than {EXPRESSION_MAX} characters")
    tree = parse_tree(text)
    return Query(text, frozenset(_subjects(tree)), tree)


def _subjects(tree: Tree) -> Iterable[str]:
    match tree:
        case Simple():
            yield tree.subject
        case Negation():
            yield from _subjects(tree.item)
        case All() | AnyOf():
            for item in tree.items:
                yield from _subjects(item)


def _mask(tree: Tree, rows: Rows) -> Bools:
    match tree:
        case Simple():
            return _simple_mask(tree, rows)
        case Negation():
            return np.logical_not(_mask(tree.item, rows))
        case All():
            return reduce(np.logical_and, (_mask(item, rows) for item in tree.items))
        case AnyOf():
            return reduce(np.logical_or, (_mask(item, rows) for item in tree.items))


def _simple_mask(tree: Simple, rows: Rows) -> Bools:
    if tree.subject == "task:group":
        return _group_mask(tree, rows)
    if tree.subject == "agentConnected":
        answers = np.array([tree.test("false"), tree.test("true")])
        return answers[rows.connected.view(np.int8)]
    if tree.subject == "runningTasksCount":
        return _COMPARE[tree.operator](rows.running, tree.argument)
    if tree.subject == "registeredAt":
        return _COMPARE[tree.operator](rows.registered, tree.argument)
    column = rows.column(tree.subject)
    if tree.operator == "==" and tree.subject != "agentVersion":
        return np.equal(column.codes, column.index.get(str(tree.argument), -2))
    # The last answer is that of code -1.
    answers = np.array([*map(tree.test, column.values), tree.lacking], dtype=np.bool_)
    return answers[column.codes]


_COMPARE: dict[str, Callable[[Any, Any], Bools]] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "<": np.less,
    "<=": np.less_equal,
}


def _group_mask(tree: Simple, rows: Rows) -> Bools:
    if isinstance(tree.argument, frozenset):
        wanted: Iterable[str] = tree.argument
    elif tree.operator in ("==", "!="):
        wanted = (str(tree.argument),)
    else:
        wanted = [group for group in rows.groups() if tree.finds(group)]
    mask = np.zeros(rows.size, dtype=np.bool_)
    for group in wanted:
        mask |= rows.hosting(group)
    return np.logical_not(mask) if tree.negated else mask


def _matches(tree: Tree, facts: Facts) -> bool:
    match tree:
        case Simple():
            return _simple_matches(tree, facts)
        case Negation():
            return not _matches(tree.item, facts)
        case All():
            return all(_matches(item, facts) for item in tree.items)
        case AnyOf():
            return any(_matches(item, facts) for item in tree.items)


def _simple_matches(tree: Simple, facts: Facts) -> bool:
    if tree.subject == "task:group":
        return any(map(tree.finds, facts.task_groups)) != tree.negated
    if tree.subject == "runningTasksCount":
        return bool(_COMPARE[tree.operator](facts.running_tasks_count, tree.argument))
    if tree.subject == "registeredAt":
        return bool(_COMPARE[tree.operator](seconds_of(facts.registered_at), tree.argument))
    value = _value(tree.subject, facts)
    return tree.lacking if value is None else tree.test(value)


def _value(subject: str, facts: Facts) -> str | None:
    if subject == "agentConnected":
        return "true" if facts.agent_connected else "false"
    if subject == "agentVersion":
        return facts.agent_version
    if subject == "ec2InstanceId":
        return facts.ec2_instance_id or None
    name = subject.removeprefix("attribute:")
    return (facts.attributes[name] or "") if name in facts.attributes else None


def seconds_of(instant: datetime) -> int:
    """The second since 1970 that an instant is in."""
    return int((instant - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() // 1)
