"""Nothing accepted is ignored: every member of every served operation is read, or refused in words.

`REQUESTS` are accepted; whoever answers them must have looked at each member that they hold. A
member that stands in none of them must be refused, with its name in the message. What a member
that was read then does is for the tests of its operation. Task definitions, and those of daemons, have
tests of their own (`tests/unit/ecs/test_task_definition_members.py`, `test_daemon_request.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from homeport.core.call import Call, Principal
from homeport.core.errors import AwsError
from homeport.services.ecs.manifest import operations
from homeport.wire.model import service_api
from tests.kit.ecs_requests import INSTANCE, KEPT_WHOLE, PAUSE, REFUSING, REQUESTS, WITHOUT_EFFECT
from tests.kit.iam import trusts
from tests.kit.members import Watched, filled, held, leaves, with_member
from tests.kit.server import ACCOUNT, REGION, Live

API = service_api("ecs")
SERVED = sorted(operations.names() - {"RegisterTaskDefinition", "RegisterDaemonTaskDefinition"})


def waits(live: Live, ecs: Any, name: str) -> dict[str, Any]:
    """The deployment of a service, once a hook holds it up."""
    (listed,) = ecs.list_service_deployments(service=name)["serviceDeployments"]
    arns = [listed["serviceDeploymentArn"]]

    def look() -> dict[str, Any]:
        return ecs.describe_service_deployments(serviceDeploymentArns=arns)["serviceDeployments"][0]

    async def is_paused() -> bool:
        return "lifecycleHookDetails" in await asyncio.to_thread(look)

    live.wait_until(is_paused)
    return look()


def _own_network(live: Live, ecs: Any, container: dict[str, Any]) -> str:
    """A subnet, with services whose tasks have ports to be found at."""
    subnet = str(live.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"])
    ported = {**container, "portMappings": [{"containerPort": 80, "name": "web", "appProtocol": "http"}]}
    ecs.register_task_definition(family="ported", containerDefinitions=[ported])
    ecs.register_task_definition(family="own", networkMode="awsvpc", containerDefinitions=[ported])
    for name in ("ported", "reached"):
        ecs.create_service(serviceName=name, taskDefinition="ported", desiredCount=0)
    network = {"awsvpcConfiguration": {"subnets": [subnet]}}
    ecs.create_service(serviceName="own", taskDefinition="own", desiredCount=0, networkConfiguration=network)
    return subnet


def _registry(live: Live) -> str:
    """A Cloud Map service."""
    sd = live.client("servicediscovery")
    operation = sd.create_http_namespace(Name="apps")["OperationId"]
    namespace = sd.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
    sd.create_http_namespace(Name="shop")
    return str(sd.create_service(Name="app", NamespaceId=namespace)["Service"]["Arn"])


@pytest.fixture(scope="module")
def world(live: Live, ecs: Any) -> dict[str, str]:
    """Something of everything, by the names that `REQUESTS` uses."""
    live.add_node(attributes={"homeport.auto-scaling-group": "own"})
    live.client("iam").create_role(RoleName="runs", AssumeRolePolicyDocument=trusts())
    for name in ("own", "doomed"):
        ecs.create_capacity_provider(name=name, autoScalingGroupProvider={"autoScalingGroupArn": name})
    ecs.put_cluster_capacity_providers(
        cluster="default", capacityProviders=["own"], defaultCapacityProviderStrategy=[]
    )
    definition = {"name": "app", "image": "app:1", "memory": 64, "command": ["stay"]}
    for family in ("app", "gone"):
        ecs.register_task_definition(family=family, containerDefinitions=[definition])
    subnet = _own_network(live, ecs, definition)
    for name, count in (("web", 0), ("doomed", 1)):
        ecs.create_service(serviceName=name, taskDefinition="app", desiredCount=count)
    nowhere = [{"type": "memberOf", "expression": "attribute:nowhere exists"}]
    ecs.create_service(
        serviceName="daemon", taskDefinition="app", schedulingStrategy="DAEMON", placementConstraints=nowhere
    )
    ecs.create_service(
        serviceName="stuck", taskDefinition="app", desiredCount=1, placementConstraints=nowhere
    )
    for name in ("external", "shared"):
        ecs.create_service(serviceName=name, deploymentController={"type": "EXTERNAL"})
    task_set, doomed_task_set = (
        ecs.create_task_set(cluster="default", service="external", taskDefinition="app")["taskSet"]["id"]
        for _ in range(2)
    )
    (deployment,) = ecs.list_service_deployments(service="stuck")["serviceDeployments"]
    ecs.create_service(
        serviceName="paused",
        taskDefinition="app",
        desiredCount=0,
        deploymentConfiguration={"strategy": "BLUE_GREEN", "lifecycleHooks": [PAUSE]},
    )
    paused = waits(live, ecs, "paused")
    ecs.create_cluster(clusterName="doomed")
    (instance,) = ecs.list_container_instances()["containerInstanceArns"]
    ecs.put_attributes(attributes=[{"name": "doomed", "value": "x", "targetId": instance}])
    extra = {"totalResources": INSTANCE["totalResources"], "cluster": "default"}
    tasks = ecs.run_task(taskDefinition="app", count=3)["tasks"]
    return {
        **daemons(ecs),
        "own_subnet": subnet,
        "registry": _registry(live),
        "instance": instance,
        "doomed_instance": ecs.register_container_instance(**extra)["containerInstance"][
            "containerInstanceArn"
        ],
        "renewed_instance": ecs.register_container_instance(
            **extra, instanceIdentityDocument='{"instanceId": "i-1"}'
        )["containerInstance"]["containerInstanceArn"],
        "deployment": deployment["serviceDeploymentArn"],
        "paused_deployment": paused["serviceDeploymentArn"],
        "hook": paused["lifecycleHookDetails"][0]["hookId"],
        "revision": deployment["targetServiceRevisionArn"],
        "task_set": task_set,
        "doomed_task_set": doomed_task_set,
        "task": tasks[0]["taskArn"],
        "doomed_task": tasks[1]["taskArn"],
        "failing_task": tasks[2]["taskArn"],
        "cluster": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/default",
        "user": f"arn:aws:iam::{ACCOUNT}:user/someone",
        "role": f"arn:aws:iam::{ACCOUNT}:role/runs",
    }


def daemons(ecs: Any) -> dict[str, str]:
    """A daemon, and one to delete."""
    group = {"autoScalingGroupArn": "edge"}
    provider = ecs.create_capacity_provider(name="edge-of-all", autoScalingGroupProvider=group)
    provider_arn = provider["capacityProvider"]["capacityProviderArn"]
    agent = {"name": "agent", "image": "app:1"}
    definition, doomed_definition = (
        ecs.register_daemon_task_definition(family=family, containerDefinitions=[agent])[
            "daemonTaskDefinitionArn"
        ]
        for family in ("agent", "gone")
    )
    daemon, doomed = (
        ecs.create_daemon(
            daemonName=name, daemonTaskDefinitionArn=definition, capacityProviderArns=[provider_arn]
        )
        for name in ("agent", "doomed")
    )
    described = ecs.describe_daemon(daemonArn=daemon["daemonArn"])["daemon"]
    return {
        "provider": provider_arn,
        "daemon_definition": definition,
        "doomed_daemon_definition": doomed_definition,
        "daemon": daemon["daemonArn"],
        "doomed_daemon": doomed["daemonArn"],
        "daemon_deployment": daemon["deploymentArn"],
        "daemon_revision": described["currentRevisions"][0]["arn"],
    }


def do(live: Live, operation: str, request: Mapping[str, Any]) -> Any:
    """What the operation's handler answers."""
    mounted = next(service for service in live.plane.services if service.name == "ecs")
    call = Call(
        request_id="r", service="ecs", operation=operation, account_id=ACCOUNT, region=REGION,
        principal=Principal(arn=f"arn:aws:iam::{ACCOUNT}:root", account_id=ACCOUNT, user_id=ACCOUNT),
    )  # fmt: skip
    found = mounted.operations.find(operation)
    assert found is not None
    return live.run(found.handler(call, mounted.context, request))


