"""Capacity providers, through boto3. Source: ECS API Reference, the operations named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kit.server import Live, live_server

GROUP_ARN = (
    "arn:aws:autoscaling:us-east-1:000000000000:autoScalingGroup:"
    "12345678-1234-1234-1234-123456789012:autoScalingGroupName/{}"
)


@pytest.fixture
def live() -> Iterator[Live]:
    with live_server() as server:
        yield server


@pytest.fixture
def ecs(live: Live) -> Any:
    client = live.client("ecs")
    client.create_cluster()
    return client


def create(ecs: Any, name: str, group: str | None = None, **members: Any) -> Any:
    provider = {"autoScalingGroupArn": group or f"{name}-group", **members.pop("provider", {})}
    answer = ecs.create_capacity_provider(name=name, autoScalingGroupProvider=provider, **members)
    return answer["capacityProvider"]


def refusal(ask: Any, *args: Any, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        ask(*args, **members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_provider_has_the_defaults_that_are_documented(ecs: Any) -> None:
    """Managed scaling is off unless asked for. Source: Terraform's acceptance tests against AWS."""
    made = create(ecs, "plain", GROUP_ARN.format("plain-group"), tags=[{"key": "team", "value": "blue"}])
    assert made == {
        "capacityProviderArn": "arn:aws:ecs:us-east-1:000000000000:capacity-provider/plain",
        "name": "plain",
        "status": "ACTIVE",
        "type": "EC2_AUTOSCALING",
        "autoScalingGroupProvider": {
            "autoScalingGroupArn": GROUP_ARN.format("plain-group"),
            "managedScaling": {
                "status": "DISABLED",
                "targetCapacity": 100,
                "minimumScalingStepSize": 1,
                "maximumScalingStepSize": 10000,
                "instanceWarmupPeriod": 300,
            },
            "managedTerminationProtection": "DISABLED",
            "managedDraining": "DISABLED",
        },
        "updateStatus": "CREATE_COMPLETE",
        "tags": [{"key": "team", "value": "blue"}],
    }
    described = ecs.describe_capacity_providers(capacityProviders=["plain"], include=["TAGS"])
    assert described["capacityProviders"] == [made]
    assert ecs.describe_capacity_providers(capacityProviders=[made["capacityProviderArn"]])[
        "capacityProviders"
    ] == [made | {"tags": []}]


def test_what_is_asked_of_scaling_is_kept_while_it_is_off(ecs: Any) -> None:
    asked = {
        "status": "DISABLED",
        "targetCapacity": 90,
        "minimumScalingStepSize": 2,
        "maximumScalingStepSize": 5,
        "instanceWarmupPeriod": 0,
    }
    made = create(ecs, "scaled", provider={"managedScaling": asked})
    assert made["autoScalingGroupProvider"]["managedScaling"] == asked


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"provider": {"managedScaling": {"status": "ENABLED"}}}, "managedScaling.status ENABLED"),
        ({"provider": {"managedTerminationProtection": "ENABLED"}}, "managedTerminationProtection ENABLED"),
        ({"provider": {"managedDraining": "ENABLED"}}, "managedDraining ENABLED"),
        (
            {"provider": {"managedScaling": {"minimumScalingStepSize": 7, "maximumScalingStepSize": 6}}},
            "grea",
        ),
        ({"cluster": "default"}, "PutClusterCapacityProviders"),
        ({"group": "arn:aws:autoscaling:us-east-1:1:launchConfiguration:x"}, "ARN is invalid"),
    ],
)
def test_what_has_no_effect_here_is_refused(ecs: Any, members: dict[str, Any], text: str) -> None:
    _, message = refusal(create, ecs, "never", **members)
    assert text in message
    assert ecs.describe_capacity_providers(capacityProviders=["never"])["capacityProviders"] == []


@pytest.mark.parametrize("name", ["aws-x", "ECS", "fargate_x", "FARGATE", "a.b", "x" * 256])
def test_names_that_aws_keeps_for_itself_are_refused(ecs: Any, name: str) -> None:
    assert "name is invalid" in refusal(create, ecs, name, "g")[1]


def test_a_name_and_a_group_belong_to_one_provider(ecs: Any) -> None:
    """Source of the texts: containers-roadmap issues 632 and 688."""
    create(ecs, "one", "one-group")
    assert refusal(create, ecs, "one", "another") == (
        "ClientException",
        "The specified capacity provider already exists. To change the configuration of an existing "
        "capacity provider, update the capacity provider.",
    )
    assert refusal(create, ecs, "two", GROUP_ARN.format("one-group")) == (
        "ClientException",
        "The specified Auto Scaling group ARN is already being used by another capacity provider. "
        "Specify a unique Auto Scaling group ARN and try again.",
    )


