"""Condition operators: one key of one operator becomes one function of the request's context.

What holds for all of them (source: IAM User Guide, condition operators; single- and multivalued keys):

- several values in the document: one must match; of a negated operator, none may;
- a missing key does not match, so a negated operator is true; `IfExists` makes any operator true;
- `ForAllValues` wants every value of the request and is true without any, `ForAnyValue` wants one and is
  false without; empty texts are no values for these two;
- a value whose variable has no value matches nothing, and a negated operator with one is false: the
  statement does not apply. Values are only looked at when the key is there.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from homeport.policy import values as read
from homeport.policy.arns import ArnPattern
from homeport.policy.document import Condition, Qualifier
from homeport.policy.request import Context
from homeport.policy.templates import Template, Token, Variable, tokens_of

Check = Callable[[Context], bool]
Match = Callable[[str, Context], bool | None]
"""Whether a value of the request matches one of the document's; `None`: not, but one could not be read."""

Builder = Callable[[tuple[str, ...], bool], Match]


def _texts(values: tuple[str, ...], variables: bool, *, wildcards: bool) -> Match:
    templates = [Template(tokens_of(v, variables=variables, wildcards=wildcards)) for v in values]
    statics = [template.static for template in templates if template.static]
    if len(statics) < len(templates):
        return partial(_any_template, templates)
    if not wildcards:
        return _one_of(frozenset(values if not variables else map(_unescaped, values)))
    if len(statics) == 1:
        (only,) = statics
        return lambda value, _: bool(only(value))
    return lambda value, _: any(static(value) for static in statics)


def _unescaped(value: str) -> str:
    """A text without variables, in which `${*}` may still stand for a star."""
    return "".join(str(token) for token in tokens_of(value, variables=True, wildcards=False))


def _one_of(wanted: frozenset[str]) -> Match:
    return lambda value, _: value in wanted


def _any_template(templates: list[Template], value: str, context: Context) -> bool | None:
    unread = False
    for template in templates:
        matcher = template.matcher(context)
        if matcher is None:
            unread = True
        elif matcher(value):
            return True
    return None if unread else False


def _equal_texts(values: tuple[str, ...], variables: bool) -> Match:
    return _texts(values, variables, wildcards=False)


def _like_texts(values: tuple[str, ...], variables: bool) -> Match:
    return _texts(values, variables, wildcards=True)


def _caseless_texts(values: tuple[str, ...], variables: bool) -> Match:
    templates = [_folded_template(value, variables) for value in values]

    def matches(value: str, context: Context) -> bool | None:
        return _any_template(templates, value.lower(), _FoldedContext(context))

    return matches


def _folded_template(value: str, variables: bool) -> Template:
    tokens = tokens_of(value, variables=variables, wildcards=False)
    return Template(tuple(_folded(token) for token in tokens))


def _folded(token: Token) -> Token:
    if isinstance(token, Variable):
        return Variable(token.key, None if token.default is None else token.default.lower())
    return token.lower() if isinstance(token, str) else token


class _FoldedContext(Context):
    """What variables stand for, in lower case."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Context) -> None:
        super().__init__()
        self._inner = inner

    def get(self, folded: str) -> tuple[str, ...]:
        return tuple(value.lower() for value in self._inner.get(folded))


def _arns(values: tuple[str, ...], variables: bool) -> Match:
    patterns = [ArnPattern(value, variables=variables) for value in values]

    def matches(value: str, context: Context) -> bool | None:
        results = [pattern.matches(value, context) for pattern in patterns]
        return True if True in results else None if None in results else False

    return matches


def _booleans(values: tuple[str, ...], variables: bool) -> Match:
    templates = [_folded_template(value, variables) for value in values]

    def matches(value: str, context: Context) -> bool | None:
        if read.boolean(value) is None:
            return False
        return _any_template(templates, value.lower(), _FoldedContext(context))

    return matches


def _compared(reader: Callable[[str], Any], compare: Callable[[Any, Any], bool]) -> Builder:
    def build(values: tuple[str, ...], _variables: bool) -> Match:
        wanted = [parsed for parsed in map(reader, values) if parsed is not None]

        def matches(value: str, _: Context) -> bool:
            asked = reader(value)
            return asked is not None and any(compare(asked, one) for one in wanted)

        return matches

    return build


def _networks(values: tuple[str, ...], _variables: bool) -> Match:
    networks = [network for network in map(read.network, values) if network is not None]

    def matches(value: str, _: Context) -> bool:
        asked = read.address(value)
        return asked is not None and any(
            asked.version == network.version and asked in network for network in networks
        )

    return matches


_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "LessThan": operator.lt,
    "LessThanEquals": operator.le,
    "GreaterThan": operator.gt,
    "GreaterThanEquals": operator.ge,
}

_POSITIVE: Mapping[str, Builder] = {
    "StringEquals": _equal_texts,
    "StringEqualsIgnoreCase": _caseless_texts,
    "StringLike": _like_texts,
    "NumericEquals": _compared(read.number, operator.eq),
    **{f"Numeric{name}": _compared(read.number, order) for name, order in _ORDERS.items()},
    "DateEquals": _compared(read.instant, operator.eq),
    **{f"Date{name}": _compared(read.instant, order) for name, order in _ORDERS.items()},
    "Bool": _booleans,
    "BinaryEquals": _compared(read.binary, operator.eq),
    "IpAddress": _networks,
    "ArnEquals": _arns,
    "ArnLike": _arns,
}

_NEGATED: Mapping[str, str] = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}

NULL = "Null"
OPERATORS = frozenset({*_POSITIVE, *_NEGATED, NULL})
"""Every base operator."""


def check_of(condition: Condition, *, variables: bool) -> Check:
    """The condition as a function; `variables`: whether the document's version has them."""
    key = condition.key.lower()
    if condition.base == NULL:
        return _absence(key, condition.values)
    negated = condition.base in _NEGATED
    match = _POSITIVE[_NEGATED.get(condition.base, condition.base)](condition.values, variables)
    satisfies: Match = match if not negated else lambda value, ctx: match(value, ctx) is False
    return _qualified(condition, key, satisfies, negated=negated)


def _qualified(condition: Condition, key: str, satisfies: Match, *, negated: bool) -> Check:
    absent = condition.if_exists

    def for_all(context: Context) -> bool:
        return all(satisfies(value, context) for value in context.get(key) if value)

    def for_any(context: Context) -> bool:
        found = context.get(key)
        return any(satisfies(value, context) for value in found if value) if found else absent

    def every(context: Context) -> bool:
        return all(satisfies(value, context) for value in context.get(key))

    def some(context: Context) -> bool:
        found = context.get(key)
        if len(found) == 1:
            return bool(satisfies(found[0], context))
        return any(satisfies(value, context) for value in found) if found else absent

    match condition.qualifier:
        case Qualifier.FOR_ALL:
            return for_all
        case Qualifier.FOR_ANY:
            return for_any
        case _:
            return every if negated else some


def _absence(key: str, values: tuple[str, ...]) -> Check:
    wanted = frozenset(read.boolean(value) for value in values)
    return lambda context: (not context.get(key)) in wanted
