"""Which services there are, and how they are put together. Nothing else builds things."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import msgspec

from homeport.app.balancers.carrier import Carrier
from homeport.app.balancers.certificates import BalancersUse, ShownCertificates
from homeport.app.balancers.classic import ClassicNetwork, Halves, build_classic
from homeport.app.balancers.network import Ec2Addresses, Ec2Network
from homeport.app.balancers.roles import RoleTargets
from homeport.app.balancers.service_traffic import InfrastructureRoles, ServiceTraffic
from homeport.app.control_plane import ControlPlane
from homeport.app.discovery.connect import build_connect
from homeport.app.discovery.names import CloudMapConnect
from homeport.app.discovery.registries import CloudMapRegistries
from homeport.app.identity.denials import SealedDenials
from homeport.app.identity.issuers import NO_ISSUERS, Issuers
from homeport.app.identity.principals import IamRoles
from homeport.app.identity.role_sessions import TaskRoleSessions
from homeport.app.networks.ground import UNASKED, NetworkGround, NoGround
from homeport.app.networks.instances import EcsInstances
from homeport.app.networks.names import Ec2Vpcs
from homeport.app.networks.service_paths import ServicePaths
from homeport.app.networks.tasks import TaskNetworks
from homeport.app.settings import TASKS_PER_SERVICE
from homeport.core.call import Call, Principal
from homeport.core.clock import Clock
from homeport.core.errors import DynamicAwsError
from homeport.core.ids import Ids
from homeport.core.operations import Operations
from homeport.gateway.audit import AuditTrail
from homeport.gateway.chain import Chain
from homeport.gateway.ports import (
    AgentConnection,
    AgentRefusedError,
    AgentSession,
    KeyRing,
    Outbox,
    OwnPage,
    ResourceFacts,
)
from homeport.gateway.stages import Anonymous, MountedService
from homeport.services.acm import manifest as acm
from homeport.services.ec2 import manifest as ec2
from homeport.services.ecs import manifest as ecs
from homeport.services.elb import manifest as elb
from homeport.services.elbv2 import manifest as elbv2
from homeport.services.iam import manifest as iam
from homeport.services.secretsmanager import manifest as secretsmanager
from homeport.services.servicediscovery import manifest as servicediscovery
from homeport.services.ssm import manifest as ssm
from homeport.services.sts import manifest as sts
from homeport.store.base import Store
from homeport.store.vault import Vault
from homeport.wire.paging import BadTokenError, open_, seal


class Manifest(Protocol):
    """What every service's `manifest` module says.

    `facts`: what it knows of its resources that policies may depend on. `takes`: of which callers'
    credentials it takes an operation at all; `None`: of all.
    """

    name: str
    operations: Operations
    invalid_input: str

    @property
    def facts(self) -> ResourceFacts | None: ...

    @property
    def takes(self) -> Callable[[Principal, str], bool] | None: ...


MANIFESTS: tuple[Manifest, ...] = (
    acm,
    ec2,
    ecs,
    elb,
    elbv2,
    iam,
    secretsmanager,
    servicediscovery,
    ssm,
    sts,
)

NEEDS_GROUND = frozenset({"ec2", "elb", "elbv2"})
"""The services that are served only where packets can be made to obey them."""
INTERNAL_ERRORS = {
    "ec2": "InternalError",
    "ecs": "ServerException",
    "secretsmanager": "InternalServiceError",
    "ssm": "InternalServerError",
}
EVENTS_MAX = 1000
EVENTS_WAIT_MAX_SECONDS = 4.0
"""How long one request for events may wait: less than the server waits for open requests when it stops."""


class SealedPages:
    """Page tokens sealed with the installation's own key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, scope: str, position: Any) -> str:
        """A token that continues at `position`, good for `scope` only."""
        return seal(self._key, scope, position)

    def open(self, scope: str, token: str) -> Any:
        """The position. Raise `ValueError` when the token is not ours."""
        try:
            return open_(self._key, scope, token)
        except BadTokenError as error:
            raise ValueError(str(error)) from None


class AgentGate:
    """The gateway's agent sockets, as ECS takes them."""

    def __init__(self, hub: ecs.AgentHub) -> None:
        self._hub = hub

    async def open_acs(self, connection: AgentConnection, outbox: Outbox) -> AgentSession:
        """Take a work socket."""
        try:
            return await self._hub.open_acs(_hello(connection), outbox)
        except ecs.RefusedAgentError as error:
            raise AgentRefusedError(error.kind, error.text) from None

    async def open_tcs(self, connection: AgentConnection, outbox: Outbox) -> AgentSession:
        """Take a telemetry socket."""
        try:
            return await self._hub.open_tcs(_hello(connection), outbox)
        except ecs.RefusedAgentError as error:
            raise AgentRefusedError(error.kind, error.text) from None


