"""Nothing accepted is ignored: every member of every served operation is read, or refused in words.

`REQUESTS` are accepted; whoever answers them must have looked at each member that they hold. A
member that stands in none of them must be refused, with its name in the message. What a member
that was read then does is for the tests of its operation. Task definitions, and those of daemons, have
tests of their own (`tests/unit/ecs/test_task_definition_members.py`, `test_daemon_request.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, find, settings

from homeport.core.call import Call, Principal
from homeport.core.errors import AwsError
from homeport.services.ecs.manifest import operations
from homeport.wire.model import Shape, service_api
from tests.kit.iam import trusts
from tests.kit.server import ACCOUNT, REGION, Live
from tests.wire.oracle import values

API = service_api("ecs")
SERVED = sorted(operations.names() - {"RegisterTaskDefinition", "RegisterDaemonTaskDefinition"})
EARLIER = datetime(2026, 1, 1, tzinfo=UTC)
TAGS = [{"key": "team", "value": "blue"}]
SPREAD = {
    "placementConstraints": [{"type": "memberOf", "expression": "attribute:ecs.os-type exists"}],
    "placementStrategy": [{"type": "spread", "field": "instanceId"}],
}
OVERRIDES = {
    "cpu": "256",
    "memory": "512",
    "taskRoleArn": "{role}",
    "executionRoleArn": "{role}",
    "containerOverrides": [
        {
            "name": "app",
            "command": ["stay"],
            "environment": [{"name": "A", "value": "b"}],
            "cpu": 2,
            "memory": 65,
            "memoryReservation": 64,
            "resourceRequirements": [{"type": "GPU", "value": "1"}],
        }
    ],
}
BREAKER = {
    "enable": True,
    "rollback": True,
    "resetOnHealthyTask": False,
    "thresholdConfiguration": {"type": "COUNT", "value": 7},
}
PAUSE = {
    "targetType": "PAUSE",
    "lifecycleStages": ["PRE_SCALE_UP"],
    "timeoutConfiguration": {"timeoutInMinutes": 5, "action": "CONTINUE"},
}
DEPLOYMENT = {
    "maximumPercent": 150,
    "minimumHealthyPercent": 50,
    "strategy": "ROLLING",
    "bakeTimeInMinutes": 0,
    "deploymentCircuitBreaker": BREAKER,
}
DAEMON = {
    "daemonTaskDefinitionArn": "{daemon_definition}",
    "capacityProviderArns": ["{provider}"],
    "deploymentConfiguration": {
        "drainPercent": 50.0,
        "bakeTimeInMinutes": 1,
        "alarms": {"alarmNames": ["high"], "enable": False},
    },
    "propagateTags": "DAEMON",
    "enableECSManagedTags": True,
    "critical": False,
}
INSTANCE = {
    "cluster": "default",
    "instanceIdentityDocument": '{{"instanceId": "i-1"}}',
    "totalResources": [
        {"name": "CPU", "type": "INTEGER", "integerValue": 1024},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": 1024},
        {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]},
    ],
    "versionInfo": {"agentVersion": "1.0.0", "agentHash": "x", "dockerVersion": "24"},
    "attributes": [{"name": "flavour", "value": "sweet"}],
    "platformDevices": [{"id": "gpu-0", "type": "GPU"}],
    "tags": TAGS,
    "clientToken": "{unique}",
}
BINDINGS = [
    {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 8080, "protocol": "tcp"},
    {"bindIP": "0.0.0.0", "containerPortRange": "90-91", "hostPortRange": "90-91", "protocol": "tcp"},
]
CONTAINER_REPORT = {"runtimeId": "r", "status": "RUNNING", "networkBindings": BINDINGS}

FOUND = {"serviceRegistries": [{"registryArn": "{registry}", "containerName": "app", "containerPort": 80}]}


def reached(name: str) -> dict[str, Any]:
    """Service Connect with every member that is honoured."""
    endpoint = {
        "portName": "web",
        "discoveryName": f"d-{name}",
        "clientAliases": [{"port": 80, "dnsName": name}],
        "timeout": {"idleTimeoutSeconds": 60, "perRequestTimeoutSeconds": 5},
    }
    return {"serviceConnectConfiguration": {"enabled": True, "namespace": "shop", "services": [endpoint]}}


FOUND_AT_PORT = {
    "serviceRegistries": [{"registryArn": "{registry}", "port": 80}],
    "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["{own_subnet}"]}},
}
SHARES = [{"capacityProvider": "own", "weight": 1, "base": 2}]
GROUP_PROVIDER = {
    "managedScaling": {
        "status": "DISABLED", "targetCapacity": 90, "minimumScalingStepSize": 1,
        "maximumScalingStepSize": 5, "instanceWarmupPeriod": 60,
    },
    "managedTerminationProtection": "DISABLED",
    "managedDraining": "DISABLED",
}  # fmt: skip

REQUESTS: dict[str, list[dict[str, Any]]] = {
    "CreateCapacityProvider": [
        {
            "name": "{unique}", "tags": TAGS,
            "autoScalingGroupProvider": {"autoScalingGroupArn": "{unique}", **GROUP_PROVIDER},
        }
    ],
    "CreateCluster": [
        {
            "clusterName": "{unique}",
            "tags": TAGS,
            "settings": [{"name": "containerInsights", "value": "enabled"}],
            "capacityProviders": ["FARGATE", "own"],
            "defaultCapacityProviderStrategy": SHARES,
            "serviceConnectDefaults": {"namespace": "shop"},
        }
    ],
    "CreateService": [
        {
            "cluster": "default", "serviceName": "{unique}", "taskDefinition": "app", "desiredCount": 0,
            "availabilityZoneRebalancing": "DISABLED", "clientToken": "{unique}", "launchType": "EC2",
            "schedulingStrategy": "REPLICA", "deploymentController": {"type": "ECS"}, "tags": TAGS,
            "enableECSManagedTags": True, "propagateTags": "SERVICE", "enableExecuteCommand": False,
            "deploymentConfiguration": DEPLOYMENT, "healthCheckGracePeriodSeconds": 30,
            "serviceConnectConfiguration": {"enabled": False}, **SPREAD,
        },
        {
            "serviceName": "{unique}-reached", "taskDefinition": "ported", "desiredCount": 0,
            **reached("{unique}"),
        },
        {"serviceName": "{unique}-found", "taskDefinition": "ported", "desiredCount": 0, **FOUND},
        {"serviceName": "{unique}-ported", "taskDefinition": "own", "desiredCount": 0, **FOUND_AT_PORT},
        {
            "serviceName": "{unique}-shared", "cluster": "default", "taskDefinition": "app",
            "desiredCount": 0, "capacityProviderStrategy": SHARES,
        },
        {
            "serviceName": "{unique}-external", "deploymentController": {"type": "EXTERNAL"},
            "deploymentConfiguration": {"maximumPercent": 200, "minimumHealthyPercent": 100},
        },
        {
            "cluster": "default", "serviceName": "{unique}-daemon", "taskDefinition": "app",
            "schedulingStrategy": "DAEMON", "launchType": "EC2", "placementStrategy": [],
            "availabilityZoneRebalancing": "DISABLED", "deploymentController": {"type": "ECS"}, "tags": TAGS,
            "deploymentConfiguration": {**DEPLOYMENT, "maximumPercent": 100},
            "placementConstraints": [{"type": "memberOf", "expression": "attribute:nowhere exists"}],
            "enableECSManagedTags": True, "propagateTags": "SERVICE", "healthCheckGracePeriodSeconds": 30,
        },
    ],
    "CreateDaemon": [
        {
            "clusterArn": "{cluster}", "daemonName": "{unique}", "tags": TAGS, "clientToken": "{unique}",
            **DAEMON, "enableExecuteCommand": False,
        }
    ],
    "CreateTaskSet": [
        {
            "cluster": "default", "service": "external", "taskDefinition": "ported",
            "launchType": "EC2",
            "externalId": "build-7", "scale": {"value": 0.0, "unit": "PERCENT"}, "clientToken": "{unique}",
            "tags": TAGS, **FOUND,
        },
        {
            "cluster": "default", "service": "shared", "taskDefinition": "app",
            "capacityProviderStrategy": SHARES,
        },
    ],
    "DeleteAccountSetting": [{"name": "containerInsights", "principalArn": "{user}"}],
    "DeleteAttributes": [
        {
            "cluster": "default",
            "attributes": [
                {"name": "doomed", "value": "x", "targetType": "container-instance", "targetId": "{instance}"}
            ],
        }
    ],
    "DeleteCapacityProvider": [{"capacityProvider": "doomed"}],
    "DeleteCluster": [{"cluster": "doomed"}],
    "DeleteDaemon": [{"daemonArn": "{doomed_daemon}"}],
    "DeleteDaemonTaskDefinition": [{"daemonTaskDefinition": "{doomed_daemon_definition}"}],
    "DeleteService": [{"cluster": "default", "service": "doomed", "force": True}],
    "DeleteTaskSet": [
        {"cluster": "default", "service": "external", "taskSet": "{doomed_task_set}", "force": True}
    ],
    "DeleteTaskDefinitions": [{"taskDefinitions": ["gone:1"]}],
    "DeregisterContainerInstance": [
        {"cluster": "default", "containerInstance": "{doomed_instance}", "force": True}
    ],
    "DeregisterTaskDefinition": [{"taskDefinition": "gone:1"}],
    "DescribeCapacityProviders": [
        {"capacityProviders": ["FARGATE"], "include": ["TAGS"], "maxResults": 1},
        {"cluster": "default"},
    ],
    "DescribeClusters": [{"clusters": ["default"], "include": ["TAGS"]}],
    "DescribeContainerInstances": [
        {"cluster": "default", "containerInstances": ["{instance}"], "include": ["TAGS"]}
    ],
    "DescribeDaemon": [{"daemonArn": "{daemon}"}],
    "DescribeDaemonDeployments": [{"daemonDeploymentArns": ["{daemon_deployment}"]}],
    "DescribeDaemonRevisions": [{"daemonRevisionArns": ["{daemon_revision}"]}],
    "DescribeDaemonTaskDefinition": [{"daemonTaskDefinition": "agent"}],
    "DescribeServices": [{"cluster": "default", "services": ["web"], "include": ["TAGS"]}],
    "DescribeTaskDefinition": [{"taskDefinition": "app", "include": ["TAGS"]}],
    "DescribeTaskSets": [
        {"cluster": "default", "service": "external", "taskSets": ["{task_set}"], "include": ["TAGS"]}
    ],
    "DescribeTasks": [{"cluster": "default", "tasks": ["{task}"], "include": ["TAGS"]}],
    "DiscoverPollEndpoint": [{"cluster": "default"}],
    "GetTaskProtection": [{"cluster": "default", "tasks": ["{task}"]}],
    "ListAccountSettings": [
        {
            "name": "containerInsights", "value": "disabled", "principalArn": "{user}",
            "effectiveSettings": True, "maxResults": 1,
        }
    ],
    "ListAttributes": [
        {
            "cluster": "default", "targetType": "container-instance", "attributeName": "a",
            "attributeValue": "b", "maxResults": 1,
        }
    ],
    "ListClusters": [{"maxResults": 1}],
    "ListContainerInstances": [
        {"cluster": "default", "filter": "agentConnected == true", "status": "ACTIVE", "maxResults": 1}
    ],
    "ListDaemonDeployments": [
        {
            "daemonArn": "{daemon}", "status": ["SUCCESSFUL"], "maxResults": 1,
            "createdAt": {"after": EARLIER, "before": EARLIER},
        }
    ],
    "ListDaemonTaskDefinitions": [
        {
            "familyPrefix": "a", "revision": "LAST_REGISTERED", "status": "ALL", "sort": "DESC",
            "maxResults": 1,
        },
        {"family": "agent"},
    ],
    "ListDaemons": [{"clusterArn": "{cluster}", "capacityProviderArns": ["{provider}"], "maxResults": 1}],
    "ListGatewayClusterAssociations": [
        {"gateway": "front", "cluster": "default", "status": ["ACTIVE"], "maxResults": 1}
    ],
    "ListGatewayRoutes": [
        {
            "cluster": "default", "service": "web", "serviceContainerPortName": "http", "status": ["ACTIVE"],
            "maxResults": 1,
        }
    ],
    "ListGateways": [{"names": ["front"], "status": ["ACTIVE"], "maxResults": 1}],
    "ListServices": [
        {
            "cluster": "default", "launchType": "EC2", "schedulingStrategy": "REPLICA",
            "resourceManagementType": "CUSTOMER", "maxResults": 1,
        },
        {"schedulingStrategy": "DAEMON"},
    ],
    "ListTagsForResource": [{"resourceArn": "{cluster}"}],
    "ListTaskDefinitionFamilies": [{"familyPrefix": "a", "status": "ACTIVE", "maxResults": 1}],
    "ListTaskDefinitions": [{"familyPrefix": "app", "status": "ACTIVE", "sort": "DESC", "maxResults": 1}],
    "ListTasks": [
        {
            "cluster": "default", "containerInstance": "{instance}", "family": "app", "serviceName": "web",
            "desiredStatus": "RUNNING", "launchType": "EC2", "maxResults": 1,
        },
        {"startedBy": "me"},
        {"daemonName": "agent"},
    ],
    "PutAccountSetting": [{"name": "containerInsights", "value": "enabled", "principalArn": "{user}"}],
    "PutAccountSettingDefault": [{"name": "containerInsights", "value": "disabled"}],
    "PutAttributes": [
        {
            "cluster": "default",
            "attributes": [
                {"name": "a", "value": "b", "targetType": "container-instance", "targetId": "{instance}"}
            ],
        }
    ],
    "PutClusterCapacityProviders": [
        {
            "cluster": "default", "capacityProviders": ["own"],
            "defaultCapacityProviderStrategy": SHARES,
        },
        {"cluster": "default", "capacityProviders": ["own"], "defaultCapacityProviderStrategy": []},
    ],
    "RegisterContainerInstance": [
        INSTANCE,
        {**INSTANCE, "containerInstanceArn": "{renewed_instance}", "clientToken": "{unique}"},
    ],
    "RunTask": [
        {
            "cluster": "default", "taskDefinition": "app", "count": 1, "launchType": "EC2",
            "enableECSManagedTags": True, "enableExecuteCommand": False, "group": "g", "startedBy": "me",
            "propagateTags": "TASK_DEFINITION", "tags": TAGS, "overrides": OVERRIDES,
            "clientToken": "{unique}", **SPREAD,
        },
        {"cluster": "default", "taskDefinition": "app", "capacityProviderStrategy": SHARES},
    ],
    "StartTask": [
        {
            "cluster": "default", "taskDefinition": "app", "containerInstances": ["{instance}"],
            "enableECSManagedTags": True, "enableExecuteCommand": False, "group": "g", "startedBy": "me",
            "propagateTags": "TASK_DEFINITION", "tags": TAGS, "overrides": OVERRIDES,
        }
    ],
    "DescribeServiceDeployments": [{"serviceDeploymentArns": ["{deployment}"]}],
    "DescribeServiceRevisions": [{"serviceRevisionArns": ["{revision}"]}],
    "ListServiceDeployments": [
        {
            "cluster": "default", "service": "stuck", "status": ["IN_PROGRESS"], "maxResults": 1,
            "createdAt": {"before": datetime(2100, 1, 1, tzinfo=UTC), "after": EARLIER},
        }
    ],
    "ContinueServiceDeployment": [
        {"serviceDeploymentArn": "{paused_deployment}", "hookId": "{hook}", "action": "CONTINUE"}
    ],
    "StopServiceDeployment": [{"serviceDeploymentArn": "{deployment}", "stopType": "ABORT"}],
    "StopTask": [{"cluster": "default", "task": "{doomed_task}", "reason": "enough"}],
    "SubmitContainerStateChange": [
        {
            "cluster": "default", "task": "{task}", "containerName": "app", "exitCode": 0, "reason": "r",
            **CONTAINER_REPORT,
        }
    ],
    "SubmitTaskStateChange": [
        {
            "cluster": "default", "task": "{task}", "status": "RUNNING",
            "pullStartedAt": EARLIER, "pullStoppedAt": EARLIER, "executionStoppedAt": EARLIER,
            "containers": [
                {
                    "containerName": "app", "imageDigest": "sha256:x", "exitCode": 0, "reason": "r",
                    **CONTAINER_REPORT,
                }
            ],
        },
        {"task": "{failing_task}", "status": "STOPPED", "reason": "r"},
    ],
    "TagResource": [{"resourceArn": "{cluster}", "tags": TAGS}],
    "UntagResource": [{"resourceArn": "{cluster}", "tagKeys": ["team"]}],
    "UpdateCapacityProvider": [{"name": "own", "autoScalingGroupProvider": GROUP_PROVIDER}],
    "UpdateCluster": [
        {
            "cluster": "default", "settings": [{"name": "containerInsights", "value": "disabled"}],
            "serviceConnectDefaults": {"namespace": "shop"},
        }
    ],
    "UpdateClusterSettings": [
        {"cluster": "default", "settings": [{"name": "containerInsights", "value": "disabled"}]}
    ],
    "UpdateContainerInstancesState": [
        {"cluster": "default", "containerInstances": ["{instance}"], "status": "ACTIVE"}
    ],
    "UpdateService": [
        {
            "cluster": "default", "service": "web", "desiredCount": 1, "taskDefinition": "app",
            "deploymentConfiguration": DEPLOYMENT, "availabilityZoneRebalancing": "DISABLED",
            "forceNewDeployment": True, "healthCheckGracePeriodSeconds": 30, "enableExecuteCommand": False,
            "enableECSManagedTags": False, "propagateTags": "NONE", "deploymentController": {"type": "ECS"},
            "serviceConnectConfiguration": {"enabled": False}, **SPREAD,
        },
        {"cluster": "default", "service": "reached", **reached("reached")},
        {"cluster": "default", "service": "ported", **FOUND},
        {"cluster": "default", "service": "own", **FOUND_AT_PORT},
        {
            "cluster": "default", "service": "paused",
            "deploymentConfiguration": {
                "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 3, "lifecycleHooks": [PAUSE],
            },
        },
        {
            "cluster": "default", "service": "web", "forceNewDeployment": True,
            "capacityProviderStrategy": SHARES,
        },
        {
            "cluster": "default", "service": "external", "desiredCount": 1,
            "healthCheckGracePeriodSeconds": 30, "enableECSManagedTags": False, "propagateTags": "NONE",
            "deploymentController": {"type": "EXTERNAL"}, **SPREAD,
        },
        {
            "cluster": "default", "service": "daemon", "taskDefinition": "app", "forceNewDeployment": True,
            "deploymentConfiguration": {**DEPLOYMENT, "maximumPercent": 100}, "propagateTags": "NONE",
            "placementConstraints": SPREAD["placementConstraints"], "placementStrategy": [],
            "availabilityZoneRebalancing": "DISABLED", "deploymentController": {"type": "ECS"},
        },
    ],
    "UpdateDaemon": [{"daemonArn": "{daemon}", **DAEMON, "enableExecuteCommand": False}],
    "UpdateServicePrimaryTaskSet": [
        {"cluster": "default", "service": "external", "primaryTaskSet": "{task_set}"}
    ],
    "UpdateTaskProtection": [
        {"cluster": "default", "tasks": ["{task}"], "protectionEnabled": True, "expiresInMinutes": 5}
    ],
    "UpdateTaskSet": [
        {
            "cluster": "default", "service": "external", "taskSet": "{task_set}",
            "scale": {"value": 1.0, "unit": "PERCENT"},
        }
    ],
}  # fmt: skip
"""Requests that are accepted, by operation."""

REFUSING = {
    "UpdateContainerAgent", "SubmitAttachmentStateChanges",
    # There is no load balancer and no namespace to make them of (`test_gateways.py`).
    "CreateExpressGatewayService", "DescribeExpressGatewayService", "UpdateExpressGatewayService",
    "DeleteExpressGatewayService", "CreateGateway", "DescribeGateway", "DescribeGatewayResources",
    "DescribeGatewayRoute", "UpdateGateway", "DeleteGateway", "AssociateGatewayWithCluster",
    "DisassociateGatewayFromCluster", "ListServicesByNamespace",
}  # fmt: skip
"""Operations that refuse whatever is asked, for a reason."""

WITHOUT_EFFECT = {
    "ListAttributes": {"targetType"},  # has one value
    # There are none to choose from.
    "ListGateways": {"names", "status"},
    "ListGatewayRoutes": {"gateway", "service", "serviceContainerPortName", "status"},
    "ListGatewayClusterAssociations": {"gateway", "status"},
    "DiscoverPollEndpoint": {"containerInstance", "zoneId"},  # every agent gets the one address
    "RegisterContainerInstance": {
        "instanceIdentityDocumentSignature",  # nobody here signs identity documents
        # The number that counts is `integerValue`; the agent sends the others as zeros.
        "totalResources[].type", "totalResources[].doubleValue", "totalResources[].longValue",
        "attributes[].targetType", "attributes[].targetId",  # the target is the instance itself
    },
    "SubmitTaskStateChange": {
        # What the agent tells of itself; there is nothing here that managed agents would serve.
        "managedAgents[].containerName", "managedAgents[].managedAgentName", "managedAgents[].status",
        "managedAgents[].reason", "attachments[].attachmentArn", "attachments[].status",
    },
}  # fmt: skip
"""What cannot make a difference, and why."""

KEPT_WHOLE = ("networkBindings[].",)
"""What is stored and shown as it came."""


def leaves(shape: Shape, path: str = "") -> Iterator[tuple[str, Shape]]:
    """Everything that is not a structure, lists marked with `[]`."""
    if shape.kind == "structure":
        for name, member in shape.members.items():
            yield from leaves(member, f"{path}.{name}" if path else name)
    elif shape.kind == "list":
        yield from leaves(shape.member, f"{path}[]")
    else:
        yield path, shape


class Watched(dict[str, Any]):
    """A request that knows which of its members were looked at."""

    def __init__(self, value: Mapping[str, Any], seen: set[str], path: str = "") -> None:
        self._seen, self._path = seen, path
        super().__init__({name: watched(inner, seen, self._at(name)) for name, inner in value.items()})

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def __getitem__(self, name: str) -> Any:
        self._seen.add(self._at(name))
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._seen.add(self._at(name))
        return super().get(name, default)

    def items(self) -> Any:
        if self._path:  # the whole request is gone through to compare it, which proves nothing
            self._seen |= {self._at(name) for name in self}
        return super().items()


def watched(value: Any, seen: set[str], path: str) -> Any:
    if isinstance(value, dict):
        return Watched(value, seen, path)
    return [watched(item, seen, f"{path}[]") for item in value] if isinstance(value, list) else value


def held(value: Any, path: str = "") -> Iterator[str]:
    """The leaves that a request holds."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from held(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for item in value:
            yield from held(item, f"{path}[]")
    else:
        yield path


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


