"""Requests to ECS that are accepted, which together hold every member that is honoured."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

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
