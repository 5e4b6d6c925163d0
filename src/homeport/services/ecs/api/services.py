"""Services: REPLICA and DAEMON ones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from homeport.core.call import Call
from homeport.core.ids import token
from homeport.services.ecs.api.access import deploying
from homeport.services.ecs.api.connect import check_asked, hold_back, next_connect, with_connect
from homeport.services.ecs.api.context import Answer, Ecs, Request, find_cluster, home, ops
from homeport.services.ecs.api.deployments import definition_of, new_deployment
from homeport.services.ecs.api.load_balancers import looked_up
from homeport.services.ecs.api.networks import network_of
from homeport.services.ecs.api.paging import page_of
from homeport.services.ecs.api.registries import next_registries, registry_facts, with_registries
from homeport.services.ecs.api.repeats import earlier, is_repeated, remember
from homeport.services.ecs.api.resources import resolved_later, services_resource
from homeport.services.ecs.errors import (
    InvalidParameterException,
    ServiceNotActiveException,
    ServiceNotFoundException,
)
from homeport.services.ecs.model import Cluster, Deployment, Service
from homeport.services.ecs.plan.compute import check_placement, compute_now, compute_of, next_compute
from homeport.services.ecs.plan.connect import registries_for
from homeport.services.ecs.plan.daemon import daemon_count
from homeport.services.ecs.plan.deployment_request import RolloutSettings, rollout_settings
from homeport.services.ecs.plan.history import opened, revision_of, superseded
from homeport.services.ecs.plan.identifiers import service_name
from homeport.services.ecs.plan.launch import check_network, request_digest
from homeport.services.ecs.plan.load_balancers import load_balancers, role_of
from homeport.services.ecs.plan.networks import with_network
from homeport.services.ecs.plan.rebalancing import is_rebalanced
from homeport.services.ecs.plan.registries import check_registries
from homeport.services.ecs.plan.service_request import (
    check_common,
    check_count,
    check_create,
    check_daemon,
    check_daemon_strategy,
    check_definition,
)
from homeport.services.ecs.plan.strategy_begin import begun
from homeport.services.ecs.plan.strategy_request import check_strategy_of
from homeport.services.ecs.plan.tags import checked
from homeport.services.ecs.plan.task_set_request import check_controller, controller_of
from homeport.services.ecs.plan.traffic import check_may_change, check_shiftable, placed, serves_connect
from homeport.services.ecs.ports import TargetGroup
from homeport.services.ecs.repo.history import HistoryRepo
from homeport.services.ecs.repo.hosts import daemon_hosts
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.repo.task_sets import TaskSetRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.services.ecs.view import Standings, deployment_configuration, service_view
from homeport.store.tx import Tx

_TAGS = frozenset({"TAGS"})


def _view(tx: Tx, service: Service, include: frozenset[str], *, created: bool = False) -> Answer:
    return service_view(
        service,
        tasks=Standings(TaskRepo(tx).standings_of_service(service.id)),
        task_sets=TaskSetRepo(tx).of_service(service.id) if service.is_external else (),
        include=include,
        created=created,
    )


def find_service(tx: Tx, call: Call, cluster: Cluster, reference: str) -> Service:
    """The service that a request names, also if it is INACTIVE. Raise `ServiceNotFoundException`."""
    name = service_name(home(call), cluster.name, reference)
    service = None if name is None else ServiceRepo(tx).find(cluster.id, name)
    if service is None:
        raise ServiceNotFoundException("Service not found.")
    return service


def _begin_history(tx: Tx, ecs: Ecs, service: Service) -> None:
    """A new primary deployment opens a service deployment of a new revision and ends the one before."""
    history, now = HistoryRepo(tx), ecs.clock.now()
    for record in history.open_of(service.id):
        history.save(superseded(record, now))
    history.add_revision(revision_of(service, service.primary))
    record = opened(service, token(ecs.ids, 21))
    history.add(msgspec.structs.replace(record, configuration=deployment_configuration(service)))


def _first_deployments(
    tx: Tx, call: Call, ecs: Ecs, req: Request, cluster: Cluster, groups: Mapping[str, TargetGroup]
) -> tuple[Deployment, ...]:
    """What a new service begins with; nothing where somebody else conducts its deployments."""
    if controller_of(req) == "EXTERNAL":
        return ()
    definition = definition_of(tx, call, req["taskDefinition"])
    compute = compute_of(req, cluster)
    check_definition(req, definition, compute)
    if req.get("schedulingStrategy") == "DAEMON":
        check_daemon_strategy(compute.strategy)
    balancers = load_balancers(req.get("loadBalancers") or (), groups, definition, role=req.get("role"))
    network = network_of(tx, call, ecs, req, definition, balancers=balancers)
    return (new_deployment(ecs, definition, compute, balancers, network),)


@ops.operation("CreateService", resources=resolved_later, about=services_resource, needs=deploying)
async def create_service(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Create a service; the same request again returns it."""
    check_create(req)
    check_asked(ecs, req)
    check_count(req, ecs.tasks_per_service)
    tags, token = checked(req.get("tags")), req.get("clientToken")
    groups = await looked_up(call, ecs, req)
    facts = await registry_facts(call, ecs, req)
    asked = {key: value for key, value in req.items() if key not in ("clientToken", "cluster")}
    digest = request_digest(asked)

    def work(tx: Tx) -> Answer:
        cluster = find_cluster(tx, call, req.get("cluster"))
        repo = ServiceRepo(tx)
        old = repo.find(cluster.id, req["serviceName"])
        if old is not None and is_repeated(old, asked):
            return _view(tx, old, _TAGS, created=True)
        known = earlier(tx, cluster, token, digest)
        deployments = _first_deployments(tx, call, ecs, req, cluster, groups)
        deployments = with_registries(tx, req, deployments, facts)
        deployments = with_connect(tx, ecs, req, call, cluster, deployments)
        is_daemon = req.get("schedulingStrategy") == "DAEMON"
        rollout = rollout_settings(req.get("deploymentConfiguration"), daemon=is_daemon)
        if token and not known:
            remember(tx, ecs, cluster, token, digest=digest, result=req["serviceName"])
        service = Service(
            cluster_id=cluster.id,
            cluster_name=cluster.name,
            account_id=call.account_id,
            region=call.region,
            name=req["serviceName"],
            desired_count=req.get("desiredCount", 0),
            scheduling_strategy=req.get("schedulingStrategy") or "REPLICA",
            launch_type=deployments[0].launch_type if deployments else "EC2",
            deployments=deployments,
            **rollout._asdict(),
            health_check_grace_seconds=req.get("healthCheckGracePeriodSeconds", 0),
            placement_constraints=tuple(req.get("placementConstraints") or ()),
            placement_strategy=tuple(req.get("placementStrategy") or ()),
            controller=controller_of(req),
            has_targets=bool(req.get("loadBalancers")),
            role=role_of(req, call.account_id),
            has_registries=any(one.registries for one in deployments),
            explicit_controller=bool(req.get("deploymentController")),
            enable_managed_tags=req.get("enableECSManagedTags", False),
            propagate_tags=req.get("propagateTags") or "NONE",
            tags=tags,
            created_at=ecs.clock.now(),
            created_by=call.principal.arn,
            request=asked,
        )
        service = _staged(ecs, req, service, is_new=bool(deployments))
        zones = is_rebalanced(service, req.get("availabilityZoneRebalancing"), created=True)
        added = repo.add(_sized(tx, msgspec.structs.replace(service, az_rebalancing=zones)))
        hold_back(tx, ecs, added)
        if deployments:
            _begin_history(tx, ecs, added)
        return _view(tx, added, _TAGS, created=True)

    return {"service": await ecs.store.write(work)}


