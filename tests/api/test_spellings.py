"""A policy that denies a thing denies it under every spelling: names, ids and ARNs in other forms.

The oracle is a caller who may everything: what a spelling gets for that one is denied to the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from homeport.core.sigv4 import Credentials
from homeport.services.ecs.api.resources import WITHOUT_CLUSTER
from homeport.services.ecs.manifest import operations
from homeport.wire.model import service_api
from tests.kit.attacker import Attacker
from tests.kit.server import ACCOUNT, REGION, Live, credentials, live_server

HEAD = f"arn:aws:ecs:{REGION}:{ACCOUNT}"
BASES = ("arn:aws:", "arn:aws-cn:", "arn:aws-us-gov:", "arn::", "arn:AWS:", "arn:aws :")


@dataclass(slots=True)
class World:
    iam: Any
    attacker: Attacker
    mighty: Credentials
    limited: Credentials

    def deny(self, resource: str, **more: Any) -> None:
        statements = [
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": "*", "Resource": resource, **more},
        ]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.iam.put_user_policy(UserName="limited", PolicyName="p", PolicyDocument=document)

    def ask(self, key: Credentials, service: str, operation: str, value: dict[str, Any]) -> tuple[bool, str]:
        """Whether it was let in, and the answer."""
        outcome = self.attacker.ask(service, operation, value, key=key)
        return self.attacker.trail[-1]["outcome"] == "allowed", outcome.answer.body.decode()


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def world(known: dict[str, str]) -> Iterator[World]:
    with live_server() as live:
        yield _world(live, known)


def _world(live: Live, known: dict[str, str]) -> World:
    iam, ecs = live.client("iam"), live.client("ecs")
    made = {}
    for name in ("mighty", "limited"):
        iam.create_user(UserName=name)
        made[name] = credentials(iam.create_access_key(UserName=name)["AccessKey"])
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.put_user_policy(
        UserName="mighty",
        PolicyName="p",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": everything}),
    )
    live.add_node()
    ecs.create_cluster()
    definition = [{"name": "app", "image": "app:1", "memory": 8, "command": ["stay"]}]
    ecs.register_task_definition(family="fam", containerDefinitions=definition)
    known["task"] = ecs.run_task(taskDefinition="fam")["tasks"][0]["taskArn"]
    known["service"] = ecs.create_service(serviceName="web", taskDefinition="fam", desiredCount=0)["service"][
        "serviceArn"
    ]
    known["instance"] = ecs.list_container_instances()["containerInstanceArns"][0]
    (deployment,) = ecs.list_service_deployments(service="web")["serviceDeployments"]
    known["deployment"] = deployment["serviceDeploymentArn"]
    known["revision"] = deployment["targetServiceRevisionArn"]
    known["cluster"] = f"{HEAD}:cluster/default"
    known["definition"] = f"{HEAD}:task-definition/fam:1"
    tags = [{"key": "team", "value": "a"}]
    for arn in (known[one] for one in ("task", "service", "instance", "cluster", "definition")):
        ecs.tag_resource(resourceArn=arn, tags=tags)
    ecs.register_task_definition(family="old", containerDefinitions=definition)
    ecs.deregister_task_definition(taskDefinition="old:1")
    known["old"] = f"{HEAD}:task-definition/old:1"
    secret = live.client("secretsmanager").create_secret(Name="dir/secret", SecretString="hidden")
    known["secret"] = secret["ARN"]
    live.client("ssm").put_parameter(Name="/dir/parameter", Value="hidden", Type="SecureString")
    known["parameter"] = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/dir/parameter"
    return World(iam, Attacker(live), made["mighty"], made["limited"])


def spellings(arn: str) -> list[str]:
    """Other ways to say it, of which many say nothing."""
    tail = arn.split(":", 5)[5]
    kind, _, path = tail.partition("/")
    last = path.rpartition("/")[2]
    of = f"{HEAD}:{kind}/"
    forms = [
        arn, path, last, tail.partition(":")[2], tail.partition(":")[2][:-7],
        f"/{path}", f"{path}/", f"{kind}/{path}", f"{of}{last}", f"{of}/{last}",
        f"{of}default/{last}", f"{of}default//{last}", f"{of}x/{last}", f"{of}x/y/{last}", f"{of}{path}/",
        f"{of}{path.upper()}", path.upper(), last.upper(), f"{of}default/{last.upper()}", f" {last}",
        f"{last} ",
        f"{of}default/{last[:8]} {last[8:]}", arn.replace(REGION, ""), arn.replace(ACCOUNT, ""),
        arn.replace(":", "%3A"), arn.replace("/", "%2F"), arn.upper(), f"{arn}*", f"{arn}:1", f"{path}:1",
        path.replace(":1", ":01"), arn.replace(":1", ":01"), path.replace(":1", ":001"),
        path.replace(":1", ""),
        f"{arn}:$LATEST", arn.rpartition("-")[0], f"parameter/{path}", f"//{path}", path.replace("/", "//"),
        f"{path}\n", f"{last}\t", f"{last}\u200b",
    ]  # fmt: skip
    forms += [arn.replace("arn:aws:", base) for base in BASES]
    return list(dict.fromkeys(forms))


CASES: list[tuple[str, str, str, str, Any]] = [
    ("ecs", "DescribeTasks", "task", "tasks", []),
    ("ecs", "StopTask", "task", "task", ""),
    ("ecs", "ListTagsForResource", "task", "resourceArn", ""),
    ("ecs", "ListTagsForResource", "service", "resourceArn", ""),
    ("ecs", "ListTagsForResource", "instance", "resourceArn", ""),
    ("ecs", "ListTagsForResource", "definition", "resourceArn", ""),
    ("ecs", "ListTagsForResource", "cluster", "resourceArn", ""),
    ("ecs", "DescribeServices", "service", "services", []),
    ("ecs", "UpdateService", "service", "service", ""),
    ("ecs", "ListServiceDeployments", "service", "service", ""),
    ("ecs", "DescribeContainerInstances", "instance", "containerInstances", []),
    ("ecs", "DescribeServiceDeployments", "deployment", "serviceDeploymentArns", []),
    ("ecs", "DescribeServiceRevisions", "revision", "serviceRevisionArns", []),
    ("ecs", "DescribeClusters", "cluster", "clusters", []),
    ("ecs", "UpdateClusterSettings", "cluster", "cluster", ""),
    ("ecs", "DeleteTaskDefinitions", "old", "taskDefinitions", []),
    ("ecs", "RunTask", "definition", "taskDefinition", ""),
    ("secretsmanager", "GetSecretValue", "secret", "SecretId", ""),
    ("secretsmanager", "BatchGetSecretValue", "secret", "SecretIdList", []),
    ("secretsmanager", "DescribeSecret", "secret", "SecretId", ""),
    ("ssm", "GetParameter", "parameter", "Name", ""),
    ("ssm", "GetParameters", "parameter", "Names", []),
    ("ssm", "GetParameterHistory", "parameter", "Name", ""),
]


def told(answer: str) -> bool:
    """Whether the answer is about the thing: it is none that only says what was not found."""
    found = json.loads(answer)
    return "__type" not in found and any(
        value for name, value in found.items() if name not in ("failures", "InvalidParameters", "Errors")
    )


@pytest.mark.parametrize(("service", "operation", "thing", "member", "shape"), CASES)
def test_what_is_denied_is_denied_under_every_spelling(
    world: World, known: dict[str, str], service: str, operation: str, thing: str, member: str, shape: Any
) -> None:
    world.deny(known[thing])
    reached = 0
    for spelling in spellings(known[thing]):
        value: dict[str, Any] = {member: [spelling] if isinstance(shape, list) else spelling}
        if operation == "UpdateClusterSettings":
            value["settings"] = [{"name": "containerInsights", "value": "disabled"}]
        _, mighty = world.ask(world.mighty, service, operation, value)
        if told(mighty):
            reached += 1
            let_in, limited = world.ask(world.limited, service, operation, value)
            assert not let_in or not told(limited), (spelling, limited)
    assert reached, "the thing itself should be found"


IN_DEFAULT = {"ArnEquals": {"ecs:cluster": f"{HEAD}:cluster/default"}}


@pytest.mark.parametrize(
    ("operation", "thing", "member"),
    [
        ("DescribeServiceDeployments", "deployment", "serviceDeploymentArns"),
        ("DescribeServiceRevisions", "revision", "serviceRevisionArns"),
        ("DescribeServices", "service", "services"),
        ("DescribeTasks", "task", "tasks"),
    ],
)
def test_what_names_its_cluster_by_its_arn_is_in_that_cluster(
    world: World, known: dict[str, str], operation: str, thing: str, member: str
) -> None:
    elsewhere = known[thing].replace("/default/", "/other/")
    for arns, is_denied in (([known[thing]], True), ([elsewhere, known[thing]], True), ([elsewhere], False)):
        world.deny("*", Condition=IN_DEFAULT)
        value = {member: arns, **({"cluster": "other"} if thing in ("service", "task") else {})}
        let_in, _ = world.ask(world.limited, "ecs", operation, value)
        assert let_in is not is_denied, (arns, value)


def test_operations_that_are_in_no_cluster_have_no_such_key() -> None:
    api = service_api("ecs")
    without = {
        name
        for name in operations.names()
        if not {"cluster", "clusterArn"} & api.operation(name).input.members.keys()
    }
    assert without == WITHOUT_CLUSTER


def test_a_new_cluster_is_asked_for_by_its_own_name(world: World) -> None:
    world.deny(f"{HEAD}:cluster/forbidden")
    assert world.ask(world.limited, "ecs", "CreateCluster", {"clusterName": "free"})[0]
    assert not world.ask(world.limited, "ecs", "CreateCluster", {"clusterName": "forbidden"})[0]


@pytest.mark.parametrize(
    "spelling", ["fam", "fam:1", f"{HEAD}:task-definition/fam", f"{HEAD}:task-definition/fam:1"]
)
@pytest.mark.parametrize("operation", ["RunTask", "CreateService", "UpdateService"])
def test_a_condition_on_the_definition_sees_the_revision_that_is_meant(
    world: World, known: dict[str, str], operation: str, spelling: str
) -> None:
    world.deny("*", Condition={"ArnEquals": {"ecs:task-definition": known["definition"]}})
    value = {"taskDefinition": spelling}
    value |= {"CreateService": {"serviceName": "other"}, "UpdateService": {"service": "web"}}.get(
        operation, {}
    )
    assert not world.ask(world.limited, "ecs", operation, value)[0]
    world.deny("*", Condition={"ArnNotEquals": {"ecs:task-definition": known["definition"]}})
    assert world.ask(world.limited, "ecs", operation, value)[0]
