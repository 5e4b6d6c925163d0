"""What a deployment controller lets CreateService and UpdateService say."""

from __future__ import annotations

from typing import Any

import pytest
from tests.kit.rollout import service

from homeport.core.errors import AwsError
from homeport.services.ecs.errors import ClientException, InvalidParameterException
from homeport.services.ecs.plan.service_request import check_create
from homeport.services.ecs.plan.task_set_request import check_controller

BLUE = service(2, controller="CODE_DEPLOY")
TO_CODE_DEPLOY = (
    "on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to trigger a new deployment."
)


@pytest.mark.parametrize(
    "members",
    [
        {"desiredCount": 3},
        {"deploymentConfiguration": {"maximumPercent": 150, "minimumHealthyPercent": 50}},
        {"healthCheckGracePeriodSeconds": 9},
        {"placementConstraints": [{"type": "distinctInstance"}]},
        {"placementStrategy": [{"type": "random"}]},
        {"enableECSManagedTags": True},
        {"propagateTags": "SERVICE"},
        {"deploymentController": {"type": "CODE_DEPLOY"}},
        {"loadBalancers": []},
        {"forceNewDeployment": False},
    ],
    ids=lambda members: next(iter(members)),
)
def test_what_code_deploy_leaves_to_ecs_may_be_updated(members: dict[str, Any]) -> None:
    """Source: botocore ecs, UpdateService."""
    check_controller({"service": "web", **members}, BLUE)


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"taskDefinition": "web:2"}, "Unable to update task definition"),
        ({"forceNewDeployment": True}, "Cannot force a new deployment"),
        ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"]}}}, "network configuration"),
        ({"platformVersion": "LATEST"}, "platform version"),
        ({"loadBalancers": [{"containerName": "app"}]}, "load balancers"),
        ({"serviceRegistries": [{"registryArn": "r"}]}, "service registries"),
        ({"capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]}, "capacity provider strategy"),
        ({"volumeConfigurations": [{"name": "v"}]}, "volume configurations"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_code_deploy_deploys_is_not_updated(members: dict[str, Any], text: str) -> None:
    """The first two texts were seen in answers; the others are made like them."""
    with pytest.raises(InvalidParameterException) as refused:
        check_controller({"service": "web", **members}, BLUE)
    assert refused.value.message.startswith(text) or text in refused.value.message
    assert refused.value.message.endswith(TO_CODE_DEPLOY)
    check_controller({"service": "web", **members}, service(2))


@pytest.mark.parametrize(
    ("kind", "text"),
    [("CODE_DEPLOY", "or EXTERNAL, and conduct task sets yourself"), ("EXTERNAL", "Create another service")],
)
def test_a_service_keeps_its_controller_and_is_told_what_to_do_instead(kind: str, text: str) -> None:
    with pytest.raises(ClientException, match=text):
        check_controller({"service": "web", "deploymentController": {"type": kind}}, service(2))


@pytest.mark.parametrize(
    ("members", "error", "text"),
    [
        ({}, InvalidParameterException, "needs a load balancer. deploymentController"),
        (
            {"loadBalancers": [{}]},
            ClientException,
            "Use the controller ECS with deploymentConfiguration.strategy",
        ),
        ({"schedulingStrategy": "DAEMON", "desiredCount": None}, InvalidParameterException, "type ECS only"),
        ({"taskDefinition": None}, InvalidParameterException, "TaskDefinition can not be blank"),
        (
            {"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}},
            InvalidParameterException,
            "deploymentCircuitBreaker is not supported with a CODE_DEPLOY",
        ),
        (
            {"deploymentConfiguration": {"strategy": "LINEAR"}},
            InvalidParameterException,
            "strategy is not supported with a CODE_DEPLOY",
        ),
    ],
    ids=str,
)
def test_a_code_deploy_service_is_refused_and_told_what_it_lacks(
    members: dict[str, Any], error: type[AwsError], text: str
) -> None:
    asked = {
        "serviceName": "web",
        "taskDefinition": "web",
        "desiredCount": 1,
        "deploymentController": {"type": "CODE_DEPLOY"},
        **members,
    }
    with pytest.raises(error) as refused:
        check_create(asked)
    assert text in refused.value.message
