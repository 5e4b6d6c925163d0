"""What Terraform's AWS provider asks, in its order and with its members: apply, change, apply, destroy.

Source: hashicorp/terraform-provider-aws, internal/service/ecs (cluster, task_definition, service).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.test_tasks import waiter
from tests.kit.server import Live

CLUSTER_FIELDS = ["TAGS", "CONFIGURATIONS", "SETTINGS"]
TAGS = [{"key": "managed", "value": "yes"}]


@pytest.fixture(scope="module")
def cluster(live: Live, ecs: Any) -> str:
    """aws_ecs_cluster."""
    assert live.client("sts").get_caller_identity()["Account"] == "000000000000"
    insights = [{"name": "containerInsights", "value": "enabled"}]
    arn: str = ecs.create_cluster(clusterName="tf", tags=TAGS, settings=insights)["cluster"]["clusterArn"]
    (shown,) = ecs.describe_clusters(clusters=[arn], include=CLUSTER_FIELDS)["clusters"]
    assert (shown["status"], shown["settings"], shown["tags"]) == ("ACTIVE", insights, TAGS)
    assert not {"configuration", "serviceConnectDefaults"} & set(shown)
    live.add_node(cluster="tf")
    return arn


def revision(ecs: Any, **container: Any) -> str:
    """aws_ecs_task_definition: what is registered is what is read again."""
    app = {"name": "app", "image": "app:1", "memory": 32, "essential": True, **container}
    asked: dict[str, Any] = {
        "family": "tf",
        "containerDefinitions": [app],
        "requiresCompatibilities": ["EC2"],
        "networkMode": "bridge",
        "tags": TAGS,
    }
    arn: str = ecs.register_task_definition(**asked)["taskDefinition"]["taskDefinitionArn"]
    shown = ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"])
    definition = shown["taskDefinition"]
    assert {name: definition[name] for name in asked if name in definition} == {
        **{name: value for name, value in asked.items() if name != "tags"},
        "containerDefinitions": [{**definition["containerDefinitions"][0], **app}],
    }
    assert shown["tags"] == TAGS
    return arn


def test_apply_change_and_destroy(live: Live, ecs: Any, cluster: str) -> None:
    first = revision(ecs, command=["stay"])
    created = ecs.create_service(
        serviceName="tf", cluster=cluster, taskDefinition=first, desiredCount=2, launchType="EC2",
        clientToken="terraform-20261121000000000000000001"[:36], schedulingStrategy="REPLICA", tags=TAGS,
        deploymentConfiguration={"maximumPercent": 200, "minimumHealthyPercent": 0},
        enableECSManagedTags=False, enableExecuteCommand=False, placementConstraints=[],
    )["service"]  # fmt: skip
    arn = created["serviceArn"]
    waiter(ecs, "services_stable").wait(cluster=cluster, services=[arn])
    second = revision(ecs, command=["stay"], environment=[{"name": "A", "value": "b"}])
    ecs.update_service(
        cluster=cluster, service=arn, taskDefinition=second, forceNewDeployment=False, desiredCount=1,
        deploymentConfiguration={"deploymentCircuitBreaker": {"enable": False, "rollback": False}},
        placementStrategy=[], placementConstraints=[],
    )  # fmt: skip
    waiter(ecs, "services_stable").wait(cluster=cluster, services=[arn])
    (shown,) = ecs.describe_services(cluster=cluster, services=[arn], include=["TAGS"])["services"]
    assert shown["taskDefinition"] == second
    assert shown["deploymentConfiguration"]["minimumHealthyPercent"] == 0
    assert (shown["deploymentController"], shown["tags"]) == ({"type": "ECS"}, TAGS)
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "more", "value": ""}])
    ecs.untag_resource(resourceArn=arn, tagKeys=["managed"])
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "more", "value": ""}]
    destroy(live, ecs, cluster, arn, (first, second))


def destroy(live: Live, ecs: Any, cluster: str, service: str, definitions: tuple[str, ...]) -> None:
    with pytest.raises(ecs.exceptions.ClusterContainsContainerInstancesException):
        ecs.delete_cluster(cluster=cluster)
    ecs.update_service(cluster=cluster, service=service, desiredCount=0)
    ecs.delete_service(cluster=cluster, service=service)
    waiter(ecs, "services_inactive").wait(cluster=cluster, services=[service])
    for arn in definitions:
        ecs.deregister_task_definition(taskDefinition=arn)
    (node,) = live.nodes
    tasks = ecs.list_tasks(cluster=cluster, desiredStatus="STOPPED")["taskArns"]
    waiter(ecs, "tasks_stopped").wait(cluster=cluster, tasks=tasks)
    live.stop_agent(node)
    ecs.deregister_container_instance(cluster=cluster, containerInstance=node.agent.instance_arn)
    ecs.delete_cluster(cluster=cluster)
    (gone,) = ecs.describe_clusters(clusters=[cluster], include=CLUSTER_FIELDS)["clusters"]
    assert gone["status"] == "INACTIVE"
    with pytest.raises(ecs.exceptions.ClusterNotFoundException):
        ecs.describe_services(cluster=cluster, services=[service])
