"""Express services, gateways and namespaces: there are none, and what would make one says what it lacks."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.test_tasks import register
from tests.kit.server import ACCOUNT, REGION

HEAD = f"arn:aws:ecs:{REGION}:{ACCOUNT}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/infrastructure"


def refused(call: Any, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call(**members)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


@pytest.fixture(scope="module", autouse=True)
def cluster(ecs: Any) -> None:
    ecs.create_cluster(clusterName="default")


EXPRESS = {"infrastructureRoleArn": ROLE, "primaryContainer": {"image": "app:1"}}


def test_an_express_service_is_refused_because_it_needs_a_load_balancer(ecs: Any) -> None:
    code, message = refused(ecs.create_express_gateway_service, **EXPRESS)
    assert code == "UnsupportedFeatureException"
    assert "Application Load Balancer" in message


@pytest.mark.parametrize(
    ("members", "code", "text"),
    [
        ({"cluster": "nowhere"}, "ClusterNotFoundException", "not found"),
        ({"serviceName": "a b"}, "InvalidParameterException", "serviceName"),
        ({"infrastructureRoleArn": "role"}, "InvalidParameterException", "infrastructureRoleArn"),
        ({"primaryContainer": {"image": ""}}, "InvalidParameterException", "primaryContainer.image"),
        ({"taskDefinitionArn": "web"}, "InvalidParameterException", "primaryContainer cannot be given"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_ecs_would_not_take_either_is_said_first(
    ecs: Any, members: dict[str, Any], code: str, text: str
) -> None:
    told = refused(ecs.create_express_gateway_service, **{**EXPRESS, **members})
    assert told[0] == code
    assert text in told[1]


def test_an_express_service_is_not_found_and_another_service_is_none(ecs: Any) -> None:
    unknown = f"{HEAD}:service/default/unknown"
    assert refused(ecs.describe_express_gateway_service, serviceArn=unknown)[0] == "ResourceNotFoundException"
    for change in (ecs.update_express_gateway_service, ecs.delete_express_gateway_service):
        assert refused(change, serviceArn=unknown)[0] == "ServiceNotFoundException"
        elsewhere = f"{HEAD}:service/nowhere/unknown"
        assert refused(change, serviceArn=elsewhere)[0] == "ClusterNotFoundException"
        assert refused(change, serviceArn="unknown")[0] == "InvalidParameterException"
    register(ecs, "web", "stay")
    made = ecs.create_service(serviceName="plain", taskDefinition="web", desiredCount=0)["service"]
    code, message = refused(ecs.delete_express_gateway_service, serviceArn=made["serviceArn"])
    assert (code, message.endswith("is not an Express service.")) == ("InvalidParameterException", True)
    assert ecs.describe_services(services=["plain"])["services"][0]["status"] == "ACTIVE"


def test_a_gateway_is_refused_and_so_there_is_none(ecs: Any) -> None:
    code, message = refused(
        ecs.create_gateway,
        name="front",
        infrastructureRoleArn=ROLE,
        configuration={"hostSharedAlb": {"networkConfiguration": {"subnets": ["subnet-1"]}}},
    )
    assert code == "UnsupportedFeatureException"
    assert "Application Load Balancers" in message
    for call in (
        ecs.describe_gateway,
        ecs.describe_gateway_resources,
        ecs.delete_gateway,
        ecs.update_gateway,
    ):
        assert refused(call, gateway="front")[0] == "GatewayNotFoundException"
    for call in (ecs.associate_gateway_with_cluster, ecs.disassociate_gateway_from_cluster):
        assert refused(call, gateway="front", cluster="default")[0] == "GatewayNotFoundException"
        assert refused(call, gateway="front", cluster="nowhere")[0] == "ClusterNotFoundException"
    route = f"{HEAD}:gateway-route/front/1"
    assert refused(ecs.describe_gateway_route, gatewayRouteArn=route)[0] == "ResourceNotFoundException"
    assert ecs.list_gateways()["gateways"] == []
    assert ecs.list_gateway_routes(cluster="default")["gatewayRoutes"] == []
    assert refused(ecs.list_gateway_routes, gateway="front")[0] == "GatewayNotFoundException"
    assert ecs.list_gateway_cluster_associations()["gatewayClusterAssociations"] == []


@pytest.mark.parametrize(
    "namespace", ["internal", f"arn:aws:servicediscovery:{REGION}:{ACCOUNT}:namespace/ns-1"]
)
def test_no_namespace_is_found(ecs: Any, namespace: str) -> None:
    assert refused(ecs.list_services_by_namespace, namespace=namespace)[0] == "NamespaceNotFoundException"
    told = refused(ecs.list_services_by_namespace, namespace=namespace, maxResults=101)
    assert told[0] == "InvalidParameterException"
