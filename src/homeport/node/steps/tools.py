"""What the steps work with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from homeport.agentproto.messages import RoleCredentials, Task
from homeport.core.backoff import Dice
from homeport.core.clock import Clock
from homeport.core.sigv4 import Credentials
from homeport.node.api import Api
from homeport.node.credentials import EXECUTION, CredentialStore, signing
from homeport.node.hostports import HostPorts
from homeport.node.ports import Drivers
from homeport.node.render import RenderContext
from homeport.node.settings import NodeSettings

SLOT_SECONDS_MAX = 15.0
"""A start that takes longer gives its slot back, so that a hung one holds nobody up."""
CREATIONS_MAX = 2
"""Containers that one node creates at once: creating takes a tenth of the time that starting takes."""


class NoCredentialsError(Exception):
    """The task has no such role."""


class StartSlots:
    """How many containers may be created or started at once, over all nodes on one engine.

    Few are created at once: what exists starts before more is made, or fifty tasks would all be created,
    and none would run, before the first is started. The two also burden different parts of the machine.
    """

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots = slots
        self._creations = asyncio.Semaphore(CREATIONS_MAX)

    @asynccontextmanager
    async def starting(self) -> AsyncIterator[None]:
        """One slot, for a while."""
        async with _held_for_a_while(self._slots):
            yield

    @asynccontextmanager
    async def creating(self) -> AsyncIterator[None]:
        """The same for a container that is made."""
        async with _held_for_a_while(self._creations), _held_for_a_while(self._slots):
            yield


@asynccontextmanager
async def _held_for_a_while(slots: asyncio.Semaphore) -> AsyncIterator[None]:
    await slots.acquire()
    held = True

    def give_back() -> None:
        nonlocal held
        if held:
            held = False
            slots.release()

    timer = asyncio.get_running_loop().call_later(SLOT_SECONDS_MAX, give_back)
    try:
        yield
    finally:
        timer.cancel()
        give_back()


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What a container gets beside its payload: fetched values, never written down."""

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    log_options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def values(self) -> tuple[str, ...]:
        """What must not be told."""
        return (*self.environment.values(), *self.log_options.values())


@dataclass(slots=True, kw_only=True)
class Tools:
    """Everything a step may touch. One per node."""

    settings: NodeSettings
    drivers: Drivers
    api: Api
    credentials: CredentialStore
    clock: Clock
    dice: Dice
    starts: StartSlots
    host_ports: HostPorts
    context: RenderContext
    pull_locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    pulled: set[str] = field(default_factory=set)
    brought: set[str] = field(default_factory=set)
    """Images that this node pulled; others were here before, and are not its to remove."""
    logins: dict[tuple[str, ...], tuple[float, str]] = field(default_factory=dict)

    async def execution_role(self, task: Task) -> Credentials:
        """The task's execution role, once its credentials are there. Raise `NoCredentialsError`."""
        return signing(await self.execution_credentials(task))

    async def execution_credentials(self, task: Task) -> RoleCredentials:
        """As delivered. After a restart they may be on their way: wait for them."""
        if task.execution_role_credentials is None:
            raise NoCredentialsError("the task has no execution role")
        return await self.credentials.wait(task.arn, EXECUTION)
