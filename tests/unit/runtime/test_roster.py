"""What is told as a whole: not before everything was looked at, and all of it at each change."""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import given
from hypothesis import strategies as st

from homeport.runtime.roster import Roster

KEYS = st.sampled_from("abcd")
STEPS = st.lists(st.tuples(st.sampled_from(["put", "drop", "give up"]), KEYS, st.integers(0, 2)))


class Told:
    def __init__(self, *first: str) -> None:
        self.said: list[list[int]] = []
        self.roster: Roster[int] = Roster(self.take)
        self.roster.expect(first)

    def take(self, wanted: Collection[int]) -> None:
        self.said.append(list(wanted))


@given(st.sets(KEYS), STEPS)
def test_nothing_is_said_before_every_key_was_looked_at_and_then_all_that_is_wanted(
    first: set[str], steps: list[tuple[str, str, int]]
) -> None:
    told, wanted, unseen = Told(*first), dict[str, int](), set(first)
    for what, key, value in steps:
        if what == "put":
            told.roster.put(key, value)
            wanted[key] = value
        elif what == "drop":
            told.roster.drop(key)
            wanted.pop(key, None)
        else:
            told.roster.give_up(key)
        unseen.discard(key)
        assert bool(told.said) is not bool(unseen)
        if not unseen:
            assert sorted(told.said[-1]) == sorted(wanted.values())
            assert dict(told.roster.items()) == wanted


def test_the_same_again_is_not_said_again() -> None:
    told = Told("a")
    assert told.roster.put("a", 1)
    assert not told.roster.put("a", 1)
    assert told.roster.put("a", 2)
    assert told.said == [[1], [2]]


def test_with_nothing_to_look_at_that_is_said_once() -> None:
    told = Told()
    told.roster.expect(["late"])
    assert told.said == [[]]
    assert told.roster.put("a", 1)
    assert told.said == [[], [1]]


def test_a_key_that_cannot_be_looked_at_keeps_nobody_waiting_and_keeps_what_it_had() -> None:
    told = Told("a", "b")
    told.roster.put("a", 1)
    assert told.said == []
    told.roster.give_up("b")
    told.roster.give_up("a")
    assert told.said == [[1]]
    assert told.roster.get("a") == 1
    assert told.roster.get("b") is None
    assert told.roster.keys() == ("a",)
