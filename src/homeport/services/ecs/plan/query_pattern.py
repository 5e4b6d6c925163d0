"""Regular expressions that cannot run away.

The cluster query language matches with java.util.regex over the whole value. A
backtracking engine takes exponential time on hostile patterns, so this is a
subset of Java's syntax compiled to a nondeterministic automaton that is run in
time proportional to pattern times text, with its deterministic states
remembered. What only backtracking can do (back-references, look-around,
possessive quantifiers) is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field

STATES_MAX = 2_000
DEPTH_MAX = 50
_REMEMBERED_MAX = 4_096
_CLASSES = {
    "d": ((48, 57),),
    "w": ((48, 57), (65, 90), (95, 95), (97, 122)),
    "s": ((9, 13), (32, 32)),
}
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "e": "\x1b", "a": "\x07"}
_LINE_ENDS = ((10, 10), (13, 13), (0x85, 0x85), (0x2028, 0x2029))

Ranges = tuple[tuple[int, int], ...]


class PatternError(ValueError):
    """The pattern is wrong, or of a kind that is not supported."""


@dataclass(frozen=True, slots=True)
class CharSet:
    """A set of characters, as ranges of code points."""

    ranges: Ranges
    negated: bool = False
    any_case: bool = False

    def holds(self, char: str) -> bool:
        """Whether `char` is in the set."""
        chars = {char, char.lower(), char.upper()} if self.any_case else {char}
        found = any(low <= ord(c) <= high for c in chars if len(c) == 1 for low, high in self.ranges)
        return found != self.negated


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`item`, `least` to `most` times; None is without end."""

    item: Node
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Anchor:
    """`^` or `$`."""

    at_end: bool


Node = CharSet | Sequence | Choice | Repeat | Anchor


