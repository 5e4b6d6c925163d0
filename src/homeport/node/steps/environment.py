"""Values that a container gets from elsewhere: secrets, and environment files.

Everything is fetched with the task's execution role, all at once, before any container is created. The texts
of failures are the real agent's, which becomes the task's stopped reason.
Source: ECS developer guide, "Pass sensitive data to an Amazon ECS container" and "Amazon ECS stopped task
error messages"; amazon-ecs-agent 1.105 (asmsecret, ssmsecret), recorded with its calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from homeport.agentproto.messages import Container, Secret, Task
from homeport.core.arn import MalformedArnError, parse_arn
from homeport.core.sigv4 import Credentials
from homeport.node.api import ApiError, ApiUnreachableError, Backoff
from homeport.node.secret_values import (
    BadReferenceError,
    SecretReference,
    parameter_values,
    parse_environment_file,
    parse_secret,
    picked,
)
from homeport.node.steps.tools import Extras, NoCredentialsError, Tools

T = TypeVar("T")
Key = tuple[str, str, str]
"""(provider, region, valueFrom)."""

PARAMETERS_PER_CALL = 10
"""Source: SSM API model, GetParameters, Names, max."""
ATTEMPTS = 3
"""For an error that may pass. Source: recordings of the real agent, `Amz-Sdk-Request: attempt=1; max=3`."""
AWAY_SECONDS_MAX = 180.0
"""How long somebody who does not answer is waited for: a control plane that restarts fails no task."""


class FetchError(Exception):
    """A value could not be fetched; the text becomes the task's reason. It never tells a value."""


def needs_environment(task: Task) -> bool:
    """Whether anything has to be fetched."""
    return any(container.secrets or container.environment_files for container in task.containers)


async def fetch_environment(tools: Tools, task: Task) -> Mapping[str, Extras]:
    """What each container gets. Raise `FetchError`."""
    if not needs_environment(task):
        return {}
    secrets = [secret for container in task.containers for secret in container.secrets]
    try:
        role = await tools.execution_role(task)
    except NoCredentialsError:
        provider = "ASM" if any(secret.provider == "asm" for secret in secrets) else "ssm"
        raise FetchError(f"{provider} secret resource: unable to find execution role credentials") from None
    values = await _all_values(tools, secrets, role)
    files: dict[str, dict[str, str]] = {}
    for container in task.containers:
        for file in container.environment_files:
            if file.value not in files:
                files[file.value] = await _environment_file(tools, file.value, role)
    return {c.name: _extras(c, values, files) for c in task.containers if c.secrets or c.environment_files}


def _key(secret: Secret) -> Key:
    return (secret.provider, secret.region, secret.value_from)


def _extras(
    container: Container, values: Mapping[Key, str], files: Mapping[str, Mapping[str, str]]
) -> Extras:
    environment: dict[str, str] = {}
    for file in reversed(container.environment_files):
        environment |= files[file.value]
    chosen: dict[str, dict[str, str]] = {"CONTAINER": {}, "LOG_DRIVER": {}}
    for secret in container.secrets:
        chosen[secret.target][secret.name] = values[_key(secret)]
    return Extras(environment={**environment, **chosen["CONTAINER"]}, log_options=chosen["LOG_DRIVER"])


async def _all_values(tools: Tools, secrets: Iterable[Secret], role: Credentials) -> dict[Key, str]:
    """Every secret's value; all calls at once. Failures are told together, in the task's order."""
    found: dict[Key, str] = {}
    failures: dict[int, str] = {}

    async def gather(place: int, work: Awaitable[Mapping[Key, str]]) -> None:
        try:
            found.update(await work)
        except FetchError as error:
            failures[place] = str(error)

    unique = list({_key(secret): secret for secret in secrets}.values())
    calls = [*_secret_calls(tools, unique, role), *_parameter_calls(tools, unique, role)]
    async with asyncio.TaskGroup() as group:
        for place, work in enumerate(calls):
            group.create_task(gather(place, work))
    if failures:
        raise FetchError(";".join(dict.fromkeys(failures[place] for place in sorted(failures))))
    return found


# ---- Secrets Manager ----------------------------------------------------------------------


