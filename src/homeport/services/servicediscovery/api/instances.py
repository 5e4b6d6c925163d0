"""Instances of services: registered, found, reported healthy or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from homeport.core.call import Call
from homeport.core.ids import Ids
from homeport.services.servicediscovery.api.context import (
    PAGE,
    Answer,
    Request,
    ServiceDiscovery,
    check_owner,
    done,
    find_service,
    ops,
    paged,
    registry,
    service_resource,
)
from homeport.services.servicediscovery.errors import (
    CustomHealthNotFound,
    InstanceNotFound,
    NamespaceNotFound,
    ResourceLimitExceeded,
    ServiceNotFound,
)
from homeport.services.servicediscovery.model import UNHEALTHY, Instance, Namespace, Service
from homeport.services.servicediscovery.plan.instances import (
    INITIAL,
    check_attributes,
    check_labels,
    discovered,
    health_of,
)
from homeport.services.servicediscovery.plan.requests import unique_name
from homeport.services.servicediscovery.view import instance_view
from homeport.store.tx import Tx

INSTANCES_MOST = 1000
"""Of one service. Source: developer guide, "AWS Cloud Map quotas"."""


@ops.operation("RegisterInstance", resources=service_resource)
async def register_instance(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """An instance; one that is there has these attributes now."""

    def work(tx: Tx) -> Answer:
        service = find_service(tx, call, req["ServiceId"])
        old = registry(tx, call).instance(service.service_id, req["InstanceId"])
        repeated = req.get("CreatorRequestId")
        if old is not None and repeated and repeated == old.creator_request_id:
            return {"OperationId": old.operation_id}
        targets = {"SERVICE": service.service_id, "INSTANCE": req["InstanceId"]}
        answer = done(tx, call, sd, "REGISTER_INSTANCE", **targets)
        made = {"creator_request_id": repeated or "", "operation_id": answer["OperationId"]}
        put_instance(tx, call, service, req["InstanceId"], req["Attributes"], **made)
        return answer

    return await sd.store.write(work)


def put_instance(
    tx: Tx, call: Call, service: Service, instance_id: str, attributes: Mapping[str, str], **made: str
) -> None:
    """Register, or register again."""
    check_attributes(attributes, service)
    check_labels(instance_id, service)
    found = registry(tx, call)
    old = found.instance(service.service_id, instance_id)
    facts: dict[str, Any] = {"attributes": dict(attributes), **made}
    initial = attributes.get(INITIAL)
    if initial is not None or old is None:
        facts["healthy"] = initial != UNHEALTHY
    if old is not None:
        found.save_instance(msgspec.structs.replace(old, **facts))
    elif service.instance_count >= INSTANCES_MOST:
        raise ResourceLimitExceeded(f"A service has at most {INSTANCES_MOST} instances.")
    else:
        found.add_instance(Instance(service_id=service.service_id, instance_id=instance_id, **facts))
    _changed(tx, call, service, 0 if old is not None else 1)


def _changed(tx: Tx, call: Call, service: Service, more: int) -> None:
    after = msgspec.structs.replace(
        service,
        instance_count=service.instance_count + more,
        instances_revision=service.instances_revision + 1,
    )
    registry(tx, call).save_service(after)


@ops.operation("DeregisterInstance", resources=service_resource)
async def deregister_instance(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """An instance that is no more."""

    def work(tx: Tx) -> Answer:
        service = find_service(tx, call, req["ServiceId"])
        drop_instance(tx, call, service, _find(tx, call, service, req["InstanceId"]))
        targets = {"SERVICE": service.service_id, "INSTANCE": req["InstanceId"]}
        return done(tx, call, sd, "DEREGISTER_INSTANCE", **targets)

    return await sd.store.write(work)


def drop_instance(tx: Tx, call: Call, service: Service, instance: Instance) -> None:
    """Take it out of its service."""
    registry(tx, call).remove_instance(instance)
    _changed(tx, call, service, -1)


def _find(tx: Tx, call: Call, service: Service, instance_id: str) -> Instance:
    found = registry(tx, call).instance(service.service_id, instance_id)
    if found is None:
        raise InstanceNotFound(f"Instance {instance_id} does not exist in the service {service.service_id}.")
    return found


@ops.operation("GetInstance", resources=service_resource)
async def get_instance(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """One instance."""

    def work(tx: Tx) -> Answer:
        service = find_service(tx, call, req["ServiceId"])
        instance = _find(tx, call, service, req["InstanceId"])
        return {"ResourceOwner": service.account_id, "Instance": instance_view(instance, call.account_id)}

    return await sd.store.read(work)


@ops.operation("ListInstances", resources=service_resource)
async def list_instances(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """A service's instances."""

    def work(tx: Tx) -> Answer:
        service = find_service(tx, call, req["ServiceId"])
        page, more = paged(sd, call, req, registry(tx, call).instances(service.service_id))
        rows = [instance_view(one, call.account_id, summary=True) for one in page]
        return {"ResourceOwner": service.account_id, "Instances": rows, **more}

    return await sd.store.read(work)


