"""Values that a container gets from elsewhere: secrets, and environment files.

Everything is fetched with the task's execution role. Source: ECS developer guide, "Pass sensitive data to
an Amazon ECS container" and "Pass environment variables to an Amazon ECS container".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from homeport.agentproto.messages import Container, Secret, Task
from homeport.core.arn import Arn, MalformedArnError, parse_arn
from homeport.core.sigv4 import Credentials
from homeport.node.api import ApiError, ApiUnreachableError, Backoff
from homeport.node.steps.tools import Extras, NoCredentialsError, Tools

T = TypeVar("T")

PARAMETERS_PER_CALL = 10
"""Source: SSM API model, GetParameters, Names, max."""
ATTEMPTS = 3


class FetchError(Exception):
    """A value could not be fetched; the text becomes the task's reason."""


def needs_environment(task: Task) -> bool:
    """Whether anything has to be fetched."""
    return any(container.secrets or container.environment_files for container in task.containers)


async def fetch_environment(tools: Tools, task: Task) -> Mapping[str, Extras]:
    """What each container gets. Raise `FetchError`."""
    if not needs_environment(task):
        return {}
    try:
        role = await tools.execution_role(task)
    except NoCredentialsError as error:
        raise _failure(f"secrets and environment files need it: {error}") from error
    secrets = [secret for container in task.containers for secret in container.secrets]
    values: dict[tuple[str, str, str], str] = {}
    values |= await _parameters(tools, [s for s in secrets if s.provider == "ssm"], role)
    values |= await _secret_values(tools, [s for s in secrets if s.provider == "asm"], role)
    files: dict[str, dict[str, str]] = {}
    for container in task.containers:
        for file in container.environment_files:
            if file.value not in files:
                files[file.value] = await _environment_file(tools, file.value, role)
    return {c.name: _extras(c, values, files) for c in task.containers if c.secrets or c.environment_files}


def _key(secret: Secret) -> tuple[str, str, str]:
    return (secret.provider, secret.region, secret.value_from)


def _extras(
    container: Container, values: Mapping[tuple[str, str, str], str], files: Mapping[str, Mapping[str, str]]
) -> Extras:
    environment: dict[str, str] = {}
    for file in reversed(container.environment_files):
        environment |= files[file.value]
    chosen: dict[str, dict[str, str]] = {"CONTAINER": {}, "LOG_DRIVER": {}}
    for secret in container.secrets:
        chosen[secret.target][secret.name] = values[_key(secret)]
    return Extras(
        environment={**environment, **chosen["CONTAINER"], **container.environment},
        log_options=chosen["LOG_DRIVER"],
    )


def _failure(text: str) -> FetchError:
    return FetchError(f"ResourceInitializationError: unable to pull secrets or environment files: {text}")


async def _patiently(tools: Tools, what: str, call: Callable[[], Awaitable[T]]) -> T:
    """A few attempts, for errors that may pass."""
    backoff = Backoff(first_seconds=0.5)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await call()
        except (ApiError, ApiUnreachableError) as error:
            if attempt == ATTEMPTS or (isinstance(error, ApiError) and not error.transient):
                raise _failure(f"{what}: {error}") from error
        await asyncio.sleep(backoff.delay(attempt, tools.dice()))
    raise AssertionError("unreachable")


async def _parameters(
    tools: Tools, secrets: Iterable[Secret], role: Credentials
) -> dict[tuple[str, str, str], str]:
    by_region: dict[str, list[str]] = {}
    for secret in secrets:
        names = by_region.setdefault(secret.region, [])
        if secret.value_from not in names:
            names.append(secret.value_from)
    found: dict[tuple[str, str, str], str] = {}
    for region, names in by_region.items():
        for first in range(0, len(names), PARAMETERS_PER_CALL):
            batch = names[first : first + PARAMETERS_PER_CALL]
            for name, value in (await _parameter_batch(tools, region, batch, role)).items():
                found["ssm", region, name] = value
    return found


