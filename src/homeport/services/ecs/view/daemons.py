"""Daemons, their deployments, revisions and task definitions on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from homeport.services.ecs.model import Daemon, DaemonDeployment, DaemonRevision, Task, TaskDefinition
from homeport.services.ecs.model.daemon_snapshot import ManagedSnapshot
from homeport.services.ecs.view.wire import Wire, present

_MEMBERS = (
    "name image memory memoryReservation repositoryCredentials healthCheck cpu essential entryPoint command "
    "workingDirectory environmentFiles environment secrets readonlyRootFilesystem mountPoints "
    "logConfiguration firelensConfiguration privileged user ulimits linuxParameters dependsOn startTimeout "
    "stopTimeout systemControls interactive pseudoTerminal restartPolicy"
)
_CONTAINER_MEMBERS = frozenset(_MEMBERS.split())
_SHOWN_MEMBERS = ("taskRoleArn", "executionRoleArn", "cpu", "memory")
_SPACES = ("pidMode", "ipcMode")


def _shown(body: Mapping[str, Any]) -> Wire:
    """The document as DescribeDaemonTaskDefinition shows it."""
    containers = [
        {key: value for key, value in container.items() if key in _CONTAINER_MEMBERS}
        for container in body["containerDefinitions"]
    ]
    return {
        **{key: body[key] for key in _SHOWN_MEMBERS if key in body},
        **{space: "shared" if body.get(space) == "host" else "none" for space in _SPACES},
        "containerDefinitions": containers,
        "volumes": body["volumes"],
    }


def daemon_definition_view(definition: TaskDefinition) -> Wire:
    """A revision of a daemon task definition."""
    return present(
        {
            **_shown(definition.body),
            "daemonTaskDefinitionArn": definition.arn,
            "family": definition.family,
            "revision": definition.revision,
            "status": definition.status,
            "registeredAt": definition.registered_at,
            "registeredBy": definition.registered_by,
            "deleteRequestedAt": definition.delete_requested_at,
        }
    )


def daemon_definition_brief(definition: TaskDefinition) -> Wire:
    """A revision in a listing."""
    return present(
        {
            "arn": definition.arn,
            "registeredAt": definition.registered_at,
            "registeredBy": definition.registered_by,
            "deleteRequestedAt": definition.delete_requested_at,
            "status": definition.status,
        }
    )


def daemon_brief(daemon: Daemon, *, deployment_arn: str | None = None) -> Wire:
    """A daemon in a listing; with a deployment's ARN, the answer of what began that."""
    return present(
        {
            "daemonArn": daemon.arn,
            "status": daemon.status,
            "createdAt": daemon.created_at,
            "updatedAt": daemon.updated_at,
            "deploymentArn": deployment_arn,
        }
    )


class _Counts:
    """How many instances of each capacity provider run what."""

    def __init__(self, snapshot: ManagedSnapshot) -> None:
        self._live = snapshot.live
        self._wanted = snapshot.wanted
        self._group_of = {host.id: host.group for host in snapshot.hosts}
        self._current = snapshot.daemon.revision

    def _tasks(self, uid: str, group: str) -> Iterable[Task]:
        return (
            task
            for task in self._live
            if task.daemon_revision == uid and self._group_of.get(task.instance_id or 0) == group
        )

    def running(self, uid: str, group: str) -> int:
        """Instances of the group that run the revision."""
        return sum(
            t.last_status == "RUNNING" and t.desired_status == "RUNNING" for t in self._tasks(uid, group)
        )

    def draining(self, uid: str, group: str) -> int:
        """Instances of the group that are about to lose their task of the revision."""
        return sum(task.desired_status == "STOPPED" for task in self._tasks(uid, group))

    def without(self, revision: DaemonRevision, group: str) -> int:
        """Instances of the group that go on without the daemon; a critical one lets none do that."""
        if revision.critical or revision.uid != self._current:
            return 0
        having = {task.instance_id for task in self._live if task.last_status == "RUNNING"}
        return sum(host.group == group and host.id not in having for host in self._wanted.values())


def daemon_view(snapshot: ManagedSnapshot) -> Wire:
    """A daemon, with the revisions that it runs or is to run."""
    daemon, counts = snapshot.daemon, _Counts(snapshot)
    uids = dict.fromkeys([daemon.revision, *(task.daemon_revision for task in snapshot.live)])
    revisions = [snapshot.revisions[uid] for uid in uids if uid is not None]
    head = f"arn:aws:ecs:{daemon.region}:{daemon.account_id}"
    return {
        "daemonArn": daemon.arn,
        "clusterArn": f"{head}:cluster/{daemon.cluster_name}",
        "status": daemon.status,
        "currentRevisions": [_revision_counts(revision, counts) for revision in revisions],
        "deploymentArn": snapshot.deployment.arn,
        "createdAt": daemon.created_at,
        "updatedAt": daemon.updated_at,
    }


def _revision_counts(revision: DaemonRevision, counts: _Counts) -> Wire:
    rows: list[Wire] = [
        {
            "arn": provider.arn,
            "runningCount": counts.running(revision.uid, provider.group),
            "withoutDaemonCount": counts.without(revision, provider.group),
        }
        for provider in revision.providers
    ]
    return {
        "arn": revision.arn,
        "capacityProviders": rows,
        "totalRunningCount": sum(row["runningCount"] for row in rows),
        "totalWithoutDaemonCount": sum(row["withoutDaemonCount"] for row in rows),
    }


