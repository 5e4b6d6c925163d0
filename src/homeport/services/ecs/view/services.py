"""Services on the wire."""

from __future__ import annotations

from homeport.services.ecs.model import Breaker, Deployment, Service, TaskSet
from homeport.services.ecs.view.connect import connect_view
from homeport.services.ecs.view.load_balancers import load_balancers_view
from homeport.services.ecs.view.networks import network_view
from homeport.services.ecs.view.registries import registries_view
from homeport.services.ecs.view.strategies import strategy_view
from homeport.services.ecs.view.task_sets import task_set_view
from homeport.services.ecs.view.wire import Include, Standings, Wire, placed_by


def _deployment_view(deployment: Deployment, *, desired: int, running: int, pending: int) -> Wire:
    return {
        "id": deployment.id,
        "status": deployment.status,
        "taskDefinition": deployment.task_definition,
        "desiredCount": desired,
        "pendingCount": pending,
        "runningCount": running,
        "failedTasks": deployment.failed_tasks,
        "createdAt": deployment.created_at,
        "updatedAt": deployment.updated_at,
        **placed_by(deployment.launch_type, deployment.strategy, deployment.platform_version),
        "rolloutState": deployment.rollout_state,
        **network_view(deployment.network),
        **connect_view(deployment.connect, resources=True),
        "rolloutStateReason": deployment.rollout_state_reason,
    }


def _breaker_view(breaker: Breaker) -> Wire:
    """What was asked for; the members that came later only where they differ from what always was."""
    view: Wire = {"enable": breaker.enable, "rollback": breaker.rollback}
    if not breaker.reset_on_healthy:
        view["resetOnHealthyTask"] = False
    if (breaker.threshold_type, breaker.threshold_value) != ("BOUNDED_PERCENT", 50):
        view["thresholdConfiguration"] = {"type": breaker.threshold_type, "value": breaker.threshold_value}
    return view


def deployment_configuration(service: Service) -> Wire:
    """How a service's deployments go."""
    view: Wire = {
        "deploymentCircuitBreaker": _breaker_view(service.breaker),
        "maximumPercent": service.maximum_percent,
        "minimumHealthyPercent": service.minimum_healthy_percent,
        **strategy_view(service.deployment_strategy),
    }
    if service.alarms.given:
        view["alarms"] = dict(service.alarms.given)
    if service.early_success.given:
        view["earlySuccessCriteria"] = dict(service.early_success.given)
    return view


def _of_task_sets(task_sets: tuple[TaskSet, ...], tasks: Standings, include: Include) -> Wire:
    """What a service shows of its task sets: the values of the PRIMARY one are its own."""
    primary = [one.deployment for one in task_sets if one.status == "PRIMARY"]
    view: Wire = {
        "taskSets": [task_set_view(one, tasks=tasks, include=include) for one in task_sets],
        "deploymentConfiguration": {"maximumPercent": 200, "minimumHealthyPercent": 100},
    }
    if primary:
        view["taskDefinition"] = primary[0].task_definition
        view |= placed_by(primary[0].launch_type, primary[0].strategy, primary[0].platform_version)
        if primary[0].strategy:
            view["launchType"] = None
        view["loadBalancers"] = load_balancers_view(primary[0].load_balancers)
        view["serviceRegistries"] = registries_view(primary[0].registries)
        view |= network_view(primary[0].network)
    return view


def _placed_by(service: Service) -> Wire:
    if not service.deployments:
        return placed_by(service.launch_type, ())
    primary = service.primary
    return placed_by(primary.launch_type, primary.strategy, primary.platform_version)


def service_view(
    service: Service,
    *,
    tasks: Standings,
    task_sets: tuple[TaskSet, ...] = (),
    include: Include,
    created: bool = False,
) -> Wire:
    """A service. `tasks`: where its live ones stand.

    `created`: for CreateService, which does not return an ECS controller that was not
    asked for; clients (Ansible's) rely on it everywhere else.
    """
    view: Wire = {
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": f"arn:aws:ecs:{service.region}:{service.account_id}:cluster/{service.cluster_name}",
        "loadBalancers": load_balancers_view(() if service.is_external else service.primary.load_balancers),
        "serviceRegistries": registries_view(
            service.primary.registries if service.deployments and not service.is_external else ()
        ),
        "roleArn": service.role or None,
        "status": service.status,
        "desiredCount": service.desired_count,
        "runningCount": tasks.running(),
        "pendingCount": tasks.pending(),
        **_placed_by(service),
        "deploymentConfiguration": deployment_configuration(service),
        "deployments": [
            _deployment_view(
                deployment,
                desired=service.wanted_of(deployment),
                running=tasks.running(deployment.id),
                pending=tasks.pending(deployment.id),
            )
            for deployment in service.deployments
        ],
        "events": [
            {"id": event.id, "createdAt": event.created_at, "message": event.message}
            for event in service.events
        ],
        "createdAt": service.created_at,
        "createdBy": service.created_by,
        "healthCheckGracePeriodSeconds": service.health_check_grace_seconds,
        "placementConstraints": list(service.placement_constraints),
        "placementStrategy": list(service.placement_strategy),
        "schedulingStrategy": service.scheduling_strategy,
        "enableECSManagedTags": service.enable_managed_tags,
        "propagateTags": service.propagate_tags,
        "enableExecuteCommand": False,
        "availabilityZoneRebalancing": "ENABLED" if service.az_rebalancing else "DISABLED",
    }
    if service.explicit_controller or not created:
        view["deploymentController"] = {"type": service.controller}
    if service.is_external:
        view |= _of_task_sets(task_sets, tasks, include)
    else:
        view["taskDefinition"] = service.primary.task_definition
        view |= network_view(service.primary.network)
    if "TAGS" in include:
        view["tags"] = list(service.tags)
    return view
