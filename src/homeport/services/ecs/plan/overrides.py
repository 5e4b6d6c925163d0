"""What RunTask and StartTask may change of a task definition for one task. Pure.

Sources: TaskOverride, ContainerOverride (botocore ecs); developer guide,
"Overriding task definition settings".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from homeport.services.ecs.errors import ClientException, InvalidParameterException
from homeport.services.ecs.plan.support import refuse
from homeport.services.ecs.plan.task_definition import TaskDemand, demand, devices, references, sizes
from homeport.services.ecs.plan.task_definition.normalise import check_ephemeral_storage, without_absent
from homeport.services.ecs.plan.task_definition.settings import Document

Overrides = Mapping[str, Any]

OVERRIDES_MOST = 8192
"""Characters of JSON."""

_REPLACED = ("command", "environmentFiles", "cpu", "memory", "memoryReservation", "resourceRequirements")
_ROLES = ("taskRoleArn", "executionRoleArn")
_SIZES = (("cpu", sizes.parse_cpu), ("memory", sizes.parse_memory))


def validate_overrides(definition: Document, overrides: Overrides | None) -> None:
    """Raise `InvalidParameterException` for what cannot be overridden like that."""
    given = without_absent(overrides or {})
    refuse(given, "overrides", ("inferenceAcceleratorOverrides",))
    if len(json.dumps(given, separators=(",", ":"), ensure_ascii=False)) > OVERRIDES_MOST:
        raise InvalidParameterException(f"Container Overrides length must be at most {OVERRIDES_MOST}")
    known = {container["name"] for container in definition["containerDefinitions"]}
    seen: set[str] = set()
    for container in given.get("containerOverrides", ()):
        name = container.get("name")
        if not name:
            raise InvalidParameterException("Container override name should not be null or empty.")
        if name not in known:
            raise InvalidParameterException(
                f"Override for container named {name} is not a container in the TaskDefinition."
            )
        if name in seen:
            raise InvalidParameterException(f"Container {name} is overridden more than once.")
        seen.add(name)
    try:
        _check(given, effective(definition, given))
    except ClientException as error:
        raise InvalidParameterException(error.message) from None


def _check(given: Overrides, merged: Document) -> None:
    """The merged definition keeps the rules that an override can break."""
    for key in _ROLES:
        if given.get(key):
            references.role_arn(given[key], "")
    if "ephemeralStorage" in given:
        check_ephemeral_storage(given["ephemeralStorage"]["sizeInGiB"])
    if {"cpu", "memory"} & set(given):
        sizes.check_task_range(*(int(merged[key]) if key in merged else None for key in ("cpu", "memory")))
    accelerators = {a["deviceName"] for a in merged.get("inferenceAccelerators", ())}
    for container in merged["containerDefinitions"]:
        sizes.check_container(container)
        if any(not variable.get("name") for variable in container["environment"]):
            raise ClientException(f"An environment variable of container '{container['name']}' has no name.")
        references.check_secret_names(container)
        references.check_environment_files(container)
        devices.check_container(container, accelerators)
    sizes.check_sums(merged)


def effective(definition: Document, overrides: Overrides | None) -> dict[str, Any]:
    """The definition that the task runs: overrides merged in, nothing else changed."""
    given = without_absent(overrides or {})
    by_name = {container.get("name"): container for container in given.get("containerOverrides", ())}
    merged = dict(definition)
    merged["containerDefinitions"] = [
        _merged(container, by_name.get(container["name"], {}))
        for container in definition["containerDefinitions"]
    ]
    for key, parse in _SIZES:
        if given.get(key):
            merged[key] = str(parse(str(given[key])))
    for key in _ROLES:
        if given.get(key):
            merged[key] = given[key]
    if "ephemeralStorage" in given:
        merged["ephemeralStorage"] = given["ephemeralStorage"]
    return merged


def _merged(container: Document, override: Overrides) -> dict[str, Any]:
    merged = {**container, **{key: override[key] for key in _REPLACED if key in override}}
    environment = {variable.get("name"): variable for variable in container["environment"]}
    environment |= {variable.get("name"): variable for variable in override.get("environment", ())}
    merged["environment"] = list(environment.values())
    return merged


def echo(definition: Document, overrides: Overrides | None) -> dict[str, Any]:
    """The task's `overrides` member: what was asked for, with every container named."""
    given = without_absent(overrides or {})
    by_name = {container["name"]: container for container in given.get("containerOverrides", ())}
    return {
        **given,
        "containerOverrides": [
            by_name.get(container["name"], {"name": container["name"]})
            for container in definition["containerDefinitions"]
        ],
        "inferenceAcceleratorOverrides": [],
    }


def demand_of(definition: Document, overrides: Overrides | None) -> TaskDemand:
    """What a task of the definition with these overrides takes from its instance."""
    return demand.demand_of(effective(definition, overrides))
