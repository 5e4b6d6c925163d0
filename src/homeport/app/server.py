"""`homeport up`: gateway, controllers and local nodes in one process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any

import uvicorn

from homeport.app.audit.files import DIRECTORY as AUDIT_DIRECTORY
from homeport.app.audit.files import AuditFiles
from homeport.app.audit.pages import AuditPages
from homeport.app.balancers.carrier import local_carrier
from homeport.app.balancers.logins import build_gate, public_keys
from homeport.app.connection import Connection, write_connection
from homeport.app.control_plane import ControlPlane
from homeport.app.identity.bootstrap import Keys, ensure_keys
from homeport.app.identity.instance_profiles import ProfileSessions, ensure_profile
from homeport.app.identity.issuers import Issuers
from homeport.app.identity.keyring import StoredKeys
from homeport.app.networks.ground import NetworkGround
from homeport.app.networks.up import LocalNetwork, find_ground, open_local_network
from homeport.app.nodes.agent import run_agent_node
from homeport.app.nodes.local import LocalNodes
from homeport.app.settings import INSTANCE_PROFILE, AgentSettings, AuthMode, UpSettings, environment
from homeport.app.whole_answers import WholeAnswers
from homeport.app.wiring import AgentGate, build_chain, build_control_plane, build_pages
from homeport.core.clock import SystemClock
from homeport.core.ids import SystemIds
from homeport.core.log import configure, get_logger
from homeport.gateway.agent_sockets import AgentSockets
from homeport.gateway.asgi import Gateway, Metrics
from homeport.gateway.logins.signer import Signer
from homeport.gateway.loop_metrics import LoopCollector
from homeport.gateway.stages import Anonymous
from homeport.runtime.supervisor import LoopState, Supervisor
from homeport.store.opening import open_store
from homeport.store.vault import Vault, master_key

log = get_logger("app")

Report = Callable[[str, Mapping[str, Any]], None]
KEEP_ALIVE_SECONDS = 75
MASTER_KEY = "master.key"
"""The file that opens every sealed value: without it, a copy of the database tells no secret."""
BACKLOG = 2048
AGENT_FRAME_BYTES_MAX = 4 << 20
"""The real agent keeps telemetry frames below 1 MiB. A longer one ends the socket (1009)."""
COLLECT_AFTER = (5_000, 20, 20)
"""New objects until the garbage collector looks; then how often each older generation joins in."""


class _Server(uvicorn.Server):
    """A server whose signals are its owner's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def _is_true(record: logging.LogRecord) -> bool:
    """uvicorn takes an upgrade that was answered with a refusal for one that was not answered."""
    return "without completing handshake" not in record.getMessage()


class FrontDoor:
    """The gateway's HTTP server on one port."""

    def __init__(self, app: Gateway, *, host: str, port: int) -> None:
        logging.getLogger("uvicorn.error").addFilter(_is_true)
        self._server = _Server(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                http=WholeAnswers,
                ws="websockets-sansio",
                ws_max_size=AGENT_FRAME_BYTES_MAX,
                ws_per_message_deflate=False,
                ws_ping_interval=None,
                lifespan="off",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                log_config=None,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=5,
            )
        )

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Listen while the block runs. Raise `OSError` when the port cannot be had."""
        config = self._server.config
        listening = _bind(config.host, config.port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._server.serve(sockets=[listening]), name="front-door")
                try:
                    yield
                finally:
                    self._server.should_exit = True
        finally:
            listening.close()


def _bind(host: str, port: int) -> socket.socket:
    """A listening socket: connections queue from now on, before the server has begun."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listening


