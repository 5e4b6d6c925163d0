"""Daemons through boto3: one task on every instance of their capacity providers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.core.call import Call, Principal
from homeport.services.ecs.manifest import operations
from tests.api.test_events import end, since
from tests.api.test_explain import explained
from tests.kit.server import ACCOUNT, REGION, Live, Node

Described = dict[str, Any]
GROUP = "homeport.auto-scaling-group"
HEAD = f"arn:aws:ecs:{REGION}:{ACCOUNT}"
AGENT = {"name": "agent", "image": "app:1", "command": ["stay"], "memory": 16}
BROKEN = {**AGENT, "image": "nowhere:1"}


@pytest.fixture
def cluster(ecs: Any, request: pytest.FixtureRequest) -> str:
    """A cluster of the test's own, so that its instances are all there are."""
    name = re.sub(r"[^a-z0-9_-]", "-", request.node.name, flags=re.IGNORECASE)
    return str(ecs.create_cluster(clusterName=name)["cluster"]["clusterArn"])


@pytest.fixture(scope="module")
def provider(ecs: Any) -> str:
    created = ecs.create_capacity_provider(
        name="edge", autoScalingGroupProvider={"autoScalingGroupArn": "edge"}
    )
    return str(created["capacityProvider"]["capacityProviderArn"])


@pytest.fixture
def nodes(live: Live, ecs: Any) -> Iterator[Callable[..., Node]]:
    """Adds instances, of a group or of none, and takes them away after the test."""
    made: list[Node] = []

    def add(cluster: str, group: str | None = "edge") -> Node:
        made.append(live.add_node(cluster=cluster.rpartition("/")[2]))
        if group is not None:
            join(ecs, cluster, made[-1], group)
        return made[-1]

    yield add
    for node in made:
        live.stop_agent(node)
        live.nodes.remove(node)


def join(ecs: Any, cluster: str, node: Node, group: str) -> None:
    target = {"name": GROUP, "value": group, "targetId": node.agent.instance_arn}
    ecs.put_attributes(cluster=cluster, attributes=[target])


def register(ecs: Any, container: Described | None = None, **members: Any) -> str:
    given = {"family": "agent", "containerDefinitions": [container or AGENT], **members}
    return str(ecs.register_daemon_task_definition(**given)["daemonTaskDefinitionArn"])


def create(ecs: Any, cluster: str, provider: str, name: str = "agent", **members: Any) -> Described:
    asked = {"clusterArn": cluster, "daemonName": name, "capacityProviderArns": [provider], **members}
    if "daemonTaskDefinitionArn" not in asked:
        asked["daemonTaskDefinitionArn"] = register(ecs)
    created: Described = ecs.create_daemon(**asked)
    return created


def deployment(ecs: Any, arn: str) -> Described:
    found: Described = ecs.describe_daemon_deployments(daemonDeploymentArns=[arn])["daemonDeployments"][0]
    return found


def tasks_of(ecs: Any, cluster: str, name: str = "agent") -> list[Described]:
    arns = ecs.list_tasks(cluster=cluster, daemonName=name)["taskArns"]
    return ecs.describe_tasks(cluster=cluster, tasks=arns, include=["TAGS"])["tasks"] if arns else []


def until(live: Live, check: Callable[[], bool]) -> None:
    async def asked() -> bool:
        return await asyncio.to_thread(check)

    live.wait_until(asked)


def running_on(ecs: Any, cluster: str, name: str = "agent") -> list[str]:
    return sorted(
        t["containerInstanceArn"] for t in tasks_of(ecs, cluster, name) if t["lastStatus"] == "RUNNING"
    )


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_every_instance_of_the_provider_runs_one_and_no_other_does(
    ecs: Any, live: Live, cluster: str, provider: str, nodes: Callable[..., Node]
) -> None:
    mine, _ = nodes(cluster), nodes(cluster, None)
    created = create(ecs, cluster, provider)
    assert created["status"] == "ACTIVE"
    until(live, lambda: running_on(ecs, cluster) == [mine.agent.instance_arn])
    late = nodes(cluster)
    until(live, lambda: len(running_on(ecs, cluster)) == 2)
    assert running_on(ecs, cluster) == sorted([mine.agent.instance_arn, late.agent.instance_arn])
    task = tasks_of(ecs, cluster)[0]
    assert (task["group"], task["capacityProviderName"]) == ("daemon:agent", "edge")
    assert task["startedBy"] == "ecs-daemon/" + created["deploymentArn"].rpartition("/")[2]
    assert ":daemon-task-definition/agent:" in task["taskDefinitionArn"]
    daemon = ecs.describe_daemon(daemonArn=created["daemonArn"])["daemon"]
    assert daemon["clusterArn"] == cluster
    assert daemon["deploymentArn"] == created["deploymentArn"]
    [revision] = daemon["currentRevisions"]
    assert revision["totalRunningCount"] == 2
    assert revision["capacityProviders"] == [{"arn": provider, "runningCount": 2, "withoutDaemonCount": 0}]