def _hello(connection: AgentConnection) -> ecs.AgentHello:
    return ecs.AgentHello(
        account_id=connection.call.account_id,
        region=connection.call.region,
        cluster=connection.cluster,
        container_instance=connection.container_instance,
        agent_version=connection.agent_version,
        agent_hash=connection.agent_hash,
        docker_version=connection.docker_version,
        send_credentials=connection.send_credentials,
    )


def build_control_plane(  # noqa: PLR0913 - what app, tests and simulations choose
    store: Store,
    clock: Clock,
    ids: Ids,
    *,
    page_key: bytes,
    vault: Vault,
    issuers: Issuers = NO_ISSUERS,
    tasks_per_service: int = TASKS_PER_SERVICE,
    ground: NetworkGround | NoGround = UNASKED,
    target_groups: ecs.TargetGroups | None = None,
    shifter: ecs.TrafficShifter | None = None,
    alarms: ecs.AlarmStates | None = None,
    carrier: Carrier | None = None,
) -> ControlPlane:
    """All services over one store. Without `target_groups`, `alarms` and a `carrier` services have none."""
    denials = SealedDenials(vault)
    sessions = sts.Sts(
        store=store, clock=clock, ids=ids, roles=IamRoles(), denials=denials, issuers=issuers, vault=vault
    )
    service_roles = sts.ServiceRoles(sessions)
    roles = TaskRoleSessions(service_roles, page_key)
    certificates = acm.Acm(
        store=store,
        clock=clock,
        ids=ids,
        pages=SealedPages(page_key),
        vault=vault,
        users=BalancersUse(),
    )
    networks = TaskNetworks(clock, ids) if isinstance(ground, NetworkGround) else None
    placer, zones = ecs.Placer(store, clock, ids, roles, networks), ecs.ZoneWatch(store)
    pages = SealedPages(page_key)
    shown = ShownCertificates(acm.Materials(certificates), None if carrier is None else carrier.trust)
    halves = None
    if carrier is not None:
        halves = Halves(addresses=Ec2Addresses(store, clock, ids, carrier.link), plane=carrier.plane)
    balancing, balancers = _balancing(store, clock, ids, pages, vault, shown, halves)

    async def open_account(account_id: str, region: str) -> None:
        await ec2.open_here(contexts["ec2"], account_id, region)

    classic_service, classic = build_classic(
        store,
        clock,
        ids,
        pages,
        network=ClassicNetwork(store, EcsInstances(store), open_account),
        certificates=shown,
        halves=halves,
    )
    if carrier is not None and target_groups is None:
        taken_on = InfrastructureRoles(service_roles, clock)
        modern, older = elbv2.Registrar(balancing), elb.Registrar(classic_service)
        target_groups = RoleTargets(store, taken_on, modern, older)
        shifter = ServiceTraffic(elbv2.Forwarding(balancing), taken_on)
    names = servicediscovery.ServiceDiscovery(
        store=store,
        clock=clock,
        ids=ids,
        pages=pages,
        vpcs=Ec2Vpcs(store) if isinstance(ground, NetworkGround) else None,
    )
    registries = CloudMapRegistries(servicediscovery.Registrar(names), store)
    connect = connecting = None
    if isinstance(ground, NetworkGround):
        connect = CloudMapConnect(servicediscovery.Entrances(names))
        connecting = build_connect(store, clock, ids, connect, carrier, halves)
    outside = ecs.Outside(shifter=shifter, names=connect, proxy=connecting)
    contexts: dict[str, Any] = {
        "acm": certificates,
        "ec2": ec2.Ec2(
            store=store,
            clock=clock,
            ids=ids,
            pages=pages,
            instances=EcsInstances(store),
            ground=ground if isinstance(ground, NetworkGround) else ec2.OpenGround(),
        ),
        "ecs": ecs.Ecs(
            store=store,
            clock=clock,
            ids=ids,
            placer=placer,
            pages=pages,
            tasks_per_service=tasks_per_service,
            target_groups=target_groups,
            shifter=shifter,
            alarms=alarms,
            registries=registries,
            networks=networks,
            connect=connect,
            no_networks=ground.why if isinstance(ground, NoGround) else "",
        ),
        "elb": classic_service,
        "elbv2": balancing,
        "iam": iam.Iam(store=store, clock=clock, ids=ids, vault=vault),
        "secretsmanager": secretsmanager.SecretsManager(
            store=store, clock=clock, ids=ids, pages=pages, vault=vault
        ),
        "servicediscovery": names,
        "ssm": ssm.Ssm(store=store, clock=clock, pages=pages, vault=vault),
        "sts": sessions,
    }
    return ControlPlane(
        store=store,
        clock=clock,
        ids=ids,
        hub=ecs.AgentHub(store, clock, ids, roles),
        placer=placer,
        replicas=ecs.ReplicaController(store, clock, ids, placer, zones, outside=outside),
        zones=zones,
        daemons=ecs.DaemonController(store, clock, placer),
        reaper=ecs.Reaper(store, clock),
        targets=None if target_groups is None else ecs.TargetController(store, clock, ids, target_groups),
        denials=denials,
        vault=vault,
        service_roles=service_roles,
        explainer=ecs.Explainer(store, clock, roles=roles, paths=ServicePaths()),
        alarms=None if alarms is None else ecs.AlarmController(store, alarms),
        registries=ecs.RegistryController(store, clock, registries, connecting),
        balancers=balancers,
        connect=connecting,
        classic=classic,
        carrier=carrier,
        services=tuple(_mounted(manifest, contexts[manifest.name], ground) for manifest in MANIFESTS),
    )


