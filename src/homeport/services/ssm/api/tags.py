"""Tags of parameters. Source: Systems Manager API Reference, AddTagsToResource."""

from __future__ import annotations

import msgspec

from homeport.core.call import Call
from homeport.services.ssm.api.context import Answer, Request, Ssm, look_up, ops, repo_of, resource_of
from homeport.services.ssm.errors import InvalidResourceId, InvalidResourceType, TooManyTagsError
from homeport.services.ssm.model import Parameter
from homeport.services.ssm.plan.values import TAGS_MAX, tags_of
from homeport.store.tx import Tx


def _tagged_resource(call: Call, request: Request) -> tuple[str, ...]:
    return (resource_of(call, request["ResourceId"]),)


def _parameter(tx: Tx, call: Call, request: Request) -> Parameter:
    if request["ResourceType"] != "Parameter":
        raise InvalidResourceType(f"Homeport has no {request['ResourceType']}: the only type is Parameter.")
    found = look_up(tx, call, request["ResourceId"])
    if found is None:
        raise InvalidResourceId(f"There is no parameter {request['ResourceId']}.")
    return found[0]


@ops.operation("AddTagsToResource", resources=_tagged_resource)
async def add_tags_to_resource(call: Call, ssm: Ssm, req: Request) -> Answer:
    """Add tags, or give them other values."""

    def work(tx: Tx) -> None:
        parameter = _parameter(tx, call, req)
        tags = tags_of(req["Tags"], parameter.tags)
        if len(tags) > TAGS_MAX:
            raise TooManyTagsError(f"A parameter has at most {TAGS_MAX} tags.")
        repo_of(tx, call).save(msgspec.structs.replace(parameter, tags=tags))

    await ssm.store.write(work)
    return {}


@ops.operation("RemoveTagsFromResource", resources=_tagged_resource)
async def remove_tags_from_resource(call: Call, ssm: Ssm, req: Request) -> Answer:
    """Remove tags; keys that are not there do not matter."""

    def work(tx: Tx) -> None:
        parameter = _parameter(tx, call, req)
        tags = {key: value for key, value in parameter.tags.items() if key not in req["TagKeys"]}
        repo_of(tx, call).save(msgspec.structs.replace(parameter, tags=tags))

    await ssm.store.write(work)
    return {}


@ops.operation("ListTagsForResource", resources=_tagged_resource)
async def list_tags_for_resource(call: Call, ssm: Ssm, req: Request) -> Answer:
    """A parameter's tags."""
    tags = await ssm.store.read(lambda tx: _parameter(tx, call, req).tags)
    return {"TagList": [{"Key": key, "Value": value} for key, value in tags.items()]}