# ---- task definitions of daemons -------------------------------------------------------------


def test_daemons_have_families_and_revisions_of_their_own(ecs: Any) -> None:
    ecs.register_task_definition(family="own", containerDefinitions=[AGENT])
    first, second = (
        register(ecs, family="own"),
        register(ecs, family="own", tags=[{"key": "a", "value": "b"}]),
    )
    assert (first[-5:], second[-5:]) == ("own:1", "own:2")
    assert first.endswith("daemon-task-definition/own:1")
    assert ecs.describe_task_definition(taskDefinition="own")["taskDefinition"]["revision"] == 1
    shown = ecs.describe_daemon_task_definition(daemonTaskDefinition="own")["daemonTaskDefinition"]
    assert (shown["revision"], shown["status"], shown["daemonTaskDefinitionArn"]) == (2, "ACTIVE", second)
    for name in ("own:1", first):
        found = ecs.describe_daemon_task_definition(daemonTaskDefinition=name)["daemonTaskDefinition"]
        assert found["daemonTaskDefinitionArn"] == first
    assert ecs.list_tags_for_resource(resourceArn=second)["tags"] == [{"key": "a", "value": "b"}]
    assert "own" not in str(ecs.list_task_definitions(familyPrefix="own-")["taskDefinitionArns"])


def test_a_definition_shows_what_it_was_registered_with(ecs: Any) -> None:
    volumes = [{"name": "logs", "host": {"sourcePath": "/var/log"}}]
    mounts = [{"sourceVolume": "logs", "containerPath": "/logs", "readOnly": True}]
    container = {**AGENT, "mountPoints": mounts, "privileged": True}
    register(ecs, container, family="shown", volumes=volumes, pidMode="shared", cpu="128", memory="256")
    shown = ecs.describe_daemon_task_definition(daemonTaskDefinition="shown")["daemonTaskDefinition"]
    assert (shown["pidMode"], shown["ipcMode"], shown["cpu"], shown["memory"]) == (
        "shared",
        "none",
        "128",
        "256",
    )
    assert shown["volumes"] == volumes
    [one] = shown["containerDefinitions"]
    assert one["mountPoints"] == mounts
    assert one["essential"] is True
    assert "portMappings" not in one


def test_a_definition_needs_no_memory(ecs: Any) -> None:
    """Source: developer guide, "Daemon task definitions": its examples name none."""
    assert register(ecs, {"name": "agent", "image": "app:1"}, family="light")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"family": "no/slash"}, "Invalid family"),
        ({"containerDefinitions": []}, "Container list cannot be empty"),
        ({"containerDefinitions": [{**AGENT, "essential": False}]}, "essential"),
        ({"containerDefinitions": [{"image": "app:1"}]}, "name"),
        (
            {"volumes": [{"name": "l", "logDriverVolumeConfiguration": {"driver": "json-file"}}]},
            "logDriverVolumeConfiguration is not supported",
        ),
    ],
)
def test_what_a_definition_may_not_be_is_refused(ecs: Any, members: Described, words: str) -> None:
    asked = {"family": "bad", "containerDefinitions": [AGENT], **members}
    code, message = refused(lambda: ecs.register_daemon_task_definition(**asked))
    assert code in ("ClientException", "InvalidParameterException")
    assert words in message


