"""What becomes of requests on the real proxy: headers, redirects, sessions, the balancer's own answers."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from homeport.app.balancers.envoy import DataPlane
from homeport.dataplane.model import ForwardedFor, Stickiness, StickinessKind, Target, Traffic
from homeport.dataplane.rules import (
    FixedResponse,
    Forward,
    HostIs,
    PathIs,
    Redirect,
    Rewrite,
    RewriteOf,
    Rule,
    WeightedGroup,
)
from tests.kit.dataplane import BACK, Client, Upstream, balancer, group

pytestmark = pytest.mark.slow


def to(path: str, action: Forward | Redirect | FixedResponse, priority: int = 1) -> Rule:
    return Rule(id=path, priority=priority, conditions=(PathIs(patterns=(path,)),), action=action)


def cookies(values: list[str]) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition("=") for line in values)}


async def test_a_target_hears_who_asked_and_how(plane: DataPlane, port: int) -> None:
    async with Upstream(name="a").serving() as a:
        plane.serve([balancer(port, group("g", a))])
        assert await plane.until_live() == ()
        client = Client(port)
        await client.ask(
            "/A%2fb//c?x=%20", host="Shop.Example.com:8080", headers=("X-Forwarded-For: 1.2.3.4", "X-CaSe: v")
        )
        asked = a.asked[-1]
        assert asked.path == "/A%2fb//c?x=%20"
        assert asked.header("host") == "Shop.Example.com:8080"
        assert asked.header("x-forwarded-for").replace(" ", "") == "1.2.3.4,127.0.0.1"
        assert (asked.header("x-forwarded-proto"), asked.header("x-forwarded-port")) == ("http", str(port))
        names = {name for name, _ in asked.headers}
        assert "X-CaSe" in names
        assert not [name for name in names if name.lower().startswith(("x-envoy", "via", "x-request-id"))]
        client.close()


@pytest.mark.root
@pytest.mark.parametrize(("preserves", "host"), [(True, "shop.example.com:80"), (False, "shop.example.com")])
async def test_a_default_port_in_the_host_header_is_preserved_or_goes(
    plane: DataPlane, preserves: bool, host: str
) -> None:
    """Source: Application Load Balancer guide, "Host header preservation"."""
    async with Upstream(name="a").serving() as a:
        plane.serve([balancer(80, group("g", a), traffic=Traffic(preserve_host=preserves))])
        assert await plane.until_live() == ()
        client = Client(80)
        assert (await client.ask("/", host="shop.example.com:80")).status == 200
        assert a.asked[-1].header("host") == host
        client.close()


@pytest.mark.parametrize(
    ("traffic", "expected"),
    [
        (Traffic(forwarded_for=ForwardedFor.PRESERVE), "1.2.3.4"),
        (Traffic(forwarded_for=ForwardedFor.REMOVE), None),
        (Traffic(forwarded_for_port=True), r"1.2.3.4,127.0.0.1:PORT"),
    ],
    ids=["preserve", "remove", "with-port"],
)
async def test_x_forwarded_for_is_treated_as_the_attributes_say(
    plane: DataPlane, port: int, traffic: Traffic, expected: str | None
) -> None:
    async with Upstream(name="a").serving() as a:
        plane.serve([balancer(port, group("g", a), traffic=traffic)])
        await plane.until_live()
        reader, writer = await asyncio.open_connection("127.0.9.1", port)
        own = writer.get_extra_info("sockname")[1]
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: close\r\n\r\n")
        await reader.read()
        writer.close()
        heard = a.asked[-1].header("x-forwarded-for")
        assert (heard.replace(" ", "") if heard else None) == (
            expected and expected.replace("PORT", str(own))
        )


REDIRECTS = [
    (Redirect(status=301, protocol="HTTPS", port="443"), "https://example.com:443/a/b?x=1&y"),
    (Redirect(status=302, host="www.#{host}"), "http://www.example.com:PORT/a/b?x=1&y"),
    (Redirect(status=302, path="/new/#{path}/#{port}", query=""), "http://example.com:PORT/new/a/b/PORT"),
    (
        Redirect(status=302, host="o.org", path="/", query="from=#{host}&#{query}"),
        "http://o.org:PORT/?from=example.com&x=1&y",
    ),
    (Redirect(status=302, protocol="#{protocol}", path="/#{protocol}"), "http://example.com:PORT/http?x=1&y"),
]


@pytest.mark.parametrize(("action", "location"), REDIRECTS, ids=[url for _, url in REDIRECTS])
async def test_a_redirect_keeps_what_its_placeholders_say(
    plane: DataPlane, port: int, action: Redirect, location: str
) -> None:
    plane.serve([balancer(port, default=Rule(id="d", action=action))])
    assert await plane.until_live() == ()
    client = Client(port)
    answer = await client.ask("/a/b?x=1&y", host="example.com:8080")
    assert answer.status == action.status
    assert answer.header("location") == location.replace("PORT", str(port))
    assert (answer.header("server"), answer.body) == ("awselb/2.0", b"")
    client.close()


async def test_a_fixed_response_is_given_as_it_is_written(plane: DataPlane, port: int) -> None:
    fixed = FixedResponse(status=503, content_type="application/json", body='{"why": "100% down %REQ(x)%"}')
    plane.serve([balancer(port, default=Rule(id="d", action=fixed))])
    await plane.until_live()
    client = Client(port)
    answer = await client.ask()
    assert (answer.status, answer.body.decode()) == (503, fixed.body)
    assert answer.header("content-type") == "application/json"
    client.close()


async def test_a_websocket_goes_through(plane: DataPlane, port: int) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while data := await reader.read(100):
            writer.write(data.upper())
        writer.close()

    server = await asyncio.start_server(echo, BACK, 0)
    target = Target(address=BACK, port=server.sockets[0].getsockname()[1])
    plane.serve([balancer(port, group("g", targets=(target,), health_check=None))])
    await plane.until_live()
    reader, writer = await asyncio.open_connection("127.0.9.1", port)
    writer.write(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"HELLO"
    writer.close()
    server.close()


async def test_a_sticky_client_stays_with_its_target(plane: DataPlane, port: int) -> None:
    sticky = Stickiness(kind=StickinessKind.LB_COOKIE, duration_seconds=600)
    async with Upstream(name="a").serving() as a, Upstream(name="b").serving() as b:
        plane.serve([balancer(port, group("g", a, b, stickiness=sticky))])
        assert await plane.until_live() == ()
        client = Client(port)
        first = await client.ask()
        given = first.all("set-cookie")
        found = cookies(given)
        assert set(found) == {"AWSALB", "AWSALBCORS"}
        value, expires, path = found["AWSALB"].split("; ")
        left = parsedate_to_datetime(expires.removeprefix("Expires=")) - datetime.now(UTC)
        assert 590 < left.total_seconds() <= 600
        assert path == "Path=/"
        assert found["AWSALBCORS"].endswith("; Path=/; SameSite=None; Secure")
        for name in ("AWSALB", "AWSALBCORS"):
            for _ in range(6):
                again = await client.ask(headers=(f"Cookie: other=1; {name}={value}",))
                assert again.body == first.body
                assert set(cookies(again.all("set-cookie"))) == {"AWSALB", "AWSALBCORS"}, "refreshed"
        others = {(await client.ask()).body for _ in range(6)}
        assert others == {b"a", b"b"}
        stays = a if first.body == b"b" else b
        plane.serve([balancer(port, group("g", stays, stickiness=sticky))])
        await plane.until_live()
        moved = await client.ask(headers=(f"Cookie: AWSALB={value}",))
        while moved.body == first.body:
            moved = await client.ask(headers=(f"Cookie: AWSALB={value}",))
        assert cookies(moved.all("set-cookie"))["AWSALB"].split("; ")[0] != value
        client.close()


async def test_an_application_s_cookie_makes_a_session(plane: DataPlane, port: int) -> None:
    sticky = Stickiness(kind=StickinessKind.APP_COOKIE, duration_seconds=60, cookie_name="SID")
    async with Upstream(name="a").serving() as a, Upstream(name="b").serving() as b:
        plane.serve([balancer(port, group("g", a, b, stickiness=sticky))])
        await plane.until_live()
        client = Client(port)
        assert (await client.ask()).all("set-cookie") == [], "the application has not begun a session"
        a.headers = b.headers = ("Set-Cookie: SID=7; Path=/",)
        first = await client.ask()
        found = cookies(first.all("set-cookie"))
        assert set(found) == {"SID", "AWSALBAPP-0"}
        a.headers = b.headers = ()
        value = found["AWSALBAPP-0"].split("; ")[0]
        both = (f"Cookie: SID=7; AWSALBAPP-0={value}",)
        assert {(await client.ask(headers=both)).body for _ in range(6)} == {first.body}
        alone = (f"Cookie: AWSALBAPP-0={value}",)
        assert {(await client.ask(headers=alone)).body for _ in range(8)} == {b"a", b"b"}
        client.close()


async def test_weights_share_requests_and_a_client_stays_with_its_group(plane: DataPlane, port: int) -> None:
    async with Upstream(name="a").serving() as a, Upstream(name="b").serving() as b:
        groups = (group("a", a), group("b", b))
        shares = tuple(
            WeightedGroup(group_id=one.id, weight=weight) for one, weight in zip(groups, (3, 1), strict=True)
        )
        free = to("/free", Forward(groups=shares))
        kept = Rule(id="d", action=Forward(groups=shares, sticky_seconds=60))
        plane.serve([balancer(port, *groups, rules=(free,), default=kept)])
        assert await plane.until_live() == ()
        client = Client(port)
        answers = [(await client.ask("/free")).body for _ in range(400)]
        assert 240 < answers.count(b"a") < 360
        first = await client.ask("/")
        found = cookies(first.all("set-cookie"))
        assert set(found) == {"AWSALBTG", "AWSALBTGCORS"}
        value = found["AWSALBTG"].split("; ")[0]
        for name in found:
            headers = (f"Cookie: x=y; {name}={value}; z=1",)
            assert {(await client.ask("/", headers=headers)).body for _ in range(10)} == {first.body}
        client.close()


async def test_a_group_without_targets_gets_its_share_all_the_same(plane: DataPlane, port: int) -> None:
    async with Upstream(name="a").serving() as a:
        groups = (group("a", a), group("none"))
        shares = Forward(groups=tuple(WeightedGroup(group_id=one.id) for one in groups))
        plane.serve([balancer(port, *groups, default=Rule(id="d", action=shares))])
        await plane.until_live()
        client = Client(port)
        assert {(await client.ask()).status for _ in range(40)} == {200, 503}
        client.close()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("shop.example.com", "shop.internal.test"),
        ("shop.example.com:8080", "shop.internal.test:8080"),
        ("example.com", "example.com"),
    ],
)
async def test_a_host_is_rewritten_after_the_rule_matched(
    plane: DataPlane, port: int, asked: str, told: str
) -> None:
    change = Rewrite(of=RewriteOf.HOST, regex=r"^([a-z]+)\.example\.com", replacement="$1.internal.test")
    path = Rewrite(of=RewriteOf.URL, regex="^/api/(.*)$", replacement="/v2/$1")
    async with Upstream(name="a").serving() as a:
        own = group("g", a)
        forward = Forward(groups=(WeightedGroup(group_id=own.id),))
        rule = Rule(
            id="r", priority=1, conditions=(HostIs(patterns=("*example.com",)),), action=forward,
            rewrites=(change, path),
        )  # fmt: skip
        plane.serve([balancer(port, own, rules=(rule,))])
        assert await plane.until_live() == ()
        client = Client(port)
        assert (await client.ask("/api/x?q=1", host=asked)).body == b"a"
        client.close()
    assert (a.asked[-1].header("host"), a.asked[-1].path) == (told, "/v2/x?q=1")


async def test_a_path_is_rewritten_after_the_rule_matched(plane: DataPlane, port: int) -> None:
    async with Upstream(name="a").serving() as a:
        one = group("g", a)
        rewrite = Rewrite(of=RewriteOf.URL, regex="^/v1/(.*)$", replacement="/$1")
        rule = Rule(
            id="v1",
            priority=1,
            conditions=(PathIs(patterns=("/v1/*",)),),
            action=Forward(groups=(WeightedGroup(group_id=one.id),)),
            rewrites=(rewrite,),
        )
        plane.serve([balancer(port, one, rules=(rule,))])
        await plane.until_live()
        client = Client(port)
        await client.ask("/v1/users?x=1")
        assert a.asked[-1].path == "/users?x=1"
        assert "x-envoy-original-path" not in {name.lower() for name, _ in a.asked[-1].headers}
        client.close()


def test_the_kit_s_addresses_are_this_machine_s() -> None:
    with socket.create_server((BACK, 0)):
        pass
