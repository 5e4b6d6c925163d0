"""A service of ECS uses Classic Load Balancers in the words that it has for target groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from homeport.app.balancers.classic_targets import AllTargets, ClassicTargets, target_state
from homeport.core.clock import FixedClock
from homeport.services.ecs.model import classic_arn, classic_name
from homeport.services.ecs.ports import (
    TargetGroup,
    TargetGroupMissingError,
    TargetGroups,
    TargetGroupsError,
    TargetState,
)
from homeport.services.elb.manifest import BalancerFacts, Elb, Registrar, Seen, TooLateError
from homeport.services.elb.plan.instances import DRAINING, ELSEWHERE, IN_SERVICE, REGISTERING, UNHEALTHY
from tests.kit.balancer import GROUP
from tests.kit.elb import classic, mount_elb
from tests.kit.server import ACCOUNT, REGION, Live, live_server

IN_TIME = datetime(2100, 1, 1, tzinfo=UTC)
ARN = classic_arn(ACCOUNT, REGION, "old")
BARE = classic_arn(ACCOUNT, REGION, "bare")


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with live_server(mount=mount_elb) as server:
        elb: Any = server.client("elb")
        draining = {"ConnectionDraining": {"Enabled": True, "Timeout": 60}}
        classic(elb)
        classic(elb, "bare")
        elb.modify_load_balancer_attributes(LoadBalancerName="old", LoadBalancerAttributes=draining)
        yield server


@pytest.fixture
def context(live: Live) -> Elb:
    found: Elb = next(one for one in live.plane.services if one.name == "elb").context
    return found


@pytest.fixture
def targets(context: Elb) -> TargetGroups:
    return ClassicTargets(Registrar(context))


def run(live: Live, work: Any) -> Any:
    return live.run(work)


def test_a_balancer_is_found_with_its_ports_and_its_draining(live: Live, targets: TargetGroups) -> None:
    gone = classic_arn(ACCOUNT, REGION, "gone")
    facts: dict[str, Any] = {"target_type": "classic", "instance_ports": frozenset({8080})}
    assert run(live, targets.find(ACCOUNT, REGION, [ARN, BARE, gone])) == {
        ARN: TargetGroup(arn=ARN, deregistration_delay_seconds=60, **facts),
        BARE: TargetGroup(arn=BARE, deregistration_delay_seconds=0, **facts),
    }
    assert run(live, targets.find("111111111111", REGION, [ARN])) == {}


def test_instances_come_drain_and_come_back(live: Live, targets: TargetGroups) -> None:
    run(live, targets.register(ARN, [("i-0", 0), ("i-0", 0)], before=IN_TIME))
    assert run(live, targets.health(ARN))["i-0", 0].state == "initial"
    run(live, targets.deregister(ARN, [("i-0", 0), ("i-3", 0)]))
    assert run(live, targets.health(ARN))["i-0", 0].state == "draining"
    run(live, targets.deregister(ARN, [("i-0", 0)]))
    run(live, targets.register(ARN, [("i-0", 0)], before=IN_TIME))
    assert run(live, targets.health(ARN))["i-0", 0].state == "initial"
    shown = live.client("elb").describe_instance_health(LoadBalancerName="old")["InstanceStates"]
    assert [one["InstanceId"] for one in shown] == ["i-0"]


def test_without_draining_an_instance_is_gone_at_once(live: Live, targets: TargetGroups) -> None:
    run(live, targets.register(BARE, [("i-0", 0)], before=IN_TIME))
    run(live, targets.deregister(BARE, [("i-0", 0)]))
    assert run(live, targets.health(BARE)) == {}


def test_what_cannot_be_is_said(live: Live, targets: TargetGroups) -> None:
    with pytest.raises(TargetGroupMissingError):
        run(live, targets.health(classic_arn(ACCOUNT, REGION, "gone")))
    with pytest.raises(TargetGroupsError, match="InvalidInstance"):
        run(live, targets.register(ARN, [("i-77", 0)], before=IN_TIME))


def test_a_registration_that_comes_too_late_registers_nothing(live: Live, context: Elb) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    registrar = Registrar(replace(context, clock=FixedClock(now)))
    with pytest.raises(TooLateError):
        run(live, registrar.register(ACCOUNT, REGION, "old", ["i-1"], before=now))
    with pytest.raises(TargetGroupsError, match="too late"):
        run(live, ClassicTargets(registrar).register(ARN, [("i-1", 0)], before=now))
    assert "i-1" not in run(live, registrar.health(ACCOUNT, REGION, "old"))
    run(live, registrar.register(ACCOUNT, REGION, "old", ["i-1"], before=now + timedelta(seconds=1)))
    assert "i-1" in run(live, registrar.health(ACCOUNT, REGION, "old"))
    assert isinstance(run(live, registrar.find(ACCOUNT, REGION, ["old"]))["old"], BalancerFacts)


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (IN_SERVICE, "healthy"),
        (REGISTERING, "initial"),
        (UNHEALTHY, "unhealthy"),
        (ELSEWHERE, "unhealthy"),
        (DRAINING, "draining"),
        (Seen(state="Unknown", reason="ELB"), "unavailable"),
    ],
    ids=lambda one: one if isinstance(one, str) else one.state,
)
def test_states_have_their_words(seen: Seen, state: str) -> None:
    found = target_state(seen)
    assert found.state == state
    assert state == "healthy" or (found.reason, found.description) == (seen.reason, seen.description)


class Named:
    """Groups that say who was asked."""

    def __init__(self, name: str) -> None:
        self.name, self.asked = name, list[str]()

    async def find(self, account_id: str, region: str, arns: Any) -> dict[str, TargetGroup]:
        del account_id, region
        return {arn: TargetGroup(arn=arn, target_type=self.name) for arn in arns}

    async def register(self, arn: str, targets: Any, *, before: datetime) -> None:
        self.asked.append(f"register {arn}")

    async def deregister(self, arn: str, targets: Any) -> None:
        self.asked.append(f"deregister {arn}")

    async def health(self, arn: str) -> dict[tuple[str, int], TargetState]:
        self.asked.append(f"health {arn}")
        return {}


async def test_each_question_goes_to_whom_it_is_about() -> None:
    group, modern, old = GROUP.format("web"), Named("instance"), Named("classic")
    both = AllTargets(modern, old)
    found = await both.find(ACCOUNT, REGION, {group: "", ARN: ""})
    assert {arn: one.target_type for arn, one in found.items()} == {group: "instance", ARN: "classic"}
    for arn in (group, ARN):
        await both.register(arn, [("i-1", 0)], before=IN_TIME)
        await both.health(arn)
        await both.deregister(arn, [("i-1", 0)])
    assert modern.asked == [f"{what} {group}" for what in ("register", "health", "deregister")]
    assert old.asked == [f"{what} {ARN}" for what in ("register", "health", "deregister")]
    assert (classic_name(ARN), classic_name(group)) == ("old", "")