def filled(value: Any, world: Mapping[str, str], unique: str) -> Any:
    """The request with names for its `{placeholders}`."""
    if isinstance(value, str):
        return value.format(unique=unique, **world)
    if isinstance(value, dict):
        return {name: filled(inner, world, unique) for name, inner in value.items()}
    return [filled(item, world, unique) for item in value] if isinstance(value, list) else value


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


@cache
def example(shape: Shape) -> Any:
    """The plainest value of a shape that says something."""
    quiet = settings(database=None, derandomize=True, suppress_health_check=list(HealthCheck), deadline=None)
    if shape.kind == "boolean":
        return True
    if shape.kind in ("integer", "long"):
        return max(int(shape.traits.get("min", 1)), 1)
    if shape.kind in ("float", "double"):
        return 1.0
    return find(values(shape), lambda value: value not in ("", {}, []), settings=quiet)


def with_member(shape: Shape, request: dict[str, Any], path: str) -> dict[str, Any]:
    """The request with a member, and with what its neighbours require."""
    head, _, rest = path.partition(".")
    name = head.removesuffix("[]")
    member = shape.members[name]
    inner = member
    while inner.kind == "list":
        inner = inner.member
    if not rest:
        value = example(inner)
    else:
        before = request.get(name, {})
        before = before[0] if isinstance(before, list) and before else before
        value = with_member(inner, before if isinstance(before, dict) else {}, rest)
        for required in inner.required:
            value.setdefault(required, example_of(inner.members[required]))
    shown = head.count("[]")
    for _ in range(shown):
        value = [value]
    return {**request, name: value}


def example_of(shape: Shape) -> Any:
    if shape.kind == "structure":
        return {name: example_of(shape.members[name]) for name in shape.required}
    return [example_of(shape.member)] if shape.kind == "list" else example(shape)


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
