"""The task metadata endpoint: who asks for what, and what it is told.

Paths and error bodies follow recordings of amazon-ecs-agent 1.105.1. One
endpoint serves all local instances of a process: ids are unique among them.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from homeport.node.metadata import view
from homeport.node.metadata.answer import NOT_FOUND, Answer, Question, answer_json
from homeport.node.metadata.callers import Callers, UnknowableCallerError
from homeport.node.metadata.protection import protection_answer
from homeport.node.metadata.source import (
    ContainerView,
    HeldCredentials,
    MetadataSource,
    TaskView,
    Vpcs,
)

_Found = tuple[MetadataSource, TaskView, ContainerView]


class MetadataEndpoint:
    """Answers questions from what its sources know."""

    def __init__(
        self,
        sources: Iterable[MetadataSource] = (),
        callers: Callers | None = None,
        vpcs: Vpcs | None = None,
    ) -> None:
        """Without `callers` whoever knows an id is given its credentials, as the real agent does."""
        self._vpcs = vpcs
        self._sources = list(sources)
        self._callers = callers

    def add(self, source: MetadataSource) -> None:
        """Serve this instance's tasks too."""
        self._sources.append(source)

    def remove(self, source: MetadataSource) -> None:
        """Stop serving this instance's tasks."""
        self._sources.remove(source)

    async def answer(self, question: Question) -> Answer:
        """Everything below 169.254.170.2."""
        parts = question.path.strip("/").split("/")
        if parts[0] == "api":
            return await self._api(question, parts)
        if question.method not in {"GET", "HEAD"}:
            return NOT_FOUND
        match parts:
            case ["v1", "credentials"]:
                return await self._credentials(question, "V1", question.query.get("id", ""))
            case ["v2", "credentials"]:
                return await self._credentials(question, "V2", "")
            case ["v2", "credentials", credentials_id]:
                return await self._credentials(question, "V2", credentials_id)
            case ["v2", "metadata" | "metadataWithTags" | "stats" as what, *more] if len(more) < 2:
                return await self._by_address(question.remote, what, *more)
            case ["v3" | "v4" as version, endpoint_id, *rest]:
                return await self._metadata(version, endpoint_id, rest)
            case _:
                return NOT_FOUND

    def _find(self, endpoint_id: str) -> _Found | None:
        for source in self._sources:
            if (found := source.by_endpoint(endpoint_id)) is not None:
                return source, *found
        return None

    async def _metadata(self, version: str, endpoint_id: str, rest: list[str]) -> Answer:
        if not _served(rest):
            return NOT_FOUND
        found = self._find(endpoint_id)
        if found is None:
            return _unknown_endpoint(version, endpoint_id, rest)
        source, task, container = found
        if rest[:1] == ["associations"]:
            return _associated(task, container, rest[1:])
        if version == "v4" and rest and rest[0].startswith("task"):
            task = await self._in_vpc(task)
        return answer_json(await _body(version == "v4", source, task, container, rest))

    async def _by_address(self, remote: str, what: str, docker_id: str = "") -> Answer:
        """Version 2: a task asks from the address of its interface. Others have none of their own.

        Source: developer guide, "Amazon ECS task metadata endpoint version 2".
        """
        if docker_id and what == "metadataWithTags":
            return NOT_FOUND
        there = ((source, task) for source in self._sources for task in source.tasks())
        found = next(((source, task) for source, task in there if _has_address(task, remote)), None)
        if found is None:
            text = f"unable to associate '{remote}' with task"
            return answer_json(f"Unable to get task arn from request: {text}", 400)
        source, task = found
        rest = {"metadata": ["task"], "metadataWithTags": ["taskWithTags"], "stats": ["task", "stats"]}[what]
        container = task.containers[0]
        if docker_id:
            mine = [one for one in task.containers if one.docker_id == docker_id]
            if not mine:
                return answer_json(f"Unable to find the container {docker_id} in the task", 400)
            (container,), rest = mine, ["stats"] if what == "stats" else []
        return answer_json(await _body(False, source, task, container, rest))

    async def _in_vpc(self, task: TaskView) -> TaskView:
        """With its VPC. Source: developer guide, "task metadata endpoint version 4": on EC2 instances."""
        if self._vpcs is None or not task.ec2_instance_id:
            return task
        held = task.task.elastic_network_interfaces
        found = await self._vpcs.vpc_of(
            task.task.arn,
            interface_id=str(held[0].get("ec2Id") or "") if held else "",
            instance_id=task.ec2_instance_id,
        )
        return replace(task, vpc_id=found)

    async def _credentials(self, question: Question, version: str, credentials_id: str) -> Answer:
        prefix = f"Credentials{version}Request"
        if not credentials_id:
            return _credentials_error(400, "NoIdInRequest", f"{prefix}: No ID in the request")
        unknown = _credentials_error(400, "InvalidIdInRequest", f"{prefix}: Credentials not found")
        held: HeldCredentials | None = None
        for source in self._sources:
            found = source.credentials(credentials_id)
            if found is not None and (held is None or held.credentials is None):
                held = found
        if held is None or not await self._may_have(question, held.task):
            return unknown
        if held.credentials is None:
            return _credentials_error(
                503, "CredentialsUninitialized", f"{prefix}: Credentials uninitialized for ID"
            )
        return answer_json(view.credentials(held.credentials))

    async def _may_have(self, question: Question, task: str) -> bool:
        """Whether the caller is a container of the task. To others the id is an unknown one."""
        if self._callers is None:
            return True
        try:
            caller = await self._callers.of(question.remote, question.remote_port)
        except UnknowableCallerError:
            return True  # this machine hides its processes from us: who knows the id must do
        return caller is not None and caller.task == task

    async def _api(self, question: Question, parts: list[str]) -> Answer:
        match parts:
            case ["api", endpoint_id, "task-protection", "v1", "state"]:
                found = self._find(endpoint_id)
                return await protection_answer(question, found[:2] if found else None)
            case _:
                return NOT_FOUND


