"""Tasks as the agent takes them: everything of Docker's is rendered here, none there.

A payload is a pure function of the task definition, the task's overrides and its
identity; the same task renders to the same bytes.
"""

from homeport.services.ecs.plan.payload.identity import TaskIdentity
from homeport.services.ecs.plan.payload.task import render_stop, render_task

__all__ = ["TaskIdentity", "render_stop", "render_task"]