@ops.operation("GetInstancesHealthStatus", resources=service_resource)
async def get_instances_health_status(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """How instances are, all or some."""

    def work(tx: Tx) -> Answer:
        service = find_service(tx, call, req["ServiceId"])
        asked: Sequence[str] = req.get("Instances") or ()
        if asked:
            found = [_find(tx, call, service, one) for one in dict.fromkeys(asked)]
        else:
            found = registry(tx, call).instances(service.service_id)
        page, more = paged(sd, call, req, found)
        return {"Status": {one.instance_id: health_of(one, service) for one in page}, **more}

    return await sd.store.read(work)


@ops.operation("UpdateInstanceCustomHealthStatus", resources=service_resource)
async def update_instance_custom_health_status(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """What somebody found out about an instance's health; it counts at once."""

    def work(tx: Tx) -> None:
        service = find_service(tx, call, req["ServiceId"])
        set_health(tx, call, sd, service, req["InstanceId"], healthy=req["Status"] != UNHEALTHY)

    await sd.store.write(work)
    return {}


def set_health(
    tx: Tx, call: Call, sd: ServiceDiscovery, service: Service, instance_id: str, *, healthy: bool
) -> None:
    """Write it down, unless it is known."""
    if not service.custom_health:
        raise CustomHealthNotFound(f"The service {service.service_id} has no custom health check.")
    instance = _find(tx, call, service, instance_id)
    if instance.healthy == healthy:
        return
    left = None if healthy else sd.clock.now()
    registry(tx, call).save_instance(msgspec.structs.replace(instance, healthy=healthy, left_healthy_at=left))
    _changed(tx, call, service, 0)


# ---- discovery -----------------------------------------------------------------------------------


def _discovered_service(tx: Tx, call: Call, req: Request) -> tuple[Namespace, Service]:
    check_owner(call, req)
    found, name = registry(tx, call), req["NamespaceName"]
    if name.startswith("arn:"):
        namespace = found.namespace(name.rpartition("/")[2])
    else:
        namespace = found.namespace_called(name)
    if namespace is None:
        raise NamespaceNotFound(f"Namespace {name} does not exist.")
    service = found.service_called(namespace.namespace_id, unique_name(req["ServiceName"], namespace))
    if service is None:
        raise ServiceNotFound(f"Service {req['ServiceName']} does not exist in the namespace {name}.")
    return namespace, service


@ops.operation("DiscoverInstances")
async def discover_instances(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """Instances that are found by names, in an order of chance."""

    def work(tx: Tx) -> tuple[Namespace, Service, list[Instance]]:
        namespace, service = _discovered_service(tx, call, req)
        return namespace, service, registry(tx, call).instances(service.service_id)

    namespace, service, instances = await sd.store.read(work)
    found = _shuffled(discovered(instances, service, req), sd.ids)[: req.get("MaxResults") or PAGE]
    rows = [
        {
            "InstanceId": one.instance_id,
            "NamespaceName": namespace.http_name,
            "ServiceName": service.name,
            "HealthStatus": health_of(one, service),
            "Attributes": one.attributes,
        }
        for one in found
    ]
    return {"Instances": rows, "InstancesRevision": service.instances_revision}


def _shuffled(instances: Sequence[Instance], ids: Ids) -> list[Instance]:
    dice = {one.instance_id: ids.token(8) for one in instances}
    return sorted(instances, key=lambda one: dice[one.instance_id])


@ops.operation("DiscoverInstancesRevision")
async def discover_instances_revision(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """A number that grows with every change of what DiscoverInstances may find."""
    _, service = await sd.store.read(lambda tx: _discovered_service(tx, call, req))
    return {"InstancesRevision": service.instances_revision}
