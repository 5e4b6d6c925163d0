"""What a service may ask for. Pure. Source: ECS API Reference, CreateService and UpdateService."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from homeport.services.ecs.errors import ClientException, InvalidParameterException
from homeport.services.ecs.model import TaskDefinition
from homeport.services.ecs.plan.compute import Compute
from homeport.services.ecs.plan.deployment_request import rollout_settings
from homeport.services.ecs.plan.launch import Launches, check_compute
from homeport.services.ecs.plan.placement_types import Constraint, Strategy
from homeport.services.ecs.plan.query import QuerySyntaxError, compile_query
from homeport.services.ecs.plan.support import refuse
from homeport.services.ecs.plan.task_set_request import (
    check_code_deploy_create,
    check_external_create,
    controller_of,
)

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_UNSUPPORTED = (
    "volumeConfigurations",
    "vpcLatticeConfigurations",
    "gatewayConnectors",
    "monitoring",
)
GRACE_SECONDS_MOST = 2_147_483_647


def check_constraints(constraints: tuple[Mapping[str, Any], ...]) -> None:
    """Raise `InvalidParameterException` for a constraint that does not parse."""
    if len(constraints) > 10:
        raise InvalidParameterException("At most 10 placement constraints can be given.")
    for constraint in constraints:
        try:
            parsed = Constraint(constraint.get("type") or "", constraint.get("expression") or "")
            if parsed.expression:
                compile_query(parsed.expression)
        except (ValueError, QuerySyntaxError) as error:
            raise InvalidParameterException(f"Invalid placement constraint: {error}") from None


def check_strategy(strategy: tuple[Mapping[str, Any], ...]) -> None:
    """Raise `InvalidParameterException` for a strategy that ECS does not have."""
    if len(strategy) > 5:
        raise InvalidParameterException("At most 5 placement strategies can be given.")
    for rule in strategy:
        try:
            Strategy(rule.get("type") or "", rule.get("field") or "")
        except ValueError as error:
            raise InvalidParameterException(f"Invalid placement strategy: {error}") from None


def check_count(request: Mapping[str, Any], most: int) -> None:
    """Raise for a desired count above `most`, the quota "Tasks per service", which AWS raises on request."""
    if not 0 <= (request.get("desiredCount") or 0) <= most:
        raise InvalidParameterException(
            f"desiredCount must be between 0 and {most}: that is the quota Tasks per service. "
            "To raise it, start Homeport with --tasks-per-service or HOMEPORT_TASKS_PER_SERVICE."
        )


def check_common(request: Mapping[str, Any]) -> None:
    """What create and update ask of a request alike."""
    refuse(request, "", _UNSUPPORTED)
    if not 0 <= request.get("healthCheckGracePeriodSeconds", 0) <= GRACE_SECONDS_MOST:
        raise InvalidParameterException(
            f"healthCheckGracePeriodSeconds must be between 0 and {GRACE_SECONDS_MOST}."
        )
    if request.get("enableExecuteCommand"):
        raise ClientException("enableExecuteCommand is not supported by Homeport yet.")
    check_constraints(tuple(request.get("placementConstraints") or ()))
    check_strategy(tuple(request.get("placementStrategy") or ()))


def check_daemon_strategy(strategy: Sequence[Any]) -> None:
    """Raise when a DAEMON service would have a capacity provider strategy, its cluster's default included.

    Source: containers-roadmap issue 692; asking for a launch type keeps the default away.
    """
    if strategy:
        raise InvalidParameterException(
            "Specifying a capacity provider strategy is not supported when you create a service using the "
            "DAEMON scheduling strategy."
        )


def check_daemon(request: Mapping[str, Any]) -> None:
    """What a DAEMON service cannot have, at creation or later."""
    check_daemon_strategy(request.get("capacityProviderStrategy") or ())
    if request.get("desiredCount") is not None:
        raise InvalidParameterException(
            "The daemon scheduling strategy does not support a desired count for services. "
            "Remove a desired count value and try again"
        )
    if request.get("placementStrategy"):
        raise InvalidParameterException(
            "The daemon scheduling strategy does not support placement strategies. "
            "Remove placementStrategy and try again."
        )
    if request.get("launchType") not in (None, "EC2", "EXTERNAL"):
        raise InvalidParameterException(
            "The daemon scheduling strategy supports the launch types EC2 and EXTERNAL only: "
            f"launchType is {request['launchType']}."
        )
    if (request.get("deploymentController") or {}).get("type", "ECS") != "ECS":
        raise InvalidParameterException(
            "The daemon scheduling strategy supports the deploymentController type ECS only."
        )
    rollout_settings(request.get("deploymentConfiguration"), daemon=True)


def check_create(request: Mapping[str, Any]) -> None:
    """Raise for a CreateService that cannot be honoured."""
    if not _NAME.fullmatch(request["serviceName"]):
        raise InvalidParameterException(
            "serviceName is made of 1 to 255 letters, digits, hyphens and underscores."
        )
    external = controller_of(request) == "EXTERNAL"
    if external:
        check_external_create(request)
    elif not request.get("taskDefinition"):
        raise InvalidParameterException("TaskDefinition can not be blank.")
    if request.get("schedulingStrategy") == "DAEMON":
        check_daemon(request)
    elif request.get("desiredCount") is None and not external:
        raise InvalidParameterException("desiredCount is required for a REPLICA service.")
    else:
        rollout_settings(request.get("deploymentConfiguration"))
    if controller_of(request) == "CODE_DEPLOY":
        check_code_deploy_create(request)
    if len(request.get("clientToken") or "") > 36:
        raise InvalidParameterException("clientToken has at most 36 characters.")
    check_common(request)


def check_definition(request: Mapping[str, Any], definition: TaskDefinition, compute: Compute) -> None:
    """Raise unless the service can run the definition there."""
    check_compute(request, definition, compute)
    Launches().of(definition, compute=compute)
