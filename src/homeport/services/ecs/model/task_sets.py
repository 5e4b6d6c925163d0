"""Task sets: what runs in a service whose deployments somebody else conducts."""

from __future__ import annotations

from datetime import datetime

from homeport.services.ecs.model.base import Document, Noun
from homeport.services.ecs.model.services import Deployment


class TaskSet(Noun, frozen=True, kw_only=True):
    """A share of a service with the EXTERNAL deployment controller: `scale` percent of its desired count.

    `deployment` has the id of the task set, what it runs, and how its starts fare.
    `forced`: deleted although it may have had tasks, so that protected ones go as well.
    """

    id: int = 0
    version: int = 1
    service_id: int
    cluster_name: str
    account_id: str
    region: str
    service_name: str
    status: str = "ACTIVE"
    deployment: Deployment
    scale: float = 0.0
    computed_desired_count: int = 0
    external_id: str | None = None
    stability_status: str = "STABILIZING"
    stability_at: datetime
    created_at: datetime
    updated_at: datetime
    forced: bool = False
    tags: tuple[Document, ...] = ()

    @property
    def uid(self) -> str:
        """Its id, `ecs-svc/N`: what its tasks are started by."""
        return self.deployment.id

    @property
    def arn(self) -> str:
        """Its ARN."""
        head = f"arn:aws:ecs:{self.region}:{self.account_id}"
        return f"{head}:task-set/{self.cluster_name}/{self.service_name}/{self.uid}"
