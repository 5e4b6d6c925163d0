"""A page token is opaque, ours, and good for the question it was given to."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from homeport.wire.model import service_api
from homeport.wire.paging import BadTokenError, open_, seal

KEY = b"k" * 32
POSITIONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(POSITIONS, st.text(max_size=20))
def test_what_is_sealed_is_what_is_opened(position: object, scope: str) -> None:
    assert open_(KEY, scope, seal(KEY, scope, position)) == position


@given(POSITIONS, st.text(max_size=10), st.text(max_size=10))
def test_a_token_is_good_for_its_scope_only(position: object, scope: str, other: str) -> None:
    assume(scope != other)
    with pytest.raises(BadTokenError):
        open_(KEY, other, seal(KEY, scope, position))


def test_a_token_is_good_for_its_key_only() -> None:
    with pytest.raises(BadTokenError):
        open_(b"x" * 32, "ecs", seal(KEY, "ecs", 1))


@given(POSITIONS, st.data())
def test_a_changed_token_is_refused(position: object, data: st.DataObject) -> None:
    token = seal(KEY, "ecs", position)
    at = data.draw(st.integers(0, len(token) - 1))
    char = data.draw(st.sampled_from("AZaz09-_=+/ é"))
    assume(token[at] != char)
    with pytest.raises(BadTokenError):
        open_(KEY, "ecs", token[:at] + char + token[at + 1 :])


@given(st.text(max_size=200))
def test_nonsense_is_refused_and_never_crashes(token: str) -> None:
    with pytest.raises(BadTokenError):
        open_(KEY, "ecs", token)


def test_an_endless_token_is_refused() -> None:
    with pytest.raises(BadTokenError):
        open_(KEY, "ecs", "A" * 100_000)


def test_a_token_fits_iams_marker() -> None:
    """Source: botocore iam, shape markerType: at most 320 characters of U+0020 to U+00FF."""
    shape = service_api("iam").operation("ListRoles").input.members["Marker"]
    assert len(seal(KEY, "iam:ListRoles:000000000000:us-east-1", {"after": "r" * 64})) <= shape.traits["max"]
