"""The grammar of the cluster query language, and what each operator asks of a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import lark

from homeport.services.ecs.plan.query_pattern import Pattern, PatternError

# Unquoted words end at white space, `)`, `,` or `]`; an unquoted pattern may have classes.
_GRAMMAR = r"""
?start: any
?any: all ("||" all | OR all)*
?all: term (("&&" | AND) term)*
?term: NOT term         -> negation
     | "(" any ")"
     | SUBJECT COMPARE (WORD | QUOTED)      -> comparison
     | SUBJECT MATCH (PATTERN | QUOTED)     -> comparison
     | SUBJECT MEMBER "[" (WORD | QUOTED) ("," (WORD | QUOTED))* "]" -> membership
     | SUBJECT EXISTENCE                    -> existence

OR: /or(?!\w)/
AND: /and(?!\w)/
NOT: /!|not(?!\w)/
SUBJECT: /attribute:[A-Za-z0-9\-_.\/\\]+/ | FIELD
FIELD: /(task:group|agentConnected|agentVersion|ec2InstanceId|registeredAt|runningTasksCount)(?!\w)/
COMPARE: /==|!=|>=|<=|>|<|(equals|not_equals|greater_than_equal|greater_than|less_than_equal|less_than)(?!\w)/
MATCH: /=~|!~|(matches|not_matches)(?!\w)/
MEMBER: /(!in|not_in|in)(?!\w)/
EXISTENCE: /(!exists|not_exists|exists)(?!\w)/
WORD: /[^\s\[\](),'"][^\s\]),]*/
QUOTED: /'[^']*'|"[^"]*"/
PATTERN: /(?!['"])(\[[^\]\s]*\]|[^\s\[\]),])+/
%ignore /\s+/
"""

_OPERATORS = {
    "equals": "==",
    "not_equals": "!=",
    "greater_than": ">",
    "greater_than_equal": ">=",
    "less_than": "<",
    "less_than_equal": "<=",
    "matches": "=~",
    "not_matches": "!~",
    "!in": "not_in",
    "!exists": "not_exists",
}
_NEGATED = {"!=": "==", "!~": "=~", "not_in": "in", "not_exists": "exists"}
_COMPARISONS = frozenset({"==", "!=", ">", ">=", "<", "<="})
_TEXTUAL = frozenset({"==", "!=", "in", "not_in", "=~", "!~"})
_ALLOWED = {
    "agentConnected": _TEXTUAL,
    "ec2InstanceId": _TEXTUAL,
    "agentVersion": _COMPARISONS,
    "registeredAt": _COMPARISONS,
    "runningTasksCount": _COMPARISONS,
    "task:group": _TEXTUAL | {"exists", "not_exists"},
}
_VERSION = re.compile(r"v?(\d{1,9}(?:\.\d{1,9})*)(?:-([0-9A-Za-z.-]+))?(?:\+.*)?", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)?)?", re.ASCII)


class QuerySyntaxError(ValueError):
    """An expression that is not one. `position` counts characters from 0."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(f"{message} at position {position}")
        self.position = position
        self.message = message


VersionKey = tuple[tuple[int, ...], int, tuple[tuple[int, int, str], ...]]
Argument = str | int | VersionKey | Pattern | frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Simple:
    """`subject operator [argument]`; the argument is already of the subject's type."""

    subject: str
    operator: str
    argument: Argument

    @property
    def negated(self) -> bool:
        """Whether the operator says what must not be."""
        return self.operator in _NEGATED

    @property
    def lacking(self) -> bool:
        """The answer for an instance without the subject."""
        return self.operator == "not_exists"

    def test(self, value: str) -> bool:
        """The answer for an instance whose subject has this value."""
        if self.subject == "agentVersion":
            version = version_key(value)
            return version is not None and _ORDER[self.operator](version, self.argument)
        if self.operator in _ORDER and not self.negated:
            return _ORDER[self.operator](value, self.argument)
        return self.finds(value) != self.negated

    def finds(self, value: str) -> bool:
        """Whether `value` is what the operator, without its negation, looks for."""
        if isinstance(self.argument, Pattern):
            return self.argument.matches(value)
        if isinstance(self.argument, frozenset):
            return value in self.argument
        return self.argument is None or value == self.argument


@dataclass(frozen=True, slots=True)
class Negation:
    """Not."""

    item: Tree


@dataclass(frozen=True, slots=True)
class All:
    """And."""

    items: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Or."""

    items: tuple[Tree, ...]


Tree = Simple | Negation | All | AnyOf

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}


def parse_tree(text: str) -> Tree:
    """The expression's tree, or `QuerySyntaxError`."""
    try:
        tree: Tree = _parser().parse(text)
    except lark.exceptions.UnexpectedEOF as error:
        raise QuerySyntaxError(len(text), "the expression ends too early") from error
    except lark.exceptions.UnexpectedToken as error:
        if error.token.type == "$END":
            raise QuerySyntaxError(len(text), "the expression ends too early") from error
        raise QuerySyntaxError(error.pos_in_stream or 0, f"unexpected {str(error.token)!r}") from error
    except lark.exceptions.UnexpectedCharacters as error:
        found = text[error.pos_in_stream : error.pos_in_stream + 20]
        raise QuerySyntaxError(error.pos_in_stream, f"unexpected {found!r}") from error
    return tree


class _Builder:
    """Lark's callbacks: one per rule. Negations cancel out, so that trees stay shallow."""

    def any(self, items: list[Any]) -> Tree:
        return AnyOf(tuple(item for item in items if not isinstance(item, str)))

    def all(self, items: list[Any]) -> Tree:
        return All(tuple(item for item in items if not isinstance(item, str)))

    def negation(self, items: list[Any]) -> Tree:
        item: Tree = items[1]
        return item.item if isinstance(item, Negation) else Negation(item)

    def comparison(self, items: list[Any]) -> Simple:
        subject, sign, word = items
        operator = _operator(subject, sign)
        return Simple(str(subject), operator, _argument(str(subject), operator, word))

    def membership(self, items: list[Any]) -> Simple:
        subject, sign, *words = items
        return Simple(str(subject), _operator(subject, sign), frozenset(map(_unquoted, words)))

    def existence(self, items: list[Any]) -> Simple:
        subject, sign = items
        return Simple(str(subject), _operator(subject, sign), None)


def _operator(subject: Any, sign: Any) -> str:
    operator = _OPERATORS.get(str(sign), str(sign))
    if operator not in _ALLOWED.get(str(subject), {operator}):
        raise QuerySyntaxError(sign.start_pos, f"{subject} has no operator {sign}")
    return operator


def _unquoted(word: Any) -> str:
    return str(word[1:-1]) if word.type == "QUOTED" else str(word)


def _argument(subject: str, operator: str, word: Any) -> Argument:
    text = _unquoted(word)
    try:
        if operator in ("=~", "!~"):
            return Pattern(text)
        if subject == "runningTasksCount":
            return _count(text)
        if subject == "registeredAt":
            return _instant(text)
    except ValueError as error:
        message = str(error) if isinstance(error, PatternError) else f"not a value of {subject}: {text!r}"
        raise QuerySyntaxError(word.start_pos, message) from error
    if subject == "agentVersion":
        version = version_key(text)
        if version is None:
            raise QuerySyntaxError(word.start_pos, f"not a version: {text!r}")
        return version
    return text


def _count(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise ValueError(text)
    return int(text)


def _instant(text: str) -> int:
    """Seconds since 1970. Formats as documented: a zone, none (UTC), or a date only."""
    if not _INSTANT.fullmatch(text):
        raise ValueError(text)
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return int((instant - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


def version_key(text: str) -> VersionKey | None:
    """Orders versions as semver does: 1.9 < 1.10, 1.0-dev < 1.0 = 1.0.0. None: not a version."""
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    numbers = [int(part) for part in found[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    if found[2] is None:
        return tuple(numbers), 1, ()
    labels = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in found[2].split("."))
    return tuple(numbers), 0, labels


@lru_cache(maxsize=1)
def _parser() -> Any:
    return lark.Lark(_GRAMMAR, parser="lalr", transformer=_Builder())
