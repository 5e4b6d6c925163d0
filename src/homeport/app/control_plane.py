"""The services over one store, and the loops that keep them true."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from homeport.app.balancers.carrier import Carrier
from homeport.app.balancers.classic import HealthNews
from homeport.app.discovery.connect import KINDS as CONNECT_KINDS
from homeport.app.discovery.connect import ConnectController
from homeport.app.identity.denials import SealedDenials
from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.gateway.stages import MountedService
from homeport.runtime.pump import FeedPump, Route
from homeport.runtime.queue import WorkQueue
from homeport.runtime.runner import Runner
from homeport.runtime.supervisor import Supervisor
from homeport.services.ecs import manifest as ecs
from homeport.services.elb import manifest as elb
from homeport.services.elbv2 import manifest as elbv2
from homeport.services.sts import manifest as sts
from homeport.store.base import Store
from homeport.store.vault import Vault

DISPATCH_WORKERS = 16
REPLICA_WORKERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """The services over one store, and the loops that keep them true."""

    store: Store
    clock: Clock
    ids: Ids
    hub: ecs.AgentHub
    placer: ecs.Placer
    replicas: ecs.ReplicaController
    daemons: ecs.DaemonController
    zones: ecs.ZoneWatch
    reaper: ecs.Reaper
    denials: SealedDenials
    vault: Vault
    service_roles: sts.ServiceRoles
    explainer: ecs.Explainer
    services: tuple[MountedService, ...]
    targets: ecs.TargetController | None = None
    alarms: ecs.AlarmController | None = None
    registries: ecs.RegistryController | None = None
    balancers: elbv2.BalancerController | None = None
    classic: elb.ClassicController | None = None
    connect: ConnectController | None = None
    carrier: Carrier | None = None
    queues: dict[str, WorkQueue[str]] = field(
        default_factory=lambda: {
            name: WorkQueue[str]()
            for name in (
                "dispatch",
                "replica",
                "daemon",
                "reaper",
                "zones",
                "targets",
                "alarms",
                "registries",
                "balancers",
                "classic",
                "connect",
            )
        }
    )
    runners: list[Runner[str]] = field(default_factory=list)

    def start(self, supervisor: Supervisor) -> None:
        """Start every loop under the supervisor."""
        subscribe = self.store.feed.subscribe
        pump = FeedPump(subscribe, self._routes())
        fleet_feed = ecs.FleetFeed(self.store, self.placer, subscribe)
        runners = {
            "dispatch": Runner(self.hub, self.queues["dispatch"], self.clock, workers=DISPATCH_WORKERS),
            "replica": Runner(self.replicas, self.queues["replica"], self.clock, workers=REPLICA_WORKERS),
            "daemon": Runner(self.daemons, self.queues["daemon"], self.clock),
            "reaper": Runner(self.reaper, self.queues["reaper"], self.clock),
            "zones": Runner(self.zones, self.queues["zones"], self.clock),
        }
        if self.targets is not None:
            targets = Runner(self.targets, self.queues["targets"], self.clock, workers=REPLICA_WORKERS)
            runners["targets"] = targets
        if self.alarms is not None:
            runners["alarms"] = Runner(self.alarms, self.queues["alarms"], self.clock)
        if self.registries is not None:
            queue = self.queues["registries"]
            runners["registries"] = Runner(self.registries, queue, self.clock, workers=REPLICA_WORKERS)
        if self.balancers is not None and self.classic is not None and self.carrier is not None:
            news = HealthNews(self.balancers, self.classic)
            runners["classic"] = Runner(self.classic, self.queues["classic"], self.clock)
            runners["balancers"] = Runner(self.balancers, self.queues["balancers"], self.clock)
            runners["health-news"] = Runner(news, self.carrier.news, self.clock)
            supervisor.start("proxy", self.carrier.run)
            supervisor.start("access-logs", self.carrier.keep_logs)
        if self.connect is not None:
            runners["connect"] = Runner(self.connect, self.queues["connect"], self.clock)
        supervisor.start("feed-pump", pump.run)
        supervisor.start("fleet-feed", fleet_feed.run)
        supervisor.start("placer", self.placer.run)
        supervisor.start("roll-call", self.hub.call_the_roll)
        supervisor.start("task-roles", self.hub.renew_credentials)
        self.runners.extend(runners.values())
        for name, runner in runners.items():
            supervisor.start(name, runner.run)

    def _routes(self) -> tuple[Route, ...]:
        return (
            Route(kinds=frozenset({"ecs.dispatch"}), queue=self.queues["dispatch"], list_keys=self.hub.keys),
            Route(
                kinds=frozenset(
                    {"ecs.service", "ecs.instances", "ecs.fleet", ecs.FARGATE_CHANGED, ecs.ROLES_CHANGED}
                ),
                queue=self.queues["replica"],
                list_keys=self.replicas.keys,
                keys_of=self.replicas.keys_of,
            ),
            Route(
                kinds=frozenset({"ecs.daemon", "ecs.instances", "ecs.fleet"}),
                queue=self.queues["daemon"],
                list_keys=self.daemons.keys,
                keys_of=self.daemons.keys_of,
            ),
            Route(kinds=frozenset({"ecs.reaper"}), queue=self.queues["reaper"], list_keys=self.reaper.keys),
            Route(kinds=frozenset({"ecs.instances"}), queue=self.queues["zones"], list_keys=self.zones.keys),
            *self._more_routes(),
        )

    def _more_routes(self) -> Iterator[Route]:
        """Those of controllers that there need not be."""
        if self.targets is not None:
            yield Route(
                kinds=frozenset({"ecs.service", ecs.TARGETS_CHANGED, elb.CHANGED}),
                queue=self.queues["targets"],
                list_keys=self.targets.keys,
                keys_of=self.targets.keys_of,
            )
        if self.registries is not None:
            yield Route(
                kinds=frozenset({"ecs.service"}),
                queue=self.queues["registries"],
                list_keys=self.registries.keys,
                keys_of=self.registries.keys_of,
            )
        if self.alarms is not None:
            yield Route(
                kinds=frozenset({"ecs.service", ecs.ALARMS_CHANGED}),
                queue=self.queues["alarms"],
                list_keys=self.alarms.keys,
                keys_of=self.alarms.keys_of,
            )
        if self.balancers is not None:
            yield Route(
                kinds=frozenset({elbv2.BALANCERS_CHANGED}),
                queue=self.queues["balancers"],
                list_keys=self.balancers.keys,
            )
        if self.connect is not None:
            yield Route(
                kinds=CONNECT_KINDS,
                queue=self.queues["connect"],
                list_keys=self.connect.keys,
                keys_of=self.connect.keys_of,
            )
        if self.classic is not None:
            yield Route(
                kinds=frozenset({elb.CHANGED}), queue=self.queues["classic"], list_keys=self.classic.keys
            )