def test_definitions_are_listed_by_family_revision_and_status(ecs: Any) -> None:
    for family in ("list-a", "list-a", "list-b"):
        register(ecs, family=family)
    ecs.delete_daemon_task_definition(daemonTaskDefinition="list-a:1")

    def listed(**members: Any) -> list[str]:
        answer = ecs.list_daemon_task_definitions(**members)["daemonTaskDefinitions"]
        return [one["arn"].rpartition("/")[2] for one in answer]

    assert listed(familyPrefix="list-") == ["list-a:2", "list-b:1"]
    assert listed(familyPrefix="list-", status="ALL") == ["list-a:1", "list-a:2", "list-b:1"]
    assert listed(familyPrefix="list-", sort="DESC") == ["list-b:1", "list-a:2"]
    assert listed(family="list-a") == ["list-a:2"]
    assert listed(familyPrefix="list-", revision="LAST_REGISTERED") == ["list-a:2", "list-b:1"]
    first = ecs.list_daemon_task_definitions(familyPrefix="list-", maxResults=1)
    rest = ecs.list_daemon_task_definitions(familyPrefix="list-", maxResults=1, nextToken=first["nextToken"])
    assert [one["arn"][-8:] for one in rest["daemonTaskDefinitions"]] == ["list-b:1"]
    assert "nextToken" not in rest


def test_a_definition_is_deleted_once_no_daemon_uses_it(
    ecs: Any, live: Live, cluster: str, provider: str
) -> None:
    unused, used = register(ecs, family="leaving"), register(ecs, family="leaving")
    created = create(ecs, cluster, provider, daemonTaskDefinitionArn=used)

    def status(arn: str) -> str:
        shown = ecs.describe_daemon_task_definition(daemonTaskDefinition=arn)["daemonTaskDefinition"]
        assert shown["deleteRequestedAt"]
        return str(shown["status"])

    for arn in (unused, used):
        assert ecs.delete_daemon_task_definition(daemonTaskDefinition=arn)["daemonTaskDefinitionArn"] == arn
    assert (status(unused), status(used)) == ("DELETED", "DELETE_IN_PROGRESS")
    code, message = refused(lambda: create(ecs, cluster, provider, "late", daemonTaskDefinitionArn=used))
    assert (code, "not ACTIVE" in message) == ("ClientException", True)
    assert (
        refused(lambda: ecs.delete_daemon_task_definition(daemonTaskDefinition=used))[0] == "ClientException"
    )
    assert refused(lambda: ecs.delete_daemon_task_definition(daemonTaskDefinition="leaving")) == (
        "ClientException",
        "Revision is missing.",
    )
    ecs.delete_daemon(daemonArn=created["daemonArn"])
    until(live, lambda: status(used) == "DELETED")


# ---- what may be asked of a daemon -----------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "code", "words"),
    [
        ({"daemonName": "no/slash"}, "InvalidParameterException", "Invalid daemon name"),
        ({"clusterArn": "nowhere"}, "ClusterNotFoundException", "Cluster not found"),
        ({"daemonTaskDefinitionArn": "agent:1"}, "InvalidParameterException", "ARN"),
        (
            {"daemonTaskDefinitionArn": "arn:aws:ecs:us-east-1:000000000000:daemon-task-definition/lost:1"},
            "ClientException",
            "does not exist",
        ),
        ({"capacityProviderArns": []}, "InvalidParameterException", "cannot be empty"),
        ({"capacityProviderArns": ["edge"]}, "InvalidParameterException", "Invalid capacity provider ARN"),
        (
            {"capacityProviderArns": ["arn:aws:ecs:us-east-1:000000000000:capacity-provider/FARGATE"]},
            "InvalidParameterException",
            "needs container instances",
        ),
        (
            {"capacityProviderArns": ["arn:aws:ecs:us-east-1:000000000000:capacity-provider/lost"]},
            "InvalidParameterException",
            "was not found",
        ),
        ({"enableExecuteCommand": True}, "ClientException", "enableExecuteCommand is not supported"),
        (
            {"deploymentConfiguration": {"alarms": {"alarmNames": ["a"], "enable": True}}},
            "ClientException",
            "alarms is not supported",
        ),
        ({"deploymentConfiguration": {"bakeTimeInMinutes": 1441}}, "InvalidParameterException", "1440"),
        ({"deploymentConfiguration": {"drainPercent": 100.5}}, "InvalidParameterException", "100"),
        ({"clientToken": "t" * 37}, "InvalidParameterException", "36 ASCII"),
        ({"tags": [{"key": "aws:x", "value": "y"}]}, "InvalidParameterException", "aws:"),
    ],
)
def test_what_a_daemon_may_not_be_is_refused(
    ecs: Any, cluster: str, provider: str, members: Described, code: str, words: str
) -> None:
    found = refused(lambda: create(ecs, cluster, provider, **members))
    assert found[0] == code
    assert words in found[1]
    assert ecs.list_daemons(clusterArn=cluster)["daemonSummariesList"] == []


