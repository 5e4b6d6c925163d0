"""Daemons: one task on every instance of their capacity providers.

AWS has them on Managed Instances capacity providers only, which are not served here. A daemon of Homeport
may be associated with any capacity provider that has container instances here, which are those that carry
the provider's Auto Scaling group in the attribute `homeport.auto-scaling-group` [our choice].
"""

from __future__ import annotations

import msgspec

from homeport.core.arn import MalformedArnError, parse_arn
from homeport.core.call import Call
from homeport.core.ids import token as letters
from homeport.core.ids import uuid
from homeport.services.ecs.api.access import deploying_daemon
from homeport.services.ecs.api.context import Answer, Ecs, Request, find_cluster, home, ops
from homeport.services.ecs.api.daemon_task_definitions import find_daemon_definition
from homeport.services.ecs.api.paging import page_of
from homeport.services.ecs.errors import (
    DaemonNotActiveException,
    DaemonNotFoundException,
    InvalidParameterException,
)
from homeport.services.ecs.model import (
    FARGATE_PROVIDERS,
    Cluster,
    Daemon,
    DaemonDeployment,
    DaemonRevision,
    Provider,
    TaskDefinition,
)
from homeport.services.ecs.plan.daemon_endings import superseded
from homeport.services.ecs.plan.daemon_request import (
    DaemonSettings,
    check_name,
    check_providers,
    check_runnable,
    check_token,
    daemon_settings,
)
from homeport.services.ecs.plan.identifiers import PARTITION, daemon_path
from homeport.services.ecs.plan.launch import request_digest
from homeport.services.ecs.plan.tags import checked
from homeport.services.ecs.repo.capacity_providers import CapacityProviderRepo
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.daemons import DaemonRepo
from homeport.services.ecs.repo.hosts import load_managed
from homeport.services.ecs.repo.settings import TokenRepo
from homeport.services.ecs.view.daemons import daemon_brief, daemon_view
from homeport.store.tx import Tx

NOT_IDEMPOTENT = "Creation of daemon was not idempotent."


def _cluster_arn(call: Call, request: Request) -> str:
    reference = request.get("clusterArn") or "default"
    head = f"arn:aws:ecs:{call.region}:{call.account_id}:cluster"
    return reference if reference.startswith("arn:") else f"{head}/{reference}"


def _new_resource(call: Call, request: Request) -> tuple[str, ...]:
    cluster = _cluster_arn(call, request).rpartition("/")[2]
    name = request.get("daemonName") or "*"
    return (f"arn:aws:ecs:{call.region}:{call.account_id}:daemon/{cluster}/{name}",)


def _resource(call: Call, request: Request) -> tuple[str, ...]:
    del call
    return (request["daemonArn"],)


def find_daemon(tx: Tx, call: Call, reference: str) -> Daemon:
    """The daemon that an ARN names. Raise `DaemonNotFoundException`."""
    path = daemon_path(home(call), reference)
    cluster = None if path is None else ClusterRepo(tx).find(call.account_id, call.region, path[0])
    daemon = None if cluster is None or path is None else DaemonRepo(tx).find(cluster.id, path[1])
    if daemon is None:
        raise DaemonNotFoundException("Daemon not found.")
    return daemon


def _providers(tx: Tx, call: Call, arns: list[str]) -> tuple[Provider, ...]:
    """The capacity providers, and the instances that they stand for."""
    check_providers(arns)
    found = []
    for text in arns:
        try:
            arn = parse_arn(text)
        except MalformedArnError:
            raise InvalidParameterException(f"Invalid capacity provider ARN: {text}") from None
        kind, _, name = arn.resource.partition("/")
        here = (arn.partition, arn.service, arn.account_id, arn.region) == (
            PARTITION,
            "ecs",
            call.account_id,
            call.region,
        )
        if kind != "capacity-provider":
            raise InvalidParameterException(f"Invalid capacity provider ARN: {text}")
        provider = CapacityProviderRepo(tx).find(call.account_id, call.region, name) if here else None
        if name in FARGATE_PROVIDERS:
            raise InvalidParameterException(f"A daemon needs container instances; {name} has none.")
        if provider is None or provider.status != "ACTIVE":
            raise InvalidParameterException(f"The specified capacity provider was not found: {text}")
        found.append(Provider(arn=provider.arn, group=provider.group))
    return tuple(found)


