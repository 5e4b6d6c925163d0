"""The engine as the metadata endpoint sees it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Any

from homeport.agentproto.messages import Task
from homeport.core.sigv4 import Credentials
from homeport.node.api import ApiError, ApiUnreachableError
from homeport.node.credentials import APPLICATION, signing
from homeport.node.engine import Engine
from homeport.node.fargate import fargate_id, is_fargate, storage_bytes
from homeport.node.metadata.source import (
    ContainerView,
    HeldCredentials,
    InstanceView,
    Protection,
    ProtectionFailedError,
    ProtectionRefusedError,
    Tags,
    TaskView,
    Usage,
)
from homeport.node.networks import interface_of, is_awsvpc
from homeport.node.owner import TaskOwner
from homeport.node.ports import DriverError, DriverUnavailableError
from homeport.node.samples import sample_of
from homeport.node.steps.tools import Tools
from homeport.node.storage import StorageWatch
from homeport.node.telemetry import Telemetry


class EngineSource:
    """One container instance, for its metadata endpoint (`metadata.source.MetadataSource`)."""

    def __init__(
        self,
        engine: Engine,
        *,
        tools: Tools,
        telemetry: Telemetry,
        instance_arn: str,
        storage: StorageWatch | None = None,
    ) -> None:
        """`storage`: of Fargate's tasks."""
        self._storage = storage
        self._engine = engine
        self._tools = tools
        self._telemetry = telemetry
        self._instance_arn = instance_arn

    def instance(self) -> InstanceView:
        """This instance."""
        settings = self._tools.settings
        return InstanceView(
            cluster=settings.cluster,
            container_instance_arn=self._instance_arn,
            version=f"Amazon ECS Agent - v{settings.agent_version} (*{settings.agent_hash})",
        )

    def tasks(self) -> tuple[TaskView, ...]:
        """Every task until it is cleaned up, except those that were refused."""
        return tuple(self._task_view(owner) for owner in self._engine.tasks if owner.record.rules.containers)

    def by_endpoint(self, endpoint_id: str) -> tuple[TaskView, ContainerView] | None:
        """The container that owns the endpoint id."""
        found = self._engine.by_endpoint(endpoint_id)
        if found is None:
            return None
        view = self._task_view(found[0])
        return view, next(c for c in view.containers if c.container.name == found[1])

    def credentials(self, credentials_id: str) -> HeldCredentials | None:
        """Of a task's role, while the task lives. What the node itself uses is nobody's to ask for."""
        asked = credentials_id.encode(errors="replace")
        for owner in self._engine.tasks:
            named = owner.task.role_credentials
            if (
                named is not None
                and owner.record.alive
                and compare_digest(named.credentials_id.encode(), asked)
            ):
                found = self._tools.credentials.of(owner.task.arn, APPLICATION)
                return HeldCredentials(task=owner.task.arn, credentials=found)
        return None

    async def usage(self, container: ContainerView) -> Usage | None:
        """A sample of now, and the last one that telemetry took."""
        drivers = self._tools.drivers
        found = self._engine.by_docker_name(container.docker_name)
        try:
            if found is None:
                return None
            now = await sample_of(
                drivers.containers, drivers.sandboxes, found.record, container.container.name
            )
        except (DriverError, DriverUnavailableError):
            return None
        if now is None:
            return None
        last = self._telemetry.usage(container.docker_name)
        return Usage(now=now, before=last.now if last is not None else None)

    async def tags(self, task: TaskView) -> Tags:
        """Of the task and the instance, with the node's own credentials."""
        errors: list[Mapping[str, Any]] = []
        task_tags = await self._tags_of(task.task.arn, "TaskTags", errors)
        instance_tags: Mapping[str, str] = {}
        if not is_fargate(task.task):  # Fargate's are nobody's to see
            instance_tags = await self._tags_of(self._instance_arn, "ContainerInstanceTags", errors)
        return Tags(task=task_tags, instance=instance_tags, errors=tuple(errors))

    async def protection(self, task: TaskView) -> Protection:
        """GetTaskProtection with the task role."""
        return await self._protection("GetTaskProtection", task, {})

    async def protect(self, task: TaskView, *, enabled: bool, minutes: int | None) -> Protection:
        """UpdateTaskProtection with the task role."""
        request: dict[str, Any] = {"protectionEnabled": enabled}
        if minutes is not None:
            request["expiresInMinutes"] = minutes
        return await self._protection("UpdateTaskProtection", task, request)

    async def _tags_of(self, arn: str, field: str, errors: list[Mapping[str, Any]]) -> dict[str, str]:
        try:
            answer = await self._tools.api.call("ecs", "ListTagsForResource", {"resourceArn": arn})
        except ApiError as error:
            errors.append(
                {
                    "ErrorField": field,
                    "ErrorCode": error.code,
                    "ErrorMessage": error.message,
                    "StatusCode": error.status,
                    "ResourceARN": arn,
                }
            )
        except ApiUnreachableError as error:
            errors.append({"ErrorField": field, "ErrorMessage": str(error), "ResourceARN": arn})
        else:
            return {tag["key"]: tag.get("value", "") for tag in answer.get("tags") or ()}
        return {}

    async def _protection(self, operation: str, task: TaskView, more: Mapping[str, Any]) -> Protection:
        arn = task.task.arn
        request = {"cluster": self._cluster_of(task.task), "tasks": [arn], **more}
        try:
            answer = await self._tools.api.call("ecs", operation, request, credentials=self._task_role(arn))
        except ApiError as error:
            raise ProtectionFailedError(
                code=error.code, message=error.message, status=error.status
            ) from error
        except ApiUnreachableError as error:
            raise ProtectionFailedError(code="ServerException", message=str(error), status=500) from error
        for failure in answer.get("failures") or ():
            raise ProtectionRefusedError(
                arn=failure.get("arn", arn),
                reason=failure.get("reason", ""),
                detail=failure.get("detail", ""),
            )
        for protected in answer.get("protectedTasks") or ():
            expires = protected.get("expirationDate")
            return Protection(
                task_arn=protected.get("taskArn", arn),
                enabled=bool(protected.get("protectionEnabled")),
                expires_at=datetime.fromtimestamp(expires, UTC) if expires is not None else None,
            )
        raise ProtectionFailedError(code="ServerException", message="ECS answered nothing", status=500)

    def _task_role(self, arn: str) -> Credentials:
        found = self._tools.credentials.of(arn, APPLICATION)
        if found is None:
            raise ProtectionFailedError(
                code="AccessDeniedException", message="the task has no task role", status=403
            )
        return signing(found)

    def _task_view(self, owner: TaskOwner) -> TaskView:
        task, state = owner.task, owner.state
        used = None if self._storage is None else self._storage.used(task.arn)
        return TaskView(
            task=task,
            cluster=self._cluster_of(task),
            storage=None if used is None else (used, storage_bytes(task) or 0),
            desired_status=state.desired.value,
            known_status=owner.record.least_phase.name,
            containers=tuple(self._container_view(owner, payload.name) for payload in task.containers),
            pull_started_at=state.pull_started_at,
            pull_stopped_at=state.pull_stopped_at,
            execution_stopped_at=state.execution_stopped_at,
            ec2_instance_id="" if is_fargate(task) else self._tools.settings.ec2_instance_id,
        )

    def _cluster_of(self, task: Task) -> str:
        """As configured; a machine of Fargate's runs tasks of many clusters, and tells each its own."""
        return task.task_cluster_arn if is_fargate(task) else self._tools.settings.cluster

    def _container_view(self, owner: TaskOwner, name: str) -> ContainerView:
        known = owner.record.of(name)
        rule = owner.record.rules.containers[name]
        fargate = is_fargate(owner.task)
        return ContainerView(
            container=next(c for c in owner.task.containers if c.name == name),
            docker_name=owner.record.docker_names[name],
            desired_status=owner.state.desired.value,
            known_status=known.phase.name,
            status=owner.record.statuses.get(name),
            restart_count=known.restarts if rule.restarts is not None else None,
            shown_id=fargate_id(owner.task, name) if fargate else "",
            shown_name=name if fargate else "",
            interface=interface_of(owner.task) if is_awsvpc(owner.task) else None,
        )
