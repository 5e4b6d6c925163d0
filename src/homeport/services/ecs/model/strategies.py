"""How a service's deployments go besides replacing tasks: strategies, their stages, and their hooks.

Source: developer guide, "Amazon ECS blue/green service deployments workflow", "Lifecycle hooks for Amazon ECS
service deployments"; botocore's DeploymentConfiguration, DeploymentLifecycleHook, ServiceDeployment.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from homeport.services.ecs.model.base import Document, Noun

STAGES = (
    "RECONCILE_SERVICE",
    "PRE_SCALE_UP",
    "SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
    "BAKE_TIME",
    "CLEAN_UP",
)
"""In their order; a linear or a canary deployment takes the two of the production shift once a step."""
OPEN_HOOKS = ("AWAITING_ACTION", "IN_PROGRESS")


class LifecycleHook(Noun, frozen=True, kw_only=True):
    """What runs at stages: a function (AWS_LAMBDA, `target_arn`), or a PAUSE until somebody decides.

    `timeout_action`: CONTINUE or ROLLBACK, after `timeout_minutes` without an end.
    `given` is what was asked for, as it is shown again.
    """

    target_type: str = "AWS_LAMBDA"
    target_arn: str = ""
    role_arn: str = ""
    stages: tuple[str, ...]
    details: Document = msgspec.field(default_factory=dict)
    timeout_minutes: int = 1440
    timeout_action: str = "ROLLBACK"
    given: Document = msgspec.field(default_factory=dict)


class DeploymentStrategy(Noun, frozen=True, kw_only=True):
    """ROLLING, BLUE_GREEN, LINEAR or CANARY.

    `step_percent` of production traffic is shifted at once: by each step of a linear
    deployment, by the first of two of a canary one; `step_bake_minutes` pass before the next.
    `bake_minutes`: how long both revisions run on once all of it is shifted.
    """

    name: str = "ROLLING"
    bake_minutes: int = 0
    step_percent: float = 100.0
    step_bake_minutes: int = 0
    hooks: tuple[LifecycleHook, ...] = ()

    @property
    def is_staged(self) -> bool:
        """Whether deployments go through stages with two revisions side by side."""
        return self.name != "ROLLING"

    @property
    def percents(self) -> tuple[float, ...]:
        """The share of production traffic of the new revision after each step."""
        if self.name == "LINEAR":
            steps = int(-(-1000 // round(self.step_percent * 10)))
            return tuple(min(round(self.step_percent * step, 1), 100.0) for step in range(1, steps + 1))
        if self.name == "CANARY" and self.step_percent < 100:
            return (self.step_percent, 100.0)
        return (100.0,)


class HookRun(Noun, frozen=True, kw_only=True):
    """One execution of a hook. `call_at`: when its function is asked (again)."""

    id: str
    hook: LifecycleHook
    status: str
    expires_at: datetime
    call_at: datetime | None = None
    details: Document = msgspec.field(default_factory=dict)
    """What the function wants to be handed with its next call."""

    @property
    def is_open(self) -> bool:
        """Whether it is not decided yet."""
        return self.status in OPEN_HOOKS


class HookAnswer(Noun, frozen=True, kw_only=True):
    """What a hook's function said. `status`: SUCCEEDED, FAILED or IN_PROGRESS.

    One in progress is called again after a while, and is handed `details` then.
    """

    status: str
    call_back_seconds: float = 30.0
    details: Document | None = None


class Staging(Noun, frozen=True, kw_only=True):
    """Where a deployment with stages is. `blue` and `green` are deployments' ids; `blue` may be empty.

    `production` and `test` are green's requested shares of the traffic in percent, `live` says whether
    they have been in force since they were requested, `shifts` whether there is traffic to shift at all.
    `holds`: production's traffic stays where an interrupted deployment has left it until green gets it,
    because blue has no healthy task to take it back.
    `step` counts the steps of the production shift. A stage is its work, then its hooks (`hooks` once
    `hooked`), then, for a step of the production shift, a pause until `rests_until`.
    `returns`: it failed, and everything goes back to blue.
    """

    strategy: DeploymentStrategy
    blue: str = ""
    green: str
    began: datetime
    stage: str = "PRE_SCALE_UP"
    since: datetime
    step: int = 0
    production: float = 0.0
    test: float = 0.0
    live: bool = True
    shifts: bool = False
    holds: bool = False
    hooked: bool = False
    hooks: tuple[HookRun, ...] = ()
    rests_until: datetime | None = None
    returns: bool = False

    @property
    def percents(self) -> tuple[float, ...]:
        """The steps of the production shift; one where there is nobody to shift it from."""
        return self.strategy.percents if self.blue and not self.holds else (100.0,)

    def is_past(self, stage: str) -> bool:
        """Whether it has reached that stage."""
        return STAGES.index(self.stage) >= STAGES.index(stage)

    def wants(self, deployment_id: str) -> bool:
        """Whether the service's desired count is wanted of that deployment as well."""
        if self.returns:
            return deployment_id == self.blue or (deployment_id == self.green and self.stage != "CLEAN_UP")
        if deployment_id == self.green:
            return self.is_past("SCALE_UP")
        return deployment_id == self.blue and self.stage != "CLEAN_UP"
