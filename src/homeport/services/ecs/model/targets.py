"""What a service has from load balancers: where its tasks are registered, and how they fare there."""

from __future__ import annotations

from datetime import datetime

import msgspec

from homeport.services.ecs.model.base import Document, Noun

CLASSIC = "classic"
"""What stands for a target type where a Classic Load Balancer stands for a target group."""


def classic_arn(account_id: str, region: str, name: str) -> str:
    """A Classic Load Balancer, where others name a target group."""
    return f"arn:aws:elasticloadbalancing:{region}:{account_id}:loadbalancer/{name}"


def classic_name(arn: str) -> str:
    """The name of the Classic Load Balancer that stands for a target group; nothing of a target group."""
    return arn.partition(":loadbalancer/")[2]


class TargetPlace(Noun, frozen=True, kw_only=True):
    """A target group that a task belongs to.

    `target_type`: `instance`, `ip`, or `classic`: then the group is a Classic Load Balancer's ARN. `port`:
    the container's.

    `on_host`: the container has no other ports than its instance's (network mode host).
    """

    target_group: str
    target_type: str = "instance"
    container: str
    port: int
    on_host: bool = False


class LoadBalancer(Noun, frozen=True, kw_only=True):
    """A target group that a deployment's tasks are registered in.

    `advanced`: what deployments with shifted traffic need of it, as it was given. Two deployments one after
    the other then use two target groups in turn: `asked` is the group that was asked for, where the
    deployment's is the alternate one.
    """

    place: TargetPlace
    advanced: Document = msgspec.field(default_factory=dict)
    asked: str = ""

    @property
    def target_group(self) -> str:
        """The target group as it was asked for."""
        return self.asked or self.place.target_group

    @property
    def pair(self) -> tuple[str, ...]:
        """The groups that its deployments use in turn; one where there is no alternate."""
        return tuple(filter(None, (self.target_group, self.advanced.get("alternateTargetGroupArn"))))

    def as_asked(self) -> LoadBalancer:
        """Without what one deployment has made of it."""
        found = self.using(self.target_group)
        return msgspec.structs.replace(found, place=msgspec.structs.replace(found.place, on_host=False))

    def using(self, group: str) -> LoadBalancer:
        """The same for a deployment whose tasks are registered in that group."""
        place = msgspec.structs.replace(self.place, target_group=group)
        asked = "" if group == self.target_group else self.target_group
        return msgspec.structs.replace(self, place=place, asked=asked)


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
        return (self.target_group, *self.address)

    @property
    def address(self) -> tuple[str, int]:
        """The same without the group. A Classic Load Balancer knows whole instances: theirs have port 0."""
        return (self.target, 0 if classic_name(self.target_group) else self.port)
