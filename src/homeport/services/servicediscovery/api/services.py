"""Services of namespaces."""

from __future__ import annotations

import msgspec

from homeport.core.call import Call
from homeport.services.servicediscovery.api.context import (
    Answer,
    Request,
    ServiceDiscovery,
    done,
    find_namespace,
    find_service,
    fresh,
    ops,
    paged,
    parent_resource,
    registry,
    service_resource,
)
from homeport.services.servicediscovery.errors import (
    InvalidInput,
    ResourceInUse,
    ResourceLimitExceeded,
    ServiceAlreadyExists,
)
from homeport.services.servicediscovery.model import HTTP, Service
from homeport.services.servicediscovery.plan.filters import service_test
from homeport.services.servicediscovery.plan.requests import (
    SERVICES_MOST,
    check_service,
    namespace_of,
    records_of,
    routing_policy,
    service_attributes,
    tags_of,
    unique_name,
    updated_records,
)
from homeport.services.servicediscovery.view import service_view
from homeport.store.tx import Tx


@ops.operation("CreateService", resources=parent_resource, tagging="servicediscovery:TagResource")
async def create_service(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """A service in a namespace."""
    return await sd.store.write(lambda tx: {"Service": service_view(make_service(tx, call, sd, req))})


def make_service(tx: Tx, call: Call, sd: ServiceDiscovery, req: Request) -> Service:
    """The service that CreateService asks for; the one that is there when it asks again."""
    namespace, found = find_namespace(tx, call, namespace_of(req)), registry(tx, call)
    check_service(req, namespace)
    name = unique_name(req["Name"], namespace)
    there = found.service_called(namespace.namespace_id, name)
    if there is not None:
        if there.creator_request_id and there.creator_request_id == req.get("CreatorRequestId"):
            return there
        raise ServiceAlreadyExists(
            f"The service {req['Name']} already exists in the namespace {namespace.namespace_id}.",
            CreatorRequestId=there.creator_request_id,
            ServiceId=there.service_id,
            ServiceArn=there.arn,
        )
    if len(found.services(namespace.namespace_id)) >= SERVICES_MOST:
        raise ResourceLimitExceeded(f"A namespace has at most {SERVICES_MOST} services.")
    config = req.get("DnsConfig")
    records = () if config is None else records_of(config)
    new = Service(
        account_id=call.account_id,
        region=call.region,
        service_id=f"srv-{fresh(sd.ids, 16)}",
        namespace_id=namespace.namespace_id,
        name=req["Name"],
        description=req.get("Description") or "",
        by_dns=config is not None,
        records=records,
        routing_policy=routing_policy(config or {}, records),
        custom_health=req.get("HealthCheckCustomConfig") is not None,
        creator_request_id=req.get("CreatorRequestId") or "",
        created_at=sd.clock.now(),
        tags=tags_of(req.get("Tags"), {}, req["Name"]),
    )
    return found.add_service(new, name)


@ops.operation("GetService", resources=service_resource)
async def get_service(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """One service."""
    return await sd.store.read(lambda tx: {"Service": service_view(find_service(tx, call, req["Id"]))})


@ops.operation("ListServices")
async def list_services(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """The account's services."""
    is_asked_for = service_test(req.get("Filters") or ())

    def work(tx: Tx) -> Answer:
        found = [one for one in registry(tx, call).services() if is_asked_for(one)]
        page, more = paged(sd, call, req, found)
        return {"Services": [service_view(one, summary=True) for one in page], **more}

    return await sd.store.read(work)


@ops.operation("UpdateService", resources=service_resource)
async def update_service(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """Another description, other TTLs; records that are left out are deleted."""
    change = req["Service"]
    if change.get("HealthCheckConfig"):
        raise InvalidInput("HealthCheckConfig is not supported by Homeport.")

    def work(tx: Tx) -> Answer:
        service, found = find_service(tx, call, req["Id"]), registry(tx, call)
        if find_namespace(tx, call, service.namespace_id).type == HTTP:
            raise InvalidInput("The settings of a service in an HTTP namespace cannot be updated.")
        records = updated_records(service, change.get("DnsConfig"))
        given = change.get("Description")
        changed = msgspec.structs.replace(
            service,
            records=records,
            by_dns=bool(records),
            description=service.description if given is None else given,
        )
        found.save_service(changed)
        return done(tx, call, sd, "UPDATE_SERVICE", SERVICE=service.service_id)

    return await sd.store.write(work)


@ops.operation("DeleteService", resources=service_resource)
async def delete_service(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """A service without instances."""

    def work(tx: Tx) -> Answer:
        service, found = find_service(tx, call, req["Id"]), registry(tx, call)
        if service.entrance is not None:
            raise ResourceInUse(
                f"The service {req['Id']} cannot be deleted: {service.entrance.owner} uses it for Service "
                "Connect, and it goes with that."
            )
        if found.instances(service.service_id):
            raise ResourceInUse(f"The service {req['Id']} cannot be deleted: it still has instances.")
        found.remove_service(service)
        return {}

    return await sd.store.write(work)


@ops.operation("GetServiceAttributes", resources=service_resource)
async def get_service_attributes(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """What somebody wrote to a service."""
    service = await sd.store.read(lambda tx: find_service(tx, call, req["ServiceId"]))
    attributes = {
        "ServiceArn": service.arn, "ResourceOwner": service.account_id, "Attributes": service.attributes,
    }  # fmt: skip
    return {"ServiceAttributes": attributes}


@ops.operation("UpdateServiceAttributes", resources=service_resource)
async def update_service_attributes(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """Write to a service, over what is there."""

    def work(tx: Tx) -> Answer:
        service = find_service(tx, call, req["ServiceId"])
        after = service_attributes(req["Attributes"], service.attributes)
        registry(tx, call).save_service(msgspec.structs.replace(service, attributes=after))
        return {}

    return await sd.store.write(work)


@ops.operation("DeleteServiceAttributes", resources=service_resource)
async def delete_service_attributes(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """Remove what somebody wrote; what is not there does not matter."""

    def work(tx: Tx) -> Answer:
        service = find_service(tx, call, req["ServiceId"])
        left = {key: value for key, value in service.attributes.items() if key not in req["Attributes"]}
        registry(tx, call).save_service(msgspec.structs.replace(service, attributes=left))
        return {}

    return await sd.store.write(work)
