"""This machine's proxy as what carries the load balancers' traffic."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homeport.app.balancers.envoy_process import end_leftover
from homeport.app.settings import settle_grpc
from homeport.core.log import get_logger
from homeport.dataplane.doors import port_of
from homeport.dataplane.model import Balancer, TlsMaterial
from homeport.dataplane.translate import EMPTY, Kind
from homeport.services.elbv2.model.groups import TargetHealth
from homeport.services.elbv2.ports import BalancerState

if TYPE_CHECKING:
    from homeport.app.balancers.access_logs import AccessLogKeeper
    from homeport.app.balancers.envoy import DataPlane
    from homeport.gateway.logins.gate import Gate

log = get_logger(__name__)

IDLE_SECONDS = 60.0
"""How long the proxy stays when there is no balancer any more."""
AWAY = "the proxy does not run"


class EnvoyPlane:
    """The balancers' controller's view of a data plane that is there."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane
        self._snapshot = EMPTY
        self._wanted: frozenset[str] = frozenset()
        self._lived: frozenset[str] = frozenset()
        self._shows: Mapping[str, frozenset[str]] = {}
        self._shown: frozenset[str] = frozenset()

    def serve(self, balancers: Collection[Balancer], materials: Iterable[TlsMaterial] = ()) -> None:
        """These balancers from now on, and no others."""
        given = tuple(materials)
        self._wanted = frozenset(one.id for one in balancers)
        self._shows = {
            one.id: frozenset(held.id for listener in one.listeners for held in listener.certificates)
            for one in balancers
        }
        self._shown = frozenset(one.id for one in given)
        self._snapshot = self._plane.serve(balancers, given)

    def state(self, balancer_id: str) -> BalancerState | None:
        """Active once the proxy had it all; then what it refuses impairs it."""
        if why := self._snapshot.refused.get(balancer_id):
            return BalancerState(code="failed", reason=why)
        if self._plane.is_settled:
            fresh = {one for one in self._wanted - self._lived if not self._against(one)}
            self._lived = (self._lived & self._wanted) | fresh
        has_lived = balancer_id in self._lived
        if why := self._against(balancer_id):
            return BalancerState(code="active_impaired" if has_lived else "failed", reason=why)
        if not self._plane.is_connected and (has_lived or self._plane.trouble):
            return BalancerState(code="failed", reason=self._plane.trouble or AWAY)
        return BalancerState(code="active") if has_lived else None

    @property
    def is_settled(self) -> bool:
        """Whether the proxy has everything that it was last given."""
        return self._plane.is_settled

    def _against(self, balancer_id: str) -> str:
        """What the proxy has against it, or against a certificate that it shows."""
        shows = self._shows.get(balancer_id, frozenset())
        for one in self._plane.rejections:
            if one.balancer_id == balancer_id or (not one.balancer_id and one.name in shows):
                return one.message.strip()
        lost = sorted(shows - self._shown)
        return f"the certificate {lost[0]} is not there" if lost else ""

    def doors(self) -> Mapping[int, str]:
        """The ports on loopback that lead to balancers by their names, and why one does not ("": it does)."""
        refused = {one.name: one.message.strip() for one in self._plane.rejections}
        names = self._snapshot.resources[Kind.LISTENER]
        return {port: refused.get(name, "") for name in sorted(names) if (port := port_of(name)) is not None}

    def health(self, group_id: str) -> Mapping[str, TargetHealth]:
        """What the health checks of a group found, by `address:port`."""
        return {
            key: TargetHealth(state=one.state.value, reason=one.reason, description=one.description)
            for key, one in self._plane.health(group_id).items()
        }


class LocalPlane:
    """The proxy of this machine, which is there while there is a balancer: idle, Homeport stays small.

    `told` hears the ids of groups of which a target's health changed. The proxy outlives this process: the
    next one finds it in `folder`, unless it is told otherwise. `gate` lets clients log in. Without `logs`
    balancers have no access logs.
    """

    def __init__(
        self,
        folder: Path,
        *,
        told: Callable[[str], None],
        outlives: bool = True,
        gate: Gate | None = None,
        logs: AccessLogKeeper | None = None,
    ) -> None:
        self._folder, self._told, self._outlives = folder, told, outlives
        self._gate, self._logs = gate, logs
        self._balancers: tuple[Balancer, ...] | None = None
        self._materials: tuple[TlsMaterial, ...] = ()
        self._live: EnvoyPlane | None = None
        self._changed = asyncio.Event()

    def serve(self, balancers: Collection[Balancer]) -> None:
        """These balancers from now on, and no others."""
        self._balancers = tuple(balancers)
        self._pass_on()

    def trust(self, materials: Iterable[TlsMaterial]) -> None:
        """What the certificates' ids stand for from now on."""
        self._materials = tuple(materials)
        self._pass_on()

    def again(self) -> None:
        """The same as before: what was in the way of an access log may be gone."""
        self._pass_on()

    def _pass_on(self) -> None:
        if self._balancers is not None:
            given = self._balancers if self._logs is None else self._logs.ready(self._balancers)
            if self._live is not None:
                self._live.serve(given, self._materials)
        self._changed.set()
        self._changed = asyncio.Event()

    def state(self, balancer_id: str) -> BalancerState | None:
        """How it serves one of them."""
        return None if self._live is None else self._live.state(balancer_id)

    @property
    def is_settled(self) -> bool:
        """Whether the proxy is there and has everything that it was last given."""
        return self._live is not None and self._live.is_settled

    def doors(self) -> Mapping[int, str]:
        """The ports on loopback that lead to balancers by their names, and why one does not ("": it does)."""
        return {} if self._live is None else self._live.doors()

    def health(self, group_id: str) -> Mapping[str, TargetHealth]:
        """What the health checks of a group found, by `address:port`."""
        return {} if self._live is None else self._live.health(group_id)

    async def run(self) -> None:
        """Keep the proxy there while it is needed, until cancelled."""
        while True:
            await self._until(lambda: self._balancers is not None)
            if not self._balancers:
                await end_leftover(self._folder)
                await self._until(lambda: bool(self._balancers))
            await self._carry()

    async def _carry(self) -> None:
        # What speaks to the proxy takes a second to import and memory that idle machines do not need.
        settle_grpc()
        envoy: Any = await asyncio.to_thread(importlib.import_module, "homeport.app.balancers.envoy")
        async with envoy.DataPlane(
            self._folder,
            told=lambda change: self._told(change.group_id),
            outlives=self._outlives,
            gate=self._gate,
        ) as plane:
            self._live = EnvoyPlane(plane)
            self._pass_on()
            try:
                await self._until_idle()
            finally:
                self._live = None

    async def _until_idle(self) -> None:
        while True:
            await self._until(lambda: not self._balancers)
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    await self._until(lambda: bool(self._balancers))
            except TimeoutError:
                return

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self._changed.wait()
