"""Where a service's tasks are registered for those who look for them by name."""

from __future__ import annotations

from homeport.services.ecs.model.base import Document, Noun


class Registry(Noun, frozen=True, kw_only=True):
    """A Cloud Map service, as its ECS service asked for it. `given` is what it asked for, shown again.

    `container` and `container_port` lead to a task's port, or `port` is it; without any it has none that
    anybody is told. Of Service Connect's with a container `port` is where others reach it on an interface.
    `custom_health`: the registry is told how tasks are.
    """

    arn: str
    container: str = ""
    container_port: int | None = None
    port: int | None = None
    custom_health: bool = False
    for_connect: bool = False
    """Whether it is Service Connect's: nobody asked for it, and nobody is shown it."""
    given: Document
