"""What a service's deployments leave in its history. Pure.

Source: developer guide, "View service history using Amazon ECS service deployments"; botocore's shapes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from homeport.services.ecs.model import (
    Deployment,
    Rollback,
    Service,
    ServiceDeployment,
    ServiceRevision,
    Task,
)
from homeport.services.ecs.plan.rollout_failures import threshold

PENDING = ("PROVISIONING", "PENDING", "ACTIVATING")
SUPERSEDED = "A newer service deployment took its place."


def revision_of(service: Service, deployment: Deployment) -> ServiceRevision:
    """The revision that a new deployment deploys."""
    return ServiceRevision(
        service_id=service.id,
        cluster_name=service.cluster_name,
        account_id=service.account_id,
        region=service.region,
        service_name=service.name,
        uid=deployment.revision,
        task_definition=deployment.task_definition,
        launch_type=deployment.launch_type,
        platform_version=deployment.platform_version,
        strategy=deployment.strategy,
        load_balancers=deployment.load_balancers,
        registries=deployment.registries,
        connect=deployment.connect,
        network=deployment.network,
        created_at=deployment.created_at,
    )


def opened(service: Service, uid: str) -> ServiceDeployment:
    """The history of the service's new primary deployment, at its beginning."""
    primary = service.primary
    return ServiceDeployment(
        service_id=service.id,
        cluster_name=service.cluster_name,
        account_id=service.account_id,
        region=service.region,
        service_name=service.name,
        uid=uid,
        deployment_id=primary.id,
        target=primary.revision,
        sources=tuple(dict.fromkeys(old.revision for old in service.deployments[1:] if old.revision)),
        staging=primary.staging,
        created_at=primary.created_at,
        updated_at=primary.created_at,
    )


def superseded(record: ServiceDeployment, now: datetime) -> ServiceDeployment:
    """An open deployment when the next one begins."""
    return msgspec.structs.replace(
        record,
        status="STOPPED",
        status_reason=SUPERSEDED,
        stopped_at=now,
        finished_at=now,
        updated_at=now,
    )


def advanced(
    record: ServiceDeployment, service: Service, failed: Deployment | None, now: datetime
) -> ServiceDeployment:
    """The history once the service has come to stand so; itself when nothing changed.

    `failed`: the deployment that failed just now; the service may have forgotten it already.
    """
    primary = service.primary
    mine = failed or next((d for d in service.deployments if d.id == record.deployment_id), None)
    after = record
    if after.status == "PENDING":
        after = msgspec.structs.replace(after, status="IN_PROGRESS", started_at=now)
    if mine is not None:
        limit = threshold(service.breaker, service.desired_count) if service.breaker.enable else 0
        triggered = () if mine.alarm_watch is None else mine.alarm_watch.triggered
        after = msgspec.structs.replace(
            after, failures=mine.failed_tasks, threshold=limit, triggered_alarms=triggered
        )
    if primary.staging is not None and primary.staging.green == record.deployment_id:
        after = msgspec.structs.replace(after, staging=primary.staging)
    if primary.id != record.deployment_id and service.status == "ACTIVE":
        after = _rolling_back(after, service, mine, now)
    elif primary.rollout_state == "COMPLETED":
        after = msgspec.structs.replace(after, status="SUCCESSFUL", status_reason=None, finished_at=now)
    elif primary.rollout_state == "FAILED" or service.status != "ACTIVE":
        reason = (
            primary.rollout_state_reason if primary.rollout_state == "FAILED" else "The service was deleted."
        )
        after = msgspec.structs.replace(
            after, status="STOPPED", status_reason=reason, stopped_at=now, finished_at=now
        )
    return record if after == record else msgspec.structs.replace(after, updated_at=now)


def counted_at_its_end(
    record: ServiceDeployment, service: Service, live: Iterable[Task]
) -> ServiceDeployment:
    """A deployment that completed early keeps its tasks' numbers of that moment: the service goes on."""
    if record.is_open or not service.early_success.enable:
        return record
    of = {deployment.id: deployment.revision for deployment in service.deployments}
    tasks = [(of.get(task.started_by or ""), task.last_status) for task in live]
    counts = {}
    for revision in (record.target, *record.sources):
        mine = [status for owner, status in tasks if owner == revision]
        wanted = service.desired_count if service.primary.revision == revision else 0
        counts[revision] = (wanted, mine.count("RUNNING"), sum(status in PENDING for status in mine))
    return msgspec.structs.replace(record, final_counts=counts)


def _rolling_back(
    record: ServiceDeployment, service: Service, failed: Deployment | None, now: datetime
) -> ServiceDeployment:
    primary = service.primary
    if record.rollback is None:
        reason = failed.rollout_state_reason if failed is not None else primary.rollout_state_reason
        record = msgspec.structs.replace(
            record,
            status="ROLLBACK_IN_PROGRESS",
            status_reason=reason,
            rollback=Rollback(reason=reason, started_at=now, revision=primary.revision),
        )
    elif record.status == "ROLLBACK_REQUESTED":
        record = msgspec.structs.replace(record, status="ROLLBACK_IN_PROGRESS")
    if primary.rollout_state == "COMPLETED":
        return msgspec.structs.replace(record, status="ROLLBACK_SUCCESSFUL", finished_at=now)
    if primary.rollout_state == "FAILED":
        return msgspec.structs.replace(record, status="ROLLBACK_FAILED", finished_at=now)
    return record
