"""How a capacity provider strategy shares tasks among its providers. Pure.

The tasks of a service, or of one RunTask, stand in a row: first `base` of them on the
provider that has a base, then each where (tasks so far + 1) / weight is least, the first
named of equals, as long as that leaves no provider with more than its share rounded up.
So whatever their number, every provider has its exact share rounded up or down, and a
longer row begins like a shorter one: what is missing and what is too many follow from
what is there, whatever happened before.

Sources: ECS API Reference, CapacityProviderStrategyItem (base before weight, numbers,
which weights may be 0); that AWS keeps to this very order is our choice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, cycle, islice, repeat
from math import gcd
from typing import Any

from homeport.services.ecs.errors import InvalidParameterException
from homeport.services.ecs.model import FARGATE_PROVIDERS, Cluster, Task

ITEMS_MAX = 20
WEIGHT_MAX = 1000
BASE_MAX = 100_000

Strategy = tuple[Mapping[str, Any], ...]
"""Items as the wire has them, `capacityProvider`, `weight` and `base` all given."""


def strategy_of(items: Sequence[Mapping[str, Any]], among: Sequence[str]) -> Strategy:
    """A strategy with its defaults, of providers that are `among` the cluster's.

    Raise `InvalidParameterException` for one that cannot be.
    """
    strategy = tuple(
        {
            "capacityProvider": item["capacityProvider"].rpartition("/")[2],
            "weight": item.get("weight") or 0,
            "base": item.get("base") or 0,
        }
        for item in items
    )
    _check_numbers(strategy)
    names = [item["capacityProvider"] for item in strategy]
    if any(name not in among for name in names):
        raise InvalidParameterException(
            "The specified capacity provider strategy cannot contain a capacity provider that is not "
            "associated with the cluster. Associate the capacity provider with the cluster and try again."
        )
    fargate = [name for name in names if name in FARGATE_PROVIDERS]
    if fargate and len(fargate) < len(names):
        raise InvalidParameterException(
            "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling "
            "groups and Fargate providers. Specify one or the other and try again."
        )
    return strategy


def strategy_in_force(request: Mapping[str, Any], cluster: Cluster) -> Strategy:
    """What shares the tasks of a request: its own strategy or, where it says nothing, its cluster's.

    Without one, they are placed by launch type. Source: ECS API Reference, RunTask, CreateService and
    CreateTaskSet; an empty list counts as nothing said.
    """
    if request.get("launchType"):
        return ()
    given = request.get("capacityProviderStrategy")
    return strategy_of(given, cluster.capacity_providers) if given else cluster.default_strategy


def next_strategy(
    request: Mapping[str, Any], cluster: Cluster, now: Strategy, *, is_deployed: bool
) -> Strategy:
    """What an UpdateService makes of a service's strategy; an empty list leads back to the launch type.

    `is_deployed`: the request forces a deployment. Source of the text: PipeCD pull request 6385.
    """
    given = request.get("capacityProviderStrategy")
    if given is None:
        return now
    wanted = strategy_of(given, cluster.capacity_providers)
    if not is_deployed and sorted(wanted, key=str) != sorted(now, key=str):
        raise InvalidParameterException(
            "When switching from launch type to capacity provider strategy on an existing service, or making "
            "a change to a capacity provider strategy on a service that is already using one, you must force "
            "a new deployment."
        )
    return wanted if is_deployed else now


def _check_numbers(strategy: Strategy) -> None:
    names = [item["capacityProvider"] for item in strategy]
    if len(names) > ITEMS_MAX:
        raise InvalidParameterException(
            f"A capacity provider strategy can contain a maximum of {ITEMS_MAX} capacity providers."
        )
    if len(set(names)) < len(names):
        raise InvalidParameterException("A capacity provider strategy names a capacity provider once only.")
    for item in strategy:
        if not 0 <= item["weight"] <= WEIGHT_MAX:
            raise InvalidParameterException(f"A capacity provider's weight is 0 to {WEIGHT_MAX}.")
        if not 0 <= item["base"] <= BASE_MAX:
            raise InvalidParameterException(f"A capacity provider's base is 0 to {BASE_MAX}.")
    if sum(item["base"] > 0 for item in strategy) > 1:
        raise InvalidParameterException(
            "Only one capacity provider in a capacity provider strategy can have a base defined."
        )
    if len(names) > 1 and not any(item["weight"] for item in strategy):
        raise InvalidParameterException(
            "At least one capacity provider in a capacity provider strategy must have a weight greater "
            "than 0."
        )


@lru_cache(maxsize=256)
def _round(weights: tuple[int, ...]) -> tuple[int, ...]:
    """Indexes of the providers for one round of tasks, after which everybody has its exact share."""
    total = sum(weights)
    counts = [0] * len(weights)
    order = []
    for placed in range(total):
        may = (
            index
            for index, weight in enumerate(weights)
            if weight and counts[index] * total < weight * (placed + 1)
        )
        best = min(may, key=lambda index: ((counts[index] + 1) / weights[index], index))
        counts[best] += 1
        order.append(best)
    return tuple(order)


def row(strategy: Strategy) -> Iterator[str]:
    """The provider of the first task, of the second, and so on for ever."""
    names = [item["capacityProvider"] for item in strategy]
    weights = [item["weight"] for item in strategy]
    if not any(weights):
        weights = [1] * len(weights)  # one item: nobody to share with
    divisor = gcd(*weights)
    first = chain.from_iterable(repeat(item["capacityProvider"], item["base"]) for item in strategy)
    return chain(first, (names[index] for index in cycle(_round(tuple(w // divisor for w in weights)))))


def to_start(strategy: Strategy, have: Mapping[str | None, int], count: int) -> tuple[str, ...]:
    """The providers of `count` more tasks, in order. `have`: tasks by provider, others and none too."""
    left = dict(have)
    chosen: list[str] = []
    for name in islice(row(strategy), sum(have.values()) + count):
        if left.get(name, 0) > 0:
            left[name] -= 1
        elif len(chosen) < count:
            chosen.append(name)
    return tuple(chosen)


def to_stop(
    strategy: Strategy, have: Mapping[str | None, int], may: Mapping[str | None, int], count: int
) -> dict[str | None, int]:
    """How many tasks to stop in which provider, so that the others keep their shares.

    `may`: how many can be stopped in each; providers that the strategy does not name come first.
    """
    there, free = Counter(dict(have)), Counter(dict(may))
    wanted: Counter[str | None] = Counter(islice(row(strategy), max(sum(have.values()) - count, 0)))
    places = {item["capacityProvider"]: place for place, item in enumerate(strategy)}
    stops: dict[str | None, int] = {}
    for _ in range(min(count, free.total())):
        name = max(
            (name for name, number in free.items() if number > 0),
            key=lambda name: (name not in places, there[name] - wanted[name], places.get(name or "", 0)),
        )
        there[name] -= 1
        free[name] -= 1
        stops[name] = stops.get(name, 0) + 1
    return stops


def by_provider(tasks: Iterable[Task]) -> Counter[str | None]:
    """How many of the tasks are in which capacity provider."""
    return Counter(task.capacity_provider for task in tasks)


def surplus(
    strategy: Strategy, there: Sequence[Task], free: Sequence[Task], count: int
) -> list[tuple[list[Task], int]]:
    """How many to stop of which tasks, `count` in all, so that every provider keeps its share.

    `there`: the tasks that are shared; `free`: those of them that may be stopped.
    """
    if not strategy:
        return [(list(free), count)]
    stops = to_stop(strategy, by_provider(there), by_provider(free), count)
    return [([task for task in free if task.capacity_provider == name], many) for name, many in stops.items()]
