"""Service registries."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from homeport.services.ecs.model import (
    ConnectEndpoint,
    TaskNetwork,
)
from homeport.store.tx import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryFacts:
    """What a service must know of a registry; without record types only API calls find what is in it."""

    record_types: tuple[str, ...]
    custom_health: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryInstance:
    """A task in a registry, as the registry knows it."""

    attributes: Mapping[str, str]
    healthy: bool


class RegistryRefusedError(Exception):
    """A registry does not take a task (a quota, other settings than when it was looked up)."""


class ServiceRegistries(Protocol):
    """Cloud Map as ECS uses it: tasks are instances, by their ids. Every call may be repeated.

    What is registered carries the names of its cluster and service, by which its owner finds it.
    """

    async def find(self, account_id: str, region: str, arns: Collection[str]) -> Mapping[str, RegistryFacts]:
        """Those of the registries that exist."""
        ...

    async def has_namespace(self, account_id: str, region: str, namespace: str) -> bool:
        """Whether there is a namespace of that name or ARN."""
        ...

    async def registered(self, arn: str, owner: tuple[str, str]) -> Mapping[str, RegistryInstance]:
        """The tasks of a cluster's service in a registry; none in one that does not exist."""
        ...

    async def all_registered(self) -> Collection[tuple[str, str]]:
        """Every task in every registry, as the registry's ARN and the task's id."""
        ...

    async def register(
        self, arn: str, uid: str, attributes: Mapping[str, str], *, still: Callable[[Tx], bool]
    ) -> None:
        """Register a task, if it is `still` to be found: that is asked in the transaction that does it.

        Raise `RegistryRefusedError`.
        """
        ...

    async def report(self, arn: str, uid: str, *, healthy: bool) -> None:
        """Tell how a task is. One that is not there does not matter."""
        ...

    async def deregister(self, arn: str, uid: str) -> None:
        """Take a task out. One that is not there does not matter."""
        ...

    async def addresses(self, account_id: str, region: str, ids: Collection[str]) -> Mapping[str, str]:
        """Where EC2 instances are, by their ids; nobody knows of those that are missing."""
        ...


class ConnectRefusedError(Exception):
    """A name or a port is somebody else's, or leads nowhere; the text is for who asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectNamespace:
    """A namespace of Cloud Map, of whatever kind."""

    arn: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectShares:
    """A service's traffic while it goes from one deployment to the next.

    Tasks of the deployment `fresh` get `percent` of it, all others the rest; tests go to the
    fresh ones once `tests`.
    """

    fresh: str
    percent: float
    tests: bool


class ConnectNames(Protocol):
    """Cloud Map as Service Connect uses it. Every method works in its caller's transaction."""

    def namespace(self, tx: Tx, account_id: str, region: str, reference: str) -> ConnectNamespace | None:
        """The account's namespace of that name or ARN."""
        ...

    def make_namespace(self, tx: Tx, account_id: str, region: str, name: str) -> ConnectNamespace:
        """One of a name that nobody has, for API calls only."""
        ...

    def claim(
        self,
        tx: Tx,
        service_arn: str,
        namespace: str,
        endpoint: ConnectEndpoint,
        network: TaskNetwork | None,
    ) -> str:
        """The ARN of the registry of an endpoint's tasks, which is made, or made to be so.

        `network`: where the tasks are, if they have interfaces. Raise `ConnectRefusedError`.
        """
        ...

    def registered(self, tx: Tx, arn: str, deployment_id: str) -> int:
        """How many tasks of a deployment are in a registry of Service Connect's."""
        ...

    def share(self, tx: Tx, service_arn: str, shares: ConnectShares | None) -> None:
        """What becomes of a service's traffic from now on; `None`: all its tasks are alike."""
        ...


class ConnectProxy(Protocol):
    """What carries requests to the tasks behind a name."""

    async def is_in_force(self, service_arn: str) -> bool | None:
        """Whether it does what is written of a service; `None`: nothing carries requests here."""
        ...