async def _parameter_batch(tools: Tools, region: str, names: list[str], role: Credentials) -> dict[str, str]:
    answer = await _patiently(
        tools,
        f"fetching secret data from SSM Parameter Store in {region or tools.settings.region}",
        lambda: tools.api.call(
            "ssm",
            "GetParameters",
            {"Names": names, "WithDecryption": True},
            credentials=role,
            region=region or None,
        ),
    )
    values: dict[str, str] = {}
    for parameter in answer.get("Parameters") or ():
        for name in names:
            if name in {parameter.get("Name"), parameter.get("ARN")} or _parameter_name(
                name
            ) == parameter.get("Name"):
                values[name] = parameter["Value"]
    if missing := [name for name in names if name not in values]:
        raise _failure(f"invalid parameters: {', '.join(missing)}")
    return values


def _parameter_name(text: str) -> str:
    """`arn:...:parameter/a/b` is the parameter `/a/b`, `arn:...:parameter/a` may also be `a`."""
    try:
        resource = parse_arn(text).resource
    except MalformedArnError:
        return text
    name = resource.removeprefix("parameter")
    return name if name.count("/") > 1 else name.removeprefix("/")


async def _secret_values(
    tools: Tools, secrets: Iterable[Secret], role: Credentials
) -> dict[tuple[str, str, str], str]:
    found: dict[tuple[str, str, str], str] = {}
    for secret in secrets:
        if _key(secret) not in found:
            found[_key(secret)] = await _secret_value(tools, secret, role)
    return found


async def _secret_value(tools: Tools, secret: Secret, role: Credentials) -> str:
    name, key, stage, version = split_secret(secret.value_from)
    request = {"SecretId": name}
    if stage:
        request["VersionStage"] = stage
    if version:
        request["VersionId"] = version
    text = await fetch_secret(tools, request, role, region=secret.region)
    if not key:
        return text
    try:
        value = json.loads(text)[key]
    except (ValueError, KeyError, TypeError) as error:
        raise _failure(
            f"retrieved secret from Secrets Manager did not contain json key {key}: {secret.value_from}"
        ) from error
    return value if isinstance(value, str) else json.dumps(value)


async def fetch_secret(
    tools: Tools, request: Mapping[str, str], credentials: Credentials | None, *, region: str
) -> str:
    """A secret's text. Raise `FetchError`."""
    where = f"fetching secret data from AWS Secrets Manager in region {region or tools.settings.region}"
    answer = await _patiently(
        tools,
        f"{where}: secret {request['SecretId']}",
        lambda: tools.api.call(
            "secretsmanager", "GetSecretValue", request, credentials=credentials, region=region or None
        ),
    )
    if "SecretString" not in answer:
        raise _failure(f"secret {request['SecretId']} has no text")
    return str(answer["SecretString"])


def split_secret(value_from: str) -> tuple[str, str, str, str]:
    """(secret, JSON key, version stage, version id) of a container's `valueFrom`."""
    parts = value_from.split(":")
    if len(parts) <= 7 or parts[0] != "arn":
        return value_from, "", "", ""
    key, stage, version = (*parts[7:10], "", "", "")[:3]
    return ":".join(parts[:7]), key, stage, version


async def _environment_file(tools: Tools, arn: str, role: Credentials) -> dict[str, str]:
    try:
        parsed: Arn = parse_arn(arn)
    except MalformedArnError as error:
        raise _failure(f"environment file {arn} is not an ARN") from error
    bucket, _, key = parsed.resource.partition("/")
    content = await _patiently(
        tools, f"environment file {arn}", lambda: tools.api.object(bucket, key, credentials=role)
    )
    return parse_environment_file(content.decode("utf-8", errors="replace"))


def parse_environment_file(text: str) -> dict[str, str]:
    """`NAME=VALUE` lines; lines that begin with `#` and lines without `=` are skipped. No quoting."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and name.strip() and not line.lstrip().startswith("#"):
            found.setdefault(name.strip(), value)
    return found
