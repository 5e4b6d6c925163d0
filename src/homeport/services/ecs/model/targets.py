"""What a service has from load balancers: where its tasks are registered, and how they fare there."""

from __future__ import annotations

from datetime import datetime

import msgspec

from homeport.services.ecs.model.base import Document, Noun


class TargetPlace(Noun, frozen=True, kw_only=True):
    """A target group that a task belongs to. `target_type`: `instance` or `ip`; `port`: the container's."""

    target_group: str
    target_type: str = "instance"
    container: str
    port: int


class LoadBalancer(Noun, frozen=True, kw_only=True):
    """A target group that a service's tasks are registered in.

    `advanced`: what deployments with shifted traffic need of it, as it was given.
    """

    place: TargetPlace
    advanced: Document = msgspec.field(default_factory=dict)


class Target(Noun, frozen=True, kw_only=True):
    """A task's registration in a target group: what was asked of the load balancer, and what it said.

    `status`: REGISTERING and DEREGISTERING are written before the load balancer is asked and stay until it
    has answered, so that a registration is never forgotten; then REGISTERED, and DRAINING. DRAINED is one
    that serves nobody any more; its row goes once no registration of it can be on its way (`register_by`).
    `health`, `reason` and `description` are the load balancer's words of its last answer, `problem` why it
    gave none to the last question. `told`: its failing was told in an event.
    """

    id: int = 0
    version: int = 1
    service_id: int
    task_id: int
    task_uid: str
    started_by: str
    target_group: str
    target: str
    """The instance's EC2 id, or an IP address."""
    port: int
    container_port: int
    status: str = "REGISTERING"
    health: str = ""
    reason: str = ""
    description: str = ""
    problem: str = ""
    told: bool = False
    deregistered_at: datetime | None = None
    register_by: datetime | None = None
    """Registrations that were asked for take effect before, or not at all."""
    delay_seconds: float = 300.0

    @property
    def key(self) -> tuple[str, str, int]:
        """What the load balancer knows it by: two tasks may have it one after the other."""
        return (self.target_group, self.target, self.port)
