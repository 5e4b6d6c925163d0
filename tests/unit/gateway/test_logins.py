"""What clients carry of a login, and what targets are told: pure."""

from __future__ import annotations

from datetime import UTC, datetime

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.core.ids import SeededIds
from homeport.dataplane.errors import UntranslatableError
from homeport.dataplane.logins import filters
from homeport.dataplane.model import Listener, Protocol
from homeport.dataplane.rules import AuthenticateOidc, FixedResponse, Rule
from homeport.gateway.logins.model import Begun, Session
from homeport.gateway.logins.sealed import SHARD_BYTES, Sealer, joined, read_cookies, spread
from homeport.gateway.logins.signer import Signer
from homeport.store.vault import Vault

ENDS = datetime(2026, 5, 1, tzinfo=UTC).timestamp()
GUARD = AuthenticateOidc(
    issuer="https://id.test",
    authorization_endpoint="https://id.test/authorize",
    token_endpoint="https://id.test/token",
    user_info_endpoint="https://id.test/userinfo",
    client_id="me",
    secret_id="arn",
)
SEALER = Sealer(Vault(bytes(32), SeededIds(1)))
SESSION = Session(claims={"sub": "ann", "more": [1, {"a": None}]}, access_token="t", ends=ENDS)


def carried(cookies: tuple[str, ...], held: dict[str, str]) -> dict[str, str]:
    """What a browser that had `held` sends after these."""
    found = dict(held)
    for line in cookies:
        assert len(line.encode()) <= 4096, "browsers take no longer ones"
        assert line.endswith("; Path=/; Secure; HttpOnly")
        name, _, rest = line.partition("=")
        value = rest.partition(";")[0]
        if "01 Jan 1970" in line:
            del found[name]
        else:
            found[name] = value
    return read_cookies("; ".join(f"{name}={value}" for name, value in found.items()))


@given(st.lists(st.integers(1, 5 * SHARD_BYTES), min_size=1, max_size=4))
def test_the_newest_value_comes_back_whole_whatever_was_there_before(lengths: list[int]) -> None:
    held = {"theme": "dark"}
    for length in lengths:
        value = ("abc" * length)[:length]
        held = carried(spread("s", value, ENDS, held), held)
        assert joined(held, "s") == value
    assert held["theme"] == "dark"


@given(st.data())
def test_a_sealed_session_opens_untouched_and_for_its_balancer_and_provider_only(data: st.DataObject) -> None:
    value = SEALER.session(SESSION, "app/web/1", GUARD)
    assert SEALER.open_session(value, "app/web/1", GUARD) == SESSION
    assert SEALER.open_session(value, "app/web/2", GUARD) is None
    for change in ({"issuer": "x"}, {"client_id": "x"}, {"scope": "x"}, {"session_cookie_name": "x"}):
        other = AuthenticateOidc(
            **{name: getattr(GUARD, name) for name in AuthenticateOidc.__slots__} | change
        )
        assert SEALER.open_session(value, "app/web/1", other) is None
    assert SEALER.open_begun(value, "app/web/1") is None
    place = data.draw(st.integers(0, len(value) - 2))
    letter = data.draw(st.sampled_from("ABab09-_").filter(lambda one: one != value[place]))
    assert SEALER.open_session(value[:place] + letter + value[place + 1 :], "app/web/1", GUARD) is None


@given(st.text())
def test_what_nobody_sealed_opens_nothing(text: str) -> None:
    assert SEALER.open_session(text, "app/web/1", GUARD) is None
    assert SEALER.open_begun(text, "app/web/1") is None


def test_a_begun_login_is_no_other_balancers() -> None:
    begun = Begun(listener_id="l", rule_id="r", host="h", path="/", nonce="n", ends=ENDS)
    state = SEALER.begun(begun, "app/web/1")
    assert SEALER.open_begun(state, "app/web/1") == begun
    assert SEALER.open_begun(state, "app/web/2") is None
    assert SEALER.open_session(state, "app/web/1", GUARD) is None


def test_every_replica_signs_with_the_same_key_and_another_installation_with_another() -> None:
    one, same, other = Signer(bytes(32)), Signer(bytes(32)), Signer(b"1" * 32)
    assert (one.key_id, one.public_pem) == (same.key_id, same.public_pem)
    assert other.key_id != one.key_id
    said = one.token({"sub": "ann"}, signer="arn", issuer="https://id.test", client_id="me", ends=2**40)
    assert jwt.decode(said, same.public_pem, ["ES256"])["sub"] == "ann"
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(said, other.public_pem, ["ES256"])


def test_nobody_logs_in_where_others_can_read_it() -> None:
    rule = Rule(id="default", guard=GUARD, action=FixedResponse(status=200))
    with pytest.raises(UntranslatableError, match="nobody logs in over HTTP"):
        filters(Listener(id="l", protocol=Protocol.HTTP, port=80, rules=(rule,)))
