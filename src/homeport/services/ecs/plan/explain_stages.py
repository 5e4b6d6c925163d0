"""Where a deployment with stages is, and how it can be made to go on. Pure."""

from __future__ import annotations

from datetime import datetime

from homeport.services.ecs.model import Service, ServiceDeployment
from homeport.services.ecs.plan.explain import seconds_since


def stage_told(service: Service, now: datetime) -> str | None:
    """The stage of the primary deployment, in a sentence."""
    staging = service.primary.staging
    if staging is None:
        return None
    since = f"for {seconds_since(staging.since, now)} s"
    if staging.returns:
        return (
            f"Deployment {staging.green} failed and goes back to {staging.blue}: at {staging.stage} {since}."
        )
    beside = f" beside {staging.blue}" if staging.blue else ""
    return f"Deployment {staging.green} ({staging.strategy.name}){beside} is at {staging.stage} {since}."


def pause_remedies(service: Service, history: tuple[ServiceDeployment, ...]) -> list[str]:
    """The command that continues what a person must continue."""
    staging = service.primary.staging
    runs = () if staging is None else staging.hooks
    arns = [record.arn for record in history if staging is not None and record.deployment_id == staging.green]
    return [
        f"Let it go on: aws ecs continue-service-deployment --service-deployment-arn {arns[0]} "
        f"--hook-id {run.id} (--action ROLLBACK sends it back)"
        for run in runs
        if run.status == "AWAITING_ACTION" and arns
    ]
