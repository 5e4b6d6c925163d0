"""Where a deployment with stages is, and how it can be made to go on. Pure."""

from __future__ import annotations

from datetime import datetime

from homeport.services.ecs.model import Deployment, Service, ServiceDeployment
from homeport.services.ecs.plan.explain import seconds_since

SHIFT_TROUBLE = "was unable to shift traffic"


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


def traffic_told(service: Service) -> list[str]:
    """Who gets how much of the traffic, and why that is not so yet."""
    staging = service.primary.staging
    if staging is None or not staging.shifts:
        return []
    told = [
        _shares_told(service, "production", staging.production),
        _shares_told(service, "test", staging.test),
    ]
    if staging.holds:
        told[0] = (
            f"{staging.blue} has no healthy task: production's traffic stays where the interrupted "
            f"deployment left it until {staging.green} gets it"
        )
    if not staging.live:
        told.append("these shares are asked for and not in force yet")
        told += _trouble(service)[:1]
    return told


def _shares_told(service: Service, what: str, percent: float) -> str:
    staging = service.primary.staging
    assert staging is not None, "only where there is traffic to shift"
    used = {one.id: ", ".join(_places(one)) for one in service.deployments}
    green = f"{percent:g} % of {what} goes to {staging.green} ({used.get(staging.green, 'gone')})"
    if not staging.blue:
        return green
    return f"{green}, {100 - percent:g} % to {staging.blue} ({used.get(staging.blue, 'gone')})"


def _places(deployment: Deployment) -> list[str]:
    """Where traffic comes to a deployment: target groups, and names of Service Connect."""
    groups = [one.place.target_group.rpartition(":")[2] for one in deployment.load_balancers]
    endpoints = () if deployment.connect is None else deployment.connect.endpoints
    return [*groups, *(f"{one.alias}:{one.port}" for one in endpoints)]


def _trouble(service: Service) -> list[str]:
    """What was told of traffic that could not be shifted, the newest first."""
    since = service.primary.created_at
    told = [one.message for one in service.events if one.created_at >= since]
    return [one.partition(") ")[2] for one in told if SHIFT_TROUBLE in one]


def traffic_remedies(service: Service) -> list[str]:
    """What lets ECS change the rules."""
    staging = service.primary.staging
    trouble = [] if staging is None or staging.live else _trouble(service)[:1]
    roles = {
        balancer.advanced["roleArn"]
        for one in service.deployments
        for balancer in one.load_balancers
        if balancer.advanced
    }
    remedies = []
    if any("is not authorized to perform" in one for one in trouble):
        remedies = [
            f"Let it change rules: aws iam attach-role-policy --role-name {role.rpartition('/')[2]} "
            "--policy-arn arn:aws:iam::aws:policy/AmazonECSInfrastructureRolePolicyForLoadBalancers"
            for role in sorted(roles)
        ]
    return remedies
