"""Wildcards of rules as regular expressions for the proxy (RE2), which always matches whole values.

`\\C` is a byte: what clients send need not be UTF-8, and `*` is any of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

ANY = r"\C*"
_SPECIAL = frozenset(r"\.+*?()|[]{}^$")
_HOST_ANY = r"(?:\[[^\]]*\]|[^:])*"
_HOST_ONE = "[^:]"
_QUERY_ANY = "[^&]*"
_QUERY_ONE = "[^&]"
_KEY_ANY = "[^&=]*"
_KEY_ONE = "[^&=]"


def literal(text: str) -> str:
    """`text` and nothing else."""
    return "".join(f"\\{c}" if c in _SPECIAL else c for c in text)


def wildcards(pattern: str, *, many: str = ANY, one: str = "(?s:.)", escapes: bool = False) -> str:
    r"""`*` is any number of characters, `?` one; with `escapes`, `\*`, `\?` and `\\` are themselves."""
    out: list[str] = []
    rest = iter(pattern)
    for c in rest:
        if c == "\\" and escapes:
            out.append(literal(next(rest, "\\")))
        elif c == "*":
            out.append(many)
        elif c == "?":
            out.append(one)
        else:
            out.append(literal(c))
    return "".join(out)


def either(parts: Iterable[str]) -> str:
    """One of these expressions."""
    return f"(?:{'|'.join(parts)})"


def whole(patterns: Iterable[str], regexes: Iterable[str], read: Callable[[str], str] = wildcards) -> str:
    """A value that one of the patterns matches whole, or in which one of the expressions is found."""
    found = (f"{ANY}(?:{regex}){ANY}" for regex in regexes)
    return either([*(read(pattern) for pattern in patterns), *found])


def host(patterns: Iterable[str], regexes: Iterable[str]) -> str:
    """A Host header: any case of letters, whatever port.

    An expression is for the name alone, and can say where it ends: the port is looked at first.
    """
    named = either(wildcards(p, many=_HOST_ANY, one=_HOST_ONE) for p in patterns)
    alternatives = [f"{named}(?::[0-9]+)?"] if patterns else []
    alternatives += [f"{ANY}(?:{_before_port(regex)}){ANY}" for regex in regexes]
    return f"(?i){either(alternatives)}"


def _before_port(regex: str) -> str:
    r"""`$` at the end of an expression for a name also holds before a port."""
    if regex.endswith("$") and not regex.endswith(r"\$"):
        return f"{regex[:-1]}(?::[0-9]+)?$"
    return regex


def query(key: str | None, value: str) -> str:
    """A path with a query that has this parameter, in any case of letters.

    Without a key: a parameter of any name with this value, or one without `=` that is the value.
    """
    wanted = wildcards(value, many=_QUERY_ANY, one=_QUERY_ONE, escapes=True)
    if key is not None:
        wanted = f"{wildcards(key, many=_KEY_ANY, one=_KEY_ONE, escapes=True)}={wanted}"
    else:
        alone = [] if "=" in value else [wildcards(value, many=_KEY_ANY, one=_KEY_ONE, escapes=True)]
        wanted = either([f"{_KEY_ANY}={wanted}", *alone])
    return rf"[^?]*\?(?:[^&]*&)*{wanted}(?:&{ANY})?"
