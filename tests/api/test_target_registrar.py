"""Targets that a service registers on its owner's behalf go the way of a request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from homeport.app.balancers.service_targets import ServiceTargets
from homeport.services.ecs.ports import (
    TARGETS_CHANGED,
    TargetGroup,
    TargetGroupMissingError,
    TargetGroups,
    TargetGroupsError,
)
from homeport.services.elbv2.errors import InvalidTarget, TargetGroupNotFound
from homeport.services.elbv2.manifest import TARGETS_CHANGED as OURS
from homeport.services.elbv2.manifest import GroupFacts, Registrar, TooLateError
from homeport.services.elbv2.plan.health import DRAINING, REGISTERING
from tests.kit.elbv2 import application, group, listener, mount_elbv2, mounted
from tests.kit.server import ACCOUNT, REGION, Live, live_server

IN_TIME = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with live_server(mount=mount_elbv2) as server:
        yield server


@pytest.fixture
def registrar(live: Live) -> Registrar:
    return Registrar(mounted(live.plane))


@pytest.fixture(scope="module")
def arn(live: Live) -> str:
    elb: Any = live.client("elbv2")
    target = group(elb)
    listener(elb, application(elb), target)
    return str(target["TargetGroupArn"])


def test_targets_come_and_go(live: Live, registrar: Registrar, arn: str) -> None:
    live.run(registrar.register(arn, [("i-0", 32768), ("i-1", 32769)]))
    live.run(registrar.register(arn, [("i-0", 32768)]))
    live.run(registrar.deregister(arn, [("i-1", 32769), ("i-3", 1)]))
    assert live.run(registrar.health(arn)) == {("i-0", 32768): REGISTERING, ("i-1", 32769): DRAINING}
    shown = live.client("elbv2").describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    assert [one["TargetHealth"]["State"] for one in shown] == ["initial", "draining"]


def test_groups_are_found_with_what_a_service_must_know(live: Live, registrar: Registrar, arn: str) -> None:
    unused = group(live.client("elbv2"), "unused", TargetType="ip")["TargetGroupArn"]
    facts = {"deregistration_delay_seconds": 300.0}
    assert live.run(registrar.find(ACCOUNT, REGION, [arn, unused, f"{arn}0"])) == {
        arn: GroupFacts(arn=arn, target_type="instance", has_load_balancer=True, **facts),
        unused: GroupFacts(arn=unused, target_type="ip", has_load_balancer=False, **facts),
    }
    assert live.run(registrar.find("111111111111", REGION, [arn])) == {}


def test_what_cannot_be_is_an_error(live: Live, registrar: Registrar, arn: str) -> None:
    with pytest.raises(InvalidTarget):
        live.run(registrar.register(arn, [("i-77", 80)]))
    with pytest.raises(TargetGroupNotFound):
        live.run(registrar.health(f"{arn}0"))
    live.run(registrar.register(arn, []))
    live.run(registrar.deregister(arn, []))


def test_a_service_of_ecs_uses_them_in_its_own_words(live: Live, registrar: Registrar, arn: str) -> None:
    targets: TargetGroups = ServiceTargets(registrar)
    assert TARGETS_CHANGED == OURS
    assert live.run(targets.find(ACCOUNT, REGION, [arn, f"{arn}0"])) == {  # type: ignore[arg-type]
        arn: TargetGroup(arn=arn, target_type="instance")
    }
    live.run(targets.register(arn, [("i-3", 5)], before=IN_TIME))  # type: ignore[arg-type]
    assert live.run(targets.health(arn))["i-3", 5].state == "initial"  # type: ignore[arg-type]
    live.run(targets.deregister(arn, [("i-3", 5)]))  # type: ignore[arg-type]
    assert live.run(targets.health(arn))["i-3", 5].state == "draining"  # type: ignore[arg-type]
    with pytest.raises(TargetGroupMissingError):
        live.run(targets.register(f"{arn}0", [("i-3", 5)], before=IN_TIME))  # type: ignore[arg-type]
    with pytest.raises(TargetGroupsError, match="InvalidTarget"):
        live.run(targets.register(arn, [("i-77", 5)], before=IN_TIME))  # type: ignore[arg-type]


@dataclass
class Hasty:
    """A clock on which a minute passes whenever somebody looks."""

    instant: datetime = datetime(2030, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self.instant += timedelta(minutes=1)
        return self.instant


def test_a_registration_that_comes_too_late_registers_nothing(live: Live, arn: str) -> None:
    """It is in time when it comes, and too late when it is written: then it counts."""
    clock = Hasty()
    registrar = Registrar(replace(mounted(live.plane), clock=clock))
    before = clock.instant + timedelta(minutes=3)
    with pytest.raises(TooLateError):
        live.run(registrar.register(arn, [("i-4", 80)], before=before))
    assert clock.instant == before
    assert ("i-4", 80) not in live.run(registrar.health(arn))
    with pytest.raises(TargetGroupsError, match="too late"):
        live.run(ServiceTargets(registrar).register(arn, [("i-4", 80)], before=before))  # type: ignore[arg-type]
    live.run(registrar.register(arn, [("i-4", 80)], before=clock.instant + timedelta(minutes=4)))
    assert ("i-4", 80) in live.run(registrar.health(arn))