def test_fargate_is_described_although_nobody_created_it(ecs: Any) -> None:
    create(ecs, "own")
    found = ecs.describe_capacity_providers()["capacityProviders"]
    assert [one["name"] for one in found] == ["FARGATE", "FARGATE_SPOT", "own"]
    assert found[1] == {
        "capacityProviderArn": "arn:aws:ecs:us-east-1:000000000000:capacity-provider/FARGATE_SPOT",
        "name": "FARGATE_SPOT",
        "status": "ACTIVE",
        "type": "FARGATE_SPOT",
        "tags": [],
    }


def test_what_is_not_there_is_missing_and_the_rest_is_paged(ecs: Any) -> None:
    for number in range(3):
        create(ecs, f"p{number}")
    names, token = [], {}
    while True:
        answer = ecs.describe_capacity_providers(maxResults=2, **token)
        names += [one["name"] for one in answer["capacityProviders"]]
        if "nextToken" not in answer:
            break
        token = {"nextToken": answer["nextToken"]}
    assert names == ["FARGATE", "FARGATE_SPOT", "p0", "p1", "p2"]
    elsewhere = "arn:aws:ecs:eu-west-1:000000000000:capacity-provider/p1"
    answer = ecs.describe_capacity_providers(capacityProviders=["ghost", "p1", elsewhere])
    assert [one["name"] for one in answer["capacityProviders"]] == ["p1"]
    assert answer["failures"] == [
        {"arn": "arn:aws:ecs:us-east-1:000000000000:capacity-provider/ghost", "reason": "MISSING"},
        {"arn": elsewhere, "reason": "MISSING"},
    ]
    assert refusal(ecs.describe_capacity_providers, maxResults=11)[0] == "InvalidParameterException"


def test_a_provider_is_tagged_by_its_arn(ecs: Any) -> None:
    arn = create(ecs, "tagged")["capacityProviderArn"]
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
    ecs.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": "2"}]
    ghost = arn.replace("tagged", "FARGATE")
    assert refusal(ecs.list_tags_for_resource, resourceArn=ghost)[0] == "ResourceNotFoundException"


def associate(ecs: Any, *names: str, strategy: list[dict[str, Any]] | None = None) -> Any:
    return ecs.put_cluster_capacity_providers(
        cluster="default", capacityProviders=list(names), defaultCapacityProviderStrategy=strategy or []
    )["cluster"]


def default_cluster(ecs: Any, **members: Any) -> Any:
    return ecs.describe_clusters(clusters=["default"], **members)["clusters"][0]


def test_a_provider_is_changed_where_it_is_named_and_keeps_the_rest(ecs: Any) -> None:
    create(ecs, "own", provider={"managedScaling": {"targetCapacity": 80}})
    changed = ecs.update_capacity_provider(
        name="own", autoScalingGroupProvider={"managedScaling": {"instanceWarmupPeriod": 10}}
    )["capacityProvider"]
    scaling = changed["autoScalingGroupProvider"]["managedScaling"]
    assert (scaling["targetCapacity"], scaling["instanceWarmupPeriod"]) == (80, 10)
    assert changed["updateStatus"] == "UPDATE_COMPLETE"
    described = ecs.describe_capacity_providers(capacityProviders=["own"])["capacityProviders"]
    assert described == [changed]
    enabled = {"managedScaling": {"status": "ENABLED"}}
    assert "ENABLED" in refusal(ecs.update_capacity_provider, name="own", autoScalingGroupProvider=enabled)[1]
    for name in ("ghost", "FARGATE"):
        refused = refusal(
            ecs.update_capacity_provider, name=name, autoScalingGroupProvider={"managedScaling": {}}
        )
        assert refused[0] in ("ClientException", "InvalidParameterException")


