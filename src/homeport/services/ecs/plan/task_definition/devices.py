"""GPUs and other accelerators. Source: ResourceRequirement, InferenceAccelerator (botocore ecs)."""

from __future__ import annotations

from collections.abc import Iterator

from homeport.services.ecs.plan.task_definition.settings import Document, refuse


def requirements(container: Document, kind: str) -> Iterator[Document]:
    """The container's resource requirements of one type."""
    return (r for r in container.get("resourceRequirements", ()) if r["type"] == kind)


def gpus_of(container: Document) -> int:
    """How many whole GPUs a container takes."""
    return sum(int(r["value"]) for r in requirements(container, "GPU") if r.get("value", "").isdecimal())


def check(document: Document) -> None:
    """Values fit their types; accelerators are declared."""
    accelerators = {a["deviceName"] for a in document.get("inferenceAccelerators", ())}
    for container in document["containerDefinitions"]:
        check_container(container, accelerators)
    neuron = [c for c in document["containerDefinitions"] if any(requirements(c, "NeuronDevice"))]
    if len(neuron) > 1:
        raise refuse("Only one container of a task definition can require NeuronDevice.")


def check_container(container: Document, accelerators: set[str]) -> None:
    """One container's requirements."""
    name = container["name"]
    for requirement in container.get("resourceRequirements", ()):
        kind, value = requirement["type"], requirement.get("value")
        shared = "sharingStrategy" in requirement
        where = f"resourceRequirements of container '{name}'"
        if shared and (kind != "GPU" or value is not None):
            raise refuse(f"{where}: sharingStrategy is for GPU, and instead of a value.")
        if not shared and not value:
            raise refuse(f"{where}: {kind} needs a value.")
        if kind == "GPU" and not shared and not (value == "ALL" or (value.isdecimal() and int(value) > 0)):
            raise refuse(f"{where}: GPU needs a positive number or ALL, not '{value}'.")
        if kind == "NeuronDevice" and value != "ALL":
            raise refuse(f"{where}: NeuronDevice must be ALL.")
        if kind == "InferenceAccelerator" and value not in accelerators:
            raise refuse(f"{where}: '{value}' is not one of the task definition's inferenceAccelerators.")
