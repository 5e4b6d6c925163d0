"""Looks at the alarms of services that are being deployed; one key is one service's row.

What it sees is written into the deployment (`alarm_watch`): the rollout decides by that as by all else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from homeport.runtime.changes import Change
from homeport.runtime.retry import decide_again
from homeport.runtime.runner import Next
from homeport.services.ecs.model import Service
from homeport.services.ecs.plan.alarms import is_watched, next_watch, unanswered
from homeport.services.ecs.plan.rollout_endings import with_primary
from homeport.services.ecs.ports import ALARMS_CHANGED, AlarmsError, AlarmState, AlarmStates, alarm_key
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.store.base import Store
from homeport.store.tx import Tx


class AlarmController:
    """Asks outside of transactions; who gives no answer is asked again by the runtime."""

    name = "ecs.alarms"

    def __init__(self, store: Store, alarms: AlarmStates) -> None:
        self._store = store
        self._alarms = alarms
        self._services: dict[str, set[str]] = {}
        """Services by the alarms that they watch, as far as this process has looked."""

    async def keys(self) -> Iterable[str]:
        """Every service that is not INACTIVE."""
        ids = await self._store.read(lambda tx: ServiceRepo(tx).live_ids())
        return [str(service_id) for service_id in ids]

    def keys_of(self, change: Change) -> Iterable[str]:
        """The service that changed, or those that watch the alarm that did."""
        if change.kind == ALARMS_CHANGED:
            return tuple(self._services.get(change.key, ()))
        return (change.key,)

    async def reconcile(self, key: str) -> Next:
        """One look for one service."""
        service = await self._store.read(lambda tx: ServiceRepo(tx).get(int(key)))
        if service is None or not is_watched(service):
            return Next()
        for name in service.alarms.names:
            known = alarm_key(service.account_id, service.region, name)
            self._services.setdefault(known, set()).add(key)
        try:
            states = await self._alarms.find(service.account_id, service.region, service.alarms.names)
        except AlarmsError as error:
            problem = str(error)
            await decide_again(lambda: self._store.write(lambda tx: _note(tx, service, None, problem)))
            raise
        await decide_again(lambda: self._store.write(lambda tx: _note(tx, service, states, "")))
        return Next()


def _note(tx: Tx, seen: Service, states: Mapping[str, AlarmState] | None, problem: str) -> None:
    """Write down what was seen, if it is about the deployment that is there still."""
    services = ServiceRepo(tx)
    service = services.get(seen.id)
    if service is None or not is_watched(service) or service.primary.id != seen.primary.id:
        return
    before = service.primary.alarm_watch
    after = unanswered(before, problem) if states is None else next_watch(before, states)
    if after != before:
        primary = msgspec.structs.replace(service.primary, alarm_watch=after)
        services.save(with_primary(service, primary))
