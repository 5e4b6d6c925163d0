"""The world of `sim_services`, where every task has an interface."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from homeport.app.control_plane import ControlPlane
from homeport.app.networks.ground import NetworkGround
from homeport.app.networks.tasks import REQUESTER
from homeport.app.wiring import build_control_plane
from homeport.core.ids import SeededIds
from homeport.services.ec2 import manifest as ec2
from homeport.services.ec2.repo.everywhere import interfaces_everywhere
from homeport.services.ecs.model import Task
from homeport.services.ecs.repo.tables import tasks as rows
from homeport.store import Tx
from homeport.store.vault import Vault
from tests.kit.sim_services import World
from tests.kit.sim_stage import ACCOUNT, REGION
from tests.kit.sim_store import MoodyStore

LOOKS_SECONDS = 5.0
ORPHANED = "Container instance deregistration forced by user"
"""What such a task's containers do nobody knows: its address stays taken."""


class NetworkWorld(World):
    """The same, with every task in `awsvpc` mode."""

    subnets: tuple[str, ...] = ()

    def build(self, store: MoodyStore, ids: SeededIds) -> ControlPlane:
        ground = NetworkGround(account_id=ACCOUNT, region=REGION, home_range="172.31.0.0/16")
        vault = Vault(bytes(32), ids)
        return build_control_plane(store, self.clock, ids, page_key=bytes(32), vault=vault, ground=ground)

    async def begin(self) -> None:
        await super().begin()
        self.group.create_task(self._look_on())

    async def call(self, operation: str, **members: Any) -> Any:
        return await super().call(operation, **members, **await self.more(operation, members))

    async def more(self, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """What requests say besides."""
        if operation == "RegisterTaskDefinition":
            return {"networkMode": "awsvpc"}
        if operation == "RegisterContainerInstance":
            capability = {"name": "ecs.capability.task-eni"}
            if capability not in members["attributes"]:
                members["attributes"].append(capability)
        if operation == "CreateService":
            self.subnets = await self._opened()
            return {"networkConfiguration": {"awsvpcConfiguration": {"subnets": list(self.subnets)}}}
        return {}

    async def _opened(self) -> tuple[str, ...]:
        plane = self.plane()
        assert plane is not None
        context = next(one.context for one in plane.services if one.name == "ec2")
        await ec2.open_here(context, ACCOUNT, REGION)
        found = await self.inner.read(lambda tx: ec2.Shelf(tx, ACCOUNT, REGION).all(ec2.Subnet))
        return tuple(one.resource_id for one in found)

    async def _look_on(self) -> None:
        while True:
            self.violations += await self.inner.read(_wrong)
            await asyncio.sleep(LOOKS_SECONDS)


def _wrong(tx: Tx) -> list[str]:
    known: list[Task] = [row[0] for row in tx.execute(rows.select().with_only_columns(rows.c.body))]
    live = {t.interface.eni_id: t for t in known if t.stopped_at is None and t.interface is not None}
    lost = {t.interface.eni_id for t in known if t.stopped_reason == ORPHANED and t.interface is not None}
    there = {one.resource_id: one for one in interfaces_everywhere(tx) if one.requester_id == REQUESTER}
    wrong = [f"{t.arn} lives without its interface" for eni, t in live.items() if eni not in there]
    wrong += [f"{t.arn} never got one" for t in known if t.stopped_at is None and t.interface is None]
    # A task that was forgotten since is one that was forced away: others' interfaces went with them.
    forgotten = there.keys() - live.keys() - lost - {t.interface.eni_id for t in known if t.interface}
    wrong += [f"{eni} is left" for eni in there.keys() - live.keys() - lost - forgotten]
    addresses = [one.address for one in there.values()]
    if len(set(addresses)) < len(addresses):
        wrong.append("an address was given twice")
    zones = {one.zone for one in there.values()}
    if zones - {f"{REGION}{letter}" for letter in "abc"}:
        wrong.append(f"interfaces in {zones}")
    return wrong
