"""Rules that let clients log in, on the real proxy and with a provider: the whole dance.

Source: Application Load Balancer guide, "Authenticate users" and "Troubleshoot".
"""

from __future__ import annotations

import asyncio
import base64
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from homeport.app.balancers.envoy import DataPlane
from homeport.app.balancers.envoy_process import end_leftover
from homeport.core.clock import FixedClock
from homeport.core.ids import SystemIds
from homeport.dataplane.logins import CALLBACK, HEADERS
from homeport.dataplane.model import Balancer, Certificate, Listener, Protocol
from homeport.dataplane.rules import (
    FixedResponse,
    Forward,
    PathIs,
    Redirect,
    Rule,
    UnauthenticatedRequest,
    WeightedGroup,
)
from homeport.gateway.logins.gate import Gate
from homeport.gateway.logins.provider import HttpProviders
from homeport.gateway.logins.signer import Signer
from homeport.store.vault import Vault
from tests.kit.certificates import self_signed
from tests.kit.dataplane import Answer, Client, Upstream, balancer, data_plane, free_port, group
from tests.kit.identity import ARN, CLIENT, SECRET, Browser, IdentityProvider

pytestmark = pytest.mark.slow
FORGED = tuple(f"{name}: forged" for name in HEADERS)
SESSION = "AWSELBAuthSessionCookie-0"


