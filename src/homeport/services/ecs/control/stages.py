"""What a stage needs from outside: traffic that is shifted, functions that are called.

Each is asked again until its answer is written: whoever is killed in between asks the same again, by the same
name and with the same shares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import msgspec

from homeport.core.clock import Clock
from homeport.core.errors import AwsError
from homeport.core.ids import Ids
from homeport.core.log import get_logger
from homeport.runtime.retry import decide_again
from homeport.services.ecs.control.service_loads import Loaded, ServiceLoads
from homeport.services.ecs.control.service_steps import with_events
from homeport.services.ecs.model import HookAnswer, HookRun, Service, Staging
from homeport.services.ecs.plan.explain_stages import SHIFT_TROUBLE
from homeport.services.ecs.plan.rollout import ServicePlan
from homeport.services.ecs.plan.rollout_endings import with_primary
from homeport.services.ecs.plan.strategy import may_be_in_force
from homeport.services.ecs.plan.strategy_hooks import answered, hook_event, with_runs
from homeport.services.ecs.plan.traffic import connect_shares, in_force, is_still_asked, rule_shares
from homeport.services.ecs.ports import (
    ConnectNames,
    ConnectProxy,
    ConnectShares,
    LifecycleHookInvoker,
    TrafficShifter,
)
from homeport.services.ecs.repo.history import HistoryRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

log = get_logger("ecs.stages")
SHIFT_LOOK = timedelta(seconds=1)
SHIFT_PAUSE = timedelta(seconds=30)
"""Before traffic that could not be shifted is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Who shifts traffic and calls functions; `None`: nobody, and no service is let to ask for it.

    `names` and `proxy` are Service Connect's.
    """

    shifter: TrafficShifter | None = None
    names: ConnectNames | None = None
    proxy: ConnectProxy | None = None
    invoker: LifecycleHookInvoker | None = None


class StageWork:
    """Carries out what a plan asks of others, and notes what became of it."""

    def __init__(self, store: Store, clock: Clock, ids: Ids, outside: Outside, loads: ServiceLoads) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._outside = outside
        self._loads = loads

    async def carry_out(self, service: Service, plan: ServicePlan) -> datetime | None:
        """Shift and call; when to look again, for what is not answered yet."""
        wake = await self._shift(service) if plan.shift else None
        for run in plan.calls:
            await self._call(service, run)
        return wake

    async def _shift(self, service: Service) -> datetime | None:
        staging = service.primary.staging
        if staging is None:
            return None
        wanted = partial(self._is_wanted, asked=service)
        try:
            is_live = await self._share(service, staging, wanted)
            if self._outside.shifter is not None:
                shares = rule_shares(service, staging)
                is_live &= await self._outside.shifter.shift(service, shares, wanted)
        except AwsError as error:
            told = f"(service {service.name}) {SHIFT_TROUBLE}: {error.message}"
            await self._note(service, lambda now: now, told)
            return self._clock.now() + SHIFT_PAUSE
        if not is_live:
            return self._clock.now() + SHIFT_LOOK
        await self._note(service, partial(in_force, asked=staging))
        return None

    async def _share(self, service: Service, staging: Staging, wanted: Callable[[Tx], bool]) -> bool:
        """Ask Service Connect for the shares, if it is in it; whether they are in force."""
        names, proxy = self._outside.names, self._outside.proxy
        shares = connect_shares(service, staging)
        if shares is None or names is None:
            return True

        def work(tx: Tx) -> bool:
            if not wanted(tx) or not _is_reached(tx, names, service, shares):
                return False
            names.share(tx, service.arn, shares)
            return True

        is_asked = await decide_again(lambda: self._store.write(work))
        return is_asked and (proxy is None or await proxy.is_in_force(service.arn) is not False)

    def _is_wanted(self, tx: Tx, *, asked: Service) -> bool:
        """Whether the service still asks for the shares, and those who would get them can still serve."""
        loaded = self._loads.load(tx, asked.id)
        if not isinstance(loaded, Loaded) or not is_still_asked(loaded.snapshot.service, asked):
            return False
        return may_be_in_force(loaded.snapshot, self._clock.now())

    async def _call(self, service: Service, run: HookRun) -> None:
        staging = service.primary.staging
        if staging is None or self._outside.invoker is None:
            return
        records = await self._store.read(lambda tx: HistoryRepo(tx).open_of(service.id))
        arns = [record.arn for record in records if record.deployment_id == staging.green]
        if not arns:
            return
        try:
            answer = await self._outside.invoker.invoke(run.hook, hook_event(service, staging, run, arns[-1]))
        except AwsError as error:
            log.warning("hook.not_called", hook=run.id, function=run.hook.target_arn, reason=error.message)
            answer = HookAnswer(status="FAILED")

        def with_answer(now: Staging) -> Staging:
            found = [one for one in now.hooks if one.id == run.id and one.is_open]
            return with_runs(now, *(answered(one, answer, self._clock.now()) for one in found))

        await self._note(service, with_answer)

    async def _note(self, service: Service, change: Callable[[Staging], Staging], *told: str) -> None:
        """Write what became of it, unless the service has another deployment by now."""

        def work(tx: Tx) -> None:
            repo = ServiceRepo(tx)
            current = repo.get(service.id)
            if current is None or not current.deployments or current.primary.id != service.primary.id:
                return
            staging = current.primary.staging
            if staging is None:
                return
            primary = msgspec.structs.replace(current.primary, staging=change(staging))
            after = with_events(with_primary(current, primary), told, ids=self._ids, now=self._clock.now())
            if after != current:
                repo.save(after)

        await decide_again(lambda: self._store.write(work))


def _is_reached(tx: Tx, names: ConnectNames, service: Service, shares: ConnectShares) -> bool:
    """Whether clients can reach all tasks that are to get traffic: they are registered once they run."""
    staging, green = service.primary.staging, service.primary
    if staging is None or staging.returns or not (shares.percent or shares.tests):
        return True
    endpoints = green.connect.endpoints if green.connect is not None else ()
    return all(names.registered(tx, one.arn, green.id) >= service.desired_count for one in endpoints)
