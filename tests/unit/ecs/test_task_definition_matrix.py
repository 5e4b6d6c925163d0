"""The validation matrix of RegisterTaskDefinition, a row a rule.

Sources: [D] botocore ecs shapes RegisterTaskDefinitionRequest, ContainerDefinition,
PortMapping, Volume and the developer guide's "Task definition parameters" and "Task
size"; [O] texts recorded from real answers. A row without text is a rule whose wording
at AWS is not recorded: only the refusal is pinned.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.kit.task_definitions import ECR_IMAGE, ROLE, SETTINGS, container, fargate, registered, request

from homeport.services.ecs.errors import ClientException
from homeport.services.ecs.plan.task_definition import Settings, normalise
from homeport.services.ecs.plan.task_definition.sizes import FARGATE_SIZES

GUIDE = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
SECRETS_NEED_ROLE = (
    "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
)
AWSLOGS = {
    "logDriver": "awslogs",
    "options": {"awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "ecs"},
}
SECRET = {"name": "S", "valueFrom": "/param"}
HEALTH = {"command": ["CMD-SHELL", "true"]}
NEURON = [{"type": "NeuronDevice", "value": "ALL"}]
SHARED_GPU = [{"type": "GPU", "sharingStrategy": {"nvidiaMps": {"memory": 1}}}]
ACCELERATORS = [{"deviceName": "d", "deviceType": "eia1.medium"}]


def ports(*mappings: dict[str, Any], **members: Any) -> dict[str, Any]:
    return request(container(portMappings=list(mappings)), **members)


def linux(**parameters: Any) -> dict[str, Any]:
    return request(container(linuxParameters=parameters))


def volume(**members: Any) -> dict[str, Any]:
    return request(volumes=[{"name": "v", **members}])


def efs(**members: Any) -> dict[str, Any]:
    return volume(efsVolumeConfiguration={"fileSystemId": "fs-1", **members})


def log(driver: str, **options: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in options.items()}
    return request(container(logConfiguration={"logDriver": driver, "options": named}))


def depends(condition: str, **target: Any) -> dict[str, Any]:
    return request(
        container(name="a", dependsOn=[{"containerName": "b", "condition": condition}]),
        container(name="b", **target),
    )


# (name, request, text that the refusal is or contains, or None)
REFUSED: tuple[tuple[str, dict[str, Any], str | None], ...] = (
    # names, images, lists
    ("name missing [O]", request(container(name=None)), "Container.name should not be null or empty."),
    ("image missing [O]", request(container(image=None)), "Container.image should not be null or empty."),
    ("image empty [O]", request(container(image="")), "Container.image should not be null or empty."),
    ("no containers [D]", {"family": "app", "containerDefinitions": []}, "list cannot be empty"),
    ("family missing [D]", {"containerDefinitions": [container()]}, None),
    ("family with a dot [D]", request(family="a.b"), None),
    ("family of 256 characters [D]", request(family="a" * 256), None),
    ("duplicate names [I]", request(container(), container()), "Container.name contains duplicates."),
    ("name with a space [D]", request(container(name="a b")), None),
    ("image with a template [D]", request(container(image="app:{{ tag }}")), None),
    ("image tag form over 255 [D]", request(container(image="a" * 256)), None),
    ("image digest too short [D]", request(container(image="app@sha256:abc")), None),
    ("11 containers [D quotas]", request(*(container(name=f"c{i}") for i in range(11))), None),
    ("none essential [D]", request(container(essential=False)), None),
    ("64 KB [D quotas]", request(container(environment=[{"name": "A", "value": "x" * 65536}])), None),
    ("environment without name", request(container(environment=[{"value": "x"}])), None),
    # sizes
    ("cpu below range [D]", request(cpu="127"), f"Invalid 'cpu' setting for task. {GUIDE}"),
    ("cpu above range [D]", request(cpu="196609"), f"Invalid 'cpu' setting for task. {GUIDE}"),
    ("cpu no number [D]", request(cpu="many"), f"Invalid 'cpu' setting for task. {GUIDE}"),
    ("cpu not whole [D]", request(cpu=".3 vCPU"), f"Invalid 'cpu' setting for task. {GUIDE}"),
    ("memory of 3 MiB", request(memory="3"), f"Invalid 'memory' setting for task. {GUIDE}"),
    ("memory no number [D]", request(memory="1 TB"), f"Invalid 'memory' setting for task. {GUIDE}"),
    (
        "no memory at all [D]",
        request(container(memory=None)),
        "Invalid setting for container 'web'. At least one of 'memory' or 'memoryReservation' "
        "must be specified.",
    ),
    ("no memory, EXTERNAL [D]", request(container(memory=0), requiresCompatibilities=["EXTERNAL"]), None),
    ("soft above hard [D]", request(container(memory=64, memoryReservation=65)), None),
    ("memory under 4 MiB [D]", request(container(memory=3)), None),
    ("cpu negative", request(container(cpu=-1)), None),
    ("cpu over the kernel's [D]", request(container(cpu=262_145)), None),
    ("sum of cpu [D]", request(container(cpu=100), container(name="b", cpu=57), cpu="156"), None),
    ("sum of memory [D]", request(container(), container(name="b", memory=65), memory="128"), None),
    ("one container's limit [D]", request(container(memory=129, memoryReservation=4), memory="128"), None),
    # fargate
    (
        "fargate mode [O]",
        fargate(networkMode="bridge"),
        "Fargate only supports network mode ‘awsvpc’.",  # noqa: RUF001
    ),
    (
        "fargate mode default [O]",
        fargate(networkMode=None),
        "Fargate only supports network mode ‘awsvpc’.",  # noqa: RUF001
    ),
    ("fargate cpu [O]", fargate(cpu=None), "Fargate requires that 'cpu' be defined at the task level."),
    (
        "fargate memory [O]",
        fargate(memory=None),
        "Fargate requires that 'memory' be defined at the task level.",
    ),
    (
        "fargate sizes [D]",
        fargate(memory="4096"),
        "No Fargate configuration exists for given values: 256 CPU, 4096 memory. "
        "See the Amazon ECS documentation for the valid values.",
    ),
    (
        "fargate sizes with EC2 too [D]",
        fargate(memory="4096", requiresCompatibilities=["EC2", "FARGATE"]),
        None,
    ),
    (
        "fargate windows cpu [D]",
        fargate(runtimePlatform={"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}),
        None,
    ),
    (
        "fargate ecr [O]",
        fargate(container(memory=None, image=ECR_IMAGE)),
        "Fargate requires task definition to have execution role ARN to support ECR images.",
    ),
    (
        "fargate awslogs [O]",
        fargate(container(memory=None, logConfiguration=AWSLOGS)),
        "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
    ),
    (
        "fargate awslogs prefix [D]",
        fargate(
            container(
                memory=None,
                logConfiguration={
                    "logDriver": "awslogs",
                    "options": {"awslogs-group": "g", "awslogs-region": "us-east-1"},
                },
            ),
            executionRoleArn=ROLE,
        ),
        "awslogs-stream-prefix",
    ),
    ("fargate pidMode host [D]", fargate(pidMode="host"), None),
    ("fargate ipcMode [D]", fargate(ipcMode="task"), None),
    (
        "fargate constraints [D]",
        fargate(placementConstraints=[{"type": "memberOf", "expression": "a == b"}]),
        None,
    ),
    ("fargate sourcePath [D]", fargate(volumes=[{"name": "v", "host": {"sourcePath": "/srv"}}]), None),
    ("fargate docker volume [D]", fargate(volumes=[{"name": "v", "dockerVolumeConfiguration": {}}]), None),
    *(
        (f"fargate {key} [D]", fargate(container(memory=None, **{key: value})), None)
        for key, value in (
            ("privileged", True),
            ("dockerSecurityOptions", ["no-new-privileges"]),
            ("dnsServers", ["10.0.0.2"]),
            ("stopTimeout", 121),
            ("startTimeout", 1),
            ("logConfiguration", {"logDriver": "json-file"}),
            ("resourceRequirements", [{"type": "GPU", "value": "1"}]),
        )
    ),
    *(
        (
            f"fargate linuxParameters.{key} [D]",
            fargate(container(memory=64, linuxParameters={key: value})),
            None,
        )
        for key, value in (
            ("devices", [{"hostPath": "/dev/fuse"}]),
            ("sharedMemorySize", 8),
            ("maxSwap", 8),
            ("swappiness", 8),
            ("capabilities", {"add": ["NET_ADMIN"]}),
        )
    ),
    (
        "fargate firelens s3 [D]",
        fargate(
            container(
                memory=None,
                firelensConfiguration={
                    "type": "fluentbit",
                    "options": {"config-file-type": "s3", "config-file-value": "arn:aws:s3:::b/f.conf"},
                },
            )
        ),
        None,
    ),
    ("fargate ephemeralStorage low [O]", fargate(ephemeralStorage={"sizeInGiB": 20}), "at least 21"),
    ("fargate ephemeralStorage high [O]", fargate(ephemeralStorage={"sizeInGiB": 201}), "at most 200"),
    # dependencies
    (
        "dependsOn unknown [D]",
        request(container(dependsOn=[{"containerName": "b", "condition": "START"}])),
        None,
    ),
    (
        "dependsOn itself [D]",
        request(container(dependsOn=[{"containerName": "web", "condition": "START"}])),
        "depends on itself",
    ),
    (
        "dependsOn cycle [D]",
        request(
            container(name="a", dependsOn=[{"containerName": "b", "condition": "START"}]),
            container(name="b", dependsOn=[{"containerName": "a", "condition": "START"}]),
        ),
        "a -> b -> a",
    ),
    (
        "cycle over two kinds (the agent refuses it)",
        request(
            container(name="a", dependsOn=[{"containerName": "b", "condition": "START"}]),
            container(name="b", links=["a"]),
        ),
        None,
    ),
    ("condition unknown [D]", depends("LATER"), "LATER"),
    ("COMPLETE of an essential [D]", depends("COMPLETE"), None),
    ("SUCCESS of an essential [D]", depends("SUCCESS"), None),
    ("HEALTHY without a check [D]", depends("HEALTHY"), None),
    ("links unknown [D]", request(container(links=["ghost"])), None),
    ("links cycle [D]", request(container(name="a", links=["b"]), container(name="b", links=["a"])), None),
    (
        "links in host mode [D]",
        request(container(name="a", links=["b"]), container(name="b"), networkMode="host"),
        None,
    ),
    ("volumesFrom unknown [D]", request(container(volumesFrom=[{"sourceContainer": "ghost"}])), None),
    ("volumesFrom itself", request(container(volumesFrom=[{"sourceContainer": "web"}])), "names itself"),
    # network
    (
        "host ports [O]",
        ports({"containerPort": 80, "hostPort": 81}, networkMode="host"),
        "When networkMode=host, the host ports and container ports in port mappings must match.",
    ),
    (
        "awsvpc ports [O]",
        ports({"containerPort": 80, "hostPort": 81}, networkMode="awsvpc"),
        "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
    ),
    ("none with ports [D]", ports({"containerPort": 80}, networkMode="none"), None),
    (
        "two protocols of a port [D]",
        ports({"containerPort": 80, "protocol": "tcp"}, {"containerPort": 80, "protocol": "udp"}),
        None,
    ),
    (
        "a host port twice [D]",
        request(
            container(name="a", portMappings=[{"containerPort": 80, "hostPort": 8080}]),
            container(name="b", portMappings=[{"containerPort": 81, "hostPort": 8080}]),
        ),
        "Host port 8080/tcp",
    ),
    ("protocol unknown [D]", ports({"containerPort": 80, "protocol": "sctp"}), "sctp"),
    ("port 0", ports({"containerPort": 0}), None),
    ("port 65536", ports({"containerPort": 65536}), None),
    ("host port negative", ports({"containerPort": 1, "hostPort": -1}), None),
    ("no port", ports({"hostPort": 80}), None),
    ("range backwards [D]", ports({"containerPortRange": "10-9"}), None),
    ("range of one [D]", ports({"containerPortRange": "9-9"}), None),
    ("range too high [D]", ports({"containerPortRange": "1-65536"}), None),
    ("range and port [D]", ports({"containerPortRange": "1-9", "containerPort": 4}), None),
    ("range and host port [D]", ports({"containerPortRange": "1-9", "hostPort": 4}), None),
    ("range in host mode [D]", ports({"containerPortRange": "1-9"}, networkMode="host"), None),
    ("ranges overlap [D]", ports({"containerPortRange": "1-9"}, {"containerPortRange": "9-12"}), None),
    ("range over a port [D]", ports({"containerPortRange": "1-9"}, {"containerPort": 5}), None),
    (
        "101 ranges [D]",
        ports(*({"containerPortRange": f"{10 * i + 1}-{10 * i + 2}"} for i in range(101))),
        None,
    ),
    ("port name upper case [D]", ports({"containerPort": 80, "name": "HTTP"}), None),
    ("port name with hyphen first [D]", ports({"containerPort": 80, "name": "-a"}), None),
    ("port name twice", ports({"containerPort": 80, "name": "a"}, {"containerPort": 81, "name": "a"}), None),
    ("hostname in awsvpc [D]", request(container(hostname="h"), networkMode="awsvpc"), None),
    (
        "extraHosts in awsvpc [D]",
        request(container(extraHosts=[{"hostname": "h", "ipAddress": "10.0.0.1"}]), networkMode="awsvpc"),
        None,
    ),
    ("unknown mode [D]", request(networkMode="default"), None),
    ("pidMode unknown [D]", request(pidMode="none"), None),
    ("ipcMode unknown [D]", request(ipcMode="shareable"), None),
    (
        "proxy container unknown [D]",
        request(networkMode="awsvpc", proxyConfiguration={"containerName": "x"}),
        None,
    ),
    (
        "proxy type unknown [D]",
        request(networkMode="awsvpc", proxyConfiguration={"type": "ENVOY", "containerName": "web"}),
        "APPMESH",
    ),
    ("proxy outside awsvpc [D]", request(proxyConfiguration={"containerName": "web"}), None),
    (
        "net sysctl in host mode [D]",
        request(
            container(systemControls=[{"namespace": "net.core.somaxconn", "value": "1"}]), networkMode="host"
        ),
        None,
    ),
    (
        "ipc sysctl with the host's ipc [D]",
        request(container(systemControls=[{"namespace": "kernel.msgmax", "value": "1"}]), ipcMode="host"),
        None,
    ),
    (
        "sysctl of no namespace [D]",
        request(container(systemControls=[{"namespace": "vm.swappiness", "value": "1"}])),
        None,
    ),
    (
        "sysctl without a value",
        request(container(systemControls=[{"namespace": "net.core.somaxconn"}])),
        None,
    ),
    # roles and secrets
    ("role malformed [O]", request(taskRoleArn="<taskRoleArn>"), "Role is not valid"),
    ("role of no account [O]", request(executionRoleArn="arn:aws:iam::1111:role/r"), "Role is not valid"),
    ("secrets without role [O]", request(container(secrets=[SECRET])), SECRETS_NEED_ROLE),
    (
        "secretOptions without role [O]",
        request(container(logConfiguration={"logDriver": "syslog", "secretOptions": [SECRET]})),
        SECRETS_NEED_ROLE,
    ),
    (
        "secret named as a variable [O]",
        request(
            container(secrets=[SECRET], environment=[{"name": "S", "value": "x"}]), executionRoleArn=ROLE
        ),
        "The secret name must be unique and not shared with any new or existing environment variables "
        "set on the container, such as 'S'.",
    ),
    ("secret twice [O]", request(container(secrets=[SECRET, SECRET]), executionRoleArn=ROLE), "such as 'S'"),
    (
        "secret without a name",
        request(container(secrets=[{"name": "", "valueFrom": "/p"}]), executionRoleArn=ROLE),
        "needs a name",
    ),
    (
        "repositoryCredentials without role",
        request(container(repositoryCredentials={"credentialsParameter": "arn:x"})),
        None,
    ),
    (
        "environment file suffix [D]",
        request(container(environmentFiles=[{"value": "arn:aws:s3:::b/a.txt", "type": "s3"}])),
        None,
    ),
    (
        "11 environment files [D]",
        request(
            container(
                environmentFiles=[{"value": f"arn:aws:s3:::b/{i}.env", "type": "s3"} for i in range(11)]
            )
        ),
        None,
    ),
    (
        "two credentialSpecs [D]",
        request(container(credentialSpecs=["credentialspec:a", "credentialspec:b"])),
        None,
    ),
    # logs
    ("awslogs without group [D]", log("awslogs", awslogs_region="us-east-1"), "awslogs-group"),
    ("awslogs without region [D]", log("awslogs", awslogs_group="g"), "awslogs-region"),
    ("splunk without token [D]", log("splunk", splunk_url="https://x"), "splunk-token"),
    ("log mode [D]", log("json-file", mode="sometimes"), None),
    *(
        (
            f"firelens buffer {limit} [D]",
            request(
                container(
                    logConfiguration={
                        "logDriver": "awsfirelens",
                        "options": {"log-driver-buffer-limit": limit},
                    }
                ),
                container(name="router", firelensConfiguration={"type": "fluentd"}),
            ),
            "log-driver-buffer-limit",
        )
        for limit in ("536870912", "-1", "²", "lots")
    ),
    ("log driver unknown [D]", log("carrier-pigeon"), "carrier-pigeon"),
    (
        "firelens metadata flag [D]",
        request(
            container(
                firelensConfiguration={"type": "fluentd", "options": {"enable-ecs-log-metadata": "maybe"}}
            )
        ),
        "must be true or false",
    ),
    (
        "awsfirelens without a router [D]",
        request(container(logConfiguration={"logDriver": "awsfirelens"})),
        None,
    ),
    (
        "two routers [D]",
        request(
            container(name="a", firelensConfiguration={"type": "fluentd"}),
            container(name="b", firelensConfiguration={"type": "fluentd"}),
        ),
        None,
    ),
    (
        "firelens option [D]",
        request(container(firelensConfiguration={"type": "fluentd", "options": {"colour": "x"}})),
        None,
    ),
    (
        "firelens file type without value [D]",
        request(
            container(firelensConfiguration={"type": "fluentd", "options": {"config-file-type": "file"}})
        ),
        None,
    ),
    # volumes
    ("volume twice [D]", request(volumes=[{"name": "v"}, {"name": "v"}]), None),
    ("volume name [D]", request(volumes=[{"name": "a/b"}]), None),
    ("volume of two kinds [D]", volume(host={}, dockerVolumeConfiguration={}), None),
    (
        "two configuredAtLaunch [D]",
        request(
            volumes=[{"name": "a", "configuredAtLaunch": True}, {"name": "b", "configuredAtLaunch": True}]
        ),
        None,
    ),
    (
        "volume unknown [D]",
        request(container(mountPoints=[{"sourceVolume": "X", "containerPath": "/x"}])),
        "'X'",
    ),
    (
        "containerPath relative",
        request(
            container(mountPoints=[{"sourceVolume": "v", "containerPath": "x"}]), volumes=[{"name": "v"}]
        ),
        None,
    ),
    ("sourcePath relative", volume(host={"sourcePath": "srv"}), None),
    ("autoprovision of a task's volume [D]", volume(dockerVolumeConfiguration={"autoprovision": True}), None),
    ("efs iam without encryption [D]", efs(authorizationConfig={"iam": "ENABLED"}), None),
    ("efs access point without encryption [D]", efs(authorizationConfig={"accessPointId": "fsap-1"}), None),
    (
        "efs access point and root [D]",
        efs(
            authorizationConfig={"accessPointId": "fsap-1"},
            transitEncryption="ENABLED",
            rootDirectory="/data",
        ),
        None,
    ),
    ("efs port without encryption [D]", efs(transitEncryptionPort=2999), None),
    ("s3files without task role [D]", volume(s3filesVolumeConfiguration={"fileSystemArn": "arn:x"}), None),
    (
        "s3files access point and root [D]",
        {
            **volume(
                s3filesVolumeConfiguration={
                    "fileSystemArn": "arn:x",
                    "accessPointArn": "arn:y",
                    "rootDirectory": "/d",
                }
            ),
            "taskRoleArn": ROLE,
        },
        None,
    ),
    # details of a container
    ("health command [D]", request(container(healthCheck={"command": ["true"]})), None),
    ("health command without a word [D]", request(container(healthCheck={"command": ["CMD"]})), None),
    *(
        (f"health {key} {value} [D]", request(container(healthCheck={**HEALTH, key: value})), None)
        for key, values in (
            ("interval", (4, 301)),
            ("timeout", (1, 61)),
            ("retries", (0, 11)),
            ("startPeriod", (-1, 301)),
        )
        for value in values
    ),
    *(
        (
            f"restart period {value} [D]",
            request(container(restartPolicy={"enabled": True, "restartAttemptPeriod": value})),
            None,
        )
        for value in (59, 1801)
    ),
    (
        "51 ignored exit codes [D]",
        request(container(restartPolicy={"enabled": True, "ignoredExitCodes": list(range(51))})),
        None,
    ),
    ("stopTimeout negative", request(container(stopTimeout=-1)), None),
    ("capability unknown [D]", linux(capabilities={"add": ["FLY"]}), None),
    ("swappiness 101 [D]", linux(maxSwap=1, swappiness=101), None),
    ("maxSwap negative [D]", linux(maxSwap=-1), None),
    (
        "maxSwap without a hard limit [I]",
        request(container(memory=None, memoryReservation=64, linuxParameters={"maxSwap": 1})),
        "maxSwap",
    ),
    (
        "extraHosts without an address",
        request(container(extraHosts=[{"hostname": "h", "ipAddress": ""}])),
        "extraHosts",
    ),
    ("shm 0", linux(sharedMemorySize=0), None),
    (
        "tmpfs option unknown [D]",
        linux(tmpfs=[{"containerPath": "/t", "size": 1, "mountOptions": ["fast"]}]),
        None,
    ),
    ("tmpfs relative [D]", linux(tmpfs=[{"containerPath": "t", "size": 1}]), None),
    ("tmpfs of nothing", linux(tmpfs=[{"containerPath": "/t", "size": 0}]), None),
    ("device relative", linux(devices=[{"hostPath": "fuse"}]), None),
    (
        "ulimit soft above hard",
        request(container(ulimits=[{"name": "nofile", "softLimit": 2, "hardLimit": 1}])),
        None,
    ),
    ("security option unknown [D]", request(container(dockerSecurityOptions=["trust-me"])), None),
    # devices and placement
    ("GPU of zero [D]", request(container(resourceRequirements=[{"type": "GPU", "value": "0"}])), None),
    (
        "GPU of a footnote",
        request(container(resourceRequirements=[{"type": "GPU", "value": "²"}])),
        "GPU needs",
    ),
    ("GPU of no value [D]", request(container(resourceRequirements=[{"type": "GPU"}])), "needs a value"),
    (
        "GPU shared and counted [D]",
        request(
            container(
                resourceRequirements=[
                    {"type": "GPU", "value": "1", "sharingStrategy": {"nvidiaMps": {"memory": 1}}}
                ]
            )
        ),
        "instead of a value",
    ),
    *(
        (
            f"neuron devices: {name} [D]",
            request(*containers, networkMode="host", requiresCompatibilities=["MANAGED_INSTANCES"]),
            text,
        )
        for name, containers, text in (
            (
                "one",
                [container(resourceRequirements=[{"type": "NeuronDevice", "value": "1"}])],
                "must be ALL",
            ),
            ("two containers", [container(name=n, resourceRequirements=NEURON) for n in "ab"], "Only one"),
        )
    ),
    ("GPU of half [D]", request(container(resourceRequirements=[{"type": "GPU", "value": "0.5"}])), None),
    (
        "accelerator undeclared [D]",
        request(container(resourceRequirements=[{"type": "InferenceAccelerator", "value": "d"}])),
        None,
    ),
    (
        "neuron on EC2 [D]",
        request(container(resourceRequirements=[{"type": "NeuronDevice", "value": "ALL"}])),
        None,
    ),
    (
        "11 constraints [D]",
        request(placementConstraints=[{"type": "memberOf", "expression": "a == b"}] * 11),
        None,
    ),
    (
        "expression of 2001 characters [D]",
        request(placementConstraints=[{"type": "memberOf", "expression": "a" * 2001}]),
        None,
    ),
    (
        "expression that does not parse [D]",
        request(placementConstraints=[{"type": "memberOf", "expression": "attribute:a in ["}]),
        None,
    ),
    # launch types
    ("EXTERNAL in awsvpc [D]", request(networkMode="awsvpc", requiresCompatibilities=["EXTERNAL"]), None),
    ("EXTERNAL with EFS [D]", {**efs(), "requiresCompatibilities": ["EXTERNAL"]}, None),
    ("MANAGED_INSTANCES in bridge [D]", request(requiresCompatibilities=["MANAGED_INSTANCES"]), None),
    *(
        (f"EXTERNAL with {name} [D]", {**asked, "requiresCompatibilities": ["EXTERNAL"]}, "External")
        for name, asked in (
            ("Service Connect", ports({"containerPort": 80, "appProtocol": "http"})),
            ("GPU sharing", request(container(resourceRequirements=SHARED_GPU))),
            ("accelerators", request(inferenceAccelerators=ACCELERATORS)),
        )
    ),
    *(
        (
            f"MANAGED_INSTANCES with {name} [D]",
            {**asked, "networkMode": "host", "requiresCompatibilities": ["MANAGED_INSTANCES"]},
            "Managed instances do not",
        )
        for name, asked in (
            ("Windows", request(runtimePlatform={"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"})),
            ("accelerators", request(inferenceAccelerators=ACCELERATORS)),
            ("journald", log("journald")),
            ("FSx", volume(fsxWindowsFileServerVolumeConfiguration={"fileSystemId": "fs-1"})),
        )
    ),
    ("launch type unknown [D]", request(requiresCompatibilities=["LAMBDA"]), None),
    (
        "trusted execution on EC2 [D]",
        request(trustedExecutionConfiguration={"isolationMode": "SHARED"}),
        None,
    ),
    (
        "confidential without a policy [D]",
        request(
            networkMode="host",
            requiresCompatibilities=["MANAGED_INSTANCES"],
            trustedExecutionConfiguration={"isolationMode": "CONFIDENTIAL_SANDBOX"},
        ),
        None,
    ),
    (
        "pidMode on Windows [D]",
        request(pidMode="task", runtimePlatform={"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}),
        None,
    ),
    (
        "linuxParameters on Windows [D]",
        request(
            container(linuxParameters={"initProcessEnabled": True}),
            runtimePlatform={"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"},
        ),
        None,
    ),
)


@pytest.mark.parametrize(("asked", "text"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_row_of_the_matrix_is_refused(asked: dict[str, Any], text: str | None) -> None:
    with pytest.raises(ClientException) as refusal:
        normalise(asked, settings=SETTINGS)
    assert refusal.value.message
    if text is not None:
        assert text in refusal.value.message


def test_the_rows_have_different_names() -> None:
    assert len({row[0] for row in REFUSED}) == len(REFUSED)


# The neighbours of the rows above: what is just allowed. (name, request)
ACCEPTED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("cpu at its ends [D]", request(cpu="128")),
    ("cpu at its other end [D]", request(cpu="196608")),
    ("family of 255 characters [D]", request(family="a" * 255)),
    ("10 containers [D]", request(*(container(name=f"c{i}") for i in range(10)))),
    ("a task's memory is enough [D]", request(container(memory=None), memory="128")),
    ("a soft limit is enough [D]", request(container(memory=None, memoryReservation=64))),
    ("soft equals hard", request(container(memory=64, memoryReservation=64))),
    ("sums are equal [D]", request(container(cpu=128), cpu="128", memory="64")),
    ("image by digest [D]", request(container(image=f"app@sha256:{'a' * 64}"))),
    ("image with a port and #", request(container(image="127.0.0.1:5000/a/b#c:1"))),
    (
        "same host port, two protocols",
        ports({"containerPort": 80, "hostPort": 9}, {"containerPort": 81, "hostPort": 9, "protocol": "udp"}),
    ),
    ("dynamic ports twice [D]", ports({"containerPort": 80}, {"containerPort": 81, "hostPort": 0})),
    ("awsvpc links nothing", request(container(portMappings=[{"containerPort": 80}]), networkMode="awsvpc")),
    ("range in bridge [D]", ports({"containerPortRange": "1-9"}, {"containerPort": 10})),
    ("COMPLETE of a helper [D]", depends("COMPLETE", essential=False)),
    ("HEALTHY with a check [D]", depends("HEALTHY", healthCheck=HEALTH)),
    ("START of an essential [D]", depends("START")),
    (
        "efs with all [D]",
        efs(
            authorizationConfig={"accessPointId": "fsap-1", "iam": "ENABLED"},
            transitEncryption="ENABLED",
            rootDirectory="/",
        ),
    ),
    (
        "shared and autoprovisioned [D]",
        volume(dockerVolumeConfiguration={"scope": "shared", "autoprovision": True}),
    ),
    (
        "fargate sys_ptrace [D]",
        fargate(
            container(memory=None, linuxParameters={"capabilities": {"add": ["SYS_PTRACE"], "drop": ["ALL"]}})
        ),
    ),
    ("fargate pidMode task [D]", fargate(pidMode="task")),
    (
        "fargate awslogs with role [D]",
        fargate(container(memory=None, logConfiguration=AWSLOGS), executionRoleArn=ROLE),
    ),
    ("fargate storage ends [D]", fargate(ephemeralStorage={"sizeInGiB": 21})),
    ("fargate storage other end [D]", fargate(ephemeralStorage={"sizeInGiB": 200})),
    (
        "splunk token as a secret [D]",
        request(
            container(
                logConfiguration={
                    "logDriver": "splunk",
                    "options": {"splunk-url": "u"},
                    "secretOptions": [{"name": "splunk-token", "valueFrom": "/t"}],
                }
            ),
            executionRoleArn=ROLE,
        ),
    ),
    ("unlimited ulimit", request(container(ulimits=[{"name": "core", "softLimit": -1, "hardLimit": -1}]))),
    (
        "uneven timeouts (an agent's own test)",
        request(container(healthCheck={**HEALTH, "interval": 5, "timeout": 50})),
    ),
    (
        "Windows on EC2 [D]",
        request(
            volumes=[{"name": "v", "host": {"sourcePath": "C:\\data"}}],
            runtimePlatform={"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"},
        ),
    ),
)


@pytest.mark.parametrize("asked", [row[1] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_the_neighbour_of_a_row_is_registered(asked: dict[str, Any]) -> None:
    assert normalise(asked, settings=SETTINGS)["family"]


@pytest.mark.parametrize(
    ("given", "stored"),
    [("256", "256"), (".25 vCPU", "256"), ("0.5 vcpu", "512"), ("1vCPU", "1024"), (" 2 VCPU ", "2048")],
)
def test_cpu_is_stored_in_units(given: str, stored: str) -> None:
    """Source: RegisterTaskDefinitionRequest.cpu."""
    assert registered(cpu=given)["cpu"] == stored


@pytest.mark.parametrize(
    ("given", "stored"), [("512", "512"), ("0.5GB", "512"), ("1 GB", "1024"), ("1gb", "1024")]
)
def test_memory_is_stored_in_mebibytes(given: str, stored: str) -> None:
    """Source: RegisterTaskDefinitionRequest.memory."""
    assert registered(memory=given)["memory"] == stored


@pytest.mark.parametrize("cpu", FARGATE_SIZES)
def test_fargate_has_exactly_the_documented_sizes(cpu: int) -> None:
    """Source: developer guide, "Task size"; all its sizes are multiples of 512 MiB."""
    accepted = set()
    for memory in range(512, 250_880, 512):
        try:
            normalise(fargate(cpu=str(cpu), memory=str(memory)), settings=SETTINGS)
        except ClientException:
            continue
        accepted.add(memory)
    assert accepted == FARGATE_SIZES[cpu]
    assert accepted == DOCUMENTED[cpu]


DOCUMENTED = {
    256: {512, 1024, 2048},
    512: {1024, 2048, 3072, 4096},
    1024: {1024 * gb for gb in range(2, 9)},
    2048: {1024 * gb for gb in range(4, 17)},
    4096: {1024 * gb for gb in range(8, 31)},
    8192: {1024 * gb for gb in range(16, 61, 4)},
    16384: {1024 * gb for gb in range(32, 121, 8)},
    32768: {1024 * gb for gb in (60, 120, 244)},
}


def test_32_vcpu_can_be_switched_off() -> None:
    asked = fargate(cpu="32 vCPU", memory="120 GB")
    assert normalise(asked, settings=SETTINGS)["cpu"] == "32768"
    without = Settings(region="us-east-1", account_id="000000000000", fargate_32vcpu=False)
    with pytest.raises(ClientException, match="No Fargate configuration exists"):
        normalise(asked, settings=without)


@pytest.mark.parametrize(
    ("asked", "launch_types"),
    [
        (request(), ["EXTERNAL", "EC2"]),
        (request(networkMode="host"), ["EXTERNAL", "EC2", "MANAGED_INSTANCES"]),
        (request(networkMode="awsvpc"), ["EC2", "MANAGED_INSTANCES"]),
        (fargate(), ["EC2", "FARGATE", "MANAGED_INSTANCES"]),
        (fargate(requiresCompatibilities=None), ["EC2", "FARGATE", "MANAGED_INSTANCES"]),
        (efs(), ["EC2"]),
    ],
)
def test_compatibilities_are_everything_that_it_validates_for(
    asked: dict[str, Any], launch_types: list[str]
) -> None:
    """Source: TaskDefinition.compatibilities; the orders are recorded."""
    assert normalise(asked, settings=SETTINGS)["compatibilities"] == launch_types


def test_a_short_role_name_becomes_the_accounts_role() -> None:
    """Source: RegisterTaskDefinitionRequest.taskRoleArn, "short name or full ARN"."""
    assert registered(taskRoleArn="runs-tasks")["taskRoleArn"] == ROLE


def test_the_servers_expression_parser_decides_about_constraints() -> None:
    def never(expression: str) -> object:
        raise ValueError(f"no {expression} here")

    settings = Settings(region="us-east-1", account_id="000000000000", check_expression=never)
    with pytest.raises(ClientException, match="no a == b here"):
        normalise(
            request(placementConstraints=[{"type": "memberOf", "expression": "a == b"}]), settings=settings
        )