async def run_up(settings: UpSettings, report: Report) -> None:
    """Serve until cancelled; containers are left running then."""
    configure(level=settings.log_level)
    clock, ids = SystemClock(), SystemIds()
    store = await open_store(f"sqlite:///{settings.data_dir / 'homeport.db'}")
    try:
        vault = Vault(master_key(settings.data_dir / MASTER_KEY, ids), ids)
        keys = await ensure_keys(store, clock, ids, vault, account_id=settings.account_id)
        gate = build_gate(store, clock, ids, vault, secret=keys.logins)
        ground = await find_ground(settings, report)
        has_ground = isinstance(ground, NetworkGround)
        carrier = local_carrier(settings.installation_id, settings.data_dir, gate) if has_ground else None
        plane = build_control_plane(
            store,
            clock,
            ids,
            ground=ground,
            carrier=carrier,
            page_key=keys.pages,
            vault=vault,
            tasks_per_service=settings.tasks_per_service,
            issuers=Issuers(settings.oidc_issuers),
        )
        network = await open_local_network(settings, report, plane, ground)
        async with Supervisor() as supervisor:
            await network.start(supervisor)
            await _serve(settings, report, plane, keys, supervisor, network)
    finally:
        await store.close()


async def _serve(
    settings: UpSettings,
    report: Report,
    plane: ControlPlane,
    keys: Keys,
    supervisor: Supervisor,
    network: LocalNetwork,
) -> None:
    ring = StoredKeys(plane.store, plane.clock, plane.store.feed.subscribe, plane.vault)
    supervisor.start("key-ring", ring.run)
    plane.start(supervisor)
    sockets = AgentSockets(AgentGate(plane.hub), ids=plane.ids)
    anonymous = None
    if settings.auth is AuthMode.OFF:
        anonymous = Anonymous(account_id=settings.account_id, region=settings.region)
    metrics = Metrics(lambda: plane.hub.connected)
    metrics.registry.register(
        LoopCollector(supervisor.reports, lambda: (runner.report() for runner in plane.runners))
    )
    trail = AuditFiles(
        settings.data_dir / AUDIT_DIRECTORY,
        plane.clock,
        file_bytes=settings.audit_file_mebibytes << 20,
        files_kept=settings.audit_files,
    )
    audit_pages = AuditPages(trail, home_account=settings.account_id)
    gateway = Gateway(
        build_chain(plane, ring, anonymous=anonymous, trail=trail),
        sockets,
        metrics,
        health=lambda: (*_failing(supervisor), *trail.failing()),
        own=build_pages(plane) | audit_pages.pages(),
        public=public_keys(Signer(keys.logins)),
    )
    front_door = FrontDoor(gateway, host=settings.host, port=settings.port)
    with contextlib.closing(trail):
        async with front_door.open():
            connection = Connection(
                endpoint=settings.endpoint,
                access_key_id=keys.root.access_key_id,
                secret_access_key=keys.root.secret_access_key,
                region=settings.region,
                account_id=settings.account_id,
            )
            write_connection(settings.data_dir, connection, environ=environment())
            _spare_the_collector()
            report("gateway.ready", {"endpoint": settings.endpoint})
            try:
                profiles = await _profiles(settings, plane)
                nodes = LocalNodes(
                    settings, keys.nodes, plane.clock, plane.ids, report, profiles, network.addresses,
                    network.stands_on, network.resolvers,
                )  # fmt: skip
                await nodes.run()
            finally:
                await sockets.close()


async def _profiles(settings: UpSettings, plane: ControlPlane) -> ProfileSessions | None:
    """The local instances' profile; nobody else's is made where there is none."""
    if not settings.instance_metadata:
        return None
    name, account_id = settings.instance_profile, settings.account_id
    if name == INSTANCE_PROFILE and settings.instances:
        await ensure_profile(plane.store, plane.clock, plane.ids, account_id=account_id, name=name)
    return ProfileSessions(plane.store, plane.clock, plane.service_roles, account_id=account_id, profile=name)


async def run_agent(settings: AgentSettings, report: Report) -> None:
    """`homeport agent`: a node of a Homeport elsewhere, until cancelled."""
    configure(level=settings.log_level)
    await run_agent_node(settings, SystemClock(), SystemIds(), report)


def _spare_the_collector() -> None:
    """Take what was made so far out of the garbage collector's sight.

    Modules, models and compiled statements live as long as the process; looking
    through them again and again was a quarter of a request's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _failing(supervisor: Supervisor) -> Iterable[str]:
    return (
        f"{loop.name}: {loop.last_error}"
        for loop in supervisor.reports()
        if loop.state is LoopState.BACKING_OFF
    )
