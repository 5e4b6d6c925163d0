"""Values that a container gets from elsewhere: secrets, and environment files.

Everything is fetched with the task's execution role, all at once, before any container is created. The texts
of failures are the real agent's, which become the task's stopped reason; `tests/e2e/test_official_agent.py`
hears them from it. It repeats some errors twice in one line, this node does not.
Source: ECS developer guide, "Pass sensitive data to an Amazon ECS container" and "Amazon ECS stopped task
error messages"; amazon-ecs-agent 1.105 (asmsecret, ssmsecret), recorded with its calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from homeport.agentproto.messages import Container, Secret, Task
from homeport.core.arn import MalformedArnError, parse_arn
from homeport.core.backoff import Backoff
from homeport.core.sigv4 import Credentials
from homeport.node.api import ApiError, ApiUnreachableError
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


_GET_SECRET = ("Secrets Manager", "GetSecretValue")
_GET_PARAMETERS = ("SSM", "GetParameters")
_GET_OBJECT = ("S3", "GetObject")
_MISSING = "ResourceNotFoundException"
_MODELLED = {
    _GET_SECRET: {
        "DecryptionFailure",
        "InternalServiceError",
        "InvalidParameterException",
        "InvalidRequestException",
        _MISSING,
    },
    _GET_PARAMETERS: {"InternalServerError", "InvalidKeyId"},
    _GET_OBJECT: {"NoSuchKey", "InvalidObjectState"},
}
"""Errors of which the SDK says the name alone; of others it says `api error`. Source: the API models."""


class FetchError(Exception):
    """A value could not be fetched; the text becomes the task's reason. It never tells a value."""

    def __init__(self, text: str) -> None:
        """The first letter is a capital, as in every reason that the real agent reports."""
        super().__init__(text[:1].upper() + text[1:])


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
        raise FetchError(str(error)) from None


async def fetch_secret(
    tools: Tools, request: Mapping[str, str], credentials: Credentials | None, *, region: str
) -> str:
    """A secret's text. Raise `FetchError`."""
    secret_id = request["SecretId"]

    def told(code: str, text: str) -> str:
        if code == _MISSING:
            return (
                f"{_MISSING}: The task can't retrieve the secret with ARN '{secret_id}' from AWS Secrets "
                f"Manager. Check whether the secret exists in the specified Region: {text}"
            )
        return f"secret {secret_id}: {text}"

    answer = await _patiently(
        tools,
        _GET_SECRET,
        lambda: tools.api.call(
            "secretsmanager", "GetSecretValue", request, credentials=credentials, region=region or None
        ),
        told,
    )
    if "SecretString" not in answer:
        raise FetchError(f"secret {secret_id}: it is binary, and containers get text")
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
        _GET_PARAMETERS,
        lambda: tools.api.call(
            "ssm",
            "GetParameters",
            {"Names": names, "WithDecryption": True},
            credentials=role,
            region=region or None,
        ),
        lambda _, text: f"{where}: {text}",
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
        tools,
        _GET_OBJECT,
        lambda: tools.api.object(bucket, key, credentials=role),
        lambda _, text: f"environment file {arn}: {text}",
    )
    return parse_environment_file(content.decode("utf-8", errors="replace"))


async def _patiently(
    tools: Tools,
    operation: tuple[str, str],
    call: Callable[[], Awaitable[T]],
    told: Callable[[str, str], str],
) -> T:
    """A few attempts for errors that may pass, more for somebody who is away.

    Raise `FetchError` with what `told` makes of the error's code and text, which is the AWS SDK's.
    """
    backoff = Backoff(first_seconds=0.5, ceiling_seconds=10.0)
    now = asyncio.get_running_loop().time
    began, errors, failures = now(), 0, 0
    while True:
        try:
            return await call()
        except ApiError as error:
            errors += 1
            if errors == ATTEMPTS or not error.transient:
                text = _sdk_text(operation, error, tried=errors if error.transient else 0)
                raise FetchError(told(error.code, text)) from None
        except ApiUnreachableError as error:
            if now() - began >= AWAY_SECONDS_MAX:
                text = _sdk_text(operation, error, tried=failures + 1)
                raise FetchError(told("", text)) from None
        failures += 1
        await asyncio.sleep(backoff.delay_seconds(failures, tools.dice))


def _sdk_text(operation: tuple[str, str], error: ApiError | ApiUnreachableError, *, tried: int) -> str:
    """As the AWS SDK for Go says it; the request id is what a denial is looked up by."""
    head = f"operation error {operation[0]}: {operation[1]}, "
    if tried:
        head += f"exceeded maximum number of attempts, {tried}, "
    if isinstance(error, ApiUnreachableError):
        return f"{head}https response error StatusCode: 0, RequestID: , request send failed, {error}"
    known = error.code in _MODELLED[operation]
    return (
        f"{head}https response error StatusCode: {error.status}, RequestID: {error.request_id}, "
        f"{'' if known else 'api error '}{error.code}: {error.message}"
    )
