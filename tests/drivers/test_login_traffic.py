"""From the API to a login: what a rule says of a provider is what a client at a real proxy goes through."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from homeport.core.clock import SystemClock
from homeport.dataplane.logins import CALLBACK
from homeport.services.elbv2 import manifest as elbv2
from tests.drivers.test_certificate_traffic import ANSWER, World, until_shown
from tests.kit.dataplane import free_port
from tests.kit.identity import CLIENT, SECRET, Browser, IdentityProvider

pytestmark = pytest.mark.slow


async def test_a_rule_made_through_the_api_lets_a_client_log_in(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(120),
        IdentityProvider(tmp_path, SystemClock()).serving() as idp,
        asyncio.TaskGroup() as group,
    ):
        with tempfile.TemporaryDirectory(prefix="hp-") as made:
            world = World(Path(made), idp.roots)
            loops = [group.create_task(world.plane.run()), group.create_task(world.watch())]
            await _log_in(world, idp)
            for loop in loops:
                loop.cancel()
            await asyncio.wait(loops)
            await world.store.close()


async def _log_in(world: World, idp: IdentityProvider) -> None:
    certificate, port = await world.bring("app.example.com"), free_port()
    login = {
        "Type": "authenticate-oidc",
        "Order": 1,
        "AuthenticateOidcConfig": {
            "Issuer": idp.issuer,
            "AuthorizationEndpoint": f"{idp.issuer}/authorize",
            "TokenEndpoint": f"{idp.issuer}/token",
            "UserInfoEndpoint": f"{idp.issuer}/userinfo",
            "ClientId": CLIENT,
            "ClientSecret": SECRET,
        },
    }
    made = await world.ask(
        elbv2,
        "CreateListener",
        LoadBalancerArn=await world.balancer(),
        Protocol="HTTPS",
        Port=port,
        Certificates=[{"CertificateArn": certificate}],
        DefaultActions=[login, {**ANSWER[0], "Order": 2}],
    )
    assert SECRET not in str(made)
    await until_shown(port, "app.example.com", await world.serial(certificate))
    browser = Browser(port=port, host=f"app.example.com:{port}")
    away = await browser.ask("/cart")
    query = parse_qs(urlsplit(away.header("location") or "").query)
    assert query["redirect_uri"] == [f"https://app.example.com:{port}{CALLBACK}"]
    back = await browser.ask(f"{CALLBACK}?code=c&state={query['state'][0]}")
    assert back.header("location") == f"https://app.example.com:{port}/cart"
    assert (await browser.ask("/cart")).body == b"here"
    browser.cookies.clear()
    assert (await browser.ask("/cart")).status == 302
