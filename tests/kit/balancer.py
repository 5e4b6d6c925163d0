"""A load balancer for tests: it takes its time, forgets nothing, and sometimes does not answer.

It outlives the control plane's processes. News of changed health go to the change feed as
a real one's would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from homeport.core.clock import Clock
from homeport.services.ecs.model import CLASSIC, classic_arn
from homeport.services.ecs.ports import (
    ALARMS_CHANGED,
    TARGETS_CHANGED,
    AlarmsError,
    AlarmState,
    TargetAddress,
    TargetGroup,
    TargetGroupMissingError,
    TargetGroupsError,
    TargetState,
    TargetUse,
    alarm_key,
)
from homeport.store.base import Store

GROUP = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/{}/0123456789abcdef"
LATE_SECONDS = 150.0
INITIAL = TargetState(
    state="initial", reason="Elb.InitialHealthChecking", description="Initial health checks in progress"
)
HEALTHY = TargetState(state="healthy")
UNHEALTHY = TargetState(
    state="unhealthy",
    reason="Target.ResponseCodeMismatch",
    description="Health checks failed with these codes: [503]",
)
DRAINS = TargetState(
    state="draining",
    reason="Target.DeregistrationInProgress",
    description="Target deregistration is in progress",
)


@dataclass
class FakeTargetGroups:
    """Target groups and their targets. `clock`: what tells that a registration comes too late.

    `answers`: whether something listens there and is well, `None`: nobody listens; without it all is well.
    `check_seconds`: between two looks; `trouble`: how often a call fails, before or after it was done.
    """

    store: Store
    clock: Clock
    groups: dict[str, TargetGroup] = field(default_factory=dict)
    targets: dict[str, dict[TargetAddress, TargetState]] = field(default_factory=dict)
    answers: Callable[[TargetAddress], bool | None] = lambda _address: True
    check_seconds: float = 5.0
    slow_seconds: float = 0.0
    trouble: float = 0.0
    flaps: float = 0.0
    down: str = ""
    """Why no call is answered."""
    dice: Random = field(default_factory=lambda: Random(1))
    ends: dict[tuple[str, TargetAddress], float] = field(default_factory=dict)
    """When a draining target is gone, on the loop's clock."""
    calls: list[tuple[str, str, tuple[TargetAddress, ...]]] = field(default_factory=list)
    under_way: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    """Questions of processes that have died, with when they arrive."""
    denied: dict[str, set[str]] = field(default_factory=dict)
    """What roles may not do, by their ARNs."""
    haunted: set[TargetAddress] = field(default_factory=set)
    """Where such a registration came about."""

    def add(self, name: str, target_type: str = "instance", delay_seconds: float = 30.0) -> str:
        """A target group; its ARN."""
        arn = GROUP.format(name)
        self.groups[arn] = TargetGroup(
            arn=arn, target_type=target_type, deregistration_delay_seconds=delay_seconds
        )
        self.targets[arn] = {}
        return arn

    def add_classic(self, name: str, instance_port: int, delay_seconds: float = 30.0) -> str:
        """A Classic Load Balancer with one listener; its ARN."""
        arn = classic_arn("000000000000", "us-east-1", name)
        self.groups[arn] = TargetGroup(
            arn=arn,
            target_type=CLASSIC,
            deregistration_delay_seconds=delay_seconds,
            instance_ports=frozenset({instance_port}),
        )
        self.targets[arn] = {}
        return arn

    def _is_well(self, arn: str, address: TargetAddress) -> bool:
        """A classic balancer asks at one port of an instance: here at the first that it sends traffic to."""
        return bool(self.answers((address[0], min(self.groups[arn].instance_ports, default=address[1]))))

    def remove(self, arn: str) -> None:
        """The group is deleted."""
        del self.groups[arn], self.targets[arn]

    def serving(self, arn: str) -> set[TargetAddress]:
        """What is registered and does not drain."""
        return {address for address, state in self.targets[arn].items() if state != DRAINS}

    async def run(self) -> None:
        """Check health until cancelled."""
        while True:
            await asyncio.sleep(self.check_seconds)
            await self._arrive()
            for arn in list(self.groups):
                await self._check(arn)

    async def _arrive(self) -> None:
        """What was asked by processes that are gone comes about."""
        now = asyncio.get_running_loop().time()
        due = [come for at, come in self.under_way if at <= now]
        self.under_way = [one for one in self.under_way if one[0] > now]
        for come in due:
            come()
        for arn in self.groups if due else ():
            await self._tell(arn)

    async def _check(self, arn: str) -> None:
        now, targets = asyncio.get_running_loop().time(), self.targets[arn]
        before = dict(targets)
        for address, state in before.items():
            if state == DRAINS:
                if self.ends[arn, address] <= now:
                    del targets[address]
            elif not self._is_well(arn, address):
                targets[address] = UNHEALTHY if state != INITIAL or self.dice.random() < 0.5 else INITIAL
            elif self.dice.random() < self.flaps:
                targets[address] = UNHEALTHY
            else:
                targets[address] = HEALTHY
        if targets != before:
            await self._tell(arn)

    async def _tell(self, arn: str) -> None:
        await self.store.write(lambda tx: tx.touch(TARGETS_CHANGED, arn))

    async def set_health(self, arn: str, address: TargetAddress, state: TargetState) -> None:
        """A target's health changes now."""
        self.targets[arn][address] = state
        await self._tell(arn)

    # ---- the port ---------------------------------------------------------------------------

    async def permit(self, role_arn: str, uses: Collection[TargetUse]) -> None:
        """Everything but what the role is denied."""
        for doing, _ in uses:
            if doing in self.denied.get(role_arn, ()):
                raise TargetGroupsError(f"AccessDeniedException: {role_arn} may not {doing}")

    async def find(self, account_id: str, region: str, arns: Collection[str]) -> Mapping[str, TargetGroup]:
        del account_id, region
        await self._pause()
        return {arn: self.groups[arn] for arn in arns if arn in self.groups}

    async def register(self, arn: str, targets: Collection[TargetAddress], *, before: datetime) -> None:
        lost = await self._pause(lambda: self.haunt(arn, tuple(targets), before))
        if not self._register(arn, targets, before):
            raise TargetGroupsError("The request came too late.")
        self._answer(lost)

    def _register(self, arn: str, targets: Collection[TargetAddress], before: datetime) -> bool:
        known = self._of(arn)
        if self.clock.now() > before:
            return False
        self.calls.append(("register", arn, tuple(targets)))
        for address in targets:
            if known.get(address, DRAINS) == DRAINS:
                known[address] = INITIAL
                self.ends.pop((arn, address), None)
        return True

    def haunt(self, arn: str, targets: Collection[TargetAddress], before: datetime) -> None:
        """A registration arrives whose process is gone."""
        if self._register(arn, targets, before):
            self.haunted |= set(targets)

    async def deregister(self, arn: str, targets: Collection[TargetAddress]) -> None:
        lost = await self._pause(lambda: self._deregister(arn, tuple(targets)))
        self._deregister(arn, targets)
        self._answer(lost)

    def _deregister(self, arn: str, targets: Collection[TargetAddress]) -> None:
        known = self._of(arn)
        self.calls.append(("deregister", arn, tuple(targets)))
        delay = self.groups[arn].deregistration_delay_seconds
        for address in targets:
            if known.get(address, DRAINS) != DRAINS:
                known[address] = DRAINS
                self.ends[arn, address] = asyncio.get_running_loop().time() + delay

    async def health(self, arn: str) -> Mapping[TargetAddress, TargetState]:
        await self._pause()
        return dict(self._of(arn))

    def _of(self, arn: str) -> dict[TargetAddress, TargetState]:
        if arn not in self.groups:
            raise TargetGroupMissingError(f"Target groups '{arn}' not found")
        return self.targets[arn]

    async def _pause(self, comes_late: Callable[[], object] = lambda: None) -> bool:
        """Takes its time. Raise instead of doing anything; or: whether the answer will be lost.

        Who is killed meanwhile may have sent its question already: then that arrives at any time later.
        """
        if self.slow_seconds:
            try:
                await asyncio.sleep(self.dice.uniform(0, self.slow_seconds))
            except asyncio.CancelledError:
                if self.trouble and self.dice.random() < 0.5:
                    at = asyncio.get_running_loop().time() + self.dice.uniform(0, LATE_SECONDS)
                    self.under_way.append((at, comes_late))
                raise
        if self.down:
            raise TargetGroupsError(self.down)
        if self.dice.random() < self.trouble:
            if self.dice.random() < 0.5:
                raise TargetGroupsError("The simulated load balancer is away.")
            return True
        return False

    def _answer(self, lost: bool) -> None:
        if lost:
            raise TargetGroupsError("The simulated load balancer's answer was lost.")


@dataclass
class FakeAlarms:
    """Alarms by name; news of them go to the change feed."""

    store: Store
    states: dict[str, AlarmState] = field(default_factory=dict)
    down: str = ""

    async def find(self, account_id: str, region: str, names: Collection[str]) -> Mapping[str, AlarmState]:
        del account_id, region
        if self.down:
            raise AlarmsError(self.down)
        return {name: self.states[name] for name in names if name in self.states}

    async def set(self, name: str, *, in_alarm: bool) -> None:
        """An alarm changes its state."""
        self.states[name] = AlarmState(in_alarm=in_alarm, window_seconds=120.0)
        key = alarm_key("000000000000", "us-east-1", name)
        await self.store.write(lambda tx: tx.touch(ALARMS_CHANGED, key))