class _Parser:
    """Recursive descent over the pattern."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._any_case = text.startswith("(?i)")
        if self._any_case:
            self._at = 4

    def parse(self) -> Node:
        node = self._choice(0)
        if self._at < len(self._text):
            raise PatternError("unbalanced parenthesis")
        return node

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise PatternError("the pattern ends too early")
        self._at += 1
        return char

    def _eat(self, text: str) -> bool:
        found = self._text.startswith(text, self._at)
        if found:
            self._at += len(text)
        return found

    def _choice(self, depth: int) -> Node:
        if depth > DEPTH_MAX:
            raise PatternError("groups are nested too deeply")
        items = [self._sequence(depth)]
        while self._eat("|"):
            items.append(self._sequence(depth))
        return items[0] if len(items) == 1 else Choice(tuple(items))

    def _sequence(self, depth: int) -> Node:
        items: list[Node] = []
        while self._peek() and self._peek() not in "|)":
            items.append(self._quantified(self._atom(depth)))
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _quantified(self, node: Node) -> Node:
        if (bounds := self._bounds()) is None:
            return node
        if self._eat("+"):
            raise PatternError("possessive quantifiers are not supported")
        self._eat("?")  # lazy: the same for a match of the whole value
        return Repeat(node, *bounds)

    def _bounds(self) -> tuple[int, int | None] | None:
        simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        if self._peek() in simple:
            return simple[self._take()]
        if not self._eat("{"):
            return None
        end = self._text.find("}", self._at)
        least, comma, most = self._text[self._at : max(end, self._at)].partition(",")
        if end < 0 or not _is_count(least) or not (most == "" or _is_count(most)):
            raise PatternError("a repetition is {m}, {m,} or {m,n}")
        self._at = end + 1
        low, high = int(least), int(most) if most else None
        if not comma:
            high = low
        if max(low, high or 0) > STATES_MAX or (high is not None and high < low):
            raise PatternError("a repetition's bounds are out of range")
        return low, high

    def _atom(self, depth: int) -> Node:
        char = self._take()
        if char == "(":
            if self._eat("?") and not self._eat(":"):
                raise PatternError("look-around, flags and named groups are not supported")
            node = self._choice(depth + 1)
            if not self._eat(")"):
                raise PatternError("unbalanced parenthesis")
            return node
        if char == "[":
            return self._class()
        if char == ".":
            return CharSet(_LINE_ENDS, negated=True)
        if char in "^$":
            return Anchor(char == "$")
        if char in "*+?{":
            raise PatternError(f"nothing to repeat before {char!r}")
        if char == "\\":
            return self._escape()
        return self._literal(char)

    def _literal(self, char: str) -> CharSet:
        return CharSet(((ord(char), ord(char)),), any_case=self._any_case)

    def _escape(self) -> CharSet:
        char = self._take()
        if char.lower() in _CLASSES:
            return CharSet(_CLASSES[char.lower()], negated=char.isupper())
        if char in _CONTROLS:
            return self._literal(_CONTROLS[char])
        if char.isalnum():
            raise PatternError(f"\\{char} is not supported")
        return self._literal(char)

    def _class(self) -> CharSet:
        negated = self._eat("^")
        ranges: list[tuple[int, int]] = []
        first = True
        while first or self._peek() != "]":
            if self._peek() == "[" or self._text.startswith("&&", self._at):
                raise PatternError("classes within classes are not supported")
            ranges += self._class_item()
            first = False
        self._take()
        return CharSet(tuple(ranges), negated, self._any_case)

    def _class_item(self) -> Ranges:
        low = self._class_char()
        ahead = self._text[self._at + 1 : self._at + 2]
        if self._peek() != "-" or ahead in ("]", ""):
            return low.ranges
        self._take()
        high = self._class_char()
        start, end = low.ranges[0][0], high.ranges[0][1]
        if len(low.ranges) > 1 or len(high.ranges) > 1 or start > end:
            raise PatternError("a range's end comes before its start")
        return ((start, end),)

    def _class_char(self) -> CharSet:
        char = self._take()
        if char != "\\":
            return self._literal(char)
        escaped = self._escape()
        if escaped.negated:
            raise PatternError("a negated class within a class is not supported")
        return escaped


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit()


@dataclass(slots=True)
class _Automaton:
    """States are numbers: `chars[s]` with `next[s]` consumes, `free[s]` are moves without."""

    chars: list[CharSet | None] = field(default_factory=list)
    next: list[int] = field(default_factory=list)
    free: list[list[tuple[int, str]]] = field(default_factory=list)

    def state(self, chars: CharSet | None = None, to: int = -1) -> int:
        if len(self.chars) >= STATES_MAX:
            raise PatternError("the pattern is too large")
        self.chars.append(chars)
        self.next.append(to)
        self.free.append([])
        return len(self.chars) - 1

    def build(self, node: Node, to: int) -> int:
        """A state from which `node` leads to `to`."""
        match node:
            case CharSet():
                return self.state(node, to)
            case Anchor():
                entry = self.state()
                self.free[entry].append((to, "$" if node.at_end else "^"))
                return entry
            case Sequence(items=()):  # takes a state, so that STATES_MAX bounds the work too
                entry = self.state()
                self.free[entry].append((to, ""))
                return entry
            case Sequence():
                for item in reversed(node.items):
                    to = self.build(item, to)
                return to
            case Choice():
                entry = self.state()
                self.free[entry] += [(self.build(item, to), "") for item in node.items]
                return entry
            case Repeat():
                return self._repeat(node, to)

    def _repeat(self, node: Repeat, to: int) -> int:
        if node.most is None:
            loop = self.state()
            self.free[loop] += [(self.build(node.item, loop), ""), (to, "")]
            to = loop
        else:
            end = to
            for _ in range(node.most - node.least):
                entry = self.state()
                self.free[entry] += [(self.build(node.item, to), ""), (end, "")]
                to = entry
        for _ in range(node.least):
            to = self.build(node.item, to)
        return to

    def closure(self, states: frozenset[int], *, at_start: bool, at_end: bool) -> frozenset[int]:
        """`states` and all that they reach without consuming."""
        found, todo = set(states), list(states)
        while todo:
            for to, condition in self.free[todo.pop()]:
                holds = {"": True, "^": at_start, "$": at_end}[condition]
                if holds and to not in found:
                    found.add(to)
                    todo.append(to)
        return frozenset(found)


class Pattern:
    """A compiled pattern."""

    def __init__(self, text: str) -> None:
        self._automaton = _Automaton()
        self._accept = self._automaton.state()
        entry = self._automaton.build(_Parser(text).parse(), self._accept)
        self._entry = frozenset({entry})
        self._steps: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def matches(self, text: str) -> bool:
        """Whether the pattern matches the whole of `text`."""
        automaton = self._automaton
        states = automaton.closure(self._entry, at_start=True, at_end=not text)
        for char in text:
            if not states:
                return False
            states = self._step(states, char)
        return self._accept in automaton.closure(states, at_start=not text, at_end=True)

    def _step(self, states: frozenset[int], char: str) -> frozenset[int]:
        key = (states, char)
        if (known := self._steps.get(key)) is not None:
            return known
        automaton = self._automaton
        moved = {
            automaton.next[s]
            for s in states
            if (chars := automaton.chars[s]) is not None and chars.holds(char)
        }
        after = automaton.closure(frozenset(moved), at_start=False, at_end=False)
        if len(self._steps) >= _REMEMBERED_MAX:
            self._steps.clear()
        self._steps[key] = after
        return after
