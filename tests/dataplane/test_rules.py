"""The rules of a listener against a written model, on the real proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.dataplane.rules import (
    Condition,
    FixedResponse,
    HeaderIs,
    HostIs,
    MethodIs,
    PathIs,
    QueryHas,
    QueryPair,
    Rule,
    SourceIs,
)
from tests.kit.dataplane import Client, balancer, data_plane, free_port
from tests.kit.rules_model import Asked, decides

pytestmark = pytest.mark.slow

EXAMPLES = 60
SOURCES = ("127.0.0.1", "127.0.0.2", "127.0.1.1")


def text(letters: str, most: int = 6) -> st.SearchStrategy[str]:
    return st.text(alphabet=letters, min_size=1, max_size=most)


HOSTS = st.one_of(
    st.sampled_from(["a.com", "B.a.com", "b.A.com:8080", "ab.com", "a-com", "x"]), text("ab.-", 5)
)
PATHS = text("aA/._-+$", 5).map(lambda rest: f"/{rest}")
QUERIES = st.none() | st.lists(
    st.tuples(text("aAb*", 2), text("aAb*?c", 3)).map("=".join) | text("ab", 2), min_size=1, max_size=3
).map("&".join)
HEADERS = st.lists(
    st.tuples(st.sampled_from(["X-A", "x-b"]), text("aAb c,;=()", 4).map(lambda t: f"v{t}v")),
    unique_by=lambda pair: pair[0].lower(),
    max_size=2,
).map(tuple)
METHODS = st.sampled_from(["GET", "POST", "DELETE", "get", "PURGE"])

REQUESTS = st.builds(
    Asked,
    method=METHODS,
    host=HOSTS,
    path=PATHS,
    query=QUERIES,
    headers=HEADERS,
    source=st.sampled_from(SOURCES),
)


def some(values: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, min_size=1, max_size=most).map(tuple)


PAIRS = st.builds(
    QueryPair,
    key=st.none() | text("aAb*?", 2),
    value=text("aAb*?c", 3) | st.sampled_from([r"a\*", r"\?", "*"]),
)
HOST = st.builds(HostIs, patterns=some(text("ab.*?-", 5) | st.sampled_from(["*.a.com", "*", "A.COM"])))
HOST_BY_REGEX = st.builds(HostIs, regexes=some(st.sampled_from(["^a", "com$", "^[ab]+[.]com$", "b"])))
PATH = st.builds(PathIs, patterns=some(text("aA/._-+$*?", 4).map(lambda rest: f"/{rest}")))
PATH_BY_REGEX = st.builds(PathIs, regexes=some(st.sampled_from(["^/a", "A$", "a+/", "^/[aA]{2}$"])))
HEADER = st.builds(
    HeaderIs, name=st.sampled_from(["x-a", "X-B"]), patterns=some(text("vab c*?,;()", 4) | st.just("v*v"))
)
METHOD = st.builds(MethodIs, methods=some(METHODS))
QUERY = st.builds(QueryHas, pairs=some(PAIRS))
SOURCE = st.builds(
    SourceIs, cidrs=some(st.sampled_from(["127.0.0.1/32", "127.0.0.2/32", "127.0.0.0/24", "10.0.0.0/8"]))
)


@st.composite
def conditions(draw: st.DrawFn) -> tuple[Condition, ...]:
    once = [st.one_of(HOST, HOST_BY_REGEX), st.one_of(PATH, PATH_BY_REGEX), METHOD, SOURCE]
    chosen = draw(st.lists(st.sampled_from(once), max_size=2, unique_by=id))
    found = [draw(strategy) for strategy in chosen]
    found += draw(st.lists(st.one_of(HEADER, QUERY), max_size=2 if found else 1))
    return tuple(found) or (draw(PATH),)


RULES = st.lists(conditions(), min_size=1, max_size=5).flatmap(
    lambda all_of_them: st.permutations(range(1, len(all_of_them) + 1)).map(
        lambda order: tuple(
            Rule(id=f"r{n}", priority=n, conditions=found, action=FixedResponse(status=200, body=f"r{n}"))
            for n, found in zip(order, all_of_them, strict=True)
        )
    )
)
DEFAULT = Rule(id="default", action=FixedResponse(status=200, body="default"))


def in_loop(run: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A property's examples one after the other in the loop of the test."""
    loop = asyncio.get_running_loop()
    return lambda *given_: asyncio.run_coroutine_threadsafe(run(*given_), loop).result(30)  # type: ignore[arg-type]


async def test_the_rule_that_decides_is_the_model_s() -> None:
    seen: set[str] = set()
    generation = 0
    async with data_plane() as plane:
        port = free_port()
        clients = {source: Client(port, source=source) for source in SOURCES}

        async def example(rules: tuple[Rule, ...], requests: list[Asked]) -> None:
            nonlocal generation
            generation += 1
            mark = FixedResponse(status=200, body=f"{generation}")
            probe = Rule(id="generation", priority=0, conditions=(PathIs(patterns=("/~now",)),), action=mark)
            always = Rule(
                id="source", priority=99, conditions=(SourceIs(cidrs=("192.0.2.1/32",)),), action=mark
            )
            listener = balancer(port, rules=(probe, *rules, always), default=DEFAULT)
            plane.serve([listener])
            assert await plane.until_live() == ()
            while (await clients["127.0.0.1"].ask("/~now")).body != mark.body.encode():
                pass
            for asked in requests:
                answer = await clients[asked.source].ask(
                    asked.target,
                    method=asked.method,
                    host=asked.host,
                    headers=tuple(f"{key}: {value}" for key, value in asked.headers),
                )
                expected = decides((*rules, DEFAULT), asked)
                assert (answer.status, answer.body.decode()) == (200, expected), (asked, rules)
                seen.add(expected)

        run = in_loop(example)

        @settings(max_examples=EXAMPLES)
        @given(RULES, st.lists(REQUESTS, min_size=10, max_size=20))
        def prove(rules: tuple[Rule, ...], requests: list[Asked]) -> None:
            run(rules, requests)

        try:
            await asyncio.to_thread(prove)
        finally:
            for client in clients.values():
                client.close()
    assert {"default", "r1", "r2"} <= seen
