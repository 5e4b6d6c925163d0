"""From a RegisterTaskDefinition request to the stored document."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from homeport.services.ecs.plan import tags
from homeport.services.ecs.plan.task_definition import (
    attributes,
    compatibility,
    containers,
    dependencies,
    devices,
    logs,
    network,
    references,
    sizes,
    volumes,
)
from homeport.services.ecs.plan.task_definition.members import REQUEST_MEMBERS, check_known
from homeport.services.ecs.plan.task_definition.settings import Document, Settings, refuse

DOCUMENT_BYTES_MOST = 64 * 1024
CONSTRAINTS_MOST = 10
EXPRESSION_MOST = 2000
_FAMILY = re.compile(r"[A-Za-z0-9_-]{1,255}")


def normalise(request: Mapping[str, Any], *, settings: Settings) -> dict[str, Any]:
    """The document that DescribeTaskDefinition will show.

    Raise `ClientException` for what AWS refuses, `InvalidParameterException`
    for wrong tags. Tags, ARN, revision, status and dates are the caller's to add.
    """
    document = drafted(request, settings=settings)
    compatible = compatibility.check(document, settings)
    return {
        **document,
        "requiresAttributes": attributes.required(document),
        "compatibilities": compatible,
    }


def drafted(request: Mapping[str, Any], *, settings: Settings) -> dict[str, Any]:
    """The document without what it fits: what holds for a definition of any kind is checked."""
    given = without_absent(request)
    check_known(given)
    _check_family(given.get("family"))
    tags.checked(given.get("tags"))
    size = len(json.dumps(given, separators=(",", ":")).encode())
    if size > DOCUMENT_BYTES_MOST:
        raise refuse(f"The task definition has {size} bytes; {DOCUMENT_BYTES_MOST} are allowed.")
    containers.check_list(given.get("containerDefinitions", []))
    document = _filled(given, settings)
    _check(document, settings)
    return document


def request_part(document: Document) -> dict[str, Any]:
    """The members of a document that can be registered again."""
    return {key: value for key, value in document.items() if key in REQUEST_MEMBERS}


def without_absent(value: Any) -> Any:
    """The value without members that are null: on the wire null means absent."""
    if isinstance(value, Mapping):
        return {key: without_absent(member) for key, member in value.items() if member is not None}
    if isinstance(value, list | tuple):
        return [without_absent(member) for member in value if member is not None]
    return value


def _check_family(family: Any) -> None:
    if not family:
        raise refuse("Family should not be null or empty.")
    if not _FAMILY.fullmatch(family):
        raise refuse(
            f"Invalid family '{family}': up to 255 letters, numbers, underscores and hyphens are allowed."
        )


def _filled(given: dict[str, Any], settings: Settings) -> dict[str, Any]:
    document = {key: value for key, value in given.items() if key != "tags"}
    document.setdefault("networkMode", "bridge")
    document.setdefault("placementConstraints", [])
    document["containerDefinitions"] = [containers.with_defaults(c) for c in given["containerDefinitions"]]
    document["volumes"] = [volumes.with_defaults(volume) for volume in given.get("volumes", [])]
    for key, parse in (("cpu", sizes.parse_cpu), ("memory", sizes.parse_memory)):
        if key in given:
            document[key] = str(parse(str(given[key])))
    for key in ("taskRoleArn", "executionRoleArn"):
        if not document.get(key):
            document.pop(key, None)
        else:
            document[key] = references.role_arn(document[key], settings.account_id)
    return network.with_ports(document)


def _check(document: Document, settings: Settings) -> None:
    for container in document["containerDefinitions"]:
        containers.check(container)
        sizes.check_container(container)
    if "FARGATE" not in (document.get("requiresCompatibilities") or []):
        cpu, memory = (int(document[key]) if key in document else None for key in ("cpu", "memory"))
        sizes.check_task_range(cpu, memory)
    sizes.check_sums(document)
    network.check_mode(document)
    network.check_ports(document)
    network.check_proxy(document)
    dependencies.check(document)
    volumes.check(document)
    logs.check(document)
    references.check(document)
    devices.check(document)
    containers.check_system_controls(document)
    compatibility.check_neuron(document)
    _check_constraints(document["placementConstraints"], settings)
    if "ephemeralStorage" in document:
        check_ephemeral_storage(document["ephemeralStorage"]["sizeInGiB"])
    _check_trusted_execution(document.get("trustedExecutionConfiguration"))


def _check_constraints(constraints: list[Document], settings: Settings) -> None:
    if len(constraints) > CONSTRAINTS_MOST:
        raise refuse(f"A task definition has at most {CONSTRAINTS_MOST} placement constraints.")
    for constraint in constraints:
        if constraint.get("type") != "memberOf":
            raise refuse(
                f"Invalid placement constraint type '{constraint.get('type')}': only memberOf is valid."
            )
        expression = constraint.get("expression", "")
        if len(expression) > EXPRESSION_MOST:
            raise refuse(f"A placement constraint expression has at most {EXPRESSION_MOST} characters.")
        try:
            settings.check_expression(expression)
        except ValueError as error:
            raise refuse(f"Invalid placement constraint expression '{expression}': {error}.") from None


def check_ephemeral_storage(size_gib: int) -> None:
    """21 to 200 GiB. Source: EphemeralStorage; the texts are recorded."""
    if size_gib < 21:
        raise refuse("EphemeralStorage size should be at least 21")
    if size_gib > 200:
        raise refuse("EphemeralStorage size should be at most 200")


def _check_trusted_execution(configuration: Document | None) -> None:
    if configuration is None:
        return
    needs_policy = configuration["isolationMode"] == "CONFIDENTIAL_SANDBOX"
    if needs_policy and not configuration.get("attestationPolicy"):
        raise refuse("attestationPolicy is required when isolationMode is CONFIDENTIAL_SANDBOX.")
