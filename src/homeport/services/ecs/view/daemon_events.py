"""What daemons do, as EventBridge documents. Source: developer guide, "Daemon events"."""

from __future__ import annotations

from datetime import datetime

from homeport.services.ecs.model import Daemon, DaemonDeployment, DaemonRevision, Task
from homeport.services.ecs.view.events import iso
from homeport.services.ecs.view.wire import Wire, present

DEPLOYMENT_STATE = "ECS Daemon Deployment State Change"
SERVICE_ACTION = "ECS Daemon Service Action"


def daemon_deployment_told(deployment: DaemonDeployment, at: datetime) -> Wire:
    """A deployment has another status."""
    head = f"arn:aws:ecs:{deployment.region}:{deployment.account_id}"
    path = f"{deployment.cluster_name}/{deployment.daemon_name}"
    target = deployment.target
    detail = present(
        {
            "eventType": "ERROR" if deployment.status == "ROLLBACK_FAILED" else "INFO",
            "eventName": f"DAEMON_DEPLOYMENT_{deployment.status}",
            "clusterArn": f"{head}:cluster/{deployment.cluster_name}",
            "daemonArn": f"{head}:daemon/{path}",
            "daemonDeploymentArn": deployment.arn,
            "targetDaemonRevisionArn": None if target is None else f"{head}:daemon-revision/{path}/{target}",
            "updatedAt": iso(at),
        }
    )
    return {"detail-type": DEPLOYMENT_STATE, "resources": [f"{head}:daemon/{path}"], "detail": detail}


def start_impaired_told(
    daemon: Daemon,
    revision: DaemonRevision,
    *,
    instance_arn: str,
    group: str,
    reason: str,
    task: Task | None,
    at: datetime,
) -> Wire:
    """A task of a daemon did not come to run, or could not be made. `group`: its instance's."""
    providers = {provider.group: provider.arn.rpartition("/")[2] for provider in revision.providers}
    detail = present(
        {
            "eventType": "WARNING",
            "eventName": "DAEMON_TASK_START_IMPAIRED",
            "clusterArn": f"arn:aws:ecs:{daemon.region}:{daemon.account_id}:cluster/{daemon.cluster_name}",
            "containerInstanceArn": instance_arn,
            "taskArn": None if task is None else task.arn,
            "daemonRevisionArn": revision.arn,
            "capacityProviderName": providers.get(group),
            "daemonArn": daemon.arn,
            "daemonTaskDefinitionArn": revision.task_definition,
            "failureType": "TASK_CREATION_FAILED" if task is None else "TASK_FAILED_TO_RUN",
            "createdAt": iso(at),
            "reason": reason,
        }
    )
    resources = [] if task is None else [task.arn]
    return {"detail-type": SERVICE_ACTION, "resources": resources, "detail": detail}
