"""Bring a container's image to this machine, as the pull behaviour says.

Source: ECS_IMAGE_PULL_BEHAVIOR of the ECS agent. Where the real agent tries every failure five times, an
image that does not exist or may not be read is reported at once.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from homeport.agentproto.messages import Container, Task
from homeport.core.log import get_logger
from homeport.core.sigv4 import Credentials
from homeport.node.api import ApiError, ApiUnreachableError
from homeport.node.ports import DriverError, ImageInfo, PullProgress, RegistryLogin
from homeport.node.settings import PullBehavior
from homeport.node.steps.environment import FetchError, fetch_secret
from homeport.node.steps.tools import NoCredentialsError, Tools

log = get_logger("node.pull")

RETRY_SECONDS_FIRST, RETRY_SECONDS_MAX = 1.1, 5.0
"""Source: amazon-ecs-agent, delays between attempts to pull."""
LOGIN_SECONDS = 6 * 3600.0
"""How long a token of ECR (valid for 12 hours) is used."""
_HOPELESS = (
    "not found",
    "manifest unknown",
    "name unknown",
    "denied",
    "unauthorized",
    "no basic auth",
    "does not exist",
    "invalid reference",
    "no space left on device",
)
"""What a registry, or a full disk, will say again in five seconds. Source: OCI distribution, error codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """The image is here. `began`: when a pull was attempted, `None` when it was here already."""

    digest: str = ""
    image_env: tuple[str, ...] = ()
    began: datetime | None = None
    ended: datetime | None = None


async def pull(tools: Tools, task: Task, container: Container, began: Callable[[], None]) -> Pulled:
    """Raise `DriverError`. `began` is called when bytes may start to flow."""
    image = container.image
    behavior = tools.settings.pull_behavior
    lock = tools.pull_locks.setdefault(image, asyncio.Lock())
    local = await tools.drivers.images.inspect(image)
    if _good_enough(tools, behavior, local, image):
        return _pulled(local)
    async with lock:  # a second task that wants the same image waits for the first one's pull
        local = await tools.drivers.images.inspect(image)
        if _good_enough(tools, behavior, local, image):
            return _pulled(local)
        started = tools.clock.now()
        began()
        try:
            await _attempts(tools, task, container)
        except DriverError as error:
            if behavior is PullBehavior.ALWAYS or local is None:
                raise
            log.warning("image.kept", image=image, error=str(error))
        else:
            tools.brought.add(image)
        tools.pulled.add(image)
        info = await tools.drivers.images.inspect(image)
        return _pulled(info, began=started, ended=tools.clock.now())


def _good_enough(tools: Tools, behavior: PullBehavior, local: ImageInfo | None, image: str) -> bool:
    if local is None:
        return False
    if behavior is PullBehavior.ONCE:
        return image in tools.pulled
    return behavior is PullBehavior.PREFER_CACHED


def _pulled(
    info: ImageInfo | None, *, began: datetime | None = None, ended: datetime | None = None
) -> Pulled:
    return Pulled(
        digest=(info.digest or "") if info else "",
        image_env=info.env if info else (),
        began=began,
        ended=ended,
    )


async def _attempts(tools: Tools, task: Task, container: Container) -> None:
    delay = RETRY_SECONDS_FIRST
    for attempt in range(1, tools.settings.pull_attempts + 1):
        login = await _login(tools, task, container)
        try:
            await tools.drivers.images.pull(container.image, login=login, progress=_ignore)
        except DriverError as error:
            if attempt == tools.settings.pull_attempts or hopeless(error):
                raise
            log.info("image.pull_failed", image=container.image, attempt=attempt, error=str(error))
        else:
            return
        await asyncio.sleep(delay * (1 + 0.2 * tools.dice()))
        delay = min(delay * 2, RETRY_SECONDS_MAX)


def hopeless(error: DriverError) -> bool:
    """Whether the registry's answer will be the same next time."""
    text = error.text.lower()
    return any(sign in text for sign in _HOPELESS)


def _ignore(progress: PullProgress) -> None:
    del progress


async def _login(tools: Tools, task: Task, container: Container) -> RegistryLogin | None:
    wanted = container.registry_authentication
    if wanted is None:
        return None
    try:
        if wanted.type == "ecr":
            return await _ecr_login(tools, task, wanted.ecr_auth_data or {})
        return await _secret_login(tools, task, wanted.asm_auth_data or {})
    except (ApiError, ApiUnreachableError, NoCredentialsError, FetchError) as error:
        name = "CannotPullECRContainerError" if wanted.type == "ecr" else "CannotPullContainerAuthError"
        raise DriverError(name, str(error)) from error


async def _ecr_login(tools: Tools, task: Task, data: dict[str, Any]) -> RegistryLogin:
    role: Credentials | None = None
    who = ""
    if data.get("useExecutionRole"):
        delivered = await tools.execution_credentials(task)
        who = delivered.role_arn
        role = await tools.execution_role(task)
    registry = str(data.get("registryId") or "")
    region = str(data.get("region") or tools.settings.region)
    key = (who, region, registry)
    now = tools.clock.now().timestamp()
    until, token = tools.logins.get(key, (0.0, ""))
    if now >= until:
        answer = await tools.api.call(
            "ecr",
            "GetAuthorizationToken",
            {"registryIds": [registry]} if registry else {},
            credentials=role,
            region=region,
        )
        token = _authorization_token(answer)
        tools.logins[key] = (now + LOGIN_SECONDS, token)
    username, _, password = base64.b64decode(token).decode().partition(":")
    return RegistryLogin(username=username, password=password, server=container_registry(data))


def _authorization_token(answer: Any) -> str:
    try:
        return str(answer["authorizationData"][0]["authorizationToken"])
    except (KeyError, IndexError, TypeError) as error:
        raise ApiError("InternalFailure", "GetAuthorizationToken gave no token", 500) from error


def container_registry(data: dict[str, Any]) -> str:
    """The registry to log in to, where the payload names one; else the image's own."""
    return str(data.get("endpointOverride") or "")


async def _secret_login(tools: Tools, task: Task, data: dict[str, Any]) -> RegistryLogin:
    role = await tools.execution_role(task)
    name = str(data.get("credentialsParameter") or "")
    text = await fetch_secret(tools, {"SecretId": name}, role, region=str(data.get("region") or ""))
    try:
        secret = json.loads(text)
        return RegistryLogin(username=str(secret["username"]), password=str(secret["password"]))
    except (ValueError, KeyError, TypeError) as error:
        raise FetchError(f"the secret {name} is not a JSON object with username and password") from error
