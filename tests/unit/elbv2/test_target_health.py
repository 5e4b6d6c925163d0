"""A target's health. Source: Application Load Balancer guide, "Target health status", "Reason codes"."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from homeport.services.elbv2.model.groups import Target, TargetHealth
from homeport.services.elbv2.plan.health import (
    DRAINING,
    NOT_IN_USE,
    NOT_REGISTERED,
    OTHER_ZONE,
    REGISTERING,
    STOPPED,
    health_of,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SEEN = TargetHealth(state="healthy")


@given(
    drains_in=st.none() | st.integers(-5, 5),
    in_use=st.booleans(),
    zone=st.sampled_from(["", "all", "a", "z"]),
    runs=st.booleans(),
    checked=st.booleans(),
)
def test_only_what_gets_requests_is_checked(
    drains_in: int | None, in_use: bool, zone: str, runs: bool, checked: bool
) -> None:
    """The reasons in the order in which they decide."""
    end = None if drains_in is None else NOW + timedelta(seconds=drains_in)
    found = health_of(
        Target(target_id="i-0", port=80, zone=zone, registered_at=NOW, drained_at=end),
        NOW,
        in_use=in_use,
        zones=["a", "b"],
        stopped=[] if runs else ["i-0"],
        seen=SEEN if checked else None,
    )
    if drains_in is not None:
        assert found == (DRAINING if drains_in > 0 else NOT_REGISTERED)
    elif not in_use:
        assert found == NOT_IN_USE
    elif not runs:
        assert found == STOPPED
    elif zone == "z":
        assert found == OTHER_ZONE
    else:
        assert found == (SEEN if checked else REGISTERING)
