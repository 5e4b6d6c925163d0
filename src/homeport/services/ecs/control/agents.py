"""Agents that are connected to this replica, and what they are sent.

Level-triggered: news names an instance; what its agent should hear is read
from the store, compared with what this session has sent, and the difference
goes out. Delivery is an acknowledgement or a state report; after a reconnect
everything unreported is sent again, which agents take as no news.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from homeport.agentproto.messages import (
    Frame,
    PayloadMessage,
    TaskIdentifier,
    TaskManifestMessage,
    TaskStopVerificationAck,
    TaskStopVerificationMessage,
)
from homeport.core.clock import Clock
from homeport.core.errors import UnavailableError
from homeport.core.ids import Ids, uuid
from homeport.core.log import get_logger
from homeport.runtime.retry import decide_again
from homeport.runtime.runner import Next
from homeport.services.ecs.control.agent_credentials import RENEWAL_AGAIN, SentCredentials
from homeport.services.ecs.control.agent_telemetry import TcsSession
from homeport.services.ecs.control.task_roles import NoRoles, TaskRoles, roles_of
from homeport.services.ecs.model import Cluster, ContainerInstance, Task, TaskDefinition, names_fleet
from homeport.services.ecs.plan.dispatch import interface_announced, task_payload
from homeport.services.ecs.plan.identifiers import Home, cluster_name, instance_uid, or_none
from homeport.services.ecs.ports import (
    TASK_APPLICATION,
    TASK_EXECUTION,
    AgentHello,
    Outbox,
    RefusedAgentError,
    RoleAssumer,
)
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

log = get_logger("ecs.agents")
PAYLOAD_TASKS_MAX = 10
DEFINITIONS_KEPT = 2000
NUMBERS_RESERVED = 1000
RETURN_SECONDS = 150.0
"""An agent that is there comes back within its longest back-off: 120 s, and a fifth of jitter."""


@dataclass(slots=True)
class _Session:
    """One ACS socket, and what went out on it."""

    outbox: Outbox
    instance_id: int
    cluster_arn: str
    instance_arn: str
    credentials: SentCredentials
    newest_sent: int = 0
    """The newest task's row whose start went out; older ones went before."""
    stops_sent: set[int] = field(default_factory=set)
    """Rows of tasks whose stop went out, and that have not stopped yet."""
    numbers: Iterator[int] = field(default_factory=lambda: iter(()))
    """Reserved numbers of payloads and manifests, not used yet."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while sending: a manifest below a payload's number would be dropped as stale."""


