"""IAM: what each operation is about, and under which condition keys.

Resources are spelt in one way only, whichever way the request spells them: a policy about
`task/prod/*` must not be stepped round with a short ARN. Source: Service Authorization Reference, "Actions,
resources, and condition keys for Amazon Elastic Container Service".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from homeport.core.access import Access, Keys, KeyValue
from homeport.core.arn import is_arn
from homeport.core.call import Call
from homeport.core.operations import request_tags
from homeport.services.ecs.model import FLEET, names_fleet

FARGATE_AGENT = "homeport:RunFargateTasks"
"""To be a machine that runs Fargate's tasks, of whatever cluster. No policy of AWS's has it but `*`."""
Request = Mapping[str, Any]
Resources = Callable[[Call, Request], tuple[str, ...]]


def cluster_resource(call: Call, request: Request) -> tuple[str, ...]:
    """The cluster that a request names, or makes."""
    reference = request.get("cluster") or request.get("clusterArn") or request.get("clusterName") or "default"
    return (reference if is_arn(reference) else f"{head_of(call)}:cluster/{reference}",)


def head_of(call: Call) -> str:
    """How ECS's ARNs of the caller's account and region begin."""
    return f"arn:aws:ecs:{call.region}:{call.account_id}"


def _cluster_of(request: Request) -> str:
    return str(request.get("cluster") or "default").rpartition("/")[2]


def in_cluster(call: Call, request: Request, kind: str, reference: str) -> str:
    """The long ARN of what lives in a cluster. The short form of an ARN is of the request's cluster."""
    if is_arn(reference):
        if reference.partition("/")[2].count("/"):
            return reference
        reference = reference.rpartition("/")[2]
    return f"{head_of(call)}:{kind}/{_cluster_of(request)}/{reference}"


def _in_cluster(kind: str, *members: str) -> Resources:
    def resources(call: Call, request: Request) -> tuple[str, ...]:
        given = next((request[member] for member in members if request.get(member)), "*")
        named: Iterable[str] = (given,) if isinstance(given, str) else given
        return tuple(in_cluster(call, request, kind, reference) for reference in named)

    return resources


instances_resource = _in_cluster("container-instance", "containerInstances", "containerInstance")
tasks_resource = _in_cluster("task", "tasks", "task")
services_resource = _in_cluster("service", "services", "service", "serviceName")


def new_task_set_resource(call: Call, request: Request) -> tuple[str, ...]:
    """A task set of the service that a request names: its id comes with it."""
    (service,) = services_resource(call, request)
    return (f"{service.replace(':service/', ':task-set/')}/*",)


def attributes_resource(call: Call, request: Request) -> tuple[str, ...]:
    """The container instances that attributes are put on or taken from."""
    given: Iterable[Mapping[str, Any]] = request.get("attributes") or ({},)
    targets = dict.fromkeys(str(one.get("targetId") or "*") for one in given)
    return tuple(in_cluster(call, request, "container-instance", target) for target in targets)


def clusters_resource(call: Call, request: Request) -> tuple[str, ...]:
    """The clusters that are described."""
    return tuple(
        arn
        for reference in request.get("clusters") or ("default",)
        for arn in cluster_resource(call, {"cluster": reference})
    )


def definition_resource(call: Call, request: Request) -> tuple[str, ...]:
    """A task definition by ARN or name; without a revision it stands for all."""
    reference = request.get("taskDefinition") or request.get("family") or "*"
    if is_arn(reference):
        return (reference,)
    tail = reference if ":" in reference else f"{reference}:*"
    return (f"{head_of(call)}:task-definition/{tail}",)


def definitions_resource(call: Call, request: Request) -> tuple[str, ...]:
    """The task definitions that a request lists."""
    return tuple(
        arn
        for reference in request["taskDefinitions"]
        for arn in definition_resource(call, {"taskDefinition": reference})
    )


def resolved_later(call: Call, request: Request) -> tuple[str, ...]:
    """Nothing by itself: the operation's `needs` name the revision that is meant."""
    del call, request
    return ()


def agent_access(call: Call, action: str, query: Mapping[str, str]) -> Access:
    """What opening an agent's socket needs: `action` on the container instance that its URL names."""
    # The two sockets spell their members in two ways; what the other one's are is no matter.
    end = "Arn" if action == "Poll" else ""
    named = {name: query.get(f"{name}{end}") for name in ("cluster", "containerInstance")}
    request = {name: value for name, value in named.items() if value}
    (arn,) = instances_resource(call, request)
    if names_fleet(request.get("cluster")):
        return Access(action=FARGATE_AGENT, resource=f"{head_of(call)}:cluster/{FLEET}")
    cluster = {"ecs:cluster": cluster_resource(call, request)[0]}
    return Access(action=f"ecs:{action}", resource=arn, keys={**cluster, **cluster_keys(call, arn)})


