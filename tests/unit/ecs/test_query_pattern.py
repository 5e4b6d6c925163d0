"""Patterns: the language of regular expressions, without the ways to hang on one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.services.ecs.plan.query_pattern import Pattern, PatternError

CHARS = st.sampled_from((*"abAB1.-", r"\.", r"\d", r"\w", r"\S", "[ab]", "[^a]", "[a-z1]", r"[\d-]", "[-a]"))
QUANTIFIERS = st.sampled_from(("*", "+", "?", "{2}", "{1,2}", "{0,}", "*?", "+?", "??", "{0}"))
PATTERNS = st.recursive(
    CHARS,
    lambda inner: st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("({}|{})".format, inner, inner),
        st.builds("(?:{}|)".format, inner),
        st.builds("({}){}".format, inner, QUANTIFIERS),
        st.builds("^{}".format, inner),
        st.builds("{}$".format, inner),
        st.builds("{}{}".format, CHARS, QUANTIFIERS),
    ),
    max_leaves=6,
)


@settings(max_examples=120, deadline=None)
@given(PATTERNS, st.lists(st.text("abAB1.-x", max_size=6), max_size=8), st.booleans())
def test_matches_what_python_matches(text: str, values: list[str], any_case: bool) -> None:
    ours = Pattern(("(?i)" if any_case else "") + text)
    oracle = re.compile(rf"(?:{text})\Z", re.ASCII | (re.IGNORECASE if any_case else 0))
    for value in values:
        # `$` before a final line feed is not in these values, where the two would differ.
        assert ours.matches(value) == bool(oracle.match(value)), (text, value)


CASES = [
    ("t2.*", "t2.small", True),
    ("t2", "t2.small", False),
    (".*small", "t2.small", True),
    ("", "", True),
    ("", "a", False),
    ("a||b", "", True),
    (".", "\n", False),
    (r"\s+", " \t\n", True),
    (r"[^\]]", "]", False),
    ("[]a]", "]", True),
    (r"\Ad", "Ad", None),
    (r"a\.b", "a.b", True),
    (r"a\.b", "axb", False),
    ("(?i)PROD", "prod", True),
    ("PROD", "prod", False),
    ("a{3}", "aaa", True),
    ("a{2,3}", "a", False),
    ("x^a", "xa", False),
    ("(^a|b)$", "a", True),
    ("é+", "éé", True),
]


@pytest.mark.parametrize(("text", "value", "expected"), CASES)
def test_documented_forms_match_as_documented(text: str, value: str, expected: bool | None) -> None:
    """Source: java.util.regex.Pattern, as far as it is supported; None: refused."""
    if expected is None:
        with pytest.raises(PatternError):
            Pattern(text)
    else:
        assert Pattern(text).matches(value) is expected


@pytest.mark.parametrize(
    "text",
    [
        *("(", ")", "a)", "[a", "[", "[^", "*", "a**", "a{", "a{x}", "a{2,1}", "a{,2}", "a{99999}", "\\"),
        *(
            "(?=a)",
            "(?<n>a)",
            "(?!a)",
            "a*+",
            r"\1",
            r"\p{L}",
            r"\bword",
            "[a[b]]",
            "[a&&b]",
            "[z-a]",
            r"[\D]",
        ),
        *("(" * 60 + ")" * 60, "((((a{99}){99}){99}){99})", "((){1999}){1999}", "(a|" * 40 + "b{2000}"),
    ],
    ids=lambda text: text[:12],
)
def test_what_is_wrong_or_needs_backtracking_is_refused(text: str) -> None:
    with pytest.raises(PatternError):
        Pattern(text)


@pytest.mark.parametrize("text", ["(a+)+b", "(a|a)*b", "(a*)*(a*)*b", "(.*)*x", "(a?){60}a{60}b"])
def test_hostile_patterns_answer_in_time(text: str) -> None:
    """A backtracking engine would take longer than the universe has."""
    assert not Pattern(text).matches("a" * 255)


def test_what_is_remembered_is_bounded() -> None:
    pattern = Pattern(".*x")
    for code in range(0x4E00, 0x4E00 + 9_000):
        assert pattern.matches(chr(code) + "x")
    assert len(pattern._steps) <= 4_096
