"""What a service with the EXTERNAL deployment controller and its task sets may ask for. Pure.

Sources: developer guide, "Deploy Amazon ECS services using a third-party controller"; botocore's
CreateService, UpdateService, CreateTaskSet and DeploymentConfiguration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from homeport.services.ecs.errors import (
    ClientException,
    InvalidParameterException,
    TaskSetNotFoundException,
)
from homeport.services.ecs.model import Service, TaskDefinition, TaskSet
from homeport.services.ecs.plan.compute import Compute
from homeport.services.ecs.plan.launch import Launches, check_compute
from homeport.services.ecs.plan.registries import check_service_room

TASK_SETS_MOST = 5
_OF_TASK_SETS = (
    "launchType",
    "networkConfiguration",
    "platformVersion",
    "loadBalancers",
    "serviceRegistries",
    "capacityProviderStrategy",
)
_NOT_UPDATED = (
    "taskDefinition",
    "networkConfiguration",
    "platformVersion",
    "loadBalancers",
    "serviceRegistries",
    "deploymentConfiguration",
    "forceNewDeployment",
    "capacityProviderStrategy",
    "serviceConnectConfiguration",
)
_BY_CODE_DEPLOY = {
    "taskDefinition": "Unable to update task definition",
    "forceNewDeployment": "Cannot force a new deployment",
    "networkConfiguration": "Unable to update network configuration",
    "platformVersion": "Unable to update platform version",
    "loadBalancers": "Unable to update load balancers",
    "serviceRegistries": "Unable to update service registries",
    "capacityProviderStrategy": "Unable to update capacity provider strategy",
    "serviceConnectConfiguration": "Unable to update service connect configuration",
    "volumeConfigurations": "Unable to update volume configurations",
    "vpcLatticeConfigurations": "Unable to update VPC Lattice configurations",
}
"""What UpdateService does not change for CODE_DEPLOY, and how it says so.

The first two were seen in answers. Source of the rest: botocore's UpdateService, "For services using the
blue/green (CODE_DEPLOY) deployment controller, only ...".
"""
NO_CODE_DEPLOY = (
    "deploymentController CODE_DEPLOY is not supported by Homeport: there is no AWS CodeDeploy here that "
    "conducts the deployments. Use the controller ECS with deploymentConfiguration.strategy BLUE_GREEN, "
    "LINEAR or CANARY, which shifts traffic between two target groups as CodeDeploy does; or EXTERNAL, and "
    "conduct task sets yourself."
)
_ROLLING_ONLY = ("deploymentCircuitBreaker", "alarms", "earlySuccessCriteria")
_FIXED = {"minimumHealthyPercent": 100, "maximumPercent": 200}


def controller_of(request: Mapping[str, Any]) -> str:
    """The deployment controller that a CreateService asks for."""
    return str((request.get("deploymentController") or {}).get("type", "ECS"))


def check_external_create(request: Mapping[str, Any]) -> None:
    """Raise for what a service with an EXTERNAL controller cannot have: most belongs to its task sets."""
    if request.get("taskDefinition"):
        raise InvalidParameterException("TaskDefinition must be blank.")
    for member in _OF_TASK_SETS:
        if request.get(member):
            raise InvalidParameterException(
                f"{member} must be blank: CreateTaskSet takes it with an EXTERNAL deployment controller."
            )
    if request.get("schedulingStrategy") == "DAEMON":
        raise InvalidParameterException(
            "The daemon scheduling strategy is not supported with an EXTERNAL deployment controller."
        )
    for member, value in (request.get("deploymentConfiguration") or {}).items():
        if member not in _FIXED:
            raise InvalidParameterException(
                f"deploymentConfiguration.{member} is not supported with an EXTERNAL deployment controller."
            )
        if value != _FIXED[member]:
            raise InvalidParameterException(
                f"deploymentConfiguration.{member} is {_FIXED[member]} with an EXTERNAL deployment "
                "controller and cannot be another."
            )


def check_controller(request: Mapping[str, Any], service: Service) -> None:
    """Raise for an UpdateService that this service's deployment controller does not allow."""
    if request.get("deploymentController") and controller_of(request) != service.controller:
        raise ClientException(
            NO_CODE_DEPLOY
            if controller_of(request) == "CODE_DEPLOY"
            else f"deploymentController {controller_of(request)} for a service that has {service.controller} "
            "is not supported by Homeport yet: a service keeps the controller that it was created with. "
            "Create another service with the other one, and delete this when that is steady."
        )
    if service.is_external:
        for member in _NOT_UPDATED:
            if request.get(member):
                raise InvalidParameterException(
                    f"Unable to update {member} on services with an EXTERNAL deployment controller. "
                    "Use CreateTaskSet to run something else."
                )
        check_service_room(service, request.get("desiredCount"))
    if service.controller == "CODE_DEPLOY":
        for member, does in _BY_CODE_DEPLOY.items():
            if request.get(member):
                raise InvalidParameterException(
                    f"{does} on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to "
                    "trigger a new deployment."
                )


