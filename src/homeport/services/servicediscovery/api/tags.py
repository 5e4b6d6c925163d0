"""Tags of namespaces and services."""

from __future__ import annotations

import msgspec

from homeport.core.call import Call
from homeport.services.servicediscovery.api.context import (
    Answer,
    Request,
    ServiceDiscovery,
    find_namespace,
    find_service,
    ops,
    registry,
    tagged_resource,
)
from homeport.services.servicediscovery.errors import (
    NamespaceNotFound,
    ResourceNotFoundException,
    ServiceNotFound,
)
from homeport.services.servicediscovery.model import Namespace, Service
from homeport.services.servicediscovery.plan.requests import tags_of
from homeport.store.tx import Tx


def tagged(tx: Tx, call: Call, arn: str) -> Namespace | Service:
    """What has this ARN. Raise `ResourceNotFoundException`."""
    try:
        if ":service/" in arn:
            return find_service(tx, call, arn)
        if ":namespace/" in arn:
            return find_namespace(tx, call, arn)
    except (NamespaceNotFound, ServiceNotFound):
        pass
    raise ResourceNotFoundException(f"Resource {arn} does not exist.")


def _write(tx: Tx, call: Call, arn: str, tags: dict[str, str]) -> None:
    found = tagged(tx, call, arn)
    if isinstance(found, Service):
        registry(tx, call).save_service(msgspec.structs.replace(found, tags=tags))
    else:
        registry(tx, call).save_namespace(msgspec.structs.replace(found, tags=tags))


@ops.operation("TagResource", resources=tagged_resource)
async def tag_resource(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """Add tags, or give them other values."""
    arn = req["ResourceARN"]
    await sd.store.write(
        lambda tx: _write(tx, call, arn, tags_of(req["Tags"], tagged(tx, call, arn).tags, arn))
    )
    return {}


@ops.operation("UntagResource", resources=tagged_resource)
async def untag_resource(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """Remove tags; keys that are not there do not matter."""
    arn = req["ResourceARN"]

    def work(tx: Tx) -> None:
        tags = tagged(tx, call, arn).tags
        _write(tx, call, arn, {key: value for key, value in tags.items() if key not in req["TagKeys"]})

    await sd.store.write(work)
    return {}


@ops.operation("ListTagsForResource", resources=tagged_resource)
async def list_tags_for_resource(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """A namespace's or a service's tags."""
    found = await sd.store.read(lambda tx: tagged(tx, call, req["ResourceARN"]).tags)
    return {"Tags": [{"Key": key, "Value": found[key]} for key in sorted(found)]}