def test_a_cluster_has_the_providers_it_was_given_last(ecs: Any) -> None:
    create(ecs, "a"), create(ecs, "b")
    strategy = [{"capacityProvider": "a", "weight": 1}, {"capacityProvider": "b", "weight": 4, "base": 2}]
    cluster = associate(ecs, "a", "b", "FARGATE", strategy=strategy)
    assert cluster["capacityProviders"] == ["a", "b", "FARGATE"]
    assert cluster["defaultCapacityProviderStrategy"] == [
        {"capacityProvider": "a", "weight": 1, "base": 0},
        {"capacityProvider": "b", "weight": 4, "base": 2},
    ]
    shown = default_cluster(ecs, include=["ATTACHMENTS"])
    assert shown["attachments"] == []
    assert shown["capacityProviders"] == ["a", "b", "FARGATE"]
    assert [
        one["name"] for one in ecs.describe_capacity_providers(cluster="default")["capacityProviders"]
    ] == [
        "FARGATE",
        "a",
        "b",
    ]
    assert associate(ecs, "b")["capacityProviders"] == ["b"]
    assert associate(ecs)["defaultCapacityProviderStrategy"] == []


def test_a_cluster_is_created_with_providers(ecs: Any) -> None:
    create(ecs, "a")
    members = {
        "capacityProviders": ["a"],
        "defaultCapacityProviderStrategy": [{"capacityProvider": "a", "weight": 3}],
    }
    made = ecs.create_cluster(clusterName="fresh", **members)["cluster"]
    assert made["capacityProviders"] == ["a"]
    assert ecs.create_cluster(clusterName="fresh", **members)["cluster"] == made
    assert ecs.create_cluster(clusterName="fresh")["cluster"] == made
    assert refusal(ecs.create_cluster, clusterName="fresh", capacityProviders=["FARGATE"]) == (
        "InvalidParameterException",
        "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
    )


def test_what_a_cluster_cannot_be_given(ecs: Any) -> None:
    """Source of the texts: terraform-aws-modules/ecs issues 53 and 68."""
    create(ecs, "a")
    missing = refusal(associate, ecs, "ghost")
    assert missing[0] == "InvalidParameterException"
    assert missing[1].startswith("The specified capacity provider was not found.")
    stranger = [{"capacityProvider": "a", "weight": 1}]
    assert "not associated with the cluster" in refusal(associate, ecs, strategy=stranger)[1]
    mixed = [{"capacityProvider": "a", "weight": 1}, {"capacityProvider": "FARGATE", "weight": 1}]
    assert refusal(associate, ecs, "a", "FARGATE", strategy=mixed) == (
        "InvalidParameterException",
        "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups "
        "and Fargate providers. Specify one or the other and try again.",
    )
    assert default_cluster(ecs)["capacityProviders"] == []
    fargate = [{"capacityProvider": "FARGATE", "weight": 1, "base": 0}]
    assert associate(ecs, "FARGATE", strategy=fargate)["defaultCapacityProviderStrategy"] == fargate


def test_a_provider_of_a_cluster_is_not_deleted_and_says_so(ecs: Any) -> None:
    """Source of the text: terraform-provider-aws pull request 48156."""
    create(ecs, "a", "group")
    associate(ecs, "a")
    kept = ecs.delete_capacity_provider(capacityProvider="a")["capacityProvider"]
    assert (kept["status"], kept["updateStatus"]) == ("ACTIVE", "DELETE_FAILED")
    assert kept["updateStatusReason"] == (
        "The capacity provider cannot be deleted because it is associated with cluster: default. "
        "Remove the capacity provider from the cluster and try again."
    )
    associate(ecs)
    gone = ecs.delete_capacity_provider(capacityProvider=kept["capacityProviderArn"])["capacityProvider"]
    assert (gone["status"], gone["updateStatus"]) == ("INACTIVE", "DELETE_COMPLETE")
    assert "updateStatusReason" not in gone
    assert (
        ecs.describe_capacity_providers(capacityProviders=["a"])["capacityProviders"][0]["status"]
        == "INACTIVE"
    )
    assert "a" not in [one["name"] for one in ecs.describe_capacity_providers()["capacityProviders"]]
    assert refusal(ecs.delete_capacity_provider, capacityProvider="a")[0] == "ClientException"
    assert refusal(ecs.delete_capacity_provider, capacityProvider="FARGATE")[0] == "ClientException"
    assert create(ecs, "b", "group")["status"] == "ACTIVE", "its group is free again"
    assert create(ecs, "a")["status"] == "ACTIVE", "and so is its name"


def test_a_deleted_cluster_lets_its_providers_go(ecs: Any) -> None:
    create(ecs, "a")
    ecs.create_cluster(clusterName="brief", capacityProviders=["a"])
    ecs.delete_cluster(cluster="brief")
    assert ecs.delete_capacity_provider(capacityProvider="a")["capacityProvider"]["status"] == "INACTIVE"
