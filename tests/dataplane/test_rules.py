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
from tests.kit.rules_model import Asked, decides, holds

pytestmark = pytest.mark.slow

EXAMPLES = 60
SOURCES = ("127.0.0.1", "127.0.0.2", "127.0.1.1")


def text(letters: str, most: int = 6) -> st.SearchStrategy[str]:
    return st.text(alphabet=letters, min_size=1, max_size=most)


HOST_POOL = ["a.com", "B.a.com", "b.A.com:8080", "ab.com", "a-com", "x"]
PATH_POOL = ["/a", "/A", "/aa/b", "/a/a+b", "/$a._-"]
VALUE_POOL = ["vav", "vAbv", "v b,cv", "v(;)v", "v=v"]
PARTS = ["a=a", "a=Ab", "b=a*", "b=c?", "ab=", "ab", "a"]
HOSTS = st.sampled_from(HOST_POOL) | text("ab.-", 5)
PATHS = st.sampled_from(PATH_POOL) | text("aA/._-+$", 5).map(lambda rest: f"/{rest}")
QUERIES = st.none() | st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map("&".join)
HEADERS = st.lists(
    st.tuples(st.sampled_from(["X-A", "x-b"]), st.sampled_from(VALUE_POOL)),
    unique_by=lambda pair: pair[0].lower(),
    max_size=2,
).map(tuple)


@st.composite
def near(draw: st.DrawFn, pool: list[str]) -> str:
    """A pattern that one of these texts matches, or nearly: `?` and `*` for letters, or before them."""
    out = ""
    for letter in draw(st.sampled_from(pool)).partition(":")[0]:
        out += draw(st.sampled_from([letter, letter, letter, letter, "?", "*", f"?{letter}", f"*{letter}"]))
    return out


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
    key=st.none() | near(["a", "ab", "B"]),
    value=near(["a", "Ab", "c"]) | st.sampled_from([r"a\*", r"c\?", "*", ""]),
)
HOST = st.builds(HostIs, patterns=some(near(HOST_POOL) | st.sampled_from(["*.a.com", "*", "A.COM"])))
HOST_BY_REGEX = st.builds(HostIs, regexes=some(st.sampled_from(["^a", "com$", "^[ab]+[.]com$", "b"])))
PATH = st.builds(PathIs, patterns=some(near(PATH_POOL)))
PATH_BY_REGEX = st.builds(PathIs, regexes=some(st.sampled_from(["^/a", "A$", "a+/", "^/[aA]{2}$"])))
HEADER = st.builds(HeaderIs, name=st.sampled_from(["x-a", "X-B"]), patterns=some(near(VALUE_POOL)))
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


TABLE: list[tuple[Condition, Asked, bool]] = [
    (HostIs(patterns=("a?.com",)), Asked(host="a.com"), False),
    (HostIs(patterns=("a?.com",)), Asked(host="ab.com:80"), True),
    (HostIs(patterns=("a?80",)), Asked(host="a:80"), False),
    (HostIs(patterns=("*.A.com",)), Asked(host="b.a.COM"), True),
    (HostIs(patterns=("*.a.com",)), Asked(host="a.com"), False),
    (HostIs(patterns=("a.com",)), Asked(host="axcom"), False),
    (HostIs(regexes=("com$",)), Asked(host="a.com:8080"), True),
    (PathIs(patterns=("/img/*",)), Asked(path="/img/"), True),
    (PathIs(patterns=("/img/*",)), Asked(path="/IMG/a"), False),
    (PathIs(patterns=("/a?",)), Asked(path="/a"), False),
    (PathIs(patterns=("/a",)), Asked(path="/a", query="b"), True),
    (PathIs(patterns=("/a%2Fb",)), Asked(path="/a/b"), False),
    (QueryHas(pairs=(QueryPair(key="v", value="1"),)), Asked(query="a=1&V=1&b"), True),
    (QueryHas(pairs=(QueryPair(key="v", value="1"),)), Asked(query="xv=1"), False),
    (QueryHas(pairs=(QueryPair(key="v", value="1"),)), Asked(query="v=11"), False),
    (QueryHas(pairs=(QueryPair(value="x*"),)), Asked(query="a=XYZ"), True),
    (QueryHas(pairs=(QueryPair(value="x*"),)), Asked(query="x=a"), False),
    (QueryHas(pairs=(QueryPair(key="v", value=r"\*"),)), Asked(query="v=a"), False),
    (QueryHas(pairs=(QueryPair(key="v", value=r"\*"),)), Asked(query="v=*"), True),
    (HeaderIs(name="X-Any", patterns=("*moz*",)), Asked(headers=(("x-any", "a Mozilla b"),)), True),
    (HeaderIs(name="X-Any", patterns=("*",)), Asked(), False),
    (MethodIs(methods=("GET",)), Asked(method="get"), False),
    (SourceIs(cidrs=("127.0.0.2/32",)), Asked(source="127.0.0.2"), True),
    (SourceIs(cidrs=("127.0.0.2/32",)), Asked(headers=(("X-Forwarded-For", "127.0.0.2"),)), False),
]


async def test_documented_cases_are_as_documented_and_as_the_model_has_them() -> None:
    rules = tuple(
        Rule(
            id=f"case-{n}",
            priority=n + 1,
            conditions=(HeaderIs(name="x-case", patterns=(f"{n}",)), condition),
            action=FixedResponse(status=200, body="yes"),
        )
        for n, (condition, _, _) in enumerate(TABLE)
    )
    async with data_plane() as plane:
        port = free_port()
        plane.serve([balancer(port, rules=rules, default=DEFAULT)])
        assert await plane.until_live() == ()
        for n, (condition, asked, expected) in enumerate(TABLE):
            client = Client(port, source=asked.source)
            headers = (f"x-case: {n}", *(f"{key}: {value}" for key, value in asked.headers))
            answer = await client.ask(asked.target, method=asked.method, host=asked.host, headers=headers)
            assert (answer.body == b"yes") is expected, (condition, asked)
            assert holds(condition, asked) is expected, (condition, asked)
            client.close()
