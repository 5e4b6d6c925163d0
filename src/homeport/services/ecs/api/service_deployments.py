"""Service deployments and revisions."""

from __future__ import annotations

from typing import Any

import msgspec

from homeport.core.call import Call
from homeport.services.ecs.api.context import Answer, Ecs, Request, find_cluster, home, ops
from homeport.services.ecs.api.paging import page_of
from homeport.services.ecs.api.resources import services_resource
from homeport.services.ecs.errors import (
    ConflictException,
    InvalidParameterException,
    ServiceDeploymentNotFoundException,
    ServiceNotFoundException,
)
from homeport.services.ecs.model import Service, ServiceDeployment
from homeport.services.ecs.plan.history import advanced
from homeport.services.ecs.plan.identifiers import history_uid, service_name
from homeport.services.ecs.plan.rollout_endings import (
    CONTINUED_BACK,
    STOPPED_FOR_GOOD,
    STOPPED_ROLLING_BACK,
    fail_deployment,
    with_primary,
)
from homeport.services.ecs.plan.strategy_hooks import with_runs
from homeport.services.ecs.repo.history import HistoryRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.services.ecs.view import (
    Standings,
    service_deployment_brief,
    service_deployment_view,
    service_revision_view,
)
from homeport.store.tx import Tx

DESCRIBED_MOST = 20
AWAITING = "AWAITING_ACTION"


def named_resources(member: str) -> Any:
    """IAM: the ARNs that a member of the request holds."""

    def resources(call: Call, request: Request) -> tuple[str, ...]:
        del call
        given = request.get(member)
        return tuple(given) if isinstance(given, list) and given else (given or "*",)

    return resources


def asked_uids(call: Call, req: Request, member: str, kind: str) -> dict[str, str | None]:
    """The ids in up to twenty ARNs of `kind`; `None` for those of elsewhere."""
    references = req[member]
    if not 1 <= len(references) <= DESCRIBED_MOST:
        raise InvalidParameterException(f"{member} must name 1 to {DESCRIBED_MOST} ARNs.")
    return {reference: history_uid(home(call), reference, kind) for reference in dict.fromkeys(references)}


