"""Nouns as the wire shows them. Pure; absent members are `None` and vanish on the wire."""

from __future__ import annotations

from homeport.services.ecs.view.capacity_providers import capacity_provider_view, fargate_view
from homeport.services.ecs.view.clusters import cluster_view
from homeport.services.ecs.view.history import (
    service_deployment_brief,
    service_deployment_view,
    service_revision_view,
)
from homeport.services.ecs.view.instances import instance_view
from homeport.services.ecs.view.services import deployment_configuration, service_view
from homeport.services.ecs.view.task_definitions import task_definition_view
from homeport.services.ecs.view.task_sets import task_set_view
from homeport.services.ecs.view.tasks import task_health, task_view
from homeport.services.ecs.view.wire import Include, Standings

__all__ = [
    "Include",
    "Standings",
    "capacity_provider_view",
    "cluster_view",
    "deployment_configuration",
    "fargate_view",
    "instance_view",
    "service_deployment_brief",
    "service_deployment_view",
    "service_revision_view",
    "service_view",
    "task_definition_view",
    "task_health",
    "task_set_view",
    "task_view",
]