class Secrets:
    """Every rule's client has the same secret."""

    async def find(self, secret_id: str) -> str | None:
        return SECRET if secret_id.startswith(ARN.format("")) else None


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A balancer: `/open` wants no login, `/allow` may have one, `/deny` must, else clients log in."""

    clock: FixedClock
    idp: IdentityProvider
    target: Upstream
    plane: DataPlane
    gate: Gate
    port: int
    served: Balancer

    def browser(self) -> Browser:
        return Browser(port=self.port)

    def pass_time(self, **span: float) -> None:
        self.clock.instant += timedelta(**span)

    def has(self, name: str) -> str | None:
        """A header of the newest request that the target got."""
        return self.target.asked[-1].header(name)

    async def serve(self, served: Balancer) -> None:
        self.plane.serve([served], [self_signed("own", "app.example.com")])
        assert await self.plane.until_live() == ()


def guarded(port: int, up: Upstream, idp: IdentityProvider, **changes: Any) -> Balancer:
    one = balancer(port, group("g", up))
    forward = Forward(groups=(WeightedGroup(group_id=one.groups[0].id),))
    rules = (
        Rule(id="open", priority=1, conditions=(PathIs(patterns=("/open",)),), action=forward),
        Rule(
            id="allow",
            priority=2,
            conditions=(PathIs(patterns=("/allow",)),),
            guard=idp.guard("allow", unauthenticated=UnauthenticatedRequest.ALLOW, **changes),
            action=forward,
        ),
        Rule(
            id="deny",
            priority=3,
            conditions=(PathIs(patterns=("/deny",)),),
            guard=idp.guard("deny", unauthenticated=UnauthenticatedRequest.DENY, **changes),
            action=forward,
        ),
        Rule(
            id="fixed",
            priority=4,
            conditions=(PathIs(patterns=("/fixed",)),),
            guard=idp.guard("fixed", **changes),
            action=FixedResponse(status=200, body="secret"),
        ),
        Rule(
            id="moved",
            priority=5,
            conditions=(PathIs(patterns=("/moved",)),),
            guard=idp.guard("moved", **changes),
            action=Redirect(status=301, path="/secret"),
        ),
        Rule(id="default", guard=idp.guard(**changes), action=forward),
    )
    secure = replace(
        one.listeners[0], protocol=Protocol.HTTPS, certificates=(Certificate(id="own"),), rules=rules
    )
    return replace(one, listeners=(secure,))


@asynccontextmanager
async def staged(tmp_path: Path, **changes: Any) -> AsyncIterator[Scene]:
    clock, port = FixedClock(datetime(2026, 5, 1, tzinfo=UTC)), free_port()
    async with (
        asyncio.timeout(90),
        IdentityProvider(tmp_path, clock).serving() as idp,
        Upstream(name="a").serving() as target,
    ):
        ids = SystemIds()
        gate = Gate(
            clock,
            ids,
            Vault(bytes(32), ids),
            secrets=Secrets(),
            providers=HttpProviders(idp.roots),
            signer=Signer(bytes(32)),
        )
        async with data_plane(roots=idp.roots, gate=gate) as plane:
            served = guarded(port, target, idp, **changes)
            scene = Scene(
                clock=clock, idp=idp, target=target, plane=plane, gate=gate, port=port, served=served
            )
            await scene.serve(served)
            yield scene


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with staged(tmp_path) as found:
        yield found


def state_in(answer: Answer) -> str:
    return parse_qs(urlsplit(answer.header("location") or "").query)["state"][0]


async def come_back(browser: Browser, state: str, extra: str = "code=c0de") -> Answer:
    return await browser.ask(f"{CALLBACK}?{extra}&state={state}")


async def log_in(browser: Browser, path: str = "/") -> Answer:
    return await come_back(browser, state_in(await browser.ask(path)))


async def test_a_client_logs_in_and_its_target_learns_who_it_is(scene: Scene) -> None:
    browser, now = scene.browser(), int(scene.clock.now().timestamp())
    away = await browser.ask("/cart?item=1&item=2", *FORGED)
    to = urlsplit(away.header("location") or "")
    query = {name: values for name, values in parse_qs(to.query).items() if name != "state"}
    assert (away.status, f"{to.scheme}://{to.netloc}{to.path}") == (302, f"{scene.idp.issuer}/authorize")
    assert query == {
        "response_type": ["code"],
        "client_id": [CLIENT],
        "redirect_uri": [f"https://app.example.com{CALLBACK}"],
        "scope": ["openid"],
    }
    assert scene.target.asked == [], "nothing passes before the login"
    assert (away.header("server"), away.body) == ("awselb/2.0", b"")
    back = await come_back(browser, state_in(away))
    assert (back.status, back.header("location")) == (302, "https://app.example.com/cart?item=1&item=2")
    assert scene.idp.asked == [
        {
            "grant_type": "authorization_code",
            "code": "c0de",
            "redirect_uri": f"https://app.example.com{CALLBACK}",
            "authorization": "Basic " + base64.b64encode(b"the%20client:hunter%3A2%20%26%20more").decode(),
        }
    ]
    assert scene.idp.shown == ["access-1"]
    cookies = [line for line in back.all("set-cookie") if line.startswith("AWSELB")]
    assert all(
        line.endswith("Expires=Fri, 08 May 2026 00:00:00 GMT; Path=/; Secure; HttpOnly") for line in cookies
    )
    assert (await browser.ask("/cart", *FORGED)).body == b"a"
    assert scene.has("x-amzn-oidc-accesstoken") == "access-1"
    assert scene.has("x-amzn-oidc-identity") == "ann"
    data = scene.has("x-amzn-oidc-data") or ""
    assert jwt.get_unverified_header(data) == {
        "typ": "JWT",
        "alg": "ES256",
        "kid": scene.gate.signer.key_id,
        "iss": scene.idp.issuer,
        "client": CLIENT,
        "signer": "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/web/1",
        "exp": now + 120,
    }
    said = jwt.decode(data, scene.gate.signer.public_pem, ["ES256"], options={"verify_exp": False})
    assert said == {**scene.idp.user, "iss": scene.idp.issuer, "exp": now + 120}
    assert all(len(part) % 4 == 0 for part in data.split(".")), "parts keep their padding"
    for path, what in (("/fixed", b"secret"), ("/allow", b"a"), ("/deny", b"a")):
        assert (await browser.ask(path)).body == what, "one login is good for all rules of one provider"
    assert (await browser.ask("/moved")).status == 301


async def test_who_is_not_logged_in_is_denied_or_let_through_as_nobody(scene: Scene) -> None:
    browser = scene.browser()
    assert (await browser.ask("/deny")).status == 401
    assert [(await browser.ask(path)).status for path in ("/fixed", "/moved")] == [302, 302]
    assert scene.target.asked == []
    for path in ("/allow", "/open"):
        assert (await browser.ask(path, *FORGED)).body == b"a"
        assert [scene.has(name) for name in HEADERS] == [None] * 3
    assert scene.idp.asked == []


async def test_a_session_is_good_untouched_for_its_time_and_its_balancer_only(scene: Scene) -> None:
    browser = scene.browser()
    await log_in(browser)
    good = dict(browser.cookies)
    for wrong in (good[SESSION][:-1], good[SESSION][:40] + "A" + good[SESSION][41:], "", "A" * 9):
        browser.cookies = good | {SESSION: wrong}
        assert (await browser.ask("/deny")).status == 401
    browser.cookies = dict(good)
    assert (await browser.ask("/deny")).status == 200
    del browser.cookies[SESSION]
    assert (await browser.ask("/deny")).status == 401, "without its cookie nobody is logged in any more"
    other = replace(scene.served, id="app/other/1")
    await scene.serve(other)
    browser.cookies = dict(good)
    assert (await browser.ask("/deny")).status == 401, "another balancer did not give it"


async def test_what_comes_back_must_be_what_this_browser_began(scene: Scene) -> None:
    browser, other = scene.browser(), scene.browser()
    state = state_in(await browser.ask("/"))
    assert (await come_back(other, state)).status == 401, "no cookie"
    stranger = state_in(await other.ask("/"))
    assert (await come_back(browser, stranger)).status == 401, "somebody else's"
    assert (await come_back(browser, state[:-2] + "AA")).status == 401
    assert (await come_back(browser, "")).status == 401
    assert (await browser.ask(CALLBACK)).status == 401
    assert (await come_back(browser, state, "error=access_denied")).status == 401
    assert (await come_back(browser, state, "error=server_error")).status == 561
    assert (await come_back(browser, state, "other=1")).status == 400
    assert scene.idp.asked == []
    second = state_in(await browser.ask("/second"))
    scene.pass_time(minutes=14)
    assert (await come_back(browser, second)).header("location") == "https://app.example.com/second"
    assert (await come_back(browser, state)).status == 302, "two tabs log in"
    scene.pass_time(minutes=1)
    assert (await come_back(browser, state)).status == 401, "15 minutes are over"


async def test_a_provider_that_fails_lets_nobody_in(scene: Scene) -> None:
    browser = scene.browser()
    state = state_in(await browser.ask("/"))

    async def status(**changes: Any) -> int:
        before = {name: getattr(scene.idp, name) for name in changes}
        for name, value in changes.items():
            setattr(scene.idp, name, value)
        answer = await come_back(browser, state)
        for name, value in before.items():
            setattr(scene.idp, name, value)
        assert SESSION not in browser.cookies or answer.status == 302
        return answer.status

    over = scene.clock.now().timestamp() - 3600
    assert await status(token_status=400) == 561
    assert await status(user_status=403) == 561
    assert await status(given={"id_token": None}) == 401
    assert await status(given={"id_token": "none"}) == 561
    assert await status(given={"access_token": None}) == 561
    assert await status(given={"access_token": "a\r\nb: c"}) == 561
    assert await status(said={"aud": "another client"}) == 561
    assert await status(said={"iss": "https://another.test"}) == 561
    assert await status(said={"exp": over}) == 561
    assert await status(said={"sub": "bob"}) == 561
    assert await status(user={"email": "ann@example.com"} | {"sub": ""}) == 561
    assert await status(user={"sub": "ann", "all": "x" * 11_300}) == 500
    assert await status(said={"aud": ["another", CLIENT]}, user={"sub": "ann", "all": "x" * 11_000}) == 302
    assert len([name for name in browser.cookies if name.startswith("AWSELB")]) > 2
    assert (await browser.ask("/deny")).status == 200
    assert len(scene.has("x-amzn-oidc-data") or "") > 11_000
    assert (await status()) == 302, "a shorter session leaves nothing of the longer one"
    assert [name for name in browser.cookies if name.startswith("AWSELB")] == [SESSION]


async def test_a_provider_that_is_away_or_not_trusted_is_500(scene: Scene, tmp_path: Path) -> None:
    browser = scene.browser()
    state = state_in(await browser.ask("/"))
    scene.gate._providers = HttpProviders("")
    assert (await come_back(browser, state)).status == 500
    gone = guarded(scene.port, scene.target, scene.idp, token_endpoint="https://localhost:1/token")
    await scene.serve(gone)
    scene.gate._providers = HttpProviders(scene.idp.roots)
    assert (await come_back(browser, state)).status == 500


async def test_an_old_access_token_is_renewed_once_for_all_requests(scene: Scene) -> None:
    browser = scene.browser()
    await log_in(browser)
    scene.pass_time(seconds=60)
    scene.idp.user = {"sub": "ann", "email": "new@example.com"}
    old = dict(browser.cookies)
    tabs = [Browser(port=scene.port, cookies=dict(old)) for _ in range(4)]
    late = tabs.pop()
    answers = await asyncio.gather(*(tab.ask("/deny") for tab in tabs))
    assert [one.status for one in answers] == [200] * 3
    assert [one["grant_type"] for one in scene.idp.asked] == ["authorization_code", "refresh_token"]
    assert scene.idp.asked[-1]["refresh_token"] == "refresh-1"
    assert scene.has("x-amzn-oidc-accesstoken") == "access-2"
    assert "new@example.com" in str(
        jwt.decode(scene.has("x-amzn-oidc-data") or "", options={"verify_signature": False})
    )
    assert tabs[0].cookies[SESSION] != old[SESSION]
    assert (await tabs[0].ask("/deny")).all("set-cookie") == []
    scene.pass_time(seconds=60)
    assert (await late.ask("/deny")).status == 200, "though it never got the newer cookie"
    assert scene.idp.asked[-1]["refresh_token"] == "refresh-2"
    scene.idp.token_status = 400
    assert (await tabs[0].ask("/deny")).status == 401, "what cannot be renewed is over"


async def test_a_session_ends_with_its_time_and_without_a_refresh_token_not_before(tmp_path: Path) -> None:
    async with staged(tmp_path, session_timeout_seconds=600) as scene:
        browser = scene.browser()
        scene.idp.given = {"refresh_token": None}
        await log_in(browser)
        scene.pass_time(seconds=599)
        assert (await browser.ask("/deny")).status == 200
        scene.pass_time(seconds=1)
        assert (await browser.ask("/deny")).status == 401
        assert (await browser.ask("/")).status == 302


async def test_what_a_rule_says_of_scope_cookie_and_parameters_is_asked_for(tmp_path: Path) -> None:
    said = {"prompt": "login", "client_id": "not this"}
    async with staged(
        tmp_path, scope="openid email", session_cookie_name="mine", extra_parameters=said
    ) as scene:
        browser = scene.browser()
        away = await browser.ask("/")
        query = parse_qs(urlsplit(away.header("location") or "").query)
        assert (query["scope"], query["prompt"], query["client_id"]) == (
            ["openid email"],
            ["login"],
            [CLIENT],
        )
        await come_back(browser, state_in(away))
        assert "mine-0" in browser.cookies
        assert (await browser.ask("/deny")).status == 200


async def test_while_nobody_decides_such_rules_are_503_and_others_go_on(tmp_path: Path) -> None:
    clock, port = FixedClock(datetime(2026, 5, 1, tzinfo=UTC)), free_port()
    async with (
        asyncio.timeout(90),
        IdentityProvider(tmp_path, clock).serving() as idp,
        Upstream(name="a").serving() as target,
        data_plane(roots=idp.roots) as plane,
    ):
        plane.serve([guarded(port, target, idp)], [self_signed("own", "app.example.com")])
        assert await plane.until_live() == ()
        browser = Browser(port=port)
        assert [(await browser.ask(path)).status for path in ("/", "/allow", "/open")] == [503, 503, 200]


async def test_a_session_outlives_the_control_plane_which_such_rules_wait_for(tmp_path: Path) -> None:
    clock, ids, port = FixedClock(datetime(2026, 5, 1, tzinfo=UTC)), SystemIds(), free_port()
    browser = Browser(port=port)
    paths = ("/deny", "/open")
    async with (
        asyncio.timeout(90),
        IdentityProvider(tmp_path, clock).serving() as idp,
        Upstream(name="a").serving() as target,
    ):
        served, material = guarded(port, target, idp), self_signed("own", "app.example.com")

        def gate() -> Gate:
            providers, signer = HttpProviders(idp.roots), Signer(bytes(32))
            vault = Vault(bytes(32), ids)
            return Gate(clock, ids, vault, secrets=Secrets(), providers=providers, signer=signer)

        with tempfile.TemporaryDirectory(prefix="hp-") as made:
            folder = Path(made)
            try:
                async with data_plane(folder=folder, outlives=True, gate=gate()) as plane:
                    plane.serve([served], [material])
                    assert await plane.until_live() == ()
                    await log_in(browser)
                    assert [(await browser.ask(path)).status for path in paths] == [200, 200]
                assert [(await browser.ask(path)).status for path in paths] == [503, 200]
                async with data_plane(folder=folder, outlives=True, gate=gate()) as plane:
                    plane.serve([served], [material])
                    assert await plane.until_live() == ()
                    assert [(await browser.ask(path)).status for path in paths] == [200, 200]
            finally:
                await end_leftover(folder)


async def test_no_secret_is_in_what_the_proxy_knows(scene: Scene) -> None:
    browser = scene.browser()
    await log_in(browser)
    known = str(scene.plane._snapshot.resources)
    assert CLIENT not in known
    assert "hunter" not in known
    assert scene.idp.issuer not in known


async def test_a_listener_beside_one_with_logins_believes_no_client_either(scene: Scene) -> None:
    port = free_port()
    forward = Forward(groups=(WeightedGroup(group_id=scene.served.groups[0].id),))
    beside = Listener(
        id="plain", protocol=Protocol.HTTP, port=port, rules=(Rule(id="default", action=forward),)
    )
    await scene.serve(replace(scene.served, listeners=(*scene.served.listeners, beside)))
    client = Client(port)
    assert (await client.ask("/", headers=FORGED)).body == b"a"
    client.close()
    assert [scene.has(name) for name in HEADERS] == [None] * 3