def _staged(ecs: Ecs, req: Request, service: Service, *, is_new: bool) -> Service:
    """The service, if it can be deployed as it asks to. `is_new`: its primary deployment begins now."""
    balancers = service.primary.load_balancers if service.deployments else ()
    check_shiftable(service.deployment_strategy, balancers)
    members = ("loadBalancers", "serviceConnectConfiguration")
    if req.get("deploymentConfiguration") or any(req.get(one) is not None for one in members):
        check_strategy_of(
            service.deployment_strategy,
            daemon=service.is_daemon,
            controller=service.controller,
            balanced=bool(balancers) or any(map(serves_connect, service.deployments[:1])),
            functions=ecs.runs_functions,
        )
    return begun(service, ecs.clock.now()) if is_new else service


def _sized(tx: Tx, service: Service) -> Service:
    """A DAEMON service with the number of instances that qualify for its definition."""
    if not service.is_daemon:
        return service
    definition = TaskDefinitionRepo(tx).by_ids([service.primary.task_definition_id])
    hosts = daemon_hosts(tx, service, definition[service.primary.task_definition_id])
    return msgspec.structs.replace(service, desired_count=daemon_count(hosts))


def _changes(req: Request, service: Service) -> dict[str, Any]:
    """Members that change without a deployment; absent ones keep what they were."""
    changes: dict[str, Any] = {}
    for wire, member in (
        ("desiredCount", "desired_count"),
        ("healthCheckGracePeriodSeconds", "health_check_grace_seconds"),
        ("enableECSManagedTags", "enable_managed_tags"),
        ("propagateTags", "propagate_tags"),
    ):
        if req.get(wire) is not None:
            changes[member] = req[wire]
    for wire, member in (
        ("placementConstraints", "placement_constraints"),
        ("placementStrategy", "placement_strategy"),
    ):
        if req.get(wire) is not None:
            changes[member] = tuple(req[wire])
    current = RolloutSettings(
        service.minimum_healthy_percent,
        service.maximum_percent,
        service.breaker,
        service.early_success,
        service.deployment_strategy,
        service.alarms,
    )
    settings = rollout_settings(req.get("deploymentConfiguration"), current, daemon=service.is_daemon)
    return changes | settings._asdict()