def test_every_operation_has_a_request() -> None:
    assert set(REQUESTS) | REFUSING == set(SERVED)


@pytest.mark.parametrize(
    ("operation", "index"), [(name, i) for name, requests in REQUESTS.items() for i in range(len(requests))]
)
def test_every_member_of_an_accepted_request_is_looked_at(
    live: Live, world: dict[str, str], operation: str, index: int
) -> None:
    request = filled(REQUESTS[operation][index], world, f"u{index}")
    seen: set[str] = set()
    do(live, operation, Watched(request, seen))
    silent = WITHOUT_EFFECT.get(operation, set())
    asked = {
        path.removesuffix("[]") for path in held(request) if not any(whole in path for whole in KEPT_WHOLE)
    }
    assert asked - seen - silent == set()


def accepted(operation: str) -> set[str]:
    return {path for request in REQUESTS[operation] for path in held(request)}


def other_members() -> list[tuple[str, str]]:
    found = []
    for operation in REQUESTS:
        known = accepted(operation) | WITHOUT_EFFECT.get(operation, set()) | {"nextToken"}
        found += [
            (operation, path) for path, _ in leaves(API.operation(operation).input) if path not in known
        ]
    return found


@pytest.mark.parametrize(("operation", "path"), other_members())
def test_every_other_member_is_refused_by_name(
    live: Live, world: dict[str, str], operation: str, path: str
) -> None:
    request = filled(REQUESTS[operation][0], world, "other")
    if operation in ("CreateCluster", "CreateService"):
        name = "clusterName" if operation == "CreateCluster" else "serviceName"
        request[name] = f"refused-{abs(hash(path)) % 10**9}"
    asked = with_member(API.operation(operation).input, request, path)
    with pytest.raises(AwsError) as refusal:
        do(live, operation, asked)
    names = {step.removesuffix("[]") for step in path.split(".")}
    told = refusal.value.message.lower().replace(" ", "")
    assert any(name.lower().removesuffix("s") in told for name in names), refusal.value.message