class AgentHub:
    """The control plane's end of all agent sockets of this replica; also the dispatch controller.

    One key is one instance's row.
    """

    name = "ecs.dispatch"

    def __init__(self, store: Store, clock: Clock, ids: Ids, roles: RoleAssumer | None = None) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._roles = TaskRoles(store, clock, roles or NoRoles())
        self._renewals = asyncio.Event()
        self._renewal: datetime | None = None
        self._sessions: dict[int, _Session] = {}
        self._definitions: dict[int, TaskDefinition] = {}

    @property
    def connected(self) -> int:
        """How many agents are connected here."""
        return len(self._sessions)

    async def keys(self) -> Iterable[str]:
        """Every instance that is connected here."""
        return [str(instance_id) for instance_id in self._sessions]

    # ---- sockets ----------------------------------------------------------------------------

    async def open_acs(self, hello: AgentHello, outbox: Outbox) -> AcsSession:
        """Take an agent's work socket, in place of an older one. Raise `RefusedAgentError`."""
        instance = await self._find(hello)
        cluster = f"arn:aws:ecs:{instance.region}:{instance.account_id}:cluster/{instance.cluster_name}"
        session = _Session(
            outbox=outbox,
            instance_id=instance.id,
            cluster_arn=cluster,
            instance_arn=instance.arn,
            credentials=SentCredentials(outbox=outbox, cluster_arn=cluster),
        )
        old = self._sessions.get(instance.id)
        if old is not None:
            old.outbox.replaced()
        # From here on the end of an older socket changes nothing any more.
        self._sessions[instance.id] = session
        try:
            async with session.turn:
                await self._connected(session, hello)
                await self._send_manifest(session)
            await self.reconcile(str(instance.id))
            async with session.turn:
                await self._send_credentials(session, anew=True)
        except BaseException:
            await asyncio.shield(self.disconnected(session))
            raise
        return AcsSession(self, session)

    async def _connected(self, session: _Session, hello: AgentHello) -> None:
        def work(tx: Tx) -> None:
            repo = InstanceRepo(tx)
            current = repo.get(session.instance_id)
            if current is None or current.status == "INACTIVE":
                raise RefusedAgentError("InactiveInstanceException", "The container instance is inactive.")
            facts = msgspec.structs.replace(
                current,
                agent_connected=True,
                agent_version=hello.agent_version or current.agent_version,
                agent_hash=hello.agent_hash or current.agent_hash,
                docker_version=hello.docker_version or current.docker_version,
            )
            if facts != current:
                repo.save(facts)

        await decide_again(lambda: self._store.write(work))
        log.info("agent.connected", instance=session.instance_arn, agent_version=hello.agent_version)

    async def open_tcs(self, hello: AgentHello, outbox: Outbox) -> TcsSession:
        """Take an agent's telemetry socket. Raise `RefusedAgentError`."""
        del outbox
        return TcsSession(self._store, (await self._find(hello)).id)

    async def _find(self, hello: AgentHello) -> ContainerInstance:
        here = Home(hello.account_id, hello.region)

        def work(tx: Tx) -> ContainerInstance:
            cluster = _cluster(tx, here, hello.cluster)
            if cluster is None or cluster.status == "INACTIVE":
                raise RefusedAgentError("InvalidClusterException", "Cluster not found.")
            uid = or_none(instance_uid, here, cluster.name, hello.container_instance)
            instance = None if uid is None else InstanceRepo(tx).find(cluster.id, uid)
            if instance is None:
                raise RefusedAgentError("InvalidInstanceException", "Container instance not found.")
            if instance.status == "INACTIVE":
                raise RefusedAgentError("InactiveInstanceException", "The container instance is inactive.")
            return instance

        return await self._store.read(work)

    async def disconnected(self, session: _Session) -> None:
        """A work socket is gone. What runs on the instance runs on."""
        if self._sessions.get(session.instance_id) is not session:
            return
        del self._sessions[session.instance_id]
        await self._away({session.instance_id})
        log.info("agent.disconnected", instance=session.instance_arn)

    async def call_the_roll(self, *, after_seconds: float = RETURN_SECONDS) -> None:
        """Once after a start: agents that were connected to an earlier process and did not come back."""
        await asyncio.sleep(after_seconds)
        claimed = await self._store.read(lambda tx: InstanceRepo(tx).connected_ids())
        await self._away(set(claimed) - self._sessions.keys())

    async def _away(self, instance_ids: set[int]) -> None:
        def work(tx: Tx) -> None:
            repo = InstanceRepo(tx)
            for instance_id in instance_ids:
                instance = None if instance_id in self._sessions else repo.get(instance_id)  # is it back?
                if instance is not None and instance.agent_connected:
                    repo.save(msgspec.structs.replace(instance, agent_connected=False))

        if instance_ids:
            await decide_again(lambda: self._store.write(work))

    # ---- what is sent -----------------------------------------------------------------------

    async def reconcile(self, key: str) -> Next:
        """Send an instance's agent what it has not heard on this socket."""
        session = self._sessions.get(int(key))
        if session is not None:
            async with session.turn:
                await self._tell(session)
        return Next()

    async def _tell(self, session: _Session) -> None:
        def look(tx: Tx) -> tuple[ContainerInstance | None, tuple[Task, ...], dict[int, TaskDefinition]]:
            instance = InstanceRepo(tx).get(session.instance_id)
            tasks = TaskRepo(tx)
            due = (
                *tasks.to_start(session.instance_id, newer_than=session.newest_sent),
                *tasks.to_stop(session.instance_id),
            )
            unknown = {task.task_definition_id for task in due} - self._definitions.keys()
            found = TaskDefinitionRepo(tx).by_ids(unknown) if unknown else {}
            return instance, due, found

        instance, due, found = await self._store.read(look)
        if instance is None or instance.status == "INACTIVE":
            session.outbox.close()
            return
        # A stop is never taken back: what is no longer due will not be due again.
        session.stops_sent &= {task.id for task in due}
        news = tuple(task for task in due if task.id not in session.stops_sent)
        if len(self._definitions) > DEFINITIONS_KEPT:
            self._definitions.clear()
        self._definitions |= found
        unseen = {task.task_definition_id for task in news} - self._definitions.keys()
        if unseen:
            self._definitions |= await self._store.read(lambda tx: TaskDefinitionRepo(tx).by_ids(unseen))
        for start in range(0, len(news), PAYLOAD_TASKS_MAX):
            await self._send(session, instance, news[start : start + PAYLOAD_TASKS_MAX])

    async def _send(self, session: _Session, instance: ContainerInstance, tasks: tuple[Task, ...]) -> None:
        starts = [task for task in tasks if task.desired_status == "RUNNING"]
        current = await self._roles.current(starts)
        session.credentials.note(current, self._clock.now())
        self._remember_renewal(session)
        for task in starts:
            refused = next((arn for kind, arn in roles_of(task) if (task.uid, kind) in current.refused), None)
            if refused is not None:
                # The stop is news of its own: the agent reports the task as stopped, known to it or not.
                await self._roles.give_up(task, refused)
                tasks = tuple(one for one in tasks if one is not task)
        session.newest_sent = max(session.newest_sent, *(task.id for task in starts), 0)
        if not tasks:
            return
        number = await self._next_number(session)
        payload = PayloadMessage(
            message_id=uuid(self._ids),
            cluster_arn=session.cluster_arn,
            container_instance_arn=session.instance_arn,
            generated_at=int(self._clock.now().timestamp() * 1000),
            seq_num=number,
            timeline=number,
            tasks=tuple(
                task_payload(
                    task,
                    self._definitions[task.task_definition_id],
                    instance,
                    role=current.sessions.get((task.uid, TASK_APPLICATION)),
                    execution_role=current.sessions.get((task.uid, TASK_EXECUTION)),
                )
                for task in tasks
            ),
        )
        session.stops_sent |= {task.id for task in tasks if task.desired_status == "STOPPED"}
        for task in tasks:
            if task.interface is not None and task.desired_status == "RUNNING":
                session.outbox.send(interface_announced(task, payload, message_id=uuid(self._ids)))
        session.outbox.send(payload)
        log.debug("payload.sent", instance=session.instance_arn, tasks=len(tasks), seq_num=number)

    # ---- credentials of roles ---------------------------------------------------------------

    async def _send_credentials(self, session: _Session, *, anew: bool = False) -> None:
        live = await self._store.read(lambda tx: TaskRepo(tx).live_of_instance(session.instance_id))
        await session.credentials.send(live, self._roles, self._clock, self._ids, anew=anew)
        self._remember_renewal(session)

    def _remember_renewal(self, session: _Session) -> None:
        """Whoever waits for the next renewal hears of an earlier one."""
        due = session.credentials.renew_at
        if due is not None and (self._renewal is None or due < self._renewal):
            self._renewals.set()

    async def renew_credentials(self) -> None:
        """Renew tasks' credentials before they end, until cancelled."""
        while True:
            self._renewals.clear()
            now = self._clock.now()
            waiting = [(s.credentials.renew_at, s) for s in self._sessions.values() if s.credentials.renew_at]
            self._renewal = min((due for due, _ in waiting), default=None)
            if self._renewal is None or self._renewal > now:
                delay = None if self._renewal is None else (self._renewal - now).total_seconds()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._renewals.wait()
                continue
            for session in [session for due, session in waiting if due <= now]:
                try:
                    async with session.turn:
                        await self._send_credentials(session)
                except UnavailableError as error:
                    log.warning("credentials.not_renewed", instance=session.instance_arn, error=str(error))
                    session.credentials.renew_at = now + RENEWAL_AGAIN

    async def _next_number(self, session: _Session) -> int:
        """The next number of payloads and manifests. They only rise; a crash leaves a hole.

        They are no lower than the clock's milliseconds, so that they rise also when the
        database is an older copy of itself: agents drop a manifest with a number they had.
        """
        found = next(session.numbers, None)
        if found is None:
            floor = int(self._clock.now().timestamp() * 1000)
            first = await self._store.write(
                lambda tx: InstanceRepo(tx).reserve_payloads(
                    session.instance_id, NUMBERS_RESERVED, floor=floor
                )
            )
            session.numbers = iter(range(first, first + NUMBERS_RESERVED))
            found = next(session.numbers)
        return found

    async def _send_manifest(self, session: _Session) -> None:
        """Everything that should be on the instance: the agent asks back about anything else."""
        tasks = await self._store.read(lambda tx: TaskRepo(tx).live_of_instance(session.instance_id))
        number = await self._next_number(session)
        session.outbox.send(
            TaskManifestMessage(
                message_id=uuid(self._ids),
                cluster_arn=session.cluster_arn,
                container_instance_arn=session.instance_arn,
                generated_at=int(self._clock.now().timestamp() * 1000),
                timeline=number,
                tasks=tuple(
                    TaskIdentifier(
                        task_arn=task.arn,
                        task_cluster_arn=task.cluster_arn,
                        desired_status="RUNNING" if task.is_held else task.desired_status,
                    )
                    for task in tasks
                ),
            )
        )

    async def confirm_stops(self, session: _Session, asked: TaskStopVerificationMessage) -> None:
        """An agent runs tasks that the manifest did not name: stop those that should not run."""
        wanted = await self._store.read(lambda tx: TaskRepo(tx).live_of_instance(session.instance_id))
        running = {task.arn for task in wanted if task.desired_status == "RUNNING" or task.is_held}
        session.outbox.send(
            TaskStopVerificationAck(
                message_id=asked.message_id,
                generated_at=int(self._clock.now().timestamp() * 1000),
                stop_tasks=tuple(c for c in asked.stop_candidates if c.task_arn not in running),
            )
        )


def _cluster(tx: Tx, here: Home, reference: str) -> Cluster | None:
    """The cluster that an agent names, or Fargate's fleet: its permission was asked at the door."""
    if names_fleet(reference):
        return ClusterRepo(tx).fleet(here.account_id, here.region)
    name = or_none(cluster_name, here, reference)
    return None if name is None else ClusterRepo(tx).find(here.account_id, here.region, name)


class AcsSession:
    """One agent's work socket, as the gateway drives it."""

    def __init__(self, hub: AgentHub, session: _Session) -> None:
        self._hub = hub
        self._session = session

    async def received(self, frame: Frame) -> None:
        """Acknowledgements need nothing: the state report that follows is the proof."""
        if isinstance(frame, TaskStopVerificationMessage):
            await self._hub.confirm_stops(self._session, frame)

    async def closed(self) -> None:
        """The socket is gone."""
        await asyncio.shield(self._hub.disconnected(self._session))
