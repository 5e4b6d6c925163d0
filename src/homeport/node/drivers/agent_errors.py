"""Docker's refusals in the ECS agent's words: `<ErrorName>: <text>`.

Source: recordings of amazon-ecs-agent 1.105.1 ("Error response from daemon: ...",
"Could not transition to ...; timed out after waiting ...").
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from homeport.node.drivers.engine_client import EngineError
from homeport.node.ports import DriverError, DriverUnavailableError

CREATE = "CannotCreateContainerError"
START = "CannotStartContainerError"
STOP = "CannotStopContainerError"
REMOVE = "CannotRemoveContainerError"
INSPECT = "CannotInspectContainerError"
PULL = "CannotPullContainerError"
PULL_LOGIN = "CannotPullContainerAuthError"
TIMEOUT = "DockerTimeoutError"
CONFIG = "DockerClientConfigError"


def go_duration(seconds: float) -> str:
    """A duration as Go prints it: `3m0s`, `45s`, `1h30m0s`."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{left}s"
    return f"{minutes}m{left}s" if minutes else f"{left}s"


def refusal(name: str, error: EngineError) -> DriverError:
    """The daemon's refusal under one of the agent's names."""
    return DriverError(name, f"Error response from daemon: {error.message}")


@contextmanager
def named(name: str) -> Iterator[None]:
    """Raise what the daemon refuses inside as `DriverError(name)`."""
    try:
        yield
    except EngineError as error:
        raise refusal(name, error) from error
    except TimeoutError as error:
        raise DriverUnavailableError("the container engine took too long to answer") from error


@contextmanager
def transition(name: str, state: str, seconds: float) -> Iterator[None]:
    """As `named`, but a `TimeoutError` inside is the agent's DockerTimeoutError."""
    try:
        yield
    except EngineError as error:
        raise refusal(name, error) from error
    except TimeoutError as error:
        waited = go_duration(seconds)
        raise DriverError(
            TIMEOUT, f"Could not transition to {state}; timed out after waiting {waited}"
        ) from error
