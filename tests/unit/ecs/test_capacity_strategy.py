"""How a capacity provider strategy shares tasks: every provider its share, whatever happened before.

Source of the numbers: ECS API Reference, CapacityProviderStrategyItem.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.core.errors import AwsError
from homeport.services.ecs.plan.capacity_strategy import Strategy, row, strategy_of, to_start, to_stop


def strategy(*items: tuple[int, int]) -> Strategy:
    """Providers a, b, c ... of (weight, base)."""
    return tuple(
        {"capacityProvider": "abcdefghijklmnopqrstu"[place], "weight": weight, "base": base}
        for place, (weight, base) in enumerate(items)
    )


@st.composite
def strategies(draw: st.DrawFn) -> Strategy:
    weights = draw(st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any))
    based = draw(st.integers(0, len(weights) - 1))
    base = draw(st.integers(0, 7))
    return strategy(*((weight, base if place == based else 0) for place, weight in enumerate(weights)))


def shares(of: Strategy, count: int) -> Counter[str]:
    return Counter(islice(row(of), count))


@given(strategies(), st.integers(0, 60))
def test_everybody_has_its_share_to_within_one_task(of: Strategy, count: int) -> None:
    base = sum(item["base"] for item in of)
    total = sum(item["weight"] for item in of)
    got = shares(of, count)
    for item in of:
        extra = max(count - base, 0)
        exact = min(item["base"], count) + extra * item["weight"] / total
        assert abs(got[item["capacityProvider"]] - exact) < 1
        if extra % total == 0:
            assert got[item["capacityProvider"]] == exact


@given(strategies(), st.integers(0, 40))
def test_the_base_comes_before_everything_else(of: Strategy, count: int) -> None:
    (based, base) = max(((item["capacityProvider"], item["base"]) for item in of), key=lambda item: item[1])
    assert shares(of, count)[based] >= min(base, count)


@given(strategies(), st.lists(st.integers(0, 9), max_size=6))
def test_it_does_not_matter_in_which_batches_tasks_are_started(of: Strategy, batches: list[int]) -> None:
    have: Counter[str | None] = Counter()
    for count in batches:
        have.update(to_start(of, have, count))
    assert have == shares(of, sum(batches))


@given(strategies(), st.integers(1, 30), st.data())
def test_whatever_is_lost_is_replaced_where_it_was(of: Strategy, count: int, data: st.DataObject) -> None:
    whole = list(islice(row(of), count))
    lost = data.draw(st.sets(st.integers(0, count - 1)))
    have = Counter(name for place, name in enumerate(whole) if place not in lost)
    again = to_start(of, dict(have), len(lost))
    assert Counter(again) == Counter(whole[place] for place in lost)


@given(strategies(), st.integers(0, 40), st.integers(0, 40))
def test_scaling_in_leaves_what_scaling_out_to_there_would_have_made(
    of: Strategy, few: int, more: int
) -> None:
    have = dict(shares(of, few + more))
    stops = to_stop(of, have, have, more)
    assert sum(stops.values()) == more
    assert Counter(have) - Counter(stops) == shares(of, few)


@given(
    strategies(),
    st.dictionaries(st.sampled_from([None, "a", "b", "c", "gone"]), st.integers(0, 9)),
    st.integers(0, 20),
)
def test_from_wherever_one_begins_starts_and_stops_lead_to_the_shares(
    of: Strategy, have: dict[str | None, int], count: int
) -> None:
    """Tasks of providers that the strategy does not name (it was another once) are the first to go."""
    free = {name: max(number - 1, 0) for name, number in have.items()}
    stops = to_stop(of, have, free, count)
    assert sum(stops.values()) == min(count, sum(free.values()))
    assert all(number <= free[name] for name, number in stops.items())
    named = {item["capacityProvider"] for item in of}
    strangers = sum(number for name, number in free.items() if name not in named)
    stopped = sum(number for name, number in stops.items() if name not in named)
    assert stopped == min(strangers, sum(stops.values()))
    started = to_start(of, have, count)
    assert len(started) == count
    wanted = shares(of, sum(have.values()) + count)
    assert all(have.get(name, 0) + number <= wanted[name] for name, number in Counter(started).items())


@pytest.mark.parametrize(
    ("items", "count", "expected"),
    [
        ([(1, 0), (4, 0)], 5, {"a": 1, "b": 4}),
        ([(1, 0), (4, 0)], 10, {"a": 2, "b": 8}),
        ([(1, 0), (1, 0)], 7, {"a": 4, "b": 3}),
        ([(1, 2), (4, 0)], 12, {"a": 4, "b": 8}),
        ([(0, 2), (1, 0)], 5, {"a": 2, "b": 3}),
        ([(0, 0)], 3, {"a": 3}),
        ([(100, 0), (1, 0), (1, 0), (1, 0), (1, 0)], 50, {"a": 49, "b": 1}),
    ],
)
def test_numbers_from_the_documentation(
    items: list[tuple[int, int]], count: int, expected: dict[str, int]
) -> None:
    assert shares(strategy(*items), count) == expected


def item(name: str = "a", **numbers: Any) -> dict[str, Any]:
    return {"capacityProvider": name, **numbers}


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ([item(weight=1001)], "weight is 0 to 1000"),
        ([item(base=100_001)], "base is 0 to 100000"),
        ([item(base=1, weight=1), item("b", base=1)], "Only one capacity provider"),
        ([item(), item("b")], "weight greater than 0"),
        ([item(weight=1), item(weight=2)], "once only"),
        ([item("stranger")], "not associated with the cluster"),
        ([item(f"p{number}", weight=1) for number in range(21)], "maximum of 20"),
        ([item(weight=1), item("FARGATE", weight=1)], "mix of capacity providers"),
    ],
)
def test_strategies_that_cannot_be(items: list[dict[str, Any]], text: str) -> None:
    among = ["a", "b", "FARGATE", *(f"p{number}" for number in range(21))]
    with pytest.raises(AwsError) as caught:
        strategy_of(items, among)
    assert text in caught.value.message


def test_what_is_not_said_is_0_and_an_arn_is_a_name() -> None:
    arn = "arn:aws:ecs:us-east-1:000000000000:capacity-provider/a"
    assert strategy_of([item(arn)], ["a"]) == (item("a", weight=0, base=0),)
