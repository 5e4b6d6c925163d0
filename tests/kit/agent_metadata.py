"""Recorded answers of the real agent's metadata endpoints, and the views that must give them again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from homeport.agentproto.messages import Container, DockerConfig, RoleCredentials, Task
from homeport.node.drivers.docker_views import instant
from homeport.node.metadata.source import (
    ContainerView,
    HeldCredentials,
    InstanceView,
    Protection,
    Tags,
    TaskView,
    Usage,
)
from homeport.node.ports import ContainerStatus, Health, PortBinding, RunState

FOLDER = Path(__file__).parent.parent / "data" / "agent_metadata"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One exchange. Times in bodies are cut to microseconds, which is what Homeport keeps."""

    path: str
    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


def recordings(name: str) -> dict[str, Recorded]:
    """By path, of `metadata` or `introspection`."""
    found: dict[str, Recorded] = {}
    for part in re.split(r"^== ", (FOLDER / f"{name}.txt").read_text(), flags=re.MULTILINE)[1:]:
        path, _, rest = part.partition("\n")
        head, _, text = rest.partition("\n\n")
        status, *lines = head.splitlines() or [""]
        if not status:
            continue
        headers = dict(line.partition(": ")[::2] for line in lines)
        found[path] = Recorded(
            path=path, status=int(status.split()[1]), headers=headers, text=_micro(text.rstrip("\n"))
        )
    return found


def _micro(text: str) -> str:
    def cut(match: re.Match[str]) -> str:
        decimals = match[2][:6].rstrip("0")
        return f'{match[1]}{"." + decimals if decimals else ""}Z"'

    return re.sub(r'("\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d+)Z"', cut, text)


def container_view(body: dict[str, Any]) -> ContainerView:
    """The view whose v4 metadata is `body`."""
    health = body.get("Health")
    log = (
        {"LogConfig": {"Type": body["LogDriver"], "Config": body["LogOptions"]}}
        if "LogDriver" in body
        else {}
    )
    addresses = (
        tuple(each for each in body["Networks"][0]["IPv4Addresses"] if each) if "Networks" in body else ()
    )
    return ContainerView(
        container=Container(
            name=body["Name"],
            image=body["Image"],
            cpu=body["Limits"]["CPU"],
            memory=body["Limits"]["Memory"],
            health_check_type="docker" if health else None,
            container_arn=body.get("ContainerARN", ""),
            docker_config=DockerConfig(host_config=json.dumps(log)),
        ),
        docker_name=body["DockerName"],
        desired_status=body["DesiredStatus"],
        known_status=body["KnownStatus"],
        status=ContainerStatus(
            name=body["DockerName"],
            docker_id=body["DockerId"],
            state=RunState.RUNNING if body["KnownStatus"] == "RUNNING" else RunState.EXITED,
            exit_code=body.get("ExitCode"),
            created_at=instant(body.get("CreatedAt")),
            started_at=instant(body.get("StartedAt")),
            finished_at=instant(body.get("FinishedAt")),
            health=Health(
                status=health["status"], since=instant(health["statusSince"]), exit_code=0, output="ok"
            )
            if health
            else None,
            ports=tuple(
                PortBinding(
                    bind_ip=port.get("HostIp", ""),
                    container_port=port["ContainerPort"],
                    host_port=port["HostPort"],
                    protocol=port["Protocol"],
                )
                for port in body.get("Ports", ())
            ),
            ip_addresses=addresses,
            network_mode="default",
            image=body["Image"],
            image_id=body["ImageID"],
            labels=body.get("Labels", {}),
            mounts=tuple(
                {
                    "source": v["Source"],
                    "destination": v["Destination"],
                    **({"name": v["DockerName"]} if "DockerName" in v else {}),
                }
                for v in body.get("Volumes", ())
            ),
            log_driver=body.get("LogDriver", "json-file"),
            log_options=body.get("LogOptions", {}),
        ),
    )


def task_view(body: dict[str, Any], **members: Any) -> TaskView:
    """The view whose v4 task metadata is `body`."""
    containers = tuple(container_view(each) for each in body["Containers"])
    limits = body.get("Limits", {})
    return TaskView(
        task=Task(
            arn=body["TaskARN"],
            family=body["Family"],
            version=body["Revision"],
            zone=body["AvailabilityZone"],
            launch_type=body["LaunchType"],
            service_name=body.get("ServiceName", ""),
            cpu=limits.get("CPU"),
            memory=limits.get("Memory"),
            containers=tuple(each.container for each in containers),
            **members,
        ),
        cluster=body["Cluster"],
        desired_status=body["DesiredStatus"],
        known_status=body["KnownStatus"],
        containers=containers,
    )


NOBODY = InstanceView(cluster="default", container_instance_arn="", version="")


@dataclass(slots=True)
class FakeSource:
    """A source that knows what it is given. `endpoints`: endpoint id to (task, container's name)."""

    known: list[TaskView] = field(default_factory=list)
    endpoints: dict[str, tuple[TaskView, str]] = field(default_factory=dict)
    keys: dict[str, RoleCredentials] = field(default_factory=dict)
    pending: set[str] = field(default_factory=set)
    credentials_task: str = ""
    usages: dict[str, Usage] = field(default_factory=dict)
    task_tags: Tags = field(default_factory=Tags)
    protected: Protection | Exception | None = None
    asked: list[tuple[bool, int | None]] = field(default_factory=list)
    who: InstanceView = NOBODY

    def instance(self) -> InstanceView:
        return self.who

    def tasks(self) -> tuple[TaskView, ...]:
        return tuple(self.known)

    def by_endpoint(self, endpoint_id: str) -> tuple[TaskView, ContainerView] | None:
        if endpoint_id not in self.endpoints:
            return None
        task, name = self.endpoints[endpoint_id]
        return task, next(each for each in task.containers if each.container.name == name)

    def credentials(self, credentials_id: str) -> HeldCredentials | None:
        if credentials_id in self.pending:
            return HeldCredentials(task=self.credentials_task, credentials=None)
        found = self.keys.get(credentials_id)
        return None if found is None else HeldCredentials(task=self.credentials_task, credentials=found)

    async def usage(self, container: ContainerView) -> Usage | None:
        return self.usages.get(container.docker_name)

    async def tags(self, task: TaskView) -> Tags:
        return self.task_tags

    async def protection(self, task: TaskView) -> Protection:
        return self._protection()

    async def protect(self, task: TaskView, *, enabled: bool, minutes: int | None) -> Protection:
        self.asked.append((enabled, minutes))
        return self._protection()

    def _protection(self) -> Protection:
        if isinstance(self.protected, Exception):
            raise self.protected
        assert self.protected is not None
        return self.protected