def test_a_definition_that_no_node_can_run_makes_no_daemon(ecs: Any, cluster: str, provider: str) -> None:
    files = [{"value": "arn:aws:s3:::bucket/agent.env", "type": "s3"}]
    definition = register(ecs, {**AGENT, "environmentFiles": files}, family="files")
    code, message = refused(lambda: create(ecs, cluster, provider, daemonTaskDefinitionArn=definition))
    assert (code, "environmentFiles" in message) == ("ClientException", True)


def test_the_same_request_under_its_token_returns_the_daemon(ecs: Any, cluster: str, provider: str) -> None:
    definition = register(ecs)
    asked = {"clientToken": "once", "daemonTaskDefinitionArn": definition}
    first = create(ecs, cluster, provider, **asked)
    again = create(ecs, cluster, provider, **asked)
    assert (first["daemonArn"], first["deploymentArn"]) == (again["daemonArn"], again["deploymentArn"])
    other = refused(lambda: create(ecs, cluster, provider, **asked, critical=False))
    assert other == ("InvalidParameterException", "Creation of daemon was not idempotent.")
    code, message = refused(lambda: create(ecs, cluster, provider))
    assert (code, "already exists" in message) == ("InvalidParameterException", True)


def test_a_daemon_that_is_not_there_is_not_found(ecs: Any, cluster: str, provider: str) -> None:
    arn = cluster.replace(":cluster/", ":daemon/") + "/lost"
    for call in (
        lambda: ecs.describe_daemon(daemonArn=arn),
        lambda: ecs.delete_daemon(daemonArn=arn),
        lambda: ecs.list_daemon_deployments(daemonArn=arn),
        lambda: ecs.update_daemon(
            daemonArn=arn, daemonTaskDefinitionArn=register(ecs), capacityProviderArns=[provider]
        ),
    ):
        assert refused(call)[0] == "DaemonNotFoundException"
    assert refused(lambda: ecs.describe_daemon(daemonArn="lost"))[0] == "InvalidParameterException"


# ---- deployments and revisions ---------------------------------------------------------------


def test_a_daemon_without_instances_is_deployed_at_once(
    ecs: Any, live: Live, cluster: str, provider: str
) -> None:
    arn = create(ecs, cluster, provider)["deploymentArn"]
    until(live, lambda: deployment(ecs, arn)["status"] == "SUCCESSFUL")
    shown = deployment(ecs, arn)
    assert shown["clusterArn"] == cluster
    assert shown["deploymentConfiguration"] == {
        "drainPercent": 25.0,
        "alarms": {"alarmNames": [], "enable": False},
        "bakeTimeInMinutes": 0,
    }
    assert shown["circuitBreaker"] == {"failureCount": 0, "status": "MONITORING_COMPLETE", "threshold": 3}
    assert shown["alarms"]["status"] == "DISABLED"
    assert shown["sourceDaemonRevisions"] == []
    assert shown["targetDaemonRevision"]["capacityProviders"][0]["arn"] == provider
    assert shown["createdAt"] <= shown["startedAt"] <= shown["finishedAt"]
    ecs.get_waiter("daemon_deployment_successful").wait(daemonDeploymentArns=[arn])


def test_an_update_is_a_new_revision_and_nothing_is_kept_of_the_request_before(
    ecs: Any, cluster: str, provider: str
) -> None:
    """Source: developer guide, "Creating and managing daemons": settings do not persist between updates."""
    first = create(
        ecs, cluster, provider, critical=False, enableECSManagedTags=True, propagateTags="DAEMON",
        deploymentConfiguration={"drainPercent": 50.0},
    )  # fmt: skip
    definition = register(ecs, family="second")
    updated = ecs.update_daemon(
        daemonArn=first["daemonArn"], daemonTaskDefinitionArn=definition, capacityProviderArns=[provider]
    )
    assert updated["deploymentArn"] != first["deploymentArn"]
    assert updated["updatedAt"] >= updated["createdAt"]
    newest = deployment(ecs, updated["deploymentArn"])
    assert newest["deploymentConfiguration"]["drainPercent"] == 25.0
    arns = [deployment(ecs, one["deploymentArn"])["targetDaemonRevision"]["arn"] for one in (first, updated)]
    assert [one["arn"] for one in newest["sourceDaemonRevisions"]] == arns[:1]
    old, new = ecs.describe_daemon_revisions(daemonRevisionArns=arns)["daemonRevisions"]
    assert (old["critical"], old["enableECSManagedTags"], old["propagateTags"]) == (False, True, "DAEMON")
    assert (new["critical"], new["enableECSManagedTags"], new["propagateTags"]) == (True, False, "NONE")
    assert new["daemonTaskDefinitionArn"] == definition
    assert new["containerImages"] == [{"containerName": "agent", "image": "app:1"}]