def _asked(
    tx: Tx, call: Call, ecs: Ecs, req: Request, cluster: Cluster, settings: DaemonSettings
) -> DaemonRevision:
    """The revision that a request asks for; the daemon's row is the caller's to fill in."""
    reference = req["daemonTaskDefinitionArn"]
    if not reference.startswith("arn:"):
        raise InvalidParameterException(f"Invalid daemon task definition ARN: {reference}")
    definition: TaskDefinition = check_runnable(find_daemon_definition(tx, call, reference))
    return DaemonRevision(
        daemon_id=0,
        cluster_name=cluster.name,
        account_id=call.account_id,
        region=call.region,
        daemon_name="",
        uid=uuid(ecs.ids),
        task_definition_id=definition.id,
        task_definition=definition.arn,
        providers=_providers(tx, call, req["capacityProviderArns"]),
        images=tuple((c["name"], c["image"]) for c in definition.body["containerDefinitions"]),
        propagate_tags=settings.propagate_tags,
        enable_managed_tags=settings.enable_managed_tags,
        critical=settings.critical,
        created_at=ecs.clock.now(),
    )


def _begin(
    tx: Tx, ecs: Ecs, daemon: Daemon, settings: DaemonSettings | None, sources: tuple[str, ...]
) -> DaemonDeployment:
    """Open the daemon's newest deployment; the one before it ends."""
    repo, now = DaemonRepo(tx), ecs.clock.now()
    opened = DaemonDeployment(
        daemon_id=daemon.id,
        cluster_name=daemon.cluster_name,
        account_id=daemon.account_id,
        region=daemon.region,
        daemon_name=daemon.name,
        uid=daemon.deployment,
        target=daemon.revision,
        sources=sources,
        created_at=now,
    )
    if settings is not None:
        opened = msgspec.structs.replace(
            opened,
            drain_percent=settings.drain_percent,
            bake_minutes=settings.bake_minutes,
            alarm_names=settings.alarm_names,
        )
    return repo.add_deployment(opened)