def _balancing(
    store: Store,
    clock: Clock,
    ids: Ids,
    pages: SealedPages,
    vault: Vault,
    certificates: elbv2.Certificates,
    halves: Halves | None,
) -> tuple[elbv2.Elbv2, elbv2.BalancerController | None]:
    """Elastic Load Balancing in EC2's network. Without a carrier balancers stay provisioning."""
    network = Ec2Network(store, EcsInstances(store))
    service = elbv2.Elbv2(
        store=store,
        clock=clock,
        ids=ids,
        pages=pages,
        vault=vault,
        network=network,
        certificates=certificates,
    )
    if halves is None:
        return service, None
    balancers = elbv2.BalancerController(
        store,
        clock,
        network=network,
        certificates=certificates,
        addresses=halves.of_addresses(classic=False),
        plane=halves.of_plane(classic=False),
    )
    return replace(service, balancing=balancers), balancers


def _mounted(manifest: Manifest, context: Any, ground: NetworkGround | NoGround) -> MountedService:
    return MountedService(
        name=manifest.name,
        operations=manifest.operations,
        context=context,
        invalid_input=manifest.invalid_input,
        internal_error=INTERNAL_ERRORS.get(manifest.name, "InternalFailure"),
        facts=manifest.facts,
        takes=manifest.takes,
        closed=ground.why if isinstance(ground, NoGround) and manifest.name in NEEDS_GROUND else "",
    )


def build_chain(
    plane: ControlPlane,
    keys: KeyRing,
    *,
    anonymous: Anonymous | None = None,
    trail: AuditTrail | None = None,
) -> Chain:
    """The gateway's chain over a control plane's services."""
    return Chain(
        plane.services,
        keys,
        plane.clock,
        plane.ids,
        anonymous=anonymous,
        trail=trail,
        denials=plane.denials,
        socket_access=ecs.agent_access,
    )


def build_pages(plane: ControlPlane) -> dict[str, OwnPage]:
    """What the command line asks for beyond AWS's API. Only roots and administrators may."""

    async def explain(call: Call, query: Mapping[str, str]) -> bytes:
        found = await plane.explainer.explain(call.account_id, call.region, query.get("arn", ""))
        return msgspec.json.encode(found)

    spot = ecs.SpotInterruptions(plane.store, plane.clock)

    async def spot_interrupt(call: Call, query: Mapping[str, str]) -> bytes:
        found = await spot.interrupt(call.account_id, call.region, query.get("arn", ""))
        return msgspec.json.encode(found)

    bus = ecs.EventBus(plane.store)

    async def events(call: Call, query: Mapping[str, str]) -> bytes:
        try:
            limit = min(max(int(query.get("limit", "100")), 1), EVENTS_MAX)
            wait_seconds = min(max(float(query.get("wait", "0")), 0.0), EVENTS_WAIT_MAX_SECONDS)
            after = ecs.EventPosition.parse(query["after"]) if "after" in query else None
        except ValueError:
            raise DynamicAwsError(
                ecs.invalid_input, "limit, wait or after is not what it should be."
            ) from None
        if after is None:
            page = await bus.newest(call.account_id, call.region, limit)
        else:
            page = await bus.after(
                call.account_id, call.region, after, limit=limit, wait_seconds=wait_seconds
            )
        return msgspec.json.encode({"events": page.documents, "next": str(page.end), "gap": page.gap})

    async def loopback(call: Call, query: Mapping[str, str]) -> bytes:
        del call, query
        ports = {} if plane.carrier is None else plane.carrier.doors()
        return msgspec.json.encode({"ports": {str(port): why for port, why in ports.items()}})

    return {
        "spot-interrupt": OwnPage(action="homeport:InterruptSpotTask", read=spot_interrupt),
        "explain": OwnPage(action="homeport:Explain", read=explain),
        "events": OwnPage(action="homeport:ReadEvents", read=events),
        "loopback": OwnPage(action="homeport:ReadLoopback", read=loopback),
    }