def test_deployments_are_listed_newest_first_and_by_status(
    ecs: Any, live: Live, cluster: str, provider: str, nodes: Callable[..., Node]
) -> None:
    nodes(cluster)
    first = create(ecs, cluster, provider)
    asked = {"daemonTaskDefinitionArn": register(ecs), "capacityProviderArns": [provider]}
    second = ecs.update_daemon(daemonArn=first["daemonArn"], **asked)

    def listed(**members: Any) -> list[str]:
        found = ecs.list_daemon_deployments(daemonArn=first["daemonArn"], **members)["daemonDeployments"]
        return [one["daemonDeploymentArn"] for one in found]

    assert listed() == [second["deploymentArn"], first["deploymentArn"]]
    assert listed(status=["STOPPED"]) == [first["deploymentArn"]]
    stopped = deployment(ecs, first["deploymentArn"])
    assert (stopped["status"], "newer deployment" in stopped["statusReason"]) == ("STOPPED", True)
    page = ecs.list_daemon_deployments(daemonArn=first["daemonArn"], maxResults=1)
    assert [one["daemonDeploymentArn"] for one in page["daemonDeployments"]] == [second["deploymentArn"]]
    assert listed(createdAt={"before": 1}) == []


def test_what_is_described_and_is_not_there_is_a_failure(ecs: Any, cluster: str, provider: str) -> None:
    known = create(ecs, cluster, provider)["deploymentArn"]
    lost = known[:-21] + "x" * 21
    answer = ecs.describe_daemon_deployments(daemonDeploymentArns=[lost, known])
    assert answer["failures"] == [{"arn": lost, "reason": "MISSING"}]
    assert [one["daemonDeploymentArn"] for one in answer["daemonDeployments"]] == [known]
    revision = known.replace("daemon-deployment", "daemon-revision")
    answer = ecs.describe_daemon_revisions(daemonRevisionArns=[revision])
    assert answer["failures"] == [{"arn": revision, "reason": "MISSING"}]
    many = [known] * 21
    assert refused(lambda: ecs.describe_daemon_deployments(daemonDeploymentArns=many))[0] == (
        "InvalidParameterException"
    )


def test_daemons_are_listed_by_cluster_and_provider(ecs: Any, cluster: str, provider: str) -> None:
    for name in ("one", "two", "three"):
        create(ecs, cluster, provider, name)

    def listed(**members: Any) -> list[str]:
        found = ecs.list_daemons(clusterArn=cluster, **members)["daemonSummariesList"]
        return [one["daemonArn"].rpartition("/")[2] for one in found]

    assert listed() == ["one", "two", "three"]
    assert listed(capacityProviderArns=[provider]) == ["one", "two", "three"]
    assert listed(capacityProviderArns=[provider + "-other"]) == []
    first = ecs.list_daemons(clusterArn=cluster, maxResults=2)
    assert listed(maxResults=2, nextToken=first["nextToken"]) == ["three"]


# ---- tasks -----------------------------------------------------------------------------------


def test_the_tasks_have_the_daemons_tags_when_they_are_asked_for(
    ecs: Any, live: Live, cluster: str, provider: str, nodes: Callable[..., Node]
) -> None:
    nodes(cluster)
    tags = [{"key": "team", "value": "blue"}]
    create(ecs, cluster, provider, tags=tags, propagateTags="DAEMON", enableECSManagedTags=True)
    until(live, lambda: len(tasks_of(ecs, cluster)) == 1)
    [task] = tasks_of(ecs, cluster)
    assert sorted((tag["key"], tag["value"]) for tag in task["tags"]) == [
        ("aws:ecs:clusterName", cluster.rpartition("/")[2]),
        ("aws:ecs:daemonName", "agent"),
        ("team", "blue"),
    ]
    arn = ecs.list_daemons(clusterArn=cluster)["daemonSummariesList"][0]["daemonArn"]
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "more", "value": "x"}])
    ecs.untag_resource(resourceArn=arn, tagKeys=["team"])
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "more", "value": "x"}]


