"""All tasks of one node: takes them in, gives each an owner, wakes owners when the engine hints at news."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from homeport.agentproto.messages import Task, TaskIdentifier
from homeport.core.log import get_logger
from homeport.node.admission import Admission, claim_of
from homeport.node.credentials import APPLICATION, EXECUTION
from homeport.node.fargate import metadata_id
from homeport.node.model import Desired, TaskRules, TaskState
from homeport.node.owner import TaskOwner
from homeport.node.ports import DriverError, DriverUnavailableError
from homeport.node.report import TaskReport
from homeport.node.reporter import Reporter
from homeport.node.resume import clean_orphans, nothing_to_run, resumed, rules_of
from homeport.node.rules import MalformedTaskError
from homeport.node.state import Finished, Journal, SavedProgress, without_secrets
from homeport.node.steps.tools import Tools

log = get_logger("node.engine")

FINISHED_KEPT = timedelta(hours=3)
"""How long a finished task is remembered, so that a late repetition of it starts nothing."""
EVENTS_AGAIN_SECONDS = 1.0
OWNER_AGAIN_SECONDS = 5.0
UNKNOWN_TASK = "TaskStateError: the task is not known to this agent; there is nothing to stop"


def _nothing_more(report: TaskReport) -> None:
    del report


class Engine:
    """The tasks of one container instance."""

    def __init__(
        self, tools: Tools, *, journal: Journal, reporter: Reporter, admission: Admission, owner: str
    ) -> None:
        """`owner`: the instance's ARN, the label on everything that it makes."""
        self._tools = tools
        self._journal = journal
        self._reporter = reporter
        self._admission = admission
        self._label = owner
        self._owners: dict[str, TaskOwner] = {}
        self._by_name: dict[str, TaskOwner] = {}
        self._by_endpoint: dict[str, tuple[TaskOwner, str]] = {}
        self._finished: dict[str, Finished] = dict(journal.saved.finished)
        self._group: asyncio.TaskGroup | None = None
        self.health_changed = asyncio.Event()
        self._resume()

    @property
    def tasks(self) -> tuple[TaskOwner, ...]:
        """Every task that is not cleaned up yet."""
        return tuple(self._owners.values())

    def find(self, arn: str) -> TaskOwner | None:
        """The owner of a task, if it is known."""
        return self._owners.get(arn)

    def by_endpoint(self, endpoint: str) -> tuple[TaskOwner, str] | None:
        """The container that owns a metadata endpoint id."""
        return self._by_endpoint.get(endpoint)

    def by_docker_name(self, docker_name: str) -> TaskOwner | None:
        """The task that a container belongs to."""
        return self._by_name.get(docker_name)

    def running_tasks(self) -> tuple[TaskIdentifier, ...]:
        """Tasks whose desired status is RUNNING."""
        return tuple(
            TaskIdentifier(task_arn=arn, task_cluster_arn=owner.task.task_cluster_arn)
            for arn, owner in self._owners.items()
            if owner.state.desired is Desired.RUNNING and owner.record.alive
        )

    async def run(self) -> None:
        """Until cancelled, which leaves every container as it is."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._listen())
            group.create_task(self._clean_orphans())
            for owner in self._owners.values():
                group.create_task(self._own(owner))

    async def take(self, tasks: Iterable[Task]) -> None:
        """Payload tasks, stops first. When this returns they are on disk and will not be lost."""
        fresh: list[TaskOwner] = []
        for task in sorted(tasks, key=lambda task: task.desired_status != "STOPPED"):
            owner = self._take(task)
            if owner is not None:
                fresh.append(owner)
        await self._journal.sync()
        for owner in fresh:
            owner.record.durable.set()

    def stop_task(self, arn: str) -> None:
        """Raise a known task's desired status."""
        if (owner := self._owners.get(arn)) is not None:
            owner.want_stopped()

    def wake_all(self) -> None:
        """Everything may have changed."""
        for owner in self._owners.values():
            owner.hint()

    def _take(self, task: Task) -> TaskOwner | None:
        if (owner := self._owners.get(task.arn)) is not None:
            self._keep_credentials(task)
            if task.desired_status == "STOPPED":
                owner.want_stopped()
            return None
        if (finished := self._finished.get(task.arn)) is not None:
            log.info("task.repeated", task=task.arn)
            self._reporter.submit(finished.report, None, _nothing_more)
            return None
        if task.desired_status == "STOPPED":
            return self._refuse(task.arn, UNKNOWN_TASK)
        sandboxed = self._tools.drivers.sandboxes is not None
        try:
            rules = rules_of(task, self._tools.settings, sandboxed=sandboxed)
            claim = claim_of(task)
            if lacking := self._admission.never_fits(claim):
                raise MalformedTaskError(lacking)  # noqa: TRY301 - one way to refuse
        except MalformedTaskError as error:
            log.warning("task.refused", task=task.arn, reason=str(error))
            return self._refuse(task.arn, f"UnrecognizedTaskError: Error loading task - {error}")
        self._keep_credentials(task)
        state = TaskState(sandboxed=sandboxed)
        owner = self._adopt(without_secrets(task), SavedProgress(state=state), rules=rules)
        self._tools.host_ports.hold(
            task.arn, [(port, "tcp") for port in claim.tcp] + [(port, "udp") for port in claim.udp]
        )
        self._admission.request(task.arn, claim, owner.admitted)
        return owner

    def _refuse(self, arn: str, reason: str) -> TaskOwner:
        """A task that is over before it began, reported like any other."""
        state = TaskState(desired=Desired.STOPPED, reason=reason[:1024])
        return self._adopt(Task(arn=arn, desired_status="STOPPED"), SavedProgress(state=state))

    def _adopt(self, task: Task, progress: SavedProgress, *, rules: TaskRules | None = None) -> TaskOwner:
        owner = TaskOwner(
            task,
            rules or nothing_to_run(task.arn),
            progress,
            tools=self._tools,
            journal=self._journal,
            reporter=self._reporter,
            admission=self._admission,
            on_health=self.health_changed.set,
        )
        self._journal.save_task(task)
        owner.write_down()
        self._enter(owner)
        if self._group is not None:
            self._group.create_task(self._own(owner))
        return owner

    def _enter(self, owner: TaskOwner) -> None:
        self._owners[owner.task.arn] = owner
        self._by_name |= dict.fromkeys(owner.record.docker_names.values(), owner)
        for payload in owner.task.containers:
            self._by_endpoint[metadata_id(owner.task, payload.name)] = (owner, payload.name)

    def _resume(self) -> None:
        for arn, (task, progress) in self._journal.saved.tasks.items():
            rules, known = resumed(
                task,
                progress,
                settings=self._tools.settings,
                admission=self._admission,
                ports=self._tools.host_ports,
            )
            owner = TaskOwner(
                task,
                rules,
                known,
                tools=self._tools,
                journal=self._journal,
                reporter=self._reporter,
                admission=self._admission,
                on_health=self.health_changed.set,
                resumed=True,
            )
            owner.record.durable.set()
            self._enter(owner)
            if not known.state.admitted and known.state.desired is Desired.RUNNING:
                self._admission.request(arn, claim_of(task), owner.admitted)
        now = self._tools.clock.now()
        for arn, finished in list(self._finished.items()):
            if now - finished.at > FINISHED_KEPT:
                self._forget(arn)

    def _forget(self, arn: str) -> None:
        del self._finished[arn]
        self._journal.forget(arn)

    def _keep_credentials(self, task: Task) -> None:
        """Of a task's payload; names alone (from the journal) are no credentials."""
        for kind, credentials in (
            (APPLICATION, task.role_credentials),
            (EXECUTION, task.execution_role_credentials),
        ):
            if credentials is not None and credentials.secret_access_key:
                self._tools.credentials.put(task.arn, kind, credentials)

    async def _own(self, owner: TaskOwner) -> None:
        while True:
            try:
                await owner.run()
            except Exception:  # the edge: one task's trouble is not the others'
                log.exception("task.owner_failed", task=owner.task.arn)
                await asyncio.sleep(OWNER_AGAIN_SECONDS)
            else:
                break
        self._leave(owner)

    def _leave(self, owner: TaskOwner) -> None:
        arn = owner.task.arn
        now = self._tools.clock.now()
        finished = Finished(report=owner.acked, at=now) if owner.acked is not None else None
        self._journal.finish(arn, finished)
        if finished is not None:
            self._finished[arn] = finished
        del self._owners[arn]
        for name in owner.record.docker_names.values():
            self._by_name.pop(name, None)
        for payload in owner.task.containers:
            self._by_endpoint.pop(metadata_id(owner.task, payload.name), None)
        oldest = next(iter(self._finished), None)
        while oldest is not None and now - self._finished[oldest].at > FINISHED_KEPT:
            self._forget(oldest)
            oldest = next(iter(self._finished), None)
        log.info("task.cleaned", task=arn)

    async def _listen(self) -> None:
        while True:
            try:
                async for name in self._tools.drivers.containers.events():
                    if not name:
                        self.wake_all()
                    elif (owner := self._by_name.get(name)) is not None:
                        owner.hint(name)
            except (DriverUnavailableError, DriverError) as error:
                log.warning("events.lost", error=str(error))
            await asyncio.sleep(EVENTS_AGAIN_SECONDS)
            self.wake_all()

    async def _clean_orphans(self) -> None:
        while True:
            try:
                return await clean_orphans(self._tools, self._label, self._by_name)
            except DriverUnavailableError:
                await asyncio.sleep(EVENTS_AGAIN_SECONDS)
