"""Processes of the real control plane on a store with moods, one after the other, and the machines that join.

Queues, pump, feed, controllers, placer, agent hub and API handlers are the real ones, on a store in memory
and on virtual time; nodes are `SimNode`s, luck is seeded.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from homeport.app.control_plane import ControlPlane
from homeport.app.wiring import build_control_plane
from homeport.core.call import Call, Principal
from homeport.core.clock import LoopClock
from homeport.core.errors import AwsError
from homeport.core.ids import SeededIds, uuid
from homeport.runtime.retry import decide_again
from homeport.runtime.supervisor import Supervisor
from homeport.store import open_memory_store
from homeport.store.vault import Vault
from tests.kit.sim_node import SimNode
from tests.kit.sim_store import MoodyStore, Watch

ACCOUNT, REGION = "000000000000", "us-east-1"
EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
STORES = ((0.0,), (0.0, 0.0, 0.0, 0.005, 0.05), (0.0, 0.0, 0.05, 1.0))
"""How long, in seconds, a store takes now and then: while one waits, others go on."""


@dataclass
class Stage:
    """A control plane that may end at any time, its machines, and who watches."""

    seed: int
    clock: LoopClock = field(default_factory=lambda: LoopClock(EPOCH))
    calm: asyncio.Event = field(default_factory=asyncio.Event)
    account_id: str = ACCOUNT
    region: str = REGION
    nodes: list[SimNode] = field(default_factory=list)
    registered: int = 0
    lives: int = 0
    group: asyncio.TaskGroup = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.inner = open_memory_store()
        self._delays = self.dice.choice(STORES)
        self._names = SeededIds(self.seed)
        self.watch = Watch(self.clock)
        self.violations = self.watch.violations
        self._plane: tuple[ControlPlane, MoodyStore] | None = None
        self._up = asyncio.Event()
        self._kill = asyncio.Event()

    @property
    def faults(self) -> Counter[str]:
        return self.watch.faults

    # ---- the control plane ------------------------------------------------------------------

    def plane(self) -> ControlPlane | None:
        return None if self._plane is None else self._plane[0]

    def build(self, store: MoodyStore, ids: SeededIds) -> ControlPlane:
        """One process of the control plane."""
        vault = Vault(bytes(32), ids)
        return build_control_plane(store, self.clock, ids, page_key=bytes(32), vault=vault)

    async def keep_plane(self) -> None:
        """Processes of the control plane, one after the other; each begins with the store alone."""
        while True:
            self.lives += 1
            store = MoodyStore(self.inner, self.watch, random.Random(self.dice.random()))
            ids = SeededIds(self.seed * 1000 + self.lives)
            plane = self.build(store, ids)
            async with Supervisor() as supervisor:
                plane.start(supervisor)
                self._plane = (plane, store)
                self._mood()
                self._up.set()
                await self._kill.wait()
                self._kill.clear()
                self._up.clear()
                self._plane = None
                store.retire()
                for node in self.nodes:
                    node.drop()
            await asyncio.sleep(self.dice.uniform(0.5, 20))

    def _mood(self) -> None:
        if self._plane is not None:
            store = self._plane[1]
            store.trouble = 0.0 if self.calm.is_set() or not self.watch.service_id else 0.03
            store.delays = (0.0,) if self.calm.is_set() else self._delays

    async def call(self, operation: str, **members: Any) -> Any:
        """One request, as the gateway hands it over."""
        await self._up.wait()
        assert self._plane is not None
        ecs = next(s for s in self._plane[0].services if s.name == "ecs")
        found = ecs.operations.find(operation)
        assert found is not None
        principal = Principal(arn=f"arn:aws:iam::{ACCOUNT}:root", account_id=ACCOUNT, user_id=ACCOUNT)
        call = Call(
            request_id="sim",
            service="ecs",
            operation=operation,
            account_id=ACCOUNT,
            region=REGION,
            principal=principal,
        )
        return await decide_again(lambda: found.handler(call, ecs.context, members))

    # ---- machines ---------------------------------------------------------------------------

    def machine(self, registered: Any) -> SimNode:
        """The machine behind a registered instance."""
        return SimNode(self, registered["containerInstanceArn"], self.group)

    async def join(self) -> None:
        """A machine with room for four tasks."""
        self.registered += 1
        number = self.registered
        attributes = [
            {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"},
            {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.24"},
            {"name": "ecs.capability.container-health-check"},
            {"name": "ecs.availability-zone", "value": ZONES[number % 3]},
        ]
        total = [
            {"name": "CPU", "type": "INTEGER", "integerValue": 4096},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": 420},
        ]
        node = self.machine(await self.registered_as(total, attributes))
        self.nodes.append(node)
        self.group.create_task(node.run())

    async def registered_as(self, total: list[Any], attributes: list[Any]) -> Any:
        """The instance of a new machine. Asked for until there is an answer, as agents do, with one token."""
        members = {"totalResources": total, "attributes": attributes, "clientToken": uuid(self._names)}
        while True:
            try:
                answer = await self.call("RegisterContainerInstance", **members)
            except AwsError:
                raise
            except Exception:  # noqa: BLE001 - the process or the store went
                await asyncio.sleep(1)
            else:
                return answer["containerInstance"]

    async def _until_done(self, operation: str, **members: Any) -> None:
        while True:
            try:
                await self.call(operation, **members)
            except AwsError:
                return
            except Exception:  # noqa: BLE001 - the process or the store went
                await asyncio.sleep(1)
            else:
                return

    async def look(self, fn: Any) -> Any:
        return await self.inner.read(fn)