def test_a_task_that_is_stopped_is_replaced_on_its_own_instance(
    ecs: Any, live: Live, cluster: str, provider: str, nodes: Callable[..., Node]
) -> None:
    node = nodes(cluster)
    create(ecs, cluster, provider)
    until(live, lambda: running_on(ecs, cluster) == [node.agent.instance_arn])
    victim = tasks_of(ecs, cluster)[0]["taskArn"]
    ecs.stop_task(cluster=cluster, task=victim)
    until(
        live,
        lambda: (
            bool(running_on(ecs, cluster)) and victim not in {t["taskArn"] for t in tasks_of(ecs, cluster)}
        ),
    )


def test_nothing_else_is_placed_where_a_critical_daemon_does_not_run(
    ecs: Any, live: Live, cluster: str, provider: str, nodes: Callable[..., Node]
) -> None:
    """Source: botocore's CreateDaemon: a daemon task starts before other tasks; `critical`."""
    node = nodes(cluster)
    ecs.register_task_definition(family="app", containerDefinitions=[AGENT])
    broken = register(ecs, BROKEN, family="broken")
    created = create(ecs, cluster, provider, daemonTaskDefinitionArn=broken)
    until(live, lambda: deployment(ecs, created["deploymentArn"])["status"] != "PENDING")
    answer = ecs.run_task(cluster=cluster, taskDefinition="app")
    assert [one["reason"] for one in answer["failures"]] == ["DAEMON"]
    ecs.update_daemon(
        daemonArn=created["daemonArn"], daemonTaskDefinitionArn=broken, capacityProviderArns=[provider],
        critical=False,
    )  # fmt: skip
    until(live, lambda: bool(ecs.run_task(cluster=cluster, taskDefinition="app")["tasks"]))
    daemon = ecs.describe_daemon(daemonArn=created["daemonArn"])["daemon"]
    [revision] = daemon["currentRevisions"]
    assert (revision["totalRunningCount"], revision["totalWithoutDaemonCount"]) == (0, 1)
    assert ecs.list_container_instances(cluster=cluster)["containerInstanceArns"] == [node.agent.instance_arn]


def test_a_service_waits_for_the_daemon_and_starts_behind_it(
    ecs: Any, live: Live, cluster: str, provider: str, nodes: Callable[..., Node]
) -> None:
    create(ecs, cluster, provider)
    ecs.register_task_definition(family="app", containerDefinitions=[AGENT])
    ecs.create_service(cluster=cluster, serviceName="web", taskDefinition="app", desiredCount=1)
    nodes(cluster)

    def of_service() -> list[Described]:
        arns = ecs.list_tasks(cluster=cluster, serviceName="web")["taskArns"]
        return ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []

    until(live, lambda: [task["lastStatus"] for task in of_service()] == ["RUNNING"])
    on_group = [one for one in tasks_of(ecs, cluster) if one["lastStatus"] == "RUNNING"]
    assert len(on_group) == 1


def test_explain_says_which_instance_waits_for_its_daemon(
    ecs: Any, live: Live, cluster: str, provider: str, nodes: Callable[..., Node]
) -> None:
    node = nodes(cluster)
    broken = register(ecs, BROKEN, family="broken")
    create(ecs, cluster, provider, daemonTaskDefinitionArn=broken)
    ecs.register_task_definition(family="app", containerDefinitions=[AGENT])
    web = ecs.create_service(cluster=cluster, serviceName="web", taskDefinition="app", desiredCount=1)
    told = explained(live, web["service"]["serviceArn"])
    assert "DAEMON" in str(told)
    assert node.agent.instance_arn.rpartition("/")[2] in str(told)
    stopped: list[str] = []

    def has_failed() -> bool:
        listed = ecs.list_tasks(cluster=cluster, daemonName="agent", desiredStatus="STOPPED")
        stopped[:] = listed["taskArns"]
        return bool(stopped)

    until(live, has_failed)
    assert "nowhere:1" in str(explained(live, stopped[0]))