@ops.operation("DescribeServiceDeployments", resources=named_resources("serviceDeploymentArns"))
async def describe_service_deployments(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Describe up to twenty service deployments."""
    asked = asked_uids(call, req, "serviceDeploymentArns", "service-deployment")

    def work(tx: Tx) -> Answer:
        known = HistoryRepo(tx).find_many([uid for uid in asked.values() if uid])
        records = {record.arn: record for record in known.values()}
        services = ServiceRepo(tx).get_many({record.service_id for record in known.values()})
        tasks = {key: Standings(TaskRepo(tx).standings_of_service(key)) for key in services}
        return {
            "serviceDeployments": [
                service_deployment_view(record, services[record.service_id], tasks[record.service_id])
                for arn in asked
                if (record := records.get(arn)) is not None
            ],
            "failures": [{"arn": arn, "reason": "MISSING"} for arn in asked if arn not in records],
        }

    return await ecs.store.read(work)


@ops.operation("DescribeServiceRevisions", resources=named_resources("serviceRevisionArns"))
async def describe_service_revisions(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Describe up to twenty service revisions."""
    asked = asked_uids(call, req, "serviceRevisionArns", "service-revision")

    def work(tx: Tx) -> Answer:
        known = HistoryRepo(tx).revisions([uid for uid in asked.values() if uid])
        revisions = {revision.arn: revision for revision in known.values()}
        return {
            "serviceRevisions": [service_revision_view(revisions[arn]) for arn in asked if arn in revisions],
            "failures": [{"arn": arn, "reason": "MISSING"} for arn in asked if arn not in revisions],
        }

    return await ecs.store.read(work)


@ops.operation("ListServiceDeployments", resources=services_resource)
async def list_service_deployments(call: Call, ecs: Ecs, req: Request) -> Answer:
    """A service's deployments, newest first."""
    created = req.get("createdAt") or {}
    page = page_of(call, ecs, req, default=20)

    def work(tx: Tx) -> list[tuple[int, Answer]]:
        cluster = find_cluster(tx, call, req.get("cluster"))
        name = service_name(home(call), cluster.name, req["service"])
        service = None if name is None else ServiceRepo(tx).find(cluster.id, name)
        if service is None:
            raise ServiceNotFoundException("Service not found.")
        records = HistoryRepo(tx).page(
            service.id,
            statuses=req.get("status") or (),
            created_after=created.get("after"),
            created_before=created.get("before"),
            before_id=page.after(None),
            limit=page.limit + 1,
        )
        return [(record.id, service_deployment_brief(record)) for record in records]

    return page.answer("serviceDeployments", await ecs.store.read(work))


@ops.operation("StopServiceDeployment", resources=named_resources("serviceDeploymentArn"))
async def stop_service_deployment(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Stop an open service deployment: roll it back, or leave everything where it is."""
    arn, roll_back = req["serviceDeploymentArn"], req.get("stopType", "ROLLBACK") == "ROLLBACK"
    uid = history_uid(home(call), arn, "service-deployment")

    def work(tx: Tx) -> Answer:
        history = HistoryRepo(tx)
        record = history.find_many([uid]).get(uid) if uid else None
        if record is None or record.arn != arn:
            raise ServiceDeploymentNotFoundException("Service deployment not found.")
        if record.status not in ("PENDING", "IN_PROGRESS"):
            raise ConflictException(
                f"The service deployment is {record.status}: only one that is PENDING or IN_PROGRESS "
                "can be stopped."
            )
        services = ServiceRepo(tx)
        service = services.get(record.service_id)
        assert service is not None, "a service outlives its deployments"
        _stop(ecs, services, history, service, record, roll_back=roll_back)
        return {"serviceDeploymentArn": arn}

    return await ecs.store.write(work)


@ops.operation("ContinueServiceDeployment", resources=named_resources("serviceDeploymentArn"))
async def continue_service_deployment(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Let a deployment go on that a PAUSE hook holds up, or send it back."""
    arn, hook_id, roll_back = req["serviceDeploymentArn"], req["hookId"], req.get("action") == "ROLLBACK"
    uid = history_uid(home(call), arn, "service-deployment")

    def work(tx: Tx) -> Answer:
        history = HistoryRepo(tx)
        record = history.find_many([uid]).get(uid) if uid else None
        if record is None or record.arn != arn:
            raise ServiceDeploymentNotFoundException("Service deployment not found.")
        services = ServiceRepo(tx)
        service = services.get(record.service_id)
        assert service is not None, "a service outlives its deployments"
        is_running = record.status == "IN_PROGRESS" and service.primary.id == record.deployment_id
        staging = service.primary.staging if is_running else None
        if staging is None:
            raise InvalidParameterException(
                f"The service deployment is {record.status}: only one that is IN_PROGRESS can be paused."
            )
        run = next((one for one in staging.hooks if one.id == hook_id), None)
        if run is None or run.status != AWAITING:
            raise InvalidParameterException(
                f"The lifecycle hook {hook_id} is not {AWAITING}"
                f"{': it is ' + run.status if run else ' at this stage'}."
            )
        if roll_back:
            _turn_back(ecs, services, history, service, record)
        else:
            done = with_runs(staging, msgspec.structs.replace(run, status="SUCCEEDED"))
            primary = msgspec.structs.replace(service.primary, staging=done)
            services.save(with_primary(service, primary))
            history.save(msgspec.structs.replace(record, staging=done, updated_at=ecs.clock.now()))
        return {"serviceDeploymentArn": arn}

    return await ecs.store.write(work)


def _turn_back(
    ecs: Ecs, services: ServiceRepo, history: HistoryRepo, service: Service, record: ServiceDeployment
) -> None:
    if service.last_completed is None:
        raise InvalidParameterException("There is no completed deployment to roll back to.")
    now = ecs.clock.now()
    changed, failed, _ = fail_deployment(service, now, texts=CONTINUED_BACK, roll_back=True)
    history.save(advanced(record, services.save(changed), failed, now))


def _stop(
    ecs: Ecs,
    services: ServiceRepo,
    history: HistoryRepo,
    service: Service,
    record: ServiceDeployment,
    *,
    roll_back: bool,
) -> None:
    now = ecs.clock.now()
    target, staging = service.last_completed, service.primary.staging
    if staging is not None and staging.stage == "CLEAN_UP":
        raise ConflictException(
            "The service deployment is at CLEAN_UP: production is the new revision's, and the old one ends."
        )
    if roll_back and (target is None or target.id == record.deployment_id):
        raise ConflictException("There is no completed deployment to roll back to.")
    texts = STOPPED_ROLLING_BACK if roll_back else STOPPED_FOR_GOOD
    changed, failed, _ = fail_deployment(service, now, texts=texts, roll_back=roll_back)
    saved = services.save(changed)
    after = advanced(record, saved, failed, now)
    history.save(msgspec.structs.replace(after, status="ROLLBACK_REQUESTED") if roll_back else after)