# Condition keys

_FLAGS = {
    "ecs:enable-execute-command": "enableExecuteCommand",
    "ecs:enable-ecs-managed-tags": "enableECSManagedTags",
}
WITHOUT_CLUSTER = frozenset(
    {
        "ContinueServiceDeployment", "CreateCluster", "CreateGateway", "DeleteAccountSetting", "DeleteDaemon",
        "DeleteDaemonTaskDefinition", "DeleteExpressGatewayService", "DeleteGateway", "DeleteTaskDefinitions",
        "DeregisterTaskDefinition", "DescribeClusters", "DescribeDaemon", "DescribeDaemonDeployments",
        "DescribeDaemonRevisions", "DescribeDaemonTaskDefinition", "DescribeExpressGatewayService",
        "DescribeGateway", "DescribeGatewayResources", "DescribeGatewayRoute", "DescribeServiceDeployments",
        "DescribeServiceRevisions", "DescribeTaskDefinition", "ListAccountSettings", "ListClusters",
        "ListDaemonDeployments", "ListDaemonTaskDefinitions", "ListGateways", "ListServicesByNamespace",
        "ListTagsForResource", "ListTaskDefinitionFamilies", "ListTaskDefinitions", "PutAccountSetting",
        "PutAccountSettingDefault", "RegisterDaemonTaskDefinition", "RegisterTaskDefinition",
        "StopServiceDeployment", "TagResource", "UntagResource", "UpdateDaemon",
        "UpdateExpressGatewayService", "UpdateGateway",
    }
)  # fmt: skip
"""Operations whose requests have no member for a cluster: what they name by its ARN is in one, or in none."""
_TAGGING = frozenset({"ListTagsForResource", "TagResource", "UntagResource"})
_IN_CLUSTERS = frozenset(
    {
        "container-instance", "daemon", "daemon-deployment", "daemon-revision", "service",
        "service-deployment", "service-revision", "task", "task-set",
    }
)  # fmt: skip
_SIZES = {"ecs:task-cpu": "cpu", "ecs:task-memory": "memory"}


def ecs_keys(call: Call, request: Request) -> Keys:
    """The condition keys that a request's members give, for every operation of ECS alike."""
    keys: dict[str, KeyValue] = {**request_tags(call, request), **_named_keys(call, request)}
    for key, member in _FLAGS.items():
        if request.get(member) is not None:
            keys[key] = "true" if request[member] else "false"
    if request.get("propagateTags"):
        keys["ecs:propagate-tags"] = request["propagateTags"]
    for key, member in _SIZES.items():
        size = request.get(member) or (request.get("overrides") or {}).get(member)
        if isinstance(size, str) and size.isdecimal():
            keys[key] = int(size)
    if "AccountSetting" in call.operation and request.get("name"):
        keys["ecs:account-setting"] = request["name"]
    return keys


def _named_keys(call: Call, request: Request) -> Keys:
    """The keys that are ARNs of what the request names."""
    keys: dict[str, KeyValue] = {}
    if call.operation not in WITHOUT_CLUSTER:
        keys["ecs:cluster"] = cluster_resource(call, request)[0]
    for member, resources in (("service", services_resource), ("task", tasks_resource)):
        if isinstance(request.get(member), str):
            keys[f"ecs:{member}"] = resources(call, request)[0]
    if request.get("containerInstances"):
        keys["ecs:container-instances"] = instances_resource(call, request)
    if request.get("taskDefinition"):
        keys["ecs:task-definition"] = definition_resource(call, request)[0]
    strategy = request.get("capacityProviderStrategy") or request.get("defaultCapacityProviderStrategy") or ()
    named = [*(request.get("capacityProviders") or ()), *(one["capacityProvider"] for one in strategy)]
    if named:
        keys["ecs:capacity-provider"] = tuple(
            one if is_arn(one) else f"{head_of(call)}:capacity-provider/{one}" for one in dict.fromkeys(named)
        )
    return keys


def cluster_keys(call: Call, resource: str) -> Keys:
    """The cluster that a resource is in by its own ARN, whatever cluster the request names besides."""
    head, _, tail = resource.rpartition(":")
    kind, _, path = tail.partition("/")
    cluster, slash, _ = path.partition("/")
    if not slash or kind not in _IN_CLUSTERS or call.operation in _TAGGING:
        return {}
    return {"ecs:cluster": f"{head}:cluster/{cluster}"}
