"""Task definitions on the wire."""

from __future__ import annotations

from homeport.services.ecs.model import TaskDefinition
from homeport.services.ecs.view.wire import Wire, present


def task_definition_view(definition: TaskDefinition) -> Wire:
    """A revision, without its tags (they stand beside it on the wire)."""
    return present(
        {
            **definition.body,
            "taskDefinitionArn": definition.arn,
            "family": definition.family,
            "revision": definition.revision,
            "status": definition.status,
            "registeredAt": definition.registered_at,
            "registeredBy": definition.registered_by,
            "deregisteredAt": definition.deregistered_at,
            "deleteRequestedAt": definition.delete_requested_at,
        }
    )