def test_a_daemon_leaves_a_draining_instance_last(
    ecs: Any, live: Live, cluster: str, provider: str, nodes: Callable[..., Node]
) -> None:
    node = nodes(cluster)
    create(ecs, cluster, provider)
    ecs.register_task_definition(family="app", containerDefinitions=[AGENT])
    until(live, lambda: bool(running_on(ecs, cluster)))
    [other] = ecs.run_task(cluster=cluster, taskDefinition="app")["tasks"]
    ecs.update_container_instances_state(
        cluster=cluster, containerInstances=[node.agent.instance_arn], status="DRAINING"
    )
    assert running_on(ecs, cluster) == [node.agent.instance_arn]
    ecs.stop_task(cluster=cluster, task=other["taskArn"])
    until(live, lambda: tasks_of(ecs, cluster) == [])


def test_a_deleted_daemon_stops_its_tasks_and_its_name_is_free_again(
    ecs: Any, live: Live, cluster: str, provider: str, nodes: Callable[..., Node]
) -> None:
    nodes(cluster)
    created = create(ecs, cluster, provider)
    until(live, lambda: bool(running_on(ecs, cluster)))
    deleted = ecs.delete_daemon(daemonArn=created["daemonArn"])
    assert deleted["status"] == "DELETE_IN_PROGRESS"
    until(live, lambda: ecs.list_daemons(clusterArn=cluster)["daemonSummariesList"] == [])
    assert tasks_of_instance(ecs, cluster) == []
    assert deployment(ecs, deleted["deploymentArn"])["status"] == "SUCCESSFUL"
    assert (
        refused(lambda: ecs.describe_daemon(daemonArn=created["daemonArn"]))[0] == "DaemonNotFoundException"
    )
    assert create(ecs, cluster, provider)["status"] == "ACTIVE"


def tasks_of_instance(ecs: Any, cluster: str) -> list[str]:
    arns: list[str] = ecs.list_tasks(cluster=cluster)["taskArns"]
    return arns


def test_a_daemon_that_is_being_deleted_cannot_be_updated(
    ecs: Any, live: Live, cluster: str, provider: str, nodes: Callable[..., Node]
) -> None:
    node = nodes(cluster)
    created = create(ecs, cluster, provider)
    until(live, lambda: bool(running_on(ecs, cluster)))
    live.stop_agent(node)
    ecs.delete_daemon(daemonArn=created["daemonArn"])
    asked = {"daemonTaskDefinitionArn": register(ecs), "capacityProviderArns": [provider]}
    code, _ = refused(lambda: ecs.update_daemon(daemonArn=created["daemonArn"], **asked))
    assert code == "DaemonNotActiveException"
    assert refused(lambda: ecs.delete_daemon(daemonArn=created["daemonArn"]))[0] == "DaemonNotActiveException"


def test_the_group_of_a_daemon_is_for_its_tasks_only(ecs: Any, cluster: str) -> None:
    ecs.register_task_definition(family="app", containerDefinitions=[AGENT])
    code, message = refused(lambda: ecs.run_task(cluster=cluster, taskDefinition="app", group="daemon:agent"))
    assert (code, "reserved" in message) == ("InvalidParameterException", True)
    assert refused(lambda: ecs.list_tasks(cluster=cluster, daemonName="lost"))[0] == (
        "InvalidParameterException"
    )


def test_deployments_and_starts_that_fail_are_events(
    ecs: Any, live: Live, cluster: str, provider: str, nodes: Callable[..., Node]
) -> None:
    """Source: developer guide, "Daemon events"."""
    node, start = nodes(cluster), end(live)
    created = create(ecs, cluster, provider, daemonTaskDefinitionArn=register(ecs, BROKEN, family="broken"))
    huge = register(ecs, {**AGENT, "memory": 10_000_000}, family="huge")
    create(ecs, cluster, provider, "huge", daemonTaskDefinitionArn=huge)

    def told(kind: str) -> list[Described]:
        return [event for event in since(live, start) if event["detail-type"] == kind]

    action = "ECS Daemon Service Action"
    until(
        live,
        lambda: (
            {e["detail"]["failureType"] for e in told(action)}
            == {"TASK_FAILED_TO_RUN", "TASK_CREATION_FAILED"}
        ),
    )
    failed = next(e for e in told(action) if e["detail"]["failureType"] == "TASK_FAILED_TO_RUN")
    detail = failed["detail"]
    assert (detail["eventType"], detail["eventName"]) == ("WARNING", "DAEMON_TASK_START_IMPAIRED")
    assert (detail["containerInstanceArn"], detail["daemonArn"]) == (
        node.agent.instance_arn,
        created["daemonArn"],
    )
    assert detail["capacityProviderName"] == "edge"
    assert failed["resources"] == [detail["taskArn"]]
    short = next(e for e in told(action) if e["detail"]["failureType"] == "TASK_CREATION_FAILED")
    assert short["resources"] == []
    assert short["detail"]["reason"].startswith("RESOURCE:MEMORY")
    states = [
        e for e in told("ECS Daemon Deployment State Change") if e["resources"] == [created["daemonArn"]]
    ]
    assert [e["detail"]["eventName"] for e in states][:2] == [
        "DAEMON_DEPLOYMENT_PENDING",
        "DAEMON_DEPLOYMENT_IN_PROGRESS",
    ]
    assert states[0]["detail"]["daemonDeploymentArn"] == created["deploymentArn"]
    assert "createdAt" not in states[0]["detail"]


