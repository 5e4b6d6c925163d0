"""Clusters, instances, attributes, tags, settings and task definitions through boto3."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.test_tasks import register, waiter
from tests.kit.server import Live


def test_creating_a_cluster_twice_gives_the_same(ecs: Any) -> None:
    first = ecs.create_cluster(clusterName="c", tags=[{"key": "a", "value": "b"}])["cluster"]
    assert first["settings"] == [{"name": "containerInsights", "value": "disabled"}]
    assert ecs.create_cluster(clusterName="c")["cluster"]["tags"] == [{"key": "a", "value": "b"}]
    assert first["clusterArn"] in ecs.list_clusters()["clusterArns"]


def test_a_deleted_cluster_is_described_but_not_used(ecs: Any) -> None:
    ecs.create_cluster(clusterName="gone")
    assert ecs.delete_cluster(cluster="gone")["cluster"]["status"] == "INACTIVE"
    assert ecs.describe_clusters(clusters=["gone"])["clusters"][0]["status"] == "INACTIVE"
    assert "gone" not in str(ecs.list_clusters()["clusterArns"])
    with pytest.raises(
        ecs.exceptions.ClusterNotFoundException, match=r"The referenced cluster was inactive."
    ):
        ecs.list_tasks(cluster="gone")
    assert ecs.create_cluster(clusterName="gone")["cluster"]["status"] == "ACTIVE"


def test_what_a_deleted_cluster_had_does_not_reappear(live: Live, ecs: Any) -> None:
    """Source: API reference, DescribeTasks; a cluster of the same name is a new one."""
    ecs.create_cluster(clusterName="twice")
    register(ecs, "brief", "stay")
    node = live.add_node(cluster="twice")
    task = ecs.run_task(cluster="twice", taskDefinition="brief")["tasks"][0]["taskArn"]
    ecs.stop_task(cluster="twice", task=task)
    waiter(ecs, "tasks_stopped").wait(cluster="twice", tasks=[task])
    ecs.create_service(cluster="twice", serviceName="past", taskDefinition="brief", desiredCount=0)
    ecs.delete_service(cluster="twice", service="past")
    waiter(ecs, "services_inactive").wait(cluster="twice", services=["past"])
    live.stop_agent(node)
    ecs.deregister_container_instance(cluster="twice", containerInstance=node.agent.instance_arn)
    ecs.delete_cluster(cluster="twice")
    ecs.create_cluster(clusterName="twice")
    assert ecs.describe_tasks(cluster="twice", tasks=[task])["failures"][0]["reason"] == "MISSING"
    assert ecs.describe_services(cluster="twice", services=["past"])["failures"][0]["reason"] == "MISSING"


def test_clusters_elsewhere_are_missing(ecs: Any) -> None:
    answer = ecs.describe_clusters(
        clusters=[
            "ghost",
            "arn:aws:ecs:eu-west-1:000000000000:cluster/c",
            "arn:aws:ecs:us-east-1:1:cluster/c",
        ]
    )
    assert answer["clusters"] == []
    assert {f["reason"] for f in answer["failures"]} == {"MISSING"}


@pytest.mark.parametrize(
    "members",
    [
        {"capacityProviders": ["ghost"]},
        {"configuration": {"executeCommandConfiguration": {"logging": "NONE"}}},
        {"settings": [{"name": "containerInsights", "value": "loud"}]},
    ],
)
def test_cluster_members_that_have_no_effect_yet_are_refused(ecs: Any, members: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as caught:
        ecs.create_cluster(clusterName="never", **members)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert ecs.describe_clusters(clusters=["never"])["clusters"] == []


def test_statistics_are_strings_and_only_on_demand(ecs: Any) -> None:
    ecs.create_cluster(clusterName="stats")
    plain = ecs.describe_clusters(clusters=["stats"])["clusters"][0]
    full = ecs.describe_clusters(clusters=["stats"], include=["STATISTICS"])["clusters"][0]
    assert plain["statistics"] == []
    assert {"name": "runningEC2TasksCount", "value": "0"} in full["statistics"]


def test_custom_attributes_are_limited_to_ten(live: Live, ecs: Any) -> None:
    node = live.add_node()
    target = {"targetId": node.agent.instance_arn, "targetType": "container-instance"}
    for number in range(10):
        ecs.put_attributes(attributes=[{"name": f"a{number}", "value": "x", **target}])
    with pytest.raises(ecs.exceptions.AttributeLimitExceededException):
        ecs.put_attributes(attributes=[{"name": "a10", **target}])
    listed = ecs.list_attributes(targetType="container-instance", attributeName="a3")["attributes"]
    assert [(a["name"], a["value"], a["targetId"]) for a in listed] == [("a3", "x", node.agent.instance_arn)]
    ecs.delete_attributes(attributes=[{"name": "a3", **target}])
    assert ecs.list_attributes(targetType="container-instance", attributeName="a3")["attributes"] == []
    with pytest.raises(ecs.exceptions.TargetNotFoundException):
        ecs.put_attributes(
            attributes=[{"name": "x", "targetId": "0" * 32, "targetType": "container-instance"}]
        )
    with pytest.raises(ClientError, match=r"reserved"):
        ecs.put_attributes(attributes=[{"name": "ecs.os-type", "value": "x", **target}])


def test_instances_are_found_by_query(live: Live, ecs: Any) -> None:
    node = live.add_node(attributes={"stack": "prod"}, availability_zone="us-east-1b")
    found = ecs.list_container_instances(
        filter="attribute:stack == prod and attribute:ecs.availability-zone == us-east-1b"
    )["containerInstanceArns"]
    assert found == [node.agent.instance_arn]
    with pytest.raises(ecs.exceptions.InvalidParameterException):
        ecs.list_container_instances(filter="attribute:stack ==")
    shown = ecs.describe_container_instances(containerInstances=found)["containerInstances"][0]
    assert shown["agentConnected"] is True
    assert shown["versionInfo"]["dockerVersion"] == "24.0"
    ports = next(r for r in shown["remainingResources"] if r["name"] == "PORTS")
    assert ports["stringSetValue"] == ["22", "2375", "2376", "51678", "51679"]


def test_tags_are_laid_over_and_taken_away(ecs: Any) -> None:
    arn = ecs.create_cluster(clusterName="tagged")["cluster"]["clusterArn"]
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "3"}])
    assert {t["key"]: t["value"] for t in ecs.list_tags_for_resource(resourceArn=arn)["tags"]} == {
        "a": "3",
        "b": "2",
    }
    ecs.untag_resource(resourceArn=arn, tagKeys=["a", "never"])
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": "2"}]
    with pytest.raises(ecs.exceptions.LimitExceededException):
        ecs.tag_resource(resourceArn=arn, tags=[{"key": f"k{n}", "value": ""} for n in range(50)])
    with pytest.raises(ClientError, match=r"aws:"):
        ecs.tag_resource(resourceArn=arn, tags=[{"key": "AWS:x", "value": ""}])
    with pytest.raises(ClientError):
        ecs.list_tags_for_resource(resourceArn="arn:aws:ecs:us-east-1:000000000000:task/tagged/" + "0" * 32)


def test_revisions_are_never_used_twice(ecs: Any) -> None:
    first = register(ecs, "counted", "stay")
    second = register(ecs, "counted", "stay")
    assert (first["revision"], second["revision"]) == (1, 2)
    ecs.deregister_task_definition(taskDefinition="counted:2")
    assert ecs.describe_task_definition(taskDefinition="counted")["taskDefinition"]["revision"] == 1
    assert ecs.describe_task_definition(taskDefinition="counted:2")["taskDefinition"]["status"] == "INACTIVE"
    ecs.deregister_task_definition(taskDefinition="counted:1")
    deleted = ecs.delete_task_definitions(taskDefinitions=["counted:1", "counted:2"])
    assert {d["status"] for d in deleted["taskDefinitions"]} == {"DELETE_IN_PROGRESS"}
    assert register(ecs, "counted", "stay")["revision"] == 3


def test_a_family_prefix_is_exact_in_one_listing_and_a_prefix_in_the_other(ecs: Any) -> None:
    for family in ("px", "px-long"):
        register(ecs, family, "stay")
    listed = ecs.list_task_definitions(familyPrefix="px")["taskDefinitionArns"]
    assert [arn.rpartition("/")[2] for arn in listed] == ["px:1"]
    assert ecs.list_task_definition_families(familyPrefix="px")["families"] == ["px", "px-long"]
    for none in ("PX", "p_", "p%", "x" * 60_000):
        assert ecs.list_task_definition_families(familyPrefix=none)["families"] == []


@pytest.mark.parametrize(
    ("call", "code", "text"),
    [
        (("describe_task_definition", {"taskDefinition": "ghost"}), "ClientException",
         "Unable to describe task definition."),
        (("deregister_task_definition", {"taskDefinition": "px"}), "ClientException", "Revision is missing."),
        (("deregister_task_definition", {"taskDefinition": "px:99"}), "ClientException",
         "The specified task definition does not exist."),
        (("describe_task_definition", {"taskDefinition": "px:abc"}), "InvalidParameterException",
         "Invalid revision number. Number: abc"),
        (("describe_container_instances", {"containerInstances": []}), "ClientException",
         "Container Instances cannot be empty."),
        (("describe_tasks", {"tasks": []}), "InvalidParameterException", "Tasks cannot be empty."),
        (("put_account_setting", {"name": "awsvpcTrunking", "value": "enabled"}), "ClientException",
         "holds as many awsvpc tasks as its subnets have addresses"),
        (("put_account_setting", {"name": "taskLongArnFormat", "value": "disabled"}),
         "InvalidParameterException", "Use one of: enabled"),
    ],
)  # fmt: skip
def test_documented_errors_have_their_words(ecs: Any, call: Any, code: str, text: str) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(ecs, call[0])(**call[1])
    assert caught.value.response["Error"]["Code"] == code
    assert text in caught.value.response["Error"]["Message"]


def test_account_settings_resolve_from_the_principal_to_the_default(ecs: Any) -> None:
    ecs.put_account_setting_default(name="containerInsights", value="enabled")
    effective = ecs.list_account_settings(name="containerInsights", effectiveSettings=True)["settings"]
    assert effective[0]["value"] == "enabled"
    assert ecs.create_cluster(clusterName="insight")["cluster"]["settings"][0]["value"] == "enabled"
    ecs.delete_account_setting(name="containerInsights")
    assert ecs.create_cluster(clusterName="blind")["cluster"]["settings"][0]["value"] == "disabled"


def test_regions_and_accounts_do_not_see_each_other(live: Live, ecs: Any) -> None:
    ecs.create_cluster(clusterName="here")
    elsewhere = live.client("ecs", region_name="eu-west-1")
    assert elsewhere.list_clusters()["clusterArns"] == []
    with pytest.raises(elsewhere.exceptions.ClusterNotFoundException):
        elsewhere.list_tasks(cluster="here")
