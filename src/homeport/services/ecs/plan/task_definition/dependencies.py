"""Order between containers: dependsOn, links and volumesFrom.

Sources: ContainerDependency, ContainerDefinition.links (botocore ecs). The agent
rejects a task with a cycle over all three kinds, so a definition may not have one.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from homeport.services.ecs.plan.task_definition.settings import Document, refuse

CONDITIONS = ("START", "COMPLETE", "SUCCESS", "HEALTHY")


def link_target(link: str) -> str:
    """The container of `name` or `name:alias`."""
    return link.partition(":")[0]


def check(document: Document) -> None:
    """Every named container exists and nothing waits for itself."""
    containers = {c["name"]: c for c in document["containerDefinitions"]}
    graph: dict[str, set[str]] = {}
    for name, container in containers.items():
        before = graph.setdefault(name, set())
        for dependency in container.get("dependsOn", ()):
            _check_condition(name, dependency, containers)
            before.add(dependency["containerName"])
        for kind, target in (
            *(("links", link_target(link)) for link in container.get("links", ())),
            *(("volumesFrom", source.get("sourceContainer") or "") for source in container["volumesFrom"]),
        ):
            if target not in containers:
                raise refuse(f"Container '{name}' names an unknown container '{target}' in {kind}.")
            if target == name:
                raise refuse(f"Container '{name}' names itself in {kind}.")
            before.add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        path = " -> ".join(error.args[1])
        raise refuse(f"Container dependencies contain a cycle: {path}.") from None


def _check_condition(name: str, dependency: Document, containers: dict[str, Document]) -> None:
    target, condition = dependency["containerName"], dependency["condition"]
    if target not in containers:
        raise refuse(f"Container '{name}' depends on an unknown container '{target}'.")
    if target == name:
        raise refuse(f"Container '{name}' depends on itself.")
    if condition not in CONDITIONS:
        raise refuse(f"Invalid dependency condition '{condition}' of container '{name}'.")
    if condition in ("COMPLETE", "SUCCESS") and containers[target].get("essential", True):
        raise refuse(
            f"Container '{name}' waits for {condition} of container '{target}', which is essential: "
            "an essential container that stops ends the task."
        )
    if condition == "HEALTHY" and "healthCheck" not in containers[target]:
        raise refuse(
            f"Container '{name}' waits for HEALTHY of container '{target}', which has no healthCheck."
        )