def _served(rest: list[str]) -> bool:
    match rest:
        case [] | ["task" | "taskWithTags" | "stats"] | ["task", "stats"]:
            return True
        case ["associations", _] | ["associations", _, _]:
            return True
        case _:
            return False


def _unknown_endpoint(version: str, endpoint_id: str, rest: list[str]) -> Answer:
    """Two wordings: for containers (recorded) and for tasks."""
    upper = version.upper()
    if rest and rest[0] in {"task", "taskWithTags"}:
        kind, what = "task metadata handler", "task arn"
    elif rest:
        kind, what = "container stats handler", "container ID"
    else:
        kind, what = "container metadata handler", "container ID"
    known = "task ARN" if what == "task arn" else "docker ID"
    return answer_json(
        f"{upper} {kind}: unable to get {what} from request: "
        f"unable to get {known} from v3 endpoint ID: {endpoint_id}",
        404,
    )


def _has_address(task: TaskView, address: str) -> bool:
    """Whether it is the task's own: that of one that has ended may be another's by now."""
    held = (one.interface for one in task.containers)
    return task.known_status != "STOPPED" and any(one and one.address == address for one in held)


async def _body(
    v4: bool, source: MetadataSource, task: TaskView, container: ContainerView, rest: list[str]
) -> dict[str, Any]:
    match rest:
        case ["task"]:
            return view.task_v4(task) if v4 else view.task_v3(task)
        case ["taskWithTags"]:
            tags = await source.tags(task)
            return view.task_v4(task, tags) if v4 else view.task_v3(task, tags)
        case ["stats"]:
            return view.stats(await source.usage(container))
        case ["task", "stats"]:
            return await _task_stats(source, task)
        case _:
            return view.container_v4(container) if v4 else view.container_v3(container)


async def _task_stats(source: MetadataSource, task: TaskView) -> dict[str, Any]:
    return {
        each.docker_id: view.stats(await source.usage(each))
        for each in task.containers
        if each.status is not None
    }


def _associated(task: TaskView, container: ContainerView, rest: list[str]) -> Answer:
    """The names of a type, or one's value, decoded when it is sent in base64."""
    kind, *name = rest
    own = [
        each
        for each in task.task.associations
        if each.type == kind and container.container.name in each.containers
    ]
    if not name:
        return answer_json({"Associations": [each.name for each in own] or None})
    for each in own:
        if each.name == name[0]:
            value = each.content.get("value", "")
            encoded = each.content.get("encoding", "").lower() == "base64"
            return Answer(body=base64.b64decode(value) if encoded else value.encode())
    return answer_json(f"associations {kind}/{name[0]} not found", 404)


def _credentials_error(status: int, code: str, message: str) -> Answer:
    return answer_json({"code": code, "message": message, "HTTPErrorCode": status}, status)
