"""Deployments and revisions of daemons."""

from __future__ import annotations

from homeport.core.call import Call
from homeport.services.ecs.api.context import Answer, Ecs, Request, ops
from homeport.services.ecs.api.daemons import find_daemon
from homeport.services.ecs.api.paging import page_of
from homeport.services.ecs.api.service_deployments import asked_uids, named_resources
from homeport.services.ecs.repo.daemons import DaemonRepo
from homeport.services.ecs.repo.hosts import load_managed
from homeport.services.ecs.view.daemons import (
    daemon_deployment_brief,
    daemon_deployment_view,
    daemon_revision_view,
)
from homeport.store.tx import Tx


@ops.operation("DescribeDaemonDeployments", resources=named_resources("daemonDeploymentArns"))
async def describe_daemon_deployments(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Describe up to twenty deployments, with how their instances stand now."""
    asked = asked_uids(call, req, "daemonDeploymentArns", "daemon-deployment")

    def work(tx: Tx) -> Answer:
        repo = DaemonRepo(tx)
        known = {one.arn: one for one in repo.deployments([uid for uid in asked.values() if uid]).values()}
        daemons = repo.get_many({one.daemon_id for one in known.values()})
        snapshots = {row_id: load_managed(tx, daemon) for row_id, daemon in daemons.items()}
        shown = []
        for arn in asked:
            if (one := known.get(arn)) is not None:
                back = one.rollback.revision if one.rollback is not None else None
                revisions = repo.revisions([one.target, back, *one.sources])
                shown.append(daemon_deployment_view(one, snapshots[one.daemon_id], revisions))
        return {
            "daemonDeployments": shown,
            "failures": [{"arn": arn, "reason": "MISSING"} for arn in asked if arn not in known],
        }

    return await ecs.store.read(work)


@ops.operation("ListDaemonDeployments", resources=named_resources("daemonArn"))
async def list_daemon_deployments(call: Call, ecs: Ecs, req: Request) -> Answer:
    """A daemon's deployments, newest first."""
    created, page = req.get("createdAt") or {}, page_of(call, ecs, req, default=20)

    def work(tx: Tx) -> list[tuple[int, Answer]]:
        daemon = find_daemon(tx, call, req["daemonArn"])
        found = DaemonRepo(tx).deployment_page(
            daemon.id,
            statuses=req.get("status") or (),
            created_after=created.get("after"),
            created_before=created.get("before"),
            before_id=page.after(None),
            limit=page.limit + 1,
        )
        return [(one.id, daemon_deployment_brief(one)) for one in found]

    return page.answer("daemonDeployments", await ecs.store.read(work))


@ops.operation("DescribeDaemonRevisions", resources=named_resources("daemonRevisionArns"))
async def describe_daemon_revisions(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Describe up to twenty revisions."""
    asked = asked_uids(call, req, "daemonRevisionArns", "daemon-revision")

    def work(tx: Tx) -> Answer:
        found = DaemonRepo(tx).revisions(uid for uid in asked.values() if uid)
        known = {revision.arn: revision for revision in found.values()}
        return {
            "daemonRevisions": [daemon_revision_view(known[arn]) for arn in asked if arn in known],
            "failures": [{"arn": arn, "reason": "MISSING"} for arn in asked if arn not in known],
        }

    return await ecs.store.read(work)