def _zoned(req: Request, changed: Service) -> Service:
    """The service as it is to become, which may be rebalanced over the zones or not any more."""
    zones = is_rebalanced(changed, req.get("availabilityZoneRebalancing"), created=False)
    return msgspec.structs.replace(changed, az_rebalancing=zones)


def _superseded(service: Service, now: datetime) -> tuple[Deployment, ...]:
    """A service's deployments once there is a newer one."""
    return tuple(msgspec.structs.replace(one, status="ACTIVE", updated_at=now) for one in service.deployments)


@ops.operation("UpdateService", resources=resolved_later, about=services_resource, needs=deploying)
async def update_service(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Change a service; another task definition, other load balancers or force start a deployment."""
    check_common(req)
    check_asked(ecs, req)
    check_count(req, ecs.tasks_per_service)
    groups = await looked_up(call, ecs, req)
    facts = await registry_facts(call, ecs, req)

    def work(tx: Tx) -> Answer:
        cluster = find_cluster(tx, call, req.get("cluster"))
        service = find_service(tx, call, cluster, req["service"])
        if service.status != "ACTIVE":
            raise ServiceNotActiveException("Service was not ACTIVE.")
        check_controller(req, service)
        if service.is_daemon:
            check_daemon(req)
        changes = _changes(req, service)
        if service.is_external:
            changed = _zoned(req, msgspec.structs.replace(service, **changes))
            return _view(tx, ServiceRepo(tx).save(changed), _TAGS)
        reference = req.get("taskDefinition") or service.primary.task_definition
        definition = definition_of(tx, call, reference)
        if req.get("networkConfiguration"):
            check_network(req, definition)
        now_on = compute_now(service.primary)
        compute = next_compute(req, cluster, now_on, is_deployed=bool(req.get("forceNewDeployment")))
        held = tuple(one.as_asked() for one in service.primary.load_balancers)
        balancers = held
        if req.get("loadBalancers") is not None:
            balancers = load_balancers(req["loadBalancers"], groups, definition)
            changes["has_targets"] = service.has_targets or bool(balancers)
        check_may_change(service, changes["deployment_strategy"], balancers)
        network = network_of(
            tx, call, ecs, req, definition, before=service.primary.network, balancers=balancers
        )
        connect = next_connect(tx, ecs, req, service, cluster, definition, network)
        registries = (*next_registries(req, service, facts), *registries_for(connect))
        changes["has_registries"] = service.has_registries or bool(registries)
        is_other = definition.id != service.primary.task_definition_id or compute != now_on
        now_in = (service.primary.network, service.primary.registries, service.primary.connect)
        is_other |= (network, registries, connect) != now_in
        if is_other or balancers != held or req.get("forceNewDeployment"):
            check_definition(with_network(req, network), definition, compute)
            balancers = placed(balancers, service, changes["deployment_strategy"])
            check_registries(registries, definition, facts)
            changes["deployments"] = (
                new_deployment(ecs, definition, compute, balancers, network, registries, connect),
                *_superseded(service, ecs.clock.now()),
            )
            changes["launch_type"] = compute.launch_type
        changed = _zoned(req, msgspec.structs.replace(service, **changes))
        check_placement(compute, changed)
        changed = _staged(ecs, req, changed, is_new="deployments" in changes)
        saved = ServiceRepo(tx).save(_sized(tx, changed))
        if saved.primary.id != service.primary.id:
            hold_back(tx, ecs, saved)
            _begin_history(tx, ecs, saved)
        return _view(tx, saved, _TAGS)

    return {"service": await ecs.store.write(work)}


def _is_deployed(tx: Tx, service: Service) -> bool:
    """Whether it has task sets that nobody deleted."""
    task_sets = TaskSetRepo(tx).of_service(service.id) if service.is_external else ()
    return any(task_set.status != "DRAINING" for task_set in task_sets)


@ops.operation("DeleteService", resources=services_resource)
async def delete_service(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Drain a service; above 0 only by force. What is deleted already stays so."""

    def work(tx: Tx) -> Answer:
        cluster = find_cluster(tx, call, req.get("cluster"))
        service = find_service(tx, call, cluster, req["service"])
        if service.status == "ACTIVE":
            if service.desired_count and not service.is_daemon and not req.get("force"):
                raise InvalidParameterException("The service cannot be stopped while it is scaled above 0.")
            if not req.get("force") and _is_deployed(tx, service):
                raise InvalidParameterException("The service cannot be stopped while deployments are active.")
            service = ServiceRepo(tx).save(
                msgspec.structs.replace(service, status="DRAINING", desired_count=0)
            )
        return _view(tx, service, _TAGS)

    return {"service": await ecs.store.write(work)}


@ops.operation("DescribeServices", resources=services_resource)
async def describe_services(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Describe up to ten services, INACTIVE ones too."""
    references = req["services"]
    if not references:
        raise InvalidParameterException("Services cannot be empty.")
    if len(references) > 10:
        raise InvalidParameterException("services can have at most 10 items.")
    include = frozenset(req.get("include") or ())

    def work(tx: Tx) -> Answer:
        cluster = find_cluster(tx, call, req.get("cluster"))
        repo, found, failures = ServiceRepo(tx), [], []
        for reference in dict.fromkeys(references):
            name = service_name(home(call), cluster.name, reference)
            service = None if name is None else repo.find(cluster.id, name)
            if service is None:
                arn = services_resource(call, {"cluster": cluster.name, "service": reference})[0]
                failures.append({"arn": arn, "reason": "MISSING"})
            else:
                found.append(_view(tx, service, include))
        return {"services": found, "failures": failures}

    return await ecs.store.read(work)


@ops.operation("ListServices")
async def list_services(call: Call, ecs: Ecs, req: Request) -> Answer:
    """ARNs of ACTIVE services, ten a page."""
    page = page_of(call, ecs, req, default=10)

    def work(tx: Tx) -> list[tuple[int, str]]:
        cluster = find_cluster(tx, call, req.get("cluster"))
        if req.get("resourceManagementType") == "ECS":
            return []
        rows = ServiceRepo(tx).page(
            cluster.id,
            launch_type=req.get("launchType"),
            scheduling_strategy=req.get("schedulingStrategy"),
            after_id=page.after(0),
            limit=page.limit + 1,
        )
        head = f"arn:aws:ecs:{call.region}:{call.account_id}:service/{cluster.name}"
        return [(row_id, f"{head}/{name}") for row_id, name in rows]

    return page.answer("serviceArns", await ecs.store.read(work))
