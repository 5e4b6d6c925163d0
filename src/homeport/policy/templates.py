"""Texts with wildcards and variables: `arn:aws:s3:::home/${aws:username}/*`.

A text is cut into tokens once. Without variables it becomes one matcher; with them, a matcher per
combination of values, which is kept. What a variable stands for is never a wildcard.

A run of characters between two wildcards is taken where it is found first, and never tried again (an
atomic group): what any number of stars costs grows with the length of the text, not exponentially.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from homeport.policy.request import Context

Matcher = Callable[[str], object]
"""Truth says that the text matches."""

BOUND_MAX = 512


class Wild(Enum):
    """`?` and `*`; those of a field stop at a colon."""

    ONE = 1
    ANY = 2
    ONE_IN_FIELD = 3
    ANY_IN_FIELD = 4


@dataclass(frozen=True, slots=True)
class Variable:
    """`${key}` or `${key, 'default'}`; the key is folded."""

    key: str
    default: str | None


Token = str | Wild | Variable
Bound = str | Wild

_WILDCARD = re.compile(r"[*?]")
_VARIABLE = re.compile(r"\$\{(?:([*?$])|\s*([^\s,'{}]+)\s*(?:,\s*'([^'{}]*)'\s*)?)\}")
_EITHER = re.compile(f"{_VARIABLE.pattern}|[*?]")
_NEITHER = re.compile(r"(?!)")


def tokens_of(text: str, *, variables: bool, wildcards: bool) -> tuple[Token, ...]:
    """Cut `text`; what is no well-formed variable is text. Source: IAM User Guide, variables and tags."""
    special = {
        (True, True): _EITHER,
        (True, False): _VARIABLE,
        (False, True): _WILDCARD,
        (False, False): _NEITHER,
    }[variables, wildcards]
    tokens: list[Token] = []
    position = 0
    for found in special.finditer(text):
        tokens += [text[position : found.start()], _token(found)]
        position = found.end()
    return _joined([*tokens, text[position:]])


def _token(found: re.Match[str]) -> Token:
    if not found[0].startswith("$"):
        return Wild.ANY if found[0] == "*" else Wild.ONE
    literal, key, default = found.groups()
    return str(literal) if literal else Variable(key.lower(), default)


def _joined(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """Neighbouring texts as one, stars that say the same once, nothing empty."""
    out: list[Token] = []
    for token in tokens:
        if token == "":
            continue
        last = out[-1] if out else None
        if isinstance(token, str) and isinstance(last, str):
            out[-1] = last + token
        elif not (token is last and token in (Wild.ANY, Wild.ANY_IN_FIELD)):
            out.append(token)
    return tuple(out)


class Template:
    """A text to compare with, for any request."""

    __slots__ = ("_kept", "_tokens", "_variables", "_widest", "static")

    def __init__(self, tokens: tuple[Token, ...]) -> None:
        self._tokens = tokens
        self._variables = tuple(token for token in tokens if isinstance(token, Variable))
        self._kept: dict[tuple[str, ...], Matcher] = {}
        self.static: Matcher | None = None
        if self._variables:
            blank = [Wild.ANY if isinstance(token, Variable) else token for token in tokens]
            self._widest = matcher_of(_without_variables(_joined(blank)))
        else:
            self._widest = self.static = matcher_of(_without_variables(tokens))

    @property
    def variable_keys(self) -> set[str]:
        """What its matcher depends on, in lower case."""
        return {variable.key for variable in self._variables}

    def may_match(self, text: str) -> bool:
        """Whether some values of the variables would match."""
        return bool(self._widest(text))

    def matcher(self, context: Context) -> Matcher | None:
        """`None` when a variable has no value, or several: nothing can be compared then."""
        if self.static is not None:
            return self.static
        values = self._values(context)
        if values is None:
            return None
        kept = self._kept.get(values)
        if kept is None:
            if len(self._kept) >= BOUND_MAX:
                self._kept.clear()
            kept = self._kept[values] = matcher_of(_bound(self._tokens, values))
        return kept

    def _values(self, context: Context) -> tuple[str, ...] | None:
        if len(self._variables) == 1:
            found = context.get(self._variables[0].key)
            if len(found) == 1:
                return found
        values: list[str] = []
        for variable in self._variables:
            found = context.get(variable.key)
            if len(found) == 1:
                values.append(found[0])
            elif not found and variable.default is not None:
                values.append(variable.default)
            else:
                return None
        return tuple(values)


def _bound(tokens: tuple[Token, ...], values: tuple[str, ...]) -> tuple[Bound, ...]:
    rest = iter(values)
    filled = [next(rest) if isinstance(token, Variable) else token for token in tokens]
    return _without_variables(_joined(filled))


def _without_variables(tokens: tuple[Token, ...]) -> tuple[Bound, ...]:
    return tuple(token for token in tokens if not isinstance(token, Variable))


def matcher_of(tokens: tuple[Bound, ...]) -> Matcher:
    """The cheapest test that says the same."""
    match tokens:
        case ():
            return lambda text: text == ""
        case (str(literal),):
            return lambda text: text == literal
        case (Wild.ANY,):
            return lambda text: True  # noqa: ARG005
        case (str(literal), Wild.ANY):
            return lambda text: text.startswith(literal)
    if Wild.ANY_IN_FIELD in tokens:
        return _simulated(tokens)
    return re.compile(_expression(tokens), re.DOTALL).fullmatch


_CLASSES = {Wild.ONE: ".", Wild.ONE_IN_FIELD: "[^:]"}


def _expression(tokens: tuple[Bound, ...]) -> str:
    """Runs between stars; each is found first where it comes first, but for the one at the end."""
    runs = [""]
    for token in tokens:
        if isinstance(token, str):
            runs[-1] += re.escape(token)
        elif token is Wild.ANY:
            runs.append("")
        else:
            runs[-1] += _CLASSES[token]
    first, *middle = runs
    if not middle:
        return first
    last = middle.pop()
    return first + "".join(f"(?>.*?{run})" for run in middle) + ".*" + last


def _simulated(tokens: tuple[Bound, ...]) -> Matcher:
    """All ways at once, for a star that may not pass a colon beside one that may: first is not best there."""
    steps: list[Bound] = []
    for token in tokens:
        steps += list(token) if isinstance(token, str) else [token]
    end = len(steps)
    stars = (Wild.ANY, Wild.ANY_IN_FIELD)

    def closed(places: set[int]) -> set[int]:
        for place in sorted(places):
            step = place
            while step < end and steps[step] in stars:
                step += 1
                places.add(step)
        return places

    def matches(text: str) -> bool:
        places = closed({0})
        for character in text:
            places = closed(
                {
                    place if steps[place] in stars else place + 1
                    for place in places
                    if place < end and _takes(steps[place], character)
                }
            )
        return end in places

    return matches


def _takes(step: Bound, character: str) -> bool:
    if isinstance(step, str):
        return step == character
    return step in (Wild.ONE, Wild.ANY) or character != ":"