@ops.operation("CreateDaemon", resources=_new_resource, needs=deploying_daemon)
async def create_daemon(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Create a daemon and open its first deployment; the same request under its token again returns it."""
    name, token, tags = req["daemonName"], req.get("clientToken"), checked(req.get("tags"))
    check_name(name)
    check_token(token)
    settings, digest, now = daemon_settings(req), request_digest(req), ecs.clock.now()

    def work(tx: Tx) -> Answer:
        cluster = find_cluster(tx, call, req.get("clusterArn"))
        repo, scope = DaemonRepo(tx), f"CreateDaemon/{cluster.id}"
        old = repo.find(cluster.id, name)
        known = TokenRepo(tx).find(scope, token) if token else None
        if known is not None:
            if known[0] != digest or old is None or str(old.id) != known[1]:
                raise InvalidParameterException(NOT_IDEMPOTENT)
            return _created(repo, old)
        if old is not None:
            state = "already exists" if old.status == "ACTIVE" else "is still being deleted"
            raise InvalidParameterException(f"A daemon with the name {name} {state} in the cluster.")
        asked = _asked(tx, call, ecs, req, cluster, settings)
        daemon = repo.add(
            Daemon(
                cluster_id=cluster.id,
                cluster_name=cluster.name,
                account_id=call.account_id,
                region=call.region,
                name=name,
                revision=asked.uid,
                deployment=letters(ecs.ids, 21),
                definition_ids=(asked.task_definition_id,),
                counted_until=now,
                tags=tags,
                created_at=now,
                updated_at=now,
                created_by=call.principal.arn,
            )
        )
        repo.add_revision(msgspec.structs.replace(asked, daemon_id=daemon.id, daemon_name=name))
        _begin(tx, ecs, daemon, settings, ())
        if token:
            at = now.timestamp()
            TokenRepo(tx).add(scope, token, digest=digest, result=str(daemon.id), created_at=at)
        return _created(repo, daemon)

    return await ecs.store.write(work)


def _created(repo: DaemonRepo, daemon: Daemon) -> Answer:
    deployment = repo.deployments([daemon.deployment])[daemon.deployment]
    answer = daemon_brief(daemon, deployment_arn=deployment.arn)
    del answer["updatedAt"]
    return answer


def _current(tx: Tx, daemon: Daemon) -> tuple[str, ...]:
    """The revisions that the daemon runs, or was to run."""
    snapshot = load_managed(tx, daemon)
    uids = dict.fromkeys([daemon.revision, *(task.daemon_revision for task in snapshot.live)])
    return tuple(uid for uid in uids if uid is not None)


def _replaced(tx: Tx, ecs: Ecs, daemon: Daemon) -> Daemon:
    """The daemon with a newer deployment in sight, and the one before at its end."""
    repo, now = DaemonRepo(tx), ecs.clock.now()
    before = repo.deployments([daemon.deployment])[daemon.deployment]
    if before.is_open:
        repo.save_deployment(superseded(before, now), was=before.status, now=now)
    return msgspec.structs.replace(
        daemon,
        deployment=letters(ecs.ids, 21),
        failed_starts=0,
        retry_at=None,
        failing_on=(),
        counted_until=now,
        updated_at=now,
    )


def _active(tx: Tx, call: Call, req: Request) -> Daemon:
    daemon = find_daemon(tx, call, req["daemonArn"])
    if daemon.status != "ACTIVE":
        raise DaemonNotActiveException("Daemon was not ACTIVE.")
    return daemon


@ops.operation("UpdateDaemon", resources=_resource, needs=deploying_daemon)
async def update_daemon(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Open a deployment of another revision; what the request leaves out is as by default, not as before."""
    settings = daemon_settings(req)

    def work(tx: Tx) -> Answer:
        repo, daemon = DaemonRepo(tx), _active(tx, call, req)
        cluster = find_cluster(tx, call, daemon.cluster_name)
        asked = _asked(tx, call, ecs, req, cluster, settings)
        repo.add_revision(msgspec.structs.replace(asked, daemon_id=daemon.id, daemon_name=daemon.name))
        sources = _current(tx, daemon)
        known = repo.revisions([daemon.last_good])
        changed = msgspec.structs.replace(
            _replaced(tx, ecs, daemon),
            revision=asked.uid,
            definition_ids=tuple(
                sorted({asked.task_definition_id, *(r.task_definition_id for r in known.values())})
            ),
        )
        saved = repo.save(changed)
        deployment = _begin(tx, ecs, saved, settings, sources)
        return daemon_brief(saved, deployment_arn=deployment.arn)

    return await ecs.store.write(work)


@ops.operation("DeleteDaemon", resources=_resource)
async def delete_daemon(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Stop all its tasks; the daemon is gone once they are."""

    def work(tx: Tx) -> Answer:
        daemon = _active(tx, call, req)
        sources = _current(tx, daemon)
        changed = msgspec.structs.replace(
            _replaced(tx, ecs, daemon), status="DELETE_IN_PROGRESS", revision=None
        )
        saved = DaemonRepo(tx).save(changed)
        deployment = _begin(tx, ecs, saved, None, sources)
        return daemon_brief(saved, deployment_arn=deployment.arn)

    return await ecs.store.write(work)


@ops.operation("DescribeDaemon", resources=_resource)
async def describe_daemon(call: Call, ecs: Ecs, req: Request) -> Answer:
    """A daemon, with what its instances run."""

    def work(tx: Tx) -> Answer:
        return daemon_view(load_managed(tx, find_daemon(tx, call, req["daemonArn"])))

    return {"daemon": await ecs.store.read(work)}


@ops.operation("ListDaemons", resources=lambda call, req: (_cluster_arn(call, req),))
async def list_daemons(call: Call, ecs: Ecs, req: Request) -> Answer:
    """A cluster's daemons by age; with capacity providers, those associated with one of them."""
    page, wanted = page_of(call, ecs, req), set(req.get("capacityProviderArns") or ())

    def work(tx: Tx) -> list[tuple[int, Answer]]:
        cluster = find_cluster(tx, call, req.get("clusterArn"))
        repo = DaemonRepo(tx)
        found = repo.of_cluster(cluster.id, after_id=page.after(0))
        revisions = repo.revisions(daemon.revision for daemon in found)
        shown = []
        for daemon in found:
            revision = revisions.get(daemon.revision or "")
            arns = {provider.arn for provider in revision.providers} if revision else set()
            if not wanted or arns & wanted:
                shown.append((daemon.id, daemon_brief(daemon)))
        return shown[: page.limit + 1]

    return page.answer("daemonSummariesList", await ecs.store.read(work))
