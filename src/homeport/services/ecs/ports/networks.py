"""Interfaces in EC2's networks, and what keeps load balancers and clients from tasks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from homeport.services.ecs.model import (
    Service,
    Task,
    TaskInterface,
    TaskNetwork,
)
from homeport.store.tx import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What keeps somebody from a task, and the command that lets them in; empty: there is none."""

    text: str
    command: str = ""


class Paths(Protocol):
    """Whether load balancers reach targets."""

    def obstacles(
        self, tx: Tx, account_id: str, region: str, group_arns: Collection[str]
    ) -> Sequence[Obstacle]:
        """What is in the way between the balancers of these target groups and their targets; each once.

        It works in its caller's transaction.
        """
        ...

    def connected(self, tx: Tx, service: Service) -> Sequence[Obstacle]:
        """Why clients of Service Connect do not reach the service, nor the service others; each once.

        It works in its caller's transaction.
        """
        ...


class OpenPaths:
    """Nothing is in the way."""

    def obstacles(
        self, tx: Tx, account_id: str, region: str, group_arns: Collection[str]
    ) -> Sequence[Obstacle]:
        """None."""
        del tx, account_id, region, group_arns
        return ()

    def connected(self, tx: Tx, service: Service) -> Sequence[Obstacle]:
        """None."""
        del tx, service
        return ()


class NetworkRefusedError(Exception):
    """Tasks cannot be there; the text is for who asked."""


class NoInterfaceError(Exception):
    """A task's interface could not be made. `code` is EC2's word for why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Networks(Protocol):
    """EC2's networks as ECS uses them. Every method works in its caller's transaction."""

    def find(
        self,
        tx: Tx,
        account_id: str,
        region: str,
        *,
        subnets: Sequence[str],
        groups: Sequence[str],
        public: bool,
    ) -> TaskNetwork:
        """What is asked for, with the zones of its subnets. Raise `NetworkRefusedError`."""
        ...

    def check_groups(
        self, tx: Tx, account_id: str, region: str, *, network: TaskNetwork, groups: Collection[str]
    ) -> None:
        """Raise `NetworkRefusedError` unless addresses of the network can be targets of all target groups."""
        ...

    def attach(
        self, tx: Tx, task: Task, network: TaskNetwork, *, subnets: Sequence[str], instance_id: str
    ) -> TaskInterface:
        """Make the task's interface in one of the subnets, the first that can take it.

        `instance_id`: EC2's, of the machine that the task is on; empty: nobody's. Raise `NoInterfaceError`.
        """
        ...

    def detach(self, tx: Tx, task: Task) -> None:
        """Remove the task's interface; its address may be given to others at once."""
        ...

    def sweep(
        self, tx: Tx, account_id: str, region: str, *, instance_id: str, is_live: Callable[[str], bool]
    ) -> int:
        """Remove the interfaces on an instance whose tasks do not live; how many went.

        `is_live` is asked with a task's 32-character id.
        """
        ...
