"""Service deployments and service revisions on the wire."""

from __future__ import annotations

from homeport.services.ecs.model import Service, ServiceDeployment, ServiceRevision
from homeport.services.ecs.view.connect import connect_view
from homeport.services.ecs.view.load_balancers import load_balancers_view, resolved_view
from homeport.services.ecs.view.networks import network_view
from homeport.services.ecs.view.registries import registries_view
from homeport.services.ecs.view.strategies import stage_view, traffic_shares
from homeport.services.ecs.view.wire import Standings, Wire, placed_by, present


def _revision_counts(record: ServiceDeployment, uid: str, service: Service, tasks: Standings) -> Wire:
    """A revision of a service deployment, with the tasks that it has now; or had, when it completed early."""
    of = {deployment.id for deployment in service.deployments if deployment.revision == uid}
    head = record.arn.rpartition("/")[0].replace(":service-deployment/", ":service-revision/")
    wanted = sum(service.wanted_of(one) for one in service.deployments if one.revision == uid)
    running = tasks.running(*of) if of else 0
    pending = tasks.pending(*of) if of else 0
    wanted, running, pending = record.final_counts.get(uid, (wanted, running, pending))
    return {
        "arn": f"{head}/{uid}",
        "requestedTaskCount": wanted,
        "runningTaskCount": running,
        "pendingTaskCount": pending,
        **traffic_shares(record, uid, service),
    }


_MONITORS = {"SUCCESSFUL": "MONITORING_COMPLETE", "STOPPED": "MONITORING_COMPLETE"}


def _breaker_state(record: ServiceDeployment) -> Wire:
    breaker = record.configuration.get("deploymentCircuitBreaker", {})
    status = _MONITORS.get(record.status, "MONITORING")
    if record.threshold and record.failures >= record.threshold:
        status = "TRIGGERED"
    if not breaker.get("enable"):
        status = "DISABLED"
    return {"status": status, "failureCount": record.failures, "threshold": record.threshold}


def _alarms_state(record: ServiceDeployment) -> Wire:
    alarms = record.configuration.get("alarms") or {}
    status = _MONITORS.get(record.status, "MONITORING") if alarms.get("enable") else "DISABLED"
    return {
        "status": "TRIGGERED" if record.triggered_alarms else status,
        "alarmNames": list(alarms.get("alarmNames") or ()),
        "triggeredAlarmNames": list(record.triggered_alarms),
    }


def service_deployment_view(record: ServiceDeployment, service: Service, tasks: Standings) -> Wire:
    """A service deployment. `tasks`: where the live ones of its service stand."""
    head = f"arn:aws:ecs:{record.region}:{record.account_id}"
    rollback = record.rollback
    revisions = record.arn.rpartition("/")[0].replace(":service-deployment/", ":service-revision/")
    return present(
        {
            "serviceDeploymentArn": record.arn,
            "serviceArn": service.arn,
            "clusterArn": f"{head}:cluster/{record.cluster_name}",
            "createdAt": record.created_at,
            "startedAt": record.started_at,
            "finishedAt": record.finished_at,
            "stoppedAt": record.stopped_at,
            "updatedAt": record.updated_at,
            "sourceServiceRevisions": [
                _revision_counts(record, uid, service, tasks) for uid in record.sources
            ],
            "targetServiceRevision": _revision_counts(record, record.target, service, tasks),
            "status": record.status,
            "statusReason": record.status_reason,
            **stage_view(record.staging),
            "deploymentConfiguration": record.configuration,
            "rollback": None
            if rollback is None
            else {
                "reason": rollback.reason,
                "startedAt": rollback.started_at,
                "serviceRevisionArn": f"{revisions}/{rollback.revision}",
            },
            "deploymentCircuitBreaker": _breaker_state(record),
            "alarms": _alarms_state(record),
        }
    )


def service_deployment_brief(record: ServiceDeployment) -> Wire:
    """A service deployment in a listing."""
    head = f"arn:aws:ecs:{record.region}:{record.account_id}"
    revisions = record.arn.rpartition("/")[0].replace(":service-deployment/", ":service-revision/")
    return present(
        {
            "serviceDeploymentArn": record.arn,
            "serviceArn": f"{head}:service/{record.cluster_name}/{record.service_name}",
            "clusterArn": f"{head}:cluster/{record.cluster_name}",
            "startedAt": record.started_at,
            "createdAt": record.created_at,
            "finishedAt": record.finished_at,
            "targetServiceRevisionArn": f"{revisions}/{record.target}",
            "status": record.status,
            "statusReason": record.status_reason,
        }
    )


def service_revision_view(revision: ServiceRevision) -> Wire:
    """A service revision."""
    head = f"arn:aws:ecs:{revision.region}:{revision.account_id}"
    return {
        "serviceRevisionArn": revision.arn,
        "serviceArn": f"{head}:service/{revision.cluster_name}/{revision.service_name}",
        "clusterArn": f"{head}:cluster/{revision.cluster_name}",
        "taskDefinition": revision.task_definition,
        **placed_by(revision.launch_type, revision.strategy, revision.platform_version),
        **network_view(revision.network),
        **connect_view(revision.connect, resources=False),
        "loadBalancers": load_balancers_view(revision.load_balancers),
        "serviceRegistries": registries_view(revision.registries),
        "createdAt": revision.created_at,
        "guardDutyEnabled": False,
        **resolved_view(revision.load_balancers),
    }
