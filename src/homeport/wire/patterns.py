r"""The models' regular expressions, which are Java's, as Python's.

Three things differ: `\p{L}` classes, characters beyond U+FFFF written as surrogate
pairs, and a hyphen after a class escape (`[\w-/]`). AWS's services match the whole
value, whether or not the pattern is anchored.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_POSIX = {
    "ASCII": r"\x00-\x7f",
    "Alnum": "a-zA-Z0-9",
    "Alpha": "a-zA-Z",
    "Blank": r" \t",
    "Cntrl": r"\x00-\x1f\x7f",
    "Digit": "0-9",
    "Graph": r"\x21-\x7e",
    "Lower": "a-z",
    "Print": r"\x20-\x7e",
    "Punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "Space": r"\t-\r ",
    "Upper": "A-Z",
    "XDigit": "0-9a-fA-F",
}
_PROPERTY = re.compile(r"\\([pP])(?:\{(?:Is)?(\w+)\}|(\w))")
_SURROGATES = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_PLANES = (range(0x33480), range(0xE0000, 0xE0200))
"""Where characters are assigned (Unicode 14 to 16); the rest are unassigned or private."""


class UnsupportedPatternError(ValueError):
    """The pattern uses something that this translation does not know."""


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a model's pattern; use `fullmatch`."""
    try:
        return re.compile(_translate(pattern), re.ASCII)
    except re.error as error:
        raise UnsupportedPatternError(f"{pattern!r}: {error}") from error


def _translate(pattern: str) -> str:
    pattern = _SURROGATES.sub(_join_surrogates, pattern)
    out: list[str] = []
    inside = False
    after_class = False
    at = 0
    while at < len(pattern):
        found = _PROPERTY.match(pattern, at)
        if found is not None:
            out.append(_property(found, inside))
            after_class, at = True, found.end()
            continue
        char = pattern[at]
        step = 2 if char == "\\" else 1
        if inside and char == "-" and after_class:
            out.append("\\-")
        elif inside and char == "[":
            out.append("\\[")
        else:
            out.append(pattern[at : at + step])
        after_class = inside and pattern[at : at + step] in {"\\w", "\\d", "\\s", "\\W", "\\D", "\\S"}
        if step == 1 and char in "[]":
            inside = char == "[" or (inside and _is_first_in_class(pattern, at))
        at += step
    return "".join(out)


def _is_first_in_class(pattern: str, at: int) -> bool:
    """Whether the bracket at `at` stands where it is a literal: `[]...]` or `[^]...]`."""
    return pattern[at] == "]" and (pattern[at - 1] == "[" or pattern[max(at - 2, 0) : at] == "[^")


def _property(found: re.Match[str], inside: bool) -> str:
    ranges = _ranges(found[2] or found[3])
    negated = found[1] == "P"
    if inside:
        if negated:
            raise UnsupportedPatternError(f"{found[0]} inside a class")
        return ranges
    return f"[{'^' if negated else ''}{ranges}]"


def _join_surrogates(found: re.Match[str]) -> str:
    high, low = int(found[1], 16), int(found[2], 16)
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


@cache
def _ranges(name: str) -> str:
    """The body of a character class for a POSIX name or a Unicode general category."""
    if name in _POSIX:
        return _POSIX[name]
    spans = [span for category, found in _categories().items() if category.startswith(name) for span in found]
    if not spans:
        raise UnsupportedPatternError(f"no character is {name}")
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in _joined(sorted(spans)))


@cache
def _categories() -> dict[str, list[tuple[int, int]]]:
    """The runs of equal general category."""
    found: dict[str, list[tuple[int, int]]] = {}
    for plane in _PLANES:
        first, current = plane.start, unicodedata.category(chr(plane.start))
        for code in plane:
            category = unicodedata.category(chr(code))
            if category != current:
                found.setdefault(current, []).append((first, code - 1))
                first, current = code, category
        found.setdefault(current, []).append((first, plane.stop - 1))
    return found


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for first, last in spans:
        if out and out[-1][1] == first - 1:
            out[-1] = (out[-1][0], last)
        else:
            out.append((first, last))
    return out
