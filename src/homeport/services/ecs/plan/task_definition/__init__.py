"""Task definitions: what may be registered, how it is stored, and what a task of it takes.

A definition is everywhere the wire-shaped mapping that DescribeTaskDefinition
returns. Each module holds the rules of one subject; `normalise` runs them.
"""

from homeport.services.ecs.plan.task_definition.attributes import required as required_attributes
from homeport.services.ecs.plan.task_definition.demand import TaskDemand
from homeport.services.ecs.plan.task_definition.members import (
    HONOURED,
    REFUSED_AT_RUN,
    REFUSED_VALUES_AT_RUN,
    Effect,
    unsupported_at_run,
)
from homeport.services.ecs.plan.task_definition.normalise import drafted, normalise, request_part
from homeport.services.ecs.plan.task_definition.settings import Settings

__all__ = [
    "HONOURED",
    "REFUSED_AT_RUN",
    "REFUSED_VALUES_AT_RUN",
    "Effect",
    "Settings",
    "TaskDemand",
    "drafted",
    "normalise",
    "request_part",
    "required_attributes",
    "unsupported_at_run",
]