def test_what_a_daemon_needs_is_not_deleted_before_it(ecs: Any, live: Live, cluster: str) -> None:
    made = ecs.create_capacity_provider(
        name="needed", autoScalingGroupProvider={"autoScalingGroupArn": "needed"}
    )["capacityProvider"]
    created = create(ecs, cluster, made["capacityProviderArn"])
    kept = ecs.delete_capacity_provider(capacityProvider="needed")["capacityProvider"]
    assert (kept["status"], kept["updateStatus"]) == ("ACTIVE", "DELETE_FAILED")
    assert "daemon: agent" in kept["updateStatusReason"]
    assert refused(lambda: ecs.delete_cluster(cluster=cluster))[0] == "ClusterContainsServicesException"
    ecs.delete_daemon(daemonArn=created["daemonArn"])
    until(live, lambda: ecs.list_daemons(clusterArn=cluster)["daemonSummariesList"] == [])
    gone = ecs.delete_capacity_provider(capacityProvider="needed")["capacityProvider"]
    assert gone["status"] == "INACTIVE"
    assert ecs.delete_cluster(cluster=cluster)["cluster"]["status"] == "INACTIVE"


@pytest.mark.parametrize(
    ("operation", "request_", "resource"),
    [
        ("CreateDaemon", {"clusterArn": f"{HEAD}:cluster/c", "daemonName": "d"}, "daemon/c/d"),
        ("CreateDaemon", {"daemonName": "d"}, "daemon/default/d"),
        ("UpdateDaemon", {"daemonArn": f"{HEAD}:daemon/c/d"}, "daemon/c/d"),
        ("DeleteDaemon", {"daemonArn": f"{HEAD}:daemon/c/d"}, "daemon/c/d"),
        ("DescribeDaemon", {"daemonArn": f"{HEAD}:daemon/c/d"}, "daemon/c/d"),
        ("ListDaemonDeployments", {"daemonArn": f"{HEAD}:daemon/c/d"}, "daemon/c/d"),
        ("ListDaemons", {}, "cluster/default"),
        (
            "DescribeDaemonDeployments",
            {"daemonDeploymentArns": [f"{HEAD}:daemon-deployment/c/d/1"]},
            "daemon-deployment/c/d/1",
        ),
        (
            "DescribeDaemonRevisions",
            {"daemonRevisionArns": [f"{HEAD}:daemon-revision/c/d/1"]},
            "daemon-revision/c/d/1",
        ),
        ("RegisterDaemonTaskDefinition", {"family": "f"}, "daemon-task-definition/f:*"),
        ("DescribeDaemonTaskDefinition", {"daemonTaskDefinition": "f:1"}, "daemon-task-definition/f:1"),
        ("DeleteDaemonTaskDefinition", {"daemonTaskDefinition": "f:1"}, "daemon-task-definition/f:1"),
    ],
)
def test_a_permission_is_about_the_arns_that_aws_names(
    operation: str, request_: Described, resource: str
) -> None:
    """Source: service authorization reference, "Resource types defined by Amazon ECS"."""
    call = Call(
        request_id="r", service="ecs", operation=operation, account_id=ACCOUNT, region=REGION,
        principal=Principal(arn=f"arn:aws:iam::{ACCOUNT}:root", account_id=ACCOUNT, user_id=ACCOUNT),
    )  # fmt: skip
    found = operations.find(operation)
    assert found is not None
    assert found.resources(call, request_) == (f"{HEAD}:{resource}",)
