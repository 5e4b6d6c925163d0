"""A daemon, its instances and its tasks at one moment: what is decided on, and what is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from homeport.services.ecs.model.daemons import Daemon, DaemonDeployment, DaemonRevision
from homeport.services.ecs.model.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonHost:
    """A container instance as a daemon sees it.

    `group`: the group of instances that it belongs to. `others`: how many tasks of other than
    daemons are on it; told of draining ones.
    """

    id: int
    uid: str
    active: bool = True
    connected: bool = True
    others: int = 0
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedSnapshot:
    """A daemon as one transaction saw it. `hosts`: the cluster's instances that are not INACTIVE.

    `stopped`: its tasks that stopped since the last count; `deployment`: its newest.
    """

    daemon: Daemon
    deployment: DaemonDeployment
    revisions: Mapping[str, DaemonRevision] = field(default_factory=dict)
    hosts: tuple[DaemonHost, ...] = ()
    live: tuple[Task, ...] = ()
    stopped: tuple[Task, ...] = ()

    @property
    def groups(self) -> frozenset[str]:
        """The groups of instances that the daemon is to run on."""
        revision = self.revisions.get(self.daemon.revision or "")
        return frozenset(one.group for one in revision.providers) if revision else frozenset()

    @property
    def wanted(self) -> dict[int, DaemonHost]:
        """The instances that are to have a task, by row."""
        groups = self.groups
        return {host.id: host for host in self.hosts if host.active and host.group in groups}
