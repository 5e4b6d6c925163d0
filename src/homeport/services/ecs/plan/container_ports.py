"""Whether a task definition has the container and the port that others are to reach it at."""

from __future__ import annotations

from homeport.services.ecs.errors import InvalidParameterException
from homeport.services.ecs.model import TaskDefinition


def check_container_port(definition: TaskDefinition, name: str, port: int | None) -> None:
    """Raise for a container that is not there, or does not have the port."""
    containers = {one["name"]: one for one in definition.body["containerDefinitions"]}
    container = containers.get(name)
    if container is None:
        raise InvalidParameterException(f"The container {name} does not exist in the task definition.")
    ports = {mapping.get("containerPort") for mapping in container.get("portMappings") or ()}
    if port not in ports:
        raise InvalidParameterException(f"The container {name} did not have a container port {port} defined.")
