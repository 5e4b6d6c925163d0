"""A container definition as the payload's container."""

from __future__ import annotations

from typing import Any

from homeport.agentproto.messages import (
    Container,
    ContainerDependency,
    EnvironmentFile,
    FirelensConfiguration,
    MountPoint,
    PortMapping,
    RegistryAuthentication,
    RestartPolicy,
    Secret,
    VolumeFrom,
)
from homeport.core.arn import MalformedArnError, parse_arn
from homeport.services.ecs.plan.payload.docker import docker_config
from homeport.services.ecs.plan.payload.identity import TaskIdentity
from homeport.services.ecs.plan.task_definition.references import ecr_image, secret_provider
from homeport.services.ecs.plan.task_definition.settings import Document

EXECUTION_ENVIRONMENT = "AWS_EXECUTION_ENV"
_EXECUTION_ENVIRONMENTS = {"FARGATE": "AWS_ECS_FARGATE", "MANAGED_INSTANCES": "AWS_ECS_MANAGED_INSTANCES"}


def render_container(definition: Document, container: Document, identity: TaskIdentity) -> Container:
    """One container, overrides already merged in."""
    name = container["name"]
    has_role = bool(definition.get("executionRoleArn"))
    driver = container.get("logConfiguration", {}).get("logDriver")
    return Container(
        name=name,
        image=container["image"],
        essential=container["essential"],
        cpu=container["cpu"],
        memory=container.get("memory", 0),
        command=_texts(container, "command"),
        entry_point=_texts(container, "entryPoint"),
        environment=_environment(container, identity),
        environment_files=tuple(
            EnvironmentFile(value=file["value"], type=file["type"])
            for file in container.get("environmentFiles", ())
        ),
        links=tuple(container.get("links", ())),
        volumes_from=tuple(
            VolumeFrom(source_container=source["sourceContainer"], read_only=source.get("readOnly", False))
            for source in container["volumesFrom"]
        ),
        mount_points=tuple(
            MountPoint(
                source_volume=mount["sourceVolume"],
                container_path=mount["containerPath"],
                read_only=mount.get("readOnly", False),
            )
            for mount in container["mountPoints"]
        ),
        port_mappings=_ports(container, definition["networkMode"]),
        depends_on=tuple(
            ContainerDependency(container_name=d["containerName"], condition=d["condition"])
            for d in container.get("dependsOn", ())
        ),
        start_timeout=container.get("startTimeout"),
        stop_timeout=container.get("stopTimeout"),
        secrets=_secrets(container, identity),
        registry_authentication=_registry(container, identity.region, has_role=has_role),
        logs_auth_strategy="ExecutionRole" if has_role and driver == "awslogs" else None,
        health_check_type="docker" if "healthCheck" in container else None,
        restart_policy=_restart_policy(container.get("restartPolicy")),
        firelens_configuration=_firelens(container.get("firelensConfiguration")),
        docker_config=docker_config(definition, container, identity),
        container_arn=identity.container_arns.get(name, ""),
    )


def _texts(container: Document, key: str) -> tuple[str, ...] | None:
    """An empty list says the same as none: the image's own."""
    return tuple(container[key]) if container.get(key) else None


def _environment(container: Document, identity: TaskIdentity) -> dict[str, str]:
    """The agent does not inject AWS_EXECUTION_ENV; the last of equal names wins."""
    mark = _EXECUTION_ENVIRONMENTS.get(identity.launch_type, "AWS_ECS_EC2")
    given = {variable["name"]: variable.get("value", "") for variable in container["environment"]}
    return {EXECUTION_ENVIRONMENT: mark, **given}


def _ports(container: Document, mode: str) -> tuple[PortMapping, ...]:
    """None for awsvpc: Docker refuses to publish ports into a shared network namespace."""
    if mode == "awsvpc":
        return ()
    return tuple(
        PortMapping(
            container_port=mapping.get("containerPort", 0),
            host_port=mapping.get("hostPort", 0),
            container_port_range=mapping.get("containerPortRange"),
            protocol=mapping["protocol"],
        )
        for mapping in container["portMappings"]
    )


def _secrets(container: Document, identity: TaskIdentity) -> tuple[Secret, ...]:
    options = container.get("logConfiguration", {}).get("secretOptions", ())
    return (
        *(_secret(secret, identity, "CONTAINER") for secret in container.get("secrets", ())),
        *(_secret(secret, identity, "LOG_DRIVER") for secret in options),
    )


def _region_of(text: str, region: str) -> str:
    """What is no ARN is looked for here; whoever fetches it says what is wrong with it."""
    try:
        return parse_arn(text).region or region
    except MalformedArnError:
        return region


def _secret(secret: Document, identity: TaskIdentity, target: str) -> Secret:
    value_from, provider = secret["valueFrom"], secret_provider(secret["valueFrom"])
    return Secret(
        name=secret["name"],
        value_from=_parameter(value_from, identity) if provider == "ssm" else value_from,
        region=_region_of(value_from, identity.region),
        provider=provider,
        target=target,
    )


def _parameter(value_from: str, identity: TaskIdentity) -> str:
    """The name in a parameter's ARN, by which the real agent looks for it in the answer.

    An ARN does not tell the path `/db` from the name `db`: what has one level goes as it is.
    """
    try:
        arn = parse_arn(value_from)
    except MalformedArnError:
        return value_from
    name = arn.resource.removeprefix("parameter")
    ours = arn.service == "ssm" and arn.account_id == identity.account_id
    return name if ours and name.startswith("/") and name.count("/") > 1 else value_from


def _registry(container: Document, region: str, *, has_role: bool) -> RegistryAuthentication | None:
    credentials = container.get("repositoryCredentials")
    if credentials is not None:
        parameter = credentials["credentialsParameter"]
        data: dict[str, Any] = {
            "credentialsParameter": parameter,
            "region": _region_of(parameter, region),
        }
        return RegistryAuthentication(type="asm", asm_auth_data=data)
    registry = ecr_image(container["image"])
    if registry is None:
        return None
    data = {"registryId": registry["account"], "region": registry["region"], "useExecutionRole": has_role}
    return RegistryAuthentication(type="ecr", ecr_auth_data=data)


def _restart_policy(policy: Document | None) -> RestartPolicy | None:
    if policy is None:
        return None
    return RestartPolicy(
        enabled=policy["enabled"],
        ignored_exit_codes=tuple(policy.get("ignoredExitCodes", ())),
        restart_attempt_period=policy.get("restartAttemptPeriod", 300),
    )


def _firelens(configuration: Document | None) -> FirelensConfiguration | None:
    if configuration is None:
        return None
    return FirelensConfiguration(type=configuration["type"], options=configuration.get("options", {}))