def _instance_counts(revision: DaemonRevision, counts: _Counts) -> Wire:
    rows: list[Wire] = [
        {
            "arn": provider.arn,
            "runningInstanceCount": counts.running(revision.uid, provider.group),
            "withoutDaemonInstanceCount": counts.without(revision, provider.group),
            "drainingInstanceCount": counts.draining(revision.uid, provider.group),
        }
        for provider in revision.providers
    ]
    return {
        "arn": revision.arn,
        "capacityProviders": rows,
        "totalRunningInstanceCount": sum(row["runningInstanceCount"] for row in rows),
        "totalWithoutDaemonInstanceCount": sum(row["withoutDaemonInstanceCount"] for row in rows),
        "totalDrainingInstanceCount": sum(row["drainingInstanceCount"] for row in rows),
    }


def daemon_deployment_view(
    deployment: DaemonDeployment, snapshot: ManagedSnapshot, revisions: Mapping[str, DaemonRevision]
) -> Wire:
    """A deployment, with how things stand now. `revisions`: those that it names."""
    counts = _Counts(snapshot)
    target = revisions.get(deployment.target or "")
    sources = [revisions[uid] for uid in deployment.sources if uid in revisions]
    return present(
        {
            "daemonDeploymentArn": deployment.arn,
            "clusterArn": _cluster_arn(deployment),
            "status": deployment.status,
            "statusReason": deployment.status_reason,
            "targetDaemonRevision": None if target is None else _instance_counts(target, counts),
            "sourceDaemonRevisions": [_instance_counts(revision, counts) for revision in sources],
            "circuitBreaker": {
                "failureCount": deployment.failures,
                "status": _breaker_status(deployment),
                "threshold": deployment.threshold,
            },
            "alarms": {
                "status": "DISABLED",
                "alarmNames": list(deployment.alarm_names),
                "triggeredAlarmNames": [],
            },
            "rollback": _rollback(deployment, revisions),
            "deploymentConfiguration": {
                "drainPercent": deployment.drain_percent,
                "alarms": {"alarmNames": list(deployment.alarm_names), "enable": False},
                "bakeTimeInMinutes": deployment.bake_minutes,
            },
            "createdAt": deployment.created_at,
            "startedAt": deployment.started_at,
            "stoppedAt": deployment.stopped_at,
            "finishedAt": deployment.finished_at,
        }
    )


def _breaker_status(deployment: DaemonDeployment) -> str:
    if deployment.tripped:
        return "TRIGGERED"
    return "MONITORING" if deployment.is_open else "MONITORING_COMPLETE"


def _rollback(deployment: DaemonDeployment, revisions: Mapping[str, DaemonRevision]) -> Wire | None:
    rollback = deployment.rollback
    if rollback is None:
        return None
    revision = revisions.get(rollback.revision)
    return present(
        {
            "reason": rollback.reason,
            "startedAt": rollback.started_at,
            "rollbackTargetDaemonRevisionArn": None if revision is None else revision.arn,
            "rollbackCapacityProviders": None
            if revision is None
            else [provider.arn for provider in revision.providers],
        }
    )


def daemon_deployment_brief(deployment: DaemonDeployment) -> Wire:
    """A deployment in a listing."""
    head = f"arn:aws:ecs:{deployment.region}:{deployment.account_id}"
    path = f"{deployment.cluster_name}/{deployment.daemon_name}"
    target = deployment.target
    return present(
        {
            "daemonDeploymentArn": deployment.arn,
            "daemonArn": f"{head}:daemon/{path}",
            "clusterArn": _cluster_arn(deployment),
            "status": deployment.status,
            "statusReason": deployment.status_reason,
            "targetDaemonRevisionArn": None if target is None else f"{head}:daemon-revision/{path}/{target}",
            "createdAt": deployment.created_at,
            "startedAt": deployment.started_at,
            "stoppedAt": deployment.stopped_at,
            "finishedAt": deployment.finished_at,
        }
    )


def daemon_revision_view(revision: DaemonRevision) -> Wire:
    """What a daemon was made of."""
    head = f"arn:aws:ecs:{revision.region}:{revision.account_id}"
    return {
        "daemonRevisionArn": revision.arn,
        "clusterArn": f"{head}:cluster/{revision.cluster_name}",
        "daemonArn": f"{head}:daemon/{revision.cluster_name}/{revision.daemon_name}",
        "daemonTaskDefinitionArn": revision.task_definition,
        "createdAt": revision.created_at,
        "containerImages": [{"containerName": name, "image": image} for name, image in revision.images],
        "propagateTags": revision.propagate_tags,
        "enableECSManagedTags": revision.enable_managed_tags,
        "enableExecuteCommand": False,
        "critical": revision.critical,
    }


def _cluster_arn(deployment: DaemonDeployment) -> str:
    return f"arn:aws:ecs:{deployment.region}:{deployment.account_id}:cluster/{deployment.cluster_name}"