def _secret_calls(
    tools: Tools, secrets: Iterable[Secret], role: Credentials
) -> Iterable[Awaitable[Mapping[Key, str]]]:
    """One call for each version of a secret, whatever keys of it are asked for."""
    together: dict[tuple[str, ...], list[tuple[Secret, SecretReference]]] = {}
    for secret in secrets:
        if secret.provider != "asm":
            continue
        try:
            reference = parse_secret(secret.value_from)
        except BadReferenceError as error:
            yield _refused(str(error))
            continue
        together.setdefault((secret.region, *reference.request.values()), []).append((secret, reference))
    for (region, *_), same in together.items():
        yield _secret_values(tools, region, same, role)


async def _refused(text: str) -> Mapping[Key, str]:
    raise FetchError(text)


async def _secret_values(
    tools: Tools, region: str, same: list[tuple[Secret, SecretReference]], role: Credentials
) -> Mapping[Key, str]:
    text = await fetch_secret(tools, same[0][1].request, role, region=region)
    try:
        return {_key(secret): picked(text, reference.json_key) for secret, reference in same}
    except BadReferenceError as error:
        raise FetchError(f"{_secrets_in(tools, region)}: {error}") from None


def _secrets_in(tools: Tools, region: str) -> str:
    return f"fetching secret data from AWS Secrets Manager in region {region or tools.settings.region}"


async def fetch_secret(
    tools: Tools, request: Mapping[str, str], credentials: Credentials | None, *, region: str
) -> str:
    """A secret's text. Raise `FetchError`."""
    where = f"{_secrets_in(tools, region)}: secret {request['SecretId']}"
    answer = await _patiently(
        tools,
        where,
        lambda: tools.api.call(
            "secretsmanager", "GetSecretValue", request, credentials=credentials, region=region or None
        ),
    )
    if "SecretString" not in answer:
        raise FetchError(f"{where}: it is binary, and containers get text")
    return str(answer["SecretString"])


# ---- Parameter Store ----------------------------------------------------------------------


def _parameter_calls(
    tools: Tools, secrets: Iterable[Secret], role: Credentials
) -> Iterable[Awaitable[Mapping[Key, str]]]:
    by_region: dict[str, list[str]] = {}
    for secret in secrets:
        if secret.provider == "ssm":
            by_region.setdefault(secret.region, []).append(secret.value_from)
    for region, names in by_region.items():
        for first in range(0, len(names), PARAMETERS_PER_CALL):
            yield _parameters(tools, region, names[first : first + PARAMETERS_PER_CALL], role)


async def _parameters(tools: Tools, region: str, names: list[str], role: Credentials) -> Mapping[Key, str]:
    where = f"fetching secret data from SSM Parameter Store in {region or tools.settings.region}"
    answer = await _patiently(
        tools,
        where,
        lambda: tools.api.call(
            "ssm",
            "GetParameters",
            {"Names": names, "WithDecryption": True},
            credentials=role,
            region=region or None,
        ),
    )
    try:
        values = parameter_values(names, answer)
    except BadReferenceError as error:
        raise FetchError(f"{where}: {error}") from None
    return {("ssm", region, name): values[name] for name in names}


# ---- S3, and trying again -----------------------------------------------------------------


async def _environment_file(tools: Tools, arn: str, role: Credentials) -> dict[str, str]:
    try:
        bucket, _, key = parse_arn(arn).resource.partition("/")
    except MalformedArnError as error:
        raise FetchError(f"environment file {arn} is not an ARN") from error
    content = await _patiently(
        tools, f"environment file {arn}", lambda: tools.api.object(bucket, key, credentials=role)
    )
    return parse_environment_file(content.decode("utf-8", errors="replace"))


async def _patiently(tools: Tools, what: str, call: Callable[[], Awaitable[T]]) -> T:
    """A few attempts for errors that may pass, more for somebody who is away. Raise `FetchError`."""
    backoff = Backoff(first_seconds=0.5, max_seconds=10.0)
    now = asyncio.get_running_loop().time
    began, errors, failures = now(), 0, 0
    while True:
        try:
            return await call()
        except ApiError as error:
            errors += 1
            if errors == ATTEMPTS or not error.transient:
                raise FetchError(f"{what}: {error}{_known_as(error)}") from None
        except ApiUnreachableError as error:
            if now() - began >= AWAY_SECONDS_MAX:
                raise FetchError(f"{what}: RequestError: send request failed caused by: {error}") from None
        failures += 1
        await asyncio.sleep(backoff.delay(failures, tools.dice()))


def _known_as(error: ApiError) -> str:
    """As the AWS SDK ends its texts; the request id is what a denial is looked up by."""
    return f" status code: {error.status}, request id: {error.request_id}" if error.request_id else ""