def check_code_deploy_create(request: Mapping[str, Any]) -> None:
    """Raise for what a service with a CODE_DEPLOY controller cannot have, or lacks.

    Source: botocore's CreateService (`loadBalancers`, `deploymentConfiguration`), DeploymentCircuitBreaker.
    """
    given = request.get("deploymentConfiguration") or {}
    wanted = [member for member in _ROLLING_ONLY if (given.get(member) or {}).get("enable")]
    if given.get("strategy") not in (None, "ROLLING"):
        wanted.append("strategy")
    for member in wanted:
        raise InvalidParameterException(
            f"deploymentConfiguration.{member} is not supported with a CODE_DEPLOY deployment controller."
        )
    if not request.get("loadBalancers"):
        raise InvalidParameterException(
            f"A service with a CODE_DEPLOY deployment controller needs a load balancer. {NO_CODE_DEPLOY}"
        )
    raise ClientException(NO_CODE_DEPLOY)


def check_task_set(request: Mapping[str, Any], definition: TaskDefinition, compute: Compute) -> None:
    """Raise for a CreateTaskSet that cannot be honoured."""
    if len(request.get("clientToken") or "") > 36:
        raise InvalidParameterException("clientToken has at most 36 characters.")
    check_compute(request, definition, compute)
    Launches().of(definition, compute=compute)


def check_room(task_sets: Sequence[TaskSet]) -> None:
    """Raise when a service can have no further task set."""
    if len(task_sets) >= TASK_SETS_MOST:
        raise InvalidParameterException(
            f"{len(task_sets)} deployments exist on the service. Unable to create new TaskSet since this "
            "exceeds the maximum limit."
        )


def scale_of(scale: Mapping[str, Any] | None) -> float:
    """The percentage that a `scale` asks for. `unit` has one value."""
    scale = scale or {}
    value = float(scale.get("value", 0.0))
    if scale.get("unit", "PERCENT") != "PERCENT" or not 0 <= value <= 100:  # NaN is not between them
        raise InvalidParameterException("scale.value must be between 0 and 100, scale.unit PERCENT.")
    return value


def named(task_sets: Sequence[TaskSet], reference: str) -> TaskSet | None:
    """The task set of that id or ARN."""
    return next((one for one in task_sets if reference in (one.uid, one.arn)), None)


def known_task_set(task_sets: Sequence[TaskSet], reference: str) -> TaskSet:
    """The task set of that id or ARN. Raise `TaskSetNotFoundException`."""
    found = named(task_sets, reference)
    if found is None:
        raise TaskSetNotFoundException("The specified task set does not exist.")
    return found


def open_task_set(task_sets: Sequence[TaskSet], reference: str) -> TaskSet:
    """The task set of that id or ARN, which must not be on its way out."""
    found = known_task_set(task_sets, reference)
    if found.status == "DRAINING":
        raise InvalidParameterException("The specified task set is DRAINING and cannot be changed.")
    return found


def check_delete(task_set: TaskSet, *, force: bool) -> None:
    """Raise for a task set that is deleted by force only.

    The model asks for force above a scale of 0 as well, but ECS does not: PipeCD deletes running task sets
    without it, and so does Terraform's provider in its acceptance tests.
    """
    if task_set.status == "PRIMARY" and not force:
        raise InvalidParameterException("Primary TaskSet cannot be deleted")
