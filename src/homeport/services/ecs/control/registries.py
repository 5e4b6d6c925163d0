"""Keeps services' running tasks in their registries; one key is one service's row, and one is the sweep.

Nothing is remembered here: what is registered is asked of the registry, and compared with what runs. A
registration takes effect only while its task still runs, which is looked at in the registration's own
transaction; so none can come late.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import partial

import msgspec

from homeport.core.clock import Clock
from homeport.core.log import get_logger
from homeport.runtime.changes import Change
from homeport.runtime.retry import decide_again
from homeport.runtime.runner import Next
from homeport.services.ecs.model import Service, Task
from homeport.services.ecs.plan.registries import (
    Deregister,
    Host,
    Leaving,
    Register,
    RegistryPlan,
    RegistrySnapshot,
    Report,
    is_connected,
    is_wanted,
    let_go,
    plan_registrations,
)
from homeport.services.ecs.ports import ConnectProxy, RegistryRefusedError, ServiceRegistries
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

log = get_logger("ecs.registries")

SWEEP = "sweep"


class RegistryController:
    """Looks, plans, asks; then lets go of the tasks that nobody finds any more."""

    name = "ecs.registries"

    def __init__(
        self, store: Store, clock: Clock, registries: ServiceRegistries, proxy: ConnectProxy | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._registries = registries
        self._proxy = proxy
        self._leaving: dict[int, Mapping[int, Leaving]] = {}
        """By service: tasks that wait for Service Connect's proxy. Who begins anew lets them wait anew."""
        self._used: dict[str, set[str]] = {}
        """Registries that a service's tasks were seen in: one that is not used any more is emptied."""

    async def keys(self) -> Iterable[str]:
        """Every service with tasks, and the sweep for those that have none."""
        ids = await self._store.read(lambda tx: TaskRepo(tx).service_ids())
        return [SWEEP, *(str(service_id) for service_id in sorted(ids))]

    def keys_of(self, change: Change) -> Iterable[str]:
        """The service that changed."""
        return (change.key,)

    async def reconcile(self, key: str) -> Next:
        """One step of one service, or of all that is left behind."""
        if key == SWEEP:
            await self._sweep()
            return Next()
        loaded = await self._store.read(lambda tx: _load(tx, int(key)))
        if loaded is None:
            return Next()
        service, live, hosts = loaded
        used = self._used.setdefault(key, set())
        used |= {one.arn for task in live for one in task.registries}
        used |= {one.arn for deployment in service.deployments for one in deployment.registries}
        snapshot = RegistrySnapshot(
            service=service,
            live=live,
            hosts=await self._placed(service, hosts),
            registered={arn: await self._registries.registered(arn, _owner(service)) for arn in sorted(used)},
        )
        plan = plan_registrations(snapshot)
        if plan.is_empty:
            self._leaving.pop(service.id, None)
            return Next()
        return Next(wake_at=await self._apply(service, plan))

    async def _placed(self, service: Service, hosts: Mapping[int, str]) -> dict[int, Host]:
        """Instances by their rows, with their addresses."""
        names = set(hosts.values())
        found = await self._registries.addresses(service.account_id, service.region, names)
        return {row: Host(ec2_instance_id=name, address=found.get(name, "")) for row, name in hosts.items()}

    async def _apply(self, service: Service, plan: RegistryPlan) -> datetime | None:
        """Everything that can be done; then raise `RegistryRefusedError` for what could not.

        When to look again for those whom the proxy has not let go.
        """
        refused: list[RegistryRefusedError] = []
        for action in plan.actions:
            try:
                await decide_again(partial(self._do, action))
            except RegistryRefusedError as error:
                refused.append(error)
        if plan.actions:
            done = len(plan.actions)
            log.info("registry.changed", service=service.arn, actions=done, refused=len(refused))
        free, wake = await self._let_go(service, plan.released)
        if free:
            await decide_again(lambda: self._store.write(lambda tx: _release(tx, free)))
        if refused:
            raise refused[0]
        return wake

    async def _let_go(
        self, service: Service, released: Collection[Task]
    ) -> tuple[Collection[Task], datetime | None]:
        """Those who may stop: nobody sends them anything new, and what they have begun had its time."""
        if self._proxy is None or not any(map(is_connected, released)):
            return released, None
        in_force, known = await self._proxy.is_in_force(service.arn), self._leaving.get(service.id, {})
        step = let_go(released, known, in_force, now=self._clock.now())
        self._leaving[service.id] = step.leaving
        return step.free, step.wake_at

    async def _do(self, action: Register | Report | Deregister) -> None:
        match action:
            case Register():
                still = partial(_still, task=action.task)
                await self._registries.register(action.arn, action.task.uid, action.attributes, still=still)
            case Report():
                await self._registries.report(action.arn, action.uid, healthy=action.healthy)
            case Deregister():
                await self._registries.deregister(action.arn, action.uid)

    async def _sweep(self) -> None:
        """Deregister tasks that are no more: who died in between left them."""
        left = await self._registries.all_registered()
        known = await self._store.read(lambda tx: _live_uids(tx, {uid for _, uid in left}), bulk=True)
        for arn, uid in left:
            if uid not in known:
                await self._registries.deregister(arn, uid)


def _owner(service: Service) -> tuple[str, str]:
    return service.cluster_name, service.name


def _load(tx: Tx, service_id: int) -> tuple[Service, tuple[Task, ...], Mapping[int, str]] | None:
    """A service, its live tasks, and the EC2 ids of their instances by row; `None`: it has no registries."""
    service = ServiceRepo(tx).get(service_id)
    if service is None or not service.has_registries:
        return None
    live = tuple(task for task in TaskRepo(tx).live_of_service(service_id) if task.registries)
    rows = sorted({task.instance_id for task in live if task.instance_id is not None and is_wanted(task)})
    found = (InstanceRepo(tx).get(row) for row in rows)
    return service, live, {one.id: one.ec2_instance_id for one in found if one is not None}


def _still(tx: Tx, *, task: Task) -> bool:
    current = TaskRepo(tx).get(task.id)
    return current is not None and is_wanted(current)


def _live_uids(tx: Tx, uids: Iterable[str]) -> frozenset[str]:
    repo = TaskRepo(tx)
    return frozenset(uid for uid in uids if repo.is_live(uid))


def _release(tx: Tx, released: Iterable[Task]) -> None:
    """Write that the tasks have left. What changed meanwhile is left to the next look."""
    repo = TaskRepo(tx)
    for task in released:
        current = repo.get(task.id)
        if current is not None and current.is_held and not current.has_left:
            status = current.last_status if current.target_places else "STOPPING"
            repo.save(msgspec.structs.replace(current, has_left=True, last_status=status))
